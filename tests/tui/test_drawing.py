from __future__ import annotations

import re
from dataclasses import replace
from typing import get_args

import pytest
from rich.cells import cell_len
from rich.style import Style

from engine import Limits, Pet, Readings
from procchi_tui.drawing import card as cards
from procchi_tui.drawing import faces, gauges, pictures, sprites
from procchi_tui.drawing.card import Ink, Shape
from procchi_tui.drawing.describe import describe
from procchi_tui.drawing.pictures import Tier
from procchi_tui.drawing.sprites import Look, Row
from procchi_tui.nursery import News, Nursery
from tests.tui.fixed_nest import NOW, a_nest_full, pet

STYLES = len(Ink._fields) - len(Ink._field_defaults)
INK = Ink._make([*(Style(color=f"#0000{index:02x}") for index in range(STYLES)), "rgb", True])
MOODS = (
    "happy full queasy tired busy crowded asleep ghost sick panicked choking hungry eating "
    "cracking peeking struck poof never-heard-of"
).split()
ODD = "never-heard-of"
STAGES = ("egg", "baby", "child", "grown", "elder", ODD)
TIERS: tuple[Tier, ...] = get_args(Tier)


def text(row: Row) -> str:
    return "".join(segment.text for segment in row)


def nursery_of(*pets: Pet) -> Nursery:
    nursery = Nursery()
    nursery.take(News(fresh=True, pets={known.name: known for known in pets}))
    return nursery


@pytest.mark.parametrize("mood", MOODS)
@pytest.mark.parametrize("stage", STAGES)
def test_every_mood_and_stage_has_a_picture_of_the_same_size(mood: str, stage: str) -> None:
    width, height = pictures.size()
    for pose in (0, 1):
        for coat in sprites.coats():
            for scale in (1, 2):
                look = Look(stage, mood, coat, pose, pose)
                for tier in TIERS:
                    rows = pictures.draw(look, tier, Style(), Style(), scale)
                    assert [cell_len(text(row)) for row in rows] == [width * scale] * height * scale


@pytest.mark.parametrize("tier", TIERS)
def test_moods_and_stages_do_not_look_alike(tier: Tier) -> None:
    looks = [Look("child", mood, "peach") for mood in MOODS]
    looks += [Look(stage, "happy", "peach") for stage in STAGES if stage not in ("child", ODD)]
    pictures_drawn = {pictures.draw(look, tier, Style(), Style()) for look in looks}
    assert len(pictures_drawn) == len(looks)


@pytest.mark.parametrize("tier", TIERS)
def test_frames_differ(tier: Tier) -> None:
    for stage in STAGES[:-1]:
        still, moving = (Look(stage, "happy", "mint", pose) for pose in (0, 1))
        drawn = [pictures.draw(look, tier, Style(), Style()) for look in (still, moving)]
        assert drawn[0] != drawn[1]


def test_faces_are_plain_ascii_and_tell_moods_by_their_letters() -> None:
    for stage in STAGES:
        for face in (0, 1):
            drawn = set()
            for mood in MOODS:
                rows = faces.draw(Look(stage, mood, "peach", face, face), Style(), Style())
                drawn.add("\n".join(map(text, rows)))
            assert len(drawn) == len(MOODS)
            assert all(picture.isascii() for picture in drawn)


def test_sixteen_colours_are_the_terminals_own() -> None:
    for coat in sprites.coats():
        for mood in MOODS:
            for row in sprites.draw(Look("grown", mood, coat), Style(), Style(), sixteen=True):
                for segment in row:
                    style = segment.style or Style()
                    for colour in (style.color, style.bgcolor):
                        assert colour is None or (colour.number or 0) < 16


def test_every_card_fills_its_shape_exactly() -> None:
    nursery = nursery_of(*a_nest_full())
    for width in range(20, 60):
        for shape in (
            Shape(width, cards.COMPACT_HEIGHT, False),
            Shape(width, cards.ROOMY_HEIGHT, True),
        ):
            for name in nursery.pets:
                rows = cards.draw(describe(nursery, name, NOW, chosen=width % 2 == 0), shape, INK)
                assert [cell_len(text(row)) for row in rows] == [width] * shape.height, name


def test_what_is_not_enforced_is_said_in_words() -> None:
    nursery = nursery_of(pet("yuzu", enforced=("cpu",)))
    for shape in (Shape(38, 7, False), Shape(40, 10, True)):
        shown = [text(row) for row in cards.draw(describe(nursery, "yuzu", NOW), shape, INK)]
        assert sum("enforced" in row for row in shown) == 2
        assert any("0.00/0.5" in row for row in shown)


@pytest.mark.parametrize("pids", [3, 20, 4000])
def test_a_limit_that_holds_for_each_user_is_not_called_unenforced(pids: int) -> None:
    readings = Readings(0.0, 1 << 20, None, 0, pids=pids)
    held = {"pids": "each of its users has 64 tasks at most (RLIMIT_NPROC)"}
    nursery = nursery_of(pet("yuzu", enforced=("cpu",), in_place=held, readings=readings))
    for shape in (Shape(38, 7, False), Shape(40, 10, True)):
        shown = [text(row) for row in cards.draw(describe(nursery, "yuzu", NOW), shape, INK)]
        assert sum("enforced" in row for row in shown) == 1
        said = rf"pids {pids} (of 64 for each|of 64 a|a) user "
        assert any(re.search(said, row) for row in shown), shown


def test_no_limit_and_no_reading_are_said_in_words() -> None:
    nursery = nursery_of(
        pet("taro", limits=Limits(None, None, None)), pet("kiko", readings=None, mood="plain")
    )
    shape = Shape(38, 7, False)
    taro = "".join(text(row) for row in cards.draw(describe(nursery, "taro", NOW), shape, INK))
    kiko = "".join(text(row) for row in cards.draw(describe(nursery, "kiko", NOW), shape, INK))
    assert taro.count("no limit") == 3
    assert kiko.count("no reading") == 3


def test_what_the_past_is_of_is_said_in_whole_words() -> None:
    nursery = nursery_of(pet("moka"))
    card = describe(nursery, "moka", NOW)
    for width in (38, 56):
        compact = [text(row) for row in cards.draw(card, Shape(width, 7, False), INK)]
        assert re.search(r"mem +.*cpu ", compact[5])
        roomy = [text(row) for row in cards.draw(card, Shape(width, 10, True), INK)]
        assert "mem  " in roomy[5] and "cpu  " in roomy[6]
        assert "…" not in "".join(compact + roomy)


def test_a_chosen_card_differs_without_colour() -> None:
    nursery = nursery_of(pet("moka"))
    card = describe(nursery, "moka", NOW)
    shape = Shape(40, 10, True)
    chosen = [text(row) for row in cards.draw(card._replace(chosen=True), shape, INK)]
    other = [text(row) for row in cards.draw(card, shape, INK)]
    assert chosen != other
    assert "▸ moka" in chosen[0]


def test_an_unchanged_card_is_drawn_the_same() -> None:
    nursery = nursery_of(pet("moka"))
    card = describe(nursery, "moka", NOW)
    shape = Shape(40, 10, True)
    assert cards.draw(card, shape, INK) == cards.draw(card, shape, INK)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60), (250, 70), (20, 5), (1, 1)])
def test_cards_flow_with_the_size(size: tuple[int, int]) -> None:
    columns, shape = cards.shape_for(*size)
    assert columns >= 1
    assert columns * shape.width <= max(size[0], 20)
    assert shape.roomy == (size[1] >= cards.ROOMY_FROM)


def test_bars_and_sparks() -> None:
    assert gauges.bar(gauges.filled(0.5, 10), 10) == ("━━━━━", "─────")
    assert gauges.bar(gauges.filled(0.001, 4), 4) == ("╸", "───")
    assert gauges.bar(gauges.filled(0.0, 4), 4) == ("", "────")
    assert gauges.bar(gauges.filled(1.0, 4), 4) == ("━━━━", "")
    assert gauges.spark([None, 0.0, 0.5, 1.0, 9.0], 1.0, 8) == "    ▁▅██"
    assert gauges.spark([1, 2, 3], 0, 2) == "▁▁"


def test_a_ghosts_card_tells_how_it_died() -> None:
    nursery = nursery_of(*a_nest_full())
    for shape in (Shape(38, 7, False), Shape(40, 10, True)):
        told = " ".join(text(row) for row in cards.draw(describe(nursery, "kiko", NOW), shape, INK))
        assert "SIGKILL" in told and "no pid" in told


def test_eating_shows_on_the_living_only() -> None:
    alive, ghost = pet("moka"), replace(pet("kiko", "ghost"), status="ghost")
    nursery = nursery_of(alive, ghost)
    nursery.eating.update(moka=1, kiko=1)
    assert describe(nursery, "moka", NOW).look.mood == "eating"
    assert describe(nursery, "kiko", NOW).look.mood == "ghost"
