"""Stream sockets as Python sees them: every line is a statement about the library."""
import errno, fcntl, os, select, signal, socket, struct, subprocess, sys, tempfile, threading, time

sys.path.insert(0, os.path.dirname(__file__))
from expect import fails_with, is_ours

SOL, ERR = socket.SOL_SOCKET, socket.SO_ERROR


def listener(family=socket.AF_INET, host="127.0.0.1", backlog=16):
    l = socket.socket(family, socket.SOCK_STREAM)
    l.setsockopt(SOL, socket.SO_REUSEADDR, 1)
    l.bind((host, 0))
    l.listen(backlog)
    return l


def connected():
    l = listener()
    a = socket.create_connection(l.getsockname())
    b, _ = l.accept()
    l.close()
    return a, b


# The socket is ours, says what it is, and has the lowest free number.
low = os.dup(0)
os.close(low)
s = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
assert s.fileno() == low and is_ours(s)
assert s.getsockopt(SOL, socket.SO_TYPE) == socket.SOCK_STREAM
assert s.getsockopt(SOL, socket.SO_DOMAIN) == socket.AF_INET
assert s.getsockopt(SOL, socket.SO_PROTOCOL) == socket.IPPROTO_TCP
assert fcntl.fcntl(s, fcntl.F_GETFD) & fcntl.FD_CLOEXEC

# Before a connection.
fails_with(errno.ENOTCONN, s.recv, 1)
fails_with(errno.EPIPE, s.send, b"x")
fails_with(errno.ENOTCONN, s.getpeername)
fails_with(errno.EINVAL, s.accept)
fails_with(errno.EAFNOSUPPORT, socket.socket, socket.AF_PACKET, socket.SOCK_RAW)
fails_with(errno.EAFNOSUPPORT, socket.socket, 21, socket.SOCK_STREAM)

# Connect, accept, addresses, options, data, half-close.
l = listener()
assert not select.select([], [l], [], 0)[1], "a listener is not writable"
s.connect(l.getsockname())
assert select.select([l], [], [], 2)[0]
c, peer = l.accept()
assert peer == s.getsockname() and c.getsockname() == s.getpeername() == l.getsockname()
assert is_ours(c) and l.getsockopt(SOL, socket.SO_ACCEPTCONN) == 1
fails_with(errno.EISCONN, s.connect, l.getsockname())
fails_with(errno.ENOTCONN, l.getpeername)
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
assert s.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) != 0
fails_with(errno.ENOPROTOOPT, s.getsockopt, socket.IPPROTO_TCP, 9999)
s.sendall(b"hello")
assert c.recv(3, socket.MSG_PEEK) == b"hel"
assert c.recv(2, socket.MSG_WAITALL) == b"he"
n = struct.unpack("i", fcntl.ioctl(c, 0x541B, b"\0" * 4))[0]
assert n == 3, n
assert c.recv(2, socket.MSG_TRUNC) is not None
assert c.recvmsg(10)[0] == b"o"
fails_with(errno.EAGAIN, c.recv, 1, socket.MSG_DONTWAIT)
c.settimeout(0.05)
try:
    c.recv(1)
    raise AssertionError("a timeout was due")
except TimeoutError:
    pass
c.settimeout(None)
big = os.urandom(3_000_000)
t = threading.Thread(target=s.sendall, args=(big,))
t.start()
got = b""
while len(got) < len(big):
    got += c.recv(100_000)
t.join()
assert got == big
s.shutdown(socket.SHUT_WR)
assert c.recv(1) == b""
c.sendall(b"still")
assert s.recv(10) == b"still"
c.close()
assert s.recv(1) == b""
s.close()

# sendfile, and file objects (stdio-like).
a, b = connected()
with tempfile.TemporaryFile() as f:
    f.write(b"from a file")
    f.flush()
    assert os.sendfile(a.fileno(), f.fileno(), 0, 11) == 11
assert b.recv(20) == b"from a file"
os.writev(a.fileno(), [b"one", b"two"])
buffers = [bytearray(2), bytearray(4)]
b.recv_into(buffers[0], 2)
assert os.readv(b.fileno(), [buffers[1]]) == 4 and buffers[1] == b"etwo"

# dup keeps the socket alive; a recycled number is the kernel's again.
d = os.dup(a.fileno())
a.close()
os.write(d, b"dup")
assert b.recv(3) == b"dup"
os.close(d)
assert b.recv(1) == b""
r, w = os.pipe()
os.write(w, b"pipe")
assert os.read(r, 4) == b"pipe"
b.close()

# Non-blocking connect; the second call tells the result once.
n = socket.socket()
n.setblocking(False)
slow = listener()
assert n.connect_ex(slow.getsockname()) == errno.EINPROGRESS
assert select.select([], [n], [], 2)[1] == [n]
assert n.getsockopt(SOL, ERR) == 0
assert n.connect_ex(slow.getsockname()) in (0, errno.EISCONN)
assert n.connect_ex(slow.getsockname()) == errno.EISCONN
n.send(b"now")
assert slow.accept()[0].recv(3) == b"now"

# Refused: blocking, non-blocking, and again on the same socket.
dead = listener()
nobody = dead.getsockname()
dead.close()
f = socket.socket()
fails_with(errno.ECONNREFUSED, f.connect, nobody)
fails_with(errno.ECONNREFUSED, f.connect, nobody)
f.connect(slow.getsockname())
f.close()
f = socket.socket()
f.setblocking(False)
assert f.connect_ex(nobody) == errno.EINPROGRESS
p = select.poll()
p.register(f, select.POLLOUT)
assert p.poll(2000)[0][1] & (select.POLLERR | select.POLLHUP)
assert f.getsockopt(SOL, ERR) == errno.ECONNREFUSED
assert f.getsockopt(SOL, ERR) == 0
f.close()

# A reset arrives as ECONNRESET, then the end; a write after it as EPIPE.
a, b = connected()
a.setsockopt(SOL, socket.SO_LINGER, struct.pack("ii", 1, 0))
b.send(b"unread by a")
time.sleep(0.05)
a.close()
time.sleep(0.05)
try:
    while b.recv(100):
        pass
except ConnectionResetError:
    pass
signal.signal(signal.SIGPIPE, lambda *_: None)
try:
    for _ in range(50):
        b.send(b"x")
        time.sleep(0.005)
    raise AssertionError("a write after the end went through")
except (BrokenPipeError, ConnectionResetError):
    pass
b.close()

# fork: the child uses the same connection and makes its own.
a, b = connected()
pid = os.fork()
if pid == 0:
    a.send(b"from the child")
    x, y = connected()
    x.send(b"1")
    os._exit(0 if y.recv(1) == b"1" else 1)
assert os.waitpid(pid, 0)[1] == 0
assert b.recv(50) == b"from the child"
x, y = connected()
x.send(b"2")
assert y.recv(1) == b"2"

# exec (by vfork inside): a new program finds it again as its standard input.
code = "import socket,sys; s=socket.socket(fileno=0); s.send(b'exec '+repr(s.getpeername()[1]).encode())"
subprocess.run([sys.executable, "-c", code], stdin=a.fileno(), check=True)
assert b.recv(50) == b"exec %d" % b.getsockname()[1], "peer's port"
a.send(b"parent still knows it")
assert a.getsockopt(SOL, socket.SO_TYPE) == socket.SOCK_STREAM and is_ours(a) and b.recv(50)

# SCM_RIGHTS.
left, right = socket.socketpair()
pid = os.fork()
if pid == 0:
    a.close()
    _, fds, _, _ = socket.recv_fds(right, 1, 4)
    got = socket.socket(fileno=fds[0])
    got.send(b"passed %d" % got.getpeername()[1])
    os._exit(0)
socket.send_fds(left, [b"x"], [a.fileno()])
assert os.waitpid(pid, 0)[1] == 0
assert b.recv(50) == b"passed %d" % b.getsockname()[1]

# The library's own connections cannot be seen or closed.
for fd in map(int, os.listdir("/proc/self/fd")):
    if fd > 900:
        fails_with(errno.EBADF, os.close, fd)
        fails_with(errno.EBADF, os.dup, fd)
os.closerange(40, 60000)
os.dup2(2, max(map(int, os.listdir("/proc/self/fd"))))
assert socket.socket().getsockopt(SOL, socket.SO_TYPE) == 1

# epoll: edge-triggered.
a, b = connected()
e = select.epoll()
e.register(b, select.EPOLLIN | select.EPOLLET)
assert e.poll(0) == []
a.send(b"1")
assert e.poll(1) == [(b.fileno(), select.EPOLLIN)] and e.poll(0) == []
a.send(b"2")
assert e.poll(1) == [(b.fileno(), select.EPOLLIN)]

# SO_RCVTIMEO, and a signal during a blocking accept and a blocking connect.
b.setsockopt(SOL, socket.SO_RCVTIMEO, struct.pack("ll", 0, 30_000))
assert b.recv(2) == b"12"
fails_with(errno.EAGAIN, b.recv, 1)
told = []
signal.signal(signal.SIGALRM, lambda *_: told.append(1))
signal.setitimer(signal.ITIMER_REAL, 0.05)
l = listener()
threading.Timer(0.2, lambda: socket.create_connection(l.getsockname())).start()
l.accept()
assert told == [1]

# IPv6.
l = listener(socket.AF_INET6, "::1")
s = socket.create_connection(l.getsockname()[:2])
assert s.family == socket.AF_INET6 and l.accept()[1][0] == "::1"
print("ok")
