"""A whole lesson in a real terminal, from the first egg to the last farewell.

Each thing that the screen says is asked of the kernel, too.
"""

from __future__ import annotations

import os
from pathlib import Path

import engine
from tests.conftest import eventually
from tests.tui.test_real_nest import Terminal, lives, nest, session, terminal

__all__ = ["nest", "terminal"]


def test_a_lesson(nest: None, terminal: Terminal, tmp_path: Path) -> None:
    terminal.run(session())
    terminal.until("The nest is empty.")

    # An egg: this machine's own.
    terminal.press("p")
    terminal.until("Pull an egg")
    terminal.type("home")
    terminal.press("Enter", "Enter")
    terminal.until("Pulled home", without="Pull an egg")
    assert [egg.name for egg in engine.eggs()] == ["home"]

    # Three pets; the last one eats too much, itself.
    for count in (1, 2, 3):
        terminal.press("n")
        terminal.until("Hatch a pet")
        terminal.press("Enter", "Enter")
        terminal.until(f"{count} pet", "hatched!", without="Hatch a pet")
    pids = {pet.name: pet.pid or 0 for pet in engine.pets()}
    first, second, last = pids
    assert len({os.readlink(f"/proc/{pid}/ns/pid") for pid in pids.values()}) == 3
    enforced = "memory" in engine.look(last).enforced
    engine.write(last, "exec tail /dev/zero\n") if enforced else engine.signal(last, 9)
    terminal.until("1 ghost", "2 pets")
    assert not lives(pids[last])

    # Its epitaph.
    terminal.press("g")
    terminal.until("its epitaph", last, "out of memory" if enforced else "SIGKILL")
    epitaph = engine.look(last).epitaph
    assert epitaph is not None and epitaph.oom_killed == enforced
    terminal.press("Escape")
    terminal.until(f"▸ {last}", without="its epitaph")

    # Another diet for the first.
    terminal.press("Home")
    terminal.until(f"▸ {first}")
    terminal.press("d")
    terminal.until(f"Diet of {first}")
    terminal.type("40M")
    terminal.press("Enter", "Enter")
    terminal.until("new diet", without=f"Diet of {first}")
    assert engine.look(first).limits.memory == 40 << 20
    if enforced:
        assert engine.details(first).facts["memory_limit"].value == 40 << 20

    # A nap.
    terminal.press("s")
    terminal.until("1 asleep")
    assert engine.look(first).status == "asleep"
    terminal.press("s")
    terminal.until(f"{first} is awake", without="1 asleep")
    assert engine.look(first).status == "alive"

    # A meal, and a look through its walls.
    terminal.press("f")
    terminal.until(f"feed {first} ›")
    terminal.type("sleep 1000 & echo $((6 * 7))")
    terminal.press("Enter")
    terminal.until("42", "Eaten up")
    terminal.press("Escape")
    terminal.until("⏎ Look")
    terminal.press("x")
    terminal.until("1 Body", f"{pids[first]} on the host")
    terminal.press("2")
    inode = os.readlink(f"/proc/{pids[first]}/ns/net").partition("[")[2].rstrip("]")
    terminal.until(inode)
    terminal.press("5")
    terminal.until("sleep 1000")
    terminal.press("7")
    terminal.until("overlay", "/proc")
    terminal.press("3")
    terminal.until("clone", " µs")
    terminal.press("Escape")
    terminal.until("⏎ Look")

    # A talk.
    terminal.press("t")
    terminal.until(f"{first}: a shell inside", "#")
    terminal.type("echo said > /tmp/said; exit 5")
    terminal.press("Enter")
    terminal.until("ended with status 5")
    assert engine.feed(first, ["cat", "/tmp/said"]).stdout == b"said\n"

    # Found, and let go.
    terminal.press("/")
    terminal.until("⏎ Keep")
    terminal.type(second)
    terminal.until("1 of 3 pets")
    terminal.press("Enter")
    terminal.until("⏎ Look")
    terminal.press("r")
    terminal.until(f"Release {second}?")
    terminal.press("y")
    eventually(lambda: second not in {pet.name for pet in engine.pets()}, "it is gone")
    assert not lives(pids[second])
    terminal.until("0 of 2 pets", "No pet is like that")
    terminal.press("Escape")
    terminal.until(f"▸ {first}")

    # Home time: the pets stay.
    terminal.press("q")
    terminal.until("left with status 0")
    assert lives(pids[first])
    assert {pet.name: pet.status for pet in engine.pets()} == {first: "alive", last: "ghost"}
