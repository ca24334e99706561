"""One command's run in a pet, with its output streaming to the screen."""

from __future__ import annotations

import codecs
import os
import select
import shlex
import signal
import time
from threading import Lock, Thread

from textual.message_pump import MessagePump

from engine import CommandNotFound, Meal
from procchi_tui.errands import post, send
from procchi_tui.messages import MealOutput, MealOver
from procchi_tui.nest_engine import Engine, OpenMeal

READ_SIZE = 1 << 15
FULL_PIPE_READS = 2
"""A pipe holds 64 KiB, pipe(7)."""
PAUSE_SECONDS = 0.05
"""Between two reads: a pet that talks without end waits on its full pipe, not the screen."""


class RunningMeal:
    """A meal under way: posts `MealOutput` when there is something to `take()`, then `MealOver`."""

    def __init__(self, engine: Engine, target: MessagePump, pet: str, line: str) -> None:
        self.pet = pet
        self.line = line
        self._engine = engine
        self._target = target
        self._lock = Lock()
        self._written = ""
        self._meal: OpenMeal | None = None
        self._stops = 0
        self.number: int | None = None
        """Which of the pet's meals it is; None before it has begun."""
        Thread(target=self._run, name="meal", daemon=True).start()

    def take(self) -> str:
        """What the meal has written since the last call."""
        with self._lock:
            written, self._written = self._written, ""
        return written

    def stop(self) -> signal.Signals:
        """Interrupt the command as Ctrl-C would; asked a second time, kill it. Says by which."""
        with self._lock:
            meal, self._stops = self._meal, self._stops + 1
        number = signal.SIGINT if self._stops == 1 else signal.SIGKILL
        if meal is not None:
            send(self._target, lambda: meal.signal(number))
        return number

    def _run(self) -> None:
        try:
            post(self._target, MealOver(self.pet, self._eat()))
        except Exception as error:  # or the pet would eat for ever
            post(self._target, MealOver(self.pet, None, str(error)))

    def _eat(self) -> Meal:
        reading, writing = os.pipe()
        silence = os.open(os.devnull, os.O_RDONLY)
        try:
            try:
                meal = self._open(silence, writing)
            finally:
                os.close(writing)
                os.close(silence)
            with meal:
                self.number = meal.number
                with self._lock:
                    self._meal, stopped = meal, self._stops > 0
                if stopped:  # before it had begun
                    meal.signal(signal.SIGINT)
                self._follow(meal, reading)
                return meal.wait()
        finally:
            os.close(reading)

    def _open(self, silence: int, writing: int) -> OpenMeal:
        stdio = (silence, writing, writing)
        try:
            return self._engine.open_meal(self.pet, ["sh", "-c", self.line], stdio=stdio)
        except CommandNotFound:  # an egg without a shell: the words are the command
            words = shlex.split(self.line)
            return self._engine.open_meal(self.pet, words, stdio=stdio)

    def _follow(self, meal: OpenMeal, reading: int) -> None:
        # A process that the command left behind may hold the pipe open: the meal is over when
        # the nest says so, and what is in the pipe by then is read.
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        open_ = True
        while open_:
            ready, _, _ = select.select([reading, meal.fileno()], [], [])
            over = meal.fileno() in ready
            for _ in range(FULL_PIPE_READS if over else 1):
                if not select.select([reading], [], [], 0)[0]:
                    break
                chunk = os.read(reading, READ_SIZE)
                if not chunk:
                    open_ = False
                    break
                self._tell(decoder.decode(chunk))
                time.sleep(PAUSE_SECONDS)
            if over:
                break
        self._tell(decoder.decode(b"", final=True))

    def _tell(self, text: str) -> None:
        with self._lock:
            first = not self._written
            self._written += text
        if first and text:
            post(self._target, MealOutput(self.pet))
