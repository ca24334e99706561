"""Everything the keys ask of the nest, each as an errand off the screen's loop."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from threading import Event as Flag

from textual.message import Message
from textual.message_pump import MessagePump

from engine import Egg, Limits, Pet, Progress
from procchi_tui.errands import post, send
from procchi_tui.messages import (
    Done,
    EggsListed,
    Hatched,
    PullBegan,
    PullCancelling,
    PullOver,
    PullProgress,
)
from procchi_tui.nest_engine import Engine

PROGRESS_SECONDS = 0.1


@dataclass(frozen=True)
class HatchOrder:
    """What the hatching form asks for."""

    name: str
    egg: str
    limits: Limits
    command: tuple[str, ...] = ()


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

    def hatch(self, order: HatchOrder) -> None:
        """Answers `Hatched`. Pulls the egg first where it is not in the store."""

        def errand() -> Message | None:
            if order.egg not in {egg.name for egg in self._engine.eggs()} and not self._pull(
                order.egg
            ):
                return None
            pet = self._engine.hatch(
                order.name, order.egg, command=order.command, limits=order.limits
            )
            return Hatched(pet)

        send(self._target, errand)

    def pull(self, reference: str, name: str | None) -> None:
        """Answers `PullBegan`, `PullProgress` again and again, `PullOver`, and `Done`."""

        def errand() -> Message | None:
            egg = self._pull(reference, name)
            if egg is None:
                return None
            return Done(f"Pulled {egg.name}: it is in the store, n hatches from it.")

        send(self._target, errand)

    def _pull(self, reference: str, name: str | None = None) -> Egg | None:
        number, cancelled = next(self._numbers), Flag()
        self._pulls[number] = cancelled
        egg = None
        post(self._target, PullBegan(reference, number))
        try:
            egg = self._engine.pull(
                reference, name=name, progress=_reporter(self._target, number, cancelled)
            )
        except _Cancelled:
            post(self._target, Done(f"The pull of {reference} was cancelled; nothing was kept."))
        finally:
            del self._pulls[number]
            post(self._target, PullOver(number, egg))
        return egg

    def cancel_pull(self) -> None:
        """End the newest pull, at its next sign of progress. Answers `PullCancelling`."""
        pulls = dict(self._pulls)
        if pulls:
            number = max(pulls)
            pulls[number].set()
            post(self._target, PullCancelling(number))

    def doze(self, pet: Pet) -> None:
        """Put an awake pet to sleep, wake a sleeper. Answers `Done`."""

        def errand() -> Message:
            if pet.status == "asleep":
                self._engine.wake(pet.name)
                return Done(f"{pet.name} is awake.")
            self._engine.sleep(pet.name)
            return Done(f"{pet.name} is asleep: its processes are frozen.")

        send(self._target, errand)

    def release(self, name: str) -> None:
        """Answers `Done`."""

        def errand() -> Message:
            self.released.add(name)
            self._engine.release(name)
            return Done(f"{name} was released; nothing of it is left.")

        send(self._target, errand)


def _reporter(target: MessagePump, number: int, cancelled: Flag) -> Callable[[Progress], None]:
    last: list[tuple[str, float]] = []

    def report(progress: Progress) -> None:
        if cancelled.is_set():
            raise _Cancelled
        now = time.monotonic()
        if not last or last[0][0] != progress.stage or now - last[0][1] >= PROGRESS_SECONDS:
            last[:] = [(progress.stage, now)]
            post(target, PullProgress(number, progress))

    return report
