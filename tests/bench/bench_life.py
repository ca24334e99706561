"""Hatching, feeding and listing, beside what others need for the same in the same run.

    python -m tests.bench.bench_life [ROUNDS]

Each round runs everything once, in turn, so that a change of the machine's speed meets all alike.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import engine

Timed = Callable[[int], object]
RUNTIMES = {"crun": ["crun", "--cgroup-manager=cgroupfs"], "runc": ["runc"]}


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 40
    with tempfile.TemporaryDirectory(prefix="procchi-bench-") as home:
        os.environ["PROCCHI_HOME"] = home
        try:
            hatching(rounds)
            feeding(rounds)
            listing(rounds)
        finally:
            for pet in engine.pets():
                engine.release(pet.name)
            engine.stop_nest()


def compare(title: str, rounds: int, ours: str, contenders: dict[str, Timed]) -> None:
    """Time all in turn, and print medians and their ratio to `ours`."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(rounds + 2):
        for name, run in contenders.items():
            start = time.perf_counter()
            run(number)
            if number >= 2:  # the first two warm up
                taken[name].append(time.perf_counter() - start)
    base = statistics.median(taken[ours])
    print(f"\n{title}, {rounds} rounds")
    for name, times in sorted(taken.items(), key=lambda item: statistics.median(item[1])):
        middle = statistics.median(times)
        spread = f"{min(times) * 1e3:6.2f} to {max(times) * 1e3:6.2f}"
        ratio = f"ours is {base / middle:5.2f} of it"
        print(f"  {name:32} {middle * 1e3:7.2f} ms   {ratio}   ({spread})")


def command(*words: str) -> Timed:
    """Run a command; its failure would make its time meaningless."""

    def run(_: int) -> None:
        subprocess.run(words, stdout=subprocess.DEVNULL, check=True)

    return run


def hatching(rounds: int) -> None:
    """From the call to the notice that the pet's command, `true`, has ended."""
    egg = engine.pull("home")
    tree = pathlib.Path(os.environ["PROCCHI_HOME"], "eggs/layers", egg.digest.replace(":", "/"))
    root = str(tree / "tree")
    watch = engine.watch()
    events = iter(watch)

    def hatch(number: int) -> None:
        engine.hatch(f"pet{number}", command=["true"])
        for event in events:
            if isinstance(event, engine.Event) and event.kind == "died":
                break

    seven = "--user --map-root-user --mount --pid --uts --ipc --net --cgroup --fork".split()
    sandbox = ["--unshare-all", "--ro-bind", root, "/", "--proc", "/proc", "--dev", "/dev"]
    contenders: dict[str, Timed] = {
        "procchi (overlay, cgroups, caps)": hatch,
        "unshare": command("unshare", *seven, "chroot", root, "/bin/true"),
        "bwrap": command("bwrap", *sandbox, "/bin/true"),
    }
    with tempfile.TemporaryDirectory() as bundle:
        for runtime in filter(shutil.which, RUNTIMES):
            subprocess.run([runtime, "spec"], cwd=bundle, check=True)
            spec_path = pathlib.Path(bundle, "config.json")
            spec = json.loads(spec_path.read_text())
            spec["process"] |= {"terminal": False, "args": ["/bin/true"]}
            spec["root"] = {"path": root, "readonly": True}
            spec["linux"]["resources"] = {
                "memory": {"limit": 50 << 20},
                "cpu": {"quota": 50000, "period": 100000},
                "pids": {"limit": 64},
            }
            directory = pathlib.Path(bundle, runtime)
            directory.mkdir()
            (directory / "config.json").write_text(json.dumps(spec))
            spec_path.unlink()
            start = [*RUNTIMES[runtime], "run", "--bundle", str(directory), f"bench-{runtime}"]
            tried = subprocess.run(start, capture_output=True, text=True, check=False)
            if tried.returncode == 0:
                contenders[f"{runtime} (cgroups)"] = command(*start)
            else:
                print(f"{runtime} does not run here: {tried.stderr.strip()}")
        compare("hatch to exit", rounds, "procchi (overlay, cgroups, caps)", contenders)
    watch.close()
    for pet in engine.pets():
        engine.release(pet.name)


def feeding(rounds: int) -> None:
    """From the call to the exit status of `true` in a living pet."""
    pet = engine.hatch("eater")
    contenders: dict[str, Timed] = {
        "procchi (cgroups, caps)": lambda _: engine.feed("eater", ["true"]),
        "nsenter": command("nsenter", "--all", "--target", str(pet.pid), "/bin/true"),
    }
    compare("feed to exit status", rounds, "procchi (cgroups, caps)", contenders)


def listing(rounds: int) -> None:
    """The command typed most, beside a Python that does nothing."""
    script = pathlib.Path(sys.executable).with_name("procchi")
    contenders: dict[str, Timed] = {
        "procchi pets": command(str(script), "pets"),
        "python -c pass": command(sys.executable, "-c", "pass"),
    }
    compare("list the pets", rounds, "procchi pets", contenders)


if __name__ == "__main__":
    main()
