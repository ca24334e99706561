"""The full-screen session."""

from __future__ import annotations

import gc
import os
import sys
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import partial
from math import ceil
from typing import Any, ClassVar, cast

from textual.app import SystemCommand
from textual.binding import BindingType
from textual.screen import Screen

import engine as real_engine
from engine import Event
from procchi_tui.alarms import Alarms
from procchi_tui.bindings import ACTIONS, CARE, FIND, SHOP, VIEWING, keys
from procchi_tui.carer import Carer
from procchi_tui.comfort import ComfortableApp
from procchi_tui.config import Config
from procchi_tui.drawing.card import ROOMY_FROM
from procchi_tui.facts import HostFacts, Pulling
from procchi_tui.feed_history import FeedHistory
from procchi_tui.host import ReadHost, read_host
from procchi_tui.messages import (
    Done,
    EggsListed,
    Hatched,
    MealOutput,
    MealOver,
    NestLost,
    NestNews,
    NestStatus,
    PullBegan,
    PullCancelling,
    PullOver,
    PullProgress,
    TalkReady,
    Trouble,
)
from procchi_tui.nest_engine import Engine
from procchi_tui.places import state_directory
from procchi_tui.read_only import read_only
from procchi_tui.recording import Recording
from procchi_tui.screens.care import CareScreen
from procchi_tui.screens.hatch import HatchScreen
from procchi_tui.screens.help import HelpScreen
from procchi_tui.screens.look import LookScreen
from procchi_tui.screens.nest import NestScreen
from procchi_tui.screens.talk import TalkScreen
from procchi_tui.session import Clock, Session
from procchi_tui.table import Table
from procchi_tui.tour import HATCHED, LOOKED, Tour, steps
from procchi_tui.watcher import Watcher

REAL_ENGINE = cast(Engine, real_engine)
"""The module itself. (mypy cannot see it as an Engine: its `__all__` is made when it runs.)"""
TICK_SECONDS = 0.25
HOST_SECONDS = 2.0
SILENT_SECONDS = 4.0
"""After so long a nest that tells its readings several times a second is in trouble."""
TOUR_LINGERS_SECONDS = 30
"""How long the tour's last words stand there."""
MOST_TROUBLES = 3
"""Lines about the configuration file, at most, above the pets."""


class ProcchiApp(ComfortableApp):
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
        config: Config = Config(),  # noqa: B008 (it is frozen)
        troubles: Sequence[str] = (),
        recording: Recording | None = None,
        clock: Clock = lambda: datetime.now(UTC),
        read_host: ReadHost = read_host,
    ) -> None:
        super().__init__(config, troubles, recording)
        if config.read_only:
            engine = read_only(engine)
        self._read_host = read_host
        self._watcher = Watcher(engine, self, readings=config.readings)
        self.session = Session(
            engine=engine,
            carer=Carer(engine, self),
            clock=clock,
            table=Table(engine, self),
            feed_history=FeedHistory(state_directory() / "feed_history"),
            config=config,
            facts=HostFacts({}, read_only=config.read_only),
        )
        self._nest = NestScreen(self.session)
        self._alarms = Alarms()
        self._lost = ""
        self._silent_ticks = 0
        self._silent_too_long = ceil(max(SILENT_SECONDS, 3 / config.readings) / TICK_SECONDS)
        self._untold: list[tuple[str, str]] = []
        """Births of pets that no snapshot has shown yet: the event is a moment earlier."""
        self._status: NestStatus | None = None
        self.session.trouble = self._standing_trouble()

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
        if not self.screen_stack:  # the session ends
            return
        self._listen()
        self._sound_alarms()
        if isinstance(self.screen, LookScreen) and (pet := self.screen.pet()):
            self.notice(LOOKED, pet.name)
        for front in self._care_screens[-1:]:
            front.beat(
                moving=self.app_focus and front is self.screen and self.animation_level != "none"
            )

    def _listen(self) -> None:
        """Say when a nest that is there tells nothing any more: what is shown would pass for new.

        Ticks are counted, not seconds: while this process itself stands still, nobody listens.
        """
        self._silent_ticks += 1
        if self._silent_ticks == self._silent_too_long and self._status and not self._lost:
            pid = self._status.pid
            self._lost = "it is silent"
            self.session.trouble = (
                "No word from the nest: what you see is old. The machine may be overloaded, or "
                f"process {pid} stopped (`kill -CONT {pid}` lets it go on). The pets live on."
            )
            self._show_session()

    def read_gauges(self) -> None:
        """Read the host anew."""
        self.session.facts = self.session.facts._replace(host=self._read_host())
        self._show_session()

    def on_nest_news(self, message: NestNews) -> None:
        """Learn what happened, and show it."""
        news = self._watcher.take()
        if news is None:
            return
        self._silent_ticks = 0
        session = self.session
        first = news.fresh and not session.nursery.at
        moved = session.nursery.take(news)
        if news.fresh:  # what was released while nobody heard of it may be another's name by now
            session.carer.released &= session.nursery.pets.keys()
        if first and not session.nursery.pets and not self.remembered.get("tour"):
            self._begin_tour()
        session.diary.extend(news.events)
        for event in news.events:
            self._notice(event)
        self._sound_alarms()
        self._lead_the_tour([(event.kind, event.pet) for event in news.events])
        counts = session.nursery.count()
        if self._lost or counts != session.facts.counts:
            self._lost = ""
            session.trouble = self._standing_trouble()
            session.facts = session.facts._replace(counts=counts)
            self._show_session()
        for screen in self._care_screens:
            screen.news(news, moved=moved)

    def _notice(self, event: Event) -> None:
        """A death or an OOM kill is noticed without being looked at."""
        released = self.session.carer.released
        if event.kind == "released":
            released.discard(event.pet)
        elif event.pet not in released:
            self._alarms.notice(event)

    def _sound_alarms(self) -> None:
        for alarm in self._alarms.due(time.monotonic()):
            self.notify(
                alarm.words,
                title=self.with_emoji(alarm.title, alarm.kind),
                severity="warning",
                markup=False,
                timeout=8,
            )
            if self.config.bell:
                self.bell()

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
        self.session.trouble = self._standing_trouble()
        self._show_session()

    def _standing_trouble(self) -> str:
        """What is wrong for as long as it is not set right, a line each."""
        told = list(self.troubles)
        if len(told) > MOST_TROUBLES:
            rest = len(told) - MOST_TROUBLES + 1
            told[MOST_TROUBLES - 1 :] = [f"… and {rest} more: see procchi-tui --print-config"]
        return "\n".join(filter(None, [*told, self._unenforced()]))

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

    # -- the tour

    def _begin_tour(self) -> None:
        if not self.config.read_only:
            enforced = self._status is None or "memory" in self._status.enforced
            self.session.tour = Tour(steps(memory_enforced=enforced))
            self._show_session()

    def notice(self, kind: str, name: str) -> None:
        """Something was done with the pet called `name`: the tour may move on."""
        tour, pet = self.session.tour, self.session.nursery.pets.get(name)
        if tour is not None and pet is not None and tour.notice(kind, pet):
            if tour.step is None:
                self.remembered.note("tour", "done")
                self.set_timer(TOUR_LINGERS_SECONDS, partial(self._leave_tour, tour))
            self._show_session()

    def _lead_the_tour(self, happened: list[tuple[str, str]]) -> None:
        if self.session.tour is None:
            self._untold.clear()
            return
        told, pets = self._untold + happened, self.session.nursery.pets
        self._untold = [(kind, name) for kind, name in told if kind == HATCHED and name not in pets]
        for kind, name in told:
            self.notice(kind, name)

    def _leave_tour(self, tour: Tour) -> None:
        if self.session.tour is tour:
            self.session.tour = None
            self._show_session()

    def action_tour(self) -> None:
        """End the tour, for good; or begin it."""
        if self.session.tour is None:
            self._begin_tour()
        else:
            self.session.tour = None
            self.remembered.note("tour", "done")
            self._show_session()

    # -- answers to errands

    def on_trouble(self, message: Trouble) -> None:
        """Tell what went wrong."""
        self.notify(message.reason, severity="error", markup=False, timeout=10)

    def on_done(self, message: Done) -> None:
        """Tell what was done."""
        self.notify(message.text, markup=False, timeout=4)
        if message.undo is not None:
            self.session.undos.add(message.undo)

    def on_hatched(self, message: Hatched) -> None:
        """Take the newborn in hand as soon as it is there."""
        told = self.with_emoji(f"{message.pet.name} hatched!", "hatched")
        self.notify(told, markup=False, timeout=4)
        self._nest.choose_when_seen(message.pet.name)

    def on_talk_ready(self, message: TalkReady) -> None:
        """Show the shell, unless somebody has gone on to something else."""
        if isinstance(self.screen, CareScreen):
            self.push_screen(TalkScreen(message.pet, message.meal), self._talk_over)
        else:
            message.meal.close()
            if not isinstance(self.screen, TalkScreen):
                self.notify(
                    f"The shell in {message.pet} was closed again: something else is open here.",
                    markup=False,
                )

    def _talk_over(self, how: str | None) -> None:
        self.notify(how or "", markup=False, timeout=4)

    def on_meal_output(self, message: MealOutput) -> None:
        """Show what a meal has written."""
        self.session.table.take(message.pet)
        self._show_table()

    def on_meal_over(self, message: MealOver) -> None:
        """Show how it ended."""
        self.session.table.over(message)
        self._show_table()

    def _show_table(self) -> None:
        for screen in self._care_screens:
            screen.show_table()

    def on_eggs_listed(self, message: EggsListed) -> None:
        """For the hatching form, if it is still open."""
        if isinstance(self.screen, HatchScreen):
            self.screen.offer(message.eggs)

    def on_pull_began(self, message: PullBegan) -> None:
        """Show its bar."""
        self.session.pulls[message.number] = Pulling(message.reference, name=message.name)
        self._show_session()

    def on_pull_progress(self, message: PullProgress) -> None:
        """Move its bar."""
        self._change_pull(
            message.number, progress=message.progress, rate=message.rate, left=message.left
        )

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

    def why_not(self, action: str) -> str:
        """On a screen that is read-only, or of a ghost."""
        screen = self.screen_stack[-1] if self.screen_stack else None
        of_ghosts = screen.why_not(action) if isinstance(screen, CareScreen) else ""
        return super().why_not(action) or of_ghosts

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """While a shell is talked to, its keys are its own: ctrl+p, ctrl+q, ctrl+c."""
        if isinstance(self.screen, TalkScreen):
            return False
        return super().check_action(action, parameters)

    def action_help(self) -> None:
        """Explain the place where it was asked."""
        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self.screen))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """The palette: Textual's own commands, and every verb that makes sense here."""
        for command in super().get_system_commands(screen):
            if command.title != "Keys":  # our help tells more
                yield command
        tour = ACTIONS["session.tour"]
        yield SystemCommand(tour.description, tour.tooltip, self.action_tour)
        by_id = {active.binding.id or "": active for active in screen.active_bindings.values()}
        for id_, active in by_id.items():  # an action with two keys is one command
            action = ACTIONS.get(id_)
            groups = (CARE, FIND, SHOP, VIEWING)
            if action is not None and action.group in groups and active.enabled:
                yield SystemCommand(
                    action.description,
                    action.tooltip,
                    partial(screen.run_action, action.action),
                )


def run(
    config: Config = Config(),  # noqa: B008
    troubles: Sequence[str] = (),
    record: str | None = None,
) -> int:
    """Run the session until it is left; its exit status. `record` is where a cast of it goes."""
    recording = Recording(record, *os.get_terminal_size()) if record else None
    app = ProcchiApp(config=config, troubles=troubles, recording=recording)
    gc.freeze()  # or each full collection looks through all modules too, for 50 ms now and then
    app.run()
    if recording is not None:
        recording.close()
        if recording.trouble:
            print(f"procchi-tui: {record} ends early: {recording.trouble}", file=sys.stderr)
    return app.return_code or 0
