"""What an image says of itself: manifests, indexes of them, and configurations.

By the OCI image specification (manifest.md, image-index.md, config.md) and Docker's older words
for the same. Each document is what a stranger wrote: only what is looked for is read, and it is
what it should be, or the image is refused. Which kind a document is, whoever hands it over says
(a Content-Type, a descriptor) and never its content: a document that is an index to one reader
and a manifest to another is CVE-2021-41190.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from engine.errors import PullFailed
from engine.images.platforms import Platform
from engine.images.saying import shown
from engine.model import MIB

LARGEST = 4 * MIB
"""Bytes of a document, which is held in memory; the same as containers/image's bound."""
MOST_LAYERS = 256
"""Twice what Docker can stack; each one is an open file while it is unpacked."""
_DEEPEST = 3
"""Indexes that lead from one to the next."""

INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
_SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+"
_CONFIGURATIONS = (
    "application/vnd.oci.image.config.v1+json",
    "application/vnd.docker.container.image.v1+json",
)
_LAYER = re.compile(
    r"application/vnd\.oci\.image\.layer\.v1\.tar(\+gzip|\+zstd)?"
    r"|application/vnd\.docker\.image\.rootfs\.diff\.tar([.+](gzip|zstd))?"
)
_FOREIGN = re.compile(
    r"application/vnd\.(oci\.image\.layer\.nondist|docker\.image\.rootfs\.foreign)"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


class Descriptor(NamedTuple):
    """Another document or a layer, named by its content."""

    media_type: str
    digest: str
    size: int
    """Bytes."""
    platform: Platform | None = None
    name: str = ""
    """What an image layout calls it."""

    def check(self, body: bytes) -> None:
        """Raises PullFailed where `body` is not what it names."""
        if len(body) != self.size:
            raise PullFailed(f"{self.digest} has {len(body)} bytes, and {self.size} were promised")
        check_digest(body, self.digest)


class Document(NamedTuple):
    """A manifest or an index, and which of them whoever handed it over says it is."""

    media_type: str
    body: bytes


class Manifest(NamedTuple):
    """One image for one platform."""

    configuration: Descriptor
    layers: tuple[Descriptor, ...]
    """Lowest first."""


class Configuration(NamedTuple):
    """What an image wants to be run with, and what its layers unpack to."""

    diff_ids: tuple[str, ...]
    platform: Platform
    wishes: Mapping[str, Any]
    """As Egg.config has it."""

    def checked(self, layers: int, platform: Platform, said: Platform | None) -> Configuration:
        """It, for the platform that an index has `said`: some images have that right only there.

        Raises PullFailed where it is of another number of layers, or not for `platform`.
        """
        if len(self.diff_ids) != layers:
            raise PullFailed(f"has {layers} layers, and a configuration of {len(self.diff_ids)}")
        if not said and not platform.takes(self.platform):
            raise PullFailed(f"is for {self.platform}, and {platform} is wanted")
        return self._replace(platform=said or self.platform)


def check_digest(body: bytes, digest: str) -> None:
    """Raises PullFailed where `body` has another digest."""
    found = f"sha256:{hashlib.sha256(body).hexdigest()}"
    if found != digest:
        raise PullFailed(f"what came as {digest} has the digest {found}")


def find(
    document: Document, platform: Platform, fetch: Callable[[Descriptor], Document]
) -> tuple[Manifest, Platform | None]:
    """The manifest for `platform` that `document` is or leads to, and what an index says it is for.

    `fetch` brings what a descriptor names, checked. Raises PullFailed.
    """
    said: Platform | None = None
    for _ in range(_DEEPEST + 1):
        if document.media_type in MANIFESTS:
            return _manifest(document), said
        chosen = choose(read_index(document), platform)
        said = chosen.platform or said
        document = fetch(chosen)
    raise PullFailed(f"its index leads to an index, and so on, more than {_DEEPEST} times")


def choose(among: Sequence[Descriptor], platform: Platform) -> Descriptor:
    """The image for `platform`, or the only one, of which nothing is said.

    Raises PullFailed, naming those that there are.
    """
    for variant in platform.variants():
        for one in among:
            if one.platform == variant:
                return one
    unsaid = [one for one in among if one.platform is None]
    if len(unsaid) == 1:
        return unsaid[0]
    said = [str(one.platform) for one in among if one.platform and one.platform.os != "unknown"]
    there = f"there is {_some(said)}" if said else "it names no platform"
    raise PullFailed(f"has no image for {platform}: {there}")


def _some(names: Iterable[str]) -> str:
    different = list(dict.fromkeys(names))
    return ", ".join(name[:40] for name in different[:12]) + (", …" if len(different) > 12 else "")


def read_index(document: Document) -> list[Descriptor]:
    """The images that an index lists. Raises PullFailed where it is none."""
    if document.media_type not in INDEXES:
        raise PullFailed(_unknown(document.media_type))
    fields = _read(document)
    return [
        _descriptor(one, "an index")
        for one in _list(fields.get("manifests"), "the manifests of an index")
    ]


def _manifest(document: Document) -> Manifest:
    fields = _read(document)
    configuration = _descriptor(fields.get("config"), "a manifest's config")
    if configuration.media_type not in _CONFIGURATIONS:
        kind = shown(configuration.media_type)
        raise PullFailed(f"is no container image: its configuration is of the type {kind}")
    layers = _list(fields.get("layers"), "a manifest's layers")
    if not 0 < len(layers) <= MOST_LAYERS:
        raise PullFailed(f"has {len(layers)} layers, and an egg can have 1 to {MOST_LAYERS}")
    return Manifest(configuration, tuple(map(_layer, layers)))


def _layer(value: Any) -> Descriptor:
    layer = _descriptor(value, "a layer")
    if _FOREIGN.match(layer.media_type):
        raise PullFailed("has a layer that only its maker's own server gives out")
    if not _LAYER.fullmatch(layer.media_type):
        raise PullFailed(f"has a layer of the type {shown(layer.media_type)}, which is not known")
    return layer


def _read(document: Document) -> dict[str, Any]:
    """The fields of a document that has but one meaning."""
    fields = read_object(document.body, "a manifest")
    said = fields.get("mediaType", document.media_type)
    if said != document.media_type:
        raise PullFailed(
            f"has a manifest that comes as {document.media_type} and says it is {shown(said)}"
        )
    if "manifests" in fields and ("layers" in fields or "config" in fields):
        raise PullFailed("has a manifest that is an index, too: which one is meant, nobody knows")
    if fields.get("schemaVersion") != 2 or "fsLayers" in fields:
        raise PullFailed("has a manifest that is not of schema version 2")
    return fields


def read_configuration(body: bytes) -> Configuration:
    """What an image's configuration says. Raises PullFailed."""
    fields = read_object(body, "an image's configuration")
    root = _mapping(fields.get("rootfs"), "rootfs")
    diff_ids = _list(root.get("diff_ids"), "diff_ids")
    for diff_id in diff_ids:
        if not isinstance(diff_id, str) or not _DIGEST.fullmatch(diff_id):
            raise PullFailed(f"has a layer with the diff id {shown(diff_id)}, which is no sha256")
    wishes = _mapping(fields.get("config") or {}, "config")
    environment = [line.partition("=") for line in _texts(wishes, "Env")]
    return Configuration(
        tuple(diff_ids),
        Platform(_text(fields, "os"), _text(fields, "architecture")),
        {
            "entrypoint": _texts(wishes, "Entrypoint"),
            "command": _texts(wishes, "Cmd"),
            "environment": {name: value for name, equals, value in environment if name and equals},
            "working_directory": _text(wishes, "WorkingDir"),
            "user": _text(wishes, "User"),
            "stop_signal": _text(wishes, "StopSignal"),
        },
    )


def read_object(body: bytes, what: str) -> dict[str, Any]:
    """The JSON object that `body` is. Raises PullFailed."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise PullFailed(f"has {what} that is no JSON") from None
    return _mapping(value, what)


def _descriptor(value: Any, what: str) -> Descriptor:
    fields = _mapping(value, what)
    media_type, digest = _text(fields, "mediaType"), _text(fields, "digest")
    size = fields.get("size")
    if not _DIGEST.fullmatch(digest):
        raise PullFailed(f"has {what} with the digest {shown(digest)}, and only sha256 is known")
    if type(size) is not int or not 0 <= size < 1 << 63:
        raise PullFailed(f"has {what} with the size {shown(size)}")
    platform = None
    if fields.get("platform") is not None:
        said = _mapping(fields["platform"], "a platform")
        platform = Platform(*(_text(said, key) for key in Platform._fields))
    notes = _mapping(fields.get("annotations") or {}, "annotations")
    name = _text(notes, "org.opencontainers.image.ref.name")
    return Descriptor(media_type, digest, size, platform, name)


def _mapping(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise PullFailed(f"has {what} that is no JSON object")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise PullFailed(f"has no list where {what} should be")
    return value


def _text(fields: Mapping[str, Any], key: str) -> str:
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise PullFailed(f"says {key} is {shown(value)}, which is no text")
    return value


def _texts(fields: Mapping[str, Any], key: str) -> list[str]:
    values = _list(fields.get(key) or [], key)
    return [_text({key: value}, key) for value in values]


def _unknown(media_type: str) -> str:
    if media_type.startswith(_SCHEMA_1):
        return "has a manifest of schema version 1, from before 2016: it must be pushed anew"
    if media_type == "text/html":
        return "answers with a web page, not with a manifest"
    return f"has a manifest of the type {shown(media_type)}, which is not known"
