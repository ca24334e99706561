"""How commands read their words: click's own way, and where ours differs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

import engine

Function = TypeVar("Function", bound=Callable[..., Any])


def example(*commands: str) -> str:
    """What ends every --help: commands to type as they stand."""
    return "\b\nExample:\n" + "\n".join(f"  {command}" for command in commands)


class NameThenCommand(click.Command):
    """`[OPTIONS] NAME [OPTIONS] [--] COMMAND…`: from the command's first word on, all is its own.

    Click knows options before the first word or anywhere; `feed moka -it ls -l` needs them to
    end with `ls`. So the options behind NAME are moved before it.
    """

    allow_interspersed_args = False

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Put the options behind NAME before it, then parse as click does."""
        words = self._positional(ctx, args)
        before = args[: len(args) - len(words)]
        if words and before[-1:] != ["--"]:
            name, *behind = words
            command = self._positional(ctx, behind)
            options = behind[: len(behind) - len(command)]
            args = [*before, *options, name, *command]
        return super().parse_args(ctx, args)

    def _positional(self, ctx: click.Context, args: list[str]) -> tuple[str, ...]:
        """What is left of `args` where the options end."""
        found = self.make_parser(ctx).parse_args(list(args))[0].get("words")
        return found if isinstance(found, tuple) else ()


class CommandLast(click.Command):
    """`NAME [EGG] [OPTIONS] [-- COMMAND…]`: only `--` begins a command, given as `command`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set the command apart, then parse as click does."""
        end = args.index("--") if "--" in args else len(args)
        left = super().parse_args(ctx, args[:end])
        ctx.params["command"] = tuple(args[end + 1 :])
        return left

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """The usage line, with the command."""
        return [*super().collect_usage_pieces(ctx), "[-- COMMAND...]"]


def complete_pet(ctx: click.Context, param: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of pets for the shell's completion; none where the nest cannot be asked."""
    try:
        return [
            CompletionItem(pet.name, help=pet.mood)
            for pet in engine.pets()
            if pet.name.startswith(word)
        ]
    except engine.ProcchiError:
        return []


def complete_egg(ctx: click.Context, param: click.Parameter, word: str) -> list[CompletionItem]:
    """Names of eggs, likewise."""
    try:
        return [CompletionItem(egg.name) for egg in engine.eggs() if egg.name.startswith(word)]
    except engine.ProcchiError:
        return []


def name_argument(function: Function) -> Function:
    """NAME: one pet."""
    return click.argument("name", shell_complete=complete_pet)(function)


def names_argument(function: Function) -> Function:
    """NAME…: one pet or more."""
    return click.argument(
        "names", nargs=-1, required=True, metavar="NAME...", shell_complete=complete_pet
    )(function)


def soft_options(function: Function) -> Function:
    """--memory-high and --swap: what few pets need."""
    function = click.option(
        "--swap", metavar="SIZE", help="So much swap on top of its memory; none unless asked for."
    )(function)
    return click.option(
        "--memory-high",
        metavar="SIZE",
        help="A soft limit below it: slowed down from there on, and memory taken back.",
    )(function)


def json_option(function: Function) -> Function:
    """--json."""
    return click.option("--json", "as_json", is_flag=True, help="One JSON document.")(function)


def run_options(function: Function) -> Function:
    """--env, --workdir and --user, as `hatch` and `feed` both have them."""
    options = (
        click.option("-e", "--env", multiple=True, metavar="K=V", help="Into its environment."),
        click.option("-w", "--workdir", metavar="DIR", help="Where the command begins."),
        click.option(
            "-u", "--user", metavar="USER", help="Who runs it: name, uid, name:group or uid:gid."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def environment(pairs: tuple[str, ...]) -> dict[str, str]:
    """What --env says. Raises UsageError."""
    variables = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise click.UsageError(f"--env {pair!r} is no variable: write it like LANG=C.UTF-8")
        variables[key] = value
    return variables
