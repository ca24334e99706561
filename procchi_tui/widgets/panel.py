"""A page's blocks of lines as widgets: one that scrolls, and one that folds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from textwrap import wrap
from typing import ClassVar

from rich.console import Group, RenderableType
from rich.style import Style
from rich.table import Table
from rich.text import Text
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.containers import VerticalScroll
from textual.widgets import Input, Static, Tree

from procchi_tui.pages.page import Block, harmless

NARROWEST = 20
"""Cells of a line of a sentence that is broken."""
INDENT = 6
"""Cells that a tree's guides take before what is in a block."""
INKS = {"panel--title", "panel--about", "panel--label", "panel--head"}


def holding(blocks: Iterable[Block], wanted: str) -> list[Block]:
    """Those rows that hold `wanted`, upper and lower case alike; whole blocks by their title."""
    if not wanted:
        return list(blocks)
    wanted, found = wanted.casefold(), []
    for block in blocks:
        if wanted in f"{block.title} {block.about}".casefold():
            found.append(block)
        elif rows := [row for row in block.rows if wanted in " ".join(row).casefold()]:
            found.append(block._replace(rows=rows))
    return found or [Block("", f"nothing here holds “{wanted}”", [])]


def search_prompt(words: str) -> Input:
    """Where to type what lines shall hold; hidden until somebody wants to."""
    prompt = Input(placeholder=words, compact=True, id="search")
    prompt.display = False
    return prompt


class Panel(VerticalScroll):
    """Blocks below each other, longer than the screen if need be."""

    COMPONENT_CLASSES: ClassVar[set[str]] = INKS

    def __init__(self, page: str, *, follows: bool = False) -> None:
        super().__init__(id=page)
        self._follows = follows
        self._shown: Sequence[Block] | None = None

    def compose(self) -> ComposeResult:
        """Its text."""
        yield Static("…", markup=False)

    def show(self, blocks: Sequence[Block]) -> None:
        """Put them on it, if they are others than before."""
        blocks = [harmless(block) for block in blocks]
        if blocks == self._shown:
            return
        at_end = self._shown is None or self.scroll_offset.y >= self.max_scroll_y
        self._shown = blocks
        self.query_one(Static).update(Group(*(self._drawn(block) for block in blocks)))
        if self._follows and at_end:
            self.call_after_refresh(self.scroll_end, animate=False)

    def _drawn(self, block: Block) -> RenderableType:
        parts: list[RenderableType] = []
        if block.title or block.about:
            parts.append(
                Text.assemble(
                    (block.title, self._style("title")), "  ", (block.about, self._style("about"))
                )
            )
        if all(len(row) == 1 for row in block.rows):
            parts.append(Text("\n").join(Text(row[0]) for row in block.rows))
        else:
            parts.append(self._table(block))
        return Group(*parts, Text())

    def _table(self, block: Block) -> Table:
        table = Table.grid(padding=(0, 2))
        columns = max(map(len, block.rows))
        for number in range(columns):
            table.add_column(no_wrap=number == 0, overflow="fold")
        if block.head:
            table.add_row(*(Text(word, self._style("head")) for word in block.head))
        for first, *rest in block.rows:
            table.add_row(Text(first, self._style("label")), *map(Text, rest))
        return table

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"panel--{name}", partial=True)


class FoldingPanel(Tree[None]):
    """Blocks that fold: Space or a click opens one, Enter too; the tree's own keys move."""

    COMPONENT_CLASSES: ClassVar[set[str]] = INKS
    HELP = "Long lines are moved sideways by ctrl+PageDown and ctrl+PageUp."

    def __init__(self, page: str) -> None:
        super().__init__("", id=page)
        self.show_root = False
        self.guide_depth = 2
        self._shown: Sequence[Block] | None = None
        self._filled = 0
        """Cells that sentences were broken to."""

    def show(self, blocks: Sequence[Block]) -> None:
        """Put them on it, all open, if they are others than before."""
        blocks = [harmless(block) for block in blocks]
        if blocks == self._shown:
            return
        self._shown = blocks
        self._fill(closed=set())

    def on_resize(self) -> None:
        """Sentences are broken to the new width; what was folded stays so."""
        if self._room() == self._filled:
            return
        closed = {place for place, node in enumerate(self.root.children) if node.is_collapsed}
        line = self.cursor_line
        self._fill(closed)
        if line != -1:  # the cursor is nowhere before it was moved
            self.cursor_line = line

    def _room(self) -> int:
        return max(NARROWEST, self.scrollable_content_region.width - INDENT)

    def _fill(self, closed: Set[int]) -> None:
        self.clear()
        self._filled = self._room()
        for place, block in enumerate(self._shown or ()):
            title = Text(block.title, self._style("title"))
            node = self.root.add(title, expand=place not in closed)
            for line in wrap(block.about, self._filled):
                node.add_leaf(Text(line, self._style("about")))
            for first, *rest in block.rows:
                told = ("  ".join(["", *rest]), self._style("label"))
                node.add_leaf(Text.assemble(first, told))

    def action_scroll_left(self) -> None:
        """Left and Right are the screen's: they lead to other pages, from long lines too."""
        raise SkipAction

    def action_scroll_right(self) -> None:
        """The same."""
        raise SkipAction

    def fold(self, *, closed: bool) -> None:
        """Close or open all blocks."""
        for node in self.root.children:
            (node.collapse if closed else node.expand)()

    @property
    def folded(self) -> bool:
        """Whether all are closed."""
        return all(node.is_collapsed for node in self.root.children)

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"panel--{name}", partial=True)
