"""Where eggs come from: sources, the unpacker that trusts nobody, and the store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from engine.model import Egg, Progress

if TYPE_CHECKING:
    from engine.images.archive import Bounds
    from engine.images.store import Store


def _silent(progress: Progress) -> None:
    pass


def pull(
    reference: str,
    *,
    store: Store,
    name: str | None = None,
    sha256: str | None = None,
    progress: Callable[[Progress], None] = _silent,
    bounds: Bounds | None = None,
) -> Egg:
    """Bring the egg that `reference` means into `store`, and list it as `name`.

    `reference` is `home`; the path, or an `http(s)://` or `file://` URL, of a tarball of a root
    filesystem or of an image (an OCI layout, or what `docker save` writes); a folder that holds
    either; or an image in a registry, as container tools write it: `alpine`,
    `ghcr.io/owner/name:tag`, `localhost:5000/name@sha256:…`. A folder's path has a `/` in it.
    The name is made from it where none is given; an egg of the same name is replaced. `sha256`
    (64 hexadecimal digits, of the file as it is, compressed or not, or of a registry's manifest
    or index) is checked before anything is unpacked. `progress` is called from this thread, and
    what it raises ends the pull.

    Raises BadRequest, NoSuchEgg or PullFailed, each with one line that names what was asked
    for; then nothing of it is in the store but the beginning of a download, to go on from.
    Forks a confined child: call it in a process, and a thread, that has no others.
    """
    # Imported here: the nest reads the store and never pulls itself.
    from engine.images.pulling import pull_into

    return pull_into(store, reference, name, sha256, progress, bounds)
