"""Frames that nobody should send:  hostile_frames.py INTERFACE OUR_MAC V4_PEER V4_STACK V6_PEER V6_STACK COUNT SEED

Every kind of header that the stack parses, mutated, cut short, or random from some point on; half of them with checksums
put right again, so that they get past the first look. Copies of what others send, mutated, are among them.

Left out is what may harm by right: claims to be the peer (ARP and neighbour discovery know no better), and data for
connections of others whose checksum fits.
"""
import random, socket, struct, sys

interface, mac, v4_peer, v4_stack, v6_peer, v6_stack = sys.argv[1:7]
count, rng = int(sys.argv[7]), random.Random(int(sys.argv[8]))
OURS = bytes.fromhex(mac.replace(":", ""))
ME = bytes.fromhex("02dead00beef")
PEER4, STACK4 = socket.inet_pton(socket.AF_INET, v4_peer), socket.inet_pton(socket.AF_INET, v4_stack)
PEER6, STACK6 = socket.inet_pton(socket.AF_INET6, v6_peer), socket.inet_pton(socket.AF_INET6, v6_stack)
OTHER4 = socket.inet_pton(socket.AF_INET, "192.168.1.77")
OTHER6 = socket.inet_pton(socket.AF_INET6, "2001:db8:1::77")
LINK6 = socket.inet_pton(socket.AF_INET6, "fe80::77")
GROUP6 = b"\xff\x02" + b"\0" * 13 + b"\1"
LISTENS, DATAGRAMS = 5000, 5001
ICMP, IGMP, TCP, UDP, ICMP6 = 1, 2, 6, 17, 58


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF


def some(*lengths):
    return rng.randbytes(rng.choice(lengths))


def options():
    """TCP or IP options: known kinds with any length, in multiples of four bytes."""
    out = b""
    while rng.randrange(4) and len(out) < 36:
        kind = rng.choice([0, 1, 2, 3, 4, 5, 8, 7, 68, 130, 131, 137, 148, 254])
        length = rng.choice([0, 1, 2, 3, 4, 8, 10, 18, 40])
        out += bytes([kind, length]) + rng.randbytes(max(0, min(length, 38 - len(out)) - 2))
    return out[:40].ljust((min(len(out), 40) + 3) // 4 * 4, b"\0")


def tcp():
    extra = options() if rng.randrange(2) else b""
    port = rng.choice([LISTENS, LISTENS, 8000, 1, rng.randrange(65536)])
    return TCP, struct.pack("!HHIIBBHHH", rng.randrange(1024, 65536), port, rng.getrandbits(32), rng.getrandbits(32),
                            (20 + len(extra)) // 4 << 4, rng.choice([2, 2, 2, 16, 18, 4, 1, 17, 0, 255, rng.randrange(256)]),
                            rng.choice([0, 1, 65535]), 0, rng.choice([0, 1])) + extra + some(0, 0, 1, 100, 1400)


def udp():
    body = some(0, 1, 100, 1400)
    return UDP, struct.pack("!HHHH", rng.choice([53, rng.randrange(65536)]), rng.choice([DATAGRAMS, rng.randrange(65536)]),
                            rng.choice([8 + len(body)] * 4 + [0, 7, 9, 65535]), 0) + body


def icmp():
    kind = rng.choice([0, 3, 3, 4, 5, 8, 8, 11, 12, 13, 15, 17, rng.randrange(256)])
    inner = ipv4(*rng.choice([tcp, udp])(), src=STACK4, dst=OTHER4)
    return ICMP, struct.pack("!BBHHH", kind, rng.randrange(17), 0, rng.getrandbits(16), rng.choice([0, 68, 576, 1400, 65535])) + \
        rng.choice([b"", some(8, 64, 1400), inner, inner[:rng.randrange(len(inner))]])


def nd_options():
    out = b""
    while rng.randrange(3):
        kind, length = rng.choice([1, 2, 3, 4, 5, 14, 24, 25, 31, rng.randrange(256)]), rng.choice([0, 1, 1, 2, 3, 4, 5, 255])
        out += bytes([kind, length]) + rng.randbytes(min(8 * max(length, 1) - 2, 300))
    return out


def icmp6():
    kind = rng.choice([1, 2, 3, 4, 128, 128, 129, 130, 131, 132, 133, 134, 134, 135, 135, 136, 137, 143, rng.randrange(256)])
    if kind == 134:
        body = struct.pack("!BBHII", rng.choice([0, 64]), rng.randrange(256), rng.choice([0, 1800]), rng.getrandbits(32), 0) + nd_options()
    elif kind in (135, 136):
        body = rng.randbytes(4) + rng.choice([STACK6, OTHER6, LINK6, rng.randbytes(16)]) + nd_options()
    elif kind < 5:
        inner = ipv6(*rng.choice([tcp, udp])(), src=STACK6, dst=OTHER6)
        body = struct.pack("!I", rng.choice([0, 1, 1280, 1400])) + inner[:rng.randrange(len(inner) + 1)]
    else:
        body = rng.randbytes(4) + some(0, 16, 20, 100)
    return ICMP6, struct.pack("!BBH", kind, rng.choice([0, 0, 1, 255]), 0) + body


def igmp():
    return IGMP, struct.pack("!BBH", rng.choice([0x11, 0x12, 0x16, 0x17, 0x22, 0]), 1, 0) + some(4, 8, 20)


def right(protocol, src, dst, body):
    """Puts the transport's checksum right."""
    at = {TCP: 16, UDP: 6, ICMP: 2, IGMP: 2, ICMP6: 2}.get(protocol)
    if at is None or len(body) < at + 2 or not rng.randrange(4):
        return body
    body = body[:at] + b"\0\0" + body[at + 2:]
    pseudo = b"" if protocol in (ICMP, IGMP) else src + dst + struct.pack("!II", len(body), protocol)
    return body[:at] + struct.pack("!H", checksum(pseudo + body)) + body[at + 2:]


def ipv4(protocol, body, src=OTHER4, dst=STACK4):
    extra = options() if not rng.randrange(8) else b""
    fragment = rng.choice([0] * 6 + [0x2000, 0x2001, 1, 0x1FFF, 0x4000, rng.getrandbits(16)])
    body = right(protocol, src, dst, body)
    length = 20 + len(extra) + len(body)
    head = struct.pack("!BBHHHBBH", 0x45 + len(extra) // 4, 0, rng.choice([length] * 8 + [0, 19, length + 9]) & 0xFFFF,
                       rng.randrange(4), fragment, rng.choice([64, 64, 1, 0]), protocol, 0) + src + dst + extra
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + body


def extension(following):
    """One extension header: (its own number, its bytes)."""
    kind = rng.choice([0, 43, 44, 60, 51])
    if kind == 44:
        return kind, struct.pack("!BBHI", following, 0, rng.choice([0, 1, 8, 9, 0xFFF8, 0xFFF9]), rng.randrange(4))
    length = rng.choice([0, 0, 0, 1, 255])
    return kind, bytes([following, length]) + rng.randbytes(6 + 8 * min(length, 4))


def ipv6(protocol, body, src=OTHER6, dst=STACK6):
    body = right(protocol, src, dst, body)
    following = protocol
    for _ in range(rng.choice([0, 0, 0, 0, 1, 2, 20])):
        following, header = extension(following)
        body = header + body
    return struct.pack("!IHBB", 6 << 28, rng.choice([len(body)] * 8 + [0, len(body) + 1, 65535]) & 0xFFFF,
                       following, rng.choice([255, 255, 64, 0])) + src + dst + body


def arp():
    sender = rng.choice([OTHER4, STACK4, b"\0\0\0\0", b"\xff\xff\xff\xff", rng.randbytes(4)])
    return struct.pack("!HHBBH", rng.choice([1] * 9 + [6]), rng.choice([0x800] * 9 + [0x86DD]), rng.choice([6] * 9 + [0, 255]),
                       rng.choice([4] * 9 + [0, 255]), rng.choice([1, 1, 2, 2, 3, 0])) + \
        rng.choice([ME, b"\xff" * 6, rng.randbytes(6)]) + sender + rng.randbytes(6) + rng.choice([STACK4, OTHER4, rng.randbytes(4)])


def frame():
    to = rng.choice([OURS] * 6 + [b"\xff" * 6, b"\x33\x33\0\0\0\1", b"\1\0\x5e\0\0\1"])
    what = rng.randrange(12)
    if what < 5:
        kind, packet = 0x800, ipv4(*rng.choice([tcp, tcp, udp, icmp, igmp])(), src=rng.choice([OTHER4, OTHER4, rng.randbytes(4), b"\x7f\0\0\1", STACK4]),
                                   dst=rng.choice([STACK4] * 6 + [b"\xff" * 4, b"\xe0\0\0\1", b"\x7f\0\0\1"]))
    elif what < 10:
        kind, packet = 0x86DD, ipv6(*rng.choice([tcp, udp, icmp6, icmp6, icmp6])(), src=rng.choice([OTHER6, LINK6, LINK6, b"\0" * 16, STACK6, rng.randbytes(16)]),
                                    dst=rng.choice([STACK6] * 6 + [GROUP6, b"\0" * 15 + b"\1"]))
    elif what == 10:
        kind, packet = 0x806, arp()
    else:
        kind, packet = rng.choice([0x800, 0x86DD, 0x806, 0x8100, 0x8847, rng.getrandbits(16)]), some(0, 1, 20, 60, 1000)
    return to + ME + struct.pack("!H", kind) + mutated(packet)


def mutated(packet):
    packet = bytearray(packet)
    for _ in range(rng.choice([0, 0, 0, 1, 1, 8])):
        if packet:
            packet[rng.randrange(min(len(packet), 80))] = rng.choice([0, 255, 1, 128, rng.randrange(256)])
    end = rng.randrange(len(packet) + 1) if not rng.randrange(6) else len(packet)
    return bytes(packet[:end])


def copied(seen):
    """Something between others, changed; its checksum is left as it was and does not fit any more."""
    data = bytearray(seen)
    at = rng.randrange(14, len(data))
    data[at] ^= 1 << rng.randrange(8)
    return bytes(data[:rng.choice([len(data)] * 4 + [rng.randrange(14, len(data) + 1)])])


def impersonates(f):
    """Says that the peer is somewhere else, or sends anybody there."""
    kind, packet = f[12:14], f[14:]
    if kind == b"\x08\x06":
        return packet[14:18] == PEER4
    if kind == b"\x08\x00":
        return PEER4 in packet[12:16] or (len(packet) > 9 and packet[9] == ICMP and PEER4 in packet[16:])
    if kind == b"\x86\xdd":
        return PEER6 in packet
    return False


link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
link.bind((interface, 0))
link.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 << 20)
listening = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
listening.bind((interface, 0))
listening.setblocking(False)
sent = copies = 0
while sent < count:
    f = frame()
    if rng.randrange(20) == 0:
        try:
            seen = listening.recv(65536)
            # Of IPv4 only: one bit is always noticed there, and IPv6 has bits that no sum covers.
            if seen[:6] == OURS and seen[12:14] == b"\x08\x00" and 60 < len(seen) < 1500:
                f = copied(seen)
                copies += 1
        except BlockingIOError:
            pass
    elif impersonates(f):
        continue
    try:
        link.send(f[:1514].ljust(14, b"\0"))
        sent += 1
    except OSError as error:
        if error.errno not in (22, 90, 105):  # too short, too long, no room
            raise
print("sent", sent, "copies", copies, flush=True)
