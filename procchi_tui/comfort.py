"""An app that suits whoever sits before it: colours, keys, motion, as the settings have them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from textual import events
from textual.actions import ActionParseResult
from textual.app import App
from textual.binding import Binding
from textual.dom import DOMNode
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.filter import LineFilter
from textual.theme import Theme
from textual.widgets import Input

from procchi_tui import emoji, terminal_art, themes
from procchi_tui.bindings import CHANGING
from procchi_tui.config import Art, Config
from procchi_tui.drawing.pictures import Tier
from procchi_tui.driver import TerminalDriver
from procchi_tui.keyboard import Keyboard
from procchi_tui.places import pictures_directory, state_directory
from procchi_tui.read_only import REFUSAL
from procchi_tui.recording import Recording, recorded
from procchi_tui.remembered import Remembered
from procchi_tui.terminal_art import Substitutes


class ComfortableApp(App[None]):
    """What does not depend on pets: see `config.Config` for each setting."""

    def __init__(
        self, config: Config, troubles: Sequence[str] = (), recording: Recording | None = None
    ) -> None:
        """`troubles` are what was wrong in the configuration file, a line each."""
        self._recording = recording
        super().__init__()
        self._keyboard = Keyboard(self, super().on_event)
        self.config = config
        self.troubles = tuple(troubles)
        self.remembered = Remembered(state_directory() / "remembered.json")
        self._choose_art(config.art)
        self._choose_theme(config.theme)
        self.set_keymap(config.keys)
        if config.calm:
            self.animation_level = "none"

    def get_driver_class(self) -> type[Driver]:
        """Ours where Textual would take its own for terminals; in a browser it is another."""
        if self._recording is not None:
            return recorded(self._recording)
        chosen = super().get_driver_class()
        return TerminalDriver if chosen is LinuxDriver else chosen

    def _choose_theme(self, wanted: str) -> None:
        for theme in themes.ours():
            self.register_theme(theme)
        last = self.remembered.get("theme")
        if last in self.available_themes and (self.art != "16" or self.available_themes[last].ansi):
            wanted = wanted or last
        self.theme = wanted or (themes.SIXTEEN if self.art == "16" else themes.DEFAULT)
        self._theme_known = self.theme

    def _choose_art(self, wanted: Art) -> None:
        utf8 = terminal_art.is_utf8()
        self.art: Tier = terminal_art.tier_for(
            wanted,
            color_system=self.console.color_system,
            no_color=self.no_color,
            utf8=utf8,
        )
        """The kind of pictures that suits the terminal."""
        self._substitutes: list[LineFilter] = []
        if wanted == "ascii" or not utf8:
            self._substitutes.append(Substitutes(terminal_art.ascii_only()))
        elif os.environ.get("TERM") == "linux":
            self._substitutes.append(Substitutes(terminal_art.console_only()))
        if self.art == "16":
            self.ansi_color = True  # the terminal's own sixteen go out by their names

    def with_emoji(self, text: str, kind: str) -> str:
        """`text` with the emoji of that kind of event, where the terminal has it."""
        there = self.config.emoji and self.art != "ascii" and not self._substitutes
        return emoji.before(text, kind) if there else text

    async def on_event(self, event: events.Event) -> None:
        """What is typed comes in one by one; all else as it comes."""
        if isinstance(event, events.Key | events.Paste) and not event.is_forwarded:
            await self._keyboard.take(event)
        else:
            await super().on_event(event)

    async def run_action(
        self,
        action: str | ActionParseResult,
        default_namespace: DOMNode | None = None,
        namespaces: Mapping[str, DOMNode] | None = None,
    ) -> bool:
        """Do what a key asks for, or say why not."""
        name = action if isinstance(action, str) else action[1]
        if told := self.why_not(name.removeprefix("screen.")):
            self.notify(told, markup=False)
            return True
        return await super().run_action(action, default_namespace, namespaces)

    def why_not(self, action: str) -> str:
        """Why that is not done; empty where it may be, or where that is plain to see."""
        return REFUSAL if self.config.read_only and action in CHANGING else ""

    def get_line_filters(self) -> Sequence[LineFilter]:
        """Textual's own, and the stand-ins for characters that the terminal lacks."""
        return [*super().get_line_filters(), *self._substitutes]

    def get_key_display(self, binding: Binding) -> str:
        """A key for the footer; `⏎` has no stand-in that anybody would know."""
        shown = super().get_key_display(binding)
        return "enter" if shown == "⏎" and self._substitutes else shown

    def get_theme_variable_defaults(self) -> dict[str, str]:
        """What our style sheets use and Textual's themes do not have."""
        return themes.own_variables(self.theme)

    async def on_mount(self) -> None:
        """Remember the themes that will be chosen."""
        self.theme_changed_signal.subscribe(self, self._theme_chosen)

    def _theme_chosen(self, theme: Theme) -> None:
        if theme.name != self._theme_known:
            self._theme_known = theme.name
            self.remembered.note("theme", theme.name)

    def on_resize(self, event: events.Resize) -> None:
        """A cast has to know."""
        if self._recording is not None:
            self._recording.resize(*event.size)

    def deliver_screenshot(
        self, filename: str | None = None, path: str | None = None, time_format: str | None = None
    ) -> str | None:
        """Save the screen, or send it to the browser."""
        return super().deliver_screenshot(filename, path or str(pictures_directory()), time_format)

    def on_delivery_complete(self, event: events.DeliveryComplete) -> None:
        """Say where a plot was saved; Textual says it of screenshots."""
        if event.name == "history":
            where = f" as {event.path}" if event.path else ""
            self.notify(f"Saved{where}.", markup=False)

    def on_delivery_failed(self, event: events.DeliveryFailed) -> None:
        """Say why it was not."""
        if event.name == "history":
            self.notify(f"Not saved: {event.exception}", severity="error", markup=False)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        """A calm cursor does not blink."""
        if self.config.calm and isinstance(event.widget, Input):
            event.widget.cursor_blink = False
