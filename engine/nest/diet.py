"""Changing what a living pet may use."""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Mapping
from typing import Any

from engine.errors import HatchFailed, NotAwake, ProcchiError
from engine.limits import Limits
from engine.nest.dweller import Dweller
from engine.nest.keeper import Keeper

WHY = "`procchi doctor` says why, and what to do"


def diet(keeper: Keeper, name: str, changes: Mapping[str, Any]) -> Dweller:
    """Change a living pet's limits; those not named stay. All of it or nothing.

    Raises ProcchiError, with the kernel's reason where it refuses.
    """
    dweller = keeper.find(name)
    if not dweller.alive or dweller.releases:
        raise NotAwake(f"{name} is a ghost: it needs no diet")
    record = dweller.record
    before = record.limits, record.enforced
    limits = record.limits.changed(changes)
    try:
        dweller.group.limit(limits)
        record.limits, record.enforced = limits, dweller.cgroups.enforces(limits)
        record.save(dweller.directory)
    except OSError as error:
        record.limits, record.enforced = before
        with contextlib.suppress(OSError):
            dweller.group.limit(record.limits)  # what was changed before the refusal
        raise ProcchiError(f"{name}'s diet stays as it is: {_refused(error)}") from error
    keeper.tell_of("diet", dweller, **limits.to_json())
    return dweller


def check_enforced(keeper: Keeper, name: str, limits: Limits) -> None:
    """Refuse to hatch `name` with limits that would be words only. Raises HatchFailed."""
    if loose := limits.loose(keeper.cgroups.enforces(limits)):
        raise HatchFailed(
            f"{name} did not hatch: this machine does not enforce its limits on "
            f"{', '.join(loose)}, and strict limits were asked for: {WHY}"
        )


def _refused(error: OSError) -> str:
    """Why the kernel would not take a limit."""
    if error.errno == errno.EBUSY:
        return f"more memory is in use than that, and cannot be taken away ({error})"
    if error.errno == errno.EPERM:
        return f"what its processes were given at hatching, only root may raise ({error})"
    return str(error)
