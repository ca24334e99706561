"""Looking at what this machine and this user really have."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from engine.cgroups import delegation, v1, v2
from engine.cgroups.group import Cgroups
from engine.cgroups.none import NoCgroups
from engine.cgroups.v1 import V1Cgroups
from engine.cgroups.v2 import V2Cgroups
from engine.errors import ProcchiError

LIMITS = ("memory", "cpu", "pids")
NEEDED = {"memory", "pids"}
"""Without these a pet can take the machine down; without `cpu` it is merely in the way."""


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
    sight = mounted()
    tried: list[Cgroups | str] = []
    if sight.unified:
        tried.append(_unified(sight.unified, name))
    if sight.hierarchies and not any(_worth(one) == len(NEEDED) for one in tried):
        tried.append(_old(sight.hierarchies, name))  # where a hybrid host has most of them
    best = max(tried, key=_worth, default="no control group file system is mounted")
    for one in tried:
        if isinstance(one, Cgroups) and one is not best:
            one.remove()
    if isinstance(best, Cgroups):
        return best
    return NoCgroups("; ".join(str(one) for one in tried) or best)


def _worth(tried: Cgroups | str) -> int:
    """How much of what is needed it enforces; a refusal is worth less than nothing."""
    return len(NEEDED & set(tried.enforced)) if isinstance(tried, Cgroups) else -1


def find_again(known: Mapping[str, Any], present: Sequence[Cgroups]) -> Cgroups:
    """Where the group of a pet is that hatched under another nest, from `Cgroups.to_json`.

    One of `present` where that is the place, and the first where nothing is `known`. Raises
    ProcchiError.
    """
    for cgroups in present:
        if not known or known == cgroups.to_json():
            return cgroups
    try:
        why = f"as it was at hatching: {known['kind']}"
        enforced = tuple(limit for limit in LIMITS if limit in known.get("enforced", ()))
        if known["kind"] == "v2":
            return V2Cgroups(str(known["base"]), enforced, why)
        if known["kind"] == "v1":
            return V1Cgroups({str(k): str(v) for k, v in known["bases"].items()}, enforced, why)
        if known["kind"] == "none":
            return NoCgroups(why)
    except (KeyError, TypeError, AttributeError) as error:
        raise ProcchiError(f"its control group is not known: {known}") from error
    raise ProcchiError(f"its control group is of no kind that there is: {known}")


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
    try:
        base = delegation.base(mount, name) or f"{mount}/{name}"
        os.makedirs(base, exist_ok=True)
        if not v2.hand_down(os.path.dirname(base)):
            delegation.make_way(mount)
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
