"""An image in a registry: its configuration at once, its layers when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial

from engine.errors import PullFailed
from engine.images import manifest
from engine.images.abreast import Job, Tell, fetch_abreast
from engine.images.download import Wanted, drop, fetched, forget, keep, path_of
from engine.images.layout import Image, Unfit, check_layer
from engine.images.manifest import Descriptor
from engine.images.reference import Reference
from engine.images.registry import Registry
from engine.images.saying import about
from engine.images.terms import Terms
from engine.model import Progress


@contextmanager
def remote(
    reference: Reference,
    downloads: str,
    terms: Terms,
) -> Iterator[Image]:
    """What the registry has under `reference` for the platform of `terms`.

    Their SHA-256 is that of its manifest or index. Layers are fetched into the
    directory `downloads`, where they stay for a while: a pull that was interrupted goes on from
    them, and another image with the same layer need not fetch it. Raises NoSuchEgg or PullFailed.
    """
    with Registry(reference) as registry:
        with about(reference):
            registry.reach()
            top = registry.document(reference.wanted)
            if terms.sha256:
                manifest.check_digest(top.body, f"sha256:{terms.sha256}")
            found, said = manifest.find(top, terms.platform, registry.document)
            body = registry.configuration(found.configuration)
            configuration = manifest.read_configuration(body)
            configuration = configuration.checked(len(found.layers), terms.platform, said)
        different = {layer.digest: layer for layer in found.layers}

        @contextmanager
        def layers(progress: Callable[[Progress], None]) -> Iterator[Iterator[int]]:
            jobs = [
                Job(layer.digest, layer.size, partial(_fetch, registry, layer, downloads))
                for layer in different.values()
            ]

            def files() -> Iterator[int]:
                here = dict[str, int]()
                for layer in found.layers:
                    while layer.digest not in here:
                        with about(reference):
                            digest = next(arriving)
                            here[digest] = _opened(held, path_of(digest, downloads))
                    yield here[layer.digest]

            with ExitStack() as held, closing(fetch_abreast(jobs, progress)) as arriving:
                try:
                    yield files()
                except Unfit:  # what is wrong with them will be wrong again
                    for digest in different:
                        forget(path_of(digest, downloads))  # another pull may be reading it
                    raise

        yield Image(
            configuration,
            sum(layer.size for layer in different.values()),
            tuple(layer.digest for layer in found.layers),
            layers,
        )


def _opened(held: ExitStack, path: str) -> int:
    try:
        return held.enter_context(open(path, "rb", 0)).fileno()
    except FileNotFoundError:
        raise PullFailed("another pull could not use a layer, and forgot it: try again") from None


def _fetch(registry: Registry, layer: Descriptor, downloads: str, tell: Tell) -> None:
    """Bring one layer into `downloads`, checked. Runs in a process of its own."""
    registry.reconnect()
    is_new = False

    def progress(now: Progress) -> None:
        nonlocal is_new
        is_new = is_new or now.stage == "downloading"
        tell("downloading" if is_new else "waiting", now.done)

    wanted = Wanted(layer.digest, f"layer {layer.digest}", layer.digest[7:], layer.size)
    ask = partial(registry.blob, layer.digest)
    with fetched(ask, wanted, downloads, progress) as found:
        try:
            check_layer(found.sha256, layer)
        except PullFailed:
            drop(found.path)
            raise
        keep(found.path)
