"""Debian's docker-registry on loopback, filled by skopeo."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.engine.images.trees import run

ANN = "ann:$2b$04$Q8b3x/0EUuPV9wPGFdEMiuu5aQ8l70pfL/r4RdpGJxjdxrajTv31m"
"""A line of an htpasswd file: her password is `secret`."""


def make_certificate(place: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 that nobody else vouches for, and its key."""
    certificate, key = place / "ca.crt", place / "key"
    run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
        *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=a class's own"),
        *("-addext", "subjectAltName=IP:127.0.0.1"),
        *("-keyout", str(key), "-out", str(certificate)),
    )
    return certificate, key


class Registry:
    """A running docker-registry."""

    def __init__(self, place: Path, tls: bool) -> None:
        self.place = place
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.host = f"127.0.0.1:{free.getsockname()[1]}"
        self.scheme = "https" if tls else "http"
        http: dict[str, object] = {"addr": self.host}
        settings: dict[str, object] = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(place / "data")}},
            "http": http,
        }
        if tls:
            certificate, key = make_certificate(place)
            for name in ("client.cert", "client.key"):  # whom it trusts: only itself
                (place / name).write_bytes((certificate if name[-1] == "t" else key).read_bytes())
            (place / "htpasswd").write_text(ANN + "\n")
            paths = {"certificate": str(certificate), "key": str(key)}
            http["tls"] = paths | {"clientcas": [str(certificate)]}
            settings["auth"] = {"htpasswd": {"realm": "class", "path": str(place / "htpasswd")}}
        (place / "settings.yml").write_text(json.dumps(settings))  # which is YAML, too

    def fetched(self, repository: str) -> list[str]:
        """The digests of all blobs that somebody has fetched from there, in order."""
        log = (self.place / "log").read_text()
        return re.findall(rf'"GET /v2/{repository}/blobs/(sha256:\w+) ', log)

    def push(self, source: str, name: str) -> None:
        """Have skopeo copy an image to `name`."""
        safety = ["--dest-tls-verify=false"]
        if self.scheme == "https":
            safety = ["--dest-cert-dir", str(self.place), "--dest-creds", "ann:secret"]
        run("skopeo", "copy", "-q", *safety, source, f"docker://{self.host}/{name}")


@contextmanager
def serve(place: Path, tls: bool) -> Iterator[Registry]:
    """A registry that keeps all it has in `place`."""
    registry = Registry(place, tls)
    with (
        (place / "log").open("wb") as log,
        subprocess.Popen(
            ["docker-registry", "serve", str(place / "settings.yml")], stdout=log, stderr=log
        ) as process,
    ):
        try:
            host, port = registry.host.split(":")
            deadline = time.monotonic() + 20
            while True:
                try:
                    socket.create_connection((host, int(port))).close()
                    break
                except ConnectionRefusedError:
                    assert process.poll() is None and time.monotonic() < deadline
                    time.sleep(0.05)
            yield registry
        finally:
            process.kill()
