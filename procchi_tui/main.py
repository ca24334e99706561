"""The two commands' entries: `procchi` and `procchi-tui`.

Kept light: `procchi pets` answers within twice a bare interpreter's start, so what one command
does not need is imported late. Whatever goes wrong ends in one line and a status here.
"""

from __future__ import annotations

import os
import sys

BROKEN_PIPE = 141
"""128 + SIGPIPE: what a shell shows for a program that `| head` has left."""


def main() -> int:
    """The command line. Returns the exit status."""
    words = sys.argv[1:]
    if sys.platform != "linux":
        return _not_linux("procchi")
    _open_what_is_closed()
    try:
        sys.stdout.reconfigure(errors="replace")  # type: ignore[union-attr]
        status = _answer(words)
        sys.stdout.flush()
    except BrokenPipeError:
        _silence(sys.stdout.fileno())
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from procchi_tui.cli import failures

        return failures.report(error, words)
    return status


def _open_what_is_closed() -> None:
    """Put /dev/null where the caller has closed a standard stream.

    In their order, for each gets the lowest free number: else the next file that we open would get
    it, and be what we complain into, or what a meal is handed as its input.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


def _answer(words: list[str]) -> int:
    if words[:1] in (["pets"], ["ps"]) and set(words[1:]) <= {"-a", "--all", "--json"}:
        from procchi_tui.cli import listing

        listing.show(everything=bool({"-a", "--all"} & set(words)), as_json="--json" in words)
        sys.stdout.flush()
        os._exit(0)  # taking the interpreter down in order costs half as much as its start
    from procchi_tui.cli import program

    return program.run(words)


def _silence(fd: int) -> None:
    """Nobody reads `fd` any more: let what is still buffered go nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), fd)


def _not_linux(name: str) -> int:
    print(
        f"{name}: pets are made of Linux namespaces and control groups, and this is "
        f"{sys.platform}: run it on Linux (a virtual machine or WSL 2 will do)",
        file=sys.stderr,
    )
    return 1


def tui() -> int:
    """The full-screen session. Returns the exit status."""
    if sys.platform != "linux":
        return _not_linux("procchi-tui")
    _open_what_is_closed()
    # Milliseconds, as ncurses has it; Textual reads it once, when it is first imported. Within its
    # own 100 an editor's user types `Esc :`.
    os.environ.setdefault("ESCDELAY", "25")
    try:
        from procchi_tui.cli import screen

        return screen.run(sys.argv[1:])
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from procchi_tui.cli import failures

        return failures.report(error, ["procchi-tui"])
