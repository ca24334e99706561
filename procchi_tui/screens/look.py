"""One pet up close."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import ClassVar

from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import ContentSwitcher, Static, Tab, Tabs

from engine import Pet, Readings, StepReport
from procchi_tui.bindings import keys
from procchi_tui.errands import send
from procchi_tui.messages import CareLogRead, LogRead, WallsRead
from procchi_tui.nursery import News
from procchi_tui.screens.care import CareScreen
from procchi_tui.session import Session
from procchi_tui.walls import Wall, read_walls
from procchi_tui.widgets.feed_panel import FeedPanel
from procchi_tui.widgets.portrait import Portrait
from procchi_tui.words import age, cores, count, duration, plain, size

LOG_TAIL = 1 << 15
"""Bytes shown of the end of a pet's log."""
LOG_SECONDS = 1.0
PAGES = {"body": "1 Body", "walls": "2 Namespaces", "care": "3 Care log", "log": "4 Log"}


class Page(VerticalScroll):
    """One page about a pet, longer than the screen if need be."""

    def __init__(self, page: str) -> None:
        super().__init__(id=page)

    def compose(self) -> ComposeResult:
        """Its text."""
        yield Static("…", markup=False)

    def show(self, content: Text | Table) -> None:
        """Put `content` on it."""
        self.query_one(Static).update(content)


class LookScreen(CareScreen):
    """A portrait, and pages about the pet."""

    CSS_PATH = "look.tcss"
    AUTO_FOCUS = "#body"
    BINDINGS: ClassVar[list[BindingType]] = keys("look.*")
    PARTS: ClassVar[tuple[type[Widget], ...]] = (*CareScreen.PARTS, Portrait, Page)
    HELP = (
        "One pet up close: how it is, the walls around it, how it was made system call by "
        "system call, and what it has said."
    )
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "look--label",
        "look--heading",
        "look--own",
        "look--shared",
        "look--call",
    }

    def __init__(self, session: Session, name: str) -> None:
        super().__init__(session)
        self._pet_name = name

    def view(self) -> Iterable[Widget]:
        """The portrait beside the pages."""
        yield Horizontal(
            Portrait(self.session.nursery, self.session.clock, self._pet_name),
            _Pages(),
            id="look",
        )

    def on_mount(self) -> None:
        """Read what stands still once, and the log again and again."""
        super().on_mount()
        self._show_pet()
        self._read_care_log()
        self._read_log()
        self.set_interval(LOG_SECONDS, self._read_log)

    def pet(self) -> Pet | None:
        """The one looked at."""
        return self.session.nursery.pets.get(self._pet_name)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Looking is what this screen does already."""
        return False if action == "look" else super().check_action(action, parameters)

    def news(self, news: News, *, moved: bool) -> None:
        """Show how the pet is now; go back when it was released."""
        if self._pet_name in news.gone or self.pet() is None:
            self._leave_if_gone()
        elif self._pet_name in news.pets or self._pet_name in news.readings:
            self._show_pet()

    def on_screen_resume(self) -> None:
        """The pet may have been released under a dialogue."""
        self._leave_if_gone()

    def _leave_if_gone(self) -> None:
        if self.pet() is None and self.app.screen is self:
            self.dismiss()

    def _show_pet(self) -> None:
        pet = self.pet()
        if pet is not None:
            readings = self.session.nursery.readings.get(self._pet_name)
            self.query_one("#body", Page).show(self._body(pet, readings))
            self.offer_verbs()

    def beat(self, *, moving: bool) -> None:
        """Draw the portrait."""
        self.query_one(Portrait).beat(moving=moving)

    # -- getting about

    def action_back(self) -> None:
        """To the nest; from an open prompt, out of it first."""
        self.dismiss()

    def action_page(self, page: str) -> None:
        """Show a page."""
        self.query_one(Tabs).active = f"tab-{page}"

    def action_turn(self, step: int) -> None:
        """Show the page beside this one."""
        pages = list(PAGES)
        place = pages.index(self.query_one(ContentSwitcher).current or "body")
        self.action_page(pages[(place + step) % len(pages)])

    def on_tabs_tab_activated(self, event: Tabs.TabActivated) -> None:
        """Bring the page of that tab to the front."""
        page = (event.tab.id or "tab-body").removeprefix("tab-")
        self.query_one(ContentSwitcher).current = page
        if not self.query_one(FeedPanel).display:
            self.query_one(f"#{page}").focus()
        if page == "walls":
            self._read_walls()

    def on_feed_panel_left(self, message: FeedPanel.Left) -> None:
        """Back to the page."""
        self.query_one(f"#{self.query_one(ContentSwitcher).current}").focus()

    # -- errands

    def _read_care_log(self) -> None:
        send(self, lambda: CareLogRead(self.session.engine.care_log(self._pet_name)))

    def _read_walls(self) -> None:
        pet = self.pet()
        if pet is not None and pet.pid is not None:
            pid = pet.pid
            send(self, lambda: WallsRead(read_walls(pid)))
        else:
            self.query_one("#walls", Page).show(Text("A ghost has no namespaces any more."))

    def _read_log(self) -> None:
        if self.app.screen is self:
            send(self, lambda: LogRead(_tail(self.session.engine.log_path(self._pet_name))))

    def on_care_log_read(self, message: CareLogRead) -> None:
        """Fill the care log."""
        self.query_one("#care", Page).show(self._care(message.steps))

    def on_walls_read(self, message: WallsRead) -> None:
        """Fill the page of namespaces."""
        self.query_one("#walls", Page).show(self._walls(message.walls))

    def on_log_read(self, message: LogRead) -> None:
        """Fill the log."""
        text = plain(message.text).rstrip("\n")
        self.query_one("#log", Page).show(Text(text or "It has said nothing yet."))

    # -- the pages

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"look--{name}", partial=True)

    def _body(self, pet: Pet, readings: Readings | None) -> Table:
        table = Table.grid(padding=(0, 2))
        for label, told in _facts(pet, age(pet.created_at, self.session.clock())):
            table.add_row(Text(label, self._style("label")), Text(told))
        table.add_row()
        for label, told in _diet(pet, readings):
            table.add_row(Text(label, self._style("label")), Text(told))
        return table

    def _walls(self, walls: list[Wall]) -> Table:
        table = Table.grid(padding=(0, 2))
        table.add_row(
            *(Text(title, self._style("heading")) for title in ("kind", "its own", "host's", "")),
        )
        for wall in walls:
            own = wall.pet != wall.host
            table.add_row(
                Text(wall.kind, self._style("label")),
                Text(wall.pet, self._style("own" if own else "shared")),
                Text(wall.host if own else "the same"),
                Text(wall.about if own else f"shared with the host: {wall.about}"),
            )
        return table

    def _care(self, steps: list[StepReport]) -> Text:
        if not steps:
            return Text("The nest has no record of how this pet was made.")
        text = Text()
        for number, step in enumerate(steps, 1):
            text.append(f"{number}. {plain(step.name)}", self._style("heading"))
            text.append(f"  {duration(step.usec / 1e6)}\n", self._style("label"))
            text.append(f"   {plain(step.why)}\n")
            for call in step.calls:
                shown = (
                    f"{call.get('name', '?')}({call.get('args', '')}) = {call.get('result', '')}"
                )
                text.append(f"   {plain(shown)}", self._style("call"))
                text.append(f"  {call.get('usec', 0):.0f} µs\n", self._style("label"))
        return text


class _Pages(Widget):
    """The tabs, and under them the page in front."""

    def compose(self) -> ComposeResult:
        tabs = Tabs(*(Tab(title, id=f"tab-{page}") for page, title in PAGES.items()))
        tabs.can_focus = False
        yield tabs
        with ContentSwitcher(initial="body"):
            for page in PAGES:
                yield Page(page)


def _facts(pet: Pet, old: str) -> Iterator[tuple[str, str]]:
    yield "status", pet.status
    if pet.epitaph:
        yield "epitaph", pet.epitaph.cause
        if pet.epitaph.died_at:
            yield "died", f"{pet.epitaph.died_at.astimezone():%Y-%m-%d %H:%M:%S}"
    yield "pid", "none any more" if pet.pid is None else f"{pet.pid} on the host, 1 inside"
    yield "egg", pet.egg
    yield "command", plain(" ".join(pet.command)) or "the egg's shell"
    yield "hostname", pet.hostname or pet.name
    yield (
        "network",
        {"none": "none but its own loopback", "host": "the host's"}.get(pet.network, pet.network),
    )
    yield "root", "read-only" if pet.read_only else "writable; the egg stays untouched"
    yield "stage", pet.stage
    yield "eaten", count(pet.meals, "meal")
    yield "born", f"{pet.created_at.astimezone():%Y-%m-%d %H:%M:%S} ({old})"


def _diet(pet: Pet, readings: Readings | None) -> Iterator[tuple[str, str]]:
    """Each limit with what is used of it, and what the kernel has counted."""
    limits, now = pet.limits, readings or Readings(0.0)

    def line(kind: str, used: str | None, limit: str | None) -> str:
        told = used or "no reading here"
        if limit is None:
            return f"{told}, no limit"
        return f"{told}, {limit} at most" + ("" if kind in pet.enforced else " (not enforced here)")

    yield (
        "memory",
        line(
            "memory",
            None if now.memory is None else f"{size(now.memory)} in use",
            None if limits.memory is None else size(limits.memory),
        ),
    )
    if now.memory_peak is not None:
        yield "peak", size(now.memory_peak)
    if now.oom_kills is not None:
        yield "OOM kills", str(now.oom_kills)
    yield (
        "CPU",
        line(
            "cpu",
            None if now.cpu_usec is None else f"{duration(now.cpu_usec / 1e6)} used",
            None if limits.cpu is None else f"{cores(limits.cpu)} cores",
        ),
    )
    if now.periods is not None and now.throttled is not None:
        yield "throttled", f"in {now.throttled} of {now.periods} periods"
    alive = None if now.pids is None else f"{now.pids} alive"
    yield "pids", line("pids", alive, None if limits.pids is None else str(limits.pids))
    if now.forks_refused is not None:
        yield "refused", count(now.forks_refused, "fork")


def _tail(path: Path) -> str:
    try:
        with path.open("rb") as file:
            start = max(0, os.fstat(file.fileno()).st_size - LOG_TAIL)
            file.seek(start)
            tail = file.read(LOG_TAIL)
    except FileNotFoundError:
        return ""
    if start:
        tail = tail.partition(b"\n")[2]
    return tail.decode(errors="replace")
