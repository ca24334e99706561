"""A pet's past as a plot: in rows of characters, and as a picture to keep (SVG)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple
from xml.sax.saxutils import escape

from procchi_tui.drawing.gauges import LEVELS
from procchi_tui.nursery import SAMPLE_SECONDS, Sample
from procchi_tui.words import cores, size


class Curve(NamedTuple):
    """One reading over time."""

    title: str
    values: tuple[float | None, ...]
    """One a second, oldest first; None where the kernel gave none."""
    top: float
    """The upper edge of the plot: the limit, or where there is none the highest value."""
    limited: bool
    """Whether `top` is a limit."""
    words: Callable[[float], str]
    """A value, with its unit."""


def curves(
    history: Sequence[Sample], memory_limit: int | None, cores_limit: float | None
) -> tuple[Curve, Curve]:
    """Memory and CPU of the past that is known."""
    memory = tuple(sample.memory for sample in history)
    used = tuple(sample.cores for sample in history)
    return (
        _curve("memory", memory, memory_limit, size),
        _curve("CPU cores", used, cores_limit, lambda value: cores(value) or "0"),
    )


def _curve(
    title: str,
    values: tuple[float | None, ...],
    limit: float | None,
    words: Callable[[float], str],
) -> Curve:
    highest = max((value for value in values if value is not None), default=0.0)
    return Curve(title, values, limit or highest or 1.0, limit is not None, words)


def columns(curve: Curve, width: int, height: int) -> list[str]:
    """The curve as `height` rows of `width` columns, newest at the right."""
    steps = height * len(LEVELS)
    levels = [
        0 if value is None else max(1, min(steps, round(value / curve.top * steps)))
        for value in curve.values[-width:]
    ]
    rows = []
    for row in reversed(range(height)):
        below = row * len(LEVELS)
        rows.append("".join(_cell(level - below) for level in levels).rjust(width))
    return rows


def _cell(level: int) -> str:
    return " " if level <= 0 else LEVELS[min(level, len(LEVELS)) - 1]


# -- a picture to keep

WIDTH, MARGIN, PLOT_HEIGHT, GAP = 800, 70, 150, 60
"""Pixels."""


def svg(
    title: str,
    subtitle: str,
    drawn: Iterable[Curve],
    *,
    colours: dict[str, str],
    over: bool = False,
) -> str:
    """The curves below each other as an SVG picture, up to now or, where that is `over`, their end.

    `colours` are a theme's, by name.
    """
    ends = ("before", "its end") if over else ("ago", "now")
    parts: list[str] = []
    top = 105
    for curve, colour in zip(drawn, (colours["accent"], colours["primary"]), strict=True):
        parts += _plot(curve, top, colour, colours, ends)
        top += PLOT_HEIGHT + GAP
    ground, ink, muted = colours["background"], colours["foreground"], colours["muted"]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" '
        f'font-family="sans-serif" font-size="13"><rect width="100%" height="100%" '
        f'fill="{ground}"/>'
        f'<text x="{MARGIN}" y="36" fill="{ink}" font-size="22" font-weight="bold">'
        f"{escape(title)}</text>"
        f'<text x="{MARGIN}" y="58" fill="{muted}">{escape(subtitle)}</text>'
    )
    return "\n".join([head, *parts, "</svg>\n"])


def _plot(
    curve: Curve, top: float, colour: str, colours: dict[str, str], ends: tuple[str, str]
) -> Iterable[str]:
    width, bottom = WIDTH - 2 * MARGIN, top + PLOT_HEIGHT
    muted, line = colours["muted"], colours["line"]
    label = f"{curve.title}, limit {curve.words(curve.top)}" if curve.limited else curve.title
    yield f'<text x="{MARGIN}" y="{top - 10}" fill="{colours["foreground"]}">{escape(label)}</text>'
    for share in (0.0, 0.5, 1.0):
        y = bottom - share * PLOT_HEIGHT
        dashes = "" if share in (0.0, 1.0) else ' stroke-dasharray="3 4"'
        yield f'<path d="M{MARGIN} {y}H{MARGIN + width}" stroke="{line}"{dashes}/>'
        yield (
            f'<text x="{MARGIN - 8}" y="{y + 4}" fill="{muted}" text-anchor="end">'
            f"{escape(curve.words(curve.top * share))}</text>"
        )
    count = len(curve.values)
    step = width / max(1, count - 1)
    for stretch in _stretches(curve.values):
        points = [
            f"{MARGIN + index * step:.1f},{bottom - min(1.0, value / curve.top) * PLOT_HEIGHT:.1f}"
            for index, value in stretch
        ]
        first, last = (f"{MARGIN + stretch[end][0] * step:.1f},{bottom}" for end in (0, -1))
        area = " ".join([first, *points, last])
        yield f'<polygon points="{area}" fill="{colour}" fill-opacity="0.2"/>'
        yield (
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}" '
            'stroke-width="2" stroke-linejoin="round"/>'
        )
    seconds = max(0, count - 1) * SAMPLE_SECONDS
    for x, anchor, words in (
        (MARGIN, "start", f"{seconds:.0f} s {ends[0]}"),
        (MARGIN + width, "end", ends[1]),
    ):
        yield (
            f'<text x="{x}" y="{bottom + 18}" fill="{muted}" text-anchor="{anchor}">{words}</text>'
        )


def _stretches(values: Sequence[float | None]) -> Iterable[list[tuple[int, float]]]:
    """Readings that follow each other without a gap, each with its place."""
    stretch: list[tuple[int, float]] = []
    for index, value in enumerate((*values, None)):
        if value is not None:
            stretch.append((index, value))
        elif stretch:
            yield stretch
            stretch = []
