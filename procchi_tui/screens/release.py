"""The question before a pet is let go."""

from __future__ import annotations

from collections.abc import Sequence

from engine import Pet
from procchi_tui.screens.question import Question

LIVING = "Processes are ended; cgroup, mounts, files and log are removed. This cannot be undone."
DEAD = "Its epitaph, files and log are removed. This cannot be undone."
NAMES_SHOWN = 12


class ReleaseScreen(Question):
    """What would be lost."""

    HELP = "Releasing is what `rm -f` does to a container: nothing of the pet is left."

    def __init__(self, pets: Sequence[Pet]) -> None:
        names = [pet.name for pet in pets]
        ghosts = all(pet.status == "ghost" for pet in pets)
        it = "it" if len(names) == 1 else "them"
        words = DEAD if ghosts and len(names) == 1 else LIVING
        if len(names) > 1:
            more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
            words = f"{', '.join(names[:NAMES_SHOWN])}{more}\n\n{words}"
        title = names[0] if len(names) == 1 else f"{len(names)} pets"
        super().__init__(f"Release {title}?", words, yes=f"Release {it}", no=f"Keep {it}")
