"""A program that plays with what it shares with the daemon:  hostile_rings.py HOST PORT CONNECTIONS SECONDS SEED

Its connections to an echo server carry bytes in ring mode while a thread writes anything over their rings' words and bytes. It ends
without having closed one.
"""
import os, random, socket, sys, threading, time

host, port, count, seconds, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4]), int(sys.argv[5])
chance = random.Random(seed)
PAGE = 4096
# Where each word lies (docs/rings.md): mode; of each direction tail, sleepers, head, edge, limit, closed, token, turn.
MODE, TURNS = [128], [640, 644, 1152, 1156]
WORDS = [base + offset for base in (256, 768) for offset in (0, 4, 128, 132, 136, 140, 256)]


def arenas():
    with open("/proc/self/maps") as maps:
        return [int(line.split("-")[0], 16) for line in maps if "memfd:iopkt-socket" in line]


def value(memory, at):
    memory.seek(at)
    before = int.from_bytes(memory.read(4), "little")
    near = (before + chance.choice((1, -1, 2, 4096, -4096, 1 << 20, 1 << 31))) & 0xFFFFFFFF
    return chance.choice((0, 1, near, near, 0xFFFFFFFF, chance.getrandbits(32))).to_bytes(4, "little")


def spoil(until):
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        while time.monotonic() < until:
            base = chance.choice(arenas())
            for _ in range(50):
                kind = chance.randrange(400)
                if kind == 0:
                    at = base + chance.choice(TURNS)
                elif kind < 5:
                    at = base + chance.choice(MODE)
                elif kind < 300:
                    at = base + chance.choice(WORDS)
                else:
                    at = base + PAGE + chance.randrange(1 << 18) * 4
                new = value(memory, at)
                memory.seek(at)
                memory.write(new)


def use(connections, until):
    data = bytes(100_000)
    while time.monotonic() < until:
        one = chance.choice(connections)
        for act in (lambda: one.send(data[: chance.randrange(1, len(data))]), lambda: one.recv(65536)):
            try:
                act()
            except OSError:
                pass


connections = [socket.create_connection((host, port)) for _ in range(count)]
for one in connections:
    one.sendall(b"begin")
    assert one.recv(5, socket.MSG_WAITALL) == b"begin"
    one.setblocking(False)
assert len(arenas()) == count, f"{len(arenas())} of {count} connections are in ring mode"
print("spoils", flush=True)
until = time.monotonic() + seconds
threading.Thread(target=use, args=(connections, until), daemon=True).start()
spoil(until)
os._exit(0)
