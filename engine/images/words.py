"""What the words for an egg mean, by their text alone.

The nest runs in `/`, and somebody else's catalogue may have put words into its mouth: whether
there is a file of some name is for whoever asks to find out, in their own directory (`made_whole`).
From there on a file is an absolute path, and nothing else is one.
"""

from __future__ import annotations

import os
import re
import urllib.parse

from engine.errors import BadRequest
from engine.images.reference import Reference, parse
from engine.model import is_name

HOME = "home"
_SUFFIX = re.compile(r"(\.tar)?\.(gz|xz|bz2|zst|tar)$|\.t(gz|xz|bz2?|zst)$", re.IGNORECASE)


def made_whole(words: str) -> str:
    """The words, as they are meant in any directory: the path of a file or folder is absolute.

    What looks like a path is one, and so is a file that is there. A folder is meant only by
    words with a `/` in them: a folder `debian` that happens to be here is not what `debian` asks.
    """
    if words == HOME or "://" in words or "\0" in words:
        return words
    looks_it = words.startswith(("./", "../")) or words in (".", "..")
    looks_it = looks_it or ("/" in words and bool(_SUFFIX.search(words)))
    if looks_it or os.path.isfile(words) or ("/" in words and os.path.lexists(words)):
        return os.path.abspath(words)
    return words


def default_name(words: str) -> str:
    """The egg's name where none is given: the file's, without its suffix, in our letters.

    An image's is the last part of its name, and its tag. Raises BadRequest.
    """
    if words == HOME:
        return HOME
    if there := in_a_registry(words):
        return there.short[:63]
    shown, path = without_password(words), words
    if "://" in words:
        try:
            url = urllib.parse.urlsplit(words)
        except ValueError as error:
            raise BadRequest(f"{shown}: is no URL: {error}") from None
        if url.scheme in ("http", "https") and not url.hostname:
            raise BadRequest(f"{shown}: is no URL: it has no host: write {url.scheme}://HOST/FILE")
        if url.scheme == "docker":  # as skopeo and podman have it
            raise BadRequest(f"{shown}: an image in a registry is written without docker://")
        path = url.path
    last = urllib.parse.unquote(path).rstrip("/").rpartition("/")[2]
    stem = re.sub(r"[^A-Za-z0-9._-]+", "-", _SUFFIX.sub("", last))
    name = stem.lstrip("._-")[:63]
    if not name:
        raise BadRequest(f"{shown!r} makes no name for an egg: give one with --name")
    return name


def without_password(words: str) -> str:
    """The words as they may be shown and kept: a URL loses its user and password."""
    scheme, separator, rest = words.partition("://")
    place, slash, path = rest.partition("/")
    return scheme + separator + place.rpartition("@")[2] + slash + path if separator else words


def in_a_registry(words: str) -> Reference | None:
    """What the words mean in a registry; None where they mean a file, a folder, a URL or `home`."""
    if words == HOME or "://" in words or words.startswith("/") or _SUFFIX.search(words):
        return None
    return parse(words)


def may_be_offered(words: str) -> bool:
    """Whether the words can be a name of the catalogue, rather than a place."""
    return words != HOME and is_name(words)
