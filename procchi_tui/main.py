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
    if sys.stdout is None:  # the caller has closed it
        sys.stdout = open(os.devnull, "w")
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


TUI_HELP = """\
Usage: procchi-tui [--help] [--version]

The nest on the full screen: hatch pets (containers), feed them commands, and watch their
moods, which are read off the kernel's own numbers. Pets live on when you quit.

Press ? inside for the keys. `procchi --help` lists the same from the command line.

Example:
  procchi-tui
"""


def tui() -> int:
    """The full-screen session. Returns the exit status."""
    words = sys.argv[1:]
    if sys.platform != "linux":
        return _not_linux("procchi-tui")
    if words in (["--help"], ["-h"]):
        print(TUI_HELP, end="")
        return 0
    if words == ["--version"]:
        print(f"procchi-tui {version()}")
        return 0
    if words:
        print(f"procchi-tui: no such word: {words[0]} (see procchi-tui --help)", file=sys.stderr)
        return 2
    if not (os.isatty(0) and os.isatty(1)):
        print(
            "procchi-tui: it draws on a terminal, and there is none here: "
            "run it in one, or use procchi (see procchi --help)",
            file=sys.stderr,
        )
        return 1
    try:
        from procchi_tui.app import run

        return run()
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        from procchi_tui.cli import failures

        return failures.report(error, ["procchi-tui"])


def version() -> str:
    """The installed version."""
    from importlib import metadata

    return metadata.version("procchi")
