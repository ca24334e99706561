"""Many pets at once in a real terminal, against the real engine, judged by the kernel."""

from __future__ import annotations

import engine
from tests.conftest import eventually
from tests.tui.test_real_nest import Terminal, lives, nest, session, terminal

__all__ = ["nest", "terminal"]


def test_find_mark_and_care_for_many(nest: None, terminal: Terminal) -> None:
    pids = {}
    for name in ("moka", "momo", "nori"):
        pids[name] = engine.hatch(name).pid
    terminal.run(session())
    terminal.until("▸ moka", "3 pets")

    terminal.press("/")
    terminal.until("⏎ Keep")
    terminal.type("mo !nori")
    terminal.until("2 of 3 pets", without="nori ─")
    terminal.press("Enter")
    terminal.until("⏎ Look")
    terminal.press("a")
    terminal.until("✓ 2 marked", "✓ moka", "✓ momo")
    terminal.press("s")
    terminal.until("2 asleep")
    assert {name: engine.look(name).status for name in pids} == {
        "moka": "asleep",
        "momo": "asleep",
        "nori": "alive",
    }
    terminal.press("u")
    terminal.until("awake again", without="2 asleep")
    assert engine.look("momo").status == "alive"

    terminal.press("d")
    terminal.until("Diet of moka and momo")
    terminal.type("40M")
    terminal.press("Enter", "Enter")
    terminal.until("new diet")
    assert [engine.look(name).limits.memory for name in pids] == [40 << 20, 40 << 20, 50 << 20]
    assert engine.look("moka").limits.pids == 64

    terminal.press("f")
    terminal.until("feed moka and momo ›")
    terminal.type("hostna")
    terminal.press("Tab")  # it may come before the pets' programs are known
    terminal.until("› hostname")
    terminal.press("Enter")
    terminal.until("moka │ moka", "momo │ momo")
    terminal.press("Escape")
    terminal.until("⏎ Look")
    terminal.press("F", "Enter")  # a burst: the list is not up yet when Enter comes
    terminal.until("bs=200M")
    if "memory" in engine.look("moka").enforced:
        terminal.press("Enter")
        terminal.until("momo │ Killed: it ate", "moka │ Killed: it ate")
        assert (engine.look("momo").readings or engine.Readings(0.0)).oom_kills
    terminal.press("Escape")
    terminal.until("⏎ Look")
    terminal.press("c")
    terminal.until("Clone mo")
    terminal.press("Enter", "Enter")
    terminal.until("hatched!")
    clone = next(pet for pet in engine.pets() if pet.name not in pids)
    assert clone.limits.memory == 40 << 20

    terminal.press("K", "End", "Enter")  # SIGKILL, to the two that are marked
    terminal.until("Kill moka and momo?")
    terminal.press("y")
    eventually(lambda: engine.look("moka").status == "ghost", "moka is a ghost")
    eventually(lambda: engine.look("momo").status == "ghost", "momo is a ghost")
    terminal.press("r")
    terminal.until("Release 2 pets?", "moka, momo")
    terminal.press("y")
    terminal.until("2 pets", without="✓")
    assert {pet.name for pet in engine.pets()} == {"nori", clone.name}
    nori = pids["nori"]
    assert nori is not None and lives(nori)
