"""Ready-made meals: ours from assets/snacks.toml, and those of the configuration file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import assets
from engine import Pet
from procchi_tui.words import names_in_words


class Snack(NamedTuple):
    """A meal with a name."""

    name: str
    line: str
    """What the pet's shell is fed."""
    shows: str
    """What there is to see; empty for one from the configuration."""
    needs: str = ""
    """The limit that must be enforced, or the host would suffer: `memory`, `pids`."""


def snacks(own: Mapping[str, str]) -> list[Snack]:
    """All of them, the person's `own` (by name) first; one of ours of the same name gives way."""
    ours = assets.table("snacks.toml")
    return [
        *(Snack(name, line, "") for name, line in own.items()),
        *(Snack(name, **told) for name, told in ours.items() if name not in own),
    ]


def refusal(snack: Snack, pets: Sequence[Pet]) -> str:
    """Why it must not be fed to those pets; empty where it may."""
    unbound = [
        pet.name
        for pet in pets
        if snack.needs
        and (snack.needs not in pet.enforced or getattr(pet.limits, snack.needs) is None)
    ]
    if not unbound:
        return ""
    return (
        f"{snack.name}: no {snack.needs} limit holds for {names_in_words(unbound)}, and the host "
        "itself would suffer."
    )
