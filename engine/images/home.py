"""Cooking the `home` egg: a small root filesystem of this machine's own shell and tools.

Each tool stands where this machine has it, with the symlinks that lead there (`bin -> usr/bin`,
Debian's alternatives, Alpine's busybox applets) and the libraries that its loader would find
for it (ld.so(8); for musl, ldso/dynlink.c). They are found by reading, never by running.

The result is a tar archive like any other: sorted, owned by root, each file with its own time,
so that the same files make the same digest; and it is unpacked like any other.
"""

from __future__ import annotations

import glob
import io
import os
import re
import stat
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import BinaryIO, NamedTuple

from engine.errors import PullFailed
from engine.images import elf
from engine.model import MIB, Progress

_TOOLS = """
sh bash ls cat echo head tail tr sleep stat id timeout env printf true false test [ wc sort uniq
cut seq yes dd df du mkdir rm rmdir cp mv ln touch chmod chown chgrp date uname whoami hostname
nproc tee readlink realpath basename dirname expr kill mktemp mkfifo mknod od pwd stty tty sync
sha256sum md5sum base64 tac nl paste comm nice nohup groups truncate shuf split install
grep egrep sed awk find xargs diff cmp which
ps top free uptime pgrep pkill pidof vmstat watch
mount umount mountpoint findmnt lsns unshare nsenter setpriv capsh prlimit taskset ip ss ping nc
vi nano less more clear reset tput tar gzip gunzip zcat getent strace
""".split()
_WHERE = ("/bin", "/usr/bin", "/sbin", "/usr/sbin")
_MERGED = (*_WHERE, "/lib", "/lib32", "/lib64", "/libx32", "/usr/lib64")
"""Directories that are symlinks to others on many systems, and that people write in paths."""
_SHELLS = ("sh", "bash", "dash", "ash", "busybox", "coreutils")
"""Whose scripts come along. (Fedora's coreutils can be one program, and each tool a script.)"""
_HEAVY = 12 * MIB
"""Bytes that a tool may add, libraries included. Some machines' vi is all of vim and Python."""
_TERMINALS = """
ansi dumb linux screen screen-256color tmux tmux-256color vt100 vt220 xterm xterm-256color
""".split()
_TERMINFO = ("/etc/terminfo", "/lib/terminfo", "/usr/lib/terminfo", "/usr/share/terminfo")
_LOCALES = ("/usr/lib/locale/C.utf8", "/usr/lib/locale/C.UTF-8")
_LIBRARIES = ("/lib64", "/usr/lib64", "/lib", "/usr/lib")
"""Where a glibc loader looks that does not say where."""
_LIBRARIES_SAID = re.compile(rb"(?<=\0)((?:/[\w.+-]+)+)/(?=\0)")
_CACHE = "/etc/ld.so.cache"
_MUSL_PATH = "/lib:/usr/local/lib:/usr/lib"
_MUSL_ITSELF = ("libc.", "libpthread.", "librt.", "libm.", "libdl.", "libutil.", "libxnet.")
"""Names for which musl's loader stands itself."""
_MOST_LINKS = 40
"""On one path, as for the kernel (path_resolution(7))."""
_DIRECTORIES = {
    "": 0o755,
    "/dev": 0o755,
    "/etc": 0o755,
    "/home": 0o755,
    "/mnt": 0o755,
    "/proc": 0o555,
    "/root": 0o700,
    "/run": 0o755,
    "/sys": 0o555,
    "/tmp": 0o1777,
    "/usr": 0o755,
    "/var": 0o755,
    "/var/tmp": 0o1777,
}


class Trace(NamedTuple):
    """Where a path leads, and what lies on the way."""

    real: str
    mode: int
    size: int
    """Bytes."""
    mtime: int
    """Whole seconds since 1970."""
    links: dict[str, str]
    """Symlinks and what they say."""
    directories: set[str]


class Host:
    """A machine's files, whose `/` is the directory `root`. Links are followed inside it."""

    def __init__(self, root: str) -> None:
        self._root = root.rstrip("/")
        self.cache = elf.read_cache(self.read(_CACHE))

    def trace(self, path: str) -> Trace | None:
        """Follow `path` to its end, or None where it leads nowhere."""
        here, links, directories = "", dict[str, str](), set[str]()
        parts, followed = path.split("/")[::-1], 0
        found = os.lstat(self._root + "/")
        while parts:
            part = parts.pop()
            if part in ("", ".", ".."):
                here = os.path.dirname(here).rstrip("/") if part == ".." else here
                continue
            there = f"{here}/{part}"
            try:
                found = os.lstat(self._root + there)
                if stat.S_ISLNK(found.st_mode):
                    followed += 1
                    if followed > _MOST_LINKS:
                        return None
                    target = links[there] = os.readlink(self._root + there)
                    parts += target.split("/")[::-1]
                    here = "" if target.startswith("/") else here
                    continue
            except OSError:
                return None
            here = there
            if stat.S_ISDIR(found.st_mode):
                directories.add(here)
        return Trace(here, found.st_mode, found.st_size, int(found.st_mtime), links, directories)

    def file(self, path: str) -> Trace | None:
        """As `trace`, if it leads to a regular file that may be read."""
        trace = self.trace(path)
        if trace and stat.S_ISREG(trace.mode) and os.access(self._root + trace.real, os.R_OK):
            return trace
        return None

    def open(self, real: str) -> BinaryIO:
        """Open a path that `trace` found."""
        fd = os.open(self._root + real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        return os.fdopen(fd, "rb")

    def read(self, path: str) -> bytes:
        """What is in the file; nothing where there is none."""
        trace = self.file(path)
        if not trace:
            return b""
        with self.open(trace.real) as file:
            return file.read()

    def glob(self, wild: str) -> list[str]:
        """The paths that match, in order."""
        found = glob.glob(glob.escape(self._root) + wild)
        return sorted(path.removeprefix(self._root) for path in found)


@dataclass
class Basket:
    """What goes into the egg."""

    files: dict[str, int] = field(default_factory=dict)
    """Their sizes, in bytes."""
    links: dict[str, str] = field(default_factory=dict)
    directories: set[str] = field(default_factory=set)

    def put(self, trace: Trace) -> None:
        """Put in a file or directory, with all that leads to it."""
        self.links |= trace.links
        self.directories |= trace.directories
        if stat.S_ISREG(trace.mode):
            self.files[trace.real] = trace.size

    def add(self, other: Basket) -> None:
        """Put in what is in the other."""
        self.files |= other.files
        self.links |= other.links
        self.directories |= other.directories

    def weight_of(self, other: Basket) -> int:
        """Bytes by which the other would make this one heavier."""
        return sum(size for path, size in other.files.items() if path not in self.files)


def cook(root: str, file: BinaryIO, progress: Callable[[Progress], None]) -> None:
    """Write the egg's tar archive to `file`, made from the machine whose `/` is at `root`.

    Raises PullFailed where there is no shell to take.
    """
    host, basket = Host(root), Basket()
    for path in _MERGED:
        trace = host.trace(path)
        if trace and trace.links and stat.S_ISDIR(trace.mode):
            basket.put(trace)
    for number, tool in enumerate(_TOOLS):
        progress(Progress("cooking", number, len(_TOOLS)))
        found = _tool(host, tool)
        if found and (tool == "sh" or basket.weight_of(found) <= _HEAVY):
            basket.add(found)
        elif tool == "sh":
            raise PullFailed("home: this machine has no shell that could be copied (/bin/sh)")
    for path in _data(host):
        trace = host.file(path)
        if trace:
            basket.put(trace)
    _write(host, basket, file)
    progress(Progress("cooking", len(_TOOLS), len(_TOOLS)))


def _tool(host: Host, name: str) -> Basket | None:
    for directory in _WHERE:
        trace = host.file(f"{directory}/{name}")
        if trace:
            return _program(host, trace)
    return None


def _program(host: Host, trace: Trace) -> Basket | None:
    """A program and all it needs; None where something is missing, or it is not for us."""
    basket = Basket()
    basket.put(trace)
    with host.open(trace.real) as file:
        if file.read(2) == b"#!":
            words = os.fsdecode(file.readline(256)).split()
            shell = host.file(words[0]) if words else None
            if not shell or os.path.basename(words[0]) not in _SHELLS:
                return None
            needed = _program(host, shell) if shell.real != trace.real else None
        else:
            file.seek(0)
            program = elf.read(file)
            needed = _loaded(host, trace.real, program) if program else None
    if not needed:
        return None
    basket.add(needed)
    return basket


class _Loader:
    """Where a program's loader looks for libraries: ld.so(8), or musl's."""

    def __init__(self, host: Host, path: str) -> None:
        self._host = host
        self._name = os.path.basename(path)
        self._is_musl = self._name.startswith("ld-musl-")
        self.files = [path]
        if self._is_musl:
            settings = "/etc/" + self._name.partition(".so")[0] + ".path"
            self.files.append(settings)
            said = os.fsdecode(host.read(settings)) or _MUSL_PATH
            self._directories = said.replace("\n", ":").split(":")
        else:
            # Each distribution builds its own directories into the loader, as C strings.
            built_in = map(os.fsdecode, _LIBRARIES_SAID.findall(host.read(path)))
            found = dict.fromkeys(path for path in built_in if "lib" in path)
            self._directories = list(found or _LIBRARIES)

    def answers(self, name: str) -> bool:
        """True for a library that the loader itself is."""
        return name == self._name or (self._is_musl and name.startswith(_MUSL_ITSELF))

    def find(self, name: str, first: list[str], kind: tuple[int, int, int]) -> Library | None:
        """The library that would be loaded; the directories `first` come before the usual ones."""
        for path in self._candidates(name, first):
            trace = self._host.file(path)
            if not trace:
                continue
            with self._host.open(trace.real) as file:
                library = elf.read(file)
            if library and library.kind == kind:
                beside = os.path.dirname(path)
                if not self._is_musl and beside not in (*first, *self._directories):
                    self.files.append(_CACHE)
                if name == "libc.so.6":  # before 2.34 it loads this by itself, to read passwd
                    self.files.append(f"{beside}/libnss_files.so.2")
                return Library(trace, library, beside)
        return None

    def _candidates(self, name: str, first: list[str]) -> Iterator[str]:
        if "/" in name:
            yield name
            return
        yield from (f"{directory}/{name}" for directory in first)
        if not self._is_musl:
            yield from self._host.cache.get(name, ())
        yield from (f"{directory}/{name}" for directory in self._directories)


class Library(NamedTuple):
    """A library found."""

    trace: Trace
    elf: elf.Elf
    directory: str
    """Where its name was found: its $ORIGIN."""


def _loaded(host: Host, path: str, program: elf.Elf) -> Basket | None:
    """What `program` loads when it starts; None where something of it is missing."""
    basket = Basket()
    if not program.interpreter:
        return basket
    loader = _Loader(host, program.interpreter)
    if not host.file(program.interpreter):
        return None
    seen = set[str]()
    waiting = [(program, os.path.dirname(path), list[str]())]
    while waiting:
        loaded, origin, inherited = waiting.pop()
        rpath = [*_expanded(loaded.rpath, origin), *inherited]
        first = _expanded(loaded.runpath, origin) or rpath
        for name in loaded.needed:
            if name in seen or loader.answers(name):
                continue
            seen.add(name)
            library = loader.find(name, first, program.kind)
            if not library:
                return None
            basket.put(library.trace)
            waiting.append((library.elf, library.directory, rpath))
    for wanted in loader.files:
        if trace := host.file(wanted):
            basket.put(trace)
    return basket


def _expanded(directories: tuple[str, ...], origin: str) -> list[str]:
    return [
        directory.replace("$ORIGIN", origin).replace("${ORIGIN}", origin)
        for directory in directories
    ]


def _data(host: Host) -> Iterator[str]:
    """Files that tools read: terminals' abilities, and the C locale with its UTF-8."""
    for directory in _TERMINFO:
        for name in _TERMINALS:
            yield f"{directory}/{name[0]}/{name}"
            yield f"{directory}/{ord(name[0]):x}/{name}"  # where case in names may not count
    for directory in _LOCALES:
        yield from host.glob(f"{directory}/**")


def _write(host: Host, basket: Basket, file: BinaryIO) -> None:
    texts = _texts(host, basket)
    directories = dict(_DIRECTORIES)
    for path in [*basket.directories, *basket.files, *basket.links, *texts]:
        while path := path.rpartition("/")[0]:
            directories.setdefault(path, 0o755)
    for path in basket.directories:
        directories.setdefault(path, 0o755)
    traces = [trace for path in basket.files if (trace := host.file(path))]
    newest = max(trace.mtime for trace in traces)
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted({*directories, *basket.links, *basket.files, *texts}):
            entry = tarfile.TarInfo("." + path)
            entry.mtime = newest
            if path in basket.links:
                entry.type, entry.linkname = tarfile.SYMTYPE, basket.links[path]
                tar.addfile(entry)
            elif path in basket.files:
                with host.open(path) as content:
                    found = os.fstat(content.fileno())
                    entry.size, entry.mtime = found.st_size, int(found.st_mtime)
                    entry.mode = stat.S_IMODE(found.st_mode) & 0o777
                    tar.addfile(entry, content)
            elif path in texts:
                data = texts[path].encode()
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
            else:
                entry.type, entry.mode = tarfile.DIRTYPE, directories[path]
                tar.addfile(entry)


def _texts(host: Host, basket: Basket) -> dict[str, str]:
    """The files that every system has, as short as they can be."""
    machine = "this machine"
    for line in os.fsdecode(host.read("/etc/os-release")).splitlines():
        if line.startswith("PRETTY_NAME="):
            machine = line.partition("=")[2].strip("\"'")
    texts = {
        "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\n"
        "nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
        "/etc/group": "root:x:0:\ntty:x:5:\nnogroup:x:65534:\n",
        "/etc/hosts": "127.0.0.1\tlocalhost\n::1\tlocalhost\n",
        "/etc/resolv.conf": "# A pet without a network asks nobody.\n",
        "/etc/os-release": 'NAME="Procchi home"\nID=procchi-home\n'
        f'PRETTY_NAME="Procchi home, cooked from {machine}"\n',
    }
    if any("/libc.so.6" in path for path in (*basket.files, *basket.links)):
        texts["/etc/nsswitch.conf"] = "passwd: files\ngroup: files\nhosts: files dns\n"
    return texts
