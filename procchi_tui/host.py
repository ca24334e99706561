"""The host's own gauges, read with psutil."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

import psutil


class Host(NamedTuple):
    """The machine that all pets share, at one moment."""

    cpu: float
    """Share of all CPUs' time in use since the reading before, 0 to 1."""
    memory: int
    """Bytes in use."""
    memory_total: int
    """Bytes."""
    load: float
    """Tasks that ran or waited, over the last minute (proc_loadavg(5))."""


ReadHost = Callable[[], Host]


def read_host() -> Host:
    """The host now. The first call has no reading before it and says 0 for the CPU."""
    memory = psutil.virtual_memory()
    return Host(
        cpu=psutil.cpu_percent() / 100,
        memory=memory.total - memory.available,
        memory_total=memory.total,
        load=os.getloadavg()[0],
    )
