"""The `procchi` command: its subcommands, their other names, and how one is run."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

import click
from click.shell_completion import shell_complete

from procchi_tui.cli import eggs, feeding, hatching, house, keeping, stats, words

ALIASES = {
    "create": "hatch",
    "run": "hatch",
    "exec": "feed",
    "ps": "pets",
    "pause": "sleep",
    "unpause": "wake",
    "update": "diet",
    "rm": "release",
}
"""The field's own words, which the command line takes as well."""

COMPLETION = "_PROCCHI_COMPLETE"


class Program(click.Group):
    """Commands in the order of a pet's life, each under its other names too."""

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of either name."""
        return super().get_command(ctx, ALIASES.get(cmd_name, cmd_name))

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Our own names."""
        return list(self.commands)


@click.group(
    cls=Program,
    invoke_without_command=True,
    epilog=words.example(
        "procchi hatch moka",
        "procchi feed moka -- hostname",
        "procchi look moka",
        "procchi release moka",
    ),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="procchi", message="%(prog)s %(version)s")
@click.pass_context
def program(ctx: click.Context) -> None:
    """Containers as pets: real Linux processes in namespaces and control groups.

    Pull an egg (an image), hatch a pet (a container), feed it commands, and see its mood, which
    is read off the kernel's own numbers. procchi-tui shows all of them on the full screen.

    The field's own words are taken as well: run, exec, ps, update, pause, unpause and rm.
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


for command in (
    eggs.pull,
    eggs.eggs,
    hatching.hatch,
    feeding.feed,
    keeping.pets,
    keeping.look,
    stats.stats,
    keeping.logs,
    keeping.meals,
    keeping.diet,
    keeping.sleep,
    keeping.wake,
    keeping.release,
    keeping.events,
    house.doctor,
    house.nest,
):
    program.add_command(command)


def _settings(arguments: list[str]) -> dict[str, Any]:
    """What the configuration file says of the options that are not given."""
    word = next((word for word in arguments if not word.startswith("-")), "")
    if ALIASES.get(word, word) not in ("hatch", "pull", "eggs"):
        return {}
    from procchi_tui import config  # late: few commands need it
    from procchi_tui.places import config_file

    settings, troubles = config.load(config_file())
    for trouble in troubles:
        click.echo(f"procchi: {trouble}", err=True)
    config.offer_catalogue(settings)
    return {word: asdict(settings.hatch)} if ALIASES.get(word, word) == "hatch" else {}


def run(arguments: list[str]) -> int:
    """Run the command that `arguments` name. Returns its status; raises what goes wrong."""
    if instruction := os.environ.get(COMPLETION):
        return shell_complete(program, {}, "procchi", COMPLETION, instruction)
    try:
        with program.make_context(
            "procchi", list(arguments), default_map=_settings(arguments)
        ) as context:
            status = program.invoke(context)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    return status if isinstance(status, int) else 0
