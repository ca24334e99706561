"""One pull, from the words to the egg in the store."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Mapping
from typing import Any

from engine.errors import BadRequest, ProcchiError, PullFailed
from engine.images import catalogue
from engine.images.archive import Packed, Unpacked, chain_id, unpack, unpacking
from engine.images.bounds import MORE
from engine.images.layout import Image, find
from engine.images.platforms import this_platform
from engine.images.saying import about, printable
from engine.images.sources import Archive, opened
from engine.images.store import Fresh, Layer, Staging, Store
from engine.images.terms import Terms
from engine.images.words import default_name, in_a_registry, may_be_offered, without_password
from engine.model import Egg, Progress, check_name, format_size, now

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})", re.ASCII)


def pull_into(
    store: Store,
    reference: str,
    name: str | None,
    terms: Terms,
    more: str | None = None,
) -> Egg:
    """As engine.images.pull says; `more` is the catalogue before our own."""
    hint = ""
    try:
        egg_name = check_name(default_name(reference) if name is None else name, "egg name")
        if terms.sha256 is not None:
            terms = terms._replace(sha256=_digits(terms.sha256))
        terms.progress(Progress("resolving", 0, None))
        store.clean()
        words = reference
        if may_be_offered(reference):
            if offer := catalogue.find(reference, more):
                words, listed, made_for = catalogue.resolve(offer, terms.platform)
                terms = terms._replace(sha256=terms.sha256 or listed, made_for=made_for)
            elif in_a_registry(reference):
                hint = f" (the catalogue has no {reference!r}: see `procchi eggs --catalogue`)"
        with store.downloading(), opened(words, store, terms) as found:
            hint = ""  # the registry has one
            source = without_password(reference)
            if isinstance(found, Archive):
                return _keep(store, found, egg_name, source, terms)
            return _keep_image(store, found, egg_name, source, terms)
    except ProcchiError as error:
        raise type(error)(printable(f"{error}{hint}")) from None
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        why = f"there is no room left on the disk of {store.directory}" if full else str(error)
        raise PullFailed(printable(f"{without_password(reference)}: {why}")) from None


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
    terms: Terms,
) -> Egg:
    with store.only_one(f"sha256:{archive.sha256}", terms.progress):
        if known := store.layer_of_archive(archive.sha256):
            egg = _root_filesystem(name, known, source, terms)
            store.put(egg)
            return egg
        return _keep_new(store, archive, name, source, terms)


def _keep_new(
    store: Store,
    archive: Archive,
    name: str,
    source: str,
    terms: Terms,
) -> Egg:
    with store.staging() as staging:
        with about(source), staging.ledger() as ledger:
            unpacked = unpack(
                archive.fd,
                staging.tree,
                store.idmap,
                bounds=terms.bounds,
                progress=terms.progress,
                ledger=ledger,
                keep=(staging.lock,),
            )
        archive.check_unchanged()
        root = os.open(staging.tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            if image := find(root, source, terms.platform):
                return _keep_image(store, image, name, source, terms)
        finally:
            os.close(root)
        terms.progress(Progress("storing", 0, None))
        left_out = dict(unpacked.left_out)
        parts = [(unpacked.digest, archive.seen.st_size)]
        layer = Layer(unpacked.digest, unpacked.size, unpacked.entries, left_out, parts)
        egg = _root_filesystem(name, layer, source, terms)
        store.put(egg, [Fresh(staging, layer, archive.sha256)])
    return egg


def _keep_image(
    store: Store,
    image: Image,
    name: str,
    source: str,
    terms: Terms,
) -> Egg:
    diff_ids, platform, wishes = image.configuration
    chain = chain_id(diff_ids)

    def made(layer: Layer) -> Egg:
        return _egg(name, layer, source, terms, str(platform), wishes)

    with store.only_one(chain, terms.progress):
        if known := store.layer(chain):
            egg = made(known)
            store.put(egg)
            return egg
        if image.size > terms.bounds.size:
            most = terms.bounds.size
            more = f"{MORE}size={format_size(2 * image.size)}"
            raise PullFailed(f"{source}: has more than {format_size(most)} of layers ({more})")
        with store.staging() as staging:
            unpacked, parts = _unpack_image(image, staging, store, source, terms)
            terms.progress(Progress("storing", 0, None))
            left_out = dict(unpacked.left_out)
            layer = Layer(chain, unpacked.size, unpacked.entries, left_out, parts)
            egg = made(layer)
            store.put(egg, [Fresh(staging, layer, None)])
    return egg


def _unpack_image(
    image: Image, staging: Staging, store: Store, source: str, terms: Terms
) -> tuple[Unpacked, list[tuple[str, int]]]:
    """Its tree, and its layers as Layer.parts has them. They are unpacked as they come."""
    diff_ids, parts = image.configuration.diff_ids, []
    with (
        staging.ledger() as ledger,
        unpacking(
            len(diff_ids),
            staging.tree,
            store.idmap,
            terms.bounds,
            terms.progress,
            ledger,
            (staging.lock,),
        ) as tree,
        image.layers(tree.meanwhile) as files,
    ):
        for file, diff_id, name in zip(files, diff_ids, image.names, strict=True):
            parts.append((diff_id, os.fstat(file).st_size))
            with about(source):
                tree.put(Packed(file, diff_id, name))
        with about(source):
            return tree.finish(), parts


def _root_filesystem(name: str, layer: Layer, source: str, terms: Terms) -> Egg:
    """The egg of an archive that is no image. Raises BadRequest where another was wanted."""
    if (terms.made_for or this_platform()) not in terms.platform.variants():
        raise BadRequest(f"{source}: is no image, and has no other platforms to choose from")
    return _egg(name, layer, source, terms, str(terms.made_for or ""), {})


def _egg(
    name: str, layer: Layer, source: str, terms: Terms, platform: str, wishes: Mapping[str, Any]
) -> Egg:
    return Egg(
        name=name,
        digest=layer.digest,
        size=layer.size,
        created_at=now(),
        source=source,
        layers=(layer.digest,),
        left_out=layer.left_out,
        config=wishes,
        platform=platform,
        pins=terms.pins,
    )
