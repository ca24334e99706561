"""`procchi hatch`: a pet from an egg, and how it was built."""

from __future__ import annotations

from collections.abc import Sequence

import click

import engine
from procchi_tui.cli import words


@click.command(
    epilog=words.example(
        "procchi hatch moka",
        "procchi hatch moka debian --memory 100M --cpu 0.5 --pids 64",
        "procchi hatch ticker -- sh -c 'while sleep 1; do date; done'",
    ),
    cls=words.CommandLast,
)
@click.argument("name")
@click.argument("egg", default="home", shell_complete=words.complete_egg)
@click.option("--memory", default="50M", show_default=True, help="At most so many bytes; no swap.")
@click.option("--cpu", default="0.5", show_default=True, help="At most so many cores' time.")
@click.option("--pids", default="64", show_default=True, help="At most so many tasks at once.")
@click.option(
    "--net",
    type=click.Choice(["none", "host"]),
    default="none",
    show_default=True,
    help="A network of its own with nothing but loopback, or the host's.",
)
@click.option("--hostname", metavar="H", help="Its host name.  [default: NAME]")
@click.option("-e", "--env", multiple=True, metavar="K=V", help="Into its environment.")
@click.option("--read-only", is_flag=True, help="Its root cannot be written to.")
@click.option(
    "--chroot-only", is_flag=True, help="A lesson: chroot without pivot_root, which can be left."
)
@click.option("--explain", is_flag=True, help="Print each step, and what it really did.")
def hatch(
    name: str,
    egg: str,
    memory: str,
    cpu: str,
    pids: str,
    net: str,
    hostname: str | None,
    env: tuple[str, ...],
    read_only: bool,
    chroot_only: bool,
    explain: bool,
    command: tuple[str, ...],
) -> None:
    """Hatch a pet (create and start a container) from an egg.

    Without a COMMAND it runs its egg's shell, which reads from its mouth (its standard input):
    it lives until it is released. Limits may be `unlimited`.
    """
    pet = engine.hatch(
        name,
        egg,
        command=command,
        limits=engine.Limits(memory, cpu, pids),
        network="host" if net == "host" else "none",
        hostname=hostname,
        environment=_environment(env),
        read_only=read_only,
        chroot_only=chroot_only,
    )
    if explain:
        _explain(engine.care_log(name))
    click.echo(pet.name)
    wanted = [limit for limit, value in pet.limits.to_json().items() if value is not None]
    if loose := [limit for limit in wanted if limit not in pet.enforced]:
        click.echo(
            f"procchi: {pet.name} hatched, but this machine does not enforce its limits on "
            f"{', '.join(loose)}: procchi doctor says why, and what to do",
            err=True,
        )


def _environment(pairs: tuple[str, ...]) -> dict[str, str]:
    environment = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not (key and equals):
            raise click.UsageError(f"--env {pair!r} is no variable: write it like LANG=C.UTF-8")
        environment[key] = value
    return environment


def _explain(steps: Sequence[engine.StepReport]) -> None:
    """Print the care log: each step, why it is done, and the system calls that it made."""
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for number, step in enumerate(steps, 1):
        title = Text.assemble(
            f"{number:2} ", (step.name, "bold"), f"  {step.usec:.0f} µs  ", (step.why, "dim")
        )
        console.print(title, soft_wrap=True)
        for call in step.calls:
            line = Text(f"      {call['name']}({call['args']}) = {call['result']}", "cyan")
            console.print(line.append(f"  {call['usec']:.0f} µs", "dim"), soft_wrap=True)
