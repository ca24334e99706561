"""The engine for a screen that must not change anything, as one that many can reach."""

from __future__ import annotations

from typing import Any, cast

from engine import ProcchiError
from procchi_tui.nest_engine import Engine

LOOKING = frozenset(
    "care_log catalogue details doctor egg eggs log_path look meals nest_status pets remedy watch "
    "xray".split()
)
"""The functions that only look. What is not known to be one of them is refused."""
REFUSAL = "This screen is read-only: nothing is changed from here."


def read_only(engine: Engine) -> Engine:
    """`engine`, with every function refused that does more than look."""
    return cast(Engine, _ReadOnly(engine))


class _ReadOnly:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name) if name in LOOKING else _refuse


def _refuse(*_: object, **__: object) -> None:
    raise ProcchiError(REFUSAL)
