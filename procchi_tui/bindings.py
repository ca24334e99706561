"""Every key of the face in one table: what it does, in which words, and in which group.

Each action has an id, so that a keymap can move it to another key. The footer, the command
palette and the help are made from this table too.
"""

from __future__ import annotations

from typing import NamedTuple

from textual.binding import Binding, BindingType

from procchi_tui.pages import KEYS, PAGES
from procchi_tui.views import LOOK, VIEWS

_LOOKING = (
    *("pet.look", "pet.history", "pet.undo", "egg.cancel"),
    *("shop.search", "shop.found", "shop.back"),
)
"""Verbs that change nothing."""


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

    @property
    def changes(self) -> bool:
        """Whether it does more than look: off on a screen that is read-only."""
        changing = self.group in (CARE, SHOP) and self.id not in _LOOKING
        return changing or self.id == "graves.release"

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


MOVE, CARE, FIND = "Moving about", "Caring for a pet", "Finding and marking"
SESSION, VIEW, SHOP = "The session", "This view", "In the egg shop"
VIEWING = "Other views"

_TABLE = {
    CARE: (
        Action("pet.hatch", "n", "hatch", "Hatch", "A new pet from an egg (create)"),
        Action("pet.feed", "f", "feed", "Feed", "Run a command in the pet (exec)"),
        Action("pet.talk", "t", "talk", "Talk", "A shell in the pet (exec -it sh)"),
        _quiet("pet.snack", "F", "snack", "Snack", "Feed a ready-made command from a list"),
        Action("pet.sleep", "s", "doze", "Sleep", "Freeze the pet, or thaw it (pause)"),
        Action("pet.diet", "d", "diet", "Diet", "Change what it may use at most (update)"),
        _quiet("pet.signal", "K", "signal", "Signal", "Send a signal to its PID 1 (kill)"),
        _quiet("pet.clone", "c", "clone", "Clone", "Hatch another from the same egg, fed the same"),
        Action("pet.release", "r", "release", "Release", "End the pet and remove all of it (rm)"),
        Action("pet.look", LOOK.key, "look", LOOK.title, LOOK.about, "⏎"),
        _quiet("pet.history", "H", "history", "History", "Memory and CPU of the last two minutes"),
        _quiet(
            "pet.undo", "u", "undo", "Undo", "Take back the last sleep, diet, mark, order or filter"
        ),
        _quiet("egg.pull", "p", "pull", "Pull", "Fetch an egg (image)"),
        Action("egg.cancel", "ctrl+x", "cancel_pull", "Cancel pull", "Stop the newest pull", "^x"),
    ),
    MOVE: (
        _quiet("move.left", "left,h", "step(-1, 0)", "Left", "To the card at the left"),
        _quiet("move.right", "right,l", "step(1, 0)", "Right", "To the card at the right"),
        _quiet("move.up", "up,k", "step(0, -1)", "Up", "To the card above"),
        _quiet("move.down", "down,j", "step(0, 1)", "Down", "To the card below"),
        _quiet("move.next", "tab", "along(1)", "Next", "To the next card"),
        _quiet("move.previous", "shift+tab", "along(-1)", "Previous", "To the card before"),
        _quiet("move.first", "home", "end(0)", "First", "To the first card"),
        _quiet("move.last", "end,G", "end(-1)", "Last", "To the last card"),
        _quiet("move.page_up", "pageup", "page(-1)", "Page up", "One screen up"),
        _quiet("move.page_down", "pagedown", "page(1)", "Page down", "One screen down"),
    ),
    FIND: (
        Action(
            "find.filter", "slash", "filter", "Find", "Show some pets only: mem>80% !ghost", "/"
        ),
        _quiet("find.order", "o", "order", "Order", "Sort by age, name, mood, memory, CPU or pids"),
        _quiet("find.backwards", "O", "backwards", "Reverse", "Turn the order round"),
        _quiet("find.group", "b", "group", "Group", "Group by mood, by egg, not at all"),
        _quiet("mark.one", "space", "mark", "Mark", "Mark the pet for the verbs, and go on"),
        _quiet("mark.all", "a", "mark_all", "Mark all", "Mark all pets that are shown"),
        _quiet("mark.invert", "asterisk", "mark_others", "Invert", "Mark the others instead"),
        _quiet(
            "find.clear", "escape", "clear", "Clear", "Show all pets again; then drop the marks"
        ),
    ),
    VIEW: (
        Action(
            "filter.keep",
            "enter,down",
            "keep",
            "Keep",
            "Back to the cards that were found",
            "⏎",
            priority=True,
        ),
        Action("filter.clear", "escape", "drop", "Clear", "Show all pets again", "esc"),
        Action("look.back", "escape,backspace", "back", "Back", "To the nest", "esc"),
        _quiet("look.before", "left,h", "turn(-1)", "Page left", "The page before"),
        _quiet("look.after", "right,l", "turn(1)", "Page right", "The next page"),
        Action("look.search", "slash", "search", "Search", "Lines of this page that hold…", "/"),
        Action("graves.release", "R", "release_all", "Release all", "Lay all ghosts to rest"),
        Action("events.pause", "space", "pause", "Pause", "Hold the list still, or let it go on"),
        Action("look.fold", "z", "fold", "Fold", "Close all steps, or open them"),
        Action("look.record", "o", "record", "Record", "Its hatching, or one of its meals"),
        Action("look.compare", "C", "compare", "Compare", "Hold it against another care log"),
        *(
            _quiet(f"look.{page.id}", KEYS[page.id], f"page('{page.id}')", page.title, page.about)
            for page in PAGES.values()
        ),
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
        _quiet(
            "meal.search", "ctrl+r", "search", "Search", "An older one that holds what is typed"
        ),
        Action("meal.complete", "tab", "complete", "Complete", "Programs that the pet has", "⇥"),
        Action(
            "meal.snack",
            "ctrl+t",
            "screen.snack",
            "Snack",
            "A ready-made command from a list",
            "^t",
        ),
        Action("dialogue.cancel", "escape", "cancel", "Cancel", "Close; nothing is done", "esc"),
        Action("talk.hang_up", "ctrl+q", "hang_up", "Hang up", "Leave the shell", "^q", True, True),
        Action("history.save", "s", "save", "Save", "Save the plot as a picture (SVG)"),
        Action("help.close", "escape,question_mark,q", "cancel", "Close", "Back", "esc"),
        Action("dialogue.yes", "y", "answer(True)", "Yes", "Do it"),
        Action("dialogue.no", "n,escape", "answer(False)", "No", "Leave everything as it is"),
    ),
    SHOP: (
        Action("shop.take", "enter", "screen.take", "Pull", "Pull the egg (image)", "⏎"),
        _quiet("shop.here", "enter", "screen.hatch_here", "Hatch", "Hatch from an egg at home"),
        _quiet("shop.again", "P", "again", "Pull again", "Pull an egg at home anew"),
        Action("shop.remove", "delete,x", "remove", "Delete", "Remove an egg (rmi)", "x"),
        Action("shop.search", "slash", "search", "Find", "Find eggs as you type", "/"),
        Action("shop.back", "escape", "back", "Back", "To the nest", "esc"),
        Action(
            "shop.found",
            "enter,down",
            "screen.found",
            "To the eggs",
            "Back to the eggs that were found",
            "⏎",
            show=False,
            priority=True,
        ),
    ),
    VIEWING: tuple(
        _quiet(f"view.{view.id}", view.key, f"view('{view.id}')", view.title, view.about)
        for view in VIEWS.values()
    ),
    SESSION: (
        Action("session.help", "question_mark,f1", "app.help", "Help", "The keys, and the words"),
        _quiet(
            "session.screenshot", "ctrl+s", "app.screenshot", "Screenshot", "Save the screen (SVG)"
        ),
        _quiet("session.tour", "f2", "app.tour", "First steps", "Begin the tour, or end it"),
        Action(
            "session.palette",
            "ctrl+p",
            "app.command_palette",
            "Palette",
            "All that can be done here, by its name (or click: procchi)",
            show=False,
            priority=True,
        ),
        Action("session.quit", "q", "app.quit", "Quit", "Leave; the pets live on"),
        Action(
            "session.leave",
            "ctrl+q",
            "app.quit",
            "Leave",
            "Quit from anywhere, a dialogue too; in a shell, hang up",
            show=False,
            priority=True,
        ),
    ),
}

ACTIONS = {
    action.id: action._replace(group=group)
    for group, actions in _TABLE.items()
    for action in actions
}


CHANGING = {action.action.removeprefix("screen.") for action in ACTIONS.values() if action.changes}
"""The names of actions that do more than look, wherever they are."""

ALWAYS_SHOWN = [ACTIONS[id_].action for id_ in ("session.help", "session.quit")]
"""The names of actions that a footer shows however narrow it is."""

LEFT_OUT_FIRST = [
    ACTIONS[f"pet.{verb}"].action for verb in "diet sleep talk hatch release feed".split()
]
"""The names of actions that a narrow footer does without, in this order: what only this view has
matters more."""


def keys(*ids: str) -> list[BindingType]:
    """The bindings of those actions, for a BINDINGS list. `move.*` is all that begin so."""
    return [
        action.binding()
        for wanted in ids
        for action in ACTIONS.values()
        if action.id == wanted or (wanted.endswith("*") and action.id.startswith(wanted[:-1]))
    ]
