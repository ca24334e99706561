"""Which egg to pull."""

from __future__ import annotations

from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.widgets import Button, Input, Label, Static

from engine import BadRequest, check_name
from procchi_tui.screens.dialogue import Dialogue


class PullScreen(Dialogue[tuple[str, str | None]]):
    """A reference, and the name to keep it under."""

    AUTO_FOCUS = "#reference"
    HELP = (
        "An egg is an image: a root filesystem. It comes from a registry "
        "(`debian:bookworm-slim`), from the catalogue (`alpine`), from a tarball, an archive of "
        "an image or a folder (its path, or its http(s) address), or it is `home`, made from "
        "this machine's own shell and tools. The pull goes on while you care for your pets."
    )

    def compose(self) -> ComposeResult:
        """The two fields."""
        with Vertical(id="dialogue"):
            yield Label("Pull an egg", id="title")
            yield Label("from: debian:bookworm-slim, home, a path, an address")
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
            return
        try:
            if not reference:
                raise BadRequest("say where the egg is to come from")
            self.dismiss((reference, check_name(name, "egg name") if name else None))
        except BadRequest as error:
            self.query_one("#refusal", Static).update(str(error))
