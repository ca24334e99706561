"""Each key's way, on fixed readings."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Button, Input, RichLog, Static

from engine import Limits, PullFailed
from procchi_tui.app import ProcchiApp
from procchi_tui.screens.hatch import HatchScreen
from procchi_tui.screens.help import HelpScreen
from procchi_tui.screens.look import LookScreen
from procchi_tui.screens.nest import NestScreen
from procchi_tui.screens.release import ReleaseScreen
from procchi_tui.table import LONGEST_LINE, Output
from procchi_tui.widgets.banner import Banner
from procchi_tui.widgets.empty_nest import EmptyNest
from procchi_tui.widgets.feed_panel import FeedPanel
from procchi_tui.widgets.host_bar import HostBar
from procchi_tui.widgets.nest import Nest
from procchi_tui.widgets.pulls import Pulls
from tests.tui.conftest import face, seen, told, until
from tests.tui.fixed_nest import FixedNest, a_nest_full, pet

SIZE = (120, 40)


def fed(app: ProcchiApp) -> str:
    return "\n".join(line.text.rstrip() for line in app.screen.query_one(RichLog).lines)


def lines(app: ProcchiApp) -> str:
    """The page in front, as far as it is on the screen, a line each without its margins."""
    assert isinstance(app.screen, LookScreen)
    panel = app.screen.query_one(f"#{app.screen.page.id}")
    strips = app.screen._compositor.render_strips()
    return "\n".join(strip.crop(panel.region.x).text.strip() for strip in strips) + "\n"


def chosen(app: ProcchiApp) -> str | None:
    return app.screen.query_one(Nest).chosen


async def test_an_empty_nest_says_what_to_press() -> None:
    app = face(FixedNest())
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.session.facts.cgroup)
        empty = app.screen.query_one(EmptyNest)
        assert empty.display
        words = empty.render().plain.strip().splitlines()[-2:]
        assert "empty" in words[0] and "n, Enter, Enter" in words[1]


async def test_enter_enter_and_it_lives() -> None:
    nest = FixedNest()
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.session.facts.cgroup)
        await pilot.press("n", "enter", "enter")
        await until(pilot, lambda: "moka" in app.session.nursery.pets)
        assert ("hatch", "moka", "home", (), Limits()) in nest.asked
        await until(pilot, lambda: chosen(app) == "moka")
        assert "moka hatched!" in told(app)
        assert not app.screen.query_one(EmptyNest).display


async def test_keys_that_come_just_when_another_is_done_are_not_lost() -> None:
    nest = FixedNest()
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.session.facts.cgroup)
        app.post_message(Key("n", "n"))
        while not (isinstance(app.screen, HatchScreen) and app.screen.is_mounted):
            await asyncio.sleep(0)
        done, drawn = asyncio.Event(), asyncio.Event()
        app.screen.call_later(done.wait)  # the key is not done before its screen has caught up
        await asyncio.sleep(0.2)
        app.call_later(drawn.wait)  # meanwhile all else waits, as for a slow terminal
        for _ in range(2):
            app.post_message(Key("enter", "\r"))
        done.set()
        await asyncio.sleep(0.2)
        drawn.set()
        await until(pilot, lambda: "moka" in app.session.nursery.pets)


async def test_the_form_takes_a_name_a_diet_and_a_command() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("n")
        form = app.screen
        assert isinstance(form, HatchScreen)
        form.query_one("#name", Input).value = "tama"
        form.query_one("#memory", Input).value = "30M"
        form.query_one("#pids", Input).value = ""
        form.query_one("#command", Input).value = "sleep 'a b'"
        await pilot.pause()
        await pilot.press("enter", "enter")
        await until(pilot, lambda: "tama" in app.session.nursery.pets)
        order = ("hatch", "tama", "home", ("sleep", "a b"), Limits("30M", 0.5, None))
        assert order in nest.asked


async def test_the_form_refuses_in_words_and_stays() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("n")
        for field, wrong, words in (
            ("name", "moka", "lives here already"),
            ("name", "", "needs a name"),
            ("name", "a b", "'a b' cannot be used"),
            ("memory", "12bogus", "not a size"),
            ("cpu", "-1", "cannot be enforced"),
        ):
            form = app.screen
            good = form.query_one(f"#{field}", Input).value
            form.query_one(f"#{field}", Input).value = wrong
            await pilot.pause()
            form.query_one("#hatch", Button).press()
            refusal = form.query_one("#refusal", Static)
            await until(pilot, lambda: words in str(refusal.content))  # noqa: B023
            form.query_one(f"#{field}", Input).value = "tama" if field == "name" else good
        await pilot.press("escape")
        assert isinstance(app.screen, NestScreen)
        assert not nest.asked


async def test_feeding_shows_the_output_and_remembers_the_command() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await feed(pilot, "echo hi")
        await until(pilot, lambda: "exit status 0" in fed(app))
        assert "moka $ echo hi\nhi\nEaten up" in fed(app)
        assert ("open_meal", "moka", ("sh", "-c", "echo hi")) in nest.asked
        await type_line(pilot, "exit 7")
        await until(pilot, lambda: "Exit status 7" in fed(app))
        await pilot.press("up", "up")
        assert app.screen.query_one(FeedPanel).query_one(Input).value == "echo hi"
        await pilot.press("escape")
        assert not app.screen.query_one(FeedPanel).display
        assert isinstance(app.focused, Nest)
    again = face(nest)
    async with again.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("f", "up")
        assert again.screen.query_one(FeedPanel).query_one(Input).value == "exit 7"


async def test_a_meal_can_be_stopped_and_what_was_to_come_with_it() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await feed(pilot, "sleep 1000")
        await until(pilot, lambda: "sleep" in fed(app))
        await type_line(pilot, "echo next")
        await until(pilot, lambda: "still eating: this comes next" in fed(app))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: "once more kills" in fed(app))
        await until(pilot, lambda: "Exit status 130" in fed(app))
        await type_line(pilot, "echo after")
        await until(pilot, lambda: "exit status 0" in fed(app))
        assert [what[2][2] for what in nest.asked] == ["sleep 1000", "echo after"]


async def test_whoever_changes_the_directory_is_told_of_the_shell() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await feed(pilot, "cd /tmp && ls")
        await until(pilot, lambda: "exit status 0" in fed(app))
        assert "A shell is Esc, then t" not in fed(app)
        await type_line(pilot, "cd /tmp")
        await until(pilot, lambda: "A shell is Esc, then t" in fed(app))


async def test_a_line_typed_too_early_is_the_next_meal() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await feed(pilot, "sleep 1000")
        await until(pilot, lambda: nest.meals_begun)
        await type_line(pilot, "echo next")
        await until(pilot, lambda: "comes next" in fed(app))
        nest.meals_begun[0].signal(15)
        await until(pilot, lambda: "\nExit status 143 (12 ms)\nnext\nEaten up" in fed(app))


async def test_a_meal_goes_on_whichever_screen_is_looked_at() -> None:
    nest = FixedNest([pet("moka"), pet("momo")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("x")
        await feed(pilot, "sleep 1000")
        await until(pilot, lambda: nest.meals_begun)
        await pilot.press("escape", "escape")
        assert isinstance(app.screen, NestScreen)
        await pilot.press("right")
        await feed(pilot, "echo meanwhile")
        await until(pilot, lambda: "meanwhile\nEaten up" in fed(app))
        nest.meals_begun[0].write("half a li")
        table = app.screen.query_one(FeedPanel)
        unfinished = table.query_one("#unfinished", Static)
        await until(pilot, lambda: str(unfinished.content) == "moka │ half a li")
        nest.meals_begun[0].write("\rne of progress\rall of it")
        await until(pilot, lambda: str(unfinished.content) == "moka │ all of it")
        await pilot.press("escape", "left", "f", "ctrl+c")
        await until(pilot, lambda: "\nall of it\n" in fed(app) and "Exit status 130" in fed(app))
        assert not unfinished.display


def test_what_a_meal_writes_comes_in_lines_of_some_length() -> None:
    output = Output()
    assert output.take("a\r\nb") == ["a"]
    assert output.take("c\rdd\r") == []
    assert output.rest == "dd\r"
    assert output.take("e\n\n") == ["e", ""]
    pieces = [piece for _ in range(100) for piece in output.take("x" * 1000)]
    assert all(len(piece) == LONGEST_LINE for piece in pieces)
    assert sum(map(len, pieces)) + len(output.rest) == 100_000
    assert len(output.rest) <= LONGEST_LINE


async def test_what_a_meal_writes_cannot_steer_the_terminal() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        app.screen.query_one(FeedPanel).serve(["moka"])
        prompt = app.screen.query_one(FeedPanel).query_one(Input)
        prompt.value = "echo \x1b[2J\x1b]0;stolen\x07[bold]shown[/bold]"
        await pilot.press("enter")
        await until(pilot, lambda: "exit status 0" in fed(app))
        assert fed(app).splitlines()[1] == "[bold]shown[/bold]"


async def test_sleep_and_wake_take_turns() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("s")
        await until(pilot, lambda: app.session.nursery.pets["moka"].status == "asleep")
        await pilot.press("f")
        assert not app.screen.query_one(FeedPanel).display
        assert "moka is asleep" in told(app)
        await pilot.press("s")
        await until(pilot, lambda: app.session.nursery.pets["moka"].status == "alive")
        assert nest.asked == [("sleep", "moka"), ("wake", "moka")]


async def test_release_is_asked_first() -> None:
    nest = FixedNest([pet("moka"), pet("momo")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        for no in ("n", "escape", "enter"):
            await pilot.press("r")
            assert isinstance(app.screen, ReleaseScreen)
            await pilot.press(no)
            await until(pilot, lambda: isinstance(app.screen, NestScreen))
        assert not nest.asked
        await pilot.press("r", "y")
        await until(pilot, lambda: list(app.session.nursery.pets) == ["momo"])
        assert nest.asked == [("release", "moka")]
        assert chosen(app) == "momo"


async def test_pulling_shows_progress_and_can_be_cancelled() -> None:
    nest = FixedNest([pet("moka")])
    nest.pull_goes_on.clear()
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("p", *"/tmp/x", "enter", "enter")
        pulls = app.screen.query_one(Pulls)
        await until(pilot, lambda: pulls.display and "40%" in pulls.render().plain)
        assert "downloading" in pulls.render().plain
        await pilot.press("ctrl+x")
        await until(pilot, lambda: "cancelling" in pulls.render().plain)
        nest.pull_goes_on.set()
        await until(pilot, lambda: not pulls.display)
        await until(pilot, lambda: "was cancelled" in told(app))
        assert nest.store == ["home"]


async def test_the_form_of_a_pull_refuses_in_words_and_keeps_what_was_typed() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("p", *"debian:12", "tab", *"a b", "enter", "enter")
        refusal = app.screen.query_one("#refusal", Static)
        await until(pilot, lambda: "egg name 'a b' cannot be used" in str(refusal.content))
        await pilot.press("shift+tab", *"bookworm", "enter", "enter")
        await until(pilot, lambda: ("pull", "debian:12", "bookworm") in nest.asked)


async def test_hatching_pulls_the_egg_first() -> None:
    nest = FixedNest()
    nest.store.clear()
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await until(pilot, lambda: app.session.facts.cgroup)
        await pilot.press("n", "enter", "enter")
        await until(pilot, lambda: "moka" in app.session.nursery.pets)
        assert [what[0] for what in nest.asked] == ["pull", "hatch"]


async def test_errors_are_told_in_plain_words() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        nest.trouble = PullFailed("https://x/y.tar: [404] not found there")
        await pilot.press("p", "enter", "enter")
        await until(pilot, lambda: "[404] not found there" in told(app))
        nest.trouble = RuntimeError("a bug")
        await pilot.press("s")
        await until(pilot, lambda: "something unexpected" in told(app))
        nest.trouble = PullFailed("the pet is not hungry")
        await feed(pilot, "ps")
        await until(pilot, lambda: "the pet is not hungry" in fed(app))
        assert app.is_running


async def test_looking_closely() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("right", "enter")
        await until(pilot, lambda: isinstance(app.screen, LookScreen))
        await pilot.press("3")
        await until(pilot, lambda: "clone3(CLONE_NEWUSER" in lines(app))
        assert "812 µs" in lines(app)
        await pilot.press("right")
        await until(pilot, lambda: app.screen.query_one("#log").display)
        await feed(pilot, "echo hi")
        await until(pilot, lambda: "Eaten up" in fed(app))
        await pilot.press("escape")
        assert isinstance(app.screen, LookScreen)
        await pilot.press("question_mark")
        nest.tell(gone=("momo",))
        await until(pilot, lambda: "momo" not in app.session.nursery.pets)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, NestScreen))


async def test_the_log_is_shown_made_harmless(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"x" * 60_000 + b"\n\x1b[31mlast words\x1b[0m\xff\n")
    nest = FixedNest([pet("moka")], log=log)
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("enter")
        await pilot.press("4")
        page = app.screen.query_one("#log")
        await until(pilot, lambda: "\nlast words\ufffd\n" in lines(app))
        assert page.display and "\x1b" not in lines(app) and "xxx" not in lines(app)


async def test_help_knows_where_it_was_asked() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)

        async def help_text() -> str:
            await until(pilot, lambda: isinstance(app.screen, HelpScreen))
            shown = "\n".join(str(part.content) for part in app.screen.query(Static))
            await pilot.press("escape")
            await until(pilot, lambda: not isinstance(app.screen, HelpScreen))
            return shown

        await pilot.press("question_mark")
        nest_help = await help_text()
        assert "To the card above" in nest_help and "root filesystem" in nest_help
        assert "ctrl+p  All that" in nest_help and "ctrl+q  Quit from" in nest_help
        await pilot.press("f", "f1")
        assert "ctrl+c does" in await help_text()
        await pilot.press("escape", "n", "f1")
        assert "A pet needs a name" in await help_text()
        await pilot.press("escape", "enter", "question_mark")
        assert "One pet up close" in await help_text()


async def test_the_cursor_goes_where_it_is_sent() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, nest)
        names = list(app.session.nursery.pets)
        for key, place in (
            ("right", 1),
            ("down", 3),
            ("h", 2),
            ("k", 0),
            ("up", 0),
            ("tab", 1),
            ("shift+tab", 0),
            ("shift+tab", 11),
            ("home", 0),
            ("G", 11),
            ("pageup", 5),
            ("j", 7),
            ("l", 8),
        ):
            await pilot.press(key)
            assert chosen(app) == names[place], key
        nest_view = app.screen.query_one(Nest)
        assert nest_view.scroll_offset.y > 0
        await pilot.press("home")
        await pilot.click(Nest, offset=(45, 9))
        assert chosen(app) == names[3]
        await pilot.click(Nest, offset=(45, 9), times=2)
        await until(pilot, lambda: isinstance(app.screen, LookScreen))


async def test_what_is_not_enforced_is_said_in_a_banner() -> None:
    nest = FixedNest([pet("moka", enforced=("memory",))])
    nest.cgroup = {"kind": "v1", "enforced": ["memory"], "why": "no cpu controller [here]"}
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        banner = app.screen.query_one(Banner)
        assert banner.display
        assert "cpu, pids are not enforced here (no cpu controller [here])" in str(banner.content)
        assert "v1" in app.screen.query_one(HostBar).render().plain


async def test_a_lost_nest_is_said_and_found_again() -> None:
    nest = FixedNest([pet("moka"), pet("momo")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        nest.known.pop("momo")
        nest.stop()
        await until(pilot, lambda: app.screen.query_one(Banner).display)
        await until(pilot, lambda: list(app.session.nursery.pets) == ["moka"])
        await until(pilot, lambda: not app.screen.query_one(Banner).display)


async def test_a_death_is_noticed_without_looking() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        nest.tell_event("died", "moka", cause="killed by SIGKILL: out of memory")
        await until(pilot, lambda: "died: killed by SIGKILL" in told(app))


async def test_a_pet_whose_release_failed_is_mourned() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        nest.trouble = PullFailed("the nest is busy")
        await pilot.press("r", "y")
        await until(pilot, lambda: "the nest is busy" in told(app))
        nest.tell_event("died", "moka", cause="killed by SIGKILL")
        await until(pilot, lambda: "died: killed by SIGKILL" in told(app))


async def test_a_namesake_of_one_that_was_released_is_mourned() -> None:
    """Also where nobody heard of the release: the line was cut over it."""
    nest = FixedNest([pet("moka"), pet("pico")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("r", "y")
        await until(pilot, lambda: "moka" not in app.session.nursery.pets)
        nest.stop()
        await until(pilot, lambda: len(nest.watches) == 2)
        nest.known["moka"] = pet("moka")
        nest.tell(pet("moka"))
        await until(pilot, lambda: "moka" in app.session.nursery.pets)
        nest.tell_event("died", "moka", cause="killed by SIGKILL")
        await until(pilot, lambda: "died: killed by SIGKILL" in told(app))


async def test_the_palette_has_each_verb_once() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        titles = [command.title for command in app.get_system_commands(app.screen)]
        assert "Look" in titles and len(set(titles)) == len(titles)


async def test_a_nest_that_falls_silent_is_said_and_heard_again() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        banner = app.screen.query_one(Banner)
        nest.watches[0].wedged.set()
        for _ in range(app._silent_too_long + 1):
            app.tick()
        await until(pilot, lambda: "what you see is old" in str(banner.content))
        assert "kill -CONT 4000" in str(banner.content)
        nest.watches[0].wedged.clear()
        await until(pilot, lambda: not banner.display)


@pytest.mark.parametrize("keys", ["n", "d", "r", "K", "o", "p", "F"])
async def test_a_dialogue_is_whole_on_a_short_terminal(keys: str) -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=(40, 8)) as pilot:
        await seen(pilot, nest)
        await pilot.press(keys)
        for widget in app.screen.focus_chain:
            app.screen.set_focus(widget)
            await pilot.pause()
            region = app.screen.find_widget(widget).visible_region
            assert region.height and region.width, widget


async def test_it_draws_in_any_size() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=(80, 24)) as pilot:
        await seen(pilot, nest)
        for width, height in ((20, 5), (1, 1), (250, 70), (39, 12), (80, 24)):
            await pilot.resize_terminal(width, height)
            for keys, place in (("right", NestScreen), ("enter", LookScreen)):
                await pilot.press(keys)
                app.tick()
                await pilot.pause()
                assert isinstance(app.screen, place)
                strips = app.screen._compositor.render_strips()
                assert [strip.cell_length for strip in strips[:height]] == [width] * height
            await pilot.press("escape", "f", "escape")
            assert isinstance(app.screen, NestScreen)
            assert chosen(app) in app.screen.query_one(Nest).names


async def test_sprites_move_only_while_somebody_looks() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    app.animation_level = "full"
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        view = app.screen.query_one(Nest)
        before = view._pulse
        app.tick()
        app.tick()
        assert view._pulse > before
        await pilot.press("n")
        before = view._pulse
        app.tick()
        app.tick()
        assert view._pulse == before


async def test_quitting_ends_nothing() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("q")
        await pilot.pause()
    assert app.return_code == 0
    assert not nest.asked


async def feed(pilot: Pilot[None], line: str) -> None:
    await pilot.press("f")
    await type_line(pilot, line)


async def type_line(pilot: Pilot[None], line: str) -> None:
    await pilot.press(*("space" if key == " " else key for key in line), "enter")
