"""Every key of the face in one table: what it does, in which words, and in which group.

Each action has an id, so that a keymap can move it to another key. The footer, the command
palette and the help are made from this table too.
"""

from __future__ import annotations

from typing import NamedTuple

from textual.binding import Binding, BindingType


class Action(NamedTuple):
    """Something a key does."""

    id: str
    key: str
    action: str
    description: str
    tooltip: str
    label: str | None = None
    """The key as the footer shows it, where its own name is too long."""
    show: bool = True
    """Whether it stands in the footer."""
    priority: bool = False
    """Before what the focused widget would do with the key."""
    group: str = ""

    def binding(self) -> Binding:
        """The action as Textual's binding."""
        return Binding(
            self.key,
            self.action,
            self.description,
            show=self.show,
            key_display=self.label,
            priority=self.priority,
            tooltip=self.tooltip,
            id=self.id,
        )


def _quiet(id_: str, key: str, action: str, description: str, tooltip: str) -> Action:
    return Action(id_, key, action, description, tooltip, show=False)


MOVE, CARE, SESSION, VIEW = "Moving about", "Caring for a pet", "The session", "This view"

_TABLE = {
    CARE: (
        Action("pet.hatch", "n", "hatch", "Hatch", "A new pet from an egg (create)"),
        Action("pet.feed", "f", "feed", "Feed", "Run a command in the pet (exec)"),
        Action("pet.sleep", "s", "doze", "Sleep/wake", "Freeze the pet, or thaw it (pause)"),
        Action("pet.release", "r", "release", "Release", "End the pet and remove all of it (rm)"),
        Action("pet.look", "enter", "look", "Look", "See one pet up close (inspect)", "⏎"),
        Action("egg.pull", "p", "pull", "Pull", "Fetch an egg (image)"),
        Action("egg.cancel", "ctrl+x", "cancel_pull", "Cancel pull", "Stop the newest pull", "^x"),
    ),
    MOVE: (
        _quiet("move.left", "left,h", "step(-1, 0)", "Left", "To the card at the left"),
        _quiet("move.right", "right,l", "step(1, 0)", "Right", "To the card at the right"),
        _quiet("move.up", "up,k", "step(0, -1)", "Up", "To the card above"),
        _quiet("move.down", "down,j", "step(0, 1)", "Down", "To the card below"),
        _quiet("move.next", "tab", "along(1)", "Next", "To the next card"),
        _quiet("move.previous", "shift+tab", "along(-1)", "Previous", "To the card before"),
        _quiet("move.first", "home,g", "end(0)", "First", "To the first card"),
        _quiet("move.last", "end,G", "end(-1)", "Last", "To the last card"),
        _quiet("move.page_up", "pageup", "page(-1)", "Page up", "One screen up"),
        _quiet("move.page_down", "pagedown", "page(1)", "Page down", "One screen down"),
    ),
    VIEW: (
        Action("look.back", "escape,backspace", "back", "Back", "To the nest", "esc"),
        _quiet("look.before", "left,h", "turn(-1)", "Page left", "The page before"),
        _quiet("look.after", "right,l", "turn(1)", "Page right", "The next page"),
        _quiet("look.body", "1", "page('body')", "Body", "How it is, its limits and readings"),
        _quiet("look.walls", "2", "page('walls')", "Namespaces", "Its walls, beside the host's"),
        _quiet("look.care", "3", "page('care')", "Care log", "How it was made, call by call"),
        _quiet("look.log", "4", "page('log')", "Log", "What it has said"),
        Action(
            "meal.stop",
            "ctrl+c",
            "stop_meal",
            "Stop meal",
            "SIGINT, then SIGKILL",
            "^c",
            True,
            True,
        ),
        Action("meal.leave", "escape", "leave", "Back", "Close the prompt", "esc"),
        _quiet("meal.older", "up", "older", "Older", "The command before"),
        _quiet("meal.newer", "down", "newer", "Newer", "The command after"),
        Action("dialogue.cancel", "escape", "cancel", "Cancel", "Close; nothing is done", "esc"),
        Action("help.close", "escape,question_mark,q", "cancel", "Close", "Back", "esc"),
        Action("dialogue.yes", "y", "answer(True)", "Yes", "Do it"),
        Action("dialogue.no", "n,escape", "answer(False)", "No", "Leave everything as it is"),
    ),
    SESSION: (
        Action("session.help", "question_mark,f1", "app.help", "Help", "The keys, and the words"),
        Action("session.quit", "q", "app.quit", "Quit", "Leave; the pets live on"),
    ),
}

ACTIONS = {
    action.id: action._replace(group=group)
    for group, actions in _TABLE.items()
    for action in actions
}


def keys(*ids: str) -> list[BindingType]:
    """The bindings of those actions, for a BINDINGS list. `move.*` is all that begin so."""
    return [
        action.binding()
        for wanted in ids
        for action in ACTIONS.values()
        if action.id == wanted or (wanted.endswith("*") and action.id.startswith(wanted[:-1]))
    ]
