"""The form from which a pet hatches: Enter takes the name, Enter again hatches."""

from __future__ import annotations

import shlex
from dataclasses import asdict

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Label, Select, Static

from engine import BadRequest, Egg, Limits, Pet, check_name
from procchi_tui.carer import HatchOrder
from procchi_tui.diet import in_words
from procchi_tui.names import clone_name, free_name
from procchi_tui.screens.dialogue import Dialogue
from procchi_tui.session import Session

HOME = "home"


class HatchScreen(Dialogue[HatchOrder]):
    """Name, egg and diet, all of them filled in already."""

    AUTO_FOCUS = "#name"
    HELP = (
        "A pet needs a name and an egg. `home` is made from this machine's own shell and tools "
        "and needs no network. The diet is what the pet may use at most."
    )

    def __init__(self, session: Session, like: Pet | None = None, egg: str = HOME) -> None:
        super().__init__()
        self._egg = like.egg if like else egg
        self._session = session
        self._like = like
        """The pet that it shall be like."""

    def compose(self) -> ComposeResult:
        """The fields, in the order in which they are asked."""
        like, pets = self._like, self._session.nursery.pets
        egg = self._egg
        diet = in_words(like.limits) if like else asdict(self._session.config.hatch)
        name = clone_name(like.name, pets) if like else free_name(pets)
        with Vertical(id="dialogue"):
            yield Label(f"Clone {like.name}" if like else "Hatch a pet", id="title", markup=False)
            yield Label("name")
            yield Input(name, id="name", compact=True)
            yield Label("egg (image)")
            yield Select([(egg, egg)], value=egg, allow_blank=False, id="egg", compact=True)
            yield Label("diet (limits): memory, CPU cores, processes")
            with Horizontal(id="limits"):
                yield Input(diet["memory"], id="memory", compact=True)
                yield Input(diet["cpu"], id="cpu", compact=True)
                yield Input(diet["pids"], id="pids", compact=True)
            yield Label("command (empty: the egg's shell)")
            yield Input(shlex.join(like.command) if like else "", id="command", compact=True)
            yield Static("", id="refusal", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Hatch", id="hatch")
                yield Button("Cancel", id="cancel")

    def on_mount(self) -> None:
        """Ask which eggs there are."""
        self._session.carer.list_eggs()

    def offer(self, eggs: list[Egg]) -> None:
        """Put the eggs of the store beside `home`."""
        select = self.query_one(Select)
        value = select.value
        names = sorted({HOME, str(value), *(egg.name for egg in eggs)})
        select.set_options((name, name) for name in names)
        select.value = value

    def on_input_submitted(self) -> None:
        """Enter in a field: the next Enter hatches."""
        self.set_focus(self.query_one("#hatch"))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Hatch, or not."""
        if event.button.id == "cancel":
            self.dismiss(None)
        else:
            self._hatch()

    def _hatch(self) -> None:
        try:
            self.dismiss(self._order())
        except (BadRequest, ValueError) as error:
            self.query_one("#refusal", Static).update(str(error))

    def _order(self) -> HatchOrder:
        def typed(field: str) -> str:
            return self.query_one(f"#{field}", Input).value.strip()

        name = typed("name")
        like = self._like.limits if self._like else None
        diet = {field: typed(field) or None for field in ("memory", "cpu", "pids")}
        if not name:
            raise BadRequest("a pet needs a name")
        if name in self._session.nursery.pets:
            raise BadRequest(f"{name} lives here already: choose another name")
        return HatchOrder(
            name=check_name(name),
            egg=str(self.query_one("#egg", Select).value),
            limits=like.changed(diet) if like else Limits(**diet),
            command=tuple(shlex.split(typed("command"))),
            like=self._like,
        )
