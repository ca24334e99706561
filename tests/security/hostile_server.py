"""Plays the registries of hostile_registry.py. Run as a program: LOG.

It prints its port, and writes a line of JSON for each request to LOG.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.security.hostile_registry import SCENARIOS, Answer

SEEN: Counter[str] = Counter()
FIRST: dict[str, float] = {}
"""When a path was asked for first, by time.monotonic()."""
PORT = [""]
"""Of the running server."""


def filled_in(header: str) -> str:
    """`header` with what only the running server knows."""
    for word, seconds in (("DATE", 2), ("TOMORROW", 86_400)):
        header = header.replace(word, formatdate(time.time() + seconds, usegmt=True))
    return header.replace("PORT", PORT[0])


class Hostile(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        """A token, by OAuth 2: what GET says in the URL is in the body."""
        length = int(self.headers["Content-Length"])
        self.path += "?" + self.rfile.read(length).decode()
        self.do_GET()

    def do_GET(self) -> None:
        self.close_connection = True
        path, _, query = self.path.partition("?")
        with open(sys.argv[1], "a", encoding="utf-8") as log:
            said = {key: self.headers.get(key) for key in ("Host", "Authorization", "Range")}
            asked = {"method": self.command, "path": path, "query": query}
            log.write(json.dumps(asked | said) + "\n")
        if path == "/v2/":
            self.say(Answer())
            return
        _, _, repository, rest = path.split("/", 3)
        SEEN[path] += 1
        answer = SCENARIOS[repository].answers.get(rest, Answer(status=404))
        if answer.wants and self.headers.get("Authorization") != answer.wants:
            answer = Answer(status=401, headers=answer.headers)
        if SEEN[path] <= answer.busy:
            answer = Answer(status=429, headers={"Retry-After": "0"})
        now = time.monotonic()
        if now - FIRST.setdefault(path, now) < answer.rest:
            answer = Answer(status=429, headers=answer.headers)
        self.say(answer)

    def say(self, answer: Answer) -> None:
        wanted = self.headers.get("Range") if answer.how == "ranges" else None
        if wanted:
            start, end = int(wanted[6:-1]), len(answer.body)
            part = {"Content-Range": f"bytes {start}-{end - 1}/{end}"}
            answer = Answer(answer.body[start:], 206, {**answer.headers, **part})
        if answer.how == "noise":
            self.wfile.write(b"\0\xff" * 5000)
            return
        if answer.how == "drip-header":
            self.drip(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 10_000)
            return
        self.send_response(answer.status)
        self.send_header("Connection", "close")
        if answer.how not in ("no-length", "cut-once"):
            self.send_header("Content-Length", str(len(answer.body)))
        for key, value in answer.headers.items():
            self.send_header(key, filled_in(value))
        self.end_headers()
        half = answer.body[: len(answer.body) // 2]
        if answer.how == "hang":
            self.wfile.write(half)
            time.sleep(30)
        elif answer.how == "cut-once" and SEEN[self.path] == 1:
            self.wfile.write(half)
        elif answer.how == "cut":
            self.wfile.write(half[:10])
        elif answer.how == "drip":
            self.drip(answer.body)
        else:
            self.wfile.write(answer.body)

    def drip(self, body: bytes) -> None:
        for byte in body:
            self.wfile.write(bytes([byte]))
            self.wfile.flush()
            time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Whoever hangs up on us, or speaks TLS, is expected to."""


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Hostile)
    PORT[0] = str(server.server_port)
    print(PORT[0], flush=True)
    os.close(1)
    server.serve_forever()
