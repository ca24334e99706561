"""What limits, sleep and readings are worth in one place: run there, and held against the README.

    python -m tests.acceptance PLACE

PLACE says where one means to be: that is found out, and another place is a failure. So is every
outcome that is not the one in `PLACES`, from which the README's table is made.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable

import engine
from engine.cgroups.detection import mounted

HOG = "dd if=/dev/zero of=/dev/null bs=200M count=1"
SLEEPERS = (
    "exec 2>&1; i=0; while [ $i -lt {} ]; do sleep 30 >/dev/null 2>&1 & i=$((i+1)); done; true"
)
WHOLE = {
    "OOM at 30M": "killed, said",
    "fork bomb": "stopped at 20",
    "CPU share": "within 15 %",
    "freeze": "yes",
    "live change": "yes",
    "readings": "the group's files",
}
LOOSE = {
    "OOM at 30M": "refused to each process",
    "fork bomb": "stopped at 20",
    "CPU share": "not enforced, said",
    "freeze": "yes, by signals",
    "live change": "only less",
    "readings": "its processes'",
}
PLACES = {
    "root-v1": ("root, cgroup v1", WHOLE),
    "root-v2": ("root, cgroup v2", WHOLE),
    "user-v2-delegated": ("ordinary user, cgroup v2 by systemd", WHOLE),
    "user-v2": ("ordinary user, cgroup v2 that nobody hands over", LOOSE),
    "user-v1": ("ordinary user, cgroup v1", LOOSE),
}


V1_FILES = {
    "pids": ("pids.current", "", 1),
    "memory": ("memory.usage_in_bytes", "", 1),
    "memory_peak": ("memory.max_usage_in_bytes", "", 1),
    "cpu_usec": ("cpuacct.usage", "", 1000),
    "periods": ("cpu.stat", "nr_periods", 1),
    "throttled": ("cpu.stat", "nr_throttled", 1),
    "oom_kills": ("memory.oom_control", "oom_kill", 1),
    "forks_refused": ("pids.events", "max", 1),
}
V2_FILES = {
    "pids": ("pids.current", "", 1),
    "memory": ("memory.current", "", 1),
    "memory_peak": ("memory.peak", "", 1),
    "cpu_usec": ("cpu.stat", "usage_usec", 1),
    "periods": ("cpu.stat", "nr_periods", 1),
    "throttled": ("cpu.stat", "nr_throttled", 1),
    "oom_kills": ("memory.events", "oom_kill", 1),
    "forks_refused": ("pids.events", "max", 1),
}
"""By reading: its file, the key in it, and what the kernel counts by in our units."""


def table() -> str:
    """As the README has it."""
    lines = [" | ".join(["|", *WHOLE, "|"]), "|" + "---|" * (len(WHOLE) + 1)]
    for where, outcomes in PLACES.values():
        lines.append("| " + " | ".join([where, *outcomes.values()]) + " |")
    return "\n".join(line.replace("| | ", "| | ", 1).replace(" | |", " |") for line in lines)


def place() -> str:
    """Which of PLACES this is."""
    cgroup = engine.start_nest()["cgroup"]
    if cgroup["kind"] != "none":
        handed_over = "/user@" in cgroup["why"]
        who = "root" if os.geteuid() == 0 else "user"
        return f"{who}-{cgroup['kind']}" + ("-delegated" if handed_over else "")
    unified = mounted().unified
    if unified:
        with open(f"{unified}/cgroup.controllers") as file:
            return "user-v2" if "memory" in file.read() else "user-v1"
    return "user-v1"


def is_whole() -> bool:
    return set(engine.nest_status()["cgroup"]["enforced"]) == {"memory", "cpu", "pids"}


def oom(name: str) -> str:
    """A meal of 200M in a pet that may have 30M."""
    engine.hatch(name, limits=engine.Limits(memory="30M"))
    meal = engine.feed(name, ["sh", "-c", HOG])
    pet = engine.look(name)
    assert pet.status == "alive", pet.epitaph
    if meal.oom_killed:
        assert pet.mood == "sick" and "oom_kill" in pet.reason, pet.reason
        assert counted(name).oom_kills, "it is not counted"
        return "killed, said"
    assert meal.exit_code, "it ate 200M"
    assert "memory" not in pet.enforced
    return "refused to each process"


def bomb(name: str) -> str:
    """More processes than it may have."""
    engine.hatch(name, limits=engine.Limits(pids=20))
    said = engine.feed(name, ["sh", "-c", SLEEPERS.format(40)]).stdout
    readings = engine.look(name).readings
    assert readings is not None, said
    assert _pids(name) <= 20, _pids(name)
    assert b"fork" in said.lower() or (readings.forks_refused or 0) > 0, said
    if is_whole():
        assert counted(name).forks_refused, "they are not counted"
    return "stopped at 20"


def share(name: str) -> str:
    """A busy loop in a pet that may have a fifth of a CPU.

    It has that in each period in which it is stopped; in others a busy machine had less for it.
    Where nothing holds it back it may have less, which it exceeds on a busy machine, too.
    """
    engine.hatch(name, limits=engine.Limits(cpu=0.2 if is_whole() else 0.05))
    engine.write(name, "while :; do :; done\n")
    time.sleep(1)
    first = engine.look(name).readings
    time.sleep(5)
    pet = engine.look(name)
    last = pet.readings
    assert first is not None and last is not None, pet
    share = _growth(first.cpu_usec, last.cpu_usec) / 1e6 / (last.at - first.at)
    if "cpu" in pet.enforced:
        stops, periods = (
            _growth(getattr(first, key), getattr(last, key)) for key in ("throttled", "periods")
        )
        assert stops and 0.17 * stops / periods <= share <= 0.23, (share, stops, periods)
        assert pet.mood in ("tired", "busy"), pet.mood
        assert counted(name).throttled, "it is not counted"
        return "within 15 %"
    assert share > 0.08, share
    assert "cpu" in pet.limits.loose(pet.enforced)
    shown = [line for line in looked_at(name).splitlines() if line.startswith("cpu limit")]
    assert shown and "not enforced" in shown[0], shown
    return "not enforced, said"


def _growth(first: int | None, last: int | None) -> int:
    assert first is not None and last is not None
    return last - first


def looked_at(name: str) -> str:
    """What `procchi look` shows."""
    script = "import sys; from procchi_tui.main import main; sys.exit(main())"
    command = [sys.executable, "-c", script, "look", name]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, check=True
    ).stdout


def counted(name: str) -> engine.Readings:
    """The readings of a pet with enforced limits, each the same as in the kernel's own file.

    It sleeps, but the kernel may still count: a period of its CPU limit ends a while later.
    """
    pet = engine.sleep(name)
    before = _files(pet.pid or 0)
    told = engine.look(name).readings
    after = _files(pet.pid or 0)
    assert told is not None
    for key, value in before.items():
        low, high = sorted((value, after[key]))
        assert low <= getattr(told, key) <= high, (key, before, told, after)
    engine.wake(name)
    return told


def _cpu(name: str) -> int:
    readings = engine.look(name).readings
    assert readings is not None and readings.cpu_usec is not None
    return readings.cpu_usec


def freeze(name: str) -> str:
    """A pet that counts, put to sleep and woken."""
    engine.hatch(name)
    engine.write(name, "while :; do echo >> /tmp/count; done\n")
    count = f"/proc/{engine.look(name).pid}/root/tmp/count"
    _until(lambda: os.path.exists(count) and os.stat(count).st_size > 0, "it does not count")
    assert engine.sleep(name).status == "asleep"
    before, used = os.stat(count).st_size, _cpu(name)
    time.sleep(0.5)
    assert (os.stat(count).st_size, _cpu(name)) == (before, used), "it goes on in its sleep"
    assert engine.wake(name).status == "alive"
    _until(lambda: os.stat(count).st_size > before, "it does not wake")
    return "yes" if is_whole() else "yes, by signals"


def _until(true: Callable[[], bool], otherwise: str) -> None:
    """Wait until it is true, for half a minute at most."""
    deadline = time.monotonic() + 30
    while not true():
        assert time.monotonic() < deadline, otherwise
        time.sleep(0.01)


def change(name: str) -> str:
    """Another number of processes, while it lives."""
    engine.hatch(name, limits=engine.Limits(pids=60))
    assert engine.diet(name, pids=20, memory="40M").limits.pids == 20
    engine.feed(name, ["sh", "-c", SLEEPERS.format(40)])
    assert _pids(name) <= 20
    try:
        engine.diet(name, pids=60)
    except engine.ProcchiError:
        assert not is_whole()
        return "only less"
    engine.feed(name, ["sh", "-c", SLEEPERS.format(30)])
    assert _pids(name) > 40
    assert engine.details(name).facts["memory_limit"].value == 40 << 20
    return "yes"


def _pids(name: str) -> int:
    pet = engine.look(name)
    assert pet.readings is not None and pet.readings.pids is not None, pet
    return pet.readings.pids


def readings(name: str) -> str:
    """What is told of a sleeping pet, beside what the kernel says of it."""
    pet = engine.hatch(name, command=["sh", "-c", "x=$(seq 20000); sleep 99 & sleep 99"])
    time.sleep(0.5)
    if is_whole():
        assert counted(name).memory
        return "the group's files"
    engine.sleep(name)
    told = engine.look(name).readings
    assert told is not None
    of_it = os.readlink(f"/proc/{pet.pid}/ns/pid")
    pids = [pid for pid in filter(str.isdecimal, os.listdir("/proc")) if _namespace(pid) == of_it]
    resident = sum(_resident(pid) for pid in pids)
    assert (told.pids, told.memory) == (len(pids), resident), (told, pids, resident)
    return "its processes'"


def _files(pid: int) -> dict[str, int]:
    """By reading, what stands in the files of the pet's group as /proc names it."""
    found = mounted()
    groups = dict[str, str]()
    with open(f"/proc/{pid}/cgroup") as file:
        for line in file:
            _, controllers, path = line.rstrip("\n").split(":", 2)
            groups |= dict.fromkeys(controllers.split(","), path)
    is_old = "memory" in found.hierarchies
    numbers = {}
    for reading, (file_name, key, divisor) in (V1_FILES if is_old else V2_FILES).items():
        controller = file_name.partition(".")[0]
        mount = found.hierarchies[controller] if is_old else found.unified
        with open(f"{mount}{groups[controller if is_old else '']}/{file_name}") as file:
            words = file.read().split()
        number = words[words.index(key) + 1] if key else words[0]
        numbers[reading] = int(number) // divisor
    return numbers


def _namespace(pid: str) -> str:
    try:
        return os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""


def _resident(pid: str) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


CHECKS: dict[str, Callable[[str], str]] = {
    "OOM at 30M": oom,
    "fork bomb": bomb,
    "CPU share": share,
    "freeze": freeze,
    "live change": change,
    "readings": readings,
}


def main() -> int:
    """Check everything, and say what came of each. Status 1 unless all is as the README has it."""
    meant, found = sys.argv[1], place()
    status = 0
    if meant != found:
        print(f"acceptance: this is {found}, and {meant} was meant")
        return 1
    engine.pull("home")
    _, expected = PLACES[found]
    for number, (title, check) in enumerate(CHECKS.items()):
        name = f"accept{number}"
        try:
            outcome = check(name)
        except Exception as error:
            outcome = f"{type(error).__name__}: {error}"
        if any(pet.name == name for pet in engine.pets()):
            engine.release(name)
        good = outcome == expected[title]
        print(f"acceptance: {found}: {title}: {outcome}" + ("" if good else "  <-- wrong"))
        status |= not good
    engine.stop_nest()
    return status


if __name__ == "__main__":
    sys.exit(main())
