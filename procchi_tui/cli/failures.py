"""What went wrong, as one line on stderr and an exit status."""

from __future__ import annotations

import os
import sys
import traceback

import click

from engine import (
    BadRequest,
    CommandNotExecutable,
    CommandNotFound,
    NameTaken,
    NoSuchEgg,
    NoSuchPet,
    NotAwake,
    ProcchiError,
    PullFailed,
)

FAILED, WRONG_WORDS, OWN_FAILURE, NOT_EXECUTABLE, NOT_FOUND = 1, 2, 125, 126, 127

RUNNERS = {"feed", "exec", "hatch", "create", "run"}
"""Their status may be a command's own: a failure of ours is told apart from it by 125."""
REFUSALS = (NoSuchPet, NameTaken, NotAwake, NoSuchEgg, PullFailed)
"""What a keeper can set right, and so no failure of ours."""


def report(error: Exception, words: list[str]) -> int:
    """Print one line about `error`, which `words` led to, and return the exit status.

    With PROCCHI_DEBUG=1 the traceback comes first.
    """
    if os.environ.get("PROCCHI_DEBUG") == "1":
        traceback.print_exception(error)
    print(f"procchi: {' '.join(_line(error).split())}", file=sys.stderr)
    return _status(error, runner=bool(RUNNERS & set(words[:1])))


def _line(error: Exception) -> str:
    if isinstance(error, click.ClickException):
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        return error.format_message().rstrip(".") + hint
    if isinstance(error, ProcchiError):
        return str(error)
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}"
    return (
        f"{type(error).__name__}: {error}: this is a mistake of Procchi's own; "
        "please report it, with what PROCCHI_DEBUG=1 prints"
    )


def _status(error: Exception, runner: bool) -> int:
    match error:
        case click.ClickException():
            return error.exit_code
        case BadRequest():
            return WRONG_WORDS
        case CommandNotFound():
            return NOT_FOUND
        case CommandNotExecutable():
            return NOT_EXECUTABLE
    return OWN_FAILURE if runner and not isinstance(error, REFUSALS) else FAILED
