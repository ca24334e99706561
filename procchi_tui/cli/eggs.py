"""`procchi pull` and `procchi eggs`: what pets hatch from."""

from __future__ import annotations

import json
import sys
import time

import click

import engine
from procchi_tui.cli import text, words


@click.command(
    epilog=words.example("procchi pull home", "procchi pull ./debian-rootfs.tar.gz --name debian")
)
@click.argument("egg")
@click.option("--name", help="What to call it here.  [default: from EGG]")
@click.option("--sha256", metavar="HEX", help="Refuse it unless the file has this digest.")
def pull(egg: str, name: str | None, sha256: str | None) -> None:
    """Fetch an egg (an image: a root filesystem) into the store.

    EGG is `home` (cooked from this machine's own shell and tools, no network needed), the path
    of a tarball, `docker save` archive, OCI layout or folder, an http(s) or file URL, or an
    image in a registry (debian:bookworm-slim, localhost:5000/name).
    """
    if sys.stderr.isatty():
        found = _pull_with_a_bar(egg, name, sha256)
    else:
        found = engine.pull(egg, name=name, sha256=sha256)
    click.echo(f"{found.name}   {found.digest}   {text.size(found.size)}")
    for reason, count in found.left_out.items():
        click.echo(f"procchi: {found.name}: {count} × {reason}", err=True)


def _pull_with_a_bar(egg: str, name: str | None, sha256: str | None) -> engine.Egg:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        TimeElapsedColumn(),
        console=Console(stderr=True),
        transient=True,
    ) as bar:
        task = bar.add_task("resolving", total=None, amount="")

        def show(now: engine.Progress) -> None:
            count = str if now.stage == "cooking" else text.size
            amount = count(now.done) + (f" of {count(now.total)}" if now.total else "")
            bar.update(
                task, description=now.stage, completed=now.done, total=now.total, amount=amount
            )

        return engine.pull(egg, name=name, sha256=sha256, progress=show)


@click.group(
    epilog=words.example("procchi eggs", "procchi eggs rm debian"), invoke_without_command=True
)
@words.json_option
@click.pass_context
def eggs(ctx: click.Context, as_json: bool) -> None:
    """List the eggs (images); `eggs rm` removes one."""
    if ctx.invoked_subcommand:
        return
    found = engine.eggs()
    if as_json:
        click.echo(json.dumps([egg.to_json() for egg in found], indent=2))
    elif found:
        click.echo(text.columns([("NAME", "SIZE", "AGE", "DIGEST", "FROM"), *map(_row, found)]))
    else:
        click.echo("no eggs yet; pull one: procchi pull home", err=True)


def _row(egg: engine.Egg) -> tuple[str, ...]:
    age = text.age(time.time() - egg.created_at.timestamp())
    digest = egg.digest.removeprefix("sha256:")[:12]
    return egg.name, text.size(egg.size), age, digest, egg.source


@eggs.command("rm", epilog=words.example("procchi eggs rm debian"))
@click.argument("name", shell_complete=words.complete_egg)
def remove(name: str) -> None:
    """Remove an egg (an image) from the store."""
    engine.remove_egg(name)
    click.echo(name)
