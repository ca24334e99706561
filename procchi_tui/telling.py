"""What happens in the nest, in words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine import Event
from procchi_tui.words import cores, plain, size

_WORDS = {
    "hatched": "hatched",
    "fed": "is eating",
    "meal-over": "has eaten",
    "mood": "is now",
    "oom": "ate too much: the kernel's OOM killer struck",
    "throttled": "used up its CPU quota and was throttled",
    "asleep": "fell asleep",
    "awake": "woke up",
    "died": "died",
    "adopted": "was adopted by a new nest",
    "released": "was released",
    "limit": "ran into a limit",
    "diet": "has a new diet",
}


def _diet(limits: Mapping[str, Any]) -> str:
    shown = (("memory", size), ("cpu", cores), ("pids", str))
    return ", ".join(
        f"{name} {'unlimited' if limits.get(name) is None else show(limits[name])}"
        for name, show in shown
    )


def sentence(event: Event) -> str:
    """What happened, without the pet's name."""
    told = _WORDS.get(event.kind, event.kind)
    detail = event.detail
    match event.kind:
        case "mood":
            told += f" {detail.get('mood', '?')}"
            if detail.get("reason"):
                told += f": {detail['reason']}"
        case "fed" | "meal-over":
            command = detail.get("command", ())
            words = list(command) if not isinstance(command, str) else [command]
            if words[:2] == ["sh", "-c"]:
                words = words[2:]
            told += f" {' '.join(map(str, words))}" if words else ""
            if detail.get("exit_code"):
                told += f": exit status {detail['exit_code']}"
        case "died":
            told += f": {detail['cause']}" if detail.get("cause") else ""
        case "limit":
            told = f"ran into its {detail.get('limit', '?')} limit"
            if detail.get("times", 1) > 1:
                told += f" {detail['times']} times"
        case "diet":
            told += f": {_diet(detail)}"
        case "hatched":
            told += f" from {detail['egg']}" if detail.get("egg") else ""
    return plain(told).replace("\n", " ")
