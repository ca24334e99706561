"""A thousand pets asleep on `sleep`, beside what others need for a hundred in the same run.

    python -m tests.bench.bench_thousand [PETS [SECONDS]]

Says how fast they hatch and go, and what the nest needs while nobody watches and while somebody
does. `SECONDS` is how long each of the two is looked at.
"""

from __future__ import annotations

import json
import mmap
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress

import engine
from tests.conftest import fork_server, leftovers, nest_pid

IN_FLIGHT = 6
OTHERS = 100
PET_BYTES = 3 << 20
"""Of memory, the kernel's for it included: more than it takes."""
COMMAND = ["sleep", "1000000"]


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 15.0
    with tempfile.TemporaryDirectory(prefix="procchi-bench-") as home:
        os.environ["PROCCHI_HOME"] = home
        try:
            ours(count, seconds)
            others(home)
        finally:
            for pet in engine.pets():
                engine.release(pet.name)
            engine.stop_nest()


def row(what: str, value: str, wanted: str = "") -> None:
    print(f"  {what:44} {value:>18}   {wanted}", flush=True)


def each(count: int, work: Callable[[str], object]) -> float:
    """Do `work` for every pet, several in flight; seconds for all."""
    start = time.perf_counter()
    with ThreadPoolExecutor(IN_FLIGHT) as pool:
        list(pool.map(work, (f"pet{number}" for number in range(count))))
    return time.perf_counter() - start


def touch(size: int) -> None:
    """Have so many bytes of memory given to this machine, and give them back to its kernel.

    To a virtual machine its host may give each page when it is touched first, which takes ten times
    as long as all that the kernel does with it: no program's merit or fault.
    """
    kind = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE
    mmap.mmap(-1, size, kind).close()


def ours(count: int, seconds: float) -> None:
    engine.pull("home")
    engine.hatch("first")  # the nest has started, and has its memory
    nest, forks = nest_pid(), fork_server()
    print(f"{count} pets on `{' '.join(COMMAND)}`, {IN_FLIGHT} requests in flight")
    row("nest before, resident", f"{resident(nest) / 1e6:.1f} MB")
    engine.release("first")
    touch(count * PET_BYTES)
    with busy(nest) as used, busy(forks) as used_by_forks:
        took = each(count, lambda name: engine.hatch(name, command=COMMAND))
    row("hatched", f"{count / took:.0f} a second", "200 or more wanted")
    row("the nest's own CPU for each", f"{used() / count * 1e3:.2f} ms")
    row("its fork server's CPU for each", f"{used_by_forks() / count * 1e3:.2f} ms")
    row("nest, resident", f"{resident(nest) / 1e6:.1f} MB", "under 60 wanted")
    row("fork server, resident", f"{resident(forks) / 1e6:.1f} MB", "of which most is the nest's")
    row("nest, descriptors", str(len(os.listdir(f"/proc/{nest}/fd"))))
    time.sleep(3)  # let the machine settle
    switched = switches(nest)
    with busy(nest) as used:
        time.sleep(seconds)
    row("nobody watches", f"{used() / seconds:.3%} of a core", "under 0.5 wanted")
    row("nobody watches: woken", f"{switches(nest) - switched} times in {seconds:.0f} s")
    for hz, wanted in ((None, ""), (1.0, ""), (4.0, "under 6 wanted")):
        with watching(hz), busy(nest) as used:
            time.sleep(seconds)
            title = "events alone" if hz is None else f"all of them at {hz:g} Hz"
            row(f"watched: {title}", f"{used() / seconds:.2%} of a core", wanted)
    row("nest, resident after that", f"{resident(nest) / 1e6:.1f} MB", "under 60 wanted")
    row("nest, descriptors after that", str(len(os.listdir(f"/proc/{nest}/fd"))))
    took = each(count, engine.release)
    row("released", f"{count / took:.0f} a second")
    left = leftovers(os.environ["PROCCHI_HOME"])
    row("left behind", str(len(left)), "0 wanted")


def resident(pid: int) -> int:
    """Bytes (VmRSS, proc_pid_status(5))."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) << 10 for line in file if line.startswith("VmRSS"))


def switches(pid: int) -> int:
    """How often it has gone to sleep (voluntary_ctxt_switches)."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("voluntary"))


@contextmanager
def busy(pid: int) -> Iterator[Callable[[], float]]:
    """How many seconds of CPU `pid` takes within the block (/proc/PID/schedstat)."""

    def used() -> float:
        with open(f"/proc/{pid}/schedstat") as file:
            return int(file.read().split()[0]) / 1e9

    start = used()
    yield lambda: used() - start


@contextmanager
def watching(hz: float | None) -> Iterator[None]:
    """Somebody watches, and reads what is sent."""
    with engine.watch(readings=hz) as watch:
        messages = watch._messages()  # read, not made into objects: the nest is measured
        thread = threading.Thread(target=lambda: [None for _ in messages], daemon=True)
        thread.start()
        time.sleep(1)
        yield
        watch.close()
        thread.join()


def others(home: str) -> None:
    """The same sleepers under what is installed here."""
    egg = next(egg for egg in engine.eggs() if egg.name == "home")
    tree = pathlib.Path(home, "eggs/layers", egg.digest.replace(":", "/"), "tree")
    for tool, run in (("runc", runc), ("podman", podman)):
        print(f"{OTHERS} containers under {tool}, detached, one after another")
        if shutil.which(tool):
            touch(OTHERS * PET_BYTES)
            run(tree)
        else:
            row(tool, "not installed", "and so no figures")
    print(f"{OTHERS} pets, one after another, for comparison")
    touch(OTHERS * PET_BYTES)
    start = time.perf_counter()
    for number in range(OTHERS):
        engine.hatch(f"one{number}", command=COMMAND)
    row("procchi: hatched", f"{OTHERS / (time.perf_counter() - start):.0f} a second")
    row("procchi: the nest, for all", f"{resident(nest_pid()) / 1e6:.1f} MB")


def running(name: str) -> list[int]:
    """The processes called so (/proc/PID/comm)."""
    found = []
    for path in pathlib.Path("/proc").glob("[0-9]*/comm"):
        with suppress(OSError):
            if path.read_text() == f"{name}\n":
                found.append(int(path.parent.name))
    return found


def podman(tree: pathlib.Path) -> None:
    options = ["--memory=50m", "--cpus=0.5", "--pids-limit=64", "--network=none", "--read-only"]
    # Its own defaults may be more than this shell allows; and crun knows no hybrid cgroups.
    options += ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000"]
    runtime = ["--runtime=runc"] if shutil.which("runc") else []
    run = ["podman", *runtime, "run", "--detach", *options]
    before = set(running("conmon"))
    names = [f"bench-{number}" for number in range(OTHERS)]
    start = time.perf_counter()
    for name in names:
        done = subprocess.run(
            [*run, f"--name={name}", "--rootfs", str(tree), *COMMAND],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:  # as where it may not make its own groups
            row("podman", "does not run here", done.stderr.strip().splitlines()[-1])
            break
    else:
        row("podman: started", f"{OTHERS / (time.perf_counter() - start):.0f} a second")
        monitors = set(running("conmon")) - before
        memory = sum(map(resident, monitors)) / 1e6
        row("podman: monitors", f"{len(monitors)}, {memory:.1f} MB", "conmon, one each, resident")
    start = time.perf_counter()
    command = ["podman", "rm", "--force", "--ignore", "--time=0", *names]
    subprocess.run(command, stdout=subprocess.DEVNULL, check=False)
    row("podman: removed", f"{OTHERS / (time.perf_counter() - start):.0f} a second")


def runc(tree: pathlib.Path) -> None:
    with tempfile.TemporaryDirectory() as bundle:
        subprocess.run(["runc", "spec"], cwd=bundle, check=True)
        path = pathlib.Path(bundle, "config.json")
        spec = json.loads(path.read_text())
        spec["process"] |= {"terminal": False, "args": COMMAND}
        spec["root"] = {"path": str(tree), "readonly": True}
        spec["linux"]["resources"] = {
            "memory": {"limit": 50 << 20},
            "cpu": {"quota": 50000, "period": 100000},
            "pids": {"limit": 64},
        }
        path.write_text(json.dumps(spec))
        names = [f"bench-{number}" for number in range(OTHERS)]
        start = time.perf_counter()
        for name in names:
            subprocess.run(
                ["runc", "run", "--detach", "--bundle", bundle, name],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                check=True,
            )
        row("runc: started", f"{OTHERS / (time.perf_counter() - start):.0f} a second")
        monitors = running("runc")
        memory = sum(map(resident, monitors)) / 1e6
        aside = "none stays: no log, no exit status, no events"
        row("runc: monitors", f"{len(monitors)}, {memory:.1f} MB", aside)
        start = time.perf_counter()
        for name in names:
            subprocess.run(["runc", "delete", "--force", name], check=True)
        row("runc: removed", f"{OTHERS / (time.perf_counter() - start):.0f} a second")


if __name__ == "__main__":
    main()
