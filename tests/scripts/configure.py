"""Configures an interface by ioctls, as netdevice(7) has them: `configure.py NAME`."""

import fcntl
import socket
import struct
import sys

NAME = sys.argv[1].encode()
UP, PROMISC = 1, 0x100
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def ask(number, value=b""):
    return fcntl.ioctl(s, number, struct.pack("16s24s", NAME, value))[16:]


def address(text):
    return struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_aton(text))


def shown(answer):
    return socket.inet_ntoa(answer[4:8])


ask(0x8922, struct.pack("i", 1400))  # SIOCSIFMTU
print("mtu", struct.unpack_from("i", ask(0x8921))[0])
ask(0x8916, address("10.77.1.2"))  # SIOCSIFADDR
print("address", shown(ask(0x8915)), shown(ask(0x891B)))
ask(0x891C, address("255.255.0.0"))  # SIOCSIFNETMASK
print("netmask", shown(ask(0x891B)), "broadcast", shown(ask(0x8919)))
flags = struct.unpack_from("H", ask(0x8913))[0]
ask(0x8914, struct.pack("H", flags & ~UP))  # SIOCSIFFLAGS
print("up", struct.unpack_from("H", ask(0x8913))[0] & UP)
ask(0x8914, struct.pack("H", flags | UP))
print("up", struct.unpack_from("H", ask(0x8913))[0] & UP)
for number, value in ((0x8922, struct.pack("i", 10)), (0x891C, address("255.0.255.0")), (0x8970, b"")):
    try:
        ask(number, value)
        print(hex(number), "taken")
    except OSError as e:
        print(hex(number), e.errno)
