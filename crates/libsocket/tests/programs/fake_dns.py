"""A DNS server for names.py: fake_dns.py PORT; answers UDP and TCP on 127.0.0.1."""
import socket, socketserver, struct, sys, threading

ADDRESSES = {
    ("dns.test", 1): ["10.7.7.7"],
    ("dns.test", 28): ["2001:db8::7"],
    ("short.search.test", 1): ["10.7.7.8"],
    ("large.test", 1): [f"10.8.0.{i}" for i in range(60)],
}


def answer(query, over_tcp):
    at, labels = 12, []
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += query[at] + 1
    kind = struct.unpack("!H", query[at + 1 : at + 3])[0]
    name = ".".join(labels).lower()
    records = []
    for a in ADDRESSES.get((name, kind), []):
        data = socket.inet_pton(socket.AF_INET if kind == 1 else socket.AF_INET6, a)
        records.append(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data)
    if (name, kind) == ("9.7.7.10.in-addr.arpa", 12):
        data = b"\x07reverse\x04test\0"
        records.append(struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data)
    known = any(n == name for n, _ in ADDRESSES) or records
    cut = not over_tcp and len(records) > 20
    flags = 0x8180 | (0 if known else 3) | (0x200 if cut else 0)
    head = query[:2] + struct.pack("!HHHHH", flags, 1, 0 if cut else len(records), 0, 0)
    return head + query[12 : at + 5] + (b"" if cut else b"".join(records))


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        self.request[1].sendto(answer(self.request[0], False), self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        n = struct.unpack("!H", self.rfile.read(2))[0]
        reply = answer(self.rfile.read(n), True)
        self.wfile.write(struct.pack("!H", len(reply)) + reply)


socketserver.TCPServer.allow_reuse_address = True
where = (sys.argv[1], 53)
tcp, udp = socketserver.ThreadingTCPServer(where, Tcp), socketserver.ThreadingUDPServer(where, Udp)
threading.Thread(target=tcp.serve_forever, daemon=True).start()
print("ready", flush=True)
udp.serve_forever()
