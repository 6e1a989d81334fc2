"""Sockets of the instance, misused at every step:  hostile_pairs.py CTL ROUNDS SEED

Speaks the control protocol itself, so that what it writes into a pair, and when, is what no library would.
"""
import array, os, random, socket, struct, sys

import control
from control import Client

path, rounds, rng = sys.argv[1], int(sys.argv[2]), random.Random(int(sys.argv[3]))
client = Client(path)
LISTENER_PORT = 7777


def new(domain=2, kind=1, protocol=0):
    made = client.socket_of(domain, kind, protocol)
    assert not isinstance(made, int), f"a socket: errno {made}"
    made[2].setblocking(False)
    return made


def bytes_into(pair, data, fds=()):
    try:
        if fds:
            pair.sendmsg([data or b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))])
        else:
            pair.send(data)
    except OSError:
        pass


def shut(pair):
    try:
        pair.shutdown(rng.choice([socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR]))
    except OSError:
        pass


def take(pair):
    """Reads; keeps no descriptor of what an accept message carries."""
    try:
        _, ancillary, _, _ = pair.recvmsg(rng.choice([1, 88, 65536]), socket.CMSG_SPACE(4 * 8))
        for level, kind, value in ancillary:
            fds = array.array("i")
            fds.frombytes(value[:len(value) - len(value) % 4])
            for fd in fds:
                os.close(fd)
    except OSError:
        pass


def datagram_header(key):
    body = bytearray(rng.randbytes(84))
    body[0:8] = struct.pack("=Q", key)
    if rng.randrange(2):
        body[8:10] = struct.pack("=H", 1)
        body[28:56] = control.address(rng.choice(["127.0.0.1", "192.168.1.1", "255.255.255.255", "0.0.0.0"]), rng.randrange(65536))
    return bytes(body)


def step(handle, key, pair, kind, others):
    what = rng.randrange(16)
    port = rng.choice([0, LISTENER_PORT, rng.randrange(1024, 65536)])
    if what == 0:
        client.call(control.BIND, control.address("127.0.0.1", port), handle)
    elif what == 1:
        client.call(control.LISTEN, struct.pack("=i", rng.choice([-1, 0, 1, 5, 2**31 - 1])), handle)
    elif what in (2, 3):
        fillers = rng.choice([0, 1, 2, 2, 2, 3, 4])
        for _ in range(rng.choice([fillers, fillers, fillers, 0, 7])):
            bytes_into(pair, b"\0")
        to = control.address(rng.choice(["127.0.0.1", "127.0.0.1", "192.168.1.222"]), rng.choice([LISTENER_PORT, LISTENER_PORT, 1]))
        client.call(control.CONNECT, to + struct.pack("=I", fillers), handle)
    elif what == 4:
        bytes_into(pair, rng.randbytes(rng.choice([1, 8, 84, 1000, 60000, 66000])))
    elif what == 5:
        for _ in range(rng.randrange(300)):
            bytes_into(pair, b"x")
    elif what == 6:
        key = rng.choice([key, key, 0, rng.getrandbits(64)])
        for _ in range(rng.randrange(1, 40)):
            bytes_into(pair, datagram_header(key) + rng.randbytes(rng.choice([0, 1, 1000, 60000])))
    elif what == 7:
        own = pair.fileno()  # a descriptor that keeps itself alive by lying in its own queue
        bytes_into(pair, b"x", rng.choice([[own], [own] * 9, [0, 1], [o.fileno() for _, _, o, _ in others[:4]] or [own]]))
    elif what == 8:
        shut(pair)
    elif what == 9:
        client.call(control.SHUTDOWN, struct.pack("=i", rng.randrange(4)), handle)
    elif what in (10, 11):
        take(pair)
    elif what == 12:
        try:
            pair.setsockopt(socket.SOL_SOCKET, rng.choice([socket.SO_SNDBUF, socket.SO_RCVBUF]), rng.choice([0, 5000, 10**6]))
        except OSError:
            pass
    elif what == 13:
        client.call(rng.choice([control.QUEUED, control.LOCAL_ADDR, control.PEER_ADDR]), b"", handle)
    elif what == 14:
        _, _, fds = client.call(control.REOPEN, b"", handle)
        for fd in fds:
            os.close(fd)
    else:
        client.call(control.GET_OPTION, struct.pack("=iii", 1, 4, 4), handle)


_, _, listener = held = new()
client.call(control.BIND, control.address("127.0.0.1", LISTENER_PORT), held[0])
assert client.call(control.LISTEN, struct.pack("=i", 100), held[0])[0] == 0
alive = []
for _ in range(rounds):
    kind = rng.choice([1, 1, 1, 2])
    alive.append((*new(kind=kind), kind))
    for _ in range(rng.randrange(1, 12)):
        one = rng.choice(alive)
        step(*one, alive)
    for _ in range(4):
        take(listener)
    while len(alive) > rng.randrange(1, 30):
        alive.pop(rng.randrange(len(alive)))[2].close()
for one in alive:
    one[2].close()
listener.close()
print("done", flush=True)
