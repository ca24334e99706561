"""Finding, ordering, marking, and what is then done to many at once, on fixed readings."""

from __future__ import annotations

from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Label, OptionList, RichLog, Static

from engine import Limits, NotAwake, Readings
from procchi_tui.app import ProcchiApp
from procchi_tui.screens.choice import ChoiceScreen
from procchi_tui.screens.diet import DietScreen
from procchi_tui.screens.hatch import HatchScreen
from procchi_tui.screens.nest import NestScreen
from procchi_tui.widgets.find_bar import FindBar
from procchi_tui.widgets.nest import NOTHING, Nest
from tests.tui.conftest import face, seen, told, until
from tests.tui.fixed_nest import MIB, FixedNest, a_nest_full, pet

SIZE = (120, 40)


def cards(app: ProcchiApp) -> list[str]:
    return app.screen_stack[1].query_one(Nest).names


def chosen(app: ProcchiApp) -> str | None:
    return app.screen_stack[1].query_one(Nest).chosen


def bar(app: ProcchiApp) -> str:
    found = app.screen_stack[1].query_one(FindBar)
    return str(found.query_one("#told", Static).content) if found.display else ""


def line_of_the_nest(app: ProcchiApp, y: int) -> str:
    return app.screen.query_one(Nest).render_line(y).text


async def type_text(pilot: Pilot[None], text: str) -> None:
    names = {" ": "space", ">": "greater_than_sign", "%": "percent_sign", "!": "exclamation_mark"}
    await pilot.press(*(names.get(character, character) for character in text))


async def test_found_while_it_is_typed_kept_with_enter_cleared_with_escape() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        everyone = cards(app)
        await pilot.press("slash")
        await type_text(pilot, "mo")
        await until(pilot, lambda: cards(app) == ["moka", "momo"])
        await type_text(pilot, "mo")
        await until(pilot, lambda: cards(app) == ["momo"])
        assert chosen(app) == "momo"
        assert "1 of 12 pets" in bar(app)
        await pilot.press("enter")
        assert isinstance(app.focused, Nest)
        assert "momo" in bar(app)
        await pilot.press("escape")
        await until(pilot, lambda: cards(app) == everyone)
        assert not bar(app)
        await pilot.press("u")
        await until(pilot, lambda: cards(app) == ["momo"])
        await pilot.press("slash", "escape")
        await until(pilot, lambda: cards(app) == everyone)
        assert isinstance(app.focused, Nest)
        assert not nest.asked


async def test_a_click_on_a_card_keeps_what_was_typed() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        everyone = cards(app)
        await pilot.press("slash")
        await type_text(pilot, "mo")
        await until(pilot, lambda: cards(app) == ["moka", "momo"])
        await pilot.click(Nest, offset=(60, 3))
        await until(pilot, lambda: isinstance(app.focused, Nest) and "/ mo" in bar(app))
        await pilot.press("escape")
        await until(pilot, lambda: cards(app) == everyone)
        assert not bar(app)
        await pilot.press("u")
        await until(pilot, lambda: cards(app) == ["moka", "momo"])


async def test_a_filter_half_typed_says_how_it_goes_on_and_changes_nothing() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("slash")
        await type_text(pilot, "mem>")
        await until(pilot, lambda: "write it like mem>80%" in bar(app))
        await until(pilot, lambda: len(cards(app)) == 12)
        await type_text(pilot, "80%")
        await until(pilot, lambda: cards(app) == ["nori", "umi"])
        await type_text(pilot, " !panic nobody")
        await until(pilot, lambda: not cards(app))
        middle = app.screen.query_one(Nest).size.height // 2
        assert NOTHING in line_of_the_nest(app, middle)
        await pilot.press("enter", "f", "s", "space", "right", "end", "pagedown", "r", "enter")
        assert isinstance(app.screen, NestScreen)
        assert not nest.asked


async def test_what_is_found_follows_the_readings() -> None:
    nest = FixedNest([pet("moka"), pet("momo")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("slash")
        await type_text(pilot, "mem>80%")
        await pilot.press("enter")
        await until(pilot, lambda: not cards(app))
        nest.watches[0].tell_readings(5.0, {"momo": Readings(5.0, 45 * MIB, pids=1)})
        await until(pilot, lambda: cards(app) == ["momo"])
        assert chosen(app) == "momo"


async def test_order_and_groups_and_the_cursor_stays_on_its_pet() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, nest)
        born = cards(app)
        await pilot.press("right", "right", "right")
        assert chosen(app) == "nori"
        await pilot.press("o")
        assert isinstance(app.screen, ChoiceScreen)
        await pilot.press("down", "enter")
        await until(pilot, lambda: cards(app) == sorted(born))
        assert chosen(app) == "nori" and "A to Z" in bar(app)
        await pilot.press("O")
        assert cards(app) == sorted(born, reverse=True)
        assert chosen(app) == "nori" and "Z to A" in bar(app)
        await pilot.press("b")
        assert "by mood" in bar(app)
        await pilot.press("home")
        assert "── panicked · 1 pet ──" in line_of_the_nest(app, 0)
        assert chosen(app) == "umi"
        await pilot.press("b", "b")
        assert cards(app) == sorted(born, reverse=True)
        await pilot.press("u", "u", "u", "u", "u")
        assert cards(app) == born
        assert not bar(app)
        await pilot.press("u")
        assert "nothing to take back" in told(app)


async def test_an_order_by_memory_is_kept_up() -> None:
    nest = FixedNest([pet("moka"), pet("momo"), pet("nori")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("o", "down", "down", "down", "enter")
        await until(pilot, lambda: "most memory first" in bar(app))
        nest.watches[0].tell_readings(5.0, {"nori": Readings(5.0, 45 * MIB, pids=1)})
        await until(pilot, lambda: cards(app) == ["nori", "moka", "momo"])
        assert chosen(app) == "moka"


async def test_marks_are_set_and_taken_back() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)

        def marks() -> set[str]:
            return set(app.session.marks)

        await pilot.press("space", "space")
        assert marks() == {"moka", "momo"}
        assert chosen(app) == "pico"
        assert "✓ 2 marked" in bar(app)
        await pilot.press("slash")
        await type_text(pilot, "mo")
        await pilot.press("enter", "asterisk")
        assert marks() == set()
        await pilot.press("a")
        assert marks() == {"moka", "momo"}
        await pilot.press("escape")
        assert marks() == {"moka", "momo"} and len(cards(app)) == 12
        await pilot.press("asterisk")
        assert len(marks()) == 10
        await pilot.press("escape")
        assert not marks() and not bar(app)
        await pilot.press("u")
        assert len(marks()) == 10
        nest.tell(gone=("pico",))
        await until(pilot, lambda: len(marks()) == 9)
        await pilot.click(Nest, offset=(5, 2), control=True)
        assert "moka" in marks()


async def test_a_mark_is_seen_without_colour() -> None:
    nest = FixedNest([pet("moka"), pet("momo")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("space")
        assert "✓ moka" in line_of_the_nest(app, 0)
        assert "▸ momo" in line_of_the_nest(app, 0)


async def test_the_verbs_are_about_the_marked() -> None:
    nest = FixedNest([pet("moka"), pet("momo"), pet("nori"), pet("pico")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("space", "space", "space")
        await pilot.press("s")
        await until(pilot, lambda: "momo and nori are asleep" in told(app))
        assert nest.asked == [("sleep", name) for name in ("moka", "momo", "nori")]
        await pilot.press("u")
        await until(pilot, lambda: nest.known["nori"].status == "alive")
        assert {known.status for known in nest.known.values()} == {"alive"}

        await pilot.press("r")
        question = " ".join(str(part.content) for part in app.screen.query(Static))
        assert "3 pets?" in question and "moka, momo, nori" in question
        nest.asked.clear()
        await pilot.press("y")
        await until(pilot, lambda: cards(app) == ["pico"])
        assert nest.asked == [("release", name) for name in ("moka", "momo", "nori")]
        assert not app.session.marks


async def test_feeding_many_tells_whose_output_it_is() -> None:
    nest = FixedNest([pet("moka"), pet("momo"), pet("pico", status="asleep")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("a", "f")
        assert "pico asleep" in told(app)
        await type_text(pilot, "echo hi")
        await pilot.press("enter")

        def log() -> list[str]:
            return [line.text.rstrip() for line in app.screen.query_one(RichLog).lines]

        await until(pilot, lambda: len(log()) == 5)
        assert log()[0] == "moka and momo $ echo hi"
        assert {"moka │ hi", "momo │ hi"} <= set(log())
        assert sum("Eaten up" in line for line in log()) == 2
        await type_text(pilot, "sleep 9")
        await pilot.press("enter")
        await until(pilot, lambda: len(log()) == 6)
        await pilot.press("ctrl+c")
        await until(pilot, lambda: sum("Exit status 130" in line for line in log()) == 2)


async def test_one_that_refuses_does_not_hold_up_the_others() -> None:
    nest = FixedNest([pet("moka"), pet("momo")])
    sleep = nest.sleep

    def stubborn(name: str) -> Any:
        if name == "moka":
            raise NotAwake("moka is being released")
        return sleep(name)

    nest.sleep = stubborn  # type: ignore[method-assign]
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("a", "s")
        await until(pilot, lambda: "momo is asleep" in told(app))
        assert "moka is being released" in told(app)


async def test_a_diet_takes_what_the_command_line_takes() -> None:
    nest = FixedNest([pet("moka")])
    diet = Limits("1.5G", 0.5, None, memory_high="1G")
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("d")
        form = app.screen
        assert isinstance(form, DietScreen)
        now = str(form.query_one("#memory-now", Static).content)
        assert now == "12M now, 14M at most"
        form.query_one("#memory", Input).value = "12bogus"
        await pilot.pause()
        await pilot.press("enter", "enter")
        refusal = form.query_one("#refusal", Static)
        await until(pilot, lambda: "not a size" in str(refusal.content))
        form.query_one("#memory", Input).value = "1.5GiB"
        form.query_one("#pids", Input).value = "unlimited"
        form.query_one("#memory_high", Input).value = "1G"
        await pilot.pause()
        form.query_one("#memory").focus()
        await until(pilot, lambda: form.query_one("#memory").has_focus)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: nest.known["moka"].limits == diet)
        changes = {"memory": "1.5GiB", "memory_high": "1G", "pids": "unlimited"}
        assert nest.asked == [("diet", "moka", changes)]
        await until(pilot, lambda: "new diet" in told(app))
        await pilot.press("u")
        await until(pilot, lambda: nest.known["moka"].limits == Limits())
        await pilot.press("d", "enter", "enter")
        assert isinstance(app.screen, NestScreen)
        assert len(nest.asked) == 2, "what was not changed is not set again"


@pytest.mark.parametrize(
    ("cgroup", "labels"),
    [
        ("v2", ["memory (memory.max)", "soft (memory.high)", "swap (memory.swap.max)"]),
        ("v1", ["memory (memory.limit_in_bytes)", "soft", "swap"]),
        ("none", ["memory", "soft", "swap"]),
    ],
)
async def test_a_diet_names_the_files_that_are_there(cgroup: str, labels: list[str]) -> None:
    nest = FixedNest([pet("moka")])
    nest.cgroup = {**nest.cgroup, "kind": cgroup}
    app = face(nest)
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, nest)
        await pilot.press("d")
        shown = [str(label.content) for label in app.screen.query(".limit Label").results(Label)]
        assert shown[:3] == labels
        drawn = "\n".join(strip.text for strip in app.screen._compositor.render_strips())
        assert all(label in drawn for label in labels) and "12M now, 14M at most" in drawn


async def test_a_diet_for_many_leaves_empty_fields_as_they_are() -> None:
    nest = FixedNest([pet("moka", limits=Limits(memory="20M")), pet("momo")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("a", "d")
        form = app.screen
        assert form.query_one("#memory", Input).value == ""
        assert form.query_one("#cpu", Input).value == "0.5"
        form.query_one("#cpu", Input).value = "0.25"
        await pilot.pause()
        await pilot.press("enter", "enter")
        await until(pilot, lambda: len(nest.asked) == 2)
        assert nest.known["moka"].limits == Limits("20M", 0.25, 64)
        assert nest.known["momo"].limits == Limits("50M", 0.25, 64)


async def test_a_signal_is_chosen_from_a_list() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("K")
        choices = app.screen.query_one(OptionList)
        lines = [str(choices.get_option_at_index(i).prompt) for i in range(choices.option_count)]
        assert any("SIGTERM" in line and "asks it to end" in line for line in lines)
        await pilot.press("escape")
        assert not nest.asked
        await pilot.press("K", "down", "enter")
        await until(pilot, lambda: nest.asked == [("signal", "moka", 2)])
        await until(pilot, lambda: "moka got SIGINT" in told(app))
        nest.asked.clear()
        for answer in ("enter", "n", "escape"):
            await pilot.press("K", "end", "enter", answer)
            await until(pilot, lambda: isinstance(app.screen, NestScreen))
        assert not nest.asked, "it is asked first, and no is what Enter means"
        await pilot.press("K", "end", "enter", "y")
        await until(pilot, lambda: nest.asked == [("signal", "moka", 9)])


async def test_a_clone_has_the_same_egg_diet_and_command() -> None:
    diet = Limits("30M", None, 9, memory_high="20M", swap="1G")
    born = pet("moka", egg="debian", limits=diet, command=("sleep", "a b"), read_only=True)
    nest = FixedNest([born])
    nest.store.append("debian")
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("c")
        assert isinstance(app.screen, HatchScreen)
        await pilot.press("enter", "enter")
        await until(pilot, lambda: "moka-2" in nest.known)
        assert nest.asked == [("hatch", "moka-2", "debian", ("sleep", "a b"), diet)]
        assert nest.known["moka-2"].read_only
