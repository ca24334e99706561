"""How long pulling takes, beside what others need for the same in the same run.

    python -m tests.bench.bench_pull [--rounds N] [--work DIRECTORY]

An image of a real Debian and parts of this machine's /usr, more than 100 MB compressed, comes from
a registry on loopback; and Debian's root file system from a tarball. Every run writes into a fresh
directory, in turn: of a tmpfs, where it goes before the next one comes; or in DIRECTORY (and for
who may not mount), where they all stay until the end. (ext4 gives no inode again for five minutes,
and searches past all that were just deleted; a virtual machine gives memory back that lies idle,
and is slow to have it again.) `procchi pull` is the whole command and starts the nest, unless it
says that one runs; `unpack` is our unpacker only. Memory is the most that the nest and all that it
started had at once, each shared page counted once.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import requests

from engine.idmap import for_this_user
from engine.images.archive import unpack
from engine.images.bounds import Bounds
from tests.engine.images.registry import serve
from tests.security.archives import digest

PROCCHI = Path(sys.executable).with_name("procchi")
CACHE = Path(os.environ.get("PROCCHI_TEST_CACHE", "/var/tmp/procchi-test-cache"))
MORE = ("libexec", "lib/git-core", "lib/python3", "lib/gcc", "bin", "share", "lib")
"""Below /usr: a layer each, until the image is large enough."""
LEAST = 105_000_000
"""Bytes of all layers, compressed."""
OCI = "application/vnd.oci.image"
WHOLE, RUNNING, INNER = OURS = ("procchi pull", "procchi pull, a nest runs", "unpack")


class Way(NamedTuple):
    """One way to have a root file system in a directory."""

    run: Callable[[Path], None]
    before: Callable[[Path], None] = lambda _: None
    """What is done first, and not timed."""
    tools: Sequence[str] = ()
    """What must be installed for it."""
    wanted: float | None = None
    """The part of its time that ours are to take at most."""


class Unable(Exception):
    """A peer that does not run here, in its own words."""


def debian() -> Path:
    """The root file system that the tests use, too."""
    tarball = CACHE / "debian.tar.gz"
    if not tarball.exists():
        if not shutil.which("mmdebstrap"):
            raise SystemExit("mmdebstrap is not installed: there is no root file system to pull")
        CACHE.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mmdebstrap", "--variant=apt", "bookworm", str(tarball)], check=True)
    return tarball


def layers(base: Path, place: Path) -> list[Path]:
    """`base` and as many layers over it as an image of LEAST bytes takes, lowest first."""
    found = [base]
    for number, name in enumerate(MORE):
        if sum(layer.stat().st_size for layer in found) >= LEAST:
            break
        layer = place / f"layer-{number}.tar.gz"
        packing = ["tar", "-czf", str(layer), "-C", "/", f"usr/{name}"]
        subprocess.run(packing, check=False)  # a file may not be ours to read
        found.append(layer)
    size = sum(layer.stat().st_size for layer in found)
    print(f"the image: {len(found)} layers, {size / 1e6:.0f} MB compressed (over 100 wanted)")
    return found


def push(files: Sequence[Path], repository: str) -> None:
    """Have the registry keep an image of these layers, tagged `big`."""

    def put(kind: str, body: bytes) -> dict[str, object]:
        place = requests.post(f"{repository}/blobs/uploads/", timeout=60).headers["Location"]
        query = {"digest": digest(body)}
        requests.put(place, body, params=query, timeout=60).raise_for_status()
        return {"mediaType": f"{OCI}.{kind}", "digest": digest(body), "size": len(body)}

    blobs = [put("layer.v1.tar+gzip", file.read_bytes()) for file in files]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    root = {"type": "layers", "diff_ids": [diff_id(file) for file in files]}
    configuration = {"os": "linux", "architecture": machine, "rootfs": root}
    manifest = {
        "schemaVersion": 2,
        "mediaType": f"{OCI}.manifest.v1+json",
        "config": put("config.v1+json", json.dumps(configuration).encode()),
        "layers": blobs,
    }
    kind = {"Content-Type": f"{OCI}.manifest.v1+json"}
    done = requests.put(
        f"{repository}/manifests/big", json.dumps(manifest), headers=kind, timeout=60
    )
    done.raise_for_status()


def diff_id(file: Path) -> str:
    with gzip.open(file) as unpacked:
        return f"sha256:{hashlib.file_digest(unpacked, 'sha256').hexdigest()}"


def at(home: Path) -> dict[str, str]:
    return os.environ | {"PROCCHI_HOME": str(home)}


def procchi(words: str) -> Way:
    def run(place: Path) -> None:
        command = [str(PROCCHI), "pull", words, "--name", "it"]
        subprocess.run(command, check=True, env=at(place), capture_output=True)

    return Way(run)


def start_nest(home: Path) -> None:
    command = [str(PROCCHI), "eggs"]  # as any that asks it for something
    subprocess.run(command, env=at(home), check=True, capture_output=True)


def registry_ways(words: str) -> dict[str, Way]:
    def skopeo_and_umoci(place: Path) -> None:
        layout = f"{place}/layout:it"
        copy = ["skopeo", "copy", "-q", "--src-tls-verify=false", f"docker://{words}"]
        subprocess.run([*copy, f"oci:{layout}"], check=True)
        unpack = ["umoci", "unpack", "--image", layout, f"{place}/bundle"]
        subprocess.run(unpack, check=True, stdout=subprocess.DEVNULL)

    def podman(place: Path) -> None:
        with tempfile.TemporaryDirectory() as run:  # podman wants a short path
            places = ["--root", f"{place}/root", "--runroot", run]
            pull = ["podman", *places, "pull", "-q", "--tls-verify=false", words]
            done = subprocess.run(pull, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Unable(done.stderr.strip().splitlines()[-1])

    return {
        WHOLE: procchi(words),
        RUNNING: procchi(words)._replace(before=start_nest),
        "skopeo copy + umoci unpack": Way(
            skopeo_and_umoci, tools=["skopeo", "umoci"], wanted=1 / 3
        ),
        "podman pull": Way(podman, tools=["podman"], wanted=1 / 3),
    }


def tarball_ways(tarball: Path) -> dict[str, Way]:
    idmap = for_this_user()

    def with_tool(*command: str, wanted: float | None = None) -> Way:
        def run(place: Path) -> None:
            subprocess.run([*command, str(tarball), "-C", str(place)], check=True)

        return Way(run, tools=command[:1], wanted=wanted)

    def with_unpack(place: Path) -> None:
        if os.geteuid() == 0:
            os.chown(place, idmap.root_uid, idmap.root_gid)
        with tarball.open("rb") as file, tempfile.TemporaryFile() as ledger:
            unpack(
                file.fileno(),
                str(place),
                idmap,
                bounds=Bounds(),
                progress=lambda _: None,
                ledger=ledger.fileno(),
            )

    return {
        WHOLE: procchi(str(tarball)),
        RUNNING: procchi(str(tarball))._replace(before=start_nest),
        INNER: Way(with_unpack),
        "bsdtar -xf": with_tool("bsdtar", "-xf"),
        "tar -xzf": with_tool("tar", "-xzf", wanted=0.7),
    }


def compare(title: str, ways: dict[str, Way], work: Path, rounds: int, tidy: bool) -> None:
    """Time all in turn; print medians, and what part of each peer's ours is."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    absent = {
        name: "not installed: " + ", ".join(missing)
        for name, way in ways.items()
        if (missing := [tool for tool in way.tools if not shutil.which(tool)])
    }
    for number in range(rounds):
        for name, way in ways.items():
            if name in absent:
                continue
            place = work / f"{title}-{name}-{number}".replace(" ", "_")
            place.mkdir()
            way.before(place)
            os.sync()
            start = time.perf_counter()
            try:
                way.run(place)
            except Unable as error:
                absent[name] = f"does not run here: {error}"
                continue
            taken[name].append(time.perf_counter() - start)
            if name in (WHOLE, RUNNING):
                stop_nest(place)
            if tidy:
                remove(place)
    middle = {name: statistics.median(seconds) for name, seconds in taken.items() if seconds}
    print(f"\n{title}, {rounds} rounds: seconds")
    for name, way in ways.items():
        if name in absent:
            print(f"  {name:28}{absent[name]}")
            continue
        spread = f"({min(taken[name]):.2f} to {max(taken[name]):.2f})"
        row = f"  {name:28}{middle[name]:7.2f}  {spread:16}"
        if name not in OURS:
            parts = [f"{middle[one] / middle[name]:.2f}" for one in OURS if one in middle]
            row += f"  ours are {', '.join(parts)} of it"
        print(row + (f"   ({way.wanted:.2f} wanted)" if way.wanted else ""))


def remove(place: Path) -> None:
    subprocess.run(["rm", "-rf", "--one-file-system", str(place)], check=False)


def stop_nest(home: Path) -> None:
    stop = [str(PROCCHI), "nest", "stop"]
    subprocess.run(stop, env=at(home), check=True, stdout=subprocess.DEVNULL)


def memory(words: str, place: Path) -> None:
    """The most that a pull's processes have at once."""
    with _watched(str(place)) as peak:
        procchi(words).run(place)
    stop_nest(place)
    most = f"{peak[0] / 1e6:.0f} MB at most"
    print(f"\nmemory at once, nest and pulling processes: {most} (under 100 wanted)")


@contextmanager
def _watched(place: str) -> Iterator[list[int]]:
    peak, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.02):
            peak[0] = max(peak[0], sum(map(_pss, _of_the_nest(place))))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield peak
    finally:
        over.set()
        thread.join()


def _of_the_nest(place: str) -> Iterator[str]:
    """The nest at `place` and all its forks: they have its command line."""
    for entry in os.scandir("/proc"):
        if entry.name.isdecimal():
            try:
                words = Path(entry.path, "cmdline").read_bytes().split(b"\0")
            except OSError:
                continue
            if place.encode() in words and b"engine.nest" in words:
                yield entry.name


def _pss(pid: str) -> int:
    try:
        for line in Path("/proc", pid, "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) << 10
    except OSError:
        pass
    return 0


def main() -> None:
    asked = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    asked.add_argument("--rounds", type=int, default=5)
    asked.add_argument("--work", type=Path)
    words = asked.parse_args()
    tarball = debian()
    work = Path(tempfile.mkdtemp(prefix="bench-pull-", dir=words.work))
    tidy = words.work is None and os.geteuid() == 0
    if tidy:
        subprocess.run(["mount", "-t", "tmpfs", "bench", work], check=True)
    try:
        if shutil.which("docker-registry"):
            files = layers(tarball, work)
            with serve(work, tls=False) as registry:
                push(files, f"http://{registry.host}/v2/bench")
                image = f"{registry.host}/bench:big"
                compare("from a registry", registry_ways(image), work, words.rounds, tidy)
                home = work / "memory"
                home.mkdir()
                memory(image, home)
        else:
            print("from a registry: docker-registry is not installed, and so no figures")
        subprocess.run(["cksum", str(tarball)], stdout=subprocess.DEVNULL, check=True)  # cached now
        compare("from a tarball", tarball_ways(tarball), work, words.rounds, tidy)
    finally:
        if tidy:
            subprocess.run(["umount", "--lazy", work], check=True)
        remove(work)


if __name__ == "__main__":
    main()
