"""`procchi hatch`: a pet from an egg, and how it was built."""

from __future__ import annotations

import click

import engine
from procchi_tui.cli import words
from procchi_tui.cli.explaining import explain as explain_steps


@click.command(
    epilog=words.example(
        "procchi hatch moka",
        "procchi hatch moka debian --memory 100M --cpu 0.5 --pids 64",
        "procchi hatch ticker -- sh -c 'while sleep 1; do date; done'",
        "procchi hatch web nginx --user nginx --workdir /srv --entrypoint nginx -- -T",
    ),
    cls=words.CommandLast,
)
@click.argument("name")
@click.argument("egg", default="home", shell_complete=words.complete_egg)
@click.option("--memory", default="50M", show_default=True, help="At most so many bytes; no swap.")
@click.option(
    "--cpu",
    default="0.5",
    show_default=True,
    help="Cores: 0.5, 50% or 50000/100000 (quota/period).",
)
@click.option("--pids", default="64", show_default=True, help="At most so many tasks at once.")
@words.soft_options
@click.option("--strict-limits", is_flag=True, help="Rather no pet than one with loose limits.")
@click.option(
    "--net",
    type=click.Choice(["none", "host"]),
    default="none",
    show_default=True,
    help="A network of its own with nothing but loopback, or the host's.",
)
@click.option("--hostname", metavar="H", help="Its host name.  [default: NAME]")
@words.run_options
@click.option("--entrypoint", metavar="WORD", help="In place of its egg's; '' for none.")
@click.option("--stop-signal", metavar="SIG", help="What `release` sends first, like INT or 15.")
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
    memory_high: str | None,
    swap: str | None,
    strict_limits: bool,
    net: str,
    hostname: str | None,
    env: tuple[str, ...],
    workdir: str | None,
    user: str | None,
    entrypoint: str | None,
    stop_signal: str | None,
    read_only: bool,
    chroot_only: bool,
    explain: bool,
    command: tuple[str, ...],
) -> None:
    """Hatch a pet (create and start a container) from an egg.

    What an image says of itself holds where no option says otherwise: COMMAND is appended to its
    entrypoint, in place of its own command. Where neither says a command, the pet runs its egg's
    shell, which reads from its mouth (its standard input): it lives until it is released. Limits
    may be `unlimited`.
    """
    pet = engine.hatch(
        name,
        egg,
        command=command,
        limits=engine.Limits(memory, cpu, pids, memory_high=memory_high, swap=swap or 0),
        strict_limits=strict_limits,
        network="host" if net == "host" else "none",
        hostname=hostname,
        environment=words.environment(env),
        read_only=read_only,
        chroot_only=chroot_only,
        entrypoint=None if entrypoint is None else [entrypoint] if entrypoint else [],
        working_directory=workdir,
        user=user,
        stop_signal=stop_signal,
    )
    if explain:
        explain_steps(engine.care_log(name))
    click.echo(pet.name)
    if loose := pet.limits.loose(pet.enforced):
        click.echo(
            f"procchi: {pet.name} hatched, but this machine does not enforce its limits on "
            f"{', '.join(loose)}{_instead(pet)}: procchi doctor says why, and what to do",
            err=True,
        )


def _instead(pet: engine.Pet) -> str:
    """What holds in place of limits that are not enforced."""
    return f" (only this: {'; '.join(pet.in_place.values())})" if pet.in_place else ""
