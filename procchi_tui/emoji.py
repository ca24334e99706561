"""An emoji for each thing that happens; all of them two cells wide in every terminal."""

from __future__ import annotations

_EMOJI = {
    "hatched": "🐣",
    "fed": "🍙",
    "oom": "🤢",
    "asleep": "💤",
    "awake": "🌞",
    "died": "👻",
    "released": "👋",
}


def before(text: str, kind: str) -> str:
    """`text` with the emoji of that kind of event before it."""
    return f"{_EMOJI[kind]} {text}" if kind in _EMOJI else text
