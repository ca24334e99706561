"""What the screens look like, on fixed readings: pictures under __snapshots__.

After a change that is meant: `pytest tests/tui/test_snapshots.py --snapshot-update`, and look
at them.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest
from pytest_textual_snapshot import SVGImageExtension
from textual.command import CommandList
from textual.pilot import Pilot
from textual.widgets import Input, RichLog, Static

from engine import Progress
from procchi_tui.app import TICK_SECONDS, ProcchiApp
from procchi_tui.facts import Pulling
from procchi_tui.screens.host import HostScreen
from procchi_tui.screens.look import LookScreen
from procchi_tui.screens.talk import TalkScreen
from procchi_tui.widgets.nest import Nest
from procchi_tui.widgets.terminal import Terminal
from tests.tui.conftest import ASKED_AGAIN_SECONDS, face, seen, until
from tests.tui.fixed_nest import MIB, FixedNest, a_nest_full

SECONDS = 40
ATTEMPTS = 8
SIZES = [(80, 24), (120, 40), (200, 60)]
LOOKS = ["procchi-night", "procchi-day", "NO_COLOR"]
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


def wearing(look: str, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings for a look: one of our themes, a tier of art, or NO_COLOR."""
    if look == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
        return {}
    return {"theme": look} if look.startswith("procchi") else {"art": look}


@pytest.mark.parametrize("look", [*LOOKS, "16", "ascii"])
@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_the_nest(
    snap_compare: Any, size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest, **wearing(look, monkeypatch))

    async def prepare(pilot: Pilot[None]) -> None:
        await live(pilot, nest)
        await pilot.press("right")
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=size, run_before=prepare)


@pytest.mark.parametrize("theme", ["procchi-night", "procchi-day"])
def test_for_a_projector(snap_compare: Any, theme: str) -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest, presenter=True, theme=theme)

    async def prepare(pilot: Pilot[None]) -> None:
        await live(pilot, nest)
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=(160, 45), run_before=prepare)


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("size", SIZES, ids=lambda s: f"{s[0]}x{s[1]}")
def test_for_a_projector_of_any_size(
    snap_compare: Any, size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest, presenter=True, **wearing(look, monkeypatch))

    async def prepare(pilot: Pilot[None]) -> None:
        await live(pilot, nest)
        await pilot.press("right")
        await at_rest(pilot)

    assert snap_compare(app, terminal_size=size, run_before=prepare)


async def at_home(pilot: Pilot[None]) -> None:
    """Leave whatever was opened, and hold the first pet again."""
    app = pilot.app
    assert isinstance(app, ProcchiApp)
    while not isinstance(app.focused, Nest) or app.session.marks or filtered(app):
        await pilot.press("ctrl+q" if isinstance(app.screen, TalkScreen) else "escape")
    app.clear_notifications()
    await pilot.press("home")


def filtered(app: ProcchiApp) -> bool:
    return bool(app.session.arrangement.filter.tests)


async def picture(pilot: Pilot[None]) -> str:
    """The screen, once it stands still."""
    for prompt in pilot.app.screen.query(Input):
        prompt.cursor_blink = False
        prompt._cursor_visible = True
    before, now = "", pilot.app.export_screenshot()
    while now != before:
        await pilot.wait_for_scheduled_animations()
        await pilot.pause(ASKED_AGAIN_SECONDS)
        before, now = now, pilot.app.export_screenshot()
    return now


async def strange(pilot: Pilot[None], scenes: Sequence[Prepare], kept: Any) -> list[str]:
    """The names of the pictures that are not as they are kept: each scene at each size."""
    kept, names = kept.use_extension(SVGImageExtension), []
    for scene in scenes:
        await at_home(pilot)
        await scene(pilot)
        for columns, rows in SIZES:
            name = f"{scene.__name__}-{columns}x{rows}"
            await pilot.resize_terminal(columns, rows)
            if not await becomes(pilot, kept, name):
                names.append(name)
    return names


async def becomes(pilot: Pilot[None], kept: Any, name: str) -> bool:
    """Whether the screen comes to be as it is kept: what was sized anew may be drawn at a beat."""
    for _ in range(ATTEMPTS):
        if await picture(pilot) == kept(name=name):
            return True
        await pilot.pause(TICK_SECONDS)
    return False


async def nothing(_: Pilot[None]) -> None:
    """The nest as it is."""


async def ghost(pilot: Pilot[None]) -> None:
    await pilot.press(*["right"] * 6, "enter")
    screen = pilot.app.screen
    assert isinstance(screen, LookScreen)
    await until(pilot, lambda: screen.page in screen._seen)


async def feed(pilot: Pilot[None]) -> None:
    await pilot.press("f", *"echo", "space", *"hi", "enter")
    output = pilot.app.screen.query_one(RichLog)
    await until(pilot, lambda: any("exit status" in line.text for line in output.lines))


async def talk(pilot: Pilot[None]) -> None:
    await pilot.press("t")
    await until(pilot, lambda: list(pilot.app.screen.query(Terminal)))
    terminal = pilot.app.screen.query_one(Terminal)
    await until(pilot, lambda: "root@pet" in terminal.render_line(0).text)


async def hatch(pilot: Pilot[None]) -> None:
    await pilot.press("n")


async def clone(pilot: Pilot[None]) -> None:
    await pilot.press("c")


async def release(pilot: Pilot[None]) -> None:
    await pilot.press("r")


async def release_many(pilot: Pilot[None]) -> None:
    await pilot.press("a", "r")


async def diet(pilot: Pilot[None]) -> None:
    await pilot.press("right", "right", "right", "d")


async def signal(pilot: Pilot[None]) -> None:
    await pilot.press("K")


async def snack(pilot: Pilot[None]) -> None:
    await pilot.press("F", "down")


async def pull(pilot: Pilot[None]) -> None:
    await pilot.press("p")


async def history(pilot: Pilot[None]) -> None:
    await pilot.press("right", "right", "right", "H")
    area = pilot.app.screen.query_one("#plot", Static)
    await until(pilot, lambda: "memory" in str(area.render()))


async def help_(pilot: Pilot[None]) -> None:
    await pilot.press("question_mark")


async def palette(pilot: Pilot[None]) -> None:
    await pilot.press("ctrl+p", *"egg shop")
    found = pilot.app.screen.query_one(CommandList)
    await until(pilot, lambda: found.option_count == 1)


async def mistaken(pilot: Pilot[None]) -> None:
    await pilot.press("slash", *"mem", "greater_than_sign")


async def order(pilot: Pilot[None]) -> None:
    await pilot.press("o")


async def ordered(pilot: Pilot[None]) -> None:
    await pilot.press("o", "down", "down", "enter", "space", "O")


async def found(pilot: Pilot[None]) -> None:
    """Groups, marks, and a filter that is being typed."""
    await pilot.press("space", "space", "down", "b")
    await pilot.press("slash", *"home", "space", "exclamation_mark", *"ghost")


ASKED = (feed, talk, hatch, clone, release, release_many, diet, signal, snack, pull)
SHOWN = (ghost, history, help_, palette, mistaken, order, ordered, found)
"""The last two leave the nest in another order, which is why they come last."""


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("scenes", [ASKED, SHOWN], ids=["asked", "shown"])
async def test_what_is_opened(
    snapshot: Any, scenes: Sequence[Prepare], look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest, **wearing(look, monkeypatch))
    async with app.run_test(size=SIZES[0]) as pilot:
        await live(pilot, nest)
        assert not await strange(pilot, scenes, snapshot)


async def graves(pilot: Pilot[None]) -> None:
    await pilot.press("g")


async def host(pilot: Pilot[None]) -> None:
    await pilot.press("i")
    screen = pilot.app.screen
    assert isinstance(screen, HostScreen)
    await until(pilot, lambda: screen._checks is not None)


async def toasts(pilot: Pilot[None]) -> None:
    pilot.app.notify("moka is asleep.", timeout=3600)
    pilot.app.notify("umi ate more memory than it may.", severity="warning", timeout=3600)
    pilot.app.notify("No pet is called yoshi.", severity="error", timeout=3600)


@pytest.mark.parametrize("look", LOOKS)
async def test_an_empty_nest(snapshot: Any, look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = face(FixedNest(), **wearing(look, monkeypatch))
    async with app.run_test(size=SIZES[0], notifications=True) as pilot:
        await until(pilot, lambda: app.session.facts.cgroup)
        assert not await strange(pilot, (nothing, graves, toasts), snapshot)


async def pulling(pilot: Pilot[None]) -> None:
    """Two eggs on their way."""
    app = pilot.app
    assert isinstance(app, ProcchiApp)
    app.session.pulls[1] = Pulling("debian", Progress("downloading", 12 * MIB, 30 * MIB))
    app.session.pulls[2] = Pulling("home", Progress("cooking", 120, 300))
    app.read_gauges()


@pytest.mark.parametrize("look", LOOKS)
async def test_a_host_that_enforces_nothing_and_a_screen_that_only_looks(
    snapshot: Any, look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    nest = FixedNest(a_nest_full())
    nest.cgroup = {"kind": "none", "enforced": [], "why": "cgroup v2 is not delegated"}
    app = face(nest, read_only=True, **wearing(look, monkeypatch))
    async with app.run_test(size=SIZES[0]) as pilot:
        await live(pilot, nest)
        assert not await strange(pilot, (nothing, host, pulling), snapshot)
