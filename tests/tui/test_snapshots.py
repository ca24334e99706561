"""What the screens look like, on fixed readings: pictures under __snapshots__.

After a change that is meant: `pytest tests/tui/test_snapshots.py --snapshot-update`, and look
at them.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, RichLog, Static

from engine import Progress
from procchi_tui.app import ProcchiApp
from procchi_tui.screens.look import LookScreen
from procchi_tui.widgets.pulls import Pulling
from tests.tui.conftest import face, seen, until
from tests.tui.fixed_nest import MIB, FixedNest, a_nest_full

SECONDS = 40
Prepare = Callable[[Pilot[None]], Awaitable[None]]


async def live(pilot: Pilot[None], nest: FixedNest) -> None:
    """Give every pet a past, second by second, and the diary something to tell."""
    app = pilot.app
    assert isinstance(app, ProcchiApp)
    await seen(pilot, nest)
    born = {name: known.readings for name, known in nest.known.items() if known.readings}
    for second in range(1, SECONDS):
        now = {}
        for index, (name, first) in enumerate(born.items()):
            wave = 1 + math.sin(index + second / 6)
            now[name] = first._replace(
                memory=int((first.memory or 0) * (0.9 + 0.05 * wave)),
                cpu_usec=(first.cpu_usec or 0) + int(second * 100_000 * (index % 5) * wave / 4),
            )
        for watch in nest.watches:
            watch.tell_readings(float(second), now)
        await until(pilot, lambda second=second: app.session.nursery.at >= second)  # type: ignore[misc]
    nest.tell_event("hatched", "luma", egg="home")
    nest.tell_event("fed", "momo", command=["sh", "-c", "ls / | wc -l"])
    nest.tell_event("meal-over", "momo", command=["sh", "-c", "ls / | wc -l"], exit_code=0)
    await until(pilot, lambda: len(app.session.diary) == 3)
    app.tick()
    await pilot.pause()


async def at_rest(pilot: Pilot[None]) -> None:
    """No cursor that blinks, no toast."""
    for prompt in pilot.app.screen.query(Input):
        prompt.cursor_blink = False
        prompt._cursor_visible = True
    pilot.app.clear_notifications()
    await pilot.pause()


@pytest.mark.parametrize("theme", ["procchi-night", "procchi-day"])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda s: f"{s[0]}x{s[1]}")
def test_the_nest(snap_compare: Any, size: tuple[int, int], theme: str) -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    app.theme = theme

    async def prepare(pilot: Pilot[None]) -> None:
        await live(pilot, nest)
        await pilot.press("right")
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=size, run_before=prepare)


def test_the_empty_nest(snap_compare: Any) -> None:
    app = face(FixedNest())

    async def prepare(pilot: Pilot[None]) -> None:
        await until(pilot, lambda: app.session.facts.cgroup)
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=(80, 24), run_before=prepare)


async def look(pilot: Pilot[None]) -> None:
    await pilot.press("right", "right", "right", "enter")
    screen = pilot.app.screen
    assert isinstance(screen, LookScreen)
    await until(pilot, lambda: "clone3" in str(screen.query_one("#care Static", Static).content))
    assert isinstance(pilot.app, ProcchiApp)
    pilot.app.tick()


async def look_at_care(pilot: Pilot[None]) -> None:
    await look(pilot)
    await pilot.press("3")
    await pilot.wait_for_animation()


async def feed(pilot: Pilot[None]) -> None:
    await pilot.press("f", *"echo", "space", *"hi", "enter")
    output = pilot.app.screen.query_one(RichLog)
    await until(pilot, lambda: any("exit status" in line.text for line in output.lines))


async def hatch(pilot: Pilot[None]) -> None:
    await pilot.press("n")


async def release(pilot: Pilot[None]) -> None:
    await pilot.press("r")


async def help_(pilot: Pilot[None]) -> None:
    await pilot.press("question_mark")


async def pull(pilot: Pilot[None]) -> None:
    app = pilot.app
    assert isinstance(app, ProcchiApp)
    app.session.pulls[1] = Pulling("debian", Progress("downloading", 12 * MIB, 30 * MIB))
    app.session.pulls[2] = Pulling("home", Progress("cooking", 120, 300))
    app.session.trouble = "Limits on cpu are not enforced here. `procchi doctor` says what helps."
    app.read_gauges()


@pytest.mark.parametrize(
    "doing", [look, look_at_care, feed, hatch, release, help_, pull], ids=lambda f: f.__name__
)
def test_what_is_done(snap_compare: Any, doing: Prepare) -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)

    async def prepare(pilot: Pilot[None]) -> None:
        await live(pilot, nest)
        await doing(pilot)
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=(100, 32), run_before=prepare)
