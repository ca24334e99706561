"""How a pet's house is built: the steps, in order.

This is what a container runtime does, and it can be read from top to bottom. `STEPS` is the one
list: the nest runs it, `--explain` and the care log print it, docs/syscalls.md tells it.
The egg is hostile, and so is whatever runs in it: every path in it is opened without following
links, and nothing of the host's is in sight once the last step executes the command.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import signal
import socket
import stat
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from engine import users
from engine.cgroups import Cgroups, Group
from engine.forkserver import ForkServer
from engine.handover import (
    CAPABILITIES,
    ENVIRONMENT,
    enter,
    execvpe,
    leave_keys_behind,
    run_to_execve,
    settle,
)
from engine.idmap import Child, Gate, IdMap, become_root
from engine.model import MIB, Limits, StepReport
from engine.seccomp import PROGRAM
from engine.steps import Reporter, Step, step
from engine.syswrap import (
    CLONE,
    IFF_UP,
    MNT,
    MOUNT_ATTR,
    MS,
    PR,
    SIOCGIFFLAGS,
    SIOCSIFFLAGS,
    bound_capabilities,
    call,
    capset,
    chroot,
    close_all_but,
    mount,
    mount_setattr,
    pivot_root,
    prctl,
    seccomp,
    sethostname,
    umount2,
    unshare,
)

HIDDEN_DIRECTORIES = "proc/acpi proc/asound proc/scsi sys/firmware".split()
HIDDEN_FILES = (
    "proc/interrupts proc/kcore proc/keys proc/latency_stats proc/sched_debug proc/timer_list"
).split()
"""Masked, as docker does: what the kernel says there is about the host, not about the pet."""
READ_ONLY = "proc/bus proc/fs proc/irq proc/sys proc/sysrq-trigger".split()
DEVICES = "full null random tty urandom zero".split()
# Combined here, once: each combination that a clone makes anew takes as long as the mount itself.
QUIET = MS.NOSUID | MS.NODEV | MS.NOEXEC
QUIET_READ_ONLY = QUIET | MS.RDONLY
TREE_PRIVATE = MS.REC | MS.PRIVATE
TREE_BIND = MS.BIND | MS.REC
NO_PROGRAMS = MS.NOSUID | MS.NOEXEC
NO_DEVICES = MS.NOSUID | MS.NODEV
SHELLS = ("/bin/sh", "/usr/bin/sh", "/bin/bash", "/bin/busybox")
"""What lives in a pet that was given no command: the first that its egg has."""


@dataclass(slots=True)
class Plan:
    """Who will live in a house, and how. It reaches the pet's side as a line of JSON."""

    name: str
    directory: str
    """The pet's own, on the host: upper, work, mouth and log are in it."""
    layers: list[str]
    """The egg's directories, lowest first."""
    scratch: int
    """Bytes of each tmpfs: what is in one counts as the pet's memory, and ends with it."""
    hostname: str
    command: list[str]
    environment: dict[str, str]
    read_only: bool = False
    chroot_only: bool = False
    working_directory: str = ""
    user: str = ""
    """Who executes the command, as users.find takes it; empty for the pet's root."""
    rlimits: dict[str, int] = field(default_factory=dict)

    def to_line(self) -> bytes:
        """The plan as one line."""
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    @classmethod
    def from_line(cls, line: bytes) -> Plan:
        """The inverse of `to_line`."""
        return cls(**json.loads(line))


def scratch(limits: Limits) -> int:
    """How much a pet with these limits may keep in each tmpfs, in bytes."""
    return 64 * MIB if limits.memory is None else max(MIB, limits.memory // 2)


@dataclass(slots=True)
class House:
    """Everything the steps work on, and what they leave for one another."""

    idmap: IdMap
    cgroups: Cgroups
    network: str
    forks: ForkServer | None = None
    """Who clones; None in the clone."""
    plan: Plan | None = None
    """None while nobody knows who will live in it."""
    limits: Limits | None = None
    """What the pet may use: the group's business, and so the nest's."""
    group: Group | None = None
    gate: Gate | None = None
    child: Child | None = None
    reporter: Reporter | None = None
    stdio: tuple[int, int, int] = (-1, -1, -1)
    """The pet's first three descriptors: its mouth, and twice its log."""
    lives_at: str = ENVIRONMENT["HOME"]
    """The home directory of who executes the command."""
    told: int = -1
    """The nest's end of the pipe through which the pet's side tells what it did."""
    tell: int = -1
    """The pet's end of it, until the pet has it."""
    reports: list[StepReport] = field(default_factory=list)
    """What the nest's own steps did."""

    @property
    def its(self) -> Plan:
        """The plan, in steps that are not done ahead."""
        assert self.plan is not None
        return self.plan


STEPS: list[Step[House]] = []


@step(
    STEPS, "directories", "nest", "mkdir(2), chown(2), mknod(2)",
    "The pet writes into an upper directory of its own, laid over the egg, which stays as it was.",
)  # fmt: skip
def make_directories(house: House) -> None:
    for name in ("upper", "work"):
        path = f"{house.its.directory}/{name}"
        call("mkdir", os.mkdir, path, 0o755, args=f'"{path}", 0755')
        call("chown", os.chown, path, house.idmap.root_uid, house.idmap.root_gid)
    # The root of an overlay shows the upper directory's mode and owner.
    lowest = os.stat(house.its.layers[-1])
    os.chmod(f"{house.its.directory}/upper", stat.S_IMODE(lowest.st_mode))
    mouth = f"{house.its.directory}/mouth"
    call("mknod", os.mkfifo, mouth, 0o600, args=f'"{mouth}", S_IFIFO|0600')


@step(
    STEPS, "cgroup", "nest", "mkdir(2), write(2)",
    "The limits stand before the pet exists, so there is no moment in which it has none.",
)  # fmt: skip
def make_group(house: House) -> str | None:
    assert house.group and house.limits
    house.group.make(house.limits)
    if house.cgroups.kind == "none":
        return "There are no control groups for it here: procchi doctor says why, and what helps."
    return None


@step(
    STEPS, "clone", "nest", "clone3(2)",
    "One call makes the process and gives it namespaces of its own: users, mounts, processes, "
    "host name, IPC and network; on cgroup v2 it is born in its group.",
    ahead=True,
)  # fmt: skip
def clone(house: House) -> None:
    flags = CLONE.NEWUSER | CLONE.NEWNS | CLONE.NEWPID | CLONE.NEWUTS | CLONE.NEWIPC
    if house.network == "none":
        flags |= CLONE.NEWNET
    house.gate = Gate()
    ends = [house.gate.wait_end, house.tell]
    cgroup = house.group.birthplace() if house.group else None
    assert house.forks
    house.child = house.forks.clone(flags, "live", {"network": house.network}, ends, cgroup)
    house.gate.stay_outside()


@step(
    STEPS, "id maps", "nest", "write(2)",
    "The pet is root (0) inside and an unprivileged id outside: its privilege ends at its walls.",
    ahead=True,
)  # fmt: skip
def map_ids(house: House) -> None:
    assert house.child
    house.idmap.write(house.child.pid)


@step(
    STEPS, "private mounts", "pet", "mount(2)",
    "What is mounted from here on stays in here, and nothing mounted outside appears.",
    ahead=True,
)  # fmt: skip
def make_private(house: House) -> None:
    mount(None, "/", None, TREE_PRIVATE)


@step(
    STEPS, "loopback", "pet", "socket(2), ioctl(2)",
    "A new network namespace has one interface, lo, and it is down: netdevice(7).",
    ahead=True,
)  # fmt: skip
def raise_loopback(house: House) -> str | None:
    if house.network != "none":
        return "It shares the host's network namespace, and that is up."
    fd = call("socket", _datagrams, args="AF_INET, SOCK_DGRAM|SOCK_CLOEXEC, 0")
    with socket.socket(fileno=fd) as sock:
        request = struct.pack("16sh14x", b"lo", 0)
        (flags,) = struct.unpack("16xh14x", fcntl.ioctl(sock, SIOCGIFFLAGS, request))
        up = struct.pack("16sh14x", b"lo", flags | IFF_UP)
        call(
            "ioctl",
            lambda: fcntl.ioctl(sock, SIOCSIFFLAGS, up) and None,
            args=f"{fd}, SIOCSIFFLAGS, lo IFF_UP",
        )
    return None


def _datagrams() -> int:
    return socket.socket(socket.AF_INET, socket.SOCK_DGRAM).detach()


@step(
    STEPS, "session keyring", "pet", "keyctl(2)",
    "A keyring is inherited and no namespace hides it: without one of its own the pet could read "
    "the keys of whoever started the nest.",
    ahead=True,
)  # fmt: skip
def change_keyring(house: House) -> None:
    leave_keys_behind()


@step(
    STEPS, "join", "pet", "write(2), unshare(2)",
    "Told who it is to be, the process joins its group, then a cgroup namespace: the group becomes "
    "the root that the pet sees.",
)  # fmt: skip
def join_group(house: House) -> str | None:
    assert house.group
    doors = house.group.doors()
    for path, door in doors.items():
        call("write", os.write, door, b"0", args=f'"{path}", "0"')  # 0: whoever writes
    unshare(CLONE.NEWCGROUP)
    if house.cgroups.kind == "none":
        return (
            "Told who it is to be, the process enters a cgroup namespace; it joins no group here."
        )
    if not doors:
        return (
            "Born in its group, it enters a cgroup namespace: the group is the root that it sees."
        )
    return None


@step(
    STEPS, "become root", "pet", "open(2), fchmod(2), setgroups(2), setresgid(2), setresuid(2)",
    "What only the nest's user can reach is opened first; then the process takes id 0 of its own "
    "namespace.",
)  # fmt: skip
def take_root(house: House) -> None:
    home = house.its.directory
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    house.its.layers = [f"/proc/self/fd/{os.open(path, flags)}" for path in house.its.layers]
    # Held open for writing by the pet itself, the mouth never reads as ended; the log is written
    # at its end only, so that it can be cut while it is in use.
    shown = f'"{home}/mouth", O_RDWR|O_CLOEXEC'
    mouth = call("open", os.open, f"{home}/mouth", os.O_RDWR | os.O_CLOEXEC, args=shown)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    shown = f'"{home}/log", O_WRONLY|O_CREAT|O_APPEND|O_CLOEXEC, 0600'
    log = call("open", os.open, f"{home}/log", flags, 0o600, args=shown)
    house.stdio = (mouth, log, log)
    for fd in (mouth, log):  # so that /dev/stdin and /dev/stdout open anew, whoever it becomes
        call("fchmod", os.fchmod, fd, 0o666, args=f"{fd}, 0666")
    os.chdir(f"{home}/upper")
    become_root(house.idmap)


@step(
    STEPS, "root file system", "pet", "mount(2), chdir(2)",
    "An overlay shows the egg below and the pet's own writes above, as one tree.",
)  # fmt: skip
def mount_root(house: House) -> None:
    # Mounted over its own upper directory, which nobody needs to see by that name any more. One
    # that is to be read only becomes so at *masks*: places to mount on may have to be made first.
    lower = ":".join(reversed(house.its.layers))
    options = f"lowerdir={lower},upperdir=.,workdir=../work,userxattr"
    mount("overlay", ".", "overlay", 0, options)
    call("chdir", os.chdir, "../upper")  # into what is mounted there now


def _place(name: str) -> str:
    """The directory `name` at the egg's top, by a path that no symbolic link can redirect.

    The egg is hostile: a link at /proc would have us mount over something else (CVE-2019-19921).
    A directory that the egg lacks is made.
    """
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        fd = os.open(name, flags)
    except FileNotFoundError:
        try:
            os.mkdir(name, 0o755)
        except OSError as error:
            raise OSError(error.errno, f"the egg has no /{name}, nor room for one") from error
        fd = os.open(name, flags)
    if not stat.S_ISDIR(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.ENOTDIR, f"the egg's /{name} is not a directory")
    return f"/proc/self/fd/{fd}"


@step(
    STEPS, "proc", "pet", "mount(2)",
    "A /proc of its own pid namespace; the kernel allows it only while the host's is in sight.",
)  # fmt: skip
def mount_proc(house: House) -> None:
    mount("proc", _place("proc"), "proc", QUIET)


@step(
    STEPS, "dev", "pet", "mount(2), symlink(2)",
    "Six harmless devices, terminals of its own and shared memory, in place of the host's /dev.",
)  # fmt: skip
def mount_dev(house: House) -> None:
    mount("tmpfs", _place("dev"), "tmpfs", NO_PROGRAMS, "mode=755,size=64k")
    for name in DEVICES:
        os.close(os.open(f"dev/{name}", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o666))
        mount(f"/dev/{name}", f"dev/{name}", None, MS.BIND)
    for name in ("pts", "shm"):
        os.mkdir(f"dev/{name}")
    group = "" if house.idmap.single else ",gid=5"  # tty, on every distribution
    mount("devpts", "dev/pts", "devpts", NO_PROGRAMS, f"newinstance,ptmxmode=0666,mode=0620{group}")
    mount("tmpfs", "dev/shm", "tmpfs", QUIET, f"mode=1777,size={house.its.scratch}")
    for name, target in {
        "ptmx": "pts/ptmx",
        "fd": "/proc/self/fd",
        "stdin": "/proc/self/fd/0",
        "stdout": "/proc/self/fd/1",
        "stderr": "/proc/self/fd/2",
    }.items():
        call("symlink", os.symlink, target, f"dev/{name}")


@step(
    STEPS, "tmp and sys", "pet", "mount(2)",
    "A /tmp in memory, and a /sys to look at, not to write to.",
)  # fmt: skip
def mount_tmp_and_sys(house: House) -> None:
    options = f"mode=1777,size={house.its.scratch}"
    mount("tmpfs", _place("tmp"), "tmpfs", NO_DEVICES, options)
    target = _place("sys")
    if house.network == "none":
        mount("sysfs", target, "sysfs", QUIET_READ_ONLY)
    else:  # a sysfs shows a network namespace, and only its owner may mount it
        mount("/sys", target, None, TREE_BIND)
        mount_setattr("sys", MOUNT_ATTR.RDONLY)
        if os.path.isdir("sys/fs/cgroup"):  # what the bind brings along: everybody's groups
            mount("tmpfs", "sys/fs/cgroup", "tmpfs", QUIET_READ_ONLY, "size=0")


@step(
    STEPS, "masks", "pet", "mount(2)",
    "Parts of /proc and /sys speak of the whole machine: hidden, or made read-only.",
)  # fmt: skip
def mask_paths(house: House) -> None:
    # All of these lie in mounts of our own making, so no link of the egg's is on the way.
    for path in filter(os.path.lexists, HIDDEN_DIRECTORIES):
        mount("tmpfs", path, "tmpfs", QUIET_READ_ONLY, "size=0")
    for path in filter(os.path.lexists, HIDDEN_FILES):
        mount("/dev/null", path, None, MS.BIND)
    for path in filter(os.path.lexists, READ_ONLY):
        mount(path, path, None, TREE_BIND)
        mount_setattr(path, MOUNT_ATTR.RDONLY)
    if house.its.read_only:
        mount_setattr(".", MOUNT_ATTR.RDONLY, recursive=False)


@step(
    STEPS, "change root", "pet", "pivot_root(2), umount2(2), chroot(2)",
    "pivot_root puts the egg in the place of the host's root, which is then detached; chroot "
    "alone would leave the host's root mounted, and there is a way back to it.",
)  # fmt: skip
def change_root(house: House) -> str | None:
    if not house.its.chroot_only:
        pivot_root(".", ".")
        umount2(".", MNT.DETACH)
    chroot(".")
    os.chdir("/")
    if house.its.chroot_only:
        return (
            "As was asked, pivot_root was left out: the host's root is still mounted, and whoever "
            "may call chroot can walk out of its own."
        )
    return None


@step(
    STEPS, "host name", "pet", "sethostname(2)",
    "Its own name, in its own UTS namespace.",
)  # fmt: skip
def set_hostname(house: House) -> None:
    sethostname(house.its.hostname)


@step(
    STEPS, "session", "pet", "setsid(2), dup2(2), close_range(2), setrlimit(2)",
    "No terminal, no descriptor and no signal setting of the nest's reaches the pet: it reads "
    "from its mouth and writes to its log.",
)  # fmt: skip
def start_session(house: House) -> None:
    assert house.reporter
    assert house.gate
    settle(house.stdio, {house.reporter.pipe, *house.gate.fds}, house.its.rlimits)


@step(
    STEPS, "working directory", "pet", "mkdir(2), chdir(2)",
    "Where its command begins; made where the egg lacks it, and inside, now that no descriptor of "
    "the host's could lead out.",
)  # fmt: skip
def enter_directory(house: House) -> None:
    enter(house.its.working_directory, make=True)


@step(
    STEPS, "capabilities", "pet", "prctl(2), capset(2)",
    "Of root's forty-one privileges a container's usual fourteen are kept, inside its own "
    "namespaces only; the others cannot come back.",
)  # fmt: skip
def drop_capabilities(house: House) -> None:
    bound_capabilities(CAPABILITIES)
    capset(CAPABILITIES)


@step(
    STEPS, "user", "pet", "setgroups(2), setresgid(2), setresuid(2)",
    "Most images want an ordinary user of their own: whoever leaves id 0 leaves all capabilities.",
)  # fmt: skip
def become_user(house: House) -> str | None:
    if not house.its.user:
        return "Nobody else was asked for: the pet's root it stays."
    user = users.find(house.its.user, house.idmap)
    users.become(user, house.idmap)
    house.lives_at = user.home
    return None


@step(
    STEPS, "no new privileges", "pet", "prctl(2)",
    "From here on no execve gives more than the process has, set-uid files included.",
)  # fmt: skip
def forbid_new_privileges(house: House) -> None:
    prctl(PR.SET_NO_NEW_PRIVS, 1)


@step(
    STEPS, "seccomp filter", "pet", "prctl(2)",
    "Some system calls are open to anybody and not divided by any namespace: keyrings, BPF, "
    "io_uring, user namespaces of its own. No pet needs them, and the kernel refuses it them.",
)  # fmt: skip
def filter_calls(_: House) -> None:
    seccomp(PROGRAM)


@step(
    STEPS, "recorded", "pet", "read(2)",
    "The nest has put down the pet's pid and start time: should it die now, the next one finds it.",
)  # fmt: skip
def wait_for_record(house: House) -> None:
    assert house.gate
    house.gate.wait()


@step(
    STEPS, "execve", "pet", "execve(2)",
    "Our code is replaced by the pet's own, and there is no way back.",
)  # fmt: skip
def execute(house: House) -> None:
    assert house.reporter
    command = house.its.command or [next(filter(_executable, SHELLS), SHELLS[0])]
    own = {"HOME": house.lives_at, "HOSTNAME": house.its.hostname}
    environment = {**ENVIRONMENT, **own, **house.its.environment}
    execvpe(command, environment, house.reporter, STEPS[-1].why)


def _executable(path: str) -> bool:
    return os.access(path, os.X_OK)


def lay(house: House) -> None:
    """Do what is the same for every pet, and leave a process waiting to be told who it is.

    On cgroup v2 a process is born into its group, so there the house must be furnished before.
    Raises StepFailed.
    """
    house.told, house.tell = os.pipe2(os.O_CLOEXEC)
    try:
        for one in STEPS:
            if one.side == "nest" and one.ahead:
                house.reports.append(one.run(house))
    finally:
        os.close(house.tell)
        house.tell = -1


def furnish(house: House, plan: Plan, limits: Limits, group: Group) -> None:
    """The nest's steps for one pet. Raises StepFailed."""
    house.plan, house.limits, house.group = plan, limits, group
    for one in STEPS:
        if one.side == "nest" and not one.ahead:
            house.reports.append(one.run(house))


def abandon(house: House) -> None:
    """Give up a house in which nobody lives: its process, if it has one, is ended and reaped."""
    if house.told != -1:
        os.close(house.told)
    if house.gate is not None:
        house.gate.close()
    if house.child is not None:
        with contextlib.suppress(ProcessLookupError):  # it may have ended with the gate
            signal.pidfd_send_signal(house.child.pidfd, signal.SIGKILL)
        os.waitpid(house.child.pid, 0)
        os.close(house.child.pidfd)


def is_lived_in(house: House) -> bool:
    """Whether the process that waits in it is still there."""
    assert house.child is not None
    flags = os.WEXITED | os.WNOHANG | os.WNOWAIT
    return os.waitid(os.P_PIDFD, house.child.pidfd, flags) is None


def move_in(house: House, born: Callable[[Child], None]) -> None:
    """Let the pet's side go on, to the end. Its own failures come through `house.told`.

    `born` is called with the child, to put down that it exists; the pet executes nothing before
    it has returned. Raises what `born` raises.
    """
    assert house.child is not None and house.gate is not None
    with contextlib.suppress(BrokenPipeError):  # it has failed already, and says so itself
        house.gate.open(house.its.to_line())
    born(house.child)
    with contextlib.suppress(BrokenPipeError):
        house.gate.open()
    house.gate.close()
    house.gate = None


def live(
    idmap: IdMap, cgroups: Cgroups, words: Mapping[str, Any], descriptors: Sequence[int]
) -> NoReturn:
    """The pet's side, until it executes its command: what a ForkServer's clone does."""
    wait_end, report = descriptors
    house = House(idmap, cgroups, words["network"])
    house.gate, house.reporter = Gate(wait_end), Reporter(report)
    close_all_but({wait_end, report})
    run_to_execve(_as_told(house), house, house.reporter)


def _as_told(house: House) -> Iterator[Step[House]]:
    """The pet's steps; between those done ahead and the others, it is told who it is to be.

    That is no step: however long nobody wants a pet, nothing is done meanwhile.
    """
    mine = [one for one in STEPS if one.side == "pet"]
    yield from (one for one in mine if one.ahead)
    assert house.gate
    house.plan = Plan.from_line(house.gate.wait())
    house.group = house.cgroups.group(house.plan.name)
    yield from (one for one in mine if not one.ahead)
