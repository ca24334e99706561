"""`procchi doctor` and `procchi nest`: what this machine can do, and the process that does it."""

from __future__ import annotations

import json
from dataclasses import asdict

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
    ]
    click.echo(text.columns(rows))


@nest.command(epilog=words.example("procchi nest stop"))
def stop() -> None:
    """End the nest. Pets live on: the next command starts another nest, which adopts them."""
    engine.stop_nest()
