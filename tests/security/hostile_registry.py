"""Every fault and malice of a registry that a pull must survive; hostile_server.py plays them.

A repository's name says how it behaves: `SCENARIOS` has them all, and what the one line that
refuses them must say.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tests.security.archives import archive, digest, entry

OCI = "application/vnd.oci.image."
MANIFEST, INDEX = OCI + "manifest.v1+json", OCI + "index.v1+json"
CONFIG, LAYER = OCI + "config.v1+json", OCI + "layer.v1.tar+gzip"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
PLATFORM = {"os": "linux", "architecture": MACHINE}


@dataclass(frozen=True)
class Answer:
    """What is sent for one path."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    how: str = ""
    """`hang`, `drip`, `drip-header`, `cut`, `no-length`, `cut-once`, which has none either, or
    `ranges`; plainly, if empty."""
    wants: str = ""
    """The Authorization without which it is a 401 with these headers."""
    busy: int = 0
    """How often it is 429 first."""
    rest: float = 0.0
    """Seconds for which it is 429 after it was asked first."""


Answers = dict[str, Answer]


@dataclass(frozen=True)
class Scenario:
    """A repository, and what becomes of pulling it."""

    answers: Answers
    said: str | None
    """A part of the line that refuses it; None where it is to be pulled."""


def named(media_type: str, body: bytes, **more: Any) -> dict[str, Any]:
    """A descriptor."""
    return {"mediaType": media_type, "digest": digest(body), "size": len(body)} | more


def dump(value: Any) -> bytes:
    return json.dumps(value).encode()


TAR = archive(entry("x", data=b"hello"))
BLOB = gzip.compress(TAR, mtime=0)
OTHER_BLOB = gzip.compress(archive(entry("y", data=b"below")), mtime=0)
NO_TAR = gzip.compress(b"no tar at all" * 100, mtime=0)


def configuration(**changes: Any) -> dict[str, Any]:
    return PLATFORM | {"rootfs": {"type": "layers", "diff_ids": [digest(TAR)]}} | changes


CONFIGURATION = dump(configuration())
TWO_LAYERS = dump(configuration(rootfs={"diff_ids": [digest(TAR)] * 2}))


def manifest(**changes: Any) -> dict[str, Any]:
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": named(CONFIG, CONFIGURATION),
        "layers": [named(LAYER, BLOB)],
    } | changes


def index(*manifests: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(manifests)} | changes


def serving(top: Any, media_type: str = MANIFEST) -> Answers:
    """An image whose manifest is `top`: JSON, or bytes as they are."""
    body = top if isinstance(top, bytes) else dump(top)
    return {
        "manifests/latest": Answer(body, headers={"Content-Type": media_type}),
        f"blobs/{digest(CONFIGURATION)}": Answer(CONFIGURATION),
        f"blobs/{digest(BLOB)}": Answer(BLOB),
    }


def with_layer(answer: Answer, **changes: Any) -> Answers:
    return serving(manifest(**changes)) | {f"blobs/{digest(BLOB)}": answer}


def two_layers(lower: bytes, upper: Answer) -> Answers:
    """An image of `lower`, and of BLOB over it, which is answered so."""
    diff_ids = [digest(gzip.decompress(lower)), digest(TAR)]
    body = dump(configuration(rootfs={"type": "layers", "diff_ids": diff_ids}))
    layers = [named(LAYER, lower), named(LAYER, BLOB)]
    return serving(manifest(config=named(CONFIG, body), layers=layers)) | {
        f"blobs/{digest(body)}": Answer(body),
        f"blobs/{digest(lower)}": Answer(lower),
        f"blobs/{digest(BLOB)}": upper,
    }


def with_config(body: bytes) -> Answers:
    return serving(manifest(config=named(CONFIG, body))) | {f"blobs/{digest(body)}": Answer(body)}


def with_top(**answer: Any) -> Answers:
    plain = {"body": dump(manifest()), "headers": {"Content-Type": MANIFEST}}
    return serving(manifest()) | {"manifests/latest": Answer(**plain | answer)}


def resting(retry_after: str, rest: float) -> Answers:
    """An image that is to be had after some seconds."""
    return with_top(rest=rest, headers={"Content-Type": MANIFEST, "Retry-After": retry_after})


def descriptor(**changes: Any) -> Answers:
    """An image whose one layer is named wrongly."""
    return serving(manifest(layers=[named(LAYER, BLOB) | changes]))


def in_an_index(body: bytes, **changes: Any) -> Answers:
    """An image behind an index, named by it with these changes, and served as `body`."""
    honest = dump(manifest())
    one = named(MANIFEST, honest, platform=PLATFORM) | changes
    served = Answer(body, headers={"Content-Type": MANIFEST})
    return serving(index(one), INDEX) | {f"manifests/{one['digest']}": served}


def by_an_index(body: bytes) -> Answers:
    """An image of this configuration, behind an index that says it is for this machine."""
    image = dump(manifest(config=named(CONFIG, body)))
    here = named(MANIFEST, image, platform=PLATFORM)
    return serving(index(here), INDEX) | {
        f"manifests/{digest(image)}": Answer(image, headers={"Content-Type": MANIFEST}),
        f"blobs/{digest(body)}": Answer(body),
    }


def _unsaid() -> Answers:
    """An index that says nothing of its one image, which is for another machine."""
    vax = dump(configuration(os="plan9", architecture="vax"))
    honest = dump(manifest(config=named(CONFIG, vax)))
    answers = serving(index(named(MANIFEST, honest)), INDEX)
    return {
        "manifests/latest": answers["manifests/latest"],
        f"manifests/{digest(honest)}": Answer(honest, headers={"Content-Type": MANIFEST}),
    }


def nested(depth: int) -> Answers:
    """Indexes that lead from one to the next, and at last to an image."""
    media_type, body = MANIFEST, dump(manifest())
    answers: Answers = {}
    for _ in range(depth):
        answers[f"manifests/{digest(body)}"] = Answer(body, headers={"Content-Type": media_type})
        media_type, body = INDEX, dump(index(named(media_type, body, platform=PLATFORM)))
    return serving(body, INDEX) | answers


def bearer(realm: str, **more: str) -> dict[str, str]:
    parameters = ",".join(f'{key}="{value}"' for key, value in {"realm": realm, **more}.items())
    return {"WWW-Authenticate": f"Bearer {parameters}"}


HERE, ELSEWHERE = "http://127.0.0.1:PORT", "http://localhost:PORT"
BASIC = "Basic YW5uOnNlY3JldA=="
"""Of ann, whose password is `secret`."""
ASKS = {"WWW-Authenticate": 'Basic realm="x"'}


def guarded(realm: str, token: Answer | None = None, wants: str = "Bearer t0ken") -> Answers:
    """An image for which a token is wanted."""
    challenge = bearer(realm, service="here", scope="repository:x:pull")
    plain = serving(manifest())
    answers = {
        path: Answer(one.body, headers={**one.headers, **challenge}, wants=wants)
        for path, one in plain.items()
    }
    return answers | {"token": token or Answer(dump({"token": "t0ken"}))}


def redirected(place: str, path: str | None = None, status: int = 307) -> Answers:
    """An image of which one path leads elsewhere."""
    answers = serving(manifest())
    path = path or f"blobs/{digest(BLOB)}"
    return answers | {
        path: Answer(status=status, headers={"Location": place}),
        "elsewhere": answers[path],
    }


MANY = manifest(layers=[named(LAYER, BLOB)] * 10_000)
HUGE = Answer(b" " * (100 << 20), headers={"Content-Type": MANIFEST})

SCENARIOS: dict[str, Scenario] = {
    name: Scenario(*scenario)
    for name, scenario in {
        "good": (serving(manifest()), None),
        "good-by-an-index": (in_an_index(dump(manifest())), None),
        "good-without-a-media-type-inside": (
            serving({k: v for k, v in manifest().items() if k != "mediaType"}),
            None,
        ),
        "good-with-ranges": (with_layer(Answer(BLOB, how="ranges")), None),
        "the-same-layer-twice": (
            serving(
                manifest(
                    layers=[named(LAYER, BLOB)] * 2,
                    config=named(
                        CONFIG,
                        TWO_LAYERS,
                    ),
                )
            )
            | {f"blobs/{digest(TWO_LAYERS)}": Answer(TWO_LAYERS)},
            None,
        ),
        # Digests and sizes
        "wrong-digest-of-a-layer": (with_layer(Answer(BLOB[:-1] + b"!")), "has the digest"),
        "wrong-digest-of-a-configuration": (
            serving(manifest())
            | {f"blobs/{digest(CONFIGURATION)}": Answer(CONFIGURATION[:-1] + b" ")},
            "has the digest",
        ),
        "wrong-digest-of-a-manifest-in-an-index": (
            in_an_index(dump(manifest()).replace(b"{", b" ", 1)),
            "has the digest",
        ),
        "another-manifest-than-its-header-says": (
            with_top(headers={"Content-Type": MANIFEST, "Docker-Content-Digest": digest(b"other")}),
            "has the digest",
        ),
        "good-with-a-header-of-another-sum": (
            with_top(
                headers={
                    "Content-Type": MANIFEST,
                    "Docker-Content-Digest": "sha512:" + hashlib.sha512(b"x").hexdigest(),
                }
            ),
            None,
        ),
        "wrong-diff-id": (
            with_config(dump(configuration(rootfs={"diff_ids": [digest(b"other")]}))),
            "and its image says",
        ),
        "wrong-size-of-a-layer": (descriptor(size=len(BLOB) - 1), "were promised"),
        "wrong-size-of-a-configuration": (
            serving(manifest(config=named(CONFIG, CONFIGURATION) | {"size": 5})),
            "more than 5 bytes",
        ),
        "wrong-size-of-a-manifest-in-an-index": (
            in_an_index(dump(manifest()), size=7),
            "were promised",
        ),
        "a-layer-without-end": (
            with_layer(Answer(BLOB + bytes(1 << 22), how="no-length")),
            "is more than",
        ),
        "a-layer-cut-off": (with_layer(Answer(BLOB, how="cut")), "tried 4 times"),
        "a-layer-without-a-length-cut-off-once": (with_layer(Answer(BLOB, how="cut-once")), None),
        "a-manifest-cut-off": (with_top(how="cut"), "tried 4 times"),
        "a-negative-size": (descriptor(size=-1), "with the size -1"),
        "a-size-of-text": (descriptor(size="12"), "with the size '12'"),
        "a-size-of-2-to-70": (descriptor(size=1 << 70), "with the size"),
        "a-size-of-true": (descriptor(size=True), "with the size True"),
        "a-layer-of-an-exabyte": (descriptor(size=1 << 60), "has more than 64G of layers"),
        "a-digest-that-is-a-path": (
            descriptor(digest="sha256:../../../../etc/passwd"),
            "only sha256 is known",
        ),
        "a-digest-of-another-kind": (descriptor(digest="md5:" + "0" * 32), "only sha256 is known"),
        # What a document is
        "cve-2021-41190-layers-and-manifests-in-a-manifest": (
            serving(manifest(manifests=[named(MANIFEST, b"x", platform=PLATFORM)])),
            "nobody knows",
        ),
        "cve-2021-41190-layers-and-manifests-in-an-index": (
            serving(index(layers=[named(LAYER, BLOB)]), INDEX),
            "nobody knows",
        ),
        "cve-2021-41190-another-media-type-inside": (
            serving(manifest(), INDEX),
            "and says it is",
        ),
        "cve-2021-41190-an-index-that-comes-as-a-manifest": (
            serving(index(named(MANIFEST, dump(manifest()), platform=PLATFORM))),
            "and says it is",
        ),
        "cve-2021-41190-another-type-than-the-index-says": (
            in_an_index(dump(manifest()), mediaType=INDEX),
            "its index promised",
        ),
        "a-media-type-of-something-else": (serving(manifest(), "text/plain"), "which is not known"),
        "no-media-type": (serving(manifest(), ""), "which is not known"),
        "a-web-page": (serving(b"<!DOCTYPE html><p>Sign in", "text/html; x=y"), "a web page"),
        "schema-1": (
            serving(
                {"schemaVersion": 1}, "application/vnd.docker.distribution.manifest.v1+prettyjws"
            ),
            "from before 2016",
        ),
        "schema-1-that-says-it-is-2": (serving(manifest(fsLayers=[])), "not of schema version 2"),
        "no-json": (serving(b"{"), "no JSON"),
        "json-nested-without-end": (serving(b"[" * 1_000_000), "no JSON"),
        "a-number-without-end": (
            serving(b'{"schemaVersion": ' + b"9" * 1_000_000 + b"}"),
            "no JSON",
        ),
        "a-list": (serving([]), "no JSON object"),
        "a-helm-chart": (
            serving(manifest(config=named("application/vnd.cncf.helm.config.v1+json", b"{}"))),
            "is no container image",
        ),
        "a-layer-of-an-unknown-type": (
            descriptor(mediaType="application/vnd.oci.image.layer.v1.tar+rot13"),
            "which is not known",
        ),
        "cve-2020-15157-a-layer-from-anywhere": (
            descriptor(
                mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
                urls=[ELSEWHERE],
            ),
            "only its maker's own server",
        ),
        # How much
        "ten-thousand-layers": (serving(MANY), "10000 layers"),
        "no-layers": (serving(manifest(layers=[])), "0 layers"),
        "layers-that-are-no-list": (serving(manifest(layers={"0": 1})), "no list"),
        "more-layers-than-diff-ids": (
            serving(manifest(layers=[named(LAYER, BLOB)] * 2)),
            "has 2 layers, and a configuration of 1",
        ),
        "a-manifest-of-100-megabytes": (
            serving(manifest()) | {"manifests/latest": HUGE},
            "more than 4194304 bytes",
        ),
        "a-manifest-of-100-megabytes-without-a-length": (
            with_top(body=HUGE.body, how="no-length"),
            "more than 4194304 bytes",
        ),
        "a-configuration-of-a-gigabyte": (
            serving(manifest(config=named(CONFIG, CONFIGURATION) | {"size": 1 << 30})),
            "a configuration of 1073741824 bytes",
        ),
        "indexes-without-end": (nested(6), "more than 3 times"),
        # For which machine
        "another-platform-in-an-index": (
            serving(
                index(
                    named(MANIFEST, b"1", platform={"os": "plan9", "architecture": "vax"}),
                    named(MANIFEST, b"2", platform={"os": "unknown", "architecture": "unknown"}),
                ),
                INDEX,
            ),
            "there is plan9/vax",
        ),
        "another-platform": (
            with_config(dump(configuration(os="plan9", architecture="vax"))),
            "is for plan9/vax",
        ),
        "good-of-no-platform-of-its-own": (
            by_an_index(dump(configuration(os="", architecture=MACHINE))),
            None,
        ),
        "good-of-another-of-its-own": (
            by_an_index(dump(configuration(os="plan9", architecture="\x1b[2Jvax"))),
            None,
        ),
        "good-by-an-index-that-names-no-platform": (
            in_an_index(dump(manifest()), platform=None),
            None,
        ),
        "an-index-that-names-no-platform-of-an-image-for-another": (
            with_config(dump(configuration(os="plan9", architecture="vax"))) | _unsaid(),
            "is for plan9/vax",
        ),
        "two-images-of-no-platform": (
            serving(index(named(MANIFEST, b"1"), named(MANIFEST, b"2")), INDEX),
            "it names no platform",
        ),
        "an-empty-index": (serving(index(), INDEX), "it names no platform"),
        # Configurations
        "a-command-of-numbers": (
            with_config(dump(configuration(config={"Cmd": [1]}))),
            "which is no text",
        ),
        "a-zero-byte-in-the-environment": (
            with_config(dump(configuration(config={"Env": ["A=\0"]}))),
            "which is no text",
        ),
        "a-configuration-that-is-null": (with_config(b"null"), "no JSON object"),
        # Where it leads
        "a-redirect-to-a-file": (redirected("file:///etc/passwd"), "no http URL"),
        "a-redirect-to-a-file-for-a-manifest": (
            redirected("file:///etc/passwd", "manifests/latest"),
            "no http URL",
        ),
        "redirects-in-circles": (
            redirected(f"{HERE}/v2/redirects-in-circles/manifests/latest", "manifests/latest"),
            "in circles",
        ),
        "a-redirect-to-nowhere": (redirected("http://"), "in circles"),
        "a-redirect-to-half-an-address": (redirected("http://["), "leads to none"),
        "a-redirect-to-half-an-address-for-a-manifest": (
            redirected("http://[", "manifests/latest"),
            "leads to none",
        ),
        "a-redirect-to-a-port-beyond-all": (redirected("http://h:99999/"), "leads to none"),
        "a-redirect-to-a-port-of-letters": (redirected("http://h:abc/"), "leads to none"),
        "a-redirect-elsewhere": (
            redirected(f"{ELSEWHERE}/v2/a-redirect-elsewhere/elsewhere"),
            None,
        ),
        "a-redirect-with-a-password": (
            redirected(
                f"{ELSEWHERE}/v2/a-redirect-with-a-password/elsewhere".replace("//", "//u:p@")
            ),
            None,
        ),
        "a-redirect-after-a-login": (
            {
                path: Answer(one.body, one.status, {**one.headers, **ASKS}, wants=BASIC)
                for path, one in redirected(f"{ELSEWHERE}/v2/a-redirect-after-a-login/open").items()
            }
            | {"open": Answer(BLOB)},
            None,
        ),
        "cve-2020-15157-a-redirect-to-a-401": (
            redirected(f"{ELSEWHERE}/v2/cve-2020-15157-a-redirect-to-a-401/asks")
            | {
                "asks": Answer(
                    status=401, headers=bearer(f"{ELSEWHERE}/v2/x/token", service="mine")
                )
            },
            "answers 401",
        ),
        # Who asks
        "a-token": (guarded(f"{HERE}/v2/a-token/token"), None),
        "a-login": (
            {
                path: Answer(one.body, headers={**one.headers, **ASKS}, wants=BASIC)
                for path, one in serving(manifest()).items()
            },
            None,
        ),
        "a-token-that-is-never-taken": (
            guarded(f"{HERE}/v2/a-token-that-is-never-taken/token", wants="Bearer other"),
            "answers 401",
        ),
        "a-401-without-a-challenge": (with_top(wants="x"), "answers 401"),
        "a-401-with-an-unknown-challenge": (
            with_top(wants="x", headers={"WWW-Authenticate": "Negotiate"}),
            "answers 401",
        ),
        "a-token-server-that-is-a-file": (guarded("file:///etc/passwd"), "no https URL"),
        "a-token-server-far-away-without-tls": (guarded("http://example.org/"), "no https URL"),
        "a-token-server-that-is-nothing": (guarded(""), "no https URL"),
        "a-token-server-of-half-an-address": (guarded("https://["), "leads to none"),
        "a-token-server-on-a-port-beyond-all": (guarded("https://h:99999/"), "leads to none"),
        "a-token-server-on-a-port-of-letters": (guarded("https://h:abc/"), "leads to none"),
        "a-token-server-that-says-no": (
            guarded(f"{HERE}/v2/a-token-server-that-says-no/token", Answer(status=401)),
            "its token server answers 401",
        ),
        "a-token-server-that-redirects": (
            guarded(
                f"{HERE}/v2/a-token-server-that-redirects/token",
                Answer(status=302, headers={"Location": ELSEWHERE}),
            ),
            "its token server answers 302",
        ),
        "a-token-of-two-megabytes": (
            guarded(
                f"{HERE}/v2/a-token-of-two-megabytes/token",
                Answer(dump({"token": "t" * (2 << 20)})),
            ),
            "has a token of more than",
        ),
        "a-token-with-a-line-end": (
            guarded(
                f"{HERE}/v2/a-token-with-a-line-end/token",
                Answer(dump({"token": "t\r\nX-Evil: 1"})),
            ),
            "answers with no token",
        ),
        "a-token-that-is-a-number": (
            guarded(f"{HERE}/v2/a-token-that-is-a-number/token", Answer(dump({"token": 5}))),
            "answers with no token",
        ),
        # How it answers
        "nothing-there": (
            {"manifests/latest": Answer(dump({"errors": [{"message": "no\x1b[31m"}]}), 404)},
            "404 Not Found (no",
        ),
        "an-error-of-two-megabytes": (with_top(body=b"x" * (2 << 20), status=403), "403 Forbidden"),
        "an-error-that-is-strange": (with_top(body=b'{"errors": 7}', status=400), "400"),
        "busy-for-a-moment": (with_top(busy=2), None),
        "busy-for-a-second": (resting("1", 0.9), None),
        "busy-until-a-date": (resting("DATE", 0.9), None),
        "busy-until-a-date-tomorrow": (
            resting("TOMORROW", 9e9),
            "it asks to be left alone for 86",
        ),
        "busy-for-ever": (with_top(busy=99), "429 Too Many Requests (tried 4 times)"),
        "busy-for-an-hour": (
            with_top(status=429, headers={"Retry-After": "3600"}),
            "429 Too Many Requests: it asks to be left alone for 3600 s",
        ),
        "an-error-of-its-own": (with_top(status=500), "answers 500"),
        "a-manifest-that-hangs": (with_top(how="hang"), "is too slow"),
        "a-manifest-that-drips": (with_top(how="drip"), "is too slow"),
        "a-header-that-drips": (with_top(how="drip-header"), "is too slow"),
        "a-layer-that-hangs": (with_layer(Answer(BLOB, how="hang")), "is too slow"),
        "a-layer-that-drips": (with_layer(Answer(BLOB, how="drip")), "is too slow"),
        "a-layer-that-drips-over-another": (
            two_layers(OTHER_BLOB, Answer(BLOB, how="drip")),
            "is too slow",
        ),
        "a-layer-that-hangs-over-one-that-is-no-tar": (
            two_layers(NO_TAR, Answer(BLOB, how="hang")),
            "layer 1 of 2 is not a tar archive",
        ),
        "an-answer-that-is-no-http": (with_top(how="noise"), "tried 4 times"),
    }.items()
}
