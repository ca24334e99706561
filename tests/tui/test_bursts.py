"""Keys that come faster than screens: each has its effect, in the order of typing."""

from __future__ import annotations

from textual import events
from textual.widgets import Input

from procchi_tui.app import ProcchiApp
from procchi_tui.screens.events import EventsScreen
from procchi_tui.screens.graveyard import GraveyardScreen
from procchi_tui.screens.look import LookScreen
from procchi_tui.screens.nest import NestScreen
from procchi_tui.screens.shop import SearchPrompt
from procchi_tui.screens.talk import TalkScreen
from procchi_tui.widgets.nest import Nest
from tests.tui.conftest import face, seen, until
from tests.tui.fixed_nest import FixedNest, a_nest_full, pet
from tests.tui.test_views import shown

SIZE = (120, 40)


def burst(app: ProcchiApp, *keys: str) -> None:
    """Have all of them in the queue before anybody looks at the first."""
    for key in keys:
        character = key if len(key) == 1 else {"space": " ", "slash": "/"}.get(key)
        app.post_message(events.Key(key, character).set_sender(app))


async def test_keys_wait_for_the_screen_that_the_one_before_called_for() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        burst(app, "right", "x", "7")
        await until(pilot, lambda: "overlay" in shown(app))
        burst(app, "escape", "v", "space")
        await until(pilot, lambda: isinstance(app.screen, EventsScreen) and "PAUSED" in shown(app))
        burst(app, "escape", "g", "enter")
        await until(pilot, lambda: isinstance(app.screen, LookScreen))
        assert isinstance(app.screen, LookScreen)
        ghost = app.screen.pet()
        assert ghost is not None and ghost.name == "kiko"
        burst(app, "escape", "escape", "e", "slash", *"deb")
        await until(pilot, lambda: [it.value for it in app.screen.query(SearchPrompt)] == ["deb"])
        burst(app, "escape", "escape", "i", "slash", *"kernel", "enter")
        await until(pilot, lambda: [it.value for it in app.screen.query(Input)][:1] == ["kernel"])


async def test_a_form_that_was_filled_in_before_it_was_seen() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        burst(app, "n", "ctrl+u", *"tama", "enter", "enter", "d", *"40M", "enter", "enter")
        await until(pilot, lambda: [what[0] for what in nest.asked] == ["hatch", "diet"])
        assert nest.asked[0][1] == "tama"
        burst(app, "p", "ctrl+u", *"debian", "enter", "enter", "r", "y")
        await until(pilot, lambda: [what[0] for what in nest.asked][2:] == ["pull", "release"])
        assert nest.asked[2] == ("pull", "debian", None)
        assert isinstance(app.screen, NestScreen)


async def test_who_answers_twice_answers_once() -> None:
    nest = FixedNest([pet("moka"), pet("momo")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        for keys in (("o", "enter"), ("n", "enter"), ("r", "n"), ("d", "escape"), ("x", "escape")):
            await pilot.press(keys[0])
            top = app.screen
            assert not isinstance(top, NestScreen)
            for _ in range(2):  # as two messages do that are in the queue already
                getattr(top, "action_cancel", getattr(top, "action_back", lambda: None))()
            await until(pilot, lambda top=top: app.screen is not top)  # type: ignore[misc]
            assert isinstance(app.screen, NestScreen)
            assert len(app.screen_stack) == 2
        await pilot.press("t")
        await until(pilot, lambda: isinstance(app.screen, TalkScreen))
        talk = app.screen
        assert isinstance(talk, TalkScreen)
        talk.action_hang_up()
        talk.action_hang_up()
        await until(pilot, lambda: isinstance(app.screen, NestScreen))


async def test_a_pet_that_the_filter_hides_is_not_taken_in_hand() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("slash", *"ghost", "enter", "n", "enter", "enter")
        await until(pilot, lambda: len(app.session.nursery.pets) == 13)
        view = app.screen.query_one(Nest)
        for key in ("right", "down", "tab", "home", "pagedown", "space"):
            await pilot.press(key)
            assert view.chosen == "kiko"
        await pilot.press("escape")
        assert view.chosen in view.names


async def test_views_do_not_pile_up() -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("x")
        for _ in range(2):
            await pilot.press("g", "enter", "v", "e", "g", "enter")
            await until(pilot, lambda: isinstance(app.screen, LookScreen))
        assert len(app.screen_stack) == 4
        await pilot.press("escape")
        assert isinstance(app.screen, GraveyardScreen)
        await pilot.press("escape")
        assert isinstance(app.screen, NestScreen)


async def test_a_shell_comes_up_over_no_question_and_over_no_other_shell() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        burst(app, "t", "t")
        await until(pilot, lambda: isinstance(app.screen, TalkScreen))
        await pilot.press("ctrl+q")
        await until(pilot, lambda: isinstance(app.screen, NestScreen))
        assert len(app.screen_stack) == 2
        nest.shell_may_start.clear()
        await pilot.press("t", "d")
        question = app.screen
        nest.shell_may_start.set()
        await until(pilot, lambda: "moka" in " ".join(note.message for note in app._notifications))
        assert app.screen is question
