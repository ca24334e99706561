"""Which process it is: a pid and a start time, read from /proc."""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Callable


def start_time(pid: int) -> int | None:
    """Clock ticks since boot at which `pid` started; None when there is no such process."""
    fields = _stat(pid)
    return None if not fields or fields[0] in {b"Z", b"X"} else int(fields[19])


def zombie_status(pid: int, started: int) -> int | None:
    """The wait status of the process that started at `started`; None unless it is a zombie.

    That is before anybody reaps it: proc_pid_stat(5), to whoever could trace it (ptrace(2)).
    """
    fields = _stat(pid)
    if not fields or fields[0] != b"Z" or int(fields[19]) != started:
        return None
    return int(fields[49])


def status_fields(pid: int) -> dict[str, str]:
    """proc_pid_status(5), by field. Raises OSError.

    A process has the name it likes, in which a newline is escaped, but nothing else that ends a
    line elsewhere, or looks like a field. Of two fields the kernel's own is the later one.
    """
    with open(f"/proc/{pid}/status", errors="replace", newline="\n") as file:
        return dict(line.split(":", 1) for line in file)


def _stat(pid: int) -> list[bytes]:
    """The fields of proc_pid_stat(5) from the state on; none when there is no such process.

    A process may have any name, `) (` included: they are counted behind the last `)`.
    """
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def send_signal(pid: int, number: int, is_meant: Callable[[int], bool]) -> bool:
    """Send `pid` a signal, if it is meant once it can no longer be somebody else (pidfd_open(2)).

    False where it is not, or has ended; `is_meant` may raise OSError for one that has.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    try:
        if not is_meant(pid):
            return False
        signal.pidfd_send_signal(pidfd, number)
    except OSError:
        return False
    finally:
        os.close(pidfd)
    return True


def take_hold(pid: int, started: int) -> int | None:
    """A pidfd of the process `pid` that started at `started`; None when it is gone.

    The start time is read with the pidfd in hand, so the number cannot change hands between. No
    number is refused: what can be no process (0, a thread's, a number beyond all) is none.
    """
    try:
        pidfd = os.pidfd_open(pid)
    except (ProcessLookupError, FileNotFoundError, ValueError, OverflowError):
        return None
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise
    if start_time(pid) == started:
        return pidfd
    os.close(pidfd)
    return None


def dump_no_core() -> None:
    """Have neither a core file written when this process crashes, nor the host's handler run.

    Where /proc/sys/kernel/core_pattern names a program, the kernel runs it as root whatever the
    limit, 0 included; of all numbers 1 alone forbids it (core(5), fs/coredump.c). It is too little
    for a file.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    if hard != 0:  # from which only a privilege on the host leads back
        resource.setrlimit(resource.RLIMIT_CORE, (1, 1))
