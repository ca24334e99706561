"""The full-screen session."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar, cast

from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.screen import Screen
from textual.theme import Theme

import assets
import engine as real_engine
from engine import Event
from procchi_tui.bindings import ACTIONS, CARE, keys
from procchi_tui.carer import Carer
from procchi_tui.drawing.card import ROOMY_FROM
from procchi_tui.feed_history import FeedHistory
from procchi_tui.host import ReadHost, read_host
from procchi_tui.messages import (
    Done,
    EggsListed,
    Hatched,
    NestLost,
    NestNews,
    NestStatus,
    PullBegan,
    PullCancelling,
    PullOver,
    PullProgress,
    Trouble,
)
from procchi_tui.nest_engine import Engine
from procchi_tui.places import state_directory
from procchi_tui.screens.care import CareScreen
from procchi_tui.screens.hatch import HatchScreen
from procchi_tui.screens.help import HelpScreen
from procchi_tui.screens.nest import NestScreen
from procchi_tui.session import Clock, Session
from procchi_tui.watcher import Watcher
from procchi_tui.widgets.diary import sentence
from procchi_tui.widgets.pulls import Pulling

REAL_ENGINE = cast(Engine, real_engine)
"""The module itself. (mypy cannot see it as an Engine: its `__all__` is made when it runs.)"""
TICK_SECONDS = 0.25
TICKS_A_STEP = 2
"""Sprites step on at half the tick: two steps a second are lively enough."""
HOST_SECONDS = 2.0


class ProcchiApp(App[None]):
    """Draws and asks: the pets are the nest's, and live on when this ends."""

    TITLE = "Procchi"
    CSS_PATH = "procchi.tcss"
    VERTICAL_BREAKPOINTS = [  # noqa: RUF012 (an instance variable to Textual)
        (0, "-short"),
        (ROOMY_FROM, "-tall"),
        (50, "-high"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = keys("session.*")

    def __init__(
        self,
        engine: Engine = REAL_ENGINE,
        *,
        clock: Clock = lambda: datetime.now(UTC),
        read_host: ReadHost = read_host,
    ) -> None:
        super().__init__()
        for name, colours in assets.table("themes.toml").items():
            self.register_theme(Theme(name=name, **colours))
        self.theme = "procchi-night"
        self._read_host = read_host
        self._watcher = Watcher(engine, self)
        self.session = Session(
            engine=engine,
            carer=Carer(engine, self),
            clock=clock,
            feed_history=FeedHistory(state_directory() / "feed_history"),
        )
        self._nest = NestScreen(self.session)
        self._ticks = 0
        self._lost = ""
        self._status: NestStatus | None = None

    async def on_mount(self) -> None:
        """Begin to watch, to tick, and to read the host."""
        await self.push_screen(self._nest)
        self.read_gauges()
        self.set_interval(HOST_SECONDS, self.read_gauges)
        self.set_interval(TICK_SECONDS, self.tick)
        self._watcher.start()

    def on_unmount(self) -> None:
        """Let the watcher go; nothing else is ours to end."""
        self._watcher.close()

    # -- what goes on by itself

    @property
    def _care_screens(self) -> list[CareScreen]:
        """Those that can be drawn on: one that comes or goes lacks some of its parts."""
        return [
            screen
            for screen in self.screen_stack
            if isinstance(screen, CareScreen) and screen.is_whole
        ]

    def _show_session(self) -> None:
        for screen in self._care_screens:
            screen.show_session()

    def tick(self) -> None:
        """Draw what changed; sprites rest while nobody looks, and under a dialogue."""
        self._ticks += 1
        for front in self._care_screens[-1:]:
            front.beat(
                moving=self._ticks % TICKS_A_STEP == 0
                and self.app_focus
                and front is self.screen
                and self.animation_level != "none"
            )

    def read_gauges(self) -> None:
        """Read the host anew."""
        self.session.facts = self.session.facts._replace(host=self._read_host())
        self._show_session()

    def on_nest_news(self, message: NestNews) -> None:
        """Learn what happened, and show it."""
        news = self._watcher.take()
        if news is None:
            return
        session = self.session
        moved = session.nursery.take(news)
        session.diary.extend(news.events)
        for event in news.events:
            self._announce(event)
        counts = session.nursery.count()
        if self._lost or counts != session.facts.counts:
            self._lost = ""
            session.trouble = self._unenforced()
            session.facts = session.facts._replace(counts=counts)
            self._show_session()
        for screen in self._care_screens:
            screen.news(news, moved=moved)

    def _announce(self, event: Event) -> None:
        """A death or an OOM kill is noticed without being looked at."""
        released = self.session.carer.released
        if event.kind == "released":
            released.discard(event.pet)
        elif event.kind in ("died", "oom") and event.pet not in released:
            self.notify(
                sentence(event), title=event.pet, severity="warning", markup=False, timeout=8
            )

    def on_nest_lost(self, message: NestLost) -> None:
        """Say so for as long as it lasts."""
        self._lost = message.reason
        self.session.trouble = (
            f"No word from the nest: {message.reason}. Trying again; the pets live on."
        )
        self._show_session()

    def on_nest_status(self, message: NestStatus) -> None:
        """Name the kind of control groups, and what they cannot do here."""
        self._status = message
        self.session.facts = self.session.facts._replace(cgroup=message.kind)
        self.session.trouble = self._unenforced()
        self._show_session()

    def _unenforced(self) -> str:
        if self._status is None:
            return ""
        missing = [kind for kind in ("memory", "cpu", "pids") if kind not in self._status.enforced]
        if not missing:
            return ""
        because = f" ({self._status.why})" if self._status.why else ""
        return (
            f"Limits on {', '.join(missing)} are not enforced here{because}. "
            "`procchi doctor` says what helps."
        )

    # -- answers to errands

    def on_trouble(self, message: Trouble) -> None:
        """Tell what went wrong."""
        self.notify(message.reason, severity="error", markup=False, timeout=10)

    def on_done(self, message: Done) -> None:
        """Tell what was done."""
        self.notify(message.text, markup=False, timeout=4)

    def on_hatched(self, message: Hatched) -> None:
        """Take the newborn in hand as soon as it is there."""
        self.notify(f"{message.pet.name} hatched!", markup=False, timeout=4)
        self._nest.choose_when_seen(message.pet.name)

    def on_eggs_listed(self, message: EggsListed) -> None:
        """For the hatching form, if it is still open."""
        if isinstance(self.screen, HatchScreen):
            self.screen.offer(message.eggs)

    def on_pull_began(self, message: PullBegan) -> None:
        """Show its bar."""
        self.session.pulls[message.number] = Pulling(message.reference)
        self._show_session()

    def on_pull_progress(self, message: PullProgress) -> None:
        """Move its bar."""
        self._change_pull(message.number, progress=message.progress)

    def on_pull_cancelling(self, message: PullCancelling) -> None:
        """Say that it will stop."""
        self._change_pull(message.number, cancelling=True)

    def _change_pull(self, number: int, **change: Any) -> None:
        pull = self.session.pulls.get(number)
        if pull is not None:
            self.session.pulls[number] = pull._replace(**change)
            self._show_session()

    def on_pull_over(self, message: PullOver) -> None:
        """Take its bar away."""
        self.session.pulls.pop(message.number, None)
        self._show_session()

    # -- actions of the whole session

    def action_help(self) -> None:
        """Explain the place where it was asked."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: Textual's own commands, and every verb that makes sense here."""
        for command in super().get_system_commands(screen):
            if command.title != "Keys":  # our help tells more
                yield command
        for active in screen.active_bindings.values():
            action = ACTIONS.get(active.binding.id or "")
            if action is not None and action.group == CARE and active.enabled:
                yield SystemCommand(
                    action.description,
                    action.tooltip,
                    partial(screen.run_action, action.action),
                )


def run() -> int:
    """Run the session until it is left; its exit status."""
    app = ProcchiApp()
    app.run()
    return app.return_code or 0
