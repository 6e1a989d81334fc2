"""With no daemon there is no network, and never the host's; files, pipes and unix sockets work."""
import errno, os, socket, sys

sys.path.insert(0, os.path.dirname(__file__))
from expect import fails_with

for family in (socket.AF_INET, socket.AF_INET6):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        fails_with(errno.ENETDOWN, socket.socket, family, kind)
try:
    socket.getaddrinfo("somewhere.test", 80)
    raise AssertionError("found")
except socket.gaierror as e:
    assert e.errno == socket.EAI_AGAIN, e
a, b = socket.socketpair()
a.send(b"x")
assert b.recv(1) == b"x"
assert socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)
print("ok")
