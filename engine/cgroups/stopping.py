"""Sleep where there is no freezer: SIGSTOP to each process, again until none runs."""

from __future__ import annotations

import errno
import signal
import time
from collections.abc import Callable, Iterable

from engine.syswrap import status_fields

FILE = "State T (stopped)"
"""What says so: proc_pid_status(5)."""
ROUNDS = 200

Send = Callable[[int, signal.Signals], None]


def freeze(frozen: bool, processes: Callable[[], Iterable[int]], send: Send) -> None:
    """Stop them, and those that were forked meanwhile, until none runs; or let them go on.

    Raises OSError where they are too many to be caught.
    """
    for _ in range(ROUNDS if frozen else 0):
        running = [pid for pid in processes() if _runs(pid)]
        if not running:
            return
        for pid in running:
            send(pid, signal.SIGSTOP)
        time.sleep(0.001)
    for pid in processes():
        send(pid, signal.SIGCONT)
    if frozen:
        raise OSError(errno.EAGAIN, "its processes multiply faster than they can be stopped")


def frozen(processes: Iterable[int]) -> bool | None:
    """Whether all of them are stopped; None where there is none."""
    running = [_runs(pid) for pid in processes]
    return not any(running) if running else None


def _runs(pid: int) -> bool:
    """Whether it goes on: it is neither stopped (T, t) nor dead (Z, X), nor about to be stopped.

    One that its CPU limit holds back, or that waits in vfork(2) for a child that is stopped, does
    not take the signal for a while, nor does it do anything else, or fork: signal(7),
    proc_pid_status(5).
    """
    try:
        fields = status_fields(pid)
    except OSError:
        return False
    pending = int(fields["ShdPnd"], 16) >> (signal.SIGSTOP - 1) & 1
    return not pending and fields["State"].split()[0] not in {"T", "t", "Z", "X"}
