"""How a command gets into a living pet: the steps of a meal, in order.

A process joins the pet's group and namespaces and executes the command. A pid namespace, though,
is entered by children only. Root's nest may enter it for its children's sake, and come home. An
ordinary user's may not: there the process that has joined clones a second one, and CLONE_PARENT
makes that one the nest's own child, so that the nest reads its status itself in both cases.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import termios
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from engine import users
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
from engine.idmap import Child, IdMap, become_root
from engine.model import StepReport
from engine.seccomp import PROGRAM
from engine.steps import Reporter, Step, step
from engine.syswrap import (
    CLONE,
    PR,
    TIOCGPTN,
    TIOCSPTLCK,
    bound_capabilities,
    call,
    capset,
    chroot,
    clone3,
    close_all_but,
    prctl,
    seccomp,
    setns,
    write_file,
)

NOBODY = Child(-1, -1)
EXPENDABLE = 300
"""What a meal adds to its badness, in thousandths of all memory (proc_pid_oom_score_adj(5))."""
MOST_EXPENDABLE = 1000


@dataclass(slots=True)
class Order:
    """What is to be eaten, and how. It reaches the clone as JSON."""

    pid: int
    """The pet's PID 1, as the nest counts pids."""
    network: str
    command: Sequence[str]
    environment: Mapping[str, str]
    terminal: bool = False
    """Whether it eats at a terminal made in the pet."""
    window: tuple[int, int] = (0, 0)
    """Rows and columns of that terminal: a command may ask before the caller could set them."""
    working_directory: str = ""
    user: str = ""
    """Who executes the command, as users.find takes it; empty for the pet's root."""
    rlimits: Mapping[str, int] = field(default_factory=dict)
    born_inside: bool = False
    """Whether its first process is born into the pet's pid namespace."""

    def to_json(self) -> dict[str, Any]:
        """Every field by name."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(slots=True)
class Table:
    """Everything the steps of a meal work on."""

    order: Order
    pidfd: int
    """Of the pet's PID 1."""
    doors: Mapping[str, int]
    """Into the pet's group, as Group.doors gives them."""
    stdio: tuple[int, ...]
    """Descriptors for the command's first three; for a terminal, the socket where its other end
    is sent to."""
    idmap: IdMap
    forks: ForkServer | None = None
    """Who clones; None in the clone."""
    birthplace: int | None = None
    """As Group.birthplace gives it."""
    tell: int = -1
    """The clone's end of the pipe through which it tells what it did."""
    root: int = -1
    joiner: Child = NOBODY
    lives_at: str = ENVIRONMENT["HOME"]
    """The home directory of who executes the command."""
    reporter: Reporter | None = None
    reports: list[StepReport] = field(default_factory=list)


STEPS: list[Step[Table]] = []


@step(
    STEPS, "clone", "nest", "setns(2), clone3(2)",
    "A process that will not come back; on cgroup v2 it is born in the pet's group. Root's nest "
    "lends it the pet's pid namespace to be born in.",
)  # fmt: skip
def clone_joiner(table: Table) -> None:
    assert table.forks
    table.joiner = table.forks.clone(
        CLONE(0),
        "eat",
        {"order": table.order.to_json(), "doors": list(table.doors)},
        [table.tell, table.pidfd, *table.doors.values(), *table.stdio],
        cgroup=table.birthplace,
        pids=table.pidfd if table.order.born_inside else None,
    )


@step(
    STEPS, "join group", "pet", "write(2)",
    "Joining namespaces changes no group: without this the command would eat outside the limits.",
)  # fmt: skip
def join_group(table: Table) -> None:
    for path, door in table.doors.items():
        call("write", os.write, door, b"0", args=f'"{path}", "0"')


@step(
    STEPS, "expendable", "pet", "write(2)",
    "When the pet's memory runs out, the kernel shall take the meal rather than the pet.",
)  # fmt: skip
def offer_to_the_oom_killer(table: Table) -> None:
    # Here, while /proc is the host's and still lets us write to it.
    with open("/proc/self/oom_score_adj") as file:
        pets = int(file.read())  # from the nest, as ours is so far
    write_file("/proc/self/oom_score_adj", str(min(pets + EXPENDABLE, MOST_EXPENDABLE)))


@step(
    STEPS, "session keyring", "pet", "keyctl(2)",
    "The keys of whoever started the nest stay behind.",
)  # fmt: skip
def change_keyring(table: Table) -> None:
    leave_keys_behind()


@step(
    STEPS, "join namespaces", "pet", "open(2), prctl(2), setns(2)",
    "One call with the pet's pidfd enters all of its namespaces or none; a pid could be "
    "somebody else's by now, a pidfd cannot.",
)  # fmt: skip
def join_namespaces(table: Table) -> None:
    # A way to the pet's root that its own mounts cannot redirect, taken while /proc is the host's.
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
    way = f"/proc/{table.order.pid}/root"
    table.root = call("open", os.open, way, flags, args=f'"{way}", O_PATH|O_DIRECTORY|O_CLOEXEC')
    # From here on we share a pid namespace with the pet: keep its processes from reaching into
    # ours through ptrace or /proc, as into runc's once (CVE-2016-9962, CVE-2019-5736).
    prctl(PR.SET_DUMPABLE, 0)
    kinds = CLONE.NEWUSER | CLONE.NEWNS | CLONE.NEWUTS | CLONE.NEWIPC | CLONE.NEWCGROUP
    if not table.order.born_inside:
        kinds |= CLONE.NEWPID
    if table.order.network == "none":
        kinds |= CLONE.NEWNET
    setns(table.pidfd, kinds)


@step(
    STEPS, "become root", "pet", "setgroups(2), setresgid(2), setresuid(2), fchdir(2), chroot(2)",
    "Id 0 of the pet's users, at the pet's root directory.",
)  # fmt: skip
def take_root(table: Table) -> None:
    become_root(table.idmap)
    call("fchdir", os.fchdir, table.root)
    chroot(".")


@step(
    STEPS, "clone into", "pet", "clone3(2)",
    "Only a child is born into the joined pid namespace; CLONE_PARENT gives it to the nest.",
)  # fmt: skip
def clone_eater(table: Table) -> None:
    assert table.reporter
    if table.order.born_inside:
        return
    pid, _ = clone3(CLONE.PARENT)
    if pid:
        table.reporter.child(pid)
        os._exit(0)


@step(
    STEPS, "session", "pet", "setsid(2), dup2(2), close_range(2), setrlimit(2), ioctl(2)",
    "A session of its own, with the caller's descriptors or a terminal of the pet's own.",
)  # fmt: skip
def start_session(table: Table) -> None:
    assert table.reporter
    order, kept = table.order, {table.reporter.pipe}
    if not order.terminal:
        settle(table.stdio, kept, order.rlimits)
        return
    ours, theirs = _open_terminal()
    size = struct.pack("4H", *order.window, 0, 0)
    call("ioctl", fcntl.ioctl, ours, termios.TIOCSWINSZ, size, args=f"{ours}, TIOCSWINSZ")
    with socket.socket(fileno=table.stdio[0]) as other:
        socket.send_fds(other, [b"t"], [ours])
    settle((theirs, theirs, theirs), kept, order.rlimits)
    call("ioctl", fcntl.ioctl, 0, termios.TIOCSCTTY, 0, args="0, TIOCSCTTY")


def _open_terminal() -> tuple[int, int]:
    """A terminal of the pet's devpts: (the caller's end, the command's end). See pty(7)."""
    flags = os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC
    shown = "O_RDWR|O_NOCTTY|O_CLOEXEC"
    ours = call("open", os.open, "/dev/pts/ptmx", flags, args=f'"/dev/pts/ptmx", {shown}')
    fcntl.ioctl(ours, TIOCSPTLCK, struct.pack("i", 0))
    (number,) = struct.unpack("i", fcntl.ioctl(ours, TIOCGPTN, struct.pack("i", 0)))
    name = f"/dev/pts/{number}"
    return ours, call("open", os.open, name, flags, args=f'"{name}", {shown}')


@step(
    STEPS, "working directory", "pet", "chdir(2)",
    "The pet's own unless another one was asked for; it must be there.",
)  # fmt: skip
def enter_directory(table: Table) -> None:
    enter(table.order.working_directory, make=False)


@step(
    STEPS, "drop privileges", "pet", "prctl(2), capset(2)",
    "The same bounds as the pet's own PID 1: a meal is no way around them.",
)  # fmt: skip
def drop_privileges(table: Table) -> None:
    bound_capabilities(CAPABILITIES)
    capset(CAPABILITIES)
    prctl(PR.SET_NO_NEW_PRIVS, 1)


@step(
    STEPS, "user", "pet", "fchown(2), setgroups(2), setresgid(2), setresuid(2)",
    "The pet's own unless another one was asked for: no meal is root where the pet is not.",
)  # fmt: skip
def become_user(table: Table) -> None:
    if not table.order.user:
        return
    user = users.find(table.order.user, table.idmap)
    if table.order.terminal:  # it belongs to who works at it
        call("fchown", os.fchown, 0, user.uid, -1)
    users.become(user, table.idmap)
    table.lives_at = user.home


@step(
    STEPS, "seccomp filter", "pet", "prctl(2)",
    "The same system calls are refused to a meal as to its pet.",
)  # fmt: skip
def filter_calls(_: Table) -> None:
    seccomp(PROGRAM)


@step(
    STEPS, "execve", "pet", "execve(2)",
    "The command itself.",
)  # fmt: skip
def execute(table: Table) -> None:
    assert table.reporter
    environment = {**ENVIRONMENT, "HOME": table.lives_at, **table.order.environment}
    execvpe(table.order.command, environment, table.reporter, STEPS[-1].why)


def feed(table: Table) -> None:
    """Run the nest's step; the rest is told through the pipe `table.tell`.

    The nest has one child to wait for, `table.joiner`, and where that one is not born into the
    pet's pid namespace a second one, which the pipe names. Raises StepFailed.
    """
    table.reports.append(STEPS[0].run(table))


def eat(idmap: IdMap, words: Mapping[str, Any], descriptors: Sequence[int]) -> NoReturn:
    """The meal's side, until it executes the command: what a ForkServer's clone does."""
    report, pidfd, *others = descriptors
    doors = dict(zip(words["doors"], others, strict=False))
    stdio = tuple(others[len(doors) :])
    table = Table(Order(**words["order"]), pidfd, doors, stdio, idmap)
    table.reporter = Reporter(report)
    close_all_but(descriptors)
    run_to_execve(STEPS[1:], table, table.reporter)
