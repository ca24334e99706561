"""What a pet was fed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine import PastMeal
from procchi_tui.nest_engine import Engine
from procchi_tui.pages.page import Block, Page, Sight
from procchi_tui.words import duration


class Meals(Page):
    """Its last meals, newest first."""

    id = "meals"
    title = "Meals"
    about = "The commands run in it, and how they ended"
    of_ghosts = True

    def read(self, engine: Engine, name: str) -> list[PastMeal]:
        """Those that the nest remembers."""
        return engine.meals(name)

    def blocks(self, seen: Sequence[PastMeal], sight: Sight) -> Iterable[Block]:
        """One line a meal, then what those wrote that were fed from here."""
        yield Block(
            "meals",
            "each a process that joined its namespaces (exec); the nest's own record",
            [_row(meal) for meal in reversed(seen)] or [("none yet", "", "", "", "")],
            ("meal", "began", "took", "status", "command"),
        )
        for meal in reversed(seen):
            if lines := sight.eaten(meal.number):
                yield Block(
                    f"meal {meal.number}", "the end of what it wrote", [(line,) for line in lines]
                )


def _row(meal: PastMeal) -> tuple[str, ...]:
    status = "?" if meal.exit_code is None else str(meal.exit_code)
    if meal.running:
        status = "eating"
    elif meal.oom_killed:
        status += ", OOM"
    return (
        str(meal.number),
        f"{meal.at.astimezone():%H:%M:%S}",
        "" if meal.duration is None else duration(meal.duration),
        status,
        " ".join(meal.command),
    )
