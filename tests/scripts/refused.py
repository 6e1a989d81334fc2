"""What an instance's sockets do not do, and what they answer in its place (docs/sockets.md).

Called as `refused.py 4|6 ADDRESS`, an address of the instance's own. Prints one line for each wrong answer.
"""

import array
import errno
import fcntl
import os
import socket
import sys

FAMILY = socket.AF_INET6 if sys.argv[1] == "6" else socket.AF_INET
ADDRESS = sys.argv[2]
MSG_FASTOPEN, MSG_ZEROCOPY, MSG_ERRQUEUE, UDP_SEGMENT, SOL_UDP = 0x20000000, 0x4000000, 0x2000, 103, 17
SIOCATMARK, SIOCGSTAMP, SIOCGSTAMPNS, SIOCETHTOOL, SO_ZEROCOPY = 0x8905, 0x8906, 0x8907, 0x8946, 60


def fails(what, expected, call):
    try:
        got = call()
    except OSError as e:
        if e.errno != expected:
            print(f"{what}: {errno.errorcode.get(e.errno)}, not {errno.errorcode[expected]}")
        return
    print(f"{what}: {got!r}, not {errno.errorcode[expected]}")


def gives(what, expected, call):
    try:
        got = call()
    except OSError as e:
        got = e
    if got != expected:
        print(f"{what}: {got!r}, not {expected!r}")


def datagrams():
    there = socket.socket(FAMILY, socket.SOCK_DGRAM)
    there.bind((ADDRESS, 0))
    here = socket.socket(FAMILY, socket.SOCK_DGRAM)
    here.connect(there.getsockname())
    fails("send: MSG_MORE", errno.EOPNOTSUPP, lambda: here.send(b"x", socket.MSG_MORE))
    fails("send: MSG_OOB", errno.EOPNOTSUPP, lambda: here.send(b"x", socket.MSG_OOB))
    fails("recv: MSG_ERRQUEUE", errno.EAGAIN, lambda: here.recv(1, MSG_ERRQUEUE))
    segments = (SOL_UDP, UDP_SEGMENT, array.array("H", [100]).tobytes())
    fails("sendmsg: UDP_SEGMENT", errno.EINVAL, lambda: here.sendmsg([b"x" * 300], [segments]))
    # As Linux does without SO_ZEROCOPY, which is refused: the bytes are copied.
    fails("SO_ZEROCOPY", errno.ENOPROTOOPT, lambda: here.setsockopt(socket.SOL_SOCKET, SO_ZEROCOPY, 1))
    gives("send: MSG_ZEROCOPY", 2, lambda: here.send(b"zc", MSG_ZEROCOPY))
    gives("recv: MSG_ZEROCOPY's", b"zc", lambda: there.recv(9))
    with open("/etc/hosts", "rb") as f:
        fails("sendfile", errno.EINVAL, lambda: os.sendfile(here.fileno(), f.fileno(), 0, 10))
    for name, request in (("SIOCGSTAMP", SIOCGSTAMP), ("SIOCGSTAMPNS", SIOCGSTAMPNS)):
        fails(name, errno.ENOENT, lambda: fcntl.ioctl(here, request, bytes(16)))
    there.settimeout(0)
    fails("nothing of all this arrived", errno.EAGAIN, lambda: there.recv(9))


def streams():
    listener = socket.create_server((ADDRESS, 0), family=FAMILY)
    here = socket.create_connection(listener.getsockname()[:2])
    there, _ = listener.accept()
    fails("stream: send: MSG_OOB", errno.EOPNOTSUPP, lambda: here.send(b"x", socket.MSG_OOB))
    fails("stream: recv: MSG_OOB", errno.EINVAL, lambda: here.recv(1, socket.MSG_OOB))
    fails("stream: send: MSG_FASTOPEN", errno.EOPNOTSUPP, lambda: here.send(b"x", MSG_FASTOPEN))
    fails("stream: recv: MSG_ERRQUEUE", errno.EAGAIN, lambda: here.recv(1, MSG_ERRQUEUE))
    fails("stream: SIOCETHTOOL", errno.EOPNOTSUPP, lambda: fcntl.ioctl(here, SIOCETHTOOL, bytes(40)))
    gives("stream: SIOCATMARK", bytes(4), lambda: fcntl.ioctl(here, SIOCATMARK, bytes([1, 0, 0, 0])))
    # Hints: the bytes go all the same.
    gives("stream: MSG_MORE", 2, lambda: here.send(b"ab", socket.MSG_MORE))
    gives("stream: MSG_ZEROCOPY", 2, lambda: here.send(b"cd", MSG_ZEROCOPY))
    gives("stream: what arrives", b"abcd", lambda: there.recv(4, socket.MSG_WAITALL))


def families():
    # Packets, Bluetooth, CAN, virtual machines, XDP: by number, since not every Python has the names.
    for family in (17, 31, 29, 40, 44):
        fails(f"family {family}", errno.EAFNOSUPPORT, lambda: socket.socket(family, socket.SOCK_DGRAM))
    fails("SOCK_SEQPACKET", errno.ESOCKTNOSUPPORT, lambda: socket.socket(FAMILY, socket.SOCK_SEQPACKET))
    fails("SCTP", errno.EPROTONOSUPPORT, lambda: socket.socket(FAMILY, socket.SOCK_STREAM, socket.IPPROTO_SCTP))


datagrams()
streams()
families()
