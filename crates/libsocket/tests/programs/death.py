"""Blocks in four calls; prints each one's errno when the daemon has died."""
import os, socket, threading

l = socket.socket()
l.bind(("127.0.0.1", 0))
l.listen()
a = socket.create_connection(l.getsockname())
b, _ = l.accept()
u = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
u.bind(("127.0.0.1", 0))
c = socket.socket()
results = {}


def call(name, f, *args):
    try:
        f(*args)
        results[name] = 0
    except OSError as e:
        results[name] = e.errno


calls = [("recv", a.recv, 1), ("accept", l.accept), ("connect", c.connect, ("127.0.0.1", 9999)),
         ("datagram", u.recv, 1)]
threads = [threading.Thread(target=call, args=x) for x in calls]
for t in threads:
    t.start()
os.write(1, b"blocked\n")
for t in threads:
    t.join()
os.write(1, b"recv %(recv)d accept %(accept)d connect %(connect)d datagram %(datagram)d\n"
         % {k.encode(): v for k, v in results.items()})
