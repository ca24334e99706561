"""Where eggs come from: sources, the unpacker that trusts nobody, and the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from engine.model import Egg, Progress

if TYPE_CHECKING:
    from engine.images.bounds import Bounds
    from engine.images.store import Store


def pull(
    reference: str,
    *,
    store: Store,
    name: str | None = None,
    sha256: str | None = None,
    platform: str | None = None,
    progress: Callable[[Progress], None] | None = None,
    bounds: Bounds | None = None,
    catalogue: str | None = None,
) -> Egg:
    """Bring the egg that `reference` means into `store`, and list it as `name`.

    `reference` is `home`; a name in the catalogue, which goes before a registry's image of the
    same short name; the path, or an `http(s)://` or `file://` URL, of a tarball of a root
    filesystem or of an image (an OCI layout, or what `docker save` writes); a folder that holds
    either; or an image in a registry, as container tools write it: `alpine:3.20`,
    `ghcr.io/owner/name:tag`, `localhost:5000/name@sha256:…`. A path is absolute (`made_whole`).
    `catalogue` is the path or URL of a catalogue that goes before Procchi's own.
    The name is made from it where none is given; an egg of the same name is replaced. `sha256`
    (64 hexadecimal digits, of the file as it is, compressed or not, or of a registry's manifest
    or index) is checked before anything is unpacked. `platform` (`linux/arm64`) chooses among an
    image's variants; without it, this machine's. `bounds` is how much it may be, unless the
    environment's PROCCHI_BOUNDS says. `progress` is called from this thread, and
    what it raises ends the pull.

    Raises BadRequest, NoSuchEgg or PullFailed, each with one line that names what was asked
    for; then nothing of it is in the store but the beginning of a download, to go on from.
    Forks a confined child: call it in a process, and a thread, that has no others.
    """
    # Imported here: the nest reads the store and never pulls itself.
    from engine.images import platforms
    from engine.images.bounds import from_environment
    from engine.images.pulling import pull_into
    from engine.images.terms import Terms

    asked = {"sha256": sha256, "platform": platform}
    terms = Terms(
        pins={name: value for name, value in asked.items() if value},
        sha256=sha256,
        platform=platforms.parse(platform) if platform else platforms.this_platform(),
        progress=progress or (lambda _: None),
        bounds=bounds or from_environment(),
    )
    return pull_into(store, reference, name, terms, catalogue)


def offers(more: str | None = None) -> dict[str, Any]:
    """What can be pulled by a short name, as it travels: `{"offers": […]}`.

    `more` is the path or URL of a catalogue that goes before Procchi's own. Raises as `pull`.
    """
    from engine.images import catalogue

    return {"offers": [offer.to_json() for offer in catalogue.offers(more)]}
