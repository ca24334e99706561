"""`procchi-tui`: what its words mean, and the session that they ask for."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast, get_args

import click

import engine
from engine import ProcchiError
from procchi_tui import config, themes
from procchi_tui.cli import words
from procchi_tui.cli.words import Function
from procchi_tui.nest_engine import Engine
from procchi_tui.places import config_file


def _switch(name: str, words: str) -> Callable[[Function], Function]:
    return click.option(f"--{name}/--no-{name}", default=None, help=words)


@click.command(
    epilog=words.example("procchi-tui", "procchi-tui --calm --theme nord"),
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--theme", metavar="NAME", help="Colours: procchi-night, procchi-day, nord, …")
@click.option(
    "--art", type=click.Choice(get_args(config.Art)), help="How pets are drawn; else by terminal."
)
@click.option("--ascii", "art", flag_value="ascii", help="The same as --art ascii: plain ASCII.")
@_switch("emoji", "Emoji in messages.")
@_switch("calm", "Nothing moves by itself.")
@_switch("bell", "Ring when a pet dies.")
@_switch("presenter", "Cards for a projector: larger, with fewer facts.")
@_switch("read-only", "Nothing can be changed from this screen.")
@_switch("plain", "Lines of words instead of a screen, for screen readers and logs.")
@click.option("--record", metavar="FILE", help="Record the session there, for asciinema play.")
@click.option("--web", is_flag=True, help="Show it in a browser instead, behind a token.")
@click.option("--host", metavar="ADDRESS", default="127.0.0.1", help="Where --web listens.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, help="0: any free one.")
@click.option("--print-config", is_flag=True, help="Print the settings, each explained, and end.")
@click.version_option(package_name="procchi", message="%(prog)s %(version)s")
def screen(
    print_config: bool,
    record: str | None,
    web: bool,
    host: str,
    port: int,
    **said: Any,
) -> int:
    """The nest on the full screen.

    Hatch pets (containers), feed them commands, and watch their moods, which are read off the
    kernel's own numbers. Pets live on when you quit. Press ? inside for the keys; procchi --help
    lists the same from the command line.

    What is said here goes before the configuration file (procchi-tui --print-config).
    """
    settings, troubles = _settings()
    if print_config:
        from procchi_tui.keymap import default_keys

        click.echo(config.document(settings, default_keys()), nl=False)
        for trouble in troubles:
            click.echo(f"procchi-tui: {trouble}", err=True)
        return 0
    if said["theme"] and (refusal := themes.refusal(said["theme"])):
        raise click.BadParameter(refusal, param_hint="--theme")
    if web and said["plain"]:
        raise click.UsageError("--web shows the screen, --plain does without: leave out one")
    if record and (web or said["plain"]):
        raise click.UsageError("--record takes down a screen in this terminal: leave out the other")
    if web:
        return _in_a_browser(said | {"plain": False}, host, port)
    settings = replace(settings, **{key: value for key, value in said.items() if value is not None})
    if settings.plain and not record:
        for trouble in troubles:
            click.echo(f"procchi-tui: {trouble}", err=True)
        from procchi_tui.announcer import announce

        announce(cast(Engine, engine), settings.readings)
    if not (os.isatty(0) and os.isatty(1)) and "TEXTUAL_DRIVER" not in os.environ:
        raise ProcchiError(
            "procchi-tui draws on a terminal, and there is none here: "
            "run it in one, or use procchi (see procchi --help)"
        )
    from procchi_tui.app import run as start

    try:
        return start(settings, troubles, record)
    except FileExistsError as error:
        raise click.BadParameter(
            f"{error.filename} is there already: choose another name", param_hint="--record"
        ) from None


def _in_a_browser(said: dict[str, Any], host: str, port: int) -> int:
    try:
        from procchi_tui.web import serve
    except ImportError as error:
        raise ProcchiError(
            f"--web needs {error.name}, which is not installed: pip install 'procchi[web]'"
        ) from None
    options = []
    for key, value in said.items():
        if isinstance(value, bool):
            options.append(f"--{'' if value else 'no-'}{key.replace('_', '-')}")
        elif value is not None:
            options.append(f"--{key}={value}")
    return serve(options, host, port)


def _settings() -> config.Loaded:
    """What the configuration file says, and all that is wrong with it."""
    file = config_file()
    settings, troubles = config.load(file)
    config.offer_catalogue(settings)
    more = []
    if settings.theme and (refusal := themes.refusal(settings.theme)):
        more.append(f'theme = "{settings.theme}": {refusal}; the one chosen last is used')
        settings = replace(settings, theme="")
    if settings.keys:
        from procchi_tui import keymap

        good, refused = keymap.checked(settings.keys)
        settings = replace(settings, keys=good)
        more += refused
    return config.Loaded(settings, (*troubles, *(f"{file}: {trouble}" for trouble in more)))


def run(arguments: list[str]) -> int:
    """Run the session that `arguments` ask for. Returns its status; raises what goes wrong."""
    try:
        with screen.make_context("procchi-tui", list(arguments)) as context:
            status = screen.invoke(context)
    except click.exceptions.Exit as ending:
        return ending.exit_code
    return status if isinstance(status, int) else 0
