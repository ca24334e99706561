"""Everything the keys ask of the nest, each as an errand off the screen's loop."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from threading import Event as Flag
from typing import Any

from textual.message import Message
from textual.message_pump import MessagePump

from engine import Egg, Limits, Pet, ProcchiError, Progress
from procchi_tui.diet import in_words
from procchi_tui.errands import post, send
from procchi_tui.messages import (
    CommandsRead,
    Done,
    EggRemoved,
    EggsListed,
    Hatched,
    PullBegan,
    PullCancelling,
    PullOver,
    PullProgress,
    TalkReady,
    Trouble,
)
from procchi_tui.nest_engine import Engine
from procchi_tui.pace import Pace
from procchi_tui.undo import Undo
from procchi_tui.words import names_in_words

PROGRESS_SECONDS = 0.1
SHELL = ("sh", "-c", "if command -v bash >/dev/null 2>&1; then exec bash; else exec sh; fi")
TERMINAL = {"TERM": "xterm-256color"}
"""What our terminal is nearest to, of those that every egg's terminfo knows."""
Changes = Mapping[str, str]
"""Limits by name, in the words of the command line: `50M`, `0.5`, `unlimited`."""


@dataclass(frozen=True)
class HatchOrder:
    """What the hatching form asks for."""

    name: str
    egg: str
    limits: Limits
    command: tuple[str, ...] = ()
    like: Pet | None = None
    """The pet whose other settings it shall have."""


class _Cancelled(Exception):
    """Raised inside a pull to end it."""


class Carer:
    """Sends errands; their answers are messages to `target`."""

    def __init__(self, engine: Engine, target: MessagePump) -> None:
        self._engine = engine
        self._target = target
        self._numbers = count(1)
        self._pulls: dict[int, Flag] = {}
        self.released: set[str] = set()
        """Pets that were let go from here, and whose death is then no news."""

    def list_eggs(self) -> None:
        """Answers `EggsListed`."""
        send(self._target, lambda: EggsListed(self._engine.eggs()))

    def remove_egg(self, name: str, target: MessagePump) -> None:
        """Answers `EggRemoved` to `target`, and `Done`."""

        def errand() -> Message:
            self._engine.remove_egg(name)
            post(self._target, Done(f"{name} is gone from the store."))
            return EggRemoved(name)

        send(target, errand)

    def hatch(self, order: HatchOrder) -> None:
        """Answers `Hatched`. Pulls the egg first where it is not in the store."""

        def errand() -> Message | None:
            if order.egg not in {egg.name for egg in self._engine.eggs()} and not self._pull(
                order.egg
            ):
                return None
            pet = self._engine.hatch(
                order.name,
                order.egg,
                command=order.command,
                limits=order.limits,
                **_settings(order.like),
            )
            return Hatched(pet)

        send(self._target, errand)

    def pull(self, reference: str, name: str | None, pins: Mapping[str, str] | None = None) -> None:
        """Pull an egg, by the `pins` of one that was pulled before.

        Answers `PullBegan`, `PullProgress` again and again, `PullOver`, and `Done`.
        """

        def errand() -> Message | None:
            egg = self._pull(reference, name, pins)
            if egg is None:
                return None
            return Done(f"Pulled {egg.name}: it is in the store, n hatches from it.")

        send(self._target, errand)

    def _pull(
        self, reference: str, name: str | None = None, pins: Mapping[str, str] | None = None
    ) -> Egg | None:
        number, cancelled = next(self._numbers), Flag()
        self._pulls[number] = cancelled
        egg = None
        post(self._target, PullBegan(reference, number, name))
        try:
            egg = self._engine.pull(
                reference,
                name=name,
                progress=_reporter(self._target, number, cancelled),
                **(pins or {}),
            )
        except _Cancelled:
            post(
                self._target,
                Done(f"The pull of {reference} was cancelled; what has come waits for the next."),
            )
        finally:
            del self._pulls[number]
            post(self._target, PullOver(number))
        return egg

    def cancel_pull(self, number: int | None = None) -> None:
        """End a pull, or the newest, at its next sign of progress. Answers `PullCancelling`."""
        pulls = dict(self._pulls)
        number = max(pulls, default=None) if number is None else number
        if number in pulls:
            pulls[number].set()
            post(self._target, PullCancelling(number))

    def sleep(self, names: Sequence[str]) -> None:
        """Put pets to sleep. Answers `Done`, and `Trouble` for those that cannot."""
        self._each(
            names,
            self._engine.sleep,
            "is asleep: its processes are frozen",
            "are asleep: their processes are frozen",
            undo=lambda done: Undo(lambda: self._wake(done)),
        )

    def wake(self, names: Sequence[str]) -> None:
        """Wake pets. Answers as `sleep`."""
        self._each(
            names,
            self._engine.wake,
            "is awake",
            "are awake",
            undo=lambda done: Undo(lambda: self._sleep(done)),
        )

    def _wake(self, names: Sequence[str]) -> None:
        self._each(names, self._engine.wake, "is awake again", "are awake again")

    def talk(self, name: str) -> None:
        """Start a shell in a pet. Answers `TalkReady`."""

        def errand() -> Message:
            meal = self._engine.open_meal(name, SHELL, terminal=True, environment=TERMINAL)
            return TalkReady(name, meal)

        send(self._target, errand)

    def _sleep(self, names: Sequence[str]) -> None:
        self._each(names, self._engine.sleep, "is asleep again", "are asleep again")

    def diet(self, pets: Sequence[Pet], changes: Changes) -> None:
        """Change their limits; what is not named stays. Answers as `sleep`."""
        before = {pet.name: in_words(pet.limits) for pet in pets}

        def put_back(names: Sequence[str]) -> None:
            self._each(
                names,
                lambda name: self._engine.diet(name, **{key: before[name][key] for key in changes}),
                "eats as before",
                "eat as before",
            )

        self._each(
            list(before),
            lambda name: self._engine.diet(name, **changes),
            "has a new diet",
            "have a new diet",
            undo=lambda done: Undo(lambda: put_back(done)),
        )

    def signal(self, names: Sequence[str], number: int) -> None:
        """Send a signal to the PID 1 of each. Answers as `sleep`."""
        sent = signal.Signals(number).name
        self._each(
            names, lambda name: self._engine.signal(name, number), f"got {sent}", f"got {sent}"
        )

    def read_commands(self, names: Sequence[str], target: MessagePump) -> None:
        """Answers `CommandsRead` to `target`; one that cannot be seen into has none."""

        def errand() -> Message:
            found: list[set[str]] = []
            for name in names:
                try:
                    found.append(set(self._engine.commands(name)))
                except (ProcchiError, OSError):
                    found.append(set())
            return CommandsRead(tuple(names), tuple(sorted(set.intersection(*found))))

        send(target, errand)

    def release(self, names: Sequence[str]) -> None:
        """Let pets go, for good. Answers as `sleep`."""

        def let_go(name: str) -> None:
            self.released.add(name)  # before the nest can tell of its death
            try:
                self._engine.release(name)
            except BaseException:
                self.released.discard(name)
                raise

        self._each(
            names, let_go, "was released; nothing of it is left", "were released; nothing is left"
        )

    def _each(
        self,
        names: Sequence[str],
        act: Callable[[str], object],
        one: str,
        many: str,
        undo: Callable[[Sequence[str]], Undo] | None = None,
    ) -> None:
        """Do it to every pet, whatever becomes of the others."""

        def errand() -> Message | None:
            done, refusals = [], []
            for name in names:
                try:
                    act(name)
                    done.append(name)
                except ProcchiError as error:
                    refusals.append(str(error))
            if refusals:
                rest = f" (and {len(refusals) - 1} more)" if len(refusals) > 1 else ""
                post(self._target, Trouble(refusals[0] + rest))
            if not done:
                return None
            told = f"{names_in_words(done)} {one if len(done) == 1 else many}."
            return Done(told, undo(done) if undo else None)

        send(self._target, errand)


def _settings(like: Pet | None) -> dict[str, Any]:
    """How to hatch another pet like that one, its command and limits apart."""
    if like is None:
        return {}
    return {
        "entrypoint": (),  # its command begins with it
        "network": like.network,
        "read_only": like.read_only,
        "environment": like.environment,
        "working_directory": like.working_directory or None,
        "user": like.user or None,
        "stop_signal": like.stop_signal or None,
    }


def _reporter(target: MessagePump, number: int, cancelled: Flag) -> Callable[[Progress], None]:
    last: list[tuple[str, float]] = []
    pace = Pace()

    def report(progress: Progress) -> None:
        if cancelled.is_set():
            raise _Cancelled
        now = time.monotonic()
        pace.note(progress, now)
        if not last or last[0][0] != progress.stage or now - last[0][1] >= PROGRESS_SECONDS:
            last[:] = [(progress.stage, now)]
            post(target, PullProgress(number, progress, pace.rate, pace.left))

    return report
