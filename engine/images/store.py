"""The eggs that are at home, and the unpacked layers that they are made of.

    eggs/NAME.json              an egg: its digest, its layers, where it came from
    layers/sha256/HEX/tree      an archive's files, or an image's, under the pets' id map
    layers/sha256/HEX/meta.json its size, and what was left out
    layers/sha256/HEX/ledger    what its tree held when it was unpacked (ledger.py)
    archives/sha256/HEX         a link to the layer that the archive with this digest holds
    downloads/                  partial files, kept so that the next pull can go on
    staging/                    work in hand: each directory is locked by whoever works on it

Whatever is killed, and when, even if it is the machine: an egg is listed once its file is renamed
into place, which is after its layers were, which is after all of them was on the disk. A directory
in staging that nobody holds a lock on is a dead one's, and the next pull clears it away.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any, NamedTuple

from engine import confined
from engine.errors import BadRequest, NoSuchEgg, ProcchiError, PullFailed
from engine.idmap import IdMap
from engine.images.locks import locked
from engine.images.removal import remove_contents
from engine.images.walking import size_of_files
from engine.model import Egg, Freed, Progress, Verdict, check_name
from engine.syswrap import syncfs

_DOWNLOADS_KEPT = 7 * 24 * 3600
"""Seconds for which the beginning of a download is worth going on from."""

_NEW_FILE = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
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
    parts: Sequence[tuple[str, int]] = ()
    """The archives that it is made of, lowest first: the digest of each one uncompressed, and the
    bytes that it had as it came."""


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

    @contextmanager
    def ledger(self) -> Iterator[int]:
        """A descriptor of the file that says what the tree holds."""
        fd = os.open(os.path.join(self.path, "ledger"), _NEW_FILE, 0o600)
        try:
            yield fd
        finally:
            os.close(fd)


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
        with self._workplace() as work:
            listed = os.path.join(work.path, "egg.json")
            _write(listed, egg.to_json())
            for staging, layer, _ in fresh:
                _write(os.path.join(staging.path, "meta.json"), asdict(layer))
            # Before the lock, which the nest may be waiting for.
            if fresh:
                syncfs(work.lock)
            else:
                _sync(listed)
            with self._locked():
                for staging, layer, archive_sha256 in fresh:
                    self._adopt(staging, layer, archive_sha256)
                if not all(map(self.layer, egg.layers)):
                    raise PullFailed(f"another program removed a part of {egg.name!r}: pull again")
                os.rename(listed, self._egg_file(egg.name))

    def remove(self, name: str, in_use: Collection[str] = ()) -> None:
        """Forget the egg called `name`; `clean` then removes the layers that nobody needs any more.

        `in_use` are the digests of layers on which pets live. Raises NoSuchEgg.
        """
        self.egg(name)
        os.unlink(self._egg_file(name))
        self.retire(in_use)

    def retire(self, in_use: Collection[str]) -> None:
        """Put aside every layer that neither an egg needs nor a pet, for `clean` to remove.

        Quick, and to be done by whoever knows the pets: none can hatch meanwhile.
        """
        with self._locked():
            self._retire_layers(set(in_use))

    def clean(self, downloads_too: bool = False) -> Freed:
        """Remove what was put aside and what dead pulls left, and say what that was.

        Downloads go once they are old; with `downloads_too` all of them. While a pull is under
        way they stay, and so does whatever it works on.
        """
        with self._locked():
            abandoned = [self._take(name) for name in os.listdir(self._staging)]
        freed = Freed()
        for staging in filter(None, abandoned):
            with contextlib.suppress(ProcchiError):  # then a later clean() may be luckier
                size, retired = self._weigh(staging)
                self._discard(staging)
                one = (1, size)
                freed = freed + (Freed(layers=one) if retired else Freed(unfinished=one))
        return freed + self._forget_downloads(
            time.time() - (0 if downloads_too else _DOWNLOADS_KEPT)
        )

    def _weigh(self, staging: Staging) -> tuple[int, bool]:
        """Bytes in it, and whether it was a layer once."""
        try:
            with open(os.path.join(staging.path, "meta.json"), encoding="utf-8") as file:
                return int(Layer(**json.load(file)).size), True
        except (OSError, ValueError, TypeError):
            pass
        size = 0
        with os.scandir(staging.path) as entries:
            size += sum(one.stat(follow_symlinks=False).st_size for one in entries if one.is_file())
        if os.path.isdir(staging.tree):
            size += confined.run(size_of_files, staging.tree, self.idmap, keep=(staging.lock,))
        return size, False

    @contextmanager
    def downloading(self) -> Iterator[None]:
        """While the block runs, nobody clears downloads away, finished or not."""
        fd = os.open(self.downloads, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_SH)
            yield
        finally:
            os.close(fd)

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
                    os.path.join(self._staging, os.urandom(8).hex()),
                )
        for name in os.listdir(self._archives):
            link = os.path.join(self._archives, name)
            if not os.path.exists(link):
                os.unlink(link)

    def verify(self, names: Collection[str] = ()) -> list[Verdict]:
        """Whether the eggs called `names`, or all, are what was unpacked. Raises NoSuchEgg."""
        return [self._verdict(self.egg(name)) for name in names or [e.name for e in self.eggs()]]

    def _verdict(self, egg: Egg) -> Verdict:
        entries, damage, more = 0, list[str](), 0
        for digest in egg.layers:
            try:
                found = self._compare(digest)
            except (OSError, ProcchiError) as error:
                gone = isinstance(error, FileNotFoundError)
                damage.append("there is no ledger to compare it with" if gone else str(error))
                continue
            entries += found["entries"]
            damage += found["damage"]
            more += found["more"]
        return Verdict(egg.name, egg.digest, entries, tuple(damage), more)

    def _compare(self, digest: str) -> dict[str, Any]:
        from engine.images.ledger import compare  # the nest only reads the store

        with open(os.path.join(self._layer(digest), "ledger"), "rb") as file:
            ledger = file.fileno()
            tree = self.layer_tree(digest)
            found = confined.run(lambda: compare(ledger), tree, self.idmap, keep=(ledger,))
        return dict(found)

    # Work in hand

    @contextmanager
    def only_one(self, digest: str, progress: Callable[[Progress], None]) -> Iterator[None]:
        """The block runs once no other pull works on what has this digest: an archive, a tree."""
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
        with self._workplace() as staging:
            os.mkdir(staging.tree, 0o755)
            if os.geteuid() == 0:
                os.chown(staging.tree, self.idmap.root_uid, self.idmap.root_gid)
            yield staging

    @contextmanager
    def _workplace(self) -> Iterator[Staging]:
        name = os.urandom(8).hex()
        path = os.path.join(self._staging, name)
        with self._locked():
            os.mkdir(path, 0o700)
            staging = self._take(name)
        if staging is None:
            raise ProcchiError(f"{path} was just made, and somebody else has locked it")
        try:
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
            if os.path.samestat(os.stat(path), os.fstat(fd)):
                return Staging(path, fd)
        except (BlockingIOError, FileNotFoundError):  # or somebody has removed it since
            pass
        os.close(fd)
        return None

    def _discard(self, staging: Staging) -> None:
        """Remove the directory, if it is still there, and let go of the lock."""
        try:
            if os.path.isdir(staging.tree):
                # Its files belong to the pets' users, and a pet's root may remove them all.
                confined.run(remove_contents, staging.tree, self.idmap, keep=(staging.lock,))
            from shutil import rmtree  # late: the nest's forks copy each library that it has

            rmtree(staging.path, ignore_errors=True)
        finally:
            os.close(staging.lock)

    def _forget_downloads(self, newest: float) -> Freed:
        """Remove downloads up to that age (seconds since the epoch), unless a pull may use them."""
        count = size = 0
        fd = os.open(self.downloads, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for entry in os.scandir(self.downloads):
                found = entry.stat(follow_symlinks=False)
                if found.st_mtime <= newest:
                    os.unlink(entry.path)
                    size += found.st_size
                    count += entry.name.endswith(".part")
        except BlockingIOError:
            return Freed(pulling=True)
        finally:
            os.close(fd)
        return Freed(downloads=(count, size))

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


def _write(path: str, value: dict[str, Any]) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump(value, file, indent=2)


def _sync(path: str) -> None:
    """Have a file on the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
