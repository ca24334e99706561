"""Which egg to pull."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Label, Static

from procchi_tui.screens.dialogue import Dialogue


class PullScreen(Dialogue[tuple[str, str | None]]):
    """A reference, and the name to keep it under."""

    AUTO_FOCUS = "#reference"
    HELP = (
        "An egg is an image: a root filesystem. It can be `home`, a tarball's path, or the "
        "http(s) address of one. The pull goes on while you care for your pets."
    )

    def compose(self) -> ComposeResult:
        """The two fields."""
        with Vertical(id="dialogue"):
            yield Label("Pull an egg", id="title")
            yield Label("from: home, a tarball's path, or its address")
            yield Input("home", id="reference", compact=True)
            yield Label("kept as (empty: a name from the above)")
            yield Input(id="kept", compact=True)
            yield Static("", id="refusal", markup=False)
            with Horizontal(id="buttons"):
                yield Button("Pull", id="pull")
                yield Button("Cancel", id="cancel")

    def on_input_submitted(self) -> None:
        """Enter in a field: the next Enter pulls."""
        self.set_focus(self.query_one("#pull"))

    def on_button_pressed(self, event: Button.Pressed) -> None:
        """Pull, or not."""
        reference = self.query_one("#reference", Input).value.strip()
        name = self.query_one("#kept", Input).value.strip()
        if event.button.id == "cancel":
            self.dismiss(None)
        elif reference:
            self.dismiss((reference, name or None))
        else:
            self.query_one("#refusal", Static).update("say where the egg is to come from")
