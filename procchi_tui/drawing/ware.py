"""What the egg shop says of an egg, as text."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Group
from rich.style import Style
from rich.table import Table
from rich.text import Text

from engine import EggDetails, Offer
from procchi_tui.drawing import gauges
from procchi_tui.facts import Pulling
from procchi_tui.wares import Ware
from procchi_tui.words import age, amount, names_in_words, plain, size

Ink = Callable[[str], Style]
"""The style of `name`, `heading`, `label`, `here`, `fill` or `track`."""
NAME_CELLS, SIZE_CELLS, BAR_CELLS, LAYER_BAR_CELLS, LAYER_DIGITS = 14, 5, 24, 8, 7
DIGITS = 12
"""Of a digest, as container tools show it."""
STATES = {"here": "fetched", "downloading": ""}


def row(ware: Ware, pets: Sequence[str], pull: Pulling | None, ink: Ink) -> Text:
    """A line on the shelf: at home or not, its name, its size, and what is to be said of it."""
    mark = ("● ", ink("here")) if ware.egg else ("○ ", ink("label"))
    shown = "-" if ware.size is None else size(ware.size)
    line = Text.assemble(mark, f"{_cut(ware.name, NAME_CELLS):<{NAME_CELLS}} ")
    line.append(f"{shown:>{SIZE_CELLS}}  ", ink("label"))
    if pull is not None:
        line.append(_bar(pull.share, LAYER_BAR_CELLS, ink))
        return line.append(f" {pull.share:4.0%}" if pull.progress else " asking…")
    if pets:
        return line.append(
            names_in_words(pets) + (" lives" if len(pets) == 1 else " live") + " on it"
        )
    return line.append(plain(ware.about), ink("label"))


def details(
    ware: Ware, known: EggDetails | None, pull: Pulling | None, now: datetime, ink: Ink
) -> Group:
    """All that there is to say of it."""
    title = Text.assemble((plain(ware.name), ink("name")))
    if ware.offer or ware.name == "home":
        title.append(f"\n{plain(ware.about)}")
    parts: list[Text | Table] = [title.append("\n")]

    def say(heading: str, facts: Iterable[tuple[str, str]]) -> None:
        table = Table.grid(padding=(0, 2))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for label, told in facts:
            table.add_row(Text(label, ink("label")), Text(told))
        if table.row_count:
            if heading:
                parts.append(Text(heading, ink("heading")))
            parts.extend((table, Text()))

    if pull is not None:
        parts.append(progress(pull, ink))
    if ware.egg is None:
        assert ware.offer is not None
        say("", _offered(ware.offer))
        if pull is None:
            parts.append(Text("⏎ pulls it; n pulls it and hatches a pet.", ink("label")))
        return Group(*parts)
    egg = ware.egg
    say("", _at_home(ware, known, age(egg.created_at, now)))
    say("What its pets do", _wishes(egg.config))
    if known:
        layers = ((_short(digest), size(packed)) for digest, packed in known.parts)
        say("Layers, lowest first", layers)
    say("Left out", ((f"{number} ×", plain(what)) for what, number in egg.left_out.items()))
    return Group(*parts)


def progress(pull: Pulling, ink: Ink) -> Text:
    """How far a pull has come: in all, and layer by layer."""
    done = pull.progress
    if pull.cancelling:
        return Text("Cancelling…\n", ink("heading"))
    if done is None:
        return Text("Asking for it…\n", ink("heading"))
    text = Text.assemble((done.stage.capitalize(), ink("heading")), "  ", amount(done), "\n")
    text.append_text(_bar(pull.share, BAR_CELLS, ink)).append(f"\n{pull.pace}\n")
    for layer in done.layers:
        share = layer.done / layer.total if layer.total else 1.0
        text.append(f"{_short(layer.digest)[:LAYER_DIGITS]} ", ink("label"))
        text.append_text(_bar(share, LAYER_BAR_CELLS, ink))
        state = STATES.get(layer.state, layer.state)
        text.append(f" {size(layer.total):>{SIZE_CELLS}} {state}\n", ink("label"))
    return text


def _bar(share: float, cells: int, ink: Ink) -> Text:
    full, empty = gauges.bar(gauges.filled(min(1.0, share), cells), cells)
    return Text.assemble((full, ink("fill")), (empty, ink("track")))


def _offered(offer: Offer) -> Iterator[tuple[str, str]]:
    if offer.size is not None:
        yield "to fetch", f"about {size(offer.size)}"
    yield "from", plain(offer.source)
    if offer.alpine:
        yield "checked", "by the SHA-256 in Alpine's release index"
    elif offer.sha256:
        yield "checked", f"by its SHA-256, {offer.sha256[:DIGITS]}…"
    elif "://" not in offer.source and offer.name != "home":
        yield "checked", "every part, by the digests of its registry"


def _at_home(ware: Ware, known: EggDetails | None, old: str) -> Iterator[tuple[str, str]]:
    assert ware.egg is not None
    entries = f", {known.entries} entries" if known else ""
    yield "at home", f"{size(ware.egg.size)}{entries}"
    yield "pulled", "just now" if old == "new" else f"{old} ago"
    yield "from", plain(ware.egg.source)
    yield "digest", _short(ware.egg.digest)
    if known:
        yield "lives on it", ", ".join(known.pets) or "nobody"


def _wishes(config: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key, label in (
        ("entrypoint", "entrypoint"),
        ("command", "command"),
        ("user", "user"),
        ("working_directory", "directory"),
        ("stop_signal", "stop signal"),
    ):
        value = config.get(key)
        if value:
            yield label, plain(shlex.join(value) if isinstance(value, list) else str(value))
    for number, (name, value) in enumerate((config.get("environment") or {}).items()):
        yield "" if number else "environment", plain(f"{name}={value}")


def _short(digest: str) -> str:
    return digest.removeprefix("sha256:")[:DIGITS]


def _cut(text: str, cells: int) -> str:
    return text if len(text) <= cells else text[: cells - 1] + "…"
