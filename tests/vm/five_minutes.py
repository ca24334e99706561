"""A student's first five minutes, word for word as the README has them.

    python -m tests.vm.five_minutes README

Runs every command of the section, in order, and holds each line of what it says, and how it ends,
against the README's own, numbers of the day aside. Needs enforced limits.
"""

from __future__ import annotations

import re
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from engine.cgroups.detection import mounted

ON_V2 = {
    "memory.usage_in_bytes": "memory.current",
    "memory.max_usage_in_bytes": "memory.peak",
    "memory.limit_in_bytes": "memory.max",
    "memory.stat rss": "memory.stat anon",
    "memory.oom_control oom_kill": "memory.events oom_kill",
}
"""The README shows a machine with cgroup v1."""
OF_THE_DAY = r"[0-9][0-9.:-]*[BKMG]?"
DIGEST = r"sha256:[0-9a-f]{64}"
LEAST_COMMANDS, LEAST_LINES = 15, 50


class Shown(NamedTuple):
    """One command of the README, and what it shows of its output."""

    command: str
    lines: list[str]

    @property
    def fails(self) -> bool:
        """Whether it is shown to be refused: one line says so, and the status is 1."""
        says_so = any(line.startswith("procchi: ") for line in self.lines)
        return says_so and not self.command.endswith("echo $?")


def section(readme: str) -> list[Shown]:
    """Everything in "The first five minutes"."""
    text = readme.partition("## The first five minutes")[2].partition("\n## ")[0]
    found: list[Shown] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Shown(line[2:], []))
            elif line.strip(" …"):
                found[-1].lines.append(line)
    return found


def pattern(command: str, line: str) -> str | None:
    """What must stand somewhere in the output; None for a line that is another one elsewhere."""
    words = line.split()
    if line.isdecimal() or re.match("(memory|cpu|pids) limit", line):
        return r"\s+".join(map(re.escape, words[:4]))  # a status, an id, what was asked for
    if command.startswith("procchi pets") and words[0] != "NAME" and "ghost" not in words:
        words = words[:1]  # moods, and their reasons, come and go
    elif line.startswith("mood"):
        words = words[:1]
    elif command.startswith("procchi logs bomb"):
        words = words[-2:]  # many write at once, and the start of a line may be another's
    elif command.startswith("ps -o") and words[0] != "USER":
        words = words[-1:]  # whose it is depends on who runs the nest
    elif "out of memory at" in line:
        return r"hog\s+ghost\s+-\s.*out of memory at 30M"
    elif "--explain" in command and line.startswith("     "):
        return None  # so does which calls a step takes
    if mounted().hierarchies.get("memory") is None:
        text = " ".join(words)
        for old, new in ON_V2.items():
            text = text.replace(old, new)
        words = text.split()
    return r"\s+".join(_any_day(word) for word in words).replace("periods", "periods?")


def _any_day(word: str) -> str:
    parts = re.split(rf"({DIGEST}|{OF_THE_DAY})", word)
    for index in range(1, len(parts), 2):
        parts[index] = DIGEST if parts[index].startswith("sha") else OF_THE_DAY
    return "".join(part if index % 2 else re.escape(part) for index, part in enumerate(parts))


def wait_for(word: str) -> None:
    for _ in range(60):
        shown = subprocess.run(
            ["procchi", "pets", "-a"], capture_output=True, text=True, check=False
        )
        if word in shown.stdout:
            return
        time.sleep(0.5)


def run(command: str) -> tuple[str, int]:
    """What it says, errors included, and its status."""
    done = subprocess.run(
        ["bash", "-c", command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout, done.returncode


def main() -> int:
    wrong = held = 0
    pid = ""
    shown = section(Path(sys.argv[1]).read_text(encoding="utf-8"))
    for one in shown:
        if one.command == "procchi pets --all":
            wait_for("ghost")  # an emulated processor takes a while to eat 30M
        line = re.sub(r"(ps -o \S+ -p) \d+", rf"\1 {pid}", one.command)
        output, status = run(line)
        if found := re.search(r"^pid +(\d+)", output, re.MULTILINE):
            pid = found[1]
        wanted = [known for text in one.lines if (known := pattern(one.command, text))]
        missing = [known for known in wanted if not re.search(known, output)]
        held += len(wanted)
        # What a command exits with is shown by `echo $?` where it is no success.
        good = not missing and status == int(one.fails) and "Traceback" not in output
        print(f"five minutes: {'ok' if good else 'WRONG'}  $ {line}")
        if not good:
            print(f"  status {status}, missing: {missing}\n{output}")
            wrong += 1
    left, _ = run("procchi pets --all --json")
    if left.strip() != "[]" or len(shown) < LEAST_COMMANDS or held < LEAST_LINES:
        print(f"five minutes: WRONG  {len(shown)} commands, {held} lines; left: {left}")
        wrong += 1
    print(f"five minutes: {len(shown)} commands, {held} lines of the README")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
