"""A pet's card, drawn as rows of characters.

Three shapes: compact (7 rows, for an 80×24 terminal), roomy (10 rows), and large (12 rows, for a
projector: fewer facts, and words that can be read from the last bench). A row is a tuple of
segments; rows are cached by what they show, so that an unchanged row is the same object as
before and need not be sent to the terminal again.
"""

from __future__ import annotations

from functools import lru_cache
from textwrap import wrap
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style

from procchi_tui.drawing import gauges, letters, pictures
from procchi_tui.drawing.pictures import Tier
from procchi_tui.drawing.sprites import Look, Row
from procchi_tui.moods import tone
from procchi_tui.nursery import Sample

LABEL_WIDTH = 5


class Ink(NamedTuple):
    """The styles a card is drawn in, each on the card's background."""

    ground: Style
    line: Style
    line_chosen: Style
    name: Style
    name_chosen: Style
    text: Style
    muted: Style
    sign: Style
    track: Style
    calm: Style
    effort: Style
    alarm: Style
    quiet: Style
    spark: Style
    art: Tier = "rgb"
    """The kind of pictures."""
    blocks: bool = True
    """Whether there are half blocks, for large letters: without colours there may be."""

    def of_tone(self, name: str) -> Style:
        """The style of a mood's tone."""
        style: Style = getattr(self, name)
        return style


class Gauge(NamedTuple):
    """One limit, and what is used of it."""

    label: str
    used: str | None
    """With its unit; None: the kernel gives no reading here."""
    limit: str | None
    """With its unit; None: unlimited."""
    share: float
    """Used of the limit, 0 to 1."""
    enforced: bool
    each: str = ""
    """Where it is not: for each what it holds all the same."""


class Card(NamedTuple):
    """All that a card shows."""

    name: str
    stage: str
    mood: str
    reason: str
    facts: tuple[str, ...]
    """Pid, egg and age, in words."""
    look: Look
    gauges: tuple[Gauge, ...]
    history: tuple[Sample, ...]
    memory_limit: int | None
    cores_limit: float | None
    epitaph: str
    """How it died; empty while it lives."""
    chosen: bool = False
    marked: bool = False


class Shape(NamedTuple):
    """How large cards are, in cells, border included."""

    width: int
    height: int
    roomy: bool
    large: bool = False


COMPACT_HEIGHT, ROOMY_HEIGHT, LARGE_HEIGHT = 7, 10, 12
NARROWEST, WIDEST = 38, 56
LARGE_NARROWEST = 76
SMALLEST = Shape(NARROWEST, COMPACT_HEIGHT, False)
ROOMY_FROM = 30
"""Lines of terminal from which cards are roomy."""


def shape_for(width: int, height: int, *, large: bool = False) -> tuple[int, Shape]:
    """How many cards stand side by side in a nest of `width` × `height` cells, and their shape."""
    if large:
        columns = max(1, width // LARGE_NARROWEST)
        card_width = max(20, width // columns)
        return columns, Shape(card_width, LARGE_HEIGHT, True, True)
    roomy = height >= ROOMY_FROM
    columns = max(1, width // (NARROWEST + 2 if roomy and width >= 160 else NARROWEST))
    card_width = max(20, min(WIDEST, width // columns))
    return columns, Shape(card_width, ROOMY_HEIGHT if roomy else COMPACT_HEIGHT, roomy)


def draw(card: Card, shape: Shape, ink: Ink) -> tuple[Row, ...]:
    """The rows of `card`, each `shape.width` cells wide."""
    if shape.large:
        return _large(card, shape, ink)
    picture = pictures.draw(card.look, ink.art, ink.ground, ink.sign)
    inner = shape.width - 2
    picture_width = pictures.size()[0]
    beside = inner - picture_width - 2
    if beside < 12:  # too narrow for a picture: the words matter more
        picture, beside = (), inner - 2
    told = _roomy(card, beside, ink) if shape.roomy else _compact(card, beside, ink)
    left = _edge(card.chosen, ink)
    pad = _blank(1, ink.ground)
    rows = [_title(card, shape, ink)]
    for y in range(len(picture) or 5):
        shown = picture[y] if picture else ()
        rows.append((*left, *shown, *pad, *told[y], *pad, *left))
    if shape.roomy:
        shown = _blank(picture_width, ink.ground) if picture else ()
        rows.append((*left, *shown, *pad, *told[5], *pad, *left))
        reason = "A ghost stays until it is released." if card.epitaph else card.reason
        for line in _lines(reason, inner - 2, 2):
            rows.append((*left, *pad, *_text(line, inner - 2, ink.text), *pad, *left))
    rows.append(_foot(" · ".join(card.facts) if shape.roomy else card.reason, card, shape, ink))
    return tuple(rows)


def _large(card: Card, shape: Shape, ink: Ink) -> tuple[Row, ...]:
    """For a projector: a picture at twice the size, name and mood in large letters, and why."""
    picture = pictures.draw(card.look, ink.art, ink.ground, ink.sign, 2)
    beside = shape.width - 2 - pictures.size()[0] * 2 - 3
    if beside < 12:  # too narrow for a picture: the words matter more
        picture, beside = ((),) * len(picture), shape.width - 5
    bold = Style(bold=True)
    told = _big(card.name, beside, (ink.name_chosen if card.chosen else ink.name) + bold, ink)
    told += _big(card.mood, beside, ink.of_tone(tone(card.mood)) + bold, ink)
    told += [
        _text(line, beside, ink.text) for line in _lines(card.epitaph or card.reason, beside, 2)
    ]
    if not card.epitaph:
        told += [_gauge(gauge, beside, ink) for gauge in card.gauges[:2]]
    told += [_text("", beside, ink.text)] * (len(picture) - len(told))
    left = _edge(card.chosen, ink)
    pad = _blank(2, ink.ground), _blank(1, ink.ground)
    rows = [_title(card, shape, ink)]
    for shown, words in zip(picture, told, strict=True):
        rows.append((*left, *shown, *pad[0], *words, *pad[1], *left))
    rows.append(_foot(" · ".join(card.facts), card, shape, ink))
    return tuple(rows)


def _big(word: str, width: int, style: Style, ink: Ink) -> list[Row]:
    """Three rows of large letters, or of usual ones where those do not fit."""
    rows = letters.large(word, width) if ink.blocks else None
    return [_text(row, width, style) for row in rows or ("", word, "")]


def portrait(card: Card, width: int, ink: Ink) -> tuple[Row, ...]:
    """The pet at twice the size, with all that its card says, in rows of `width` cells."""
    picture_width = pictures.size()[0] * 2
    left = max(0, (width - picture_width) // 2)
    right = max(0, width - picture_width - left)
    rows: list[Row] = [
        (*_blank(left, ink.ground), *row, *_blank(right, ink.ground))
        for row in pictures.draw(card.look, ink.art, ink.ground, ink.sign, 2)
    ]
    bold = Style(bold=True)
    rows.append(_text("", width, ink.ground))
    rows.append(_centred(card.name, width, ink.name + bold))
    rows.append(_centred(f"{card.stage} · {card.mood}", width, ink.of_tone(tone(card.mood)) + bold))
    reason = card.epitaph or card.reason
    rows += [_centred(line, width, ink.text) for line in _lines(reason, width, 3)]
    if not card.epitaph:
        rows += [_gauge(gauge, width, ink) for gauge in card.gauges]
        rows += [_memory_past(card, width, ink), _cpu_past(card, width, ink)]
    return tuple(rows)


@lru_cache(maxsize=64)
def heading(title: str, width: int, ink: Ink) -> Row:
    """A line that says what the cards below it have in common."""
    words = _text(f" {title} ", min(width, cell_len(title) + 2), ink.name)
    rest = max(0, width - cell_len(title) - 4)
    return (Segment("──", ink.line), *words, Segment("─" * rest, ink.line))


def _centred(text: str, width: int, style: Style) -> Row:
    return _text(text.center(width) if cell_len(text) < width else text, width, style)


def _compact(card: Card, width: int, ink: Ink) -> list[Row]:
    """Five rows beside the picture; the mood and its reason are in the frame."""
    told = [_text(_joined(card.facts, width), width, ink.muted)]
    if card.epitaph:
        told += [_text(line, width, ink.text) for line in _lines(card.epitaph, width, 4)]
    else:
        told += [_gauge(gauge, width, ink) for gauge in card.gauges]
        told.append(_pasts(card, width, ink))
    return told


def _roomy(card: Card, width: int, ink: Ink) -> list[Row]:
    """Six rows beside and below the picture; two for the reason come after them."""
    told = [_text(card.mood, width, ink.of_tone(tone(card.mood)) + Style(bold=True))]
    if card.epitaph:
        told += [_text(line, width, ink.text) for line in _lines(card.epitaph, width, 5)]
    else:
        told += [_gauge(gauge, width, ink) for gauge in card.gauges]
        told += [_memory_past(card, width, ink), _cpu_past(card, width, ink)]
    return told


def _joined(facts: tuple[str, ...], width: int) -> str:
    text = " · ".join(facts)
    return text if cell_len(text) <= width else " ".join(facts)


def _pasts(card: Card, width: int, ink: Ink) -> Row:
    """Both pasts in one row."""
    half = (width + 1) // 2
    label = len("mem ")
    cpu = _cpu_past(card, width - half, ink, label)
    return (*_memory_past(card, half - 1, ink, label), *_text("", 1, ink.muted), *cpu)


def _memory_past(card: Card, width: int, ink: Ink, label: int = LABEL_WIDTH) -> Row:
    memory = [sample.memory for sample in card.history]
    top = card.memory_limit or max((value for value in memory if value is not None), default=1)
    return _past("mem", label, gauges.spark(memory, top, width - label), ink)


def _cpu_past(card: Card, width: int, ink: Ink, label: int = LABEL_WIDTH) -> Row:
    used = [sample.cores for sample in card.history]
    return _past("cpu", label, gauges.spark(used, card.cores_limit or 1.0, width - label), ink)


@lru_cache(maxsize=4096)
def _past(label: str, width: int, line: str, ink: Ink) -> Row:
    return (*_text(label, width, ink.muted), Segment(line, ink.spark))


@lru_cache(maxsize=8192)
def _gauge(gauge: Gauge, width: int, ink: Ink) -> Row:
    label = _text(gauge.label, LABEL_WIDTH, ink.muted)
    rest = width - LABEL_WIDTH
    if gauge.used is None:
        return (*label, *_text("no reading here", rest, ink.muted))
    if gauge.limit is None or not gauge.enforced:
        comments = ["no limit"]
        if gauge.limit is not None and gauge.each:
            of, each = f"of {gauge.limit}", gauge.each
            comments = [f"{of} for each {each}", f"{of} a {each}", f"a {each}"]
        elif gauge.limit is not None:
            comments = [f"of {gauge.limit}, not enforced", "not enforced", "unenforced"]
        used = f"{gauge.label} {gauge.used} "
        room = width - cell_len(used)
        comment = next((words for words in comments if len(words) <= room), comments[-1])
        return (Segment(used, ink.text), *_text(comment, room, ink.muted))
    numbers = f" {gauge.used}/{gauge.limit}".rjust(9)
    cells = rest - len(numbers)
    if cells < 3:
        return (*label, *_text(numbers.strip(), rest, ink.text))
    full, empty = gauges.bar(gauges.filled(gauge.share, cells), cells)
    colour = ink.alarm if gauge.share >= 0.9 else ink.effort if gauge.share >= 0.7 else ink.calm
    return (
        *label,
        Segment(full, colour),
        Segment(empty, ink.track),
        Segment(numbers, ink.text),
    )


@lru_cache(maxsize=4096)
def _text(text: str, width: int, style: Style) -> Row:
    if cell_len(text) > width:
        text = set_cell_size(text, max(0, width - 1)) + "…" * min(1, width)
    return (Segment(set_cell_size(text, width), style),)


@lru_cache(maxsize=64)
def _blank(width: int, style: Style) -> Row:
    return (Segment(" " * width, style),)


@lru_cache(maxsize=1024)
def _lines(text: str, width: int, height: int) -> tuple[str, ...]:
    """Exactly `height` lines of `text`, wrapped; the last one ends in … where it was cut."""
    lines = wrap(text, width, max_lines=height, placeholder="…") if width > 1 else []
    return (*lines, *[""] * (height - len(lines)))


@lru_cache(maxsize=16)
def _edge(chosen: bool, ink: Ink) -> Row:
    return (Segment("┃", ink.line_chosen),) if chosen else (Segment("│", ink.line),)


@lru_cache(maxsize=4096)
def _frame(
    left: str,
    right: str,
    styles: tuple[Style, Style],
    width: int,
    chosen: bool,
    ink: Ink,
    top: bool,
) -> Row:
    """A horizontal edge with a label near each end; the left one gives way where both are long."""
    line = ink.line_chosen if chosen else ink.line
    corners = ("┏┓" if top else "┗┛") if chosen else ("╭╮" if top else "╰╯")
    dash = "━" if chosen else "─"
    inner = width - 4
    if inner - cell_len(right) < 7:  # too narrow for both
        right = ""
    room = inner - (cell_len(right) + 2 if right else 0) - 2
    if cell_len(left) > room:
        left = set_cell_size(left, max(0, room - 1)) + "…"
    dashes = dash * (room - cell_len(left) + (0 if left else 2))
    row = [Segment(corners[0] + dash, line)]
    if left:
        row.append(Segment(f" {left} ", styles[0]))
    row.append(Segment(dashes, line))
    if right:
        row.append(Segment(f" {right} ", styles[1]))
    row.append(Segment(dash + corners[1], line))
    return tuple(row)


def _title(card: Card, shape: Shape, ink: Ink) -> Row:
    name = f"{'▸ ' if card.chosen else ''}{'✓ ' if card.marked else ''}{card.name}"
    style = ink.name_chosen if card.chosen or card.marked else ink.name
    if shape.roomy:
        right, right_style = card.stage, ink.muted
    else:
        right = f"{card.stage} · {card.mood}" if shape.width >= 34 else card.mood
        right_style = ink.of_tone(tone(card.mood))
    return _frame(name, right, (style, right_style), shape.width, card.chosen, ink, True)


def _foot(text: str, card: Card, shape: Shape, ink: Ink) -> Row:
    style = ink.muted if shape.roomy else ink.text
    return _frame(text, "", (style, style), shape.width, card.chosen, ink, False)
