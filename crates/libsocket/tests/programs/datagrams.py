"""Datagram sockets as Python sees them."""
import errno, fcntl, os, select, socket, struct, sys, time

sys.path.insert(0, os.path.dirname(__file__))
from expect import fails_with, is_ours

IP = socket.IPPROTO_IP
IP_RECVTTL, IP_PKTINFO = 12, 8


def bound():
    s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    s.bind(("127.0.0.1", 0))
    return s


a, b = bound(), bound()
assert is_ours(a) and a.getsockopt(socket.SOL_SOCKET, socket.SO_TYPE) == socket.SOCK_DGRAM
fails_with(errno.EDESTADDRREQ, a.send, b"x")
fails_with(errno.EMSGSIZE, a.sendto, bytes(65_508), b.getsockname())
fails_with(errno.EOPNOTSUPP, a.listen)
fails_with(errno.EOPNOTSUPP, a.accept)
fails_with(errno.EINVAL, a.sendto, b"x", ("127.0.0.1", 0))

a.sendto(b"hello", b.getsockname())
assert select.select([b], [], [], 2)[0]
assert struct.unpack("i", fcntl.ioctl(b, 0x541B, b"\0" * 4))[0] == 5
assert b.recvfrom(3, socket.MSG_PEEK) == (b"hel", a.getsockname())
data, _, flags, source = b.recvmsg(3)
assert (data, flags, source) == (b"hel", socket.MSG_TRUNC, a.getsockname())
fails_with(errno.EAGAIN, b.recv, 1, socket.MSG_DONTWAIT)
a.sendto(b"12345", b.getsockname())
assert b.recv_into(bytearray(2), 2, socket.MSG_TRUNC) == 5

# Zero length, gathered, scattered over many pieces, and large.
a.sendto(b"", b.getsockname())
assert b.recvfrom(9) == (b"", a.getsockname())
a.sendmsg([b"x"] * 40, [], 0, b.getsockname())
pieces = [bytearray(1) for _ in range(50)]
assert b.recvmsg_into(pieces)[0] == 40 and bytes(pieces[39]) == b"x"
a.sendto(bytes(60_000), b.getsockname())
assert len(b.recv(70_000)) == 60_000

# Connected: send, read and write, the peer's name, and a refusal.
a.connect(b.getsockname())
assert a.getpeername() == b.getsockname()
a.send(b"1")
os.write(a.fileno(), b"2")
assert b.recv(9) == b"1" and os.read(b.fileno(), 9) == b"2"
gone = b.getsockname()
b.close()
time.sleep(0.1)
a.send(b"x")
time.sleep(0.1)
fails_with(errno.ECONNREFUSED, a.recv, 1)
a.setblocking(False)
fails_with(errno.EAGAIN, a.recv, 1)

# Ancillary data both ways.
c = bound()
c.setsockopt(IP, IP_RECVTTL, 1)
c.setsockopt(IP, IP_PKTINFO, 1)
d = bound()
d.sendmsg([b"ttl"], [(IP, socket.IP_TTL, struct.pack("i", 33))], 0, c.getsockname())
data, ancillary, flags, _ = c.recvmsg(10, 200)
found = {(level, kind): value for level, kind, value in ancillary}
assert struct.unpack("i", found[IP, socket.IP_TTL])[0] == 33, found
assert found[IP, IP_PKTINFO][8:] == socket.inet_aton("127.0.0.1") and flags == 0
d.sendto(b"no room", c.getsockname())
assert c.recvmsg(10, 0)[2] & socket.MSG_CTRUNC
fails_with(errno.EINVAL, d.sendmsg, [b"x"], [(IP, 99, b"1234")], 0, c.getsockname())

# IPv6, with an IPv4 destination refused on an IPv4 socket.
e = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
e.bind(("::1", 0))
e.sendto(b"six", e.getsockname())
assert e.recvfrom(9) == (b"six", e.getsockname())
c.shutdown(socket.SHUT_RD) if c.connect_ex(d.getsockname()) == 0 else None
print("ok")
