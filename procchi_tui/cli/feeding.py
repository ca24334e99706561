"""`procchi feed`: a command in a living pet, with the caller's own descriptors or a terminal."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from types import FrameType

import click
from click.shell_completion import CompletionItem

import engine
from procchi_tui.cli.explaining import explain as explain_steps
from procchi_tui.cli.words import NameThenCommand, complete_pet, environment, example, run_options

FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def _complete(ctx: click.Context, param: click.Parameter, word: str) -> list[CompletionItem]:
    return [] if ctx.params.get("words") else complete_pet(ctx, param, word)


@click.command(
    epilog=example(
        "procchi feed moka -- echo hi",
        "procchi feed -it moka sh",
        "procchi feed --explain moka -- true",
        "procchi feed --user nobody --workdir /tmp moka -- id",
        "procchi feed moka --write 'echo hi'",
        "procchi feed moka --signal KILL",
    ),
    cls=NameThenCommand,
    options_metavar="[-it] [--explain] [-e K=V] [-w DIR] [-u USER] [--signal SIG | --write TEXT]",
)
@click.argument(
    "words",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="NAME [--] [COMMAND]...",
    shell_complete=_complete,
)
@click.option("-i", "--interactive", is_flag=True, help="Pass our standard input, terminal or not.")
@click.option("-t", "--tty", is_flag=True, help="Give the command a terminal of its own.")
@run_options
@click.option(
    "--signal",
    "sig",
    metavar="SIG",
    help="Send its PID 1 a signal, as kill does. A PID 1 never sees a signal that it has no "
    "handler for, and a shell has few: pid_namespaces(7). KILL and STOP always work.",
)
@click.option("--write", "written", metavar="TEXT", help="Write a line to its PID 1's input.")
@click.option("--explain", is_flag=True, help="Then print each step, and what it did, on stderr.")
def feed(
    words: tuple[str, ...],
    interactive: bool,
    tty: bool,
    env: tuple[str, ...],
    workdir: str | None,
    user: str | None,
    sig: str | None,
    written: str | None,
    explain: bool,
) -> int:
    """Feed a pet: run a command in it (exec).

    Its environment, working directory and user are the pet's, but for what is said here.

    It ends with the command's own status; without one, with 1 where the pet cannot be fed (there
    is none, it is asleep or a ghost), 2 for wrong words, 125 for a failure of Procchi's, 126 for a
    command that cannot be executed, 127 for one that is not there. Input that is piped or
    redirected is passed on; from a terminal only with -i.
    """
    if not words:
        raise click.UsageError("which pet? Missing NAME")
    name, *command = words
    if (sig is not None) + (written is not None) + bool(command) != 1:
        raise click.UsageError("give one of: a command, --signal SIG, or --write TEXT")
    if sig is not None:
        engine.signal(name, _signal(sig))
        return 0
    if written is not None:
        engine.write(name, written if written.endswith("\n") else f"{written}\n")
        return 0
    if tty and not os.isatty(0):
        raise click.ClickException(
            "-t gives the command a terminal like ours, and our input is none: leave -t out"
        )
    variables = environment(env)

    def begin(stdio: tuple[int, int, int]) -> engine.OpenMeal:
        return engine.open_meal(
            name,
            command,
            stdio=stdio,
            terminal=tty,
            environment={"TERM": os.environ.get("TERM", "xterm")} | variables if tty else variables,
            working_directory=workdir,
            user=user,
        )

    eat = _in_a_terminal if tty else _directly
    meal, number = eat(begin, interactive)
    if meal.oom_killed:
        click.echo(
            f"procchi: the OOM killer struck while {name} ate that: "
            "it wanted more memory than its limit allows",
            err=True,
        )
    if explain:
        explain_steps(engine.care_log(name, meal=number), stderr=True)
    return meal.exit_code


def _signal(text: str) -> int:
    """The number of `TERM`, `SIGTERM`, `RTMIN+3` or `15`."""
    name, _, more = text.upper().removeprefix("SIG").partition("+")
    with suppress(ValueError, KeyError):
        base = int(name) if name.isdecimal() else signal.Signals[f"SIG{name}"]
        if (number := base + int(more or 0)) in signal.valid_signals():
            return number
    raise click.UsageError(f"{text!r} is no signal: write it like TERM or 15")


Begin = Callable[[tuple[int, int, int]], engine.OpenMeal]


def _directly(begin: Begin, interactive: bool) -> tuple[engine.Meal, int]:
    """How it ended, and its number among the pet's meals."""
    stdin = os.open(os.devnull, os.O_RDONLY) if os.isatty(0) and not interactive else 0
    stdio = (stdin, _for_writing(1), _for_writing(2))
    with Forwarder() as forwarder, begin(stdio) as meal:
        forwarder.begin(meal)
        return meal.wait(), meal.number


def _for_writing(fd: int) -> int:
    """Our output, for that alone.

    A terminal's can be read as well: by whatever a command leaves behind in the pet, too.
    """
    if os.isatty(fd):
        with suppress(OSError):  # another user's, as after su
            return os.open(f"/proc/self/fd/{fd}", os.O_WRONLY | os.O_NOCTTY)
    return fd


def _in_a_terminal(begin: Begin, interactive: bool) -> tuple[engine.Meal, int]:
    """The same, in a terminal of the pet's."""
    from procchi_tui import terminal

    with Forwarder() as forwarder, begin((0, 1, 2)) as meal:
        forwarder.begin(meal)
        return terminal.relay(meal, interactive), meal.number


class Forwarder:
    """What would end us is passed on to the command instead, whose ending is ours.

    It listens before the command begins, so that nothing is lost between the two. A second
    signal before there is a command ends us.
    """

    def __init__(self) -> None:
        self._meal: engine.OpenMeal | None = None
        self._early: list[int] = []
        self._before = {number: signal.getsignal(number) for number in FORWARDED}

    def __enter__(self) -> Forwarder:
        for number, handler in self._before.items():
            if handler != signal.SIG_IGN:  # as under nohup
                signal.signal(number, self._pass_on)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def begin(self, meal: engine.OpenMeal) -> None:
        """From now on `meal` gets the signals, beginning with those that came early."""
        self._meal = meal
        for number in self._early:
            meal.signal(number)

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        if self._meal:
            self._meal.signal(number)
        elif self._early:
            raise KeyboardInterrupt
        else:
            self._early.append(number)
