"""The form from which a pet hatches: Enter takes the name, Enter again hatches."""

from __future__ import annotations

import shlex

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Label, Select, Static

from engine import BadRequest, Egg, Limits
from procchi_tui.carer import HatchOrder
from procchi_tui.names import free_name
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

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._next_hatches = False

    def compose(self) -> ComposeResult:
        """The fields, in the order in which they are asked."""
        with Vertical(id="dialogue"):
            yield Label("Hatch a pet", id="title")
            yield Label("name")
            yield Input(free_name(self._session.nursery.pets), id="name", compact=True)
            yield Label("egg (image)")
            yield Select([(HOME, HOME)], value=HOME, allow_blank=False, id="egg", compact=True)
            yield Label("diet (limits): memory, CPU cores, processes")
            with Horizontal(id="limits"):
                yield Input("50M", id="memory", compact=True)
                yield Input("0.5", id="cpu", compact=True)
                yield Input("64", id="pids", compact=True)
            yield Label("command (empty: the egg's shell)")
            yield Input(id="command", compact=True)
            yield Static("", id="refusal", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Hatch", id="hatch")
                yield Button("Cancel", id="cancel")

    def on_mount(self) -> None:
        """Ask which eggs there are."""
        self._session.carer.list_eggs()

    def offer(self, eggs: list[Egg]) -> None:
        """Put the eggs of the store beside `home`."""
        names = sorted({HOME, *(egg.name for egg in eggs)})
        select = self.query_one(Select)
        value = select.value
        select.set_options((name, name) for name in names)
        select.value = value if value in names else HOME

    def on_input_submitted(self) -> None:
        """Enter in a field: the next Enter hatches, even before the focus has moved there."""
        if self._next_hatches:
            self._hatch()
        else:
            self._next_hatches = True
            self.query_one("#hatch").focus()

    def on_input_changed(self) -> None:
        """Something is being typed: Enter means that field again."""
        self._next_hatches = False

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
        if not name:
            raise BadRequest("a pet needs a name")
        if name in self._session.nursery.pets:
            raise BadRequest(f"{name} lives here already: choose another name")
        return HatchOrder(
            name=name,
            egg=str(self.query_one("#egg", Select).value),
            limits=Limits(
                memory=typed("memory") or None, cpu=typed("cpu") or None, pids=typed("pids") or None
            ),
            command=tuple(shlex.split(typed("command"))),
        )
