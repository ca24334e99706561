"""Every view and every page of the X-ray, by keys and by mouse; and pictures of each."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from textual.binding import Binding
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.widgets import OptionList, Tabs

from engine import Call, Event, NestUnreachable, Readings, StepReport
from engine.anatomy import Interface, Mount
from procchi_tui.app import ProcchiApp
from procchi_tui.bindings import ACTIONS
from procchi_tui.cli import keeping
from procchi_tui.nursery import Sample
from procchi_tui.pages import KEYS, PAGES, XRAY
from procchi_tui.pages.body import Body
from procchi_tui.pages.page import Sight, harmless
from procchi_tui.pages.processes import Processes
from procchi_tui.screens import graveyard
from procchi_tui.screens.graveyard import GraveyardScreen
from procchi_tui.screens.history import HistoryScreen
from procchi_tui.screens.host import HostScreen
from procchi_tui.screens.look import LookScreen
from procchi_tui.screens.nest import NestScreen
from procchi_tui.screens.panel import PanelScreen
from procchi_tui.screens.shop import SearchPrompt, Shelf
from procchi_tui.telling import sentence
from procchi_tui.views import LOOK, VIEWS, screen_of
from procchi_tui.widgets.diary import Diary
from procchi_tui.widgets.feed_panel import FeedPanel
from procchi_tui.widgets.find_bar import FindBar
from procchi_tui.widgets.host_bar import HostBar
from procchi_tui.widgets.nest import Nest
from procchi_tui.widgets.panel import FoldingPanel
from procchi_tui.widgets.portrait import Portrait
from tests.tui.conftest import face, seen, until
from tests.tui.fixed_nest import NOW, FixedNest, a_nest_full, pet
from tests.tui.fixed_xray import fixed_xray

SIZE = (120, 40)
MEANT_TWICE = {
    frozenset({"shop.take", "shop.here"}),  # by whether the egg is at home
    frozenset({"shop.remove", "pet.look"}),  # no pet is in hand there
}
SIZES = [(80, 24), (120, 40), (200, 60)]
WAYS = {f"look-{page}": ("right", "enter", KEYS[page]) for page in PAGES} | {
    view.id: (view.key,) for view in VIEWS.values() if view.id != "shop"
}
"""By view: the keys that lead there from the nest. The shop's pictures are test_shop.py's."""


def shown(app: ProcchiApp) -> str:
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.text.rstrip() for strip in strips)


async def settled(pilot: Pilot[None]) -> None:
    """Wait until what the view reads is read."""
    screen = pilot.app.screen
    if isinstance(screen, LookScreen):
        await until(pilot, lambda: screen.page in screen._seen)
    elif isinstance(screen, HostScreen):
        await until(pilot, lambda: screen._checks is not None)
    assert isinstance(pilot.app, ProcchiApp)
    pilot.app.clear_notifications()
    pilot.app.tick()
    await pilot.pause()


def eventful(nest: FixedNest) -> None:
    nest.tell_event("hatched", "momo", egg="home")
    nest.tell_event("meal-over", "momo", command=["sh", "-c", "ls / | wc -l"], exit_code=0)
    nest.tell_event("oom", "umi", kills=1)


@pytest.mark.parametrize("look", ["procchi-night", "procchi-day", "NO_COLOR"])
@pytest.mark.parametrize("size", SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
@pytest.mark.parametrize("view", WAYS)
def test_what_it_looks_like(
    snap_compare: Any,
    view: str,
    size: tuple[int, int],
    look: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nest = FixedNest(a_nest_full())
    if look == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    app = face(nest, **({} if look == "NO_COLOR" else {"theme": look}))

    async def prepare(pilot: Pilot[None]) -> None:
        await seen(pilot, nest)
        eventful(nest)
        await until(pilot, lambda: len(app.session.diary) == 3)
        await pilot.press(*WAYS[view])
        await settled(pilot)

    assert snap_compare(app, terminal_size=size, run_before=prepare)


async def test_each_view_is_a_key_away_from_each_other() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        for view in (*VIEWS.values(), *reversed(VIEWS.values())):
            await pilot.press(view.key)
            await until(pilot, lambda view=view: type(app.screen) is screen_of(view))  # type: ignore[misc]
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, NestScreen))
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert titles >= {view.title for view in VIEWS.values()}


async def test_each_view_and_page_is_a_click_away() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        for widget, at, view in (
            (Diary, (5, 0), "events"),
            (HostBar, (12, 0), "graves"),
            (HostBar, (100, 0), "host"),
        ):
            await pilot.click(widget, offset=at)
            await until(pilot, lambda view=view: type(app.screen) is screen_of(VIEWS[view]))  # type: ignore[misc]
            await pilot.press("escape")
            await until(pilot, lambda: isinstance(app.screen, NestScreen))
        await pilot.press("x")
        await until(pilot, lambda: isinstance(app.screen, LookScreen))
        await pilot.click("#tab-walls")
        assert app.screen.query_one(Tabs).active == "tab-walls"
        await until(pilot, lambda: "4026532200" in shown(app))
        await pilot.click(Portrait)
        await until(pilot, lambda: isinstance(app.screen, HistoryScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, LookScreen))
        await pilot.click(HostBar, offset=(3, 0))
        await until(pilot, lambda: isinstance(app.screen, CommandPalette))
        await pilot.press(*"eggs")
        await until(pilot, lambda: "Eggs (images) at home" in shown(app))
        await pilot.click("CommandList", offset=(5, 1))
        await until(pilot, lambda: type(app.screen) is screen_of(VIEWS["shop"]))


async def test_the_pages_lie_side_by_side() -> None:
    """Also beside one whose lines are longer than it is wide."""
    nest = FixedNest([pet("moka")])
    calls = [Call("mount", "x" * 300, "0", 9)]
    nest.care_log = lambda name, **_: [StepReport("mounts", "why", calls, 9.0)]  # type: ignore[method-assign]
    app = face(nest)
    async with app.run_test(size=(100, 32)) as pilot:
        await seen(pilot, nest)
        await pilot.press("x")
        screen = app.screen
        assert isinstance(screen, LookScreen)
        pages = list(PAGES)
        for key, others in (
            ("right", [*pages[1:], pages[0]]),
            ("left", pages[::-1]),
            ("l", pages[1:]),
            ("h", pages[-2::-1]),
        ):
            for page in others:
                await pilot.press(key)
                await settled(pilot)
                assert screen.page.id == page, key


async def test_tabs_that_are_out_of_sight_are_counted() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=(100, 32)) as pilot:
        await seen(pilot, nest)
        await pilot.press("x")
        await until(pilot, lambda: "6 Cgroup" in shown(app) and "6 more ›" in shown(app))
        assert "‹" not in shown(app)
        await pilot.press("6")
        await until(pilot, lambda: re.search(r"‹ \d more .* \d more ›", shown(app)))
        await pilot.press("w")
        await until(pilot, lambda: "w Events" in shown(app) and "›" not in shown(app))
        [before] = re.findall(r"‹ (\d) more", shown(app))
        tabs = shown(app).splitlines()[1]
        assert int(before) + sum(page.title in tabs for page in PAGES.values()) == len(PAGES)
        await pilot.click("#before")
        await until(pilot, lambda: app.screen.query_one(Tabs).active == "tab-meals")
        await pilot.resize_terminal(200, 40)
        await until(pilot, lambda: "more" not in shown(app))


async def test_a_page_is_searched() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("x", "7")
        await settled(pilot)
        assert "overlay" in shown(app)
        await pilot.press("slash", *"devtmpfs", "enter")
        await until(pilot, lambda: "overlay" not in shown(app))
        assert "/dev/null" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: "overlay" in shown(app))
        assert isinstance(app.screen, LookScreen)


async def test_steps_fold() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("x", "3")
        await settled(pilot)
        await until(pilot, lambda: "clone3(" in shown(app))
        await pilot.press("z")
        await until(pilot, lambda: "clone3(" not in shown(app))
        assert app.screen.query_one(FoldingPanel).folded and "1. user namespace" in shown(app)
        await pilot.press("z")
        await until(pilot, lambda: "clone3(" in shown(app))


async def test_the_care_log_of_a_meal_and_two_side_by_side() -> None:
    nest = FixedNest([pet("moka"), pet("pico")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("x", "3")
        await until(pilot, lambda: "3 steps, 4 system calls" in shown(app))
        await pilot.press("o")
        await until(pilot, lambda: "meal 3" in shown(app))
        await pilot.press("down", "down", "enter")  # hatched, meal 3, meal 2
        await until(pilot, lambda: "moka, meal 2" in shown(app) and "setns(5" in shown(app))
        await pilot.press("o", "home", "enter", "C", "down", "enter", "enter")
        await until(pilot, lambda: "3 steps in both" in shown(app))
        text = shown(app)
        assert "moka, hatched, beside pico, hatched" in text
        assert "3 steps in both: -4 µs" in text
        assert re.search(r"= +812 +812 +\+0  clone3\(", text)
        assert re.search(r"< +4 +4 +\+0  sethostname\(\"moka\"\)", text)
        assert re.search(r"> +sethostname\(\"pico\"\)", text)
        await pilot.press("C", "down", "down", "enter")
        await until(pilot, lambda: "meal 1" in shown(app))
        await pilot.press("end", "enter")
        await until(pilot, lambda: "1 step in both" in shown(app))
        text = shown(app)
        assert "830 µs, only in <" in text and "30 µs, only in >" in text
        await pilot.press("C", "home", "enter")
        await until(pilot, lambda: "beside" not in shown(app) and "3 steps, 4" in shown(app))


async def test_what_cannot_be_read_is_said_on_the_page_and_goes_away() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    read = nest.xray
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)

        def unreachable(name: str) -> Any:
            raise NestUnreachable("the nest does not answer")

        nest.xray = unreachable  # type: ignore[method-assign]
        await pilot.press("x", "7")
        await until(pilot, lambda: "the nest does not answer" in shown(app))
        nest.xray = read  # type: ignore[method-assign]
        await until(pilot, lambda: "overlay" in shown(app))
        assert "the nest does not answer" not in shown(app)


async def test_a_ghost_has_no_walls_but_a_log() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("g")
        await until(pilot, lambda: isinstance(app.screen, GraveyardScreen))
        assert "killed by SIGKILL: out of memory" in shown(app) and "step 42 of 50" in shown(app)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LookScreen))
        await pilot.press("2")
        await until(pilot, lambda: "has none of this any more" in shown(app))
        await pilot.press("4")
        await until(pilot, lambda: "It has said nothing yet." in shown(app))


def test_a_ghosts_body_tells_what_was_last_read_of_it() -> None:
    kiko = next(one for one in a_nest_full() if one.name == "kiko")
    last = Readings(0.0, 40 << 20, 50 << 20, 2_100_000, pids=2)
    past = (Sample(40 << 20, 0.5),)
    ghost, alive = (
        {block.title: block for block in Body().blocks(None, Sight(one, last, past, [], NOW))}
        for one in (kiko, pet("moka"))
    )
    assert ghost["diet"].about == "its limits, and what it used of them"
    assert ("memory", "40M when last read, 50M at most") in ghost["diet"].rows
    assert ("pids", "2 when last read, 64 at most") in ghost["diet"].rows
    assert "lately" not in ghost and ghost["its end"].about.startswith("a sample a second")
    assert ("memory", "40M in use, 50M at most") in alive["diet"].rows
    assert ("pids", "2 now, 64 at most") in alive["diet"].rows, "zombies are counted, too"
    assert "lately" in alive


async def test_a_plot_says_whether_it_goes_on() -> None:
    kiko = next(one for one in a_nest_full() if one.name == "kiko")
    nest = FixedNest([replace(kiko, status="alive", pid=7), pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        for at in (5.0, 6.0):
            nest.tell(*nest.known.values(), at=at)
            await until(pilot, lambda at=at: app.session.nursery.at == at)  # type: ignore[misc]
        await pilot.press("H")
        await until(pilot, lambda: "12M now" in shown(app))
        nest.tell(kiko, at=7.0)
        await until(pilot, lambda: "12M at its end" in shown(app))
        assert " now" not in shown(app)


async def test_why_a_step_is_done_is_broken_to_fit() -> None:
    nest = FixedNest([pet("moka")])
    why = " ".join(["because"] * 20) + " so the end is seen"
    nest.care_log = lambda name, **_: [StepReport("session", why, [], 9.0)]  # type: ignore[method-assign]
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, LookScreen))
        await pilot.press("3")
        await until(pilot, lambda: "end is seen" in shown(app))
        await pilot.press("z")  # folded, it stays so at another width
        await until(pilot, lambda: "because" not in shown(app))
        await pilot.resize_terminal(70, 40)
        await pilot.pause()
        assert "1. session" in shown(app) and "because" not in shown(app)
        await pilot.press("z")
        await until(pilot, lambda: shown(app).count("because") == 20)


async def test_how_long_ago_it_died_goes_on_without_news(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graveyard, "AGES_SECONDS", 0.05)
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("g")
        await until(pilot, lambda: isinstance(app.screen, GraveyardScreen))
        assert "9d ago" not in shown(app)
        app.session.clock = lambda: NOW + timedelta(days=9, hours=1)
        await until(pilot, lambda: "9d ago" in shown(app))


async def test_a_ghost_whose_last_words_were_none() -> None:
    [kiko] = [one for one in a_nest_full() if one.name == "kiko"]
    assert kiko.epitaph is not None
    nest = FixedNest([replace(kiko, epitaph=replace(kiko.epitaph, last_words="\x1b[0m\n"))])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("x")
        await until(pilot, lambda: "none any more" in shown(app))
        assert "last words" not in shown(app)
        await pilot.press("g")
        await until(pilot, lambda: "its epitaph" in shown(app))
        assert "last readings" in shown(app) and "last words" not in shown(app)


def test_a_key_means_one_thing_on_each_screen() -> None:
    widgets = (Nest, FeedPanel, FindBar, Shelf, SearchPrompt)
    screens = [screen_of(view) for view in (LOOK, *VIEWS.values())] + [NestScreen]
    for place in (*screens, *widgets):
        meanings: dict[str, set[str]] = {}
        for klass in place.__mro__:
            for binding in klass.__dict__.get("BINDINGS", ()):
                if isinstance(binding, Binding) and binding.id in ACTIONS:
                    for key in binding.key.split(","):
                        meanings.setdefault(key, set()).add(binding.id)
        twice = {key: ids for key, ids in meanings.items() if len(ids) > 1}
        assert {frozenset(ids) for ids in twice.values()} <= MEANT_TWICE, place


async def test_ghosts_are_laid_to_rest() -> None:
    ghosts = [
        replace(one, name=name)
        for one in a_nest_full()
        if one.status == "ghost"
        for name in ("kiko", "nimo", "tobi")
    ]
    nest = FixedNest([pet("moka"), *ghosts])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("g")
        await until(pilot, lambda: app.screen.query_one(OptionList).option_count == 3)
        await pilot.press("r", "y")
        await until(pilot, lambda: app.screen.query_one(OptionList).option_count == 2)
        await pilot.press("R", "y")
        await until(pilot, lambda: "the graveyard is empty" in shown(app))
        assert "lies here until it is released" in shown(app), "one has just died, and is not here"
        assert list(nest.known) == ["moka"]


async def test_events_are_held_still_and_searched() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("v")
        eventful(nest)
        await until(pilot, lambda: "OOM killer struck" in shown(app))
        await pilot.press("slash", *"momo", "enter")
        await until(pilot, lambda: "OOM killer struck" not in shown(app))
        await pilot.press("escape", "space")
        assert isinstance(app.screen, PanelScreen)
        nest.tell_event("asleep", "nori")
        await until(pilot, lambda: app.session.diary[-1].pet == "nori")
        app.tick()
        await pilot.pause()
        assert "PAUSED" in shown(app) and "nori" not in shown(app)
        await pilot.press("space")
        await until(pilot, lambda: "nori" in shown(app))


async def test_what_was_fed_from_here_shows_its_output_among_the_meals() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("x", "f", *"echo", "space", *"tasty", "enter")
        await until(pilot, lambda: "Eaten up" in shown(app))
        await pilot.press("escape", "m")
        await until(pilot, lambda: "the end of what it wrote" in shown(app))
        assert "tasty" in shown(app)


def test_zombies_are_counted_and_explained() -> None:
    xray = fixed_xray("moka")
    blocks = {block.title: block for block in Processes().parts(xray)}
    assert blocks["zombies"].rows == [("of 4711", "1")]
    assert "wait(2)" in blocks["zombies"].about
    assert [row[2] for row in blocks["processes"].rows].count("zombie") == 1
    living = xray._replace(processes=xray.processes[:3])
    assert "zombies" not in {block.title for block in Processes().parts(living)}


def test_a_frozen_process_is_said_to_be_frozen_whatever_its_letter() -> None:
    xray = fixed_xray("moka")
    frozen = xray.cgroup[0]._replace(file="freezer.state", value="FROZEN")
    xray = xray._replace(
        processes=tuple(process._replace(state="D") for process in xray.processes[:2]),
        cgroup=(*xray.cgroup, frozen),
    )
    (processes, *_) = Processes().parts(xray)
    assert [row[2] for row in processes.rows] == ["frozen", "frozen"]
    awake = xray._replace(cgroup=xray.cgroup[:-1])
    assert next(iter(Processes().parts(awake))).rows[0][2] == "uninterruptible"


def test_what_the_kernel_says_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = fixed_xray("moka")._replace(
        interfaces=(Interface("e\x1b[2Jth", 1, 1),),
        mounts=(Mount("/a\x1b]0;t\x07\nb", "tmpfs", "tmpfs", "rw"),),
    )
    keeping._show_xray(hostile)
    printed = capsys.readouterr().out
    assert "\x1b" not in printed and "\x07" not in printed
    assert "eth" in printed and "/a b" in printed
    sight = Sight(pet("moka"), None, (), (), NOW)
    for page in XRAY:
        for block in map(harmless, page.blocks(hostile, sight)):
            cells = [block.title, block.about, *(cell for row in block.rows for cell in row)]
            assert all(cell.isprintable() for cell in cells), page.id


def test_every_kind_of_event_has_words() -> None:
    assert sentence(Event("limit", "moka", NOW, {"limit": "pids", "times": 3})) == (
        "ran into its pids limit 3 times"
    )
    limits = {"memory": 40 << 20, "cpu": None, "pids": 64}
    assert sentence(Event("diet", "moka", NOW, limits)) == (
        "has a new diet: memory 40M, cpu unlimited, pids 64"
    )
