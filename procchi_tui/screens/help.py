"""Help that knows where it was asked for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import VerticalScroll
from textual.screen import Screen
from textual.widgets import Label, Static

from procchi_tui.bindings import (
    ACTIONS,
    CARE,
    FIND,
    MOVE,
    SESSION,
    SHOP,
    VIEW,
    VIEWING,
    Action,
    keys,
)
from procchi_tui.screens.dialogue import Dialogue

WORDS = (
    ("egg", "an image: a root filesystem"),
    ("hatch", "create: namespaces, a cgroup, a root of its own, then execve"),
    ("meal, feed", "exec: a command joined into those namespaces"),
    ("diet", "limits: what the cgroup's memory, cpu and pids controllers allow"),
    ("asleep", "paused: the cgroup's freezer"),
    ("ghost", "exited; it keeps its epitaph until it is released"),
    ("release", "stop and remove"),
)


GROUPS = (CARE, SHOP, VIEW, FIND, MOVE, VIEWING, SESSION)


class HelpScreen(Dialogue[None]):
    """What this place is, every key that works there, and our words in the field's own."""

    AUTO_FOCUS = "VerticalScroll"
    BINDINGS: ClassVar[list[BindingType]] = keys("help.close")
    COMPONENT_CLASSES: ClassVar[set[str]] = {"help--key", "help--word"}

    def __init__(self, place: Screen[object]) -> None:
        super().__init__()
        self._where = list(_help_of(place))
        self._actions = list(_actions_of(place))

    def compose(self) -> ComposeResult:
        """All of it, scrollable."""
        with VerticalScroll(id="dialogue", classes="help"):
            yield Label("Help", id="title")
            yield Static("\n\n".join(self._where), markup=False)
            for group in GROUPS:
                if self._of(group):
                    yield Label(group, classes="heading")
                    yield Static(classes="keys", name=group)
            yield Label("Words", classes="heading")
            yield Static(id="words")

    def on_mount(self) -> None:
        """Fill in what needs the theme's colours."""
        for keys_of in self.query(".keys").results(Static):
            keys_of.update(self._keys(self._of(keys_of.name or "")))
        self.query_one("#words", Static).update(self._words())

    def _of(self, group: str) -> list[Action]:
        return [action for action in self._actions if action.group == group]

    def _keys(self, actions: Iterable[Action]) -> Text:
        style = self._style("key")
        return Text("\n").join(
            Text.assemble((f"{_key(action):>12}  ", style), action.tooltip) for action in actions
        )

    def _words(self) -> Text:
        style = self._style("word")
        return Text("\n").join(
            Text.assemble((f"{word:>12}  ", style), meaning) for word, meaning in WORDS
        )

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"help--{name}", partial=True)


def _help_of(place: Screen[object]) -> Iterable[str]:
    """What the screen and the widget with the focus say of themselves, the screen first."""
    focused = place.focused
    nodes = [place] if focused is None else reversed(list(focused.ancestors_with_self))
    texts = (getattr(node, "HELP", None) for node in nodes)
    return dict.fromkeys(text for text in texts if text)


def _actions_of(place: Screen[object]) -> Iterable[Action]:
    keys: dict[str, list[str]] = {}
    for key, active in place.active_bindings.items():  # a keymap may have moved them
        keys.setdefault(active.binding.id or "", []).append(key)
    return (
        action._replace(key=",".join(keys[action.id]))
        for action in ACTIONS.values()
        if action.id in keys
    )


def _key(action: Action) -> str:
    names = {
        "question_mark": "?",
        "slash": "/",
        "asterisk": "*",
        "left": "←",
        "right": "→",
        "up": "↑",
        "down": "↓",
    }
    names |= {"escape": "esc", "enter": "⏎", "pageup": "page up", "pagedown": "page down"}
    return " ".join(names.get(key, key) for key in action.key.split(","))
