"""The configuration file: every key, what it means, and how a wrong one is said.

The file is TOML, and none of it is needed. A key that is wrong is told in one line and its
default taken, so that a slip of the pen never keeps anybody from their pets.
"""

from __future__ import annotations

import ast
import json
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from difflib import get_close_matches
from functools import cache
from inspect import getsource
from pathlib import Path
from textwrap import dedent
from typing import (
    Annotated,
    Any,
    Literal,
    NamedTuple,
    TypeVar,
    get_args,
    get_origin,
    get_type_hints,
)

from engine import BadRequest, Limits

Art = Literal["auto", "rgb", "16", "ascii"]


Limit = Annotated[str, Limits]
"""A limit as `engine.Limits` takes it, in the file as text or as a number."""


class Between(NamedTuple):
    """The bounds of a number, both allowed."""

    least: float
    most: float


@dataclass(frozen=True)
class Hatching:
    """What a pet may use where nobody says otherwise, on the screen and for `procchi hatch`."""

    memory: Limit = "50M"
    """At most so many bytes (K, M, G are powers of 1024), or "unlimited"."""
    cpu: Limit = "0.5"
    """At most so many cores' time, or "unlimited"."""
    pids: Limit = "64"
    """At most so many tasks (processes and threads) at once, or "unlimited"."""


@dataclass(frozen=True)
class Config:
    """Procchi's settings. A line that begins with # has no effect: it shows the default."""

    theme: str = ""
    """The theme to start with: "procchi-night", "procchi-day", or one of Textual's ("nord",
    "gruvbox", ...; the command palette lists them). Empty: the one chosen last."""
    art: Art = "auto"
    """How pets are drawn: "rgb" (half blocks in all colours), "16" (half blocks in the
    terminal's own sixteen colours), "ascii" (faces, and a whole screen, of plain ASCII), or
    "auto": what the terminal can (COLORTERM, TERM, NO_COLOR, the locale)."""
    emoji: bool = True
    """Whether messages begin with an emoji, where the terminal has them."""
    calm: bool = False
    """Whether nothing moves by itself: no animated pets, no sliding, no blinking."""
    bell: bool = False
    """Whether the terminal's bell rings when a pet dies or is killed for want of memory."""
    presenter: bool = False
    """Whether cards are made for a projector: larger, with fewer facts."""
    read_only: bool = False
    """Whether nothing can be changed from the screen, as on one that is shared."""
    plain: bool = False
    """Whether to say what happens in lines of words instead of drawing a screen: for screen
    readers and logs. What is to be done is then said to the `procchi` command."""
    readings: Annotated[float, Between(0.2, 20)] = 4.0
    """How many times a second the kernel's numbers are read."""
    catalogue: str = ""
    """Where `procchi eggs --catalogue` and the egg shop find more eggs: the path or URL of a
    catalogue, such as one in the classroom. PROCCHI_CATALOGUE overrules it."""
    hatch: Hatching = Hatching()
    """What a new pet may use where nobody says otherwise, here and with `procchi hatch`."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Other keys for what can be done: an action, and its keys separated by commas."""
    snacks: Mapping[str, str] = field(default_factory=dict)
    """More snacks: a name, and the command line that the pet's shell is fed."""


def offer_catalogue(config: Config) -> None:
    """Tell the engine of the catalogue, unless the environment names one already."""
    if config.catalogue:
        os.environ.setdefault("PROCCHI_CATALOGUE", os.path.expanduser(config.catalogue))


class Loaded(NamedTuple):
    """What the file says."""

    config: Config
    troubles: tuple[str, ...]
    """A line for each thing in the file that was not understood, and what was done instead."""


def load(path: Path) -> Loaded:
    """Read the file at `path`; where there is none, or nothing can be made of it, the defaults."""
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Loaded(Config(), ())
    except (OSError, ValueError) as error:  # tomllib's and UTF-8's errors are ValueErrors
        why = error.strerror if isinstance(error, OSError) else error
        return Loaded(Config(), (f"{path}: {why}; the defaults are used",))
    troubles: list[str] = []
    config = _section(Config, said, "", troubles)
    return Loaded(config, tuple(f"{path}: {trouble}" for trouble in troubles))


Section = TypeVar("Section")


def _section(
    kind: type[Section], said: Mapping[str, Any], place: str, troubles: list[str]
) -> Section:
    hints = get_type_hints(kind, include_extras=True)
    values: dict[str, Any] = {}
    for key, value in said.items():
        where = f"{place}{key}"
        if key not in hints:
            troubles.append(f"{where}: there is no such key{_meant(key, hints)}")
            continue
        hint = hints[key]
        if isinstance(hint, type) and is_dataclass(hint) and isinstance(value, dict):
            values[key] = _section(hint, value, f"{where}.", troubles)
            continue
        try:
            values[key] = _value(hint, key, value)
        except (ValueError, BadRequest) as error:
            troubles.append(
                f"{where} = {_toml(value)}: {error}; {_toml(getattr(kind(), key))} is used"
            )
    return kind(**values)


def _meant(key: str, known: Mapping[str, Any]) -> str:
    close = get_close_matches(key, known, 1)
    return f': "{close[0]}" perhaps' if close else f" (there are {', '.join(known)})"


def _value(hint: Any, key: str, value: Any) -> Any:
    """`value` as the type `hint` has it; ValueError says what is allowed."""
    if hint is bool:
        if not isinstance(value, bool):
            raise ValueError("it must be true or false")
    elif get_origin(hint) is Literal:
        if value not in get_args(hint):
            raise ValueError("it must be one of " + ", ".join(map(_toml, get_args(hint))))
    elif get_origin(hint) is Annotated:
        rule: Any = get_args(hint)[1]
        if isinstance(value, bool) or not isinstance(value, int | float | str):
            raise ValueError("it must be text in quotes or a number")
        if rule is Limits:
            Limits.from_json({key: value})
            return str(value)
        if isinstance(value, str) or not rule.least <= value <= rule.most:
            raise ValueError(f"it must be a number from {rule.least:g} to {rule.most:g}")
    elif get_origin(hint) is Mapping:
        return dict(_texts(value, ""))
    elif is_dataclass(hint):
        raise ValueError(f"it must be a table: [{key}]")
    elif not isinstance(value, str):
        raise ValueError("it must be text in quotes")
    return value


def _texts(table: Any, place: str) -> Iterator[tuple[str, str]]:
    """The texts in `table`, by their dotted names: `pet.hatch = "h"` is a table in TOML."""
    if not isinstance(table, dict):
        raise ValueError("it must be a table of texts in quotes")
    for name, value in table.items():
        if isinstance(value, str):
            yield place + name, value
        else:
            yield from _texts(value, f"{place}{name}.")


# -- the documented file


def document(config: Config, actions: Mapping[str, str]) -> str:
    """A file that says what `config` says, with every key explained.

    `actions` are those that keys can be given to, each with its own keys.
    """
    lines = [f"# {line}" for line in _wrapped(Config.__doc__ or "")]
    tables: list[str] = []
    for key in fields(Config):
        value, told = getattr(config, key.name), _docstrings(Config)[key.name]
        comment = [f"# {line}" for line in told]
        if is_dataclass(value) and not isinstance(value, type):
            tables += ["", *comment, f"[{key.name}]"]
            for inner in fields(value):
                tables += [f"# {line}" for line in _docstrings(type(value))[inner.name]]
                tables.append(_line(inner.name, getattr(value, inner.name), inner.default))
        elif isinstance(value, Mapping):
            tables += ["", *comment, f"[{key.name}]"]
            tables += [_line(name, text, None) for name, text in value.items()]
            if key.name == "keys":
                others = {name: keys for name, keys in actions.items() if name not in value}
                tables += [_line(name, keys, keys) for name, keys in others.items()]
            elif not value:
                tables.append(_line("who am I", "id; hostname; tty", "id; hostname; tty"))
        else:
            lines += ["", *comment, _line(key.name, value, key.default)]
    return "\n".join([*lines, *tables, ""])


def _line(key: str, value: object, default: object) -> str:
    plain = key.replace("-", "").replace("_", "").isalnum() and key.isascii()
    return ("# " if value == default else "") + f"{key if plain else _toml(key)} = {_toml(value)}"


def _toml(value: object) -> str:
    """As TOML writes it: JSON's texts, numbers, lists and truths are TOML's too."""
    if is_dataclass(value) and not isinstance(value, type):
        value = asdict(value)
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {_toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False, default=str)


@cache
def _docstrings(kind: type) -> dict[str, list[str]]:
    """What stands under each field of `kind` in its source."""
    body = ast.parse(dedent(getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    told = {}
    for node, following in zip(body.body, body.body[1:], strict=False):
        if isinstance(node, ast.AnnAssign) and isinstance(following, ast.Expr):
            assert isinstance(node.target, ast.Name)
            told[node.target.id] = _wrapped(ast.literal_eval(following.value))
    return told


def _wrapped(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines()]
