"""`procchi doctor` and `procchi nest`: what this machine can do, and the process that does it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

import engine
from procchi_tui.cli import text, words


@click.command(epilog=words.example("procchi doctor"))
@words.json_option
def doctor(as_json: bool) -> int:
    """Check what this machine has for pets, and what to do.

    Kernel, namespaces, control groups, ids, room. Ends with status 1 when something is missing.
    """
    checks = engine.doctor()
    if as_json:
        click.echo(json.dumps([asdict(check) for check in checks], indent=2))
    else:
        for check in checks:
            mark = click.style("ok", "green") if check.ok else click.style("--", "yellow")
            click.echo(f"{mark}  {check.name}: {check.found}")
            if check.remedy:
                click.echo(f"      {check.remedy}")
    return 0 if all(check.ok for check in checks) else 1


@click.group(
    epilog=words.example("procchi nest status", "procchi nest stop"), invoke_without_command=True
)
@click.pass_context
def nest(ctx: click.Context) -> None:
    """The nest, the one process that keeps your pets (the daemon).

    It starts when it is needed.
    """
    if ctx.invoked_subcommand is None:
        ctx.invoke(status)


@nest.command(epilog=words.example("procchi nest status"))
def status() -> None:
    """Say whether the nest runs, and with what."""
    found = engine.nest_status()
    if not found["running"]:
        click.echo("not running; the first command that needs it starts it")
        return
    cgroup = found["cgroup"]
    rows = [
        ("pid", str(found["pid"])),
        ("since", found["since"]),
        ("pets", str(found["pets"])),
        ("home", found["home"]),
        ("cgroups", f"{cgroup['kind']}: {cgroup['why']}"),
        ("enforced", ", ".join(cgroup["enforced"]) or "nothing: see procchi doctor"),
        ("ceiling", _ceiling(found["ceiling"])),
    ]
    click.echo(text.columns(rows))


@nest.command(epilog=words.example("procchi nest ceiling --memory 50% --cpu 1.5 --pids default"))
@click.option("--memory", metavar="SIZE", help="At most so many bytes for all pets together.")
@click.option("--cpu", metavar="CORES", help="At most so many cores' time.")
@click.option("--pids", metavar="NUMBER", help="At most so many tasks at once.")
@words.json_option
def ceiling(as_json: bool, **limits: str | None) -> None:
    """Show or change what all pets together may use, so that a host is left.

    Each is an amount, a share of the host like 75%, `unlimited` or `default`.
    """
    found = engine.ceiling(**{key: value for key, value in limits.items() if value is not None})
    click.echo(json.dumps(found, indent=2) if as_json else _ceiling(found))


def _ceiling(found: Mapping[str, Any]) -> str:
    """What all pets together may use, in one line."""
    told = []
    for name in ("memory", "cpu", "pids"):
        chosen, limit = found["chosen"][name], text.limit(name, found)
        told.append(f"{name} {limit}" + ("" if chosen in {"unlimited", limit} else f" ({chosen})"))
    loose = "" if found["enforced"] else f"; not enforced: {found['why'] or 'see procchi doctor'}"
    return ", ".join(told) + loose


@nest.command(epilog=words.example("procchi nest moods", "procchi nest moods hunger=300 tired=0.5"))
@click.argument("changes", nargs=-1, metavar="[NAME=VALUE]...")
@words.json_option
def moods(changes: tuple[str, ...], as_json: bool) -> None:
    """Show or change where the moods begin and end.

    A VALUE is a number, `0.9:0.85` for where a mood begins and where it ends, or `default`.
    """
    pairs = [change.partition("=") for change in changes]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise click.UsageError(f"{wrong[0]!r} changes nothing: write it like hunger=300")
    found = engine.thresholds(**{name: value for name, _, value in pairs})
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    shown = {
        name: ":".join(f"{part:g}" for part in value) if isinstance(value, list) else f"{value:g}"
        for name, value in found.items()
    }
    click.echo(text.columns([*shown.items()]))


@nest.command(epilog=words.example("procchi nest stop"))
def stop() -> None:
    """End the nest. Pets live on: the next command starts another nest, which adopts them."""
    engine.stop_nest()
