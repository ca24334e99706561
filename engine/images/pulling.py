"""One pull, from the words to the egg in the store."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

from engine.errors import BadRequest, ProcchiError, PullFailed
from engine.images.archive import Bounds, Packed, chain_id, unpack, unpack_layers
from engine.images.layout import Image, find
from engine.images.saying import about
from engine.images.sources import Archive, default_name, opened, without_password
from engine.images.store import Fresh, Layer, Store
from engine.model import Egg, Progress, check_name, format_size, now

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})", re.ASCII)


def pull_into(
    store: Store,
    reference: str,
    name: str | None,
    sha256: str | None,
    progress: Callable[[Progress], None],
    bounds: Bounds | None = None,
) -> Egg:
    """As engine.images.pull says."""
    try:
        egg_name = check_name(default_name(reference) if name is None else name, "egg name")
        wanted = None if sha256 is None else _digits(sha256)
        progress(Progress("resolving", 0, None))
        store.clean()
        with opened(reference, store, wanted, progress) as found:
            source = without_password(reference)
            bounds = bounds or Bounds()
            if isinstance(found, Archive):
                return _keep(store, found, egg_name, source, progress, bounds)
            return _keep_image(store, found, egg_name, source, progress, bounds)
    except ProcchiError as error:
        raise type(error)(_printable(str(error))) from None
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = f"there is no room left on the disk of {store.directory}" if full else str(error)
        raise PullFailed(_printable(f"{without_password(reference)}: {why}")) from None


def _printable(text: str) -> str:
    """One line that does nothing to a terminal: names and servers' words may be anybody's."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _digits(sha256: str) -> str:
    match = _SHA256.fullmatch(sha256.strip())
    if not match:
        raise BadRequest(f"{sha256[:80]!r} is no SHA-256: it has 64 hexadecimal digits")
    return match[1].lower()


def _keep(
    store: Store,
    archive: Archive,
    name: str,
    source: str,
    progress: Callable[[Progress], None],
    bounds: Bounds,
) -> Egg:
    known = store.layer_of_archive(archive.sha256)
    if known:
        egg = _egg(name, known, source)
        store.put(egg)
        return egg
    with store.staging() as staging:
        with about(source):
            unpacked = unpack(
                archive.fd,
                staging.tree,
                store.idmap,
                bounds=bounds,
                progress=progress,
                keep=(staging.lock,),
            )
        archive.check_unchanged()
        root = os.open(staging.tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if image := find(root, source):
                return _keep_image(store, image, name, source, progress, bounds)
        finally:
            os.close(root)
        progress(Progress("storing", 0, None))
        layer = Layer(unpacked.digest, unpacked.size, unpacked.entries, dict(unpacked.left_out))
        egg = _egg(name, layer, source)
        store.put(egg, [Fresh(staging, layer, archive.sha256)])
    return egg


def _keep_image(
    store: Store,
    image: Image,
    name: str,
    source: str,
    progress: Callable[[Progress], None],
    bounds: Bounds,
) -> Egg:
    diff_ids = image.configuration.diff_ids
    chain = chain_id(diff_ids)
    wishes = image.configuration.wishes
    with store.only_one(chain, progress):
        if known := store.layer(chain):
            egg = _egg(name, known, source, wishes)
            store.put(egg)
            return egg
        if image.size > bounds.size:
            raise PullFailed(f"{source}: has more than {format_size(bounds.size)} of layers")
        with image.layers() as files, store.staging() as staging:
            with about(source):
                unpacked = unpack_layers(
                    [Packed(*one) for one in zip(files, diff_ids, strict=True)],
                    staging.tree,
                    store.idmap,
                    bounds=bounds,
                    progress=progress,
                    keep=(staging.lock,),
                )
            progress(Progress("storing", 0, None))
            layer = Layer(chain, unpacked.size, unpacked.entries, dict(unpacked.left_out))
            egg = _egg(name, layer, source, wishes)
            store.put(egg, [Fresh(staging, layer, None)])
    return egg


def _egg(name: str, layer: Layer, source: str, wishes: Mapping[str, Any] | None = None) -> Egg:
    return Egg(
        name=name,
        digest=layer.digest,
        size=layer.size,
        created_at=now(),
        source=source,
        layers=(layer.digest,),
        left_out=layer.left_out,
        config=wishes or {},
    )
