"""Everything that a control group tells of one pet, each number with the file it stands in.

Read for one pet when somebody asks, and by opening each file anew: what is sampled for all of
them is `Group.read`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from engine.model import Fact

Number = int | float | None
UNLIMITED = 1 << 62
"""Bytes. What v1 calls no limit is the largest number of pages (cgroup-v1/memory.rst)."""


class Source(NamedTuple):
    """Where one number stands."""

    name: str
    """Of the fact, the same for every kind of control group."""
    unit: str
    file: str
    key: str = ""
    """In the file; empty where it holds just one number."""
    parse: Callable[[str, str], Number] | None = None
    """From the file's content and the key. Raises LookupError where the key is not there."""
    divisor: int = 1
    """What the kernel counts by, in units of ours."""


def whole(content: str, key: str) -> Number:
    """The one number; None for `max`, or what v1 says instead."""
    text = content.strip()
    if text in {"max", "-1"} or (text.isdecimal() and int(text) >= UNLIMITED):
        return None
    return int(text)


def keyed(content: str, key: str) -> Number:
    """The number behind `key`, one `key value` a line."""
    for line in content.splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return whole(value, "")
    raise LookupError(key)


def first(content: str, key: str) -> Number:
    """The first of two numbers: cpu.max holds the quota before the period."""
    return whole(content.split(maxsplit=1)[0], "")


def second(content: str, key: str) -> Number:
    """The second of two."""
    return whole(content.split()[1], "")


def stall(content: str, key: str) -> Number:
    """The percentage of a pressure file, `some avg10=0.00 …` (Documentation/accounting/psi.rst)."""
    share, _, period = key.partition(" ")
    for line in content.splitlines():
        kind, *pairs = line.split()
        if kind == share:
            return float(dict(pair.split("=") for pair in pairs)[period])
    raise LookupError(key)


def over_devices(content: str, key: str) -> Number:
    """The sum of io.stat's `key=` over all devices."""
    pairs = (pair.partition("=") for line in content.splitlines() for pair in line.split()[1:])
    return sum(int(value) for name, _, value in pairs if name == key)


def _pressure() -> Iterator[Source]:
    for resource in ("memory", "cpu", "io"):
        for share in ("some", "full"):
            yield Source(
                f"{resource}_pressure_{share}",
                "percent",
                f"{resource}.pressure",
                f"{share} avg10",
                stall,
            )


V2: tuple[Source, ...] = (
    Source("memory", "bytes", "memory.current"),
    Source("memory_peak", "bytes", "memory.peak"),
    Source("memory_limit", "bytes", "memory.max"),
    Source("memory_soft_limit", "bytes", "memory.high"),
    Source("memory_anonymous", "bytes", "memory.stat", "anon"),
    Source("memory_file", "bytes", "memory.stat", "file"),
    Source("memory_shared", "bytes", "memory.stat", "shmem"),
    Source("memory_inactive_file", "bytes", "memory.stat", "inactive_file"),
    Source("memory_kernel", "bytes", "memory.stat", "kernel"),
    Source("memory_slab", "bytes", "memory.stat", "slab"),
    Source("memory_limit_hits", "count", "memory.events", "max"),
    Source("memory_soft_limit_hits", "count", "memory.events", "high"),
    Source("oom_kills", "count", "memory.events", "oom_kill"),
    Source("swap", "bytes", "memory.swap.current"),
    Source("swap_limit", "bytes", "memory.swap.max"),
    Source("cpu_usec", "usec", "cpu.stat", "usage_usec"),
    Source("cpu_user_usec", "usec", "cpu.stat", "user_usec"),
    Source("cpu_system_usec", "usec", "cpu.stat", "system_usec"),
    Source("cpu_quota_usec", "usec", "cpu.max", "quota", first),
    Source("cpu_period_usec", "usec", "cpu.max", "period", second),
    Source("periods", "count", "cpu.stat", "nr_periods"),
    Source("throttled", "count", "cpu.stat", "nr_throttled"),
    Source("throttled_usec", "usec", "cpu.stat", "throttled_usec"),
    Source("pids", "count", "pids.current"),
    Source("pids_peak", "count", "pids.peak"),
    Source("pids_limit", "count", "pids.max"),
    Source("forks_refused", "count", "pids.events", "max"),
    *_pressure(),
    Source("io_read_bytes", "bytes", "io.stat", "rbytes", over_devices),
    Source("io_written_bytes", "bytes", "io.stat", "wbytes", over_devices),
)
"""Documentation/admin-guide/cgroup-v2.rst."""

V1: tuple[Source, ...] = (
    Source("memory", "bytes", "memory.usage_in_bytes"),
    Source("memory_peak", "bytes", "memory.max_usage_in_bytes"),
    Source("memory_limit", "bytes", "memory.limit_in_bytes"),
    Source("memory_anonymous", "bytes", "memory.stat", "rss"),
    Source("memory_file", "bytes", "memory.stat", "cache"),
    Source("memory_shared", "bytes", "memory.stat", "shmem"),
    Source("memory_inactive_file", "bytes", "memory.stat", "inactive_file"),
    Source("memory_kernel", "bytes", "memory.kmem.usage_in_bytes"),
    Source("oom_kills", "count", "memory.oom_control", "oom_kill"),
    Source("swap", "bytes", "memory.stat", "swap"),
    Source("memory_and_swap_limit", "bytes", "memory.memsw.limit_in_bytes"),
    Source("cpu_usec", "usec", "cpuacct.usage", divisor=1000),
    Source("cpu_user_usec", "usec", "cpuacct.usage_user", divisor=1000),
    Source("cpu_system_usec", "usec", "cpuacct.usage_sys", divisor=1000),
    Source("cpu_quota_usec", "usec", "cpu.cfs_quota_us"),
    Source("cpu_period_usec", "usec", "cpu.cfs_period_us"),
    Source("periods", "count", "cpu.stat", "nr_periods"),
    Source("throttled", "count", "cpu.stat", "nr_throttled"),
    Source("throttled_usec", "usec", "cpu.stat", "throttled_time", divisor=1000),
    Source("pids", "count", "pids.current"),
    Source("pids_peak", "count", "pids.peak"),
    Source("pids_limit", "count", "pids.max"),
    Source("forks_refused", "count", "pids.events", "max"),
)
"""Documentation/admin-guide/cgroup-v1/*.rst, Documentation/scheduler/sched-bwc.rst."""


def read_facts(
    sources: Iterable[Source], directory_of: Callable[[str], str | None]
) -> dict[str, Fact]:
    """What `sources` say now; what this kernel does not have is left out.

    `directory_of` gives the group's directory for a controller, by its name before the dot.
    """
    facts: dict[str, Fact] = {}
    contents: dict[str, str | None] = {}
    for source in sources:
        directory = directory_of(source.file.partition(".")[0])
        if directory is None:
            continue
        path = os.path.join(directory, source.file)
        if path not in contents:
            contents[path] = _content(path)
        if (content := contents[path]) is None:
            continue
        parse = source.parse or (keyed if source.key else whole)
        try:
            value = parse(content, source.key)
        except (LookupError, ValueError):
            continue
        if isinstance(value, int):
            value //= source.divisor
        facts[source.name] = Fact(value, source.unit, f"{source.file} {source.key}".strip(), path)
    return facts


def _content(path: str) -> str | None:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None
