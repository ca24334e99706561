from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from procchi_tui.arrangement import Section
from procchi_tui.drawing.card import Shape
from procchi_tui.drawing.layout import Layout

SECTIONS = st.lists(st.integers(1, 9), max_size=6)


def layout(sizes: list[int], columns: int, *, titled: bool = True) -> Layout:
    sections = [
        Section(f"group {index}" if titled else "", [f"{index}-{n}" for n in range(size)])
        for index, size in enumerate(sizes)
    ]
    return Layout(sections, columns, Shape(40, 7, False))


@given(SECTIONS, st.integers(1, 5), st.booleans())
def test_every_card_is_found_where_it_lies_and_none_lies_on_another(
    sizes: list[int], columns: int, titled: bool
) -> None:
    cards = layout(sizes, columns, titled=titled)
    regions = [cards.region(name) for name in cards.names]
    assert len(cards.names) == sum(sizes)
    for name, region in zip(cards.names, regions, strict=True):
        for x, y in (region.offset, (region.right - 1, region.bottom - 1)):
            assert cards.at(x, y) == name
        assert name in cards.between(region.y, region.y)
        assert region.bottom <= cards.height
    assert not any(a.overlaps(b) for a in regions for b in regions if a is not b)
    assert cards.between(0, cards.height) == cards.names
    assert cards.band(cards.height) is None and cards.at(0, -1) is None


@given(SECTIONS.filter(bool), st.integers(1, 5), st.integers(-9, 9), st.integers(-9, 9))
def test_the_cursor_never_leaves_the_cards(
    sizes: list[int], columns: int, across: int, down: int
) -> None:
    cards = layout(sizes, columns)
    for name in cards.names:
        assert cards.across(name, across) in cards
        below = cards.down(name, down)
        assert cards.region(below).x <= cards.region(name).x
        assert (cards.region(below).y - cards.region(name).y) * down >= 0


def test_down_goes_past_a_heading_to_the_card_below_or_the_last_of_a_short_line() -> None:
    cards = layout([3, 1, 2], 2)
    assert cards.down("0-1", 1) == "0-2"
    assert cards.down("0-2", 1) == "1-0"
    assert cards.down("1-0", 1) == "2-0"
    assert cards.down("2-1", -1) == "1-0"
    assert cards.down("2-1", 1) == "2-1"
    assert cards.shown_with("2-0").y == cards.region("2-0").y - 1
