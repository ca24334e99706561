"""What the face needs of the engine: its public functions, as a type.

The `engine` module itself is one; tests bring fixed readings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from engine import Egg, Event, Limits, Meal, Pet, Progress, Snapshot, StepReport


class Watch(Protocol):
    """The stream of what happens in the nest."""

    def __iter__(self) -> Iterator[Event | Snapshot]:
        """Block until something happens, again and again."""
        ...

    def __enter__(self) -> Self:
        """Itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of it."""
        ...

    def close(self) -> None:
        """End the iteration, from any thread."""
        ...


class OpenMeal(Protocol):
    """A command that is running in a pet."""

    def __enter__(self) -> Self:
        """Itself."""
        ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Let go of it."""
        ...

    def fileno(self) -> int:
        """A descriptor that can be read when the meal is over."""
        ...

    def signal(self, number: int) -> None:
        """Send it a signal."""
        ...

    def wait(self) -> Meal:
        """Block until it is over."""
        ...


class Engine(Protocol):
    """The functions of `engine` that the face calls. All of them block."""

    def pull(
        self,
        reference: str = "home",
        *,
        name: str | None = None,
        progress: Callable[[Progress], None] | None = None,
    ) -> Egg:
        """Fetch an egg."""
        ...

    def eggs(self) -> list[Egg]:
        """Those in the store."""
        ...

    def hatch(
        self,
        name: str,
        egg: str = "home",
        *,
        command: Sequence[str] = (),
        limits: Limits | None = None,
    ) -> Pet:
        """Bring a pet to life."""
        ...

    def open_meal(
        self, name: str, command: Sequence[str], *, stdio: tuple[int, int, int] = (0, 1, 2)
    ) -> OpenMeal:
        """Start a command in a pet."""
        ...

    def sleep(self, name: str) -> Pet:
        """Freeze it."""
        ...

    def wake(self, name: str) -> Pet:
        """Thaw it."""
        ...

    def release(self, name: str) -> None:
        """Let it go, for good."""
        ...

    def care_log(self, name: str) -> list[StepReport]:
        """How it was made."""
        ...

    def log_path(self, name: str) -> Path:
        """Where its output is kept."""
        ...

    def watch(self, readings: float | None = None) -> Watch:
        """Follow the nest, `readings` times a second."""
        ...

    def nest_status(self) -> Mapping[str, Any]:
        """How the nest is."""
        ...
