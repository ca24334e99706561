"""How long our unpacking of a real distribution takes, beside GNU tar's and bsdtar's.

    python tests/bench/bench_unpack.py [TARBALL] [--rounds N] [--work DIRECTORY]

TARBALL is a .tar.gz; without one, a Debian root filesystem is made with mmdebstrap, once, and
kept in the cache directory. Every run writes into a fresh directory of the same file system,
in turn, and nothing is deleted before the end: on ext4, unpacking where much was just deleted
is several times slower, for whoever comes next. `unpack` is ours alone; `pull` is all that
`procchi pull` does, checksums of the file and the content included.
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from engine.idmap import IdMap, for_this_user
from engine.images import pull
from engine.images.archive import Bounds, unpack
from engine.images.store import Store


def debian() -> Path:
    """A root filesystem that we did not make."""
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "procchi-bench"
    cache.mkdir(parents=True, exist_ok=True)
    tarball = cache / "debian.tar.gz"
    if not tarball.exists():
        plain = tarball.with_suffix("")
        subprocess.run(["mmdebstrap", "--variant=apt", "stable", str(plain)], check=True)
        subprocess.run(["gzip", "-6", str(plain)], check=True)
    return tarball


def with_tool(*command: str) -> Callable[[Path, Path, IdMap], None]:
    def run(tarball: Path, place: Path, idmap: IdMap) -> None:
        subprocess.run([*command, str(tarball), "-C", str(place)], check=True)

    return run


def with_unpack(tarball: Path, place: Path, idmap: IdMap) -> None:
    if os.geteuid() == 0:
        os.chown(place, idmap.root_uid, idmap.root_gid)
    with tarball.open("rb") as file:
        unpack(file.fileno(), str(place), idmap, bounds=Bounds(), progress=lambda _: None)


def with_pull(tarball: Path, place: Path, idmap: IdMap) -> None:
    pull(str(tarball), store=Store(str(place), idmap), name="bench")


WAYS = {
    "tar -xzf": with_tool("tar", "-xzf"),
    "bsdtar -xf": with_tool("bsdtar", "-xf"),
    "unpack": with_unpack,
    "pull": with_pull,
}


def measure(tarball: Path, work: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds, by way."""
    idmap = for_this_user()
    taken: dict[str, list[float]] = {way: [] for way in WAYS}
    for number in range(rounds):
        for way, run in WAYS.items():
            place = work / f"{way.replace(' ', '_')}-{number}"
            place.mkdir()
            os.sync()
            start = time.perf_counter()
            run(tarball, place, idmap)
            taken[way].append(time.perf_counter() - start)
    return taken


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    words.add_argument("tarball", nargs="?", type=Path)
    words.add_argument("--rounds", type=int, default=5)
    words.add_argument("--work", type=Path)
    asked = words.parse_args()
    tarball = asked.tarball or debian()
    subprocess.run(["cksum", str(tarball)], stdout=subprocess.DEVNULL, check=True)  # cached now
    work = Path(tempfile.mkdtemp(prefix="bench-unpack-", dir=asked.work))
    try:
        taken = measure(tarball, work, asked.rounds)
    finally:
        subprocess.run(["rm", "-rf", str(work)], check=False)
        shutil.rmtree(work, ignore_errors=True)
    base = statistics.median(taken["tar -xzf"])
    print(f"{tarball.name}: {tarball.stat().st_size >> 20} MiB, {asked.rounds} rounds")
    print(f"{'':12}{'median s':>10}{'best s':>10}{'worst s':>10}{'of tar':>9}")
    for way, seconds in taken.items():
        middle = statistics.median(seconds)
        print(f"{way:12}{middle:10.2f}{min(seconds):10.2f}{max(seconds):10.2f}{middle / base:9.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    children = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"peak memory: {max(peak, children) >> 10} MiB (ours, or the largest tool's)")


if __name__ == "__main__":
    main()
