"""The control protocol (crates/sockets/src/call.rs), spoken without the library: what an enemy can say."""
import array, socket, struct

MAGIC, VERSION = 0x6B706F69, 1
(SOCKET, BIND, CONNECT, LISTEN, SHUTDOWN, LOCAL_ADDR, PEER_ADDR, SET_OPTION, GET_OPTION, IOCTL, IDENTIFY, REOPEN,
 INTERFACE_ADDRS, CONFIG, QUEUED) = range(1, 16)
STREAM, DATAGRAM, RAW = 1, 2, 3
FDS_MAX = 64


def request(op, body=b"", handle=0, magic=MAGIC, version=VERSION, length=None):
    return struct.pack("=IHHIQ", magic, version, op, len(body) if length is None else length, handle) + body


def address(ip, port):
    """A WireAddr."""
    if ":" in ip:
        return struct.pack("=HHII", 10, port, 0, 0) + socket.inet_pton(socket.AF_INET6, ip)
    return struct.pack("=HHII", 2, port, 0, 0) + socket.inet_pton(socket.AF_INET, ip).ljust(16, b"\0")


class Client:
    """One connection to `ctl`."""

    def __init__(self, path, wait=10):
        self.path = path
        self.wait = wait
        self.open()

    def open(self):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(self.wait)
        self.socket.connect(self.path)

    def send(self, message, fds=()):
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        self.socket.sendmsg([message], rights)

    def receive(self):
        """(errno, body, descriptors); None when the daemon has cut us off."""
        try:
            data, ancillary, _, _ = self.socket.recvmsg(65536, socket.CMSG_SPACE(4 * FDS_MAX))
        except ConnectionError:
            return None
        fds = array.array("i")
        for level, kind, value in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                fds.frombytes(value[:len(value) - len(value) % 4])
        if len(data) < 8:
            return None
        errno, length = struct.unpack("=iI", data[:8])
        assert length == len(data) - 8, "a reply's length fits"
        return errno, data[8:], list(fds)

    def call(self, op, body=b"", handle=0, fds=()):
        self.send(request(op, body, handle), fds)
        return self.receive()

    def socket_of(self, domain, kind, protocol=0):
        """(handle, key, the pair's end as a socket), or the errno."""
        errno, body, fds = self.call(SOCKET, struct.pack("=iii", domain, kind, protocol))
        if errno:
            return errno
        handle, key = struct.unpack("=QQ", body[:16])
        pair = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM if kind == STREAM else socket.SOCK_SEQPACKET, 0, fds[0])
        return handle, key, pair

    def close(self):
        self.socket.close()
