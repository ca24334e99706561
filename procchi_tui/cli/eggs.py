"""`procchi pull` and `procchi eggs`: what pets hatch from."""

from __future__ import annotations

import json
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import click

import engine
from procchi_tui.cli import text, words
from procchi_tui.pace import Pace
from procchi_tui.words import one_line


@click.command(
    epilog=words.example("procchi pull home", "procchi pull ./debian-rootfs.tar.gz --name debian")
)
@click.argument("egg")
@click.option("--name", help="What to call it here.  [default: from EGG]")
@click.option("--sha256", metavar="HEX", help="Refuse it unless the file has this digest.")
@click.option("--platform", metavar="OS/ARCH", help="Of an image, as linux/arm64; else this one.")
def pull(egg: str, name: str | None, sha256: str | None, platform: str | None) -> int:
    """Fetch an egg (an image: a root filesystem) into the store.

    EGG is `home` (cooked from this machine's own shell and tools, no network needed), a name of
    the catalogue (`procchi eggs --catalogue` lists it; it goes before a registry's image of the
    same short name), the path of a tarball, `docker save` archive, OCI layout or folder, an
    http(s) or file URL, or an image in a registry (debian:bookworm-slim, localhost:5000/name).

    An egg may have a million entries and unpack to 64G, and to 200 times what it takes packed;
    PROCCHI_BOUNDS="size=128G entries=2000000 ratio=500" in the environment allows more, or less.
    """
    try:
        with _shown() as progress:
            found = engine.pull(egg, name=name, sha256=sha256, platform=platform, progress=progress)
    except KeyboardInterrupt:
        click.echo("procchi: the pull was cancelled; what was downloaded is kept", err=True)
        return 128 + signal.SIGINT
    click.echo(f"{found.name}   {found.digest}   {text.size(found.size)}")
    for reason, count in found.left_out.items():
        click.echo(f"procchi: {found.name}: {count} × {reason}", err=True)
    if not engine.runs_here(found.platform):
        click.echo(
            f"procchi: {found.name} is for {found.platform}: nothing of it runs on this machine "
            "without an emulator (qemu-user-static)",
            err=True,
        )
    return 0


@contextmanager
def _shown() -> Iterator[Callable[[engine.Progress], None] | None]:
    """Shows how a pull goes, while there is somebody to look: in all, and each layer's part."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskID, TextColumn

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[amount]}"),
        console=Console(stderr=True),
        transient=True,
    ) as bars:
        whole = bars.add_task("resolving", total=None, amount="")
        layers: dict[str, TaskID] = {}
        pace = Pace()

        def show(now: engine.Progress) -> None:
            pace.note(now, time.monotonic())
            bars.update(
                whole,
                description=now.stage,
                completed=now.done,
                total=now.total,
                amount=pace.words(now),
            )
            for layer in now.layers if len(now.layers) > 1 else ():
                short = layer.digest.removeprefix("sha256:")[:12]
                if layer.digest not in layers:
                    layers[layer.digest] = bars.add_task(short, total=layer.total, amount="")
                bars.update(
                    layers[layer.digest],
                    description=f"  {short} {layer.state}",
                    completed=layer.done,
                    amount=text.size(layer.total),
                )

        yield show


@click.group(
    epilog=words.example("procchi eggs", "procchi eggs --catalogue", "procchi eggs show debian"),
    invoke_without_command=True,
)
@click.option("--catalogue", is_flag=True, help="Those that can be pulled by a short name.")
@words.json_option
@click.pass_context
def eggs(ctx: click.Context, catalogue: bool, as_json: bool) -> None:
    """List the eggs (images) that are here.

    With --catalogue, those that `procchi pull` knows by a short name; PROCCHI_CATALOGUE is the
    path or URL of a catalogue of your own, which goes before Procchi's.
    """
    if ctx.invoked_subcommand:
        return
    if catalogue:
        _list_catalogue(as_json)
        return
    found = engine.eggs()
    if as_json:
        click.echo(json.dumps([egg.to_json() for egg in found], indent=2))
    elif found:
        click.echo(text.columns([("NAME", "SIZE", "AGE", "DIGEST", "FROM"), *map(_row, found)]))
    else:
        click.echo("no eggs yet; pull one: procchi pull home", err=True)


def _list_catalogue(as_json: bool) -> None:
    offers = engine.catalogue()
    if as_json:
        click.echo(json.dumps([offer.to_json() for offer in offers], indent=2))
        return
    here = {egg.name for egg in engine.eggs()}
    rows = [
        (offer.name, "here" if offer.name in here else "", text.size(offer.size), offer.about)
        for offer in offers
    ]
    click.echo(text.columns([("NAME", "", "SIZE", "WHAT IT IS"), *rows]))


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


@eggs.command("show", epilog=words.example("procchi eggs show debian"))
@click.argument("name", shell_complete=words.complete_egg)
@words.json_option
def show(name: str, as_json: bool) -> None:
    """Show one egg closely (inspect).

    What it was made of, what it wants to be run with, and who lives on it.
    """
    found = engine.egg(name)
    if as_json:
        click.echo(json.dumps(found.to_json(), indent=2))
        return
    click.echo(text.columns([(what, one_line(value)) for what, value in _about(found)]))


def _about(found: engine.EggDetails) -> Iterable[tuple[str, str]]:
    egg = found.egg
    yield "name", egg.name
    yield "digest", egg.digest
    yield "from", egg.source
    yield "pulled", f"{egg.created_at.astimezone():%Y-%m-%d %H:%M:%S}"
    yield "size", f"{text.size(egg.size)} in {found.entries} files, directories and links"
    for number, (digest, size) in enumerate(found.parts, 1):
        yield f"layer {number}", f"{digest}   {text.size(size)} as it came"
    yield from (
        (key.replace("_", " "), _words(value)) for key, value in egg.config.items() if value
    )
    for reason, count in egg.left_out.items():
        yield "left out", f"{count} × {reason}"
    yield "lives on it", ", ".join(found.pets) or "nobody"


def _words(value: object) -> str:
    """A part of an image's configuration, as a shell would take it."""
    if isinstance(value, dict):
        return " ".join(f"{name}={shlex.quote(one)}" for name, one in value.items())
    return shlex.join(value) if isinstance(value, list) else str(value)


@eggs.command("verify", epilog=words.example("procchi eggs verify", "procchi eggs verify debian"))
@click.argument("names", nargs=-1, shell_complete=words.complete_egg)
@words.json_option
def verify(names: tuple[str, ...], as_json: bool) -> int:
    """Compare eggs with what was unpacked, file by file; all of them unless named.

    Ends with 1 where one is damaged: remove that egg, and pull it again.
    """
    verdicts = engine.verify_eggs(names)
    if as_json:
        click.echo(json.dumps([verdict.to_json() for verdict in verdicts], indent=2))
    for verdict in () if as_json else verdicts:
        state = "damaged" if verdict.damage else "whole"
        click.echo(f"{verdict.name}   {state}   {verdict.entries} entries compared")
        more = [f"and {verdict.more} more"] if verdict.more else []
        for line in (*verdict.damage, *more):
            click.echo(f"  {line}")
    return 1 if any(verdict.damage for verdict in verdicts) else 0


@eggs.command("gc", epilog=words.example("procchi eggs gc", "procchi eggs gc --json"))
@words.json_option
def collect(as_json: bool) -> None:
    """Free what nobody needs: layers without egg and pet, and what pulls have left."""
    freed = engine.collect_garbage()
    if as_json:
        click.echo(json.dumps(freed.to_json(), indent=2))
        return
    what = {
        "layers": "layers that no egg and no pet needs",
        "unfinished": "trees that dead pulls were unpacking",
        "downloads": "downloads, whole ones and beginnings",
    }
    for kind, (count, size) in freed.kinds.items():
        if count:
            click.echo(f"{count} × {what[kind]}: {text.size(size)}")
    click.echo(f"{text.size(freed.to_json()['bytes'])} freed")
    if freed.pulling:
        click.echo("procchi: a pull is under way: downloads were left alone", err=True)
