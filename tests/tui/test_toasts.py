"""Toasts: told once, together where there are many, and below a question."""

from __future__ import annotations

import pytest
from textual.widgets._toast import Toast  # it is nowhere else

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
