"""What the face needs of the engine: its public functions, as a type.

The `engine` module itself is one; tests bring fixed readings.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from engine import (
    Check,
    Details,
    Egg,
    EggDetails,
    Event,
    Limits,
    Meal,
    Offer,
    PastMeal,
    Pet,
    Progress,
    Snapshot,
    StepReport,
    XRay,
)


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

    @property
    def number(self) -> int:
        """Which of the pet's meals it is."""
        ...

    @property
    def terminal(self) -> int | None:
        """The near end of its terminal, where it has one."""
        ...

    def resize(self, rows: int, columns: int) -> None:
        """Give its terminal another size."""
        ...

    def close(self) -> None:
        """Let go of it, and of its terminal."""
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

    def catalogue(self) -> list[Offer]:
        """Those that can be pulled by a short name."""
        ...

    def egg(self, name: str) -> EggDetails:
        """One in the store, closely."""
        ...

    def remove_egg(self, name: str) -> None:
        """Remove one from the store."""
        ...

    def hatch(
        self,
        name: str,
        egg: str = "home",
        *,
        command: Sequence[str] = (),
        limits: Limits | None = None,
        **settings: Any,
    ) -> Pet:
        """Bring a pet to life."""
        ...

    def open_meal(
        self,
        name: str,
        command: Sequence[str],
        *,
        stdio: tuple[int, int, int] = (0, 1, 2),
        terminal: bool = False,
        environment: Mapping[str, str] | None = None,
    ) -> OpenMeal:
        """Start a command in a pet."""
        ...

    def sleep(self, name: str) -> Pet:
        """Freeze it."""
        ...

    def wake(self, name: str) -> Pet:
        """Thaw it."""
        ...

    def diet(self, name: str, **limits: Any) -> Pet:
        """Change its limits."""
        ...

    def signal(self, name: str, number: int) -> None:
        """Send a signal to its PID 1."""
        ...

    def release(self, name: str) -> None:
        """Let it go, for good."""
        ...

    def commands(self, name: str) -> list[str]:
        """The programs in its PATH."""
        ...

    def care_log(self, name: str, *, meal: int | None = None) -> list[StepReport]:
        """How it was made, or how that meal began."""
        ...

    def xray(self, name: str) -> XRay:
        """See through it."""
        ...

    def details(self, name: str) -> Details:
        """All that the kernel tells of it."""
        ...

    def meals(self, name: str) -> list[PastMeal]:
        """Its last meals."""
        ...

    def log_path(self, name: str) -> Path:
        """Where its output is kept."""
        ...

    def watch(self, readings: float | None = None) -> Watch:
        """Follow the nest, `readings` times a second."""
        ...

    def doctor(self) -> list[Check]:
        """What this machine has and lacks."""
        ...

    def nest_status(self) -> Mapping[str, Any]:
        """How the nest is."""
        ...
