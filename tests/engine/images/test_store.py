"""The store: what it lists, what it forgets, and what it makes of a stranger's files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.errors import BadRequest, NoSuchEgg, PullFailed
from engine.images import pull
from engine.images import store as storing
from engine.images.store import Store
from engine.model import Egg


@pytest.fixture
def archive(tmp_path: Path) -> str:
    return _archive(tmp_path / "small.tar", "file")


def _archive(path: Path, *names: str) -> str:
    with tarfile.open(path, "w") as tar:
        for name in names:
            entry = tarfile.TarInfo(name)
            entry.mode = 0o000
            tar.addfile(entry)
    return str(path)


def layers(store: Store) -> list[str]:
    return os.listdir(f"{store.directory}/layers/sha256")


def test_an_empty_store(store: Store) -> None:
    assert store.eggs() == []
    with pytest.raises(NoSuchEgg, match="none yet"):
        store.egg("moka")


def test_a_name_that_is_not_there(store: Store, archive: str) -> None:
    pull(archive, store=store, name="one")
    pull(archive, store=store, name="two")
    for ask in (store.egg, store.remove):
        with pytest.raises(NoSuchEgg, match="there are: one, two") as error:
            ask("three")
        assert str(error.value).isprintable()


@pytest.mark.parametrize("name", ["..", "a/b", "", "../eggs/x", "x\n"])
def test_a_name_that_cannot_be(name: str, store: Store) -> None:
    with pytest.raises(BadRequest):
        store.egg(name)


def test_a_layer_goes_with_its_last_egg(store: Store, archive: str) -> None:
    pull(archive, store=store, name="one")
    pull(archive, store=store, name="two")
    store.remove("one")
    assert len(layers(store)) == 1
    store.remove("two")
    assert layers(store) == []
    assert store.clean().layers == (1, 0), "it is said what was freed"
    assert os.listdir(f"{store.directory}/archives/sha256") == []
    assert os.listdir(f"{store.directory}/staging") == []


def test_a_layer_stays_while_a_pet_lives_on_it(store: Store, archive: str) -> None:
    egg = pull(archive, store=store)
    store.remove(egg.name, in_use={egg.digest})
    assert store.eggs() == []
    assert os.path.exists(f"{store.layer_tree(egg.digest)}/file")
    assert pull(archive, store=store).digest == egg.digest
    store.remove(egg.name)
    assert layers(store) == []


def test_nobody_waits_for_the_disk_of_another(
    store: Store, archive: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The nest retires layers in its only thread, while a pull may be writing a large egg."""
    told, tell = os.pipe()

    def slow(_: int) -> None:
        os.write(tell, b".")
        signal.pause()

    pid = os.fork()
    if pid == 0:
        monkeypatch.setattr(storing, "syncfs", slow)
        pull(archive, store=store)
    assert os.read(told, 1) == b"."
    store.retire(())
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def test_cleaning_without_knowing_the_pets_keeps_every_layer(store: Store, archive: str) -> None:
    egg = pull(archive, store=store)
    os.unlink(f"{store.directory}/eggs/{egg.name}.json")
    store.clean()
    assert len(layers(store)) == 1


BROKEN: dict[str, Callable[[str], str]] = {
    "torn": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "a list": lambda text: "[1, 2]",
    "a number": lambda text: "7",
    "no UTF-8": lambda text: "\udcff",
    "a key missing": lambda text: text.replace('"digest"', '"digset"'),
    "another egg's": lambda text: text.replace('"name": "small"', '"name": "other"'),
    "a name that cannot be": lambda text: text.replace('"name": "small"', '"name": "../x"'),
    "a layer that is not there": lambda text: text.replace("sha256:", "sha256:0")[:-1],
    "a layer outside": lambda text: json.dumps(
        json.loads(text) | {"layers": ["sha256:" + "../" * 21 + "x"]}
    ),
    "no layers": lambda text: json.dumps(json.loads(text) | {"layers": []}),
    "layers of numbers": lambda text: json.dumps(json.loads(text) | {"layers": [1]}),
    "no date": lambda text: json.dumps(json.loads(text) | {"created_at": 5}),
    "nested without end": lambda text: "[" * 100_000,
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_egg_is_set_aside(how: str, store: Store, archive: str) -> None:
    pull(archive, store=store, name="good")
    pull(archive, store=store)
    path = Path(f"{store.directory}/eggs/small.json")
    broken = BROKEN[how](path.read_text())
    path.write_bytes(broken.encode("utf-8", "surrogateescape"))
    assert [egg.name for egg in store.eggs()] == ["good"]
    assert sorted(os.listdir(path.parent)) == ["good.json", "small.json.broken"]
    assert pull(archive, store=store).name == "small"


def test_a_foreign_file_is_left_alone_or_set_aside(store: Store, archive: str) -> None:
    pull(archive, store=store)
    for name in ("README", "un named.json"):
        Path(f"{store.directory}/eggs/{name}").write_text("hello")
    assert [egg.name for egg in store.eggs()] == ["small"]
    assert set(os.listdir(f"{store.directory}/eggs")) == {
        "README",
        "small.json",
        "un named.json.broken",
    }


def test_a_directory_is_no_egg(store: Store, archive: str) -> None:
    pull(archive, store=store)
    os.mkdir(f"{store.directory}/eggs/moka.json")
    assert [egg.name for egg in store.eggs()] == ["small"]


def test_an_egg_without_its_layer_is_not_listed(store: Store, archive: str) -> None:
    egg = pull(archive, store=store)
    with pytest.raises(PullFailed, match="pull again"):
        store.put(replace(egg, layers=("sha256:" + "0" * 64,)))
    assert store.eggs() == [egg]


def test_unfinished_work_of_the_dead_is_cleared(store: Store) -> None:
    program = """
import os, sys
from engine.idmap import for_this_user
from engine.images.store import Store
with Store(sys.argv[1], for_this_user()).staging() as staging:
    os.mkdir(f"{staging.tree}/below")
    print("made", flush=True)
    sys.stdin.read()
"""
    command = [sys.executable, "-c", program, store.directory]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout
        assert process.stdout.readline() == b"made\n"
        store.clean()
        assert len(os.listdir(f"{store.directory}/staging")) == 1, "it is alive, and at work"
        process.kill()
    store.clean()
    assert os.listdir(f"{store.directory}/staging") == []


def test_old_downloads_are_forgotten(store: Store) -> None:
    old, new = Path(store.downloads, "old.part"), Path(store.downloads, "new.part")
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    store.clean()
    assert [path.exists() for path in (old, new)] == [False, True]


def test_nobody_else_may_look_into_it(store: Store, archive: str) -> None:
    egg = pull(archive, store=store)
    assert os.stat(store.directory).st_mode & 0o077 == 0
    found = os.lstat(f"{store.layer_tree(egg.digest)}/file")
    assert (found.st_uid, found.st_gid) == (store.idmap.root_uid, store.idmap.root_gid)


def test_the_nest_can_read_it_without_what_only_pulling_needs() -> None:
    program = """
import sys
import engine.images.store
heavy = {"requests", "isal", "backports", "tarfile", "urllib3", "tempfile"}
print(*heavy & set(sys.modules))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""


def test_what_travels_as_json_is_the_egg(store: Store, archive: str) -> None:
    egg = pull(archive, store=store)
    assert Egg.from_json(json.loads(json.dumps(egg.to_json()))) == egg
