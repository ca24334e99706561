"""The line at the top: the nest and the host it lives on."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.events import Click
from textual.reactive import reactive
from textual.widget import Widget

from procchi_tui.drawing import gauges
from procchi_tui.facts import HostFacts
from procchi_tui.words import count, size


class HostBar(Widget):
    """Pets, kind of control groups, and the host's CPU, memory and load."""

    ALLOW_SELECT = False
    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "host-bar--brand",
        "host-bar--label",
        "host-bar--fill",
        "host-bar--track",
    }

    facts: reactive[HostFacts] = reactive(HostFacts({}))

    async def on_click(self, event: Click) -> None:
        """The name leads to all there is, the pets to the graveyard, the host's end to the host."""
        if event.x <= len(self._brand()):
            await self.app.run_action("command_palette")
        else:
            view = "graves" if event.x < self.size.width // 2 else "host"
            await self.screen.run_action(f"view('{view}')")

    def render(self) -> Text:
        """The line, its right half given up bit by bit where the terminal is narrow."""
        left = self._left()
        for detail in (3, 2, 1, 0):
            right = self._right(detail)
            if left.cell_len + right.cell_len + 1 <= self.size.width or detail == 0:
                break
        gap = max(1, self.size.width - left.cell_len - right.cell_len)
        return Text.assemble(left, " " * gap, right, no_wrap=True)

    def _left(self) -> Text:
        counts = self.facts.counts
        told = [count(counts.get("alive", 0) + counts.get("asleep", 0), "pet")]
        if counts.get("asleep"):
            told.append(f"{counts['asleep']} asleep")
        if counts.get("ghost"):
            told.append(count(counts["ghost"], "ghost"))
        brand = self.get_component_rich_style("host-bar--brand", partial=True)
        return Text.assemble((self._brand(), brand), "  ", ", ".join(told))

    def _brand(self) -> str:
        return "procchi (read-only)" if self.facts.read_only else "procchi"

    def _right(self, detail: int) -> Text:
        host, label = self.facts.host, self._style("label")
        parts = Text()
        if self.facts.cgroup and detail >= 1:
            parts.append("cgroup ", label).append(self.facts.cgroup)
        if host is None:
            return parts
        parts.append("   cpu " if parts else "cpu ", label)
        self._bar(parts, host.cpu, detail)
        parts.append(f"{host.cpu:>4.0%}")
        parts.append("   mem ", label)
        self._bar(parts, host.memory / host.memory_total, detail)
        parts.append(f" {size(host.memory)} of {size(host.memory_total)}")
        if detail >= 2:
            parts.append("   load ", label).append(f"{host.load:.2f}")
        return parts

    def _bar(self, parts: Text, share: float, detail: int) -> None:
        cells = 10 if detail == 3 else 0
        if cells:
            full, empty = gauges.bar(gauges.filled(share, cells), cells)
            parts.append(full, self._style("fill")).append(empty, self._style("track"))

    def _style(self, name: str) -> Style:
        return self.get_component_rich_style(f"host-bar--{name}", partial=True)
