"""A pet's limits, beside what it uses of them."""

from __future__ import annotations

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Label, Static

from engine import BadRequest, Pet, Readings
from procchi_tui.carer import Changes
from procchi_tui.diet import UNLIMITED, in_words
from procchi_tui.limit_files import limit_file
from procchi_tui.nursery import Nursery
from procchi_tui.screens.dialogue import Dialogue
from procchi_tui.session import Session
from procchi_tui.words import cores, loosely, names_in_words, size

READ_SECONDS = 0.5
FIELDS = {
    "memory": "memory",
    "memory_high": "soft",
    "swap": "swap",
    "cpu": "CPU",
    "pids": "processes",
}


class DietScreen(Dialogue[Changes]):
    """Takes what `procchi diet` takes; the answer holds only what is to change."""

    AUTO_FOCUS = "#memory"
    HELP = (
        "The diet is what a pet may use at most; the kernel's control group sees to it. Memory as "
        "in 50M or 1G, CPU in cores (0.5), percent (50%) or quota/period (50000/100000), processes "
        "as a number; `unlimited` takes a limit away. Memory that a pet needs cannot be taken away."
    )

    def __init__(self, session: Session, pets: Sequence[Pet]) -> None:
        super().__init__()
        self._session = session
        self._pets = pets
        self._before = {field: _common(pets, field) for field in FIELDS}

    def compose(self) -> ComposeResult:
        """A field for each limit."""
        names = [pet.name for pet in self._pets]
        cgroup = self._session.facts.cgroup
        with Vertical(id="dialogue", classes=cgroup):
            yield Label(f"Diet of {names_in_words(names)}", id="title", markup=False)
            for field, word in FIELDS.items():
                file = limit_file(cgroup, field)
                with Horizontal(classes="limit"):
                    yield Label(f"{word} ({file})" if file else word)
                    yield Input(
                        self._before[field],
                        id=field,
                        compact=True,
                        placeholder="as it is" if len(names) > 1 else UNLIMITED,
                    )
                    yield Static(id=f"{field}-now", classes="now", markup=False)
            yield Static("", id="refusal", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Change", id="change")
                yield Button("Cancel", id="cancel")

    def on_mount(self) -> None:
        """Keep the readings fresh."""
        self._show_readings()
        self.set_interval(READ_SECONDS, self._show_readings)

    def _show_readings(self) -> None:
        if len(self._pets) > 1:  # each with readings of its own
            return
        for field in FIELDS:
            told = _now(self._session.nursery, self._pets[0], field)
            self.query_one(f"#{field}-now", Static).update(told)

    def on_input_submitted(self) -> None:
        """Enter in a field: the next Enter changes."""
        self.set_focus(self.query_one("#change"))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Change it, or not."""
        if event.button.id == "cancel":
            self.dismiss(None)
        else:
            self._change()

    def _change(self) -> None:
        typed = {field: self.query_one(f"#{field}", Input).value.strip() for field in FIELDS}
        changes = {
            field: value or UNLIMITED
            for field, value in typed.items()
            if value != self._before[field] and (value or len(self._pets) == 1)
        }
        try:
            for pet in self._pets:
                pet.limits.changed(changes)
        except BadRequest as error:
            self.query_one("#refusal", Static).update(str(error))
            return
        self.dismiss(changes or None)


def _common(pets: Sequence[Pet], field: str) -> str:
    """The limit of all of them as it would be typed; empty where they differ."""
    limits = {in_words(pet.limits)[field] for pet in pets}
    return limits.pop() if len(limits) == 1 else ""


def _now(nursery: Nursery, pet: Pet, field: str) -> str:
    """What is used of that limit, and whether it holds."""
    readings = nursery.readings.get(pet.name) or Readings(0.0)
    used = ""
    if field == "memory" and readings.memory is not None:
        used = f"{size(readings.memory)} now"
        if readings.memory_peak is not None:
            used += f", {size(readings.memory_peak)} at most"
    elif field == "cpu" and (now := nursery.cores(pet.name)) is not None:
        used = f"{cores(now)} cores now"
    elif field == "pids" and readings.pids is not None:
        used = f"{readings.pids} now"
    return "; ".join(filter(None, (used, loosely(pet, field))))
