"""Attacks on the control channel:  hostile_control.py CASE CTL [COUNT SEED]

As another user where it can be (root gives itself up); otherwise it leaves out what the daemon's owner may do.
"""
import os, random, socket, struct, sys, threading

import control
from control import Client, request

case, path = sys.argv[1], sys.argv[2]
count = int(sys.argv[3]) if len(sys.argv) > 3 else 0
rng = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)

ETOOMANYREFS = 109
OWNER = os.geteuid() != 0
if not OWNER:
    os.setgroups([])
    os.setresgid(65534, 65534, 65534)
    os.setresuid(65534, 65534, 65534)
# Variants of config::Request that only ask; the owner's fuzz must not say Stop.
QUESTIONS = [0, 1, 10, 14, 15, 18, 19, 20]
OPS = list(range(0, 18)) + [255, 65535]


def random_body(op, handles):
    kind = rng.randrange(4)
    if op == control.CONFIG:
        first = rng.choice(QUESTIONS) if OWNER else rng.randrange(30)
        return bytes([first]) + rng.randbytes(rng.choice([0, 1, 5, 5, 40, 400, 30000]))
    if op == control.IOCTL:
        number = rng.choice([0x541B, 0x5411] + list(range(0x8900, 0x8950)))
        return struct.pack("=Q", number) + rng.choice([b"", b"lo0\0", b"lo0".ljust(16, b"\0"), b"\xff" * 16]) + rng.randbytes(rng.choice([0, 4, 24, 60]))
    if op in (control.SET_OPTION, control.GET_OPTION):
        level = rng.choice([1, 0, 6, 17, 41, 58, 255, -1, rng.randrange(-2**31, 2**31)])
        value = rng.choice([b"", b"\0\0\0\0", b"\xff" * 4, b"\xff\xff\xff\x7f", rng.randbytes(rng.choice([1, 4, 8, 12, 136, 2000]))])
        return struct.pack("=ii", level, rng.randrange(-1, 80)) + value
    if op in (control.BIND, control.CONNECT):
        ip = rng.choice(["127.0.0.1", "0.0.0.0", "255.255.255.255", "224.0.0.1", "192.168.1.1", "::", "::1", "ff02::1", "::ffff:1.2.3.4"])
        tail = rng.choice([b"", struct.pack("=I", rng.choice([0, 1, 2, 3, 4, 2**32 - 1]))])
        return control.address(ip, rng.randrange(65536)) + tail
    if kind == 0:
        return b""
    if kind == 1:
        return rng.randbytes(rng.choice([1, 3, 4, 12, 28, 32, 100]))
    if kind == 2:
        return struct.pack("=iii", rng.randrange(-1, 12), rng.randrange(-1, 12), rng.randrange(-1, 300))
    return rng.randbytes(rng.randrange(60000))


def own_sockets(client, n):
    made = [client.socket_of(rng.choice([2, 10]), rng.choice([1, 1, 2])) for _ in range(n)]
    return [m for m in made if not isinstance(m, int)]


def random_messages():
    """Anything: noise, good headers with wrong bodies, wrong lengths, descriptors that nobody asked for."""
    foreign = [os.open("/dev/null", os.O_RDWR), os.open("/", os.O_RDONLY), *os.pipe(), os.memfd_create("x"),
               socket.socket(socket.AF_UNIX).detach(), socket.socket(socket.AF_INET).detach()]
    client, answers, cut = Client(path), 0, 0
    sockets = own_sockets(client, 20)
    for i in range(count):
        if i % 500 == 499:  # some sockets have been driven to their end: others
            sockets = own_sockets(client, 20)
        op = rng.choice(OPS)
        handle = rng.choice([0, 1, rng.getrandbits(64), *[h for h, _, _ in sockets] * 3]) if sockets else rng.getrandbits(64)
        message = request(op, random_body(op, sockets), handle)
        fds = []
        odd = rng.randrange(12)
        if odd == 0:
            message = rng.randbytes(rng.choice([1, 4, 19, 20, 21, 300, 65536, 65537, 100000]))
        elif odd == 1:
            message = message[:rng.randrange(1, len(message))]
        elif odd == 2:
            message = request(op, b"abcd", handle, length=rng.choice([0, 3, 5, 2**16, 2**31, 2**32 - 1]))
        elif odd == 3:
            message = request(op, b"", handle, magic=rng.getrandbits(32), version=rng.randrange(3))
        elif odd in (4, 5):
            own = [p.fileno() for _, _, p in sockets]
            fds = rng.choices(foreign + own, k=rng.choice([1, 2, 63, 64, 65, 253]))
        try:
            client.send(message, fds)
            reply = client.receive()
        except ConnectionError:
            reply = None
        if reply is None:
            cut += 1
            client = Client(path)
            continue
        answers += 1
        for fd in reply[2]:
            os.close(fd)
    print("answered", answers, "cut off", cut, flush=True)
    assert answers > count * 9 // 10, "a well-formed packet gets an answer, whatever it says"


def foreign_descriptors():
    """Identify tells nothing of what is not a socket of the instance, and knows what is."""
    client = Client(path)
    handle, _, pair = client.socket_of(2, 1)
    foreign = [os.open("/dev/null", os.O_RDONLY), *os.pipe(), socket.socket(socket.AF_UNIX).detach(), client.socket.fileno()]
    errno, body, _ = client.call(control.IDENTIFY, fds=[*foreign, pair.fileno(), *foreign])
    infos = [struct.unpack("=Q", body[i:i + 8])[0] for i in range(0, len(body), 32)]
    assert errno == 0 and infos == [0] * len(foreign) + [handle] + [0] * len(foreign), (errno, infos)
    for _ in range(count):
        errno, _, _ = client.call(rng.choice([2, 3, 4, 5, 6, 7, 8, 9, 12, 15]), control.address("127.0.0.1", 9), rng.getrandbits(64))
        assert errno == 9, f"a guessed handle is EBADF, not {errno}"
    if not OWNER:
        for body in (b"\x17", b"\x0d\x01\x01", b"\x04\x03lo0\0\1"):  # Stop, FlushRoutes, SetFlags
            errno, answer, _ = client.call(control.CONFIG, body)
            assert errno == 0 and answer[0] == 1 and b"root" in answer, (errno, answer)


def unread():
    """Sends, every other one with as many descriptors as fit, and never reads: cut off, one after the other."""
    files = [os.open("/dev/null", os.O_RDONLY)] * 64
    for i in range(count):
        client = Client(path)
        try:
            while True:
                try:
                    client.send(request(control.INTERFACE_ADDRS), files if i % 2 else [])
                except OSError as error:
                    if error.errno != ETOOMANYREFS:  # so many are on their way already
                        raise
                    client.send(request(control.INTERFACE_ADDRS))
        except (ConnectionError, TimeoutError) as error:
            assert not isinstance(error, TimeoutError), "neither served nor cut off"
    print("cut off", count, flush=True)


def silent():
    clients = [Client(path) for _ in range(count)]
    print("silent", len(clients), flush=True)
    sys.stdin.read()


def flood():
    """Clients whose next message always waits already."""
    def one():
        client = Client(path, wait=None)
        reader = threading.Thread(target=lambda: [None for _ in iter(client.receive, None)], daemon=True)
        reader.start()
        ask = request(control.LOCAL_ADDR)
        while True:
            client.send(ask)
    for _ in range(count):
        threading.Thread(target=one, daemon=True).start()
    print("flooding", flush=True)
    sys.stdin.read()
    os._exit(0)


def half_way():
    """Sockets asked for and never taken: the client goes with the answers unread."""
    for _ in range(count):
        client = Client(path)
        for _ in range(20):
            client.send(request(control.SOCKET, struct.pack("=iii", 2, rng.choice([1, 2]), 0)))
        if rng.randrange(2):
            client.receive()
        client.close()


{"random": random_messages, "foreign": foreign_descriptors, "unread": unread, "silent": silent, "flood": flood,
 "half": half_way}[case]()
