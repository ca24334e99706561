"""Making a system call, saying what went wrong with it, and writing down that it was made."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable
from typing import Any, TypeVar

from engine.model import Call

T = TypeVar("T")


class SyscallError(OSError):
    """A system call that the kernel refused: which, with what, and the kernel's own word."""

    def __init__(self, errno: int, syscall: str, arguments: str, path: str | None = None) -> None:
        super().__init__(errno, os.strerror(errno), path)
        self.syscall = syscall
        self.arguments = arguments

    def __str__(self) -> str:
        return f"{self.syscall}({self.arguments}): {self.strerror}"


_journal: list[Call] | None = None
_quoted = json.JSONEncoder(ensure_ascii=False).encode


class recording:  # noqa: N801 (used as a function is)
    """Collect every call made inside the block, refused ones too, in the list that it gives."""

    def __enter__(self) -> list[Call]:
        global _journal
        self._outer, _journal = _journal, []
        return _journal

    def __exit__(self, *_: object) -> None:
        global _journal
        _journal = self._outer


def shown(value: object) -> str:
    """An argument as strace would print it, long ones cut."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    text = _quoted(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 120 else text[:117] + '..."'


def call(
    name: str,
    function: Callable[..., T],
    *arguments: Any,
    args: str | None = None,
    path: str | None = None,
) -> T:
    """Run `function(*arguments)`, which makes the system call `name`, and write it down.

    `args` is what the record shows in place of the arguments. Raises SyscallError where
    `function` raises OSError.
    """
    text = ", ".join(map(shown, arguments)) if args is None else args
    start = time.perf_counter_ns()
    try:
        result = function(*arguments)
    except OSError as error:
        _write_down(name, text, f"-1 {os.strerror(error.errno or 0)}", start)
        raise SyscallError(error.errno or 0, name, text, path) from None
    _write_down(name, text, "0" if result is None else shown(result), start)
    return result


def _write_down(name: str, args: str, result: str, start: int) -> None:
    if _journal is not None:
        _journal.append(Call(name, args, result, (time.perf_counter_ns() - start) / 1000))


def write_down(made: Call) -> None:
    """Record a call that another process made in this one's place."""
    if _journal is not None:
        _journal.append(made)
