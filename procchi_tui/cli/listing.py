"""`procchi pets`: who lives in the nest. Asked for often, so it imports next to nothing."""

from __future__ import annotations

import json
import os
import sys

from engine import wire
from procchi_tui.cli import text

TYPE_CHECKING = False  # see text.py
if TYPE_CHECKING:
    from typing import Any

HEADER = ("NAME", "MOOD", "PID", "EGG", "AGE", "MEMORY", "MAX CORES", "PIDS", "WHY")
ONE_GHOST = "(1 ghost; --all shows it)"


def show(everything: bool, as_json: bool) -> None:
    """Print the pets, ghosts only if `everything`; as JSON always all. Raises ProcchiError."""
    pets: list[dict[str, Any]] = wire.request("pets")["pets"]
    if as_json:
        print(json.dumps(pets, indent=2))
        return
    shown = [pet for pet in pets if everything or pet["status"] != "ghost"]
    if shown:
        width = os.get_terminal_size(1).columns if os.isatty(1) else None
        print(text.columns([HEADER, *map(_row, shown)], width), flush=True)
    for note in _notes(pets, shown):
        print(note, file=sys.stderr)


def _row(pet: dict[str, Any]) -> tuple[str, ...]:
    limits, readings = pet["limits"], pet["readings"] or {}
    if pet["status"] == "ghost":  # those are its last, and it uses nothing any more
        readings = {}
    return (
        pet["name"],
        pet["mood"],
        str(pet["pid"] or text.DASH),
        pet["egg"],
        _age(pet["created_at"]),
        text.usage("memory", text.size(readings.get("memory")), limits),
        text.limit("cpu", limits),
        text.usage("pids", text.count(readings.get("pids")), limits),
        pet["reason"],
    )


def _age(created_at: str) -> str:
    from datetime import UTC, datetime

    since = datetime.now(UTC) - datetime.fromisoformat(created_at)
    return text.age(since.total_seconds())


def _notes(pets: list[dict[str, Any]], shown: list[dict[str, Any]]) -> list[str]:
    """What the table alone would leave open."""
    notes = []
    if not pets:
        notes.append("no pets yet; hatch one: procchi hatch moka")
    if ghosts := len(pets) - len(shown):
        notes.append(f"({ghosts} ghosts; --all shows them)" if ghosts > 1 else ONE_GHOST)
    living = [pet for pet in shown if pet["status"] != "ghost"]
    if any(
        pet["limits"][limit] is not None and limit not in pet["limits"]["enforced"]
        for pet in living
        for limit in ("memory", "cpu", "pids")
    ):
        notes.append("* not enforced here; procchi doctor says why, and what to do")
    return notes
