"""Verifying eggs, and freeing what nobody needs."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import stat
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

import engine
from engine.errors import NoSuchEgg, ProcchiError
from engine.images import pull
from engine.images.store import Store
from engine.model import Freed, Progress
from tests.conftest import eventually
from tests.engine.images.trees import make_tree, run


@pytest.fixture
def archive(tmp_path: Path) -> str:
    """Of a tree with all that tar can hold, sparse files too."""
    tree = tmp_path / "tree"
    tree.mkdir()
    make_tree(str(tree))
    path = str(tmp_path / "full.tar")
    run("tar", "--format=pax", "--sparse", "-cf", path, ".", cwd=str(tree))
    return path


def keeping_its_time(change: Callable[[str], object]) -> Callable[[str], None]:
    def work(path: str) -> None:
        before = os.lstat(path)
        change(path)
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns), follow_symlinks=False)

    return work


def flip(path: str) -> None:
    with open(path, "r+b") as file:
        byte = file.read(1)
        file.seek(0)
        file.write(bytes([byte[0] ^ 1]))


def relink(path: str) -> None:
    os.unlink(path)
    os.symlink("elsewhere", path)


DAMAGE: dict[str, tuple[str, Callable[[str], object], str]] = {
    "one bit": ("etc/passwd", keeping_its_time(flip), "/etc/passwd: content"),
    "a bit of a sparse file": ("sparse-ends", keeping_its_time(flip), "/sparse-ends: content"),
    "its end": (
        "etc/passwd",
        lambda path: os.truncate(path, 5),
        "/etc/passwd: size, time, content",
    ),
    "its mode": ("etc/passwd", lambda path: os.chmod(path, 0o666), "/etc/passwd: mode"),
    "its owner": ("etc/passwd", lambda path: os.chown(path, 7, -1), "/etc/passwd: owner"),
    "its time": ("etc/passwd", os.utime, "/etc/passwd: time"),
    "gone": ("etc/exactly-512", os.unlink, "/etc/exactly-512: is missing"),
    "one too many": ("etc/new", lambda path: Path(path).touch(), "/etc/new: was not there"),
    "a link's target": ("etc/dangling", keeping_its_time(relink), "/etc/dangling: content"),
    "a name of a file of several": ("usr/bin/zsh", os.unlink, "/usr/bin/zsh: is missing"),
}


@pytest.mark.parametrize("how", DAMAGE)
def test_damage_is_found_and_named(how: str, archive: str, store: Store) -> None:
    egg = pull(archive, store=store)
    (whole,) = store.verify()
    assert whole.damage == () and whole.entries > 40
    path, damage, line = DAMAGE[how]
    damage(f"{store.layer_tree(egg.digest)}/{path}")
    (verdict,) = store.verify(["full"])
    name, _, what = line.partition(": ")
    (said,) = [found for found in verdict.damage if found.startswith(f"{name}: ")]
    assert said.endswith(what) or what in said.split(", ") or f": {what}" in said


def test_a_lot_of_damage_is_counted(archive: str, store: Store) -> None:
    egg = pull(archive, store=store)
    for number in range(100):
        Path(store.layer_tree(egg.digest), f"new\n{number}").touch()
    (verdict,) = store.verify()
    assert len(verdict.damage) == 20
    assert len(verdict.damage) + verdict.more == 101, "the root directory's time, too"
    assert all(line.isprintable() for line in verdict.damage)


def test_without_a_ledger_nothing_is_claimed(archive: str, store: Store) -> None:
    egg = pull(archive, store=store)
    ledger = Path(store.layer_tree(egg.digest)).parent / "ledger"
    text = ledger.read_bytes()
    ledger.write_bytes(text[: len(text) // 2])
    assert store.verify()[0].damage
    ledger.unlink()
    assert store.verify()[0].damage == ("there is no ledger to compare it with",)
    with pytest.raises(NoSuchEgg):
        store.verify(["other"])


def test_what_is_freed_is_said(archive: str, store: Store) -> None:
    egg = pull(archive, store=store)
    with store.staging() as held:
        Path(held.tree, "half").write_bytes(b"x" * 1000)
        kept = held.path + "-dead"
        run("cp", "-a", held.path, kept)
        Path(store.downloads, "0.part").write_bytes(b"y" * 500)
        Path(store.downloads, "0.part.json").write_bytes(b"{}")
        store.remove("full")
        assert store.clean(downloads_too=True) == Freed(
            layers=(1, egg.size), unfinished=(1, 1000), downloads=(1, 502)
        )
        assert os.path.isdir(held.path), "somebody works in it"
    assert store.clean(downloads_too=True) == Freed()


def test_a_pull_under_way_keeps_its_downloads(store: Store) -> None:
    part = Path(store.downloads, "0.part")
    part.write_bytes(b"whole already, and waiting for the others")
    with store.downloading():
        assert store.clean(downloads_too=True) == Freed(pulling=True)
        assert part.exists()
    assert store.clean(downloads_too=True).downloads == (1, 41)
    assert not part.exists()


def test_killed_while_it_frees(archive: str, store: Store, tmp_path: Path) -> None:
    other = tmp_path / "other.tar"
    run("tar", "-cf", str(other), "-C", str(tmp_path), "full.tar")
    for _ in range(5):
        pull(archive, store=store)
        pull(str(other), store=store)
        store.remove("full")
        pid = os.fork()
        if pid == 0:
            store.clean(downloads_too=True)
            os._exit(0)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        assert [verdict.damage for verdict in store.verify()] == [()]

    def emptied() -> bool:
        store.clean()  # the killed one's helper may be dying still, with its lock held
        return not os.listdir(f"{store.directory}/staging")

    eventually(emptied, "nothing is left of it")


def test_a_cancelled_pull_leaves_no_half_tree(empty_home: Path, tmp_path: Path) -> None:
    path = tmp_path / "many.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(20_000):
            tar.addfile(tarfile.TarInfo(f"file-{number}"))

    def listen(progress: Progress) -> None:
        if progress.stage == "unpacking":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        engine.pull(str(path), progress=listen)
    staging = empty_home / "eggs/staging"
    eventually(lambda: not os.listdir(staging), "the nest has cleared it away")


def test_two_who_clean_at_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The other one removes a directory just when we have opened it."""
    os.mkdir(f"{store.directory}/staging/dead")
    lock = fcntl.flock

    def late(fd: int, operation: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        if path.endswith("/dead"):
            os.rmdir(path)
        lock(fd, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    assert store.clean() == Freed()


def test_an_egg_with_pets_on_it(home: Path) -> None:
    engine.hatch("moka")
    engine.hatch("gone", command=["true"])
    eventually(lambda: engine.look("gone").status == "ghost", "it has ended")
    details = engine.egg("home")
    assert details.pets == ("gone", "moka") and details.entries > 10
    assert details.parts and details.parts[0][0] == details.egg.digest
    assert engine.EggDetails.from_json(details.to_json()) == details
    with pytest.raises(ProcchiError, match=r"gone \(a ghost\), moka hatched from home"):
        engine.remove_egg("home")
    assert engine.collect_garbage() == Freed()
    assert [verdict.damage for verdict in engine.verify_eggs()] == [()]
    engine.release("moka")
    engine.release("gone")
    engine.remove_egg("home")
    assert engine.eggs() == []
    assert os.listdir(home / "eggs/layers/sha256") == os.listdir(home / "eggs/staging") == []


def test_a_read_only_pet_leaves_its_egg_as_it_was(empty_home: Path, tmp_path: Path) -> None:
    base = tmp_path / "base.tar"
    with base.open("wb") as file:
        from engine.images.home import cook

        cook("/", file, lambda _: None)
    run("tar", "--delete", "-f", str(base), "./proc", "./dev", "./sys")
    engine.pull(str(base), name="bare")
    engine.hatch("moka", "bare", read_only=True)
    assert engine.feed("moka", ["touch", "/x"]).exit_code != 0
    assert [verdict.damage for verdict in engine.verify_eggs()] == [()]


def test_garbage_is_collected_while_pets_live_on_what_no_egg_names(
    home: Path, tmp_path: Path
) -> None:
    pet = engine.hatch("moka")
    (tmp_path / "f").write_text("x")
    run("tar", "-cf", str(tmp_path / "o.tar"), "-C", str(tmp_path), "f")
    engine.pull(str(tmp_path / "o.tar"), name="home")
    assert engine.collect_garbage().layers == (0, 0)
    assert engine.feed("moka", ["true"]).exit_code == 0 and pet.egg == "home"
    engine.release("moka")
    assert engine.collect_garbage().layers[0] == 1


def procchi(*words: str, status: int = 0) -> str:
    script = "import sys; import procchi_tui.main as m; sys.exit(m.main())"
    done = subprocess.run(
        [sys.executable, "-c", script, *words], capture_output=True, text=True, check=False
    )
    assert done.returncode == status, done.stderr
    return done.stdout


def test_from_the_command_line(home: Path) -> None:
    assert "whole" in procchi("eggs", "verify")
    shown = procchi("eggs", "show", "home")
    assert "nobody" in shown and "layer 1" in shown
    (verdict,) = json.loads(procchi("eggs", "verify", "home", "--json"))
    assert verdict["ok"] and verdict["entries"]
    assert json.loads(procchi("eggs", "show", "home", "--json"))["pets"] == []
    Path(home, "eggs/downloads/1.part").write_bytes(b"x" * 2048)
    assert "1 × downloads" in procchi("eggs", "gc")
    assert json.loads(procchi("eggs", "gc", "--json"))["bytes"] == 0
    tree = next(Path(home, "eggs/layers/sha256").iterdir()) / "tree"
    program = tree / "usr/bin/sleep"
    os.chmod(program, stat.S_IMODE(program.stat().st_mode) ^ 0o010)
    assert "/usr/bin/sleep: mode" in procchi("eggs", "verify", "home", status=1)
    procchi("eggs", "rm", "home")
    procchi("eggs", "show", "home", status=1)
