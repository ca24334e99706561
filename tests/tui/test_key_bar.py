"""The footer: help and quit are seen however narrow the terminal is."""

from __future__ import annotations

import pytest
from textual.pilot import Pilot

from procchi_tui.app import ProcchiApp
from procchi_tui.facts import Pulling
from procchi_tui.screens.look import LookScreen
from tests.tui.conftest import face, seen, until
from tests.tui.fixed_nest import FixedNest, a_nest_full, pet

SIZE = (80, 24)
EVERY_KEY = (
    "n Hatch f Feed t Talk s Sleep d Diet r Release esc Back / Search z Fold o Record C Compare "
    "? Help q Quit"
)
"""Of the care log."""


def footer(app: ProcchiApp) -> str:
    """Its text, as far as it is on the screen."""
    return app.screen._compositor.render_strips()[app.size.height - 1].text.rstrip()


async def pull(pilot: Pilot[None]) -> None:
    """Let an egg be on its way."""
    app = pilot.app
    assert isinstance(app, ProcchiApp)
    app.session.pulls[1] = Pulling("debian")
    app.read_gauges()
    await pilot.pause()
    await pilot.pause()


async def test_a_narrow_footer_keeps_what_only_this_view_has() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("x", "3")
        screen = app.screen
        assert isinstance(screen, LookScreen)
        await until(pilot, lambda: screen.page in screen._seen)
        own = "esc Back / Search z Fold o Record C Compare ? Help q Quit"
        assert footer(app) == f"f Feed r Release {own}"
        await pull(pilot)
        assert footer(app) == f"f Feed ^x Cancel pull {own}"
        await pilot.press("1")
        await until(pilot, lambda: "Fold" not in footer(app))
        assert "^x Cancel pull" in footer(app) and footer(app).endswith("? Help q Quit")


async def test_a_narrow_footer_leaves_out_what_does_nothing_here() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest, read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        assert "d Diet r Release" in footer(app)
        await pull(pilot)
        assert footer(app).endswith("d Diet ⏎ Look ^x Cancel pull / Find ? Help q Quit")
        await pilot.press("g")
        await until(pilot, lambda: "Back" in footer(app))
        assert footer(app).endswith("⏎ Look ^x Cancel pull esc Back ? Help q Quit")


@pytest.mark.parametrize("art", ["auto", "ascii"])
async def test_help_and_quit_are_seen_at_any_width(art: str) -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest, art=art)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pull(pilot)
        for width in (120, 100, 79, 60, 40, 20):
            await pilot.resize_terminal(width, 24)
            await until(pilot, lambda: footer(app).endswith("? Help q Quit"))


async def test_the_keys_come_back_with_the_room() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("x", "3")
        width = len(EVERY_KEY)
        for columns, complete in ((width, True), (width - 1, False), (width, True)):
            await pilot.resize_terminal(columns, 24)
            await until(pilot, lambda as_it=complete: (footer(app) == EVERY_KEY) == as_it)  # type: ignore[misc]
            assert footer(app).endswith("C Compare ? Help q Quit")


async def test_a_letter_is_no_key_to_who_types() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=(120, 40)) as pilot:
        await seen(pilot, nest)
        for before, word in (("", "Find"), ("enter", "Search"), ("e", "Find")):
            await pilot.press(*filter(None, [before]))
            await until(pilot, lambda word=word: f"/ {word}" in footer(app))  # type: ignore[misc]
            await pilot.press("slash")
            await until(pilot, lambda: "f1 Help" in footer(app))
            assert "/" not in footer(app)
            await pilot.press("escape")
        await pilot.press("escape", "f")
        await until(pilot, lambda: "Stop meal" in footer(app))
        assert "/" not in footer(app)
