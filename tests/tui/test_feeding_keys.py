"""The prompt: completion, search, snacks, on fixed readings."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual.widgets import Input, OptionList, RichLog

from engine import Limits, Meal
from procchi_tui.app import ProcchiApp
from procchi_tui.screens.choice import ChoiceScreen
from procchi_tui.snacks import refusal, snacks
from procchi_tui.table import _ending
from procchi_tui.widgets.feed_panel import FeedPanel
from tests.tui.conftest import face, seen, until
from tests.tui.fixed_nest import FixedNest, pet

SIZE = (120, 40)


def prompt(app: ProcchiApp) -> Input:
    return app.screen_stack[1].query_one(FeedPanel).query_one(Input)


def log(app: ProcchiApp) -> str:
    return "\n".join(line.text.rstrip() for line in app.screen.query_one(RichLog).lines)


async def test_tab_completes_what_the_pet_has() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("f", "c", "tab")  # before it is known what there is
        await until(pilot, lambda: prompt(app).value == "cat ")
        await pilot.press("ctrl+u", *"pri", "tab")
        assert prompt(app).value == "print"
        await pilot.press("tab")
        assert "printenv  printf" in log(app)
        assert isinstance(app.focused, Input)


async def test_what_was_fed_before_is_searched_and_suggested() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        for line in ("echo one", "echo two", "ps"):
            app.session.feed_history.add(line)
        await pilot.press("f", *"echo", "ctrl+r")
        assert prompt(app).value == "echo two"
        await pilot.press("ctrl+r")
        assert prompt(app).value == "echo one"
        await pilot.press("ctrl+u", *"ech")
        await until(pilot, lambda: prompt(app)._suggestion == "echo two")
        await pilot.press("right")
        assert prompt(app).value == "echo two"


async def test_a_snack_is_seen_before_it_is_fed(tmp_path: Path) -> None:
    nest = FixedNest([pet("moka"), pet("momo", enforced=("memory", "cpu"))])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("F")
        assert isinstance(app.screen, ChoiceScreen)
        choices = app.screen.query_one(OptionList)
        lines = [str(choices.get_option_at_index(i).prompt) for i in range(choices.option_count)]
        assert any("fork-bomb" in line and "pids.max" in line for line in lines)
        await pilot.press("down", "enter")
        await until(pilot, lambda: "bomb" in prompt(app).value)
        assert not nest.asked, "nothing is fed before Enter"
        await pilot.press("enter")
        await until(pilot, lambda: nest.asked)
        assert nest.asked[0][:2] == ("open_meal", "moka") and "bomb &" in nest.asked[0][2][2]
        await pilot.press("ctrl+t")
        assert isinstance(app.screen, ChoiceScreen)
        await pilot.press("escape", "escape")
        nest.asked.clear()

        await pilot.press("right", "F", "down", "enter")
        await pilot.pause()
        notes = " | ".join(note.message for note in app._notifications)
        assert "no pids limit holds for momo" in notes
        assert not app.screen.query_one(FeedPanel).display and not nest.asked


async def test_what_was_written_at_another_width_leaves_no_scrollbar() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("f", *"echo", "space", *"x" * 90, "enter")
        await until(pilot, lambda: "Eaten up" in log(app))
        await pilot.resize_terminal(60, 20)
        await pilot.pause()
        assert not app.screen.query_one(RichLog).show_horizontal_scrollbar


@pytest.mark.parametrize(
    ("cgroup", "shows"),
    [
        ("v2", "memory.max: the OOM killer strikes"),
        ("v1", "memory.limit_in_bytes: the OOM killer strikes"),
        ("none", "the memory limit: the OOM killer strikes"),
    ],
)
def test_a_snack_names_the_file_that_is_there(cgroup: str, shows: str) -> None:
    assert snacks({}, cgroup)[0].shows == shows


def test_ones_own_snacks_come_first_and_take_the_place_of_ours() -> None:
    own = {"tea": "sleep 1", "zombie": "true"}
    offered = snacks(own)
    assert [snack.name for snack in offered[:2]] == ["tea", "zombie"]
    assert [snack.line for snack in offered if snack.name == "zombie"] == ["true"]


@pytest.mark.parametrize("name", ["memory-hog", "fork-bomb"])
def test_what_would_harm_the_host_is_refused_without_its_limit(name: str) -> None:
    [snack] = [snack for snack in snacks({}) if snack.name == name]
    assert not refusal(snack, [pet("moka")])
    assert "moka" in refusal(snack, [pet("moka", enforced=())])
    assert "moka" in refusal(snack, [pet("moka", limits=Limits(None, None, None))])


def test_what_holds_in_place_of_a_limit_is_told_and_is_enough_for_forks() -> None:
    hog, bomb = [snack for snack in snacks({}) if snack.name in {"memory-hog", "fork-bomb"}]
    in_place = {"memory": "each process has 200M", "pids": "each of its users has 64 tasks"}
    loose = pet("moka", enforced=(), in_place=in_place)
    assert not refusal(bomb, [loose]), "a bomb is one user's"
    assert refusal(hog, [loose]) == (
        "memory-hog: no memory limit holds for moka, only this: each process has 200M. The host "
        "itself would suffer."
    )
    assert "only this" not in refusal(hog, [loose, pet("momo", enforced=())])


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (137, "Killed: it ate more memory than its limit allows (3.0 s)"),
        (0, "Exit status 0 (3.0 s); the OOM killer struck meanwhile"),
        (1, "Exit status 1 (3.0 s); the OOM killer struck meanwhile"),
    ],
)
def test_killed_is_who_was_killed_and_not_who_ate_beside_it(code: int, said: str) -> None:
    """The OOM killer's counter is the group's, and two meals may be under way in it."""
    meal = Meal(("sleep", "3"), code, 3.0, oom_killed=True)
    assert _ending(meal) == (said, "bad")
