"""A name server for one zone, over UDP and TCP:  dns_server.py PORT A_ADDRESS AAAA_ADDRESS BIND…

server.test has an A and an AAAA record; big.test has a TXT record that no UDP answer has room for
(without EDNS), so that the answer comes truncated and the client asks again over TCP. Prints
"ready", then one line for each question: transport, name, type.
"""
import socket, socketserver, struct, sys, threading

A, TXT, AAAA = 1, 16, 28
port, v4, v6, binds = int(sys.argv[1]), sys.argv[2], sys.argv[3], sys.argv[4:]
ZONE = {
    ("server.test", A): socket.inet_pton(socket.AF_INET, v4),
    ("server.test", AAAA): socket.inet_pton(socket.AF_INET6, v6),
    ("big.test", TXT): b"".join(bytes([250]) + b"x" * 250 for _ in range(20)),
}
NAMES = {name for name, _ in ZONE}


def answer(query, transport):
    ident, flags, questions = struct.unpack("!HHH", query[:6])
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1:at + 1 + query[at]].decode().lower())
        at += 1 + query[at]
    name = ".".join(labels)
    (kind,) = struct.unpack("!H", query[at + 1:at + 3])
    question = query[12:at + 5]
    print(transport, name, kind, flush=True)
    data = ZONE.get((name, kind))
    rcode = 0 if name in NAMES else 3
    body = b""
    if data is not None:
        body = struct.pack("!HHHIH", 0xC00C, kind, 1, 60, len(data)) + data
    truncated = transport == "udp" and len(body) > 512
    flags = 0x8400 | (flags & 0x0100) | (0x0200 if truncated else 0) | rcode
    body = b"" if truncated else body
    return struct.pack("!HHHHHH", ident, flags, questions, 1 if body else 0, 0, 0) + question + body


class Udp(socketserver.BaseRequestHandler):
    def handle(self):
        query, sock = self.request
        sock.sendto(answer(query, "udp"), self.client_address)


class Tcp(socketserver.StreamRequestHandler):
    def handle(self):
        while head := self.rfile.read(2):
            reply = answer(self.rfile.read(struct.unpack("!H", head)[0]), "tcp")
            self.wfile.write(struct.pack("!H", len(reply)) + reply)


for bind in binds:
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    for base, handler in ((socketserver.ThreadingUDPServer, Udp), (socketserver.ThreadingTCPServer, Tcp)):
        kind = type("Server", (base,), {"address_family": family, "allow_reuse_address": True, "daemon_threads": True})
        threading.Thread(target=kind((bind, port), handler).serve_forever).start()
print("ready", flush=True)
