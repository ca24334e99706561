"""The first steps, on fixed readings; test_real_nest.py takes them for real."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from engine import Pet
from procchi_tui.app import ProcchiApp
from procchi_tui.tour import Tour, steps
from procchi_tui.widgets.tour_card import TourCard
from tests.tui.conftest import face, until
from tests.tui.fixed_nest import FixedNest, pet
from tests.tui.test_snapshots import LOOKS, SIZES, strange, wearing

SIZE = (100, 32)


@pytest.fixture(autouse=True)
def _never_toured(_the_same_everywhere: None, tmp_path: Path) -> None:
    (tmp_path / "home" / "face" / "remembered.json").unlink()


def card(app: ProcchiApp) -> str:
    shown = app.screen.query_one(TourCard)
    return f"{shown.border_title}\n{shown.render()}" if shown.display else ""


async def begun(pilot: Pilot[None], app: ProcchiApp) -> None:
    await until(pilot, lambda: app.session.facts.cgroup and app.session.tour)


@pytest.mark.parametrize("memory_enforced", [True, False])
def test_there_are_four_steps_and_only_what_was_done_moves_on(memory_enforced: bool) -> None:
    todo = steps(memory_enforced=memory_enforced)
    assert len(todo) == 4
    tour, moka = Tour(todo), pet("moka")
    for number, step in enumerate(todo, 1):
        assert tour.heading == f"First steps, {number} of 4: {step.title}"
        for kind in ("mood", "fed", "died", "awake"):
            assert not tour.notice(kind, moka)
        assert tour.notice(step.over, moka)
        assert tour.learned == step.learned(moka)
    assert tour.step is None
    assert not tour.notice("hatched", moka)


async def test_who_opens_an_empty_nest_for_the_first_time_is_led() -> None:
    nest = FixedNest()
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await begun(pilot, app)
        assert "1 of 4: Hatch a pet" in card(app)
        assert not isinstance(app.focused, TourCard)
        await pilot.press("n", "enter", "enter")
        await until(pilot, lambda: "2 of 4" in card(app))
        assert f"moka is process {nest.known['moka'].pid} on this machine" in card(app)
        await pilot.press("f", *"echo", "space", *"hi", "enter")
        nest.tell_event("meal-over", "moka", command=["echo", "hi"], exit_code=0)
        await until(pilot, lambda: "3 of 4: Feed it too much" in card(app))
        nest.tell_event("oom", "moka")
        await until(pilot, lambda: "4 of 4: Look at it" in card(app))
        await pilot.press("escape", "enter")
        await until(pilot, lambda: "First steps: done" in card(app))
        assert app.remembered.get("tour") == "done"


async def test_a_birth_counts_although_its_event_comes_before_the_pet() -> None:
    nest = FixedNest()
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await begun(pilot, app)
        nest.tell_event("hatched", "moka", egg="home")
        await until(pilot, lambda: len(app.session.diary) == 1)
        assert "1 of 4" in card(app)
        nest.tell(pet("moka"))
        await until(pilot, lambda: "2 of 4" in card(app))


async def test_it_can_be_ended_and_asked_for_again() -> None:
    app = face(FixedNest())
    async with app.run_test(size=SIZE) as pilot:
        await begun(pilot, app)
        await pilot.press("f2")
        assert card(app) == ""
    app = face(FixedNest())
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.session.facts.cgroup and app.session.facts.counts)
        assert card(app) == ""
        await pilot.press("f2")
        assert "1 of 4" in card(app)


@pytest.mark.parametrize(("pets", "read_only"), [([pet("moka")], False), ([], True)])
async def test_nobody_is_led_who_need_not_or_may_not_be(pets: list[Pet], read_only: bool) -> None:
    app = face(FixedNest(pets), read_only=read_only)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.session.facts.cgroup and app.session.facts.counts)
        assert card(app) == ""


async def test_without_memory_limits_it_sleeps_instead() -> None:
    nest = FixedNest()
    nest.cgroup["enforced"] = []
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await begun(pilot, app)
        assert app.session.tour is not None
        kinds = [step.over for step in app.session.tour._steps]
        assert kinds == ["hatched", "meal-over", "asleep", "looked"]


async def second_step(pilot: Pilot[None]) -> None:
    app = pilot.app
    assert isinstance(app, ProcchiApp)
    await pilot.press("n", "enter", "enter")
    await until(pilot, lambda: "2 of 4" in card(app))


@pytest.mark.parametrize("look", LOOKS)
async def test_the_card(snapshot: Any, look: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = face(FixedNest(), **wearing(look, monkeypatch))
    async with app.run_test(size=SIZES[0]) as pilot:
        await begun(pilot, app)
        assert not await strange(pilot, (second_step,), snapshot)
