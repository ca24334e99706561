"""Whom a pet's users are on the host: user namespaces and their id maps (user_namespaces(7)).

Run by root, a pet's ids 0 to 65535 are a range of host ids that nobody else has. Run by an
ordinary user, they are the ranges of /etc/subuid and /etc/subgid, written by newuidmap(1), or,
where there are none, the user's own id alone as the pet's root.
"""

from __future__ import annotations

import os
import pwd
import signal
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from engine.errors import UnsupportedSystem
from engine.syswrap import CLONE, call, clone3_after_fork, write_file

ROOT_BASE = 1_900_000_000
"""The host id of a pet's root under root's nest: beyond every range that UIDS-GIDS.md of systemd
assigns to somebody (its last ends at 1879048191), below the sign bit that old tools trip over."""
RANGE = 65536
HELPER_SECONDS = 10
"""The nest waits for newuidmap, and so does everybody who asks it for something."""


class Extent(NamedTuple):
    """One line of a uid_map: `length` ids from `inside` on are the host's from `outside` on."""

    inside: int
    outside: int
    length: int


class Child(NamedTuple):
    """A process just cloned. The pidfd is the caller's to close, the status its to reap."""

    pid: int
    """0 in the child itself."""
    pidfd: int


class Gate:
    """Holds a child back until its parent lets it on with a word, or ends it by having none."""

    def __init__(self, wait_end: int = -1) -> None:
        """A new one; or, in a child that was given only that, the end at which it waits."""
        ends = (wait_end, -1) if wait_end != -1 else os.pipe2(os.O_CLOEXEC)
        self._wait_end, self._go_end = ends
        self._heard = b""

    def wait(self) -> bytes:
        """In the child: the parent's next word. Ends the process if there will be none."""
        if self._go_end != -1:
            os.close(self._go_end)
            self._go_end = -1
        while b"\n" not in self._heard:
            if not (more := os.read(self._wait_end, 1 << 16)):
                os._exit(1)  # the parent gave up, or died, and says why
            self._heard += more
        word, _, self._heard = self._heard.partition(b"\n")
        return word

    @property
    def wait_end(self) -> int:
        """Where the child waits, to be handed to it."""
        return self._wait_end

    def stay_outside(self) -> None:
        """In the parent, after the clone: a child that is dead shall not be waited for."""
        os.close(self._wait_end)
        self._wait_end = -1

    def open(self, word: bytes = b"") -> None:
        """In the parent: let the child on, once, with a word of one line.

        Raises BrokenPipeError when it is dead.
        """
        data = memoryview(word + b"\n")
        while data:
            data = data[os.write(self._go_end, data) :]

    def close(self) -> None:
        """In the parent: give up; a child that waits after this ends."""
        for fd in self.fds:
            os.close(fd)

    @property
    def fds(self) -> set[int]:
        """The ends that are still open here."""
        return {self._wait_end, self._go_end} - {-1}


@dataclass(frozen=True, slots=True)
class IdMap:
    """A user and a group map, and how they get written."""

    uids: tuple[Extent, ...]
    gids: tuple[Extent, ...]
    helpers: tuple[str, str] | None = None
    """newuidmap and newgidmap, where the kernel does not let this user write the map itself."""

    @property
    def root_uid(self) -> int:
        """The pet's root, as the host sees it."""
        return self.uids[0].outside

    @property
    def root_gid(self) -> int:
        """The pet's group 0, as the host sees it."""
        return self.gids[0].outside

    @property
    def single(self) -> bool:
        """True when only one id is mapped: every file belongs to the pet's root."""
        return sum(extent.length for extent in self.uids) == 1

    def write(self, pid: int) -> None:
        """Give the user namespace of the child `pid` this map; it must not have one yet.

        Raises SyscallError, or UnsupportedSystem where newuidmap refuses.
        """
        if self.helpers:
            for helper, extents in zip(self.helpers, (self.uids, self.gids), strict=True):
                numbers = [str(number) for extent in extents for number in extent]
                call(
                    "execve",
                    _run_helper,
                    [helper, str(pid), *numbers],
                    args=f"{helper} {pid} {' '.join(numbers)}",
                )
            return
        if os.geteuid() != 0:
            # Without privilege the kernel takes a gid map only once setgroups is given up,
            # or a group could be dropped to get past a permission that denies it (CVE-2014-8989).
            write_file(f"/proc/{pid}/setgroups", "deny")
        write_file(f"/proc/{pid}/uid_map", _lines(self.uids))
        write_file(f"/proc/{pid}/gid_map", _lines(self.gids))


def _lines(extents: tuple[Extent, ...]) -> str:
    return "".join(f"{extent.inside} {extent.outside} {extent.length}\n" for extent in extents)


def _run_helper(command: list[str]) -> None:
    import subprocess  # late: root's nest does without

    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=HELPER_SECONDS
        )
    except subprocess.TimeoutExpired:  # it asks whatever nsswitch.conf names, a network perhaps
        raise UnsupportedSystem(
            f"{command[0]} did not end within {HELPER_SECONDS} s: see `subid` in /etc/nsswitch.conf"
        ) from None
    if done.returncode:
        said = done.stderr.strip() or f"status {done.returncode}"
        raise UnsupportedSystem(
            f"{command[0]} refused this user's id range ({said}): "
            "check /etc/subuid and /etc/subgid, or remove this user's lines from them"
        )


def for_this_user() -> IdMap:
    """The map for pets of whoever runs this process."""
    if os.geteuid() == 0 and _have(ROOT_BASE):
        whole = (Extent(0, ROOT_BASE, RANGE),)
        return IdMap(whole, whole)
    own_uid, own_gid = Extent(0, os.geteuid(), 1), Extent(0, os.getegid(), 1)
    import shutil

    helpers = shutil.which("newuidmap"), shutil.which("newgidmap")
    uids, gids = _subordinate("/etc/subuid"), _subordinate("/etc/subgid")
    if helpers[0] and helpers[1] and uids and gids:
        return IdMap((own_uid, uids), (own_gid, gids), (helpers[0], helpers[1]))
    return IdMap((own_uid,), (own_gid,))


@cache
def root_is_the_hosts() -> bool:
    """Whether a pet's root is the host's own, as in a container that has that one and few others.

    Of containers in containers only the innermost is seen: it may be said in vain.
    """
    if os.geteuid() != 0 or _have(ROOT_BASE):
        return False
    return any(e.inside == e.outside == 0 for e in _ours())


def _have(uid: int) -> bool:
    """Whether that id exists here: in a container, root has but a few."""
    return any(e.inside <= uid and uid + RANGE <= e.inside + e.length for e in _ours())


def _ours() -> list[Extent]:
    """The map of our own user namespace."""
    with open("/proc/self/uid_map") as file:
        return [Extent(*map(int, line.split())) for line in file]


def _subordinate(path: str) -> Extent | None:
    """This user's first range in `path` (subuid(5)), as the pet's ids from 1 on."""
    uid = os.geteuid()
    owners = {str(uid)}
    try:
        owners.add(pwd.getpwuid(uid).pw_name)
    except KeyError:
        pass
    try:
        with open(path) as file:
            fields = [line.strip().split(":") for line in file]
    except OSError:
        return None
    for field in fields:
        if len(field) == 3 and field[0] in owners and field[1].isdecimal() and field[2].isdecimal():
            return Extent(1, int(field[1]), min(int(field[2]), RANGE - 1))
    return None


def clone_mapped(flags: CLONE, idmap: IdMap) -> Child:
    """clone3(2) into a new user namespace (and those of `flags`) that has `idmap`.

    Returns twice, as fork does. The child wakes up once the map is written, with every
    capability in its namespace and still the caller's ids: it can open what only the caller can
    reach, and must then call `become_root`. Raises SyscallError or UnsupportedSystem, with
    no child left.
    """
    gate = Gate()
    child = None
    try:
        child = Child(*clone3_after_fork(CLONE.NEWUSER | flags))
        if child.pid == 0:
            gate.wait()
            return child
        gate.stay_outside()
        idmap.write(child.pid)
        gate.open()
    except BaseException:
        if child:
            signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
            os.waitpid(child.pid, 0)
            os.close(child.pidfd)
        raise
    finally:
        if child is None or child.pid:
            gate.close()
    return child


def become_root(idmap: IdMap) -> None:
    """Become user and group 0 of the user namespace that this process was cloned into."""
    if not idmap.single:  # setgroups is denied to a single-id map
        call("setgroups", os.setgroups, [])
    call("setresgid", os.setresgid, 0, 0, 0)
    call("setresuid", os.setresuid, 0, 0, 0)
