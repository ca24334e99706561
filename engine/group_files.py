"""The files of a pet's control group that say most, as they are now."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

from engine.anatomy import Setting
from engine.cgroups.detection import mounted

V2 = {
    "memory.current": "bytes in use now",
    "memory.peak": "the most bytes so far",
    "memory.high": "above this it is slowed down and made to give back",
    "memory.max": "above this, with nothing left to give back, the OOM killer comes",
    "memory.swap.max": "how much of it may be swapped out",
    "memory.events": "how often a limit was met, and whom it cost",
    "memory.pressure": "share of time spent waiting for memory",
    "cpu.max": "microseconds it may run, in each period of so many",
    "cpu.weight": "its share when all want to run",
    "cpu.stat": "time used, and periods in which it was stopped",
    "cpu.pressure": "share of time spent waiting for a CPU",
    "pids.current": "processes and threads now",
    "pids.max": "from then on fork fails",
    "pids.events": "how often it did",
    "io.stat": "bytes and requests to each disk",
    "io.pressure": "share of time spent waiting for disks",
    "cgroup.freeze": "1 while it sleeps",
    "cgroup.events": "whether anybody is in it, and whether all are frozen",
}
"""Documentation/admin-guide/cgroup-v2.rst."""
V1 = {
    "memory.usage_in_bytes": "bytes in use now",
    "memory.max_usage_in_bytes": "the most bytes so far",
    "memory.limit_in_bytes": "above this, with nothing left to give back, the OOM killer comes",
    "memory.memsw.limit_in_bytes": "the same, swap counted in",
    "memory.failcnt": "how often it was met; newer kernels count it only where swap is allowed",
    "memory.oom_control": "whether the OOM killer is on, and how many it killed",
    "cpu.cfs_quota_us": "microseconds it may run in each period; -1 is no limit",
    "cpu.cfs_period_us": "how long a period is",
    "cpu.shares": "its share when all want to run",
    "cpu.stat": "periods, and those in which it was stopped",
    "cpuacct.usage": "nanoseconds of CPU time used",
    "pids.current": "processes and threads now",
    "pids.max": "from then on fork fails",
    "pids.events": "how often it did",
    "freezer.state": "FROZEN while it sleeps",
}
"""Documentation/admin-guide/cgroup-v1/*.rst, Documentation/scheduler/sched-bwc.rst."""


def own_groups(content: str, pet: str) -> dict[str, str]:
    """The directories of the groups called `pet` in /proc/PID/cgroup, by controller (cgroups(7)).

    The unified hierarchy's stands under the empty name. Where a pet has no group of its own, it
    is in one of its user's session, which is not called so.
    """
    sight = mounted()
    groups: dict[str, str] = {}
    for line in content.splitlines():
        _, controllers, path = line.split(":", 2)
        if os.path.basename(path) != pet:
            continue
        for controller in controllers.split(","):
            mount = sight.hierarchies.get(controller) if controller else sight.unified
            if mount is not None and os.path.isdir(mount + path):
                groups[controller] = mount + path
    return groups


def settings(groups: Mapping[str, str]) -> Iterator[Setting]:
    """Those files of `groups` that this kernel has."""
    names = V2 if "" in groups else V1
    for file, about in names.items():
        controller = file.partition(".")[0]
        directory = groups.get("", groups.get(controller))
        if directory is None:
            continue
        path = os.path.join(directory, file)
        try:
            with open(path) as opened:
                value = "; ".join(opened.read().split("\n")).strip("; ")
        except OSError:
            continue
        yield Setting(controller, file, value, path, about)
