"""First steps: four things to do with a real pet, each over when it has really been done.

Nothing is asked and nothing checked by a button: the tour watches what happens in the nest, and
which screen is open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from engine import Pet

HATCHED, LOOKED = "hatched", "looked"
"""Kinds of events; the second is told by the session, when a pet is seen up close."""


class Step(NamedTuple):
    """Something to do."""

    title: str
    todo: str
    """How. A key stands in square brackets."""
    over: str
    """The kind of event that says that it was done."""
    learned: Callable[[Pet], str]
    """What is to be seen then."""


def steps(*, memory_enforced: bool) -> tuple[Step, ...]:
    """The four steps, as they can be done on this machine."""
    third = Step(
        "Feed it too much",
        "[Esc] leaves the table; [F] offers snacks. [Enter] takes the first, a memory hog, and "
        "[Enter] again feeds it: 200M, where it may have far less. Watch its face.",
        "oom",
        lambda pet: (
            f"The kernel's OOM killer ended that meal, not {pet.name}'s PID 1. Its card names the "
            "file that says so."
        ),
    )
    instead = Step(
        "Put it to sleep",
        "[s] stops all of it where it stands; another [s] goes on. (A memory limit would be the "
        "next thing to try, but this machine enforces none: see procchi doctor.)",
        "asleep",
        lambda pet: f"{pet.name} uses no CPU now, and knows nothing of the time that passes.",
    )
    return (
        Step(
            "Hatch a pet",
            "[n], then [Enter] twice: an egg is cooked from this machine's own files, and a "
            "process is born from it.",
            HATCHED,
            lambda pet: (
                f"{pet.name} is process {pet.pid} on this machine, in namespaces and a control "
                "group of its own."
            ),
        ),
        Step(
            "Feed it a command",
            "[f], then type ps -ef and [Enter]: the command runs inside. [Esc] leaves the table.",
            "meal-over",
            lambda pet: (
                "It sees none of this machine's other processes: inside, the shell is PID 1. That "
                "is its pid namespace."
            ),
        ),
        third if memory_enforced else instead,
        Step(
            "Look at it up close",
            "[Esc] leaves the table; [Enter] opens the pet: its walls, and the system calls that "
            "made it.",
            LOOKED,
            lambda pet: "That is all a container is. [?] helps everywhere, and pets live on.",
        ),
    )


class Tour:
    """How far somebody has come."""

    def __init__(self, todo: tuple[Step, ...]) -> None:
        self._steps = todo
        self._done = 0
        self.learned = ""
        """What the step before has shown."""

    @property
    def step(self) -> Step | None:
        """The one to be done now; None when all are."""
        return self._steps[self._done] if self._done < len(self._steps) else None

    @property
    def heading(self) -> str:
        """Where it stands, in words."""
        step = self.step
        if step is None:
            return "First steps: done"
        return f"First steps, {self._done + 1} of {len(self._steps)}: {step.title}"

    def notice(self, kind: str, pet: Pet) -> bool:
        """Something was done with `pet`. True when the tour has moved on."""
        step = self.step
        if step is None or step.over != kind:
            return False
        self._done += 1
        self.learned = step.learned(pet)
        return True
