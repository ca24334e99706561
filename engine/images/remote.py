"""An image in a registry: its configuration at once, its layers when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial

from engine.errors import ProcchiError, PullFailed
from engine.images import manifest
from engine.images.download import Wanted, drop, fetched
from engine.images.layout import Image, check_file
from engine.images.manifest import Descriptor
from engine.images.reference import Reference
from engine.images.registry import Registry
from engine.images.saying import about
from engine.model import Progress


@contextmanager
def remote(
    reference: Reference,
    downloads: str,
    wanted: str | None,
    progress: Callable[[Progress], None],
) -> Iterator[Image]:
    """What the registry has under `reference` for this machine's platform.

    `wanted` is the SHA-256 that its manifest or index must have. Layers are fetched into the
    directory `downloads`, where those that came whole stay until all are there and unpacked: a
    pull that was interrupted goes on from them. Raises NoSuchEgg or PullFailed.
    """
    with Registry(reference) as registry:
        with about(reference):
            registry.reach()
            top = registry.document(reference.wanted)
            if wanted:
                manifest.check_digest(top.body, f"sha256:{wanted}")
            platform = manifest.this_platform()
            found, chosen = manifest.find(top, platform, registry.document)
            body = registry.configuration(found.configuration)
            configuration = manifest.read_configuration(body)
            configuration.check(len(found.layers), None if chosen else platform)
        different = {layer.digest: layer for layer in found.layers}

        @contextmanager
        def layers() -> Iterator[Sequence[int]]:
            with ExitStack() as held:
                with about(reference):
                    paths = _fetched(held, registry, different, downloads, progress)
                files = {
                    digest: held.enter_context(open(path, "rb", 0))
                    for digest, path in paths.items()
                }
                for digest, file in files.items():
                    try:
                        with about(reference):
                            check_file(file.fileno(), different[digest])
                    except PullFailed:
                        drop(paths[digest])
                        raise
                try:
                    yield [files[layer.digest].fileno() for layer in found.layers]
                except ProcchiError:  # what is wrong with them will be wrong again
                    _drop_all(paths.values())
                    raise
                _drop_all(paths.values())

        yield Image(configuration, sum(layer.size for layer in different.values()), layers)


def _fetched(
    held: ExitStack,
    registry: Registry,
    layers: Mapping[str, Descriptor],
    downloads: str,
    progress: Callable[[Progress], None],
) -> dict[str, str]:
    """The paths of the layers by digest, all there, and locked until `held` ends."""
    total, done = sum(layer.size for layer in layers.values()), 0
    paths = {}
    # By digest, so that no two pulls wait for each other.
    for digest in sorted(layers):
        layer = layers[digest]
        before = done

        def tell(one: Progress, before: int = before) -> None:
            downloading = one.stage == "downloading"
            progress(Progress(one.stage, before + one.done, total) if downloading else one)

        wanted = Wanted(digest, f"layer {digest}", digest.partition(":")[2], layer.size)
        ask = partial(registry.blob, digest)
        paths[digest] = held.enter_context(fetched(ask, wanted, downloads, tell))
        done += layer.size
        progress(Progress("downloading", done, total))
    return paths


def _drop_all(paths: Iterable[str]) -> None:
    for path in paths:
        drop(path)
