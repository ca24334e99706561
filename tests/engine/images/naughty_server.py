"""A web server with the faults that real ones have. Run as a program: DIRECTORY LOG [PEM].

With the file of a certificate and its key, it speaks TLS. It prints its port, and writes a line
of JSON for each request to LOG. The first part of a path says how to behave, the last is the file:

    /good/F        Range, If-Range and ETag, as RFC 9110 wants
    /dated/F       the same with Last-Modified, and a weak ETag
    /plain/F       knows no Range
    /cut/N/F       as good, but the connection ends after at most N bytes each time
    /plain-cut/N/F as plain, but the connection ends after N bytes the first time
    /drip/F        as good, and slow
    /held/F        as good, but the second half comes once there is a file F.go
    /changed/F     another ETag each time, and the connection ends after 1,000 bytes the first time
    /long/F        says that the file is longer than it is
    /short/F       says that it is shorter
    /wrong-part/F  answers a Range with another part
    /busy/N/F      503 the first N times
    /status/S/F    always answers with status S
    /html/F        a page of apologies, with status 200
    /to/HEX/F      redirects to the URL that HEX spells
    /circle/F      redirects to itself
    /moved/F       redirects to /good/F
    /endless/F     sends the file again and again, and does not say how long it is
    /stuck/F       sends the header and half of the file, and then nothing
"""

from __future__ import annotations

import hashlib
import json
import os
import ssl
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SEEN: Counter[str] = Counter()


class Naughty(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.close_connection = True
        how, *arguments, name = self.path.strip("/").split("/")
        SEEN[self.path] += 1
        with open(sys.argv[2], "a", encoding="utf-8") as log:
            asked = {key: self.headers.get(key) for key in ("Range", "If-Range", "Authorization")}
            log.write(json.dumps({"path": self.path} | asked) + "\n")
        if how in ("to", "circle", "moved"):
            place = {"circle": self.path, "moved": f"/good/{name}"}.get(how)
            place = place or bytes.fromhex(arguments[0]).decode()
            self.answer(302, {"Location": place, "Content-Length": "0"})
        elif how == "status":
            self.answer(int(arguments[0]), {"Content-Length": "0"})
        elif how == "busy" and SEEN[self.path] <= int(arguments[0]):
            self.answer(503, {"Content-Length": "0", "Retry-After": "0"})
        elif how == "html":
            page = b"<!DOCTYPE html><p>We are sorry"
            self.answer(200, {"Content-Type": "text/html", "Content-Length": str(len(page))}, page)
        else:
            path = Path(sys.argv[1], name)
            if path.exists():
                self.send(how, arguments, path.read_bytes())
            else:
                self.answer(404, {"Content-Length": "0"})

    def send(self, how: str, arguments: list[str], content: bytes) -> None:
        first = SEEN[self.path] == 1
        held_until = Path(sys.argv[1], self.path.rpartition("/")[2] + ".go")
        etag = f'"{hashlib.md5(content).hexdigest()}"'
        if how == "changed":
            etag = f'"{SEEN[self.path]}"'
        headers = {} if how.startswith("plain") else {"ETag": etag}
        validator = etag
        if how == "dated":
            validator = "Mon, 03 Feb 2025 10:00:00 GMT"
            headers = {"ETag": f"W/{etag}", "Last-Modified": validator}
        start, status = 0, 200
        asked = self.headers.get("Range")
        if asked and not how.startswith("plain") and self.headers["If-Range"] in (None, validator):
            start, status = int(asked.removeprefix("bytes=").removesuffix("-")), 206
            if start >= len(content):
                headers["Content-Range"] = f"bytes */{len(content)}"
                self.answer(416, headers | {"Content-Length": "0"})
                return
            if how == "wrong-part":
                start //= 2
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        part = content[start:]
        length = len(part) + {"long": 1000, "short": -1000}.get(how, 0)
        if how == "cut":
            part = part[: int(arguments[0])]
        if first and how in ("plain-cut", "changed", "wrong-part"):
            part = part[: int(arguments[0]) if arguments else 1000]
        if how == "stuck":
            part = part[: len(part) // 2]
        if how == "endless":
            self.answer(200, headers)
            while True:
                self.wfile.write(content)
        self.answer(status, headers | {"Content-Length": str(length)})
        for at in range(0, len(part), 16_384):
            self.wfile.write(part[at : at + 16_384])
            if how == "drip":
                time.sleep(0.02)
            while how == "held" and at * 2 > len(part) and not held_until.exists():
                time.sleep(0.01)
        if how == "stuck":
            time.sleep(60)

    def answer(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Connection", "close")
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Naughty)
    if sys.argv[3:]:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(sys.argv[3])
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_port, flush=True)
    os.close(1)
    server.serve_forever()
