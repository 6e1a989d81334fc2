#!/usr/bin/env python3
"""A stand-in for io-pkt that speaks `sockets::call` and `sockets::datagram`, and carries every socket
out on the host's loopback. Usage: fake_daemon.py CTL-PATH; prints "ready" when it listens."""

import errno, os, random, select, socket, struct, sys, threading, time

MAGIC, VERSION = 0x6B706F69, 1
(SOCKET, BIND, CONNECT, LISTEN, SHUTDOWN, LOCAL, PEER, SETOPT, GETOPT, IOCTL, IDENTIFY, REOPEN,
 IFADDRS, CONFIG, QUEUED, CONNECT_AND_WAIT, CONNECT_AND_RESTOCK, REACH) = range(1, 19)
FRESH, CONNECTING, CONNECTED, LISTENING, FAILED = range(5)
SO_COOKIE = 57
ADDR, PKTINFO, TTL, TOS, TIMESTAMP, ERROR = 1, 2, 4, 8, 16, 32
HEAD = 84
# A handshake with this port takes this long.
SLOW_PORT, SLOW_S = 9999, 0.6
by_handle, by_cookie = {}, {}


def wire(a, family):
    if a is None:
        return bytes(28)
    if family == socket.AF_INET:
        return struct.pack("=HHII16s", 2, a[1], 0, 0, socket.inet_aton(a[0]))
    return struct.pack("=HHII16s", 10, a[1], a[2], a[3], socket.inet_pton(socket.AF_INET6, a[0].split("%")[0]))


def unwire(b):
    family, port, flow, scope, ip = struct.unpack("=HHII16s", b)
    if family == 2:
        return (socket.inet_ntoa(ip[:4]), port)
    if family == 10:
        return (socket.inet_ntop(socket.AF_INET6, ip), port, flow, scope)
    return None


class Sock:
    def __init__(self, domain, kind, protocol, real=None):
        self.real = real or socket.socket(domain, kind, protocol)
        self.domain, self.kind = domain, kind
        self.protocol = self.real.getsockopt(socket.SOL_SOCKET, socket.SO_PROTOCOL)
        self.handle, self.key = random.getrandbits(63) + 1, random.getrandbits(63) + 1
        self.state, self.err, self.half = FRESH, 0, 0
        self.lock = threading.Lock()
        by_handle[self.handle] = self

    def pair_up(self, connected=False):
        kind = socket.SOCK_STREAM if self.kind == socket.SOCK_STREAM else socket.SOCK_SEQPACKET
        self.pair, theirs = socket.socketpair(socket.AF_UNIX, kind)
        for end in (self.pair, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 512 * 1024)
        if kind == socket.SOCK_STREAM and not connected:
            theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 0)
        self.cookie = struct.unpack("=Q", theirs.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]
        by_cookie[self.cookie] = self
        return theirs

    def info(self):
        return struct.pack("=QQQHHHH", self.handle, self.key, self.cookie, self.domain, self.kind,
                           self.protocol, self.state)

    def spawn(self, f):
        threading.Thread(target=f, daemon=True).start()

    # ---- streams

    def connect(self, peer):
        self.state = CONNECTING
        over = threading.Event()

        def run():
            try:
                self.real.settimeout(None)
                if peer[1] == SLOW_PORT:
                    time.sleep(SLOW_S)
                self.real.connect(peer)
            except OSError as e:
                self.err, self.state = e.errno, FAILED
                self.pair.close()
                over.set()
                return
            self.pair.recv(2)
            self.state = CONNECTED
            self.pump()
            over.set()

        self.spawn(run)
        return over

    def pump(self):
        self.spawn(self.up)
        self.spawn(self.down)

    def finished(self):
        with self.lock:
            self.half += 1
            if self.half == 2:
                self.pair.close()
                self.real.close()

    def up(self):
        try:
            while data := self.pair.recv(65536):
                self.real.sendall(data)
            self.real.shutdown(socket.SHUT_WR)
        except OSError as e:
            self.fail(e)
        self.finished()

    def down(self):
        try:
            while data := self.real.recv(65536):
                self.pair.sendall(data)
            self.pair.shutdown(socket.SHUT_WR)
        except OSError as e:
            self.fail(e)
        self.finished()

    def fail(self, e):
        if e.errno in (errno.ECONNRESET, errno.ETIMEDOUT):
            self.err = e.errno
        for s in (self.pair, self.real):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def readable(self):
        """Waits until the real socket has something; False when the program is gone instead."""
        p = select.poll()
        p.register(self.real, select.POLLIN)
        p.register(self.pair, 0)
        while True:
            ready = dict(p.poll())
            if self.pair.fileno() in ready:
                self.real.close()
                return False
            if self.real.fileno() in ready:
                return True

    def accept_loop(self):
        while self.readable():
            try:
                conn, peer = self.real.accept()
            except OSError:
                self.pair.shutdown(socket.SHUT_RDWR)
                return
            s = Sock(self.domain, self.kind, self.protocol, conn)
            s.state = CONNECTED
            theirs = s.pair_up(connected=True)
            body = s.info() + wire(peer, self.domain) + wire(conn.getsockname(), self.domain)
            socket.send_fds(self.pair, [body], [theirs.fileno()])
            theirs.close()
            s.pump()

    # ---- datagrams

    def datagrams(self):
        self.spawn(self.datagrams_up)
        self.spawn(self.datagrams_down)

    def datagrams_up(self):
        while m := self.pair.recv(70000):
            key, flags, ttl, tos = struct.unpack("=QHBB", m[:12])
            assert key == self.key, "wrong key"
            ancillary = []
            if flags & TTL:
                ancillary.append((socket.IPPROTO_IP, socket.IP_TTL, struct.pack("=i", ttl)))
            try:
                to = [unwire(m[28:56])] if flags & ADDR else []
                self.real.sendmsg([m[HEAD:]], ancillary, 0, *to)
            except OSError as e:
                self.tell(e.errno)

    def tell(self, code):
        self.pair.send(struct.pack("=QHBBiIQ", 0, ERROR, 0, 0, code, 0, 0) + bytes(56))

    def datagrams_down(self):
        while self.readable():
            try:
                data, ancillary, _, source = self.real.recvmsg(70000, 256)
            except OSError as e:
                if e.errno == errno.EBADF:
                    return
                self.tell(e.errno)
                continue
            flags, ttl, local, index = ADDR, 0, bytes(28), 0
            for level, kind, value in ancillary:
                if (level, kind) == (socket.IPPROTO_IP, socket.IP_TTL):
                    flags, ttl = flags | TTL, struct.unpack("=i", value)[0]
                if (level, kind) == (socket.IPPROTO_IP, 8):
                    flags |= PKTINFO
                    index, _, dst = struct.unpack("=i4s4s", value)
                    local = struct.pack("=HHII16s", 2, 0, 0, 0, dst)
            head = struct.pack("=QHBBiIQ", 0, flags, ttl, 0, 0, index, 0)
            self.pair.send(head + wire(source, self.domain) + local + data)


def interface_addrs():
    def record(index, name, mac, ip, prefix):
        b = bytes([index, len(name)]) + name + bytes([0x43, 0xDC, 0x0B])
        b += bytes([1]) + mac if mac else bytes([0])
        v6 = len(ip) == 16
        return b + bytes([1, v6]) + ip + bytes([prefix, 0, 0, 0, 0, 0, 0, 0, 0])

    rows = [record(1, b"lo0", None, bytes([127, 0, 0, 1]), 8),
            record(2, b"en0", bytes(range(6)), bytes([10, 9, 8, 7]), 24),
            record(2, b"en0", bytes(range(6)), bytes([0xFE, 0x80] + [0] * 13 + [7]), 64)]
    return bytes([len(rows)]) + b"".join(rows)


def serve(op, handle, body, fds):
    """The reply's body and the descriptor that goes along."""
    if op == SOCKET:
        s = Sock(*struct.unpack("=3i", body))
        theirs = s.pair_up()
        if s.kind != socket.SOCK_STREAM:
            s.datagrams()
        return s.info(), theirs
    if op == IDENTIFY:
        out = b""
        for fd in fds:
            with socket.socket(fileno=os.dup(fd)) as theirs:
                cookie = struct.unpack("=Q", theirs.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]
            s = by_cookie.get(cookie)
            out += s.info() if s else bytes(32)
        return out, None
    if op == IFADDRS:
        return interface_addrs(), None
    s = by_handle.get(handle)
    if not s:
        raise OSError(errno.ENOTSOCK, "handle")
    if op == BIND:
        s.real.bind(unwire(body))
    elif op in (CONNECT, CONNECT_AND_WAIT, CONNECT_AND_RESTOCK):
        if s.kind == socket.SOCK_STREAM:
            assert struct.unpack("=I", body[28:])[0] == 2, "fillers"
            over = s.connect(unwire(body[:28]))
            if op == CONNECT:
                raise OSError(errno.EINPROGRESS, "")
            over.wait()
            if s.state == FAILED:
                err, s.err = s.err, 0
                raise OSError(err, "")
            if op == CONNECT_AND_RESTOCK:
                return serve(SOCKET, 0, struct.pack("=3i", s.domain, s.kind, s.protocol), [])
            return b"", None
        s.real.connect(unwire(body[:28]))
    elif op == LISTEN:
        s.real.listen(struct.unpack("=i", body)[0])
        if s.state != LISTENING:
            s.state = LISTENING
            s.spawn(s.accept_loop)
    elif op == SHUTDOWN:
        if s.state == CONNECTED and s.kind == socket.SOCK_STREAM:
            return b"", None
        s.real.shutdown(struct.unpack("=i", body)[0])
    elif op == LOCAL:
        return wire(s.real.getsockname(), s.domain), None
    elif op == PEER:
        return wire(s.real.getpeername(), s.domain), None
    elif op == SETOPT:
        level, name = struct.unpack("=2i", body[:8])
        s.real.setsockopt(level, name, body[8:])
    elif op == GETOPT:
        level, name, room = struct.unpack("=3i", body)
        if (level, name) == (socket.SOL_SOCKET, socket.SO_ERROR):
            err, s.err = s.err, 0
            return struct.pack("=i", err), None
        return s.real.getsockopt(level, name, room), None
    elif op == REOPEN:
        s.real.close()
        s.real = socket.socket(s.domain, s.kind, s.protocol)
        s.state = FRESH
        theirs = s.pair_up()
        return s.info(), theirs
    elif op == QUEUED:
        return bytes(12), None
    elif op == REACH:
        with socket.socket(s.domain, s.kind, s.protocol) as probe:
            probe.connect(unwire(body[:28]))
    else:
        raise OSError(errno.ENOSYS, "op")
    return b"", None


def session(c):
    while True:
        message, fds, _, _ = socket.recv_fds(c, 65536, 64)
        if not message:
            return
        magic, version, op, length, handle = struct.unpack("=IHHIQ", message[:20])
        body = message[20:]
        assert magic == MAGIC and version == VERSION and length == len(body)
        fd = None
        try:
            reply, fd = serve(op, handle, body, fds)
            head = struct.pack("=iI", 0, len(reply))
        except OSError as e:
            reply, head = b"", struct.pack("=iI", e.errno, 0)
        for f in fds:
            os.close(f)
        if fd:
            socket.send_fds(c, [head + reply], [fd.fileno()])
            fd.close()
        else:
            c.send(head + reply)


ctl = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
ctl.bind(sys.argv[1])
ctl.listen(64)
print("ready", flush=True)
while True:
    conn, _ = ctl.accept()
    threading.Thread(target=session, args=(conn,), daemon=True).start()
