"""Other keys for the face's actions, as the configuration file gives them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from itertools import combinations

from textual.keys import Keys

from procchi_tui.bindings import ACTIONS, VIEW

_NAMED = {key.value for key in Keys} | {"question_mark", "space", "slash", "full_stop", "comma"}
_WITH = ("ctrl+", "shift+", "alt+", "super+")


def default_keys() -> dict[str, str]:
    """Every action that can be given another key, with its own."""
    return {name: action.key for name, action in ACTIONS.items()}


def checked(wanted: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Those of `wanted` that can be had, and a line for each that cannot."""
    good: dict[str, str] = {}
    troubles = []
    for name, written in wanted.items():
        keys = ",".join(key.strip() for key in written.split(","))
        if name not in ACTIONS:
            close = get_close_matches(name, ACTIONS, 1)
            meant = f': "{close[0]}" perhaps' if close else ""
            troubles.append(
                f'keys."{name}": there is no such action{meant} (procchi-tui --print-config '
                "lists them)"
            )
        elif wrong := [key for key in keys.split(",") if not _is_key(key)]:
            troubles.append(
                f'keys."{name}": "{wrong[0]}" is no key: write it like "x", "f5", "ctrl+x" or '
                f'"x,f5"; "{ACTIONS[name].key}" is used'
            )
        else:
            good[name] = keys
    for name, other, key in _clashes(default_keys() | good):
        for moved in {name, other} & good.keys():
            stays = other if moved == name else name
            del good[moved]
            troubles.append(
                f'keys."{moved}": "{key}" is {stays}\'s key already; "{ACTIONS[moved].key}" is used'
            )
    return good, troubles


def _is_key(key: str) -> bool:
    bare = key
    while bare.startswith(_WITH):
        bare = bare.partition("+")[2]
    return len(bare) == 1 or bare.lower() in _NAMED


def _clashes(keymap: Mapping[str, str]) -> Iterator[tuple[str, str, str]]:
    """Pairs of actions that would share a key in one place, and the key.

    Those of a view may have keys that others have elsewhere.
    """
    places: dict[str, list[str]] = {}
    for name in keymap:
        place = name.partition(".")[0] if ACTIONS[name].group == VIEW else ""
        places.setdefault(place, []).append(name)
    for names in places.values():
        for one, other in combinations(names, 2):
            if keymap[one] == ACTIONS[one].key and keymap[other] == ACTIONS[other].key:
                continue
            shared = set(keymap[one].split(",")) & set(keymap[other].split(","))
            if shared:
                yield one, other, min(shared)
