"""Pulling from files and from the web: what works, and each way in which it does not."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from engine.errors import BadRequest, NoSuchEgg, ProcchiError, PullFailed
from engine.idmap import IdMap, for_this_user
from engine.images import pull, web
from engine.images.bounds import Bounds
from engine.images.catalogue import offers
from engine.images.store import Store
from engine.model import Progress
from tests.engine.images.conftest import Server
from tests.engine.images.forks import as_a_user_with_ranges, as_an_ordinary_user, on_a_small_disk
from tests.engine.images.trees import look_at


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """An archive of a quarter of a megabyte, which does not compress."""
    path = tmp_path_factory.mktemp("content") / "egg.tar.gz"
    noise = path.with_name("noise")
    noise.write_bytes(os.urandom(250_000))
    with tarfile.open(path, "w:gz") as tar:
        tar.add(noise, "noise")
    return path.read_bytes()


@pytest.fixture
def egg_file(content: bytes, served: Path) -> Path:
    path = served / "egg.tar.gz"
    path.write_bytes(content)
    return path


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow each other without a pause."""
    monkeypatch.setattr(web, "PAUSE", 0.0)


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


# From the web


def test_from_the_web(egg_file: Path, server: Server, store: Store) -> None:
    seen: list[Progress] = []
    egg = pull(server.url("good/egg.tar.gz"), store=store, progress=seen.append)
    assert egg == store.egg("egg")
    size = egg_file.stat().st_size
    assert Progress("downloading", size, size) in seen
    assert os.listdir(store.downloads) == []


def test_a_redirect(egg_file: Path, server: Server, store: Store) -> None:
    assert pull(server.url("moved/egg.tar.gz"), store=store).name == "egg"


def test_a_password_in_the_url_is_used_and_not_kept(
    egg_file: Path, server: Server, store: Store
) -> None:
    url = server.url("good/egg.tar.gz").replace("://", "://ann:secret@")
    egg = pull(url, store=store)
    assert server.requests()[0]["Authorization"] == "Basic YW5uOnNlY3JldA=="
    assert egg.source == server.url("good/egg.tar.gz")
    with pytest.raises(NoSuchEgg) as error:
        pull(url.replace("egg.", "none."), store=store)
    assert "secret" not in str(error.value)


def starts(server: Server) -> list[int]:
    """From which byte on each request asked."""
    ranges = [request["Range"] or "bytes=0-" for request in server.requests()]
    return [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges]


def test_a_connection_that_breaks_is_taken_up(
    egg_file: Path, server: Server, store: Store, impatient: None
) -> None:
    pull(server.url("cut/100000/egg.tar.gz"), store=store)
    first, second, third = starts(server)
    assert first == 0 < second < third < egg_file.stat().st_size
    assert [bool(request["If-Range"]) for request in server.requests()] == [False, True, True]


@pytest.mark.usefixtures("egg_file", "impatient")
def test_without_ranges_it_starts_again(server: Server, store: Store) -> None:
    pull(server.url("plain-cut/100000/egg.tar.gz"), store=store)
    assert starts(server) == [0, 0]


@pytest.mark.usefixtures("egg_file", "impatient")
def test_a_file_that_has_changed_is_fetched_anew(server: Server, store: Store) -> None:
    assert pull(server.url("changed/egg.tar.gz"), store=store).size == 250_000
    first, second = starts(server)
    assert first == 0 < second, "the rest was asked for, and the whole came"


@pytest.mark.usefixtures("egg_file", "impatient")
def test_another_part_than_asked_for_is_not_used(server: Server, store: Store) -> None:
    url = server.url("wrong-part/200000/egg.tar.gz")
    assert pull(url, store=store).size == 250_000
    first, second, third = starts(server)
    assert first == third == 0 < second


def test_it_goes_on_where_a_killed_pull_stopped(
    egg_file: Path, content: bytes, server: Server, store: Store
) -> None:
    big = egg_file.with_name("big")
    big.write_bytes(content + bytes(1_000_000))  # gzip allows zeros after its end
    with killed_when(store, server.url("drip/big"), "downloading 500000"):
        pass
    assert store.eggs() == []
    (part,) = (path for path in Path(store.downloads).iterdir() if path.suffix == ".part")
    have = part.stat().st_size
    assert have >= 500_000
    assert pull(server.url("drip/big"), store=store).size == 250_000
    assert starts(server) == [0, have]
    assert os.listdir(store.downloads) == []


def test_what_was_fetched_whole_is_not_fetched_again(
    egg_file: Path, content: bytes, server: Server, store: Store
) -> None:
    with killed_when(store, server.url("good/egg.tar.gz"), f"downloading {len(content)}"):
        pass
    pull(server.url("good/egg.tar.gz"), store=store)
    assert starts(server) == [0, len(content)], "the second answer is 416: there is no more"


@pytest.mark.usefixtures("egg_file", "impatient")
def test_a_server_that_is_busy_for_a_moment(server: Server, store: Store) -> None:
    pull(server.url("busy/2/egg.tar.gz"), store=store)
    assert len(server.requests()) == 3


@pytest.mark.usefixtures("egg_file", "impatient", "nothing_is_left")
@pytest.mark.parametrize("how", ["good", "endless"])
def test_no_more_is_fetched_than_may_be_unpacked(how: str, server: Server, store: Store) -> None:
    with pytest.raises(PullFailed, match=r"more than 98K .*PROCCHI_BOUNDS=size=195K"):
        pull(server.url(f"{how}/egg.tar.gz"), store=store, bounds=Bounds(size=100_000))


@pytest.mark.usefixtures("egg_file", "impatient", "nothing_is_left_but_notes")
@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("good/nothing.tar", NoSuchEgg, "404 Not Found"),
        ("status/403/x", PullFailed, "answers 403 Forbidden"),
        ("status/429/x", PullFailed, "answers 429 Too Many Requests"),
        ("status/500/x", PullFailed, "answers 500"),
        ("html/egg.tar.gz", PullFailed, "a web page"),
        ("circle/x", PullFailed, "redirects in circles"),
        ("long/egg.tar.gz", PullFailed, "tried 4 times"),
        ("short/egg.tar.gz", PullFailed, "ends too early"),
    ],
)
def test_what_servers_do(
    path: str, error: type[ProcchiError], said: str, server: Server, store: Store
) -> None:
    with pytest.raises(error, match=said) as raised:
        pull(server.url(path), store=store, name="x")
    line = str(raised.value)
    assert line.startswith(server.url(path))
    assert line.isprintable()


@pytest.fixture
def nothing_is_left_but_notes(store: Store) -> Iterator[None]:
    """What a failed download leaves is the beginning of a file, for the next one; never an egg."""
    yield
    for place in ("eggs", "layers/sha256", "archives/sha256", "staging"):
        assert os.listdir(f"{store.directory}/{place}") == []


def test_no_hop_of_a_redirect_is_over_plain_http(
    egg_file: Path, content: bytes, server: Server, safe_server: Server, store: Store
) -> None:
    """Whoever sits on that hop leads to an archive of theirs, over https again."""
    safe = safe_server.url("good/egg.tar.gz")
    there_and_back = safe_server.leading_to(server.leading_to(safe))
    (egg_file.parent / "class.toml").write_text("[x]\nfrom = 'debian'\n")
    listed = safe_server.leading_to(server.leading_to(safe_server.url("good/class.toml")))
    for refused in (there_and_back, safe_server.leading_to(server.url("good/egg.tar.gz"))):
        with pytest.raises(PullFailed, match="redirects to plain http"):
            pull(refused, store=store)
    with pytest.raises(PullFailed, match="redirects to plain http"):
        offers(listed)
    assert pull(safe_server.leading_to(safe), store=store).name == "x"
    digest = hashlib.sha256(content).hexdigest()
    assert pull(there_and_back, store=store, sha256=digest, name="known").name == "known"


def test_nobody_there(store: Store, impatient: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(PullFailed, match="Connection refused"):
        pull(f"http://127.0.0.1:{port}/egg.tar", store=store)


def test_a_server_that_falls_silent(
    egg_file: Path,
    server: Server,
    store: Store,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web, "TIMEOUTS", (1.0, 0.2))
    with pytest.raises(PullFailed, match="tried 4 times"):
        pull(server.url("stuck/egg.tar.gz"), store=store)


def test_a_wrong_digest_from_the_web(
    egg_file: Path, server: Server, store: Store, nothing_is_left: None
) -> None:
    with pytest.raises(PullFailed, match="was asked for"):
        pull(server.url("good/egg.tar.gz"), store=store, sha256="0" * 64)


def test_a_broken_archive_from_the_web_is_not_kept(
    egg_file: Path, content: bytes, server: Server, store: Store, nothing_is_left: None
) -> None:
    egg_file.write_bytes(content[:-20])
    with pytest.raises(PullFailed, match="ends too early"):
        pull(server.url("good/egg.tar.gz"), store=store)


@pytest.mark.parametrize(
    "url",
    [
        *("http://", "http:///x.tar", "http://a b/x.tar", "https://[::1/x", "http://h:99999/x.tar"),
        *("file://[x", "[::::1]:5000/x", "localhost:99999/x"),
    ],
)
@pytest.mark.parametrize("name", ["x", None])
def test_urls_that_are_none(url: str, name: str | None, store: Store, impatient: None) -> None:
    with pytest.raises(ProcchiError) as error:
        pull(url, store=store, name=name)
    assert str(error.value).isprintable()
    assert "URL" in str(error.value) or "makes no name" in str(error.value)


@pytest.mark.parametrize("place", ["http://[", "http://h:99999/", "http://h:abc/", "file:///etc"])
def test_redirects_to_what_is_no_url(
    place: str, server: Server, store: Store, impatient: None
) -> None:
    with pytest.raises(PullFailed, match="no http URL, or leads to none") as error:
        pull(server.leading_to(place), store=store)
    assert str(error.value).isprintable()


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


PULL = """
import sys
from engine.idmap import for_this_user
from engine.images import pull
from engine.images.store import Store

def progress(step):
    print(step.stage, step.done, flush=True)
    if sys.argv[4:]:
        sys.stdin.readline()

pull(
    sys.argv[2],
    store=Store(sys.argv[1], for_this_user()),
    name=sys.argv[3],
    progress=progress,
)
"""


def puller(store: Store, reference: str, name: str = "egg") -> list[str]:
    """The command of a process that pulls."""
    return [sys.executable, "-c", PULL, store.directory, reference, name]


@contextmanager
def killed_when(store: Store, reference: str, moment: str) -> Iterator[None]:
    """A pull, killed when it has said that it is so far: a stage, and how much of it is done."""
    stage, _, least = moment.partition(" ")
    command = [*puller(store, reference), "step by step"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin and process.stdout
        for line in process.stdout:
            said, done = line.split()
            if said == stage and int(done) >= int(least):
                break
            process.stdin.write("\n")
            process.stdin.flush()
        else:
            raise AssertionError(f"it never came to {moment}")
        process.kill()
    yield
