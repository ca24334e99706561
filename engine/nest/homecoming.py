"""A new nest: it adopts the pets that live, buries those that died, and clears what was left."""

from __future__ import annotations

import os
import signal
import time

from engine.cgroups import Cgroups, Group, find_again
from engine.errors import ProcchiError
from engine.model import Epitaph
from engine.nest import meals
from engine.nest.dweller import Dweller
from engine.nest.keeper import Keeper
from engine.nest.records import Record
from engine.syswrap import take_hold

STRAY_ATTEMPTS = 200
BROKEN_KEPT = 10
"""Directories whose records could not be read, the newest: what a pet wrote is in them, too."""


def come_home(keeper: Keeper) -> None:
    """After a start: find every pet again by its record, and nothing else may be there."""
    places = keeper.places
    elsewhere: list[Cgroups] = []
    with os.scandir(places.pets) as entries:
        names = sorted(entry.name for entry in entries)
    for name in names:
        directory = f"{places.pets}/{name}"
        try:
            try:
                record = Record.load(directory)
                cgroups = find_again(record.cgroup, [keeper.cgroups, *elsewhere])
            except ProcchiError as error:
                _set_aside(keeper, name, directory, error)
            else:
                if cgroups is not keeper.cgroups and cgroups not in elsewhere:
                    elsewhere.append(cgroups)
                _find_again(keeper, Dweller(record, directory, cgroups))
        except OSError as error:  # one that cannot be put right costs that pet, not the nest
            keeper.complain(f"{directory} stays as it is: {error}")
    for name in keeper.cgroups.names():
        if name not in keeper.pets:
            _clear_group(keeper, keeper.cgroups.group(name))
    keeper.clearing.empty_trash()
    keeper.clearing.in_a_child(keeper.store.clean, "what dead pulls left", lambda: None)


def _clear_group(keeper: Keeper, group: Group) -> None:
    """Take away a group whose pet never got as far as a record, or lost it.

    Waits, since a new pet of that name must not be taken for the old one's rest.
    """
    for _ in range(STRAY_ATTEMPTS):
        group.kill()
        if group.remove():
            return
        time.sleep(0.01)
    keeper.complain(f"{group} does not become empty: it is left as it is")


def _find_again(keeper: Keeper, dweller: Dweller) -> None:
    record = dweller.record
    pidfd = None
    if record.boot_id == keeper.boot and record.phase != "ghost":
        pidfd = take_hold(record.pid, record.start_time)
    if pidfd is not None:
        dweller.group.inhabit(record.pid, record.start_time)
    if record.phase == "hatching":  # the nest died over it: nobody was told that it lives
        if pidfd is not None:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
            os.close(pidfd)
        _clear_group(keeper, dweller.group)
        keeper.clearing.discard(dweller.directory, lambda: None)
        return
    keeper.pets[record.name] = dweller
    if record.phase == "ghost":
        keeper.take_group_away(dweller)
        return
    record.meals = max(record.meals, meals.latest(dweller.directory))
    if pidfd is not None:
        dweller.pidfd, dweller.ours = pidfd, False
        record.oom_kills = dweller.group.read().oom_kills or 0
        asleep = dweller.group.frozen()
        if asleep not in (None, record.asleep):  # a nest that died over it did not write it down
            record.asleep = not record.asleep
            keeper.save(dweller)
        keeper.begin_care(dweller)
        keeper.tell_of("adopted", dweller)
        return
    last = dweller.group.read()
    if record.boot_id != keeper.boot:
        cause = "the host was restarted"
    else:
        cause = "died while no nest was there to see how"
    if (kills := (last.oom_kills or 0) - record.oom_kills) > 0:  # of whom, nobody can tell
        cause += f"; the OOM killer had struck {kills} times by then"
    keeper.bury(dweller, Epitaph(cause, None, None, False, last if last.memory else None))
    keeper.take_group_away(dweller)


def _set_aside(keeper: Keeper, name: str, directory: str, error: ProcchiError) -> None:
    """Keep a directory whose record cannot be read, where no pet will be looked for.

    Raises OSError.
    """
    broken = f"{keeper.places.data}/broken"
    keeper.complain(f"{error}: set aside in {broken}")
    os.makedirs(broken, mode=0o700, exist_ok=True)
    os.rename(directory, f"{broken}/{name}.{os.urandom(4).hex()}")
    with os.scandir(broken) as entries:
        oldest = sorted(entries, key=lambda entry: entry.stat(follow_symlinks=False).st_ctime_ns)
    for entry in oldest[:-BROKEN_KEPT]:
        keeper.clearing.discard(entry.path, lambda: None)
