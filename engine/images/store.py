"""The eggs that are at home, and the unpacked layers that they are made of.

    eggs/NAME.json              an egg: its digest, its layers, where it came from
    layers/sha256/HEX/tree      an archive's files, or an image's, under the pets' id map
    layers/sha256/HEX/meta.json its size, and what was left out
    archives/sha256/HEX         a link to the layer that the archive with this digest holds
    downloads/                  partial files, kept so that the next pull can go on
    staging/                    work in hand: each directory is locked by whoever works on it

Whatever is killed, and when: an egg is listed once its file is renamed into place, which is
after its layers were; a directory in staging that nobody holds a lock on is a dead one's, and
the next pull clears it away.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import shutil
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import NamedTuple, TextIO

from engine import confined
from engine.errors import BadRequest, NoSuchEgg, ProcchiError, PullFailed
from engine.idmap import IdMap
from engine.images.locks import locked
from engine.images.removal import remove_contents
from engine.model import Egg, Progress, check_name

_DOWNLOADS_KEPT = 7 * 24 * 3600
"""Seconds for which the beginning of a download is worth going on from."""

_NO_EGG = (
    *(ValueError, LookupError, TypeError, AttributeError, RecursionError),
    *(BadRequest, IsADirectoryError),
)
"""What reading an egg's file raises when it is torn, or somebody else's."""


@dataclass(frozen=True, slots=True)
class Layer:
    """An unpacked archive in the store, or the unpacked layers of an image in one tree."""

    digest: str
    """`sha256:…` of the uncompressed archive; of several, their chain_id."""
    size: int
    """Bytes of all files."""
    entries: int
    left_out: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Staging:
    """A directory to work in, which vanishes with whoever works in it."""

    path: str
    lock: int
    """A descriptor: the lock is held while any process has it open."""

    @property
    def tree(self) -> str:
        """The directory to unpack into."""
        return os.path.join(self.path, "tree")


class Fresh(NamedTuple):
    """A layer just unpacked, still in staging."""

    staging: Staging
    layer: Layer
    archive_sha256: str | None
    """Hexadecimal, of the one archive that it came from, compressed or not, where it is one."""


class Store:
    """The store in `directory`, whose trees belong to `idmap`'s users. Makes what is missing."""

    def __init__(self, directory: str, idmap: IdMap) -> None:
        self.directory = os.path.abspath(directory)
        self.idmap = idmap
        self.downloads = self._place("downloads")
        self._eggs = self._place("eggs")
        self._layers = self._place("layers", "sha256")
        self._archives = self._place("archives", "sha256")
        self._staging = self._place("staging")

    def _place(self, *names: str) -> str:
        path = self.directory
        os.makedirs(path, 0o700, exist_ok=True)
        for name in names:
            path = os.path.join(path, name)
            os.makedirs(path, 0o700, exist_ok=True)
        return path

    # Eggs

    def eggs(self) -> list[Egg]:
        """Every egg, by name. A file that is none is set aside as `NAME.json.broken`."""
        names = [name for name in sorted(os.listdir(self._eggs)) if name.endswith(".json")]
        found = (self._read(name.removesuffix(".json")) for name in names)
        return [egg for egg in found if egg]

    def egg(self, name: str) -> Egg:
        """The egg called `name`. Raises NoSuchEgg."""
        egg = self._read(check_name(name, "egg"))
        if egg:
            return egg
        others = ", ".join(egg.name for egg in self.eggs())
        raise NoSuchEgg(
            f"there is no egg called {name!r} here "
            + (f"(there are: {others})" if others else "(there are none yet)")
            + "; `procchi pull` brings one"
        )

    def put(self, egg: Egg, fresh: Sequence[Fresh] = ()) -> None:
        """List `egg`, and make layers of the trees in `fresh` first, unless they are here already.

        An egg of the same name is replaced. Raises PullFailed where a layer that it needs was
        removed in the meantime.
        """
        with self._locked():
            for staging, layer, archive_sha256 in fresh:
                self._adopt(staging, layer, archive_sha256)
            if not all(map(self.layer, egg.layers)):
                raise PullFailed(f"another program removed a part of {egg.name!r}: pull again")
            temporary = os.path.join(self._eggs, f".{egg.name}")
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump(egg.to_json(), file, indent=2)
                _sync(file)
            os.rename(temporary, self._egg_file(egg.name))

    def remove(self, name: str, in_use: Collection[str] = ()) -> None:
        """Forget the egg called `name`, and remove the layers that nobody needs any more.

        `in_use` are the digests of layers on which pets live. Raises NoSuchEgg.
        """
        self.egg(name)
        os.unlink(self._egg_file(name))
        self.clean(in_use)

    def clean(self, in_use: Collection[str] | None = None) -> None:
        """Clear away what dead pulls left.

        Given `in_use`, the digests of layers on which pets live, also every layer that neither
        an egg nor a pet needs.
        """
        with self._locked():
            for name in os.listdir(self._eggs):
                if name.startswith("."):  # not renamed into place, and the lock is ours
                    os.unlink(os.path.join(self._eggs, name))
            if in_use is not None:
                self._retire_layers(set(in_use))
            abandoned = [self._take(name) for name in os.listdir(self._staging)]
        for staging in filter(None, abandoned):
            with contextlib.suppress(ProcchiError):  # then a later clean() may be luckier
                self._discard(staging)
        self._forget_old_downloads()

    def _egg_file(self, name: str) -> str:
        return os.path.join(self._eggs, f"{name}.json")

    def _read(self, name: str) -> Egg | None:
        path = self._egg_file(name)
        try:
            with open(path, encoding="utf-8") as file:
                egg = Egg.from_json(json.load(file))
            if check_name(egg.name) != name or not egg.layers:
                raise ValueError("another egg's file")
            for digest in egg.layers:
                if not os.path.isdir(self.layer_tree(digest)):
                    raise ValueError("a layer is missing")
        except FileNotFoundError:
            return None
        except _NO_EGG:
            with contextlib.suppress(OSError):
                os.rename(path, path + ".broken")
            return None
        except OSError as error:
            raise ProcchiError(f"{path} cannot be read: {error.strerror}") from None
        return egg

    # Layers

    def layer_tree(self, digest: str) -> str:
        """The directory of a layer's files."""
        return os.path.join(self._layer(digest), "tree")

    def layer(self, digest: str) -> Layer | None:
        """What is known of the layer, if it is in the store."""
        try:
            with open(os.path.join(self._layer(digest), "meta.json"), encoding="utf-8") as file:
                return Layer(**json.load(file))
        except (OSError, ValueError, TypeError):
            return None

    def layer_of_archive(self, sha256: str) -> Layer | None:
        """The layer that an archive with this digest (of the file as it is) was unpacked to."""
        try:
            target = os.readlink(os.path.join(self._archives, sha256))
        except OSError:
            return None
        return self.layer(f"sha256:{os.path.basename(target)}")

    def _adopt(self, staging: Staging, layer: Layer, archive_sha256: str | None) -> None:
        place = self._layer(layer.digest)
        if self.layer(layer.digest) is None:
            with open(os.path.join(staging.path, "meta.json"), "w", encoding="utf-8") as file:
                json.dump(asdict(layer), file)
                _sync(file)
            os.rename(staging.path, place)
        if archive_sha256 is None:
            return
        link = os.path.join(self._archives, archive_sha256)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(link)
        os.symlink(os.path.relpath(place, self._archives), link)

    def _layer(self, digest: str) -> str:
        algorithm, _, hexadecimal = digest.partition(":")
        if algorithm != "sha256" or len(hexadecimal) != 64 or not hexadecimal.isalnum():
            raise ValueError(f"{digest!r} is no sha256 digest")
        return os.path.join(self._layers, hexadecimal)

    def _retire_layers(self, needed: set[str]) -> None:
        """Move every layer that is not needed to staging, where it counts as abandoned."""
        for egg in self.eggs():
            needed.update(egg.layers)
        for name in os.listdir(self._layers):
            if f"sha256:{name}" not in needed:
                os.rename(
                    os.path.join(self._layers, name),
                    os.path.join(self._staging, secrets.token_hex(8)),
                )
        for name in os.listdir(self._archives):
            link = os.path.join(self._archives, name)
            if not os.path.exists(link):
                os.unlink(link)

    # Work in hand

    @contextmanager
    def only_one(self, digest: str, progress: Callable[[Progress], None]) -> Iterator[None]:
        """The block runs once no other pull works on the tree with this digest."""
        path = os.path.join(self.downloads, os.path.basename(self._layer(digest)) + ".lock")
        with locked(path, progress):
            try:
                yield
            finally:
                with contextlib.suppress(FileNotFoundError):  # it may seem old to another pull
                    os.unlink(path)

    @contextmanager
    def staging(self) -> Iterator[Staging]:
        """A locked directory with an empty `tree`; removed afterwards, unless it was adopted."""
        name = secrets.token_hex(8)
        path = os.path.join(self._staging, name)
        with self._locked():
            os.mkdir(path, 0o700)
            staging = self._take(name)
        if staging is None:
            raise ProcchiError(f"{path} was just made, and somebody else has locked it")
        try:
            os.mkdir(staging.tree, 0o755)
            if os.geteuid() == 0:
                os.chown(staging.tree, self.idmap.root_uid, self.idmap.root_gid)
            yield staging
        finally:
            self._discard(staging)

    def _take(self, name: str) -> Staging | None:
        """A directory in staging, locked, unless somebody alive holds it."""
        path = os.path.join(self._staging, name)
        try:
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(fd)
            return None
        return Staging(path, fd)

    def _discard(self, staging: Staging) -> None:
        """Remove the directory, if it is still there, and let go of the lock."""
        try:
            if os.path.isdir(staging.tree):
                # Its files belong to the pets' users, and a pet's root may remove them all.
                confined.run(remove_contents, staging.tree, self.idmap, keep=(staging.lock,))
            shutil.rmtree(staging.path, ignore_errors=True)
        finally:
            os.close(staging.lock)

    def _forget_old_downloads(self) -> None:
        oldest = time.time() - _DOWNLOADS_KEPT
        for entry in os.scandir(self.downloads):
            with contextlib.suppress(FileNotFoundError):
                if entry.stat(follow_symlinks=False).st_mtime < oldest:
                    os.unlink(entry.path)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """The store's own lock, held for moments only: never while unpacking or removing."""
        fd = os.open(
            os.path.join(self.directory, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        try:
            fcntl.flock(fd, fcntl.LOCK_EX)
            yield
        finally:
            os.close(fd)


def _sync(file: TextIO) -> None:
    file.flush()
    os.fsync(file.fileno())
