"""The web server of `make run`, on the host's loopback: one page, slow enough to be watched."""
import http.server
import sys
import time

LINE = b"This page came to an unmodified curl through iopkt's own TCP.\n"
BODY = LINE * (200_000 // len(LINE))
PIECES = 15
PAUSE_S = 0.1


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        step = len(BODY) // PIECES + 1
        for at in range(0, len(BODY), step):
            self.wfile.write(BODY[at : at + step])
            time.sleep(PAUSE_S)

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], len(BODY), flush=True)
try:
    server.serve_forever()
except KeyboardInterrupt:
    sys.exit(0)
