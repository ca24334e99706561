"""Pulling from files: what works, and each way in which it does not; pulls at once, and killed."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import subprocess
import tarfile
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from engine.errors import BadRequest, NoSuchEgg, PullFailed
from engine.idmap import IdMap, for_this_user
from engine.images import pull
from engine.images.store import Store
from engine.model import Progress
from tests.engine.images.conftest import Server
from tests.engine.images.forks import as_a_user_with_ranges, as_an_ordinary_user, on_a_small_disk
from tests.engine.images.puller import killed_when, puller
from tests.engine.images.trees import look_at

# From files


def test_an_egg_knows_where_it_comes_from(egg_file: Path, store: Store) -> None:
    seen: list[Progress] = []
    egg = pull(str(egg_file), store=store, progress=seen.append)
    unpacked = gzip.decompress(egg_file.read_bytes())
    assert (egg.name, egg.source) == ("egg", str(egg_file))
    assert egg.digest == f"sha256:{hashlib.sha256(unpacked).hexdigest()}"
    assert egg.layers == (egg.digest,)
    assert egg.size == 250_000
    assert store.egg("egg") == egg
    assert store.eggs() == [egg]
    stages = list(dict.fromkeys(step.stage for step in seen))
    assert stages == ["resolving", "unpacking", "storing"]
    assert Progress("unpacking", egg_file.stat().st_size, egg_file.stat().st_size) in seen


def test_pulled_again_it_is_not_unpacked_again(egg_file: Path, store: Store) -> None:
    first = pull(str(egg_file), store=store)
    inode = os.stat(store.layer_tree(first.digest)).st_ino
    seen: list[Progress] = []
    again = pull(egg_file.as_uri(), store=store, name="again", progress=seen.append)
    assert again.digest == first.digest
    assert {step.stage for step in seen} == {"resolving"}
    assert os.stat(store.layer_tree(first.digest)).st_ino == inode
    assert [egg.name for egg in store.eggs()] == ["again", "egg"]


def test_another_content_takes_the_name(egg_file: Path, tmp_path: Path, store: Store) -> None:
    old = pull(str(egg_file), store=store)
    other = tmp_path / "other.tar"
    with tarfile.open(other, "w") as tar:
        tar.addfile(tarfile.TarInfo("other"))
    new = pull(str(other), store=store, name="egg")
    assert store.eggs() == [new]
    assert os.path.isdir(store.layer_tree(old.digest)), "a pet may live on it"
    store.retire({old.digest})
    store.clean()
    assert os.path.isdir(store.layer_tree(old.digest))
    store.retire(())
    store.clean()
    assert not os.path.exists(store.layer_tree(old.digest))


def test_the_right_digest(egg_file: Path, content: bytes, store: Store) -> None:
    right = hashlib.sha256(content).hexdigest()
    assert pull(str(egg_file), store=store, sha256=right).pins == {"sha256": right}
    pull(str(egg_file), store=store, sha256=f"sha256:{right.upper()}")
    assert pull(str(egg_file), store=store).pins == {}


def test_a_wrong_digest(
    egg_file: Path, content: bytes, store: Store, nothing_is_left: None
) -> None:
    right = hashlib.sha256(content).hexdigest()
    with pytest.raises(PullFailed) as error:
        pull(str(egg_file), store=store, sha256="0" * 64)
    assert right in str(error.value)
    assert "0" * 64 in str(error.value)


@pytest.mark.parametrize("digest", ["", "12", "g" * 64, "0" * 65, "sha512:" + "0" * 64])
def test_no_digest_at_all(digest: str, egg_file: Path, store: Store, nothing_is_left: None) -> None:
    with pytest.raises(BadRequest, match="no SHA-256"):
        pull(str(egg_file), store=store, sha256=digest)


@pytest.mark.parametrize(
    ("reference", "name"),
    [
        ("debian.tar.gz", "debian"),
        ("a/b/debian-12.tar.zst", "debian-12"),
        ("x.TGZ", "x"),
        ("rootfs.txz", "rootfs"),
        ("no-suffix", "no-suffix"),
        ("archive.gz", "archive"),
        ("busybox.tar", "busybox"),
        ("strange näme (1).tar", "strange-n-me-1-"),
        ("_.hidden.tar", "hidden"),
        ("n" * 200 + ".tar", "n" * 63),
    ],
)
def test_names(reference: str, name: str, content: bytes, tmp_path: Path, store: Store) -> None:
    path = tmp_path / reference
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    assert pull(str(path), store=store).name == name
    assert pull(path.as_uri(), store=store).name == name


def test_a_reference_that_makes_no_name(content: bytes, tmp_path: Path, store: Store) -> None:
    path = tmp_path / "….tar"
    path.write_bytes(content)
    with pytest.raises(BadRequest, match="--name"):
        pull(str(path), store=store)
    assert pull(str(path), store=store, name="dots").name == "dots"


@pytest.mark.parametrize("name", ["", "..", "a/b", "a\nb", "n" * 300, "-x", "ü"])
def test_bad_names(name: str, egg_file: Path, store: Store, nothing_is_left: None) -> None:
    with pytest.raises(BadRequest, match="cannot be used"):
        pull(str(egg_file), store=store, name=name)


@pytest.mark.parametrize(
    "reference",
    [
        "NoSuchEgg",
        "no:such:egg",
        "egg@sha256:12",
        "nosuchegg.tar.xz",
        "./nosuchfile.tar",
        "/no/such/directory/x.tar",
        "ftp://example.org/x.tar",
        "file://example.org/x.tar",
        "file:///no/such/file.tar",
        "x\0y",
        "x/\0y",
        "./two\nlines and a \x1b[31mcolour",
        "ftp://two\nlines/x",
    ],
)
def test_unknown_references(reference: str, store: Store, nothing_is_left: None) -> None:
    with pytest.raises(NoSuchEgg) as error:
        pull(reference, store=store, name="x")
    assert str(error.value).isprintable()


def test_what_is_no_file(tmp_path: Path, store: Store, nothing_is_left: None) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "directory").mkdir()
    (tmp_path / "empty").touch()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket"))
        for name, said in {
            "pipe": "no ordinary file",
            "directory": "is an empty folder",
            "empty": "is empty",
            "socket": "cannot be read",
        }.items():
            with pytest.raises(PullFailed, match=said):
                pull(str(tmp_path / name), store=store)
    with pytest.raises(PullFailed, match="no ordinary file"):
        pull("/dev/zero", store=store)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A directory that every user can reach and write to."""
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o777)
        yield Path(place)


def test_a_file_that_may_not_be_read(content: bytes, open_to_all: Path) -> None:
    path = open_to_all / "egg.tar.gz"
    path.write_bytes(content)
    path.chmod(0)

    def refusal() -> str:
        with pytest.raises(PullFailed) as error:
            pull(str(path), store=Store(f"{open_to_all}/store", for_this_user()))
        return str(error.value)

    assert as_an_ordinary_user(refusal) == f"{path}: cannot be read: Permission denied"


def test_as_an_ordinary_user(content: bytes, open_to_all: Path) -> None:
    path = open_to_all / "egg.tar.gz"
    path.write_bytes(content)
    path.chmod(0o644)

    def pull_and_remove() -> list[object]:
        store = Store(f"{open_to_all}/store", for_this_user())
        for reference in (str(path), "home"):
            pull(reference, store=store)
        names = [egg.name for egg in store.eggs()]
        shell = os.stat(f"{store.layer_tree(store.egg('home').digest)}/bin/sh")
        for name in names:
            store.remove(name)
            store.clean()
        left = os.listdir(f"{store.directory}/layers/sha256")
        return [names, shell.st_uid == os.geteuid(), left]

    assert as_an_ordinary_user(pull_and_remove) == [["egg", "home"], True, []]


def test_as_a_user_with_subordinate_ids(open_to_all: Path) -> None:
    path = open_to_all / "egg.tar"
    with tarfile.open(path, "w") as tar:
        for owner in (0, 1, 1000, 65534):
            entry = tarfile.TarInfo(f"of-{owner}")
            entry.uid = entry.gid = owner
            tar.addfile(entry)
    path.chmod(0o644)

    def pull_and_remove() -> list[object]:
        store = Store(f"{open_to_all}/store", for_this_user())
        egg = pull(str(path), store=store)
        nodes = look_at(store.layer_tree(egg.digest), store.idmap)
        owners = {name.decode(): [node["uid"], node["gid"]] for name, node in nodes.items()}
        store.remove(egg.name)
        store.clean()
        left = os.listdir(f"{store.directory}/layers/sha256")
        return [store.idmap.single, owners, left]

    single, owners, left = as_a_user_with_ranges(pull_and_remove, str(open_to_all))
    assert left == [], "files of other ids than one's own can be removed as well"
    owners.pop(".")
    assert owners == {
        f"of-{owner}": [0, 0] if single else [owner, owner] for owner in (0, 1, 1000, 65534)
    }


def test_a_full_disk(tmp_path: Path) -> None:
    big = tmp_path / "big.tar"
    noise = tmp_path / "noise"
    noise.write_bytes(os.urandom(250_000))
    with tarfile.open(big, "w") as tar:
        for number in range(40):
            tar.add(noise, f"noise-{number}")
    disk = tmp_path / "disk"
    disk.mkdir()

    def refusals(idmap: IdMap) -> list[list[str]]:
        store = Store(f"{disk}/store", idmap)
        said = []
        for reference in (str(big), "home"):
            with pytest.raises(PullFailed) as error:
                pull(reference, store=store)
            said.append(str(error.value))
        places = ("eggs", "staging", "layers/sha256")
        return [said, *(os.listdir(f"{store.directory}/{place}") for place in places)]

    said, *left = on_a_small_disk(refusals, str(disk), "4m")
    assert [line.partition(":")[0] for line in said] == [str(big), "home"]
    assert all("no room left on the disk" in line for line in said)
    assert left == [[], [], []]


def test_cancelled_by_its_listener(tmp_path: Path, store: Store, nothing_is_left: None) -> None:
    path = tmp_path / "egg.tar"
    with tarfile.open(path, "w") as tar:
        for number in range(20_000):
            tar.addfile(tarfile.TarInfo(f"file-{number}"))

    def listen(progress: Progress) -> None:
        if progress.stage == "unpacking":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pull(str(path), store=store, progress=listen)


@pytest.mark.parametrize("whole", [True, False])
def test_two_pulls_of_one_url_at_once(
    whole: bool, egg_file: Path, content: bytes, server: Server, store: Store
) -> None:
    """What one has fetched while the other waited is the other's too, unless it was broken."""
    egg_file.write_bytes(content if whole else content[:-20])
    url = server.url("held/egg.tar.gz")
    piped = partial(subprocess.Popen, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    with piped(puller(store, url, "one")) as first:
        assert first.stdout
        next(line for line in first.stdout if line.startswith("downloading"))
        with piped(puller(store, url, "two")) as second:
            assert second.stdout
            for _ in range(3):  # it begins, and then it waits
                assert next(second.stdout).startswith("resolving")
            egg_file.with_name("egg.tar.gz.go").touch()
            second.communicate()
        first.communicate()
    assert first.returncode == second.returncode == (0 if whole else 1)
    assert len(server.requests()) == (1 if whole else 2)
    assert [egg.name for egg in store.eggs()] == (["one", "two"] if whole else [])
    assert os.listdir(store.downloads) == []
    assert os.listdir(f"{store.directory}/staging") == []


@pytest.mark.parametrize("what", ["home", "egg.tar.gz"])
def test_pulls_of_one_archive_at_once_unpack_it_once(
    what: str, egg_file: Path, store: Store
) -> None:
    words = what if what == "home" else str(egg_file)
    pulls = [
        subprocess.Popen(puller(store, words, name), stdout=subprocess.PIPE, text=True)
        for name in ("ann", "bob", "cat")
    ]
    said = [process.communicate()[0] for process in pulls]
    assert [process.returncode for process in pulls] == [0, 0, 0]
    assert sum("unpacking" in one for one in said) == 1
    assert [egg.name for egg in store.eggs()] == ["ann", "bob", "cat"]
    assert os.listdir(store.downloads) == os.listdir(f"{store.directory}/staging") == []


# Killed


def test_killed_at_any_moment(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "egg.tar.gz"
    noise = os.urandom(20_000)
    with tarfile.open(path, "w:gz", compresslevel=1) as tar:
        for number in range(800):
            entry = tarfile.TarInfo(f"{number % 40}/file-{number}")
            entry.size = len(noise)
            tar.addfile(entry, io.BytesIO(noise))
    start = time.monotonic()
    subprocess.run(puller(Store(str(tmp_path / "other"), store.idmap), str(path)), check=True)
    whole = time.monotonic() - start
    for number in range(12):
        with subprocess.Popen(puller(store, str(path))) as process:
            time.sleep(whole * (number + 1) / 12)
            process.kill()
        for egg in store.eggs():
            assert len(os.listdir(store.layer_tree(egg.digest))) == 40
            store.remove(egg.name)
            store.clean()
    egg = pull(str(path), store=store)
    assert egg.size == 800 * len(noise)
    deadline = time.monotonic() + 20
    while os.listdir(f"{store.directory}/staging") and time.monotonic() < deadline:
        store.clean()  # the last one killed may have been dying still, with its lock held
    assert os.listdir(f"{store.directory}/staging") == []
    assert store.eggs() == [egg]


@pytest.mark.parametrize("stage", ["cooking 50", "unpacking 1", "storing 0"])
def test_killed_while(stage: str, store: Store) -> None:
    with killed_when(store, "home", stage):
        pass
    assert store.eggs() == []
    egg = pull("home", store=store)
    assert store.eggs() == [egg]
