from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from procchi_tui.app import ProcchiApp
from procchi_tui.config import Config
from procchi_tui.places import state_directory
from procchi_tui.remembered import Remembered
from tests.tui.fixed_nest import FixedNest, fixed_clock, fixed_host

ASKED_AGAIN_SECONDS = 0.02
PATIENCE_SECONDS = 20


@pytest.fixture(autouse=True)
def _the_same_everywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PROCCHI_HOME", str(tmp_path / "home"))
    Remembered(state_directory() / "remembered.json").note("tour", "done")
    monkeypatch.setenv("TZ", "UTC")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLORTERM", "truecolor")
    monkeypatch.delenv("NO_COLOR", raising=False)
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(autouse=True)
def _keys_have_their_effect(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key that was pressed has been answered when `Pilot.press` is done.

    Textual takes a process for idle that uses no CPU for a moment, which a busy machine's also does
    not, or that has worked for a second.
    """
    press = Pilot.press

    async def press_and_wait(pilot: Pilot[Any], *keys: str) -> None:
        await press(pilot, *keys)
        app, deadline = pilot.app, time.monotonic() + PATIENCE_SECONDS

        def is_busy() -> bool:
            keyboard = app._keyboard if isinstance(app, ProcchiApp) and app.is_running else None
            return keyboard is not None and bool(keyboard._waiting or keyboard._settling)

        while is_busy():
            assert time.monotonic() < deadline, "a key is not answered"
            await asyncio.sleep(ASKED_AGAIN_SECONDS)
            if not is_busy() and app.is_running:
                await pilot.pause()

    monkeypatch.setattr(Pilot, "press", press_and_wait)


def face(nest: FixedNest, **settings: Any) -> ProcchiApp:
    """The session on fixed readings, with nothing that moves by itself."""
    config = Config(**settings)
    app = ProcchiApp(nest, config=config, clock=fixed_clock, read_host=fixed_host)
    app.animation_level = "none"
    return app


def told(app: ProcchiApp) -> str:
    """What the toasts say that have not gone yet."""
    return " | ".join(note.message for note in app._notifications)


async def until(pilot: Pilot[None], true: Callable[[], object]) -> None:
    """Let the session run until something is true of it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        await pilot.pause(ASKED_AGAIN_SECONDS)
    await pilot.pause()


async def seen(pilot: Pilot[None], nest: FixedNest) -> None:
    """Wait until the session knows the nest, and draws it."""
    app = pilot.app
    assert isinstance(app, ProcchiApp)
    await until(pilot, lambda: list(app.session.nursery.pets) and app.session.facts.cgroup)
    for prompt in app.screen.query(Input):
        prompt.cursor_blink = False
    app.tick()
    await pilot.pause()
