"""A web server with the answers that the large ones do not give.

/head       the request's line and fields, as JSON
/digest     the length and SHA-256 of the request's body
/slow       like /digest, but reads nothing before /go has been asked
/mirror     the request's body, piece by piece as it comes
/pieces/N   N pieces of an event stream; each but the first waits for one /go
/go         lets the next wait of the above end
/HOW        see ODD
"""

import hashlib
import http.server
import json
import sys
import threading

GO = threading.Semaphore(0)
CHUNKED = b"Transfer-Encoding: chunked\r\n"

# Answers that stand here byte by byte. The connection is closed after them.
ODD = {
    "until-closed": b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it",
    "http10": b"HTTP/1.0 200 OK\r\nContent-Length: 9\r\n\r\nall of it",
    "no-reason": b"HTTP/1.1 299 \r\nContent-Length: 9\r\n\r\nall of it",
    "hints": b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
    b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nall of it",
    "twice": b"HTTP/1.1 200 OK\r\nX-A: 1\r\nSet-Cookie: a=1; Path=/\r\nx-a: 2\r\n"
    b"Set-Cookie: b=2, 3\r\nContent-Length: 9\r\n\r\nall of it",
    "trailers": b"HTTP/1.1 200 OK\r\n" + CHUNKED + b"Trailer: X-Sum\r\n\r\n"
    b"3;ext=1\r\nall\r\n6\r\n of it\r\n0\r\nX-Sum: done\r\n\r\n",
    "latin1": b"HTTP/1.1 200 OK\r\nX-Name: Jos\xe9\r\nContent-Length: 9\r\n\r\nall of it",
    "early": b"HTTP/1.1 413 Too Much\r\nContent-Length: 9\r\nConnection: close\r\n\r\nno thanks",
}


class Web(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def pieces(self):
        """The request's body, as it comes."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline().split(b";")[0], 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
        left = int(self.headers.get("Content-Length") or 0)
        while left and (piece := self.rfile.read(min(left, 65536))):
            left -= len(piece)
            yield piece

    def answer(self, what):
        text = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def digest(self):
        digest, length = hashlib.sha256(), 0
        for piece in self.pieces():
            digest.update(piece)
            length += len(piece)
        self.answer({"length": length, "sha256": digest.hexdigest()})

    def stream(self, kind, pieces):
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def events(self, count):
        for number in range(count):
            if number:
                GO.acquire()
            yield b"data: %d\n\n" % number

    def do(self):
        path = self.path.split("?")[0].lstrip("/")
        if odd := ODD.get(path):
            self.close_connection = True
            self.wfile.write(odd)
        elif path == "head":
            self.answer({"line": self.requestline, "fields": self.headers.items()})
        elif path == "digest":
            self.digest()
        elif path == "slow":
            GO.acquire()
            self.digest()
        elif path == "go":
            GO.release()
            self.answer("gone")
        elif path.startswith("pieces/"):
            self.stream("text/event-stream", self.events(int(path.split("/")[1])))
        elif path == "mirror":
            self.stream("application/octet-stream", self.pieces())
        else:
            self.send_error(404)

    do_GET = do_POST = do_PUT = do_HEAD = do_DELETE = do_OPTIONS = do


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


Server(("127.0.0.1", int(sys.argv[1])), Web).serve_forever()
