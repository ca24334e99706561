"""A pet's log is bounded while it grows, and its end outlives the pet."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import engine
from engine import logs
from tests.conftest import eventually, kill_nest

PROCCHI = str(pathlib.Path(sys.executable).with_name("procchi"))


def on_disk(path: pathlib.Path) -> int:
    return path.stat().st_blocks * 512


def test_a_log_stays_bounded_and_loses_no_line_of_the_newest(home: pathlib.Path) -> None:
    lines = "seq -f 'line %.0f' 1 400000; echo done; sleep 1000"
    engine.hatch("chatty", command=["sh", "-c", lines], limits=engine.Limits(cpu=None))
    path = engine.log_path("chatty")
    with engine.Log(path) as log:
        eventually(lambda: log.tail(100).endswith(b"done\n"), "it has said all", seconds=60)
    eventually(lambda: on_disk(path) < 1 << 20, "the oldest was dropped", seconds=30)
    shown = subprocess.run(
        [PROCCHI, "logs", "chatty"],
        capture_output=True,
        check=True,
    ).stdout
    lines_left = shown.decode().splitlines()
    assert lines_left[-1] == "done"
    numbers = [int(line.removeprefix("line ")) for line in lines_left[:-1]]
    assert numbers == list(range(numbers[0], 400001)) and len(numbers) > 30000


def test_the_log_of_a_pet_that_writes_while_it_is_cut_loses_nothing(
    home: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """Cut again and again under a fast writer: what a reader follows has no gap."""
    path = tmp_path / "log"
    path.touch()
    script = """
        n=0
        while [ $n -lt 150000 ]; do
            [ $((n % 5000)) -gt 0 ] || read go
            echo line-$n-of-a-log-that-grows-fast
            n=$((n+1))
        done
    """
    with open(path, "ab", buffering=0) as sink:
        writer = subprocess.Popen(["sh", "-c", script], stdin=subprocess.PIPE, stdout=sink)
    assert writer.stdin
    given, lines = 0, 0
    seen = b""
    with engine.Log(path) as log:
        while writer.poll() is None or on_disk(path) > logs.LIMIT:
            if given < 30 and lines >= (given - 1) * 5000:
                # It is ten thousand lines ahead of us at most: what is kept holds more.
                writer.stdin.write(b"go\n")
                writer.stdin.flush()
                given += 1
            chunk = log.read()
            seen, lines = seen + chunk, lines + chunk.count(b"\n")
            logs.trim(str(path))
        while chunk := log.read():
            seen += chunk
    writer.stdin.close()
    expected = "".join(f"line-{n}-of-a-log-that-grows-fast\n" for n in range(150000))
    assert seen.decode() == expected


def test_a_ghost_has_last_words(home: pathlib.Path) -> None:
    engine.hatch("moka", command=["sh", "-c", "echo early; printf 'farewell \\033[2J\\n'; exit 3"])
    eventually(lambda: engine.look("moka").status == "ghost", "it is dead")
    epitaph = engine.look("moka").epitaph
    assert epitaph and epitaph.last_words == "early\nfarewell \x1b[2J"
    kill_nest()
    assert engine.look("moka").epitaph == epitaph
    command = [PROCCHI, "look", "moka"]
    shown = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    assert "farewell" in shown and "\x1b" not in shown
