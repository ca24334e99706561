"""A pet's diet: what it may use at most, as people write it and as the kernel takes it."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import BadRequest

KIB, MIB, GIB, TIB = 1 << 10, 1 << 20, 1 << 30, 1 << 40
_UNITS = {"": 1, "k": KIB, "m": MIB, "g": GIB, "t": TIB}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_RATIO = re.compile(r"([0-9]+)\s*/\s*([0-9]+)", re.ASCII)

SMALLEST_MEMORY = 4 * MIB
"""Bytes. Below this the kernel kills the pet before it can execute its first command."""
LARGEST_MEMORY = (1 << 63) - 1
"""Bytes: what a cgroup's memory files can hold (a signed 64-bit number)."""
SMALLEST_CPU = 0.001
"""Cores. The kernel wants a quota of at least 1 ms in a period of at most 1 s."""
LARGEST_CPU = 1024.0
LARGEST_PIDS = 1 << 22
"""PID_MAX_LIMIT of a 64-bit kernel (proc_sys_kernel(5))."""
PERIOD_USEC = 100_000
"""The period that a CPU quota is counted in: the kernel's own default."""
SMALLEST_QUOTA_USEC, SHORTEST_PERIOD_USEC, LONGEST_PERIOD_USEC = 1_000, 1_000, 1_000_000


def parse_size(text: str | int, what: str = "size") -> int:
    """Bytes from `50M`, `1.5GiB`, `4096` (units are powers of 1024, as docker and podman).

    Raises BadRequest when it is not a size.
    """
    match = _SIZE.fullmatch(str(text).strip())
    if not match or isinstance(text, bool):
        raise BadRequest(f"{what} {str(text)[:40]!r} is not a size: write it like 50M or 1G")
    size = float(match[1]) * _UNITS[match[2].lower()]
    if not math.isfinite(size):
        raise BadRequest(f"{what} {str(text)[:40]!r}… is larger than anything: write it like 50M")
    return int(size)


def format_size(size: float) -> str:
    """`size` bytes in a few characters: 512B, 1.5K, 50M, 1.2G (powers of 1024)."""
    units = iter("BKMGT")
    unit = next(units)
    while size >= 1024 and unit != "T":
        size, unit = size / 1024, next(units)
    digits = f"{size:.1f}" if size < 10 and unit != "B" else f"{size:.0f}"
    return digits.removesuffix(".0") + unit


@dataclass(frozen=True, slots=True, init=False)
class Limits:
    """A pet's diet: what it may use at most. None means unlimited."""

    memory: int | None
    """Bytes of memory, page cache included (memory.max, cgroups(7))."""
    cpu: float | None
    """Cores: 0.5 is half of one CPU's time (cpu.max)."""
    pids: int | None
    """Processes and threads alive at once (pids.max)."""
    memory_high: int | None
    """Bytes above which the kernel slows it down and takes memory back, rather than kill
    (memory.high): the soft limit, below `memory`. cgroup v2 only."""
    swap: int | None
    """Bytes of swap on top of `memory` (memory.swap.max): none, unless asked for."""
    cpu_period: int
    """Microseconds in which `cpu` is counted: a short one is smoother, a long one lets it spend
    all of its share at once."""

    def __init__(
        self,
        memory: int | str | None = "50M",
        cpu: float | str | None = 0.5,
        pids: int | str | None = 64,
        *,
        memory_high: int | str | None = None,
        swap: int | str | None = 0,
        cpu_period: int | str | None = None,
    ) -> None:
        """Check each limit; raises BadRequest for what no kernel could enforce.

        Sizes are bytes, or text like `50M`. `cpu` is cores (0.5), a percentage of one (`50%`), or
        quota and period in microseconds as cpu.max has them (`50000/100000`). `unlimited` and
        None are no limit.
        """
        cores, period = _cpu(cpu)
        object.__setattr__(self, "memory", _memory(memory, "memory limit"))
        object.__setattr__(self, "cpu", cores)
        object.__setattr__(self, "pids", _pids(pids))
        object.__setattr__(self, "memory_high", _memory(memory_high, "soft memory limit"))
        object.__setattr__(self, "swap", _swap(swap))
        object.__setattr__(self, "cpu_period", _period(cpu_period, period))
        if self.memory_high and self.memory and self.memory_high > self.memory:
            soft, hard = format_size(self.memory_high), format_size(self.memory)
            raise BadRequest(
                f"a soft memory limit of {soft} is never reached under a limit of {hard}: "
                "choose one below it"
            )

    def changed(self, changes: Mapping[str, Any]) -> Limits:
        """These limits but for `changes`. Raises BadRequest."""
        kept = self.to_json()
        if "cpu" in changes:
            del kept["cpu_period"]  # it went with the share that is being replaced
        return Limits.from_json(kept | dict(changes))

    def only(self, enforced: tuple[str, ...]) -> Limits:
        """Those of these limits that are `enforced`; the others are none."""
        if not self.loose(enforced):  # as a rule: and this is asked at every sampling
            return self
        named = dict.fromkeys(("memory", "cpu", "pids", "memory_high", "swap"))
        return Limits.from_json(
            named | {key: value for key, value in self.to_json().items() if key in enforced}
        )

    def loose(self, enforced: tuple[str, ...]) -> list[str]:
        """Those of these limits that nobody enforces where the kernel enforces `enforced`."""
        wanted = {"memory": self.memory, "cpu": self.cpu, "pids": self.pids}
        wanted |= {"memory_high": self.memory_high, "swap": self.swap or None}
        return [name for name, value in wanted.items() if value and name not in enforced]

    def to_json(self) -> dict[str, Any]:
        """The limits by name."""
        return {
            "memory": self.memory,
            "cpu": self.cpu,
            "pids": self.pids,
            "memory_high": self.memory_high,
            "swap": self.swap,
            "cpu_period": self.cpu_period,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Limits:
        """The inverse of `to_json`; keys it does not know are ignored."""
        known = ("memory", "cpu", "pids", "memory_high", "swap", "cpu_period")
        return cls(**{key: data[key] for key in known if key in data})


def cpu_quota(cores: float, period: int = PERIOD_USEC) -> tuple[int, int]:
    """(quota, period) in microseconds for `cores`.

    The kernel refuses a quota under 1 ms (EINVAL), so a very small share gets its longest period,
    a second.
    """
    if cores * period < SMALLEST_QUOTA_USEC:
        period = LONGEST_PERIOD_USEC
    return max(SMALLEST_QUOTA_USEC, round(cores * period)), period


def _unlimited(value: object) -> bool:
    return value is None or (
        isinstance(value, str) and value.strip().lower() in {"unlimited", "max", "none"}
    )


def _memory(value: int | str | None, what: str) -> int | None:
    if value is None or _unlimited(value):
        return None
    size = parse_size(value, what)
    if not SMALLEST_MEMORY <= size <= LARGEST_MEMORY:
        bounds = f"{format_size(SMALLEST_MEMORY)} to {LARGEST_MEMORY} bytes, or unlimited"
        raise BadRequest(f"{what} {value!r} cannot be enforced: choose {bounds}")
    return size


def _swap(value: int | str | None) -> int | None:
    if value is None or _unlimited(value):
        return None
    size = parse_size(value, "swap limit")
    if size > LARGEST_MEMORY:
        raise BadRequest(f"swap limit {value!r} cannot be enforced: choose less, or unlimited")
    return size


def _cpu(value: float | str | None) -> tuple[float | None, int]:
    """Cores and the period."""
    if value is None or _unlimited(value):
        return None, PERIOD_USEC
    text, period = str(value).strip(), PERIOD_USEC
    try:
        if ratio := _RATIO.fullmatch(text):
            quota, period = int(ratio[1]), int(ratio[2])
            if quota < SMALLEST_QUOTA_USEC:
                raise BadRequest(
                    f"CPU limit {text[:40]!r} cannot be enforced: the quota is "
                    f"{SMALLEST_QUOTA_USEC} µs at least"
                )
            cores = quota / _period(period)
        elif text.endswith("%"):
            cores = float(text[:-1]) / 100
        else:
            cores = float(value)
    except ValueError:
        raise BadRequest(
            f"CPU limit {text[:40]!r} is not a number of cores: write it like 0.5, 50% or "
            "50000/100000 (µs)"
        ) from None
    if not (math.isfinite(cores) and SMALLEST_CPU <= cores <= LARGEST_CPU):
        bounds = f"{SMALLEST_CPU} to {LARGEST_CPU:.0f} cores, or unlimited"
        raise BadRequest(f"CPU limit {value!r} cannot be enforced: choose {bounds}")
    return cores, period


def _period(value: int | str | None, usual: int = PERIOD_USEC) -> int:
    text = str(usual if value is None else value).strip()
    period = int(text[:9]) if text.isascii() and text.isdecimal() else 0
    if not SHORTEST_PERIOD_USEC <= period <= LONGEST_PERIOD_USEC:
        raise BadRequest(
            f"CPU period {text[:40]!r} cannot be enforced: choose {SHORTEST_PERIOD_USEC} to "
            f"{LONGEST_PERIOD_USEC} µs"
        )
    return period


def _pids(value: int | str | None) -> int | None:
    if value is None or _unlimited(value):
        return None
    text = str(value).strip()
    if not (text.isascii() and text.isdecimal()) or not 1 <= int(text[:9]) <= LARGEST_PIDS:
        raise BadRequest(
            f"pids limit {text[:40]!r} cannot be enforced: choose 1 to {LARGEST_PIDS}, or unlimited"
        )
    return int(text)
