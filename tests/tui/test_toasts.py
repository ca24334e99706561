"""Toasts: told once, together where there are many, and below a question."""

from __future__ import annotations

import pytest
from textual.widgets._toast import Toast  # it is nowhere else

from procchi_tui.screens.release import ReleaseScreen
from tests.tui.conftest import face, seen, told, until
from tests.tui.fixed_nest import FixedNest, pet

SIZE = (120, 40)


async def test_a_hundred_deaths_are_one_toast_and_one_bell(monkeypatch: pytest.MonkeyPatch) -> None:
    nest = FixedNest([pet(f"pet-{number}") for number in range(100)])
    app = face(nest, bell=True)
    rung = []
    monkeypatch.setattr(app, "bell", lambda: rung.append(True))
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        for name in list(nest.known):
            for _ in range(3):
                nest.tell_event("oom", name, kills=1)
            nest.tell_event("died", name, cause="killed by SIGKILL")
        await until(pilot, lambda: len(app.session.diary) == 400)
        # Told at once is what the first piece of news held, and the others together later.
        await until(pilot, lambda: "98 more" in told(app) or "pet-99" in told(app))
        assert len(app._notifications) <= 4 and len(rung) <= 4


async def test_no_toast_covers_a_question() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=(100, 32), notifications=True) as pilot:
        await seen(pilot, nest)
        await pilot.press("s")
        await until(pilot, lambda: "moka is asleep" in told(app))
        app.notify("No pet is called yoshi.", severity="error")
        await pilot.press("r")
        for number in range(9):
            app.notify(f"It is told for the {number}th time.")
        await until(pilot, lambda: len(app.screen.query(Toast)) >= 10)
        drawn = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        assert "This cannot be undone." in drawn and "Release it (y)" in drawn
        await pilot.press("n")
        assert "yoshi" in told(app), "what went wrong is still told after it"


@pytest.mark.parametrize("keys", ["", "g", "x"])
async def test_a_ghost_is_cared_for_in_vain_and_that_is_told(keys: str) -> None:
    nest = FixedNest([pet("kiko", "ghost", status="ghost", pid=None)])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press(*keys)
        for key, why in {
            "f": "it eats no more",
            "F": "it eats no more",
            "t": "it talks no more",
            "s": "it sleeps and wakes no more",
            "d": "it eats no more",
            "K": "it gets no more signals",
        }.items():
            app.clear_notifications()
            await pilot.press(key)
            await until(pilot, lambda: told(app))
            assert told(app) == f"kiko is a ghost: {why}. r releases it."
        assert not nest.asked
        app.clear_notifications()
        await pilot.press("r")
        assert isinstance(app.screen, ReleaseScreen) and not told(app)


async def test_of_ghosts_and_the_living_only_the_living_are_cared_for() -> None:
    dead = [pet(name, "ghost", status="ghost", pid=None) for name in ("kiko", "nimo")]
    nest = FixedNest([*dead, pet("tobi")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("space", "space", "s")
        await until(pilot, lambda: told(app))
        assert told(app) == (
            "kiko and nimo are ghosts: they sleep and wake no more. r releases them."
        )
        app.clear_notifications()
        await pilot.press("a", "s")
        await until(pilot, lambda: "tobi is asleep" in told(app))
        assert "ghost" not in told(app)


async def test_what_is_taken_back_is_told_once() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("s")
        await until(pilot, lambda: "moka is asleep" in told(app))
        app.clear_notifications()
        await pilot.press("u")
        await until(pilot, lambda: "awake again" in told(app))
        assert told(app) == "moka is awake again."
        app.clear_notifications()
        await pilot.press("O", "u")
        assert told(app) == "Taking back: the order."
