"""Releasing a pet: its end, and the removal of all that was its."""

from __future__ import annotations

import contextlib
import signal

from engine.errors import ProcchiError
from engine.nest.dweller import Answer, Dweller, Refuse
from engine.nest.keeper import Keeper
from engine.nest.wishes import signal_of
from engine.syswrap import status_fields

GRACE_SECONDS = 3.0
"""How long a PID 1 that handles SIGTERM may take to end, before SIGKILL."""


def release(keeper: Keeper, name: str, answer: Answer, refuse: Refuse) -> None:
    """End a pet and remove all that was its. Answers `{}` once it is gone. Raises NoSuchPet."""
    dweller = keeper.find(name)
    first = not dweller.releases
    dweller.releases.append((answer, refuse))
    if not first:
        return
    dweller.gone = lambda: _remove(keeper, dweller)
    if not dweller.alive:
        keeper.take_group_away(dweller)
        return
    number = signal_of(dweller.record.stop_signal or "TERM")
    if _handles(dweller.record.pid, number) and not dweller.record.asleep:
        keeper.send(dweller, number)
        keeper.loop.later(GRACE_SECONDS, lambda: _kill(keeper, dweller))
    else:  # a PID 1 that does not handle it never sees it: pid_namespaces(7)
        _kill(keeper, dweller)


def _kill(keeper: Keeper, dweller: Dweller) -> None:
    if dweller.pidfd == -1:
        return
    keeper.send(dweller, signal.SIGKILL)
    with contextlib.suppress(OSError):
        if dweller.group.frozen():  # by whomever: a v1 freezer holds even the dying
            dweller.group.freeze(False)


def _remove(keeper: Keeper, dweller: Dweller) -> None:
    """Move its directory out of the way, and have it deleted by a process of its own."""
    try:
        keeper.clearing.discard(dweller.directory, lambda: _released(keeper, dweller))
    except OSError as error:
        waiting, dweller.releases = dweller.releases, []
        for _, refuse in waiting:
            refuse(ProcchiError(f"{dweller.record.name}'s directory could not be removed: {error}"))


def _released(keeper: Keeper, dweller: Dweller) -> None:
    keeper.forget(dweller)
    keeper.tell_of("released", dweller)
    for answer, _ in dweller.releases:
        answer({})


def _handles(pid: int, number: int) -> bool:
    """Whether the process catches the signal (SigCgt in proc_pid_status(5))."""
    with contextlib.suppress(OSError):
        return bool(int(status_fields(pid)["SigCgt"], 16) >> (number - 1) & 1)
    return False
