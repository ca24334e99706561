"""The face as different people and terminals need it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from itertools import product
from threading import Thread

import pytest
from rich.cells import cell_len
from textual.color import Color
from textual.theme import Theme

from engine import ProcchiError
from procchi_tui import terminal_art, themes
from procchi_tui.announcer import announce
from procchi_tui.app import ProcchiApp
from procchi_tui.bindings import ACTIONS
from procchi_tui.config import Config
from procchi_tui.drawing import card as cards
from procchi_tui.drawing import letters
from procchi_tui.drawing.card import Shape
from procchi_tui.drawing.describe import describe
from procchi_tui.drawing.pictures import Tier
from procchi_tui.moods import TONES
from procchi_tui.read_only import REFUSAL, read_only
from procchi_tui.screens.look import LookScreen
from procchi_tui.screens.nest import NestScreen
from procchi_tui.screens.shop import ShopScreen
from procchi_tui.terminal_art import tier_for
from tests.tui.conftest import face, seen, until
from tests.tui.fixed_nest import NOW, FixedNest, a_nest_full, fixed_clock, fixed_host, pet
from tests.tui.test_drawing import INK, nursery_of, text

SIZE = (100, 40)


def shown(app: ProcchiApp) -> str:
    """The characters on the screen."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()[:height]
    return "\n".join(line.text[:width] for line in lines)


# -- art


@pytest.mark.parametrize(
    ("color_system", "no_color", "utf8", "tier"),
    [
        ("truecolor", False, True, "rgb"),
        ("256", False, True, "rgb"),
        ("standard", False, True, "16"),
        (None, False, True, "ascii"),
        ("truecolor", True, True, "ascii"),
        ("truecolor", False, False, "ascii"),
    ],
)
def test_the_terminal_chooses_the_art(
    color_system: str | None, no_color: bool, utf8: bool, tier: str
) -> None:
    found = tier_for("auto", color_system=color_system, no_color=no_color, utf8=utf8)
    assert found == tier
    assert tier_for("16", color_system=color_system, no_color=no_color, utf8=utf8) == "16"


async def test_no_color_means_faces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    nest = FixedNest(a_nest_full())
    app = face(nest)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        assert "'-u------u-'" in shown(app)
        assert "▸ moka" in shown(app)
        for strip in app.screen._compositor.render_strips()[: app.size.height]:
            for _, style, _ in strip:
                for colour in (style.color, style.bgcolor) if style else ():
                    if colour is not None and colour.triplet:
                        red, green, blue = colour.triplet
                        assert red == green == blue


@pytest.mark.parametrize("keys", ["", "n", "f", "enter", "enter,3", "question_mark", "ctrl+p", "p"])
async def test_by_hand_ascii_is_ascii_everywhere(keys: str) -> None:
    nest = FixedNest(a_nest_full())
    app = face(nest, art="ascii")
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press(*filter(None, keys.split(",")))
        await pilot.pause()
        assert [character for character in shown(app) if not character.isascii()] == []


def test_stand_ins_are_as_wide_as_what_they_stand_for() -> None:
    table = terminal_art.ascii_only()
    for wide, narrow in (
        ("🐣", "??"),
        ("é", "e"),
        ("語", "??"),
        ("╪", "+"),
        ("µ", "u"),
        ("a", "a"),
    ):
        assert wide.translate(table) == narrow


# -- themes


@pytest.mark.parametrize(
    "theme", [theme for theme in themes.ours() if not theme.ansi], ids=lambda t: t.name
)
def test_texts_have_the_contrast_that_wcag_asks_for(theme: Theme) -> None:
    """WCAG 2.2, success criterion 1.4.3, level AA: 4.5 to 1."""
    colours = theme.to_color_system().generate() | theme.variables
    texts = (
        "foreground primary secondary accent success warning error muted footer-key-foreground "
        "footer-description-foreground"
    ).split()
    for name, ground in product(texts, ("background", "surface", "panel")):
        ratio = contrast(Color.parse(colours[name]), Color.parse(colours[ground]))
        assert ratio >= 4.5, f"{theme.name}: {name} on {ground}: {ratio:.2f}"


def contrast(one: Color, other: Color) -> float:
    def luminance(colour: Color) -> float:
        channels = [
            c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour.normalized
        ]
        return 0.2126 * channels[0] + 0.7152 * channels[1] + 0.0722 * channels[2]

    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


async def test_sixteen_colours_begin_with_a_theme_of_theirs() -> None:
    first = face(FixedNest())
    async with first.run_test() as pilot:
        first.theme = "nord"
        await until(pilot, lambda: first.remembered.get("theme") == "nord")
    assert face(FixedNest(), art="16").theme == "procchi-sixteen"
    assert face(FixedNest(), art="16", theme="dracula").theme == "dracula"


# -- motion and sound


async def test_a_calm_screen_stands_still() -> None:
    nest = FixedNest([pet("moka")])
    app = ProcchiApp(nest, config=Config(calm=True), clock=fixed_clock, read_host=fixed_host)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        before = shown(app)
        for _ in range(10):  # fewer than those after which a nest's silence is told
            app.tick()
        await pilot.pause()
        assert shown(app) == before


@pytest.mark.parametrize("wanted", [True, False])
async def test_the_bell_rings_for_a_death_when_wanted(
    wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    rung = []
    nest = FixedNest([pet("moka")])
    app = face(nest, bell=wanted)
    monkeypatch.setattr(app, "bell", lambda: rung.append(True))
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        nest.tell_event("fed", "moka")
        nest.tell_event("died", "moka", cause="killed by SIGKILL")
        await until(pilot, lambda: len(app.session.diary) == 2)
        assert rung == [True] * wanted


@pytest.mark.parametrize(("wanted", "title"), [(True, "👻 moka"), (False, "moka")])
async def test_emoji_only_where_they_are_wanted(wanted: bool, title: str) -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest, emoji=wanted)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        nest.tell_event("died", "moka", cause="killed by SIGKILL")
        await until(pilot, lambda: app._notifications)
        assert [note.title for note in app._notifications] == [title]


def test_escape_is_not_waited_for_longer_than_an_editors_user_types() -> None:
    program = (
        "import sys; from procchi_tui import main; sys.argv[1:] = ['--version']; main.tui();"
        "from textual import constants; print(constants.ESCAPE_DELAY)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "ESCDELAY"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, env=environment
    )
    assert done.stdout.split()[-1] == b"0.025"


# -- who may, who reads, who sits far away


async def test_a_screen_that_is_read_only_says_so_and_changes_nothing() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest, read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        assert "procchi (read-only)" in shown(app)
        here = {active.binding.id for active in app.screen.active_bindings.values()}
        for action in (one for one in ACTIONS.values() if one.changes and one.id in here):
            await pilot.press(action.key.split(",")[0])
            await until(pilot, lambda: app._notifications)
            assert [note.message for note in app._notifications] == [REFUSAL], action.id
            app.clear_notifications()
            assert isinstance(app.screen, NestScreen)
        assert not nest.asked
        await pilot.press("enter")
        assert isinstance(app.screen, LookScreen)


async def test_a_screen_that_is_read_only_takes_back_what_it_may_do() -> None:
    app = face(FixedNest([pet("moka")]), read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press("O")
        await until(pilot, lambda: app.session.arrangement.backwards)
        await pilot.press("u")
        await until(pilot, lambda: not app.session.arrangement.backwards)


async def test_the_shop_offers_no_pull_where_it_is_read_only() -> None:
    nest = FixedNest([pet("moka")])
    app = face(nest, read_only=True)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        await pilot.press("e")
        await until(pilot, lambda: isinstance(app.screen, ShopScreen) and app.screen.ware())
        await pilot.press("down", "down")
        offered = {one.binding.id: one.enabled for one in app.screen.active_bindings.values()}
        assert not offered.get("shop.take")
        assert offered["shop.back"]


def test_read_only_refuses_whatever_does_more_than_look() -> None:
    nest = FixedNest([pet("moka")])
    guarded = read_only(nest)
    assert guarded.eggs() and guarded.care_log("moka")
    for call in (
        lambda: guarded.release("moka"),
        lambda: guarded.hatch("pico"),
        lambda: guarded.open_meal("moka", ["sh"]),
        guarded.no_such_function,  # type: ignore[attr-defined]
    ):
        with pytest.raises(ProcchiError, match="read-only"):
            call()
    assert not nest.asked


def test_large_letters_are_there_for_every_name_and_mood() -> None:
    for word in [*TONES, "moka-2", "a.b_c", "0123456789", "qwertyuiopasdfghjklzxcvbnm"]:
        rows = letters.large(word, 200)
        assert rows is not None and len(rows) == 3
        assert len({len(row) for row in rows}) == 1
    assert letters.large("moka", 10) is None
    assert letters.large("café", 100) is None


@pytest.mark.parametrize("width", [20, 30, 60, 76, 90])
@pytest.mark.parametrize("art", ["rgb", "ascii"])
def test_large_cards_fill_their_shape(width: int, art: Tier) -> None:
    nursery = nursery_of(*a_nest_full())
    for name in nursery.pets:
        card = describe(nursery, name, NOW, chosen=width == 60)
        rows = cards.draw(card, Shape(width, cards.LARGE_HEIGHT, True, True), INK._replace(art=art))
        assert [cell_len(text(row)) for row in rows] == [width] * cards.LARGE_HEIGHT


@pytest.mark.parametrize("width", [76, 79, 119, 151, 152, 199, 400])
def test_large_cards_leave_no_room_unused(width: int) -> None:
    columns, shape = cards.shape_for(width, 40, large=True)
    assert shape.width >= cards.LARGE_NARROWEST
    assert width - columns < columns * shape.width <= width


@pytest.mark.parametrize(("art", "are_large"), [("auto", True), ("ascii", False)])
async def test_words_are_large_without_colours_too_where_there_are_blocks(
    art: str, are_large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    nest = FixedNest([pet("moka")])
    app = face(nest, presenter=True, art=art)
    async with app.run_test(size=SIZE) as pilot:
        await seen(pilot, nest)
        for word in ("moka", "happy"):
            for row in letters.large(word, 200) or ():
                assert (row in shown(app)) == are_large
        assert shown(app).isascii() != are_large


class Said(list[str]):
    """Lines, until there are enough of them."""

    def __init__(self, enough: int) -> None:
        self._enough = enough

    def __call__(self, line: str) -> None:
        self.append(line)
        if len(self) == self._enough:
            raise KeyboardInterrupt


def test_plain_words_tell_how_things_stand_and_what_happens() -> None:
    nest = FixedNest([pet("moka", stage="egg", reason="memory.current 12M of 50M")])
    nest.cgroup["enforced"] = ["memory"]
    said = Said(5)

    def happen() -> None:
        while not nest.watches:
            time.sleep(0.01)
        nest.tell_event("mood", "moka", mood="tired", reason="cpu.stat nr_throttled +9")
        nest.tell_event("fed", "moka", command=["sh", "-c", "printf '\\e[31m'\x1b[31m"])

    thread = Thread(target=happen)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        announce(nest, 1.0, out=said)
    thread.join()
    assert said[1:] == [
        "Limits on cpu and pids are not enforced here: `procchi doctor` says what helps.",
        "1 pet in the nest.",
        "moka: happy, an egg: memory.current 12M of 50M",
        "moka is now tired: cpu.stat nr_throttled +9",
    ]


def test_plain_words_tell_each_time_that_the_nest_is_lost_and_found() -> None:
    nest = FixedNest([pet("moka")])
    lost = "No word from the nest: it stopped. Trying again; the pets live on."
    again = ["The nest is there again.", "1 pet in the nest."]
    said = Said(3 + 2 * 4)

    def happen() -> None:
        for number in (1, 2):
            while len(nest.watches) < number:
                time.sleep(0.01)
            nest.watches[-1].close()

    thread = Thread(target=happen)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        announce(nest, 1.0, out=said)
    thread.join()
    told = [line for line in said if not line.startswith("moka: ")]
    assert told[2:] == 2 * [lost, *again]


def test_plain_words_need_no_textual() -> None:
    program = "import sys, procchi_tui.announcer; print('textual' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert done.stdout == b"False\n"
