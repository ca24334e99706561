"""Short animations: shown where somebody looks, and never for longer than they last."""

from __future__ import annotations

from typing import get_args

import pytest
from rich.style import Style

import assets
from engine import Event
from procchi_tui.drawing import pictures
from procchi_tui.drawing.describe import look
from procchi_tui.drawing.pictures import Tier
from procchi_tui.moments import SCRIPTS, Moments
from procchi_tui.widgets.nest import Nest
from tests.tui.conftest import face, seen, until
from tests.tui.fixed_nest import NOW, FixedNest, pet


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_moment_moves_and_passes(kind: str) -> None:
    moments = Moments()
    moments.notice([Event(kind, "moka", NOW)], 100)
    script = SCRIPTS[kind]
    steps = [moments.step("moka", 100 + pulse) for pulse in range(len(script))]
    assert tuple(filter(None, steps)) == script
    assert moments.step("moka", 100 + len(script)) is None
    assert moments.step("moka", 100) is None, "it does not come again"
    for tier in get_args(Tier):
        drawn = {
            pictures.draw(look(pet("moka"), 0, step), tier, Style(), Style()) for step in script
        }
        assert len(drawn) > 1


@pytest.mark.parametrize("art", ["sprites.toml", "faces.toml"])
def test_every_art_has_every_mood_of_a_moment(art: str) -> None:
    known = assets.table(art)["moods"]
    assert {step.mood for script in SCRIPTS.values() for step in script} <= known.keys()


async def test_an_oom_kill_is_seen_on_the_card_for_a_moment() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    app.animation_level = "full"
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, nest)
        view = app.screen.query_one(Nest)
        await pilot.press("n")  # nothing moves under a dialogue: it waits
        nest.tell_event("oom", "moka")
        await until(pilot, lambda: view._moments._begun)
        pulse = view._pulse
        for _ in range(20):
            app.tick()
        assert view._pulse == pulse
        await pilot.press("escape")
        shown = set()
        for _ in range(len(SCRIPTS["oom"]) + 4):
            app.tick()
            shown.add(view.render_line(1).text[:16])
        assert any("*" in line for line in shown)
        assert not view._moments._begun
        assert "*" not in view.render_line(1).text


async def test_where_nothing_is_to_move_no_moment_begins() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, nest)
        nest.tell_event("oom", "moka")
        await until(pilot, lambda: app.session.diary)
        assert not app.screen.query_one(Nest)._moments._begun
