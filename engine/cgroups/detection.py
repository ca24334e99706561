"""Looking at what this machine and this user really have."""

from __future__ import annotations

import os
from typing import NamedTuple

from engine.cgroups import v1, v2
from engine.cgroups.group import Cgroups
from engine.cgroups.none import NoCgroups
from engine.cgroups.v1 import V1Cgroups
from engine.cgroups.v2 import V2Cgroups

LIMITS = ("memory", "cpu", "pids")


class Mounted(NamedTuple):
    """The control group file systems in sight (proc_pid_mountinfo(5))."""

    unified: str | None
    """Where cgroup2 is mounted."""
    hierarchies: dict[str, str]
    """v1: controller -> where it is mounted."""


def detect(name: str = "procchi") -> Cgroups:
    """The best kind that works here; the groups will live under a group called `name`.

    Makes that group, since only making one proves that one may: under a tmpfs at
    /sys/fs/cgroup a mkdir succeeds and makes nothing.
    """
    found = mounted()
    reasons = []
    if found.unified:
        best = _unified(found.unified, name)
        if isinstance(best, Cgroups):
            return best
        reasons.append(best)
    if found.hierarchies:
        old = _old(found.hierarchies, name)
        if isinstance(old, Cgroups):
            return old
        reasons.append(old)
    return NoCgroups("; ".join(reasons) or "no control group file system is mounted")


def mounted(mountinfo: str = "/proc/self/mountinfo") -> Mounted:
    """What `mountinfo` lists. Of several mounts of one hierarchy the first counts."""
    unified, hierarchies = None, dict[str, str]()
    with open(mountinfo) as file:
        for line in file:
            before, _, after = line.partition(" - ")
            place = before.split()[4].encode().decode("unicode_escape")
            kind, _, options = after.split(maxsplit=2)
            if kind == "cgroup2":
                unified = unified or place
            elif kind == "cgroup":
                for option in options.strip().split(","):
                    if option in v1.CONTROLLERS:
                        hierarchies.setdefault(option, place)
    return Mounted(unified, hierarchies)


def _unified(mount: str, name: str) -> Cgroups | str:
    """v2 groups under `mount`, or why not."""
    with open(f"{mount}/cgroup.controllers") as file:
        offered = set(file.read().split()) & set(v2.CONTROLLERS)
    if not offered:  # a hybrid host: the controllers are with the v1 hierarchies
        return "cgroup v2 is mounted without the memory, cpu and pids controllers"
    base = f"{mount}/{name}"
    try:
        os.makedirs(base, exist_ok=True)
        v2.hand_down(mount)
        enforced = v2.hand_down(base)
    except OSError as error:
        return f"cgroup v2 at {mount} is not delegated to this user ({error.strerror})"
    if not enforced:
        os.rmdir(base)
        return f"cgroup v2 at {mount} hands no controller down (processes sit in its root group)"
    return V2Cgroups(base, enforced, f"cgroup v2 at {base}")


def _old(hierarchies: dict[str, str], name: str) -> Cgroups | str:
    """v1 groups under each of `hierarchies`, or why not."""
    bases, refused = {}, {}
    for controller, mount in hierarchies.items():
        base = f"{mount}/{name}"
        try:
            os.makedirs(base, exist_ok=True)
            with open(f"{base}/tasks"):
                bases[controller] = base
        except OSError as error:
            refused[controller] = error.strerror
    enforced = tuple(limit for limit in LIMITS if limit in bases)
    if not enforced:
        said = ", ".join(f"{key}: {value}" for key, value in refused.items())
        return f"cgroup v1 is not writable for this user ({said})"
    return V1Cgroups(bases, enforced, f"cgroup v1 at {', '.join(sorted(set(bases.values())))}")
