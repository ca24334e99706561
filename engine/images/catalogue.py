"""The catalogue: eggs that a class wants, by short names.

Procchi brings one along; a teacher's, from a file or a URL, goes before it. It is a TOML table a
name, as catalogue.toml says. A catalogue names what is to be fetched and no more, and one that
came over a network may not name files of this machine.
"""

from __future__ import annotations

import os
import re
import tomllib
import urllib.parse
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, NamedTuple

from engine.errors import BadRequest, NoSuchEgg, ProcchiError, PullFailed
from engine.images.platforms import Platform
from engine.images.saying import shown
from engine.images.words import HOME, in_a_registry
from engine.model import MIB, Offer, check_name, parse_size

OWN = os.path.join(os.path.dirname(__file__), "catalogue.toml")
LARGEST = MIB
"""Bytes of a catalogue, or of a release index."""
MOST = 1000
"""Entries of one catalogue."""
_ABOUT = 300
_KEYS = {"from", "alpine", "sha256", "size", "about"}
_SHA256 = re.compile(r"[0-9a-f]{64}")
_ALPINES = {
    **{"linux/amd64": "x86_64", "linux/arm64": "aarch64", "linux/arm64/v8": "aarch64"},
    **{"linux/arm": "armv7", "linux/arm/v7": "armv7", "linux/arm/v6": "armhf"},
    **{"linux/386": "x86", "linux/loong64": "loongarch64"},
}
"""Alpine's words for some platforms; for the others it has ours."""
_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,200}\.tar\.(gz|xz|zst)")
_PLACE = re.compile(r"https?://[^\s/]+(/\S*)?", re.IGNORECASE)


def offers(more: str | None = None) -> list[Offer]:
    """What the catalogue at `more` (a file or a URL) has, then what Procchi's own has besides.

    Raises BadRequest, NoSuchEgg or PullFailed, naming the catalogue.
    """
    first = _read(more) if more else []
    taken = {offer.name for offer in first}
    return first + [offer for offer in _read(OWN) if offer.name not in taken]


def find(name: str, more: str | None = None) -> Offer | None:
    """The offer called `name`, if there is one. Raises as `offers`."""
    return next((offer for offer in offers(more) if offer.name == name), None)


class Found(NamedTuple):
    """What an offer comes to."""

    words: str
    """What is to be pulled."""
    sha256: str | None = None
    """What it must have, where that is known."""
    platform: Platform | None = None
    """What it is for, where that is known."""


def resolve(offer: Offer, platform: Platform) -> Found:
    """What is to be pulled for it on `platform`. Raises NoSuchEgg or PullFailed."""
    if not offer.alpine:
        return Found(offer.source, offer.sha256)
    architecture = _ALPINES.get(str(platform), platform.architecture)
    releases = f"{offer.source}/releases/{architecture}"
    index = f"{releases}/latest-releases.yaml"
    with _about(index):
        found = _minirootfs(_text(_fetch(index)))
    return Found(f"{releases}/{found['file']}", found["sha256"], platform)


def _read(place: str) -> list[Offer]:
    is_url = bool(_PLACE.fullmatch(place))
    try:
        with _about(f"catalogue {place}"):
            said = tomllib.loads(_text(_fetch(place) if is_url else _load(place)))
            if len(said) > MOST:
                raise BadRequest(f"has more than {MOST} entries")
            return [_offer(name, entry, place, is_url) for name, entry in said.items()]
    except (ValueError, RecursionError) as error:  # tomllib's, too
        why = (
            "is nested too deeply" if isinstance(error, RecursionError) else f"is no TOML: {error}"
        )
        raise BadRequest(f"catalogue {place}: {why}") from None


@contextmanager
def _about(what: str) -> Iterator[None]:
    """Put `what` before each refusal."""
    try:
        yield
    except ProcchiError as error:
        raise type(error)(f"{what}: {error}") from None


def _load(path: str) -> bytes:
    if "://" in path:
        raise BadRequest("is neither a file nor an http(s) URL")
    try:
        with open(path, "rb", opener=_open) as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise BadRequest(f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise BadRequest("is no path") from None


def _open(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)  # it may be a FIFO


def _fetch(url: str) -> bytes:
    from engine.images import web  # late: a class pulls from a file, too, and this takes 0.2 s

    def attempt() -> bytes:
        with (
            web.Patience(),
            web.session() as session,
            session.get(url, headers=web.HEADERS, stream=True, timeout=web.TIMEOUTS) as answer,
        ):
            if answer.status_code == 404:
                raise NoSuchEgg("there is no such file on its server")
            if answer.status_code != 200:
                raise PullFailed(web.refusal(answer))
            web.check_way(answer)
            return web.body(answer, LARGEST, "a text")

    return web.persistently(attempt)


def _text(content: bytes) -> str:
    if len(content) > LARGEST:
        raise BadRequest(f"has more than {LARGEST} bytes")
    if content.lstrip()[:1] == b"<":
        raise PullFailed("is a web page")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadRequest("is no text in UTF-8") from None


def _offer(name: str, entry: Any, place: str, is_url: bool) -> Offer:
    check_name(name, "the name")
    if not isinstance(entry, dict):
        raise BadRequest(f"{name} is no table: write [{name}] above what belongs to it")
    if unknown := sorted(set(entry) - _KEYS):
        known = ", ".join(sorted(_KEYS))
        raise BadRequest(f"{name} has a key {shown(unknown[0])}: those that there are: {known}")
    with _about(name):
        said = _word(entry, "about")[:_ABOUT]
        size = parse_size(entry["size"]) if "size" in entry else None
        sha256 = _word(entry, "sha256").lower().removeprefix("sha256:")
        if sha256 and not _SHA256.fullmatch(sha256):
            raise BadRequest(f"the sha256 {shown(sha256)} has not 64 hexadecimal digits")
        source, alpine = _word(entry, "from"), _word(entry, "alpine")
        if bool(source) == bool(alpine):
            raise BadRequest("it has one of `from` and `alpine`, and just one")
        if alpine and not _PLACE.fullmatch(alpine):
            raise BadRequest(f"alpine is {shown(alpine)}, which is no http(s) URL")
        if alpine and sha256:
            raise BadRequest("Alpine's release index says the sha256: leave it out")
        if alpine:
            return Offer(name, alpine.rstrip("/"), said, size, None, True)
        return Offer(name, _source(source, place, is_url), said, size, sha256 or None)


def _source(words: str, place: str, is_url: bool) -> str:
    """What `from` means, with a place beside the catalogue made whole."""
    if _PLACE.fullmatch(words) or words == HOME:
        return words
    if words.startswith(("./", "../")):
        if is_url:
            return urllib.parse.urljoin(place, words)
        return os.path.normpath(os.path.join(os.path.dirname(os.path.abspath(place)), words))
    if "://" in words or words.startswith("/"):
        if is_url:
            raise BadRequest(f"{shown(words)} is a file, and the catalogue of another machine's")
        return words
    if in_a_registry(words) is None:
        raise BadRequest(
            f"{shown(words)} is no image in a registry and no http(s) URL, and a file beside the "
            "catalogue is written ./FILE"
        )
    return words


def _word(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key, "")
    if not isinstance(value, str) or not value.isprintable():
        raise BadRequest(f"{key} is {shown(value)}, which is no line of text")
    return value


def _minirootfs(index: str) -> dict[str, str]:
    """The entry of the mini root filesystem in latest-releases.yaml. Raises PullFailed."""
    for entry in _entries(index):
        if entry.get("flavor") != "alpine-minirootfs":
            continue
        if not _FILE.fullmatch(entry.get("file", "")):
            raise PullFailed(f"names the file {shown(entry.get('file'))}, which is none to fetch")
        if not _SHA256.fullmatch(entry.get("sha256", "")):
            raise PullFailed("says no sha256 of the mini root filesystem")
        return entry
    raise PullFailed("lists no alpine-minirootfs: is it a release index of Alpine Linux?")


def _entries(index: str) -> Iterator[dict[str, str]]:
    """The mappings of a YAML list of flat ones, as Alpine's release script writes it.

    Of YAML's many ways only those that stand there: a `-` begins an entry, `key: value` at its
    indentation belongs to it, and what is indented deeper is the text of a `|` block.
    """
    entry: dict[str, str] | None = None
    indentation: int | None = None
    for line in index.splitlines():
        bare = line.lstrip(" ")
        if not bare or bare.startswith("#") or bare in ("---", "..."):
            continue
        if line == "-" or line.startswith("- "):
            if entry is not None:
                yield entry
            entry, indentation = {}, None
            bare = line[1:].lstrip(" ")
            if not bare:
                continue
        depth = len(line) - len(bare)
        indentation = depth if indentation is None else indentation
        key, colon, value = bare.partition(":")
        if entry is not None and depth == indentation and colon:
            entry.setdefault(key.strip(), value.strip().strip("\"'"))
    if entry is not None:
        yield entry
