"""Which kind of pictures, and which characters, the terminal can show."""

from __future__ import annotations

import locale
import unicodedata
from collections.abc import Mapping
from functools import cache

from rich.cells import cell_len
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from procchi_tui.config import Art
from procchi_tui.drawing.pictures import Tier

_COLOURFUL = ("truecolor", "256")


def tier_for(wanted: Art, *, color_system: str | None, no_color: bool, utf8: bool) -> Tier:
    """The kind of pictures: the one that is wanted, or what suits the terminal.

    `color_system` is Rich's name for what the terminal can (from COLORTERM and TERM). Without
    colours half blocks are all of one grey, so a face says more.
    """
    if wanted != "auto":
        return wanted
    if no_color or not utf8 or color_system is None:
        return "ascii"
    return "rgb" if color_system in _COLOURFUL else "16"


def is_utf8() -> bool:
    """Whether the locale has UTF-8. Python takes a bare C locale for it, too (PEP 538)."""
    return locale.getencoding().lower().replace("-", "") == "utf8"


class Substitutes(LineFilter):
    """Draws characters that the terminal lacks as others, each as wide as it was."""

    def __init__(self, table: Mapping[int, str]) -> None:
        super().__init__()
        self._table = table

    def replaces(self, character: str) -> bool:
        """Whether something else is drawn in its place."""
        return character.translate(self._table) != character

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments in characters that there are."""
        return [
            segment
            if segment.text.isascii()
            else Segment(segment.text.translate(self._table), segment.style, segment.control)
            for segment in segments
        ]


class _Ascii(dict[int, str]):
    """Any character's stand-in in ASCII, found when it is first asked for."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        width = cell_len(character)
        bare = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
        name = unicodedata.name(character, "")
        if character.isascii():
            found = character
        elif len(bare) == width and bare.isprintable():
            found = bare
        elif name.startswith("BOX DRAWINGS"):
            found = "+" if " AND " in name or "DIAGONAL" in name else "-"
        else:
            found = "?" * width
        self[code] = found
        return found


def _pairs(*lines: str) -> dict[int, str]:
    """`│┃ |#` : what stands for each character of the first half, in the second."""
    table: dict[int, str] = {}
    for line in lines:
        characters, stands = line.split()
        table |= dict(zip(map(ord, characters), stands, strict=True))
    return table


@cache
def ascii_only() -> Mapping[int, str]:
    """For terminals that have nothing but ASCII."""
    return _Ascii(
        _pairs(
            "─━╸╺╴╶╌┄│┃║╎┆═ -===--..|#|::=",
            "╭╮╯╰┌┐└┘┏┓┗┛╔╗╚╝├┤┬┴┼ +++++++++++++++++++++",
            '▁▂▃▄▅▆▇█▀▌▐░▒▓▔▕▏▎ _.:-=+*#"||.:#-|||',
            "▸▶►◂◀•·…×µ⏎←→↑↓«»°♪ >>><<*-.xu<<>^v<>o~",
            "‘’“”–—−≥≤≠∴∵✓✗● ''\"\"---><!::vx*",
        )
    )


@cache
def console_only() -> Mapping[int, str]:
    """For the Linux console, whose fonts have little more than code page 437 (console_codes(4))."""
    return _pairs("╭╮╯╰━╸╺┃┏┓┗┛▸▁▂▃▅▆▇⏎…∴∵● ┌┐┘└═══║╔╗╚╝►_▄▄▄██◄.::•")
