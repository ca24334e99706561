"""Ready-made meals: ours from assets/snacks.toml, and those of the configuration file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import assets
from engine import Pet
from procchi_tui.limit_files import limit_file
from procchi_tui.words import names_in_words

LIMITS = ("memory", "cpu", "pids")
HOLDING = ("pids",)
"""Limits in whose place something may hold that is enough: a user's tasks are counted together, but
the memory of each process by itself."""


class Snack(NamedTuple):
    """A meal with a name."""

    name: str
    line: str
    """What the pet's shell is fed."""
    shows: str
    """What there is to see; empty for one from the configuration."""
    needs: str = ""
    """The limit that must hold, or the host would suffer: `memory`, `pids`."""


def snacks(own: Mapping[str, str], cgroup: str = "") -> list[Snack]:
    """All of them, the person's `own` (by name) first; one of ours of the same name gives way.

    Ours name the files of that kind of control groups.
    """
    files = {limit: limit_file(cgroup, limit) or f"the {limit} limit" for limit in LIMITS}
    ours = [Snack(name, **told) for name, told in assets.table("snacks.toml").items()]
    return [
        *(Snack(name, line, "") for name, line in own.items()),
        *(it._replace(shows=it.shows.format(**files)) for it in ours if it.name not in own),
    ]


def refusal(snack: Snack, pets: Sequence[Pet]) -> str:
    """Why it must not be fed to those pets; empty where it may."""
    needs = snack.needs
    unbound = [pet for pet in pets if needs and not _holds(needs, pet)]
    if not unbound:
        return ""
    names = names_in_words([pet.name for pet in unbound])
    said = f"{snack.name}: no {needs} limit holds for {names}"
    instead = {pet.in_place.get(needs, "") for pet in unbound}
    if len(instead) == 1 and (only := instead.pop()):
        return f"{said}, only this: {only}. The host itself would suffer."
    return f"{said}, and the host itself would suffer."


def _holds(limit: str, pet: Pet) -> bool:
    if getattr(pet.limits, limit) is None:
        return False
    return limit in pet.enforced or (limit in HOLDING and limit in pet.in_place)
