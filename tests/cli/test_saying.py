"""What is said of a pet, by the readings that there are of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from click.testing import CliRunner

import engine
from engine import Details, Epitaph, Pet, Readings, wire
from procchi_tui.cli import listing, stats
from procchi_tui.cli.program import program
from tests.tui.fixed_nest import MIB, NOW, a_nest_full, pet

GHOST = next(one for one in a_nest_full() if one.status == "ghost")
LAST = Readings(0.0, 40 * MIB, 50 * MIB, 2_100_000, 90, 12, pids=2, forks_refused=0, oom_kills=1)
ITS_LAST = replace(GHOST, readings=LAST, epitaph=Epitaph("died", NOW, 1, last_readings=LAST))


@pytest.fixture
def nest(monkeypatch: pytest.MonkeyPatch) -> dict[str, Pet]:
    """By name; what `engine` then knows."""
    pets: dict[str, Pet] = {}
    monkeypatch.setattr(engine, "look", pets.__getitem__)
    monkeypatch.setattr(engine, "details", lambda name: Details(name, 0.0, {}))
    wanted = {"pets": lambda: {"pets": [one.to_json() for one in pets.values()]}}
    monkeypatch.setattr(wire, "request", lambda wish: wanted[wish]())
    return pets


def looked_at(nest: dict[str, Pet], seen: Pet) -> dict[str, str]:
    """What `procchi look` says of it, by label."""
    nest[seen.name] = seen
    lines = CliRunner().invoke(program, ["look", seen.name], catch_exceptions=False).output
    cells = (line.split("  ", 1) for line in lines.splitlines() if "  " in line)
    return {label: value.strip() for label, value in cells}


def test_a_ghost_uses_nothing_any_more(nest: dict[str, Pet]) -> None:
    told = looked_at(nest, ITS_LAST)
    assert told["memory"] == "40M when last read, 50M at most"
    assert told["cpu"] == "2.10 s used; stopped in 12 periods"
    assert told["pids"] == "2 when last read; 0 forks refused"
    assert (told["OOM kills"], told["pid"]) == ("1", "none any more")


def test_what_is_used_now_and_was_at_most(nest: dict[str, Pet]) -> None:
    told = looked_at(nest, pet("moka", readings=LAST))
    assert told["memory"] == "40M now, 50M at most so far"
    assert told["pids"] == "2 now; 0 forks refused"


def test_what_the_kernel_does_not_tell_is_left_out(nest: dict[str, Pet]) -> None:
    """Without control groups there is nobody that counts most of it."""
    told = looked_at(nest, pet("moka", readings=Readings(0.0, MIB, None, 10_000, pids=3)))
    assert (told["memory"], told["cpu"], told["pids"]) == ("1M now", "0.01 s used", "3 now")
    assert "OOM kills" not in told
    told = looked_at(nest, pet("moka", readings=Readings(0.0)))
    assert not {"memory", "cpu", "pids", "OOM kills"} & told.keys()


def test_a_ghost_has_limits_in_the_lists_and_no_use_of_them(
    nest: dict[str, Pet], capsys: pytest.CaptureFixture[str]
) -> None:
    nest[GHOST.name] = ITS_LAST
    listing.show(everything=True, as_json=False)
    said = capsys.readouterr().out
    assert "-/50M" in said and "-/64" in said and "40M" not in said
    row = stats._row(stats._entry(ITS_LAST, LAST, None))
    assert (row[3], row[4], row[7]) == ("-/50M", "50M", "-/64")
    listing.show(everything=True, as_json=True)
    assert '"memory": 41943040' in capsys.readouterr().out, "a program gets what was last read"


def test_a_heading_says_that_cores_are_a_limit(
    nest: dict[str, Pet], capsys: pytest.CaptureFixture[str]
) -> None:
    nest["moka"] = pet("moka")
    listing.show(everything=False, as_json=False)
    head, row = capsys.readouterr().out.splitlines()
    at = head.index("MAX CORES")
    assert row[at:].split()[0] == "0.5"
    told = " ".join(CliRunner().invoke(program, ["pets", "--help"]).output.split())
    assert "MAX CORES" in told and "stats" in told
