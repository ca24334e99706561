"""References to images in registries, as container tools write them.

`alpine` is `docker.io/library/alpine:latest`: the rules are those of the distribution project's
reference grammar, and of what Docker makes of a name that names no registry.
"""

from __future__ import annotations

import re
import urllib.parse
from dataclasses import dataclass

DOCKER_HUB = "docker.io"
_LONGEST = 255
"""Characters of a repository's name."""
_HOST = re.compile(
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:]+\])(?::[0-9]{1,5})?"
)
_PART = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class Reference:
    """An image in a registry."""

    host: str
    """`docker.io`, or the registry's name and port as they were written."""
    repository: str
    tag: str | None
    digest: str | None
    """`sha256:` and 64 digits; where it is given the tag says nothing."""

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.host}/{self.repository}{tag}{digest}"

    @property
    def wanted(self) -> str:
        """What to ask the registry for: the digest, or the tag."""
        return self.digest or self.tag or "latest"

    @property
    def short(self) -> str:
        """A name for it: the repository's last part, and the tag unless it says nothing."""
        name = self.repository.rpartition("/")[2]
        return f"{name}-{self.tag}" if self.tag not in (None, "latest") else name


def parse(text: str) -> Reference | None:
    """The reference that `text` is, or None where it is none."""
    rest, at, digest = text.partition("@")
    host, slash, path = rest.partition("/")
    if not slash or not (set(host) & set(".:[") or host == "localhost"):
        host, path = DOCKER_HUB, rest
    repository, colon, tag = path.partition(":")
    if host in ("index.docker.io", "registry-1.docker.io"):
        host = DOCKER_HUB
    if host == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    fits = (
        _is_host(host)
        and len(repository) <= _LONGEST
        and all(map(_PART.fullmatch, repository.split("/")))
        and (not colon or _TAG.fullmatch(tag))
        and (not at or _DIGEST.fullmatch(digest))
    )
    if not fits:
        return None
    return Reference(host, repository, tag or (None if digest else "latest"), digest or None)


def _is_host(text: str) -> bool:
    try:
        return bool(_HOST.fullmatch(text)) and urllib.parse.urlsplit(f"//{text}").port != 0
    except ValueError:  # a port beyond all, or no address between the brackets
        return False
