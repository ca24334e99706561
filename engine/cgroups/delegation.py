"""Control groups for ordinary users: a part of the hierarchy that systemd hands over.

systemd is the one writer of the unified hierarchy, and delegates a subtree to whoever asks for a
unit with `Delegate=yes` (systemd.resource-control(5), and "Control Group APIs and Delegation" of
its documentation). A user's own manager makes such units without any privilege. So an ordinary
user's nest starts in a scope of its own below user@UID.service:

    procchi-nest-….scope/       the user's to write, with what the administrator lets users have
        .nest                   the nest itself: no process may sit where controllers are on
        procchi/                all pets, under the nest's ceiling
            moka/               one pet

The scope lives as long as anything in it: pets keep it when their nest is killed. The next nest
starts in a scope of its own, and moves over to the pets', which it may, for both are below a
group that is the user's (the common ancestor is what counts: cgroup-v2.rst, "Delegation
Containment").
"""

from __future__ import annotations

import contextlib
import glob
import os
from collections.abc import Sequence

from engine.syswrap import write_file

UNIT = "procchi-nest-"
NEST = ".nest"
MOVE_ROUNDS = 3
STOP_SECONDS = 5
"""Whoever logs out waits no longer for pets that do not listen to SIGTERM."""


def in_a_scope(command: Sequence[str]) -> list[str] | None:
    """`command` as systemd is asked to start it in a scope of its own; None where nobody is asked.

    Only ordinary users need it, and only where a manager of theirs runs, which listens below
    their runtime directory.
    """
    from shutil import which  # late: it brings libraries along, which each fork of the nest copies

    run = which("systemd-run")
    if os.geteuid() == 0 or run is None or not os.path.exists(f"{runtime_directory()}/bus"):
        return None
    return [
        *(run, "--user", "--scope", "--quiet", "--collect"),
        *(f"--unit={UNIT}{os.urandom(4).hex()}", "--description=Procchi's pets"),
        *("-p", "Delegate=yes", "-p", f"TimeoutStopSec={STOP_SECONDS}"),
        *("--", *command),
    ]


def runtime_directory() -> str:
    """Where this user's manager listens, whatever has become of the variable (`su`, cron)."""
    return os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"


def base(mount: str, name: str) -> str | None:
    """The group for the pets' groups, called `name`, in the subtree handed over to this process.

    None where nothing is. An older nest's that has pets in it goes first. This process, and the
    one that has started it in the same scope, move into the nest's leaf. Raises OSError.
    """
    own = _own_group()
    scope = mount + own
    if not _is_scope(scope):
        return None
    for older in sorted(glob.glob(f"{os.path.dirname(os.path.dirname(scope))}/*/{UNIT}*/{name}")):
        if _populated(older):
            scope = os.path.dirname(older)
            break
    leaf = f"{scope}/{NEST}"
    os.makedirs(leaf, exist_ok=True)
    with open(f"{mount}{own}/cgroup.procs") as file:
        for pid in file.read().split():
            write_file(f"{leaf}/cgroup.procs", pid)
    return f"{scope}/{name}"


def make_way(group: str) -> None:
    """Move whoever sits in `group`, where a container's cgroup namespace begins, into a leaf.

    Its own processes sit there, and past them the kernel hands no controller down. The real root,
    which has no cgroup.type, is exempt from that rule (cgroup-v2.rst). Raises OSError.
    """
    if not os.path.exists(f"{group}/cgroup.type"):
        return
    os.makedirs(f"{group}/{NEST}", exist_ok=True)
    for _ in range(MOVE_ROUNDS):  # they may fork meanwhile
        with open(f"{group}/cgroup.procs") as file:
            pids = [pid for pid in file.read().split() if pid != "0"]
        for pid in pids:
            with contextlib.suppress(OSError):  # it has ended
                write_file(f"{group}/{NEST}/cgroup.procs", pid)


def _own_group() -> str:
    """The path of our group in the unified hierarchy (cgroups(7), "/proc/pid/cgroup")."""
    with open("/proc/self/cgroup") as file:
        for line in file:
            if line.startswith("0::"):
                return line[3:].rstrip("\n").rstrip("/")
    return ""


def _is_scope(group: str) -> bool:
    """Whether it is one that `in_a_scope` asked for, and ours to write."""
    name = os.path.basename(group)
    ours = name.startswith(UNIT) and name.endswith(".scope")
    return ours and os.access(f"{group}/cgroup.subtree_control", os.W_OK)


def _populated(group: str) -> bool:
    try:
        with open(f"{group}/cgroup.events") as file:
            return "populated 1" in file.read()
    except OSError:
        return False
