"""Images by other tools, from registries, archives and folders: the tree is umoci's."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import engine
from engine.errors import BadRequest, HatchFailed, NoSuchEgg, PullFailed
from engine.idmap import for_this_user
from engine.images import pull
from engine.images.platforms import runs_here
from engine.images.store import Store
from engine.model import Egg, Progress
from procchi_tui.cli import program
from tests.conftest import eventually
from tests.engine.images.forks import as_a_user_with_ranges, as_an_ordinary_user
from tests.engine.images.packing import Packed, assert_equal, pack_debian, pack_small
from tests.engine.images.puller import puller
from tests.engine.images.registry import Registry, serve
from tests.engine.images.trees import look_at, make_tree, run, stripped
from tests.engine.test_debian import debian
from tests.security.archives import archive, entry

__all__ = ["debian"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return pack_small(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Plain HTTP, open to all."""
    with serve(tmp_path_factory.mktemp("registry"), tls=False) as registry:
        yield registry


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """TLS with a certificate of its own, and a login."""
    with serve(tmp_path_factory.mktemp("guarded"), tls=True) as registry:
        yield registry


@pytest.fixture(autouse=True)
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user without logins, and without certificates."""
    home = tmp_path / "nobody"
    home.mkdir()
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, str(home))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    return home


def tree_of(egg: Egg, store: Store) -> dict[bytes, dict[str, object]]:
    return look_at(store.layer_tree(egg.digest), store.idmap)


WISHES = {
    "entrypoint": ["/bin/sh", "-c"],
    "command": ["echo hello"],
    "environment": {"A": "b=c", "LANG": "C.UTF-8"},
    "working_directory": "/srv",
    "user": "1000:1000",
    "stop_signal": "SIGINT",
}


def test_debian_from_a_registry_by_tag_and_by_digest(
    debian: Path, registry: Registry, store: Store, tmp_path: Path
) -> None:
    place = tmp_path / "debian"
    place.mkdir()
    packed = pack_debian(place, debian)
    registry.push(packed.source, "class/debian:bookworm")
    seen: list[Progress] = []
    egg = pull(f"{registry.host}/class/debian:bookworm", store=store, progress=seen.append)
    assert egg.name == "debian-bookworm"
    assert_equal(tree_of(egg, store), packed)
    assert egg.size == sum(_sizes(store.layer_tree(egg.digest)).values())
    assert kept(store) == layers_of(packed)
    assert list(dict.fromkeys(one.stage for one in seen)) == [
        "resolving",
        "downloading",
        "unpacking",
        "storing",
    ]
    downloading = [one for one in seen if one.stage == "downloading"]
    assert "downloading" in {layer.state for one in downloading for layer in one.layers}
    assert [one.done for one in downloading] == sorted(one.done for one in downloading)
    assert downloading[-1].done == downloading[-1].total

    (manifest,) = json.loads((packed.layout / "index.json").read_text())["manifests"]
    seen.clear()
    again = pull(
        f"{registry.host}/class/debian@{manifest['digest']}", store=store, progress=seen.append
    )
    assert (again.name, again.digest) == ("debian", egg.digest)
    assert {one.stage for one in seen} == {"resolving"}, "what is here is not fetched again"


def _sizes(tree: str) -> dict[int, int]:
    sizes = {}
    for place, _, names in os.walk(tree):
        for name in names:
            found = os.lstat(os.path.join(place, name))
            if not os.path.islink(os.path.join(place, name)):
                sizes[found.st_ino] = found.st_size
    return sizes


def trust(guarded: Registry, containers: Path, *names: str) -> None:
    """Put its certificates where podman looks for them: containers-certs.d(5)."""
    place = containers / "certs.d" / guarded.host
    place.mkdir(parents=True, exist_ok=True)
    for name in names:
        shutil.copy(guarded.place / name, place)


def test_from_a_registry_with_tls_and_a_login(
    small: Packed,
    guarded: Registry,
    store: Store,
    nobody: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    guarded.push(small.source, "small:v1")
    words = f"{guarded.host}/small:v1"
    with pytest.raises(PullFailed, match=r"cannot be trusted: .*SSL_CERT_FILE"):
        pull(words, store=store)
    monkeypatch.setenv("SSL_CERT_FILE", str(guarded.place / "ca.crt"))
    with pytest.raises(PullFailed, match=r"does not trust us: .*\.cert"):
        pull(words, store=store)
    trust(guarded, nobody / "containers", "client.cert")
    with pytest.raises(PullFailed, match=r"client\.key cannot be used"):
        pull(words, store=store)
    trust(guarded, nobody / "containers", "client.key")
    with pytest.raises(PullFailed, match=f"docker login {guarded.host}"):
        pull(words, store=store)
    run(
        *("skopeo", "login", "--cert-dir", str(guarded.place), "-u", "ann", "-p", "secret"),
        *("--authfile", str(nobody / "containers" / "auth.json"), guarded.host),
    )
    egg = pull(words, store=store)
    assert_equal(tree_of(egg, store), small)
    assert egg.config == WISHES
    assert store.egg("small-v1") == egg
    monkeypatch.delenv("SSL_CERT_FILE")
    trust(guarded, nobody / "containers", "ca.crt")
    (manifest,) = json.loads((small.layout / "index.json").read_text())["manifests"]
    words = f"{guarded.host}/small@{manifest['digest']}"
    assert pull(words, store=store).digest == egg.digest
    with pytest.raises(NoSuchEgg, match="404"):
        pull(f"{guarded.host}/small@sha256:{'0' * 64}", store=store)


@pytest.mark.parametrize("kind", ["docker-archive", "oci-archive", "gzip", "folder", "docker-dir"])
def test_from_an_archive_or_a_folder(
    kind: str, small: Packed, store: Store, tmp_path: Path, nothing_in_the_way: None
) -> None:
    path = tmp_path / "moka"
    if kind == "folder":
        path = small.layout
    elif kind == "oci-archive":
        run("skopeo", "copy", "-q", small.source, f"oci-archive:{path}")
    else:
        run("skopeo", "copy", "-q", small.source, f"docker-archive:{path}:moka:latest")
    if kind == "gzip":
        run("gzip", str(path))
        path = path.with_name("moka.gz")
    if kind == "docker-dir":
        folder = tmp_path / "unpacked"
        folder.mkdir()
        run("tar", "-xf", str(path), "-C", str(folder))
        path = folder
    egg = pull(str(path), store=store, name="moka")
    assert_equal(tree_of(egg, store), small)
    assert egg.config == WISHES
    assert egg.layers == (egg.digest,)
    assert pull(str(path), store=store, name="again").config == WISHES
    store.remove("moka")
    store.clean()
    store.remove("again")
    store.clean()


@pytest.fixture
def nothing_in_the_way(store: Store) -> Iterator[None]:
    """After the test the store is empty."""
    yield
    for place in ("eggs", "layers/sha256", "archives/sha256", "staging", "downloads"):
        assert os.listdir(f"{store.directory}/{place}") == []


def test_as_an_ordinary_user(small: Packed) -> None:
    """Who has one id, or ranges of them: every file is there, and can be removed again."""
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o777)
        run("skopeo", "copy", "-q", small.source, f"docker-archive:{name}/saved:moka:latest")
        os.chmod(f"{name}/saved", 0o644)

        def pull_and_remove() -> list[object]:
            store = Store(f"{name}/store-{os.getpid()}", for_this_user())
            egg = pull(f"{name}/saved", store=store)
            paths = sorted(tree_of(egg, store))
            store.remove(egg.name)
            store.clean()
            left = os.listdir(f"{store.directory}/layers/sha256")
            return [[os.fsdecode(path) for path in paths], left]

        expected = [[os.fsdecode(path) for path in sorted(small.tree)], []]
        assert as_an_ordinary_user(pull_and_remove) == expected
        assert as_a_user_with_ranges(pull_and_remove, name) == expected


def test_a_layer_by_every_compressor(small: Packed, store: Store, tmp_path: Path) -> None:
    for compressor in ("gzip", "zstd"):
        layout = tmp_path / compressor
        run(
            *("skopeo", "copy", "-q", "--dest-compress-format", compressor, "--dest-compress"),
            *(small.source, f"oci:{layout}:x"),
        )
        assert pull(str(layout), store=store).digest == _digest_of(small, store)


def _digest_of(packed: Packed, store: Store) -> str:
    return pull(str(packed.layout), store=store, name="plain").digest


KILLS = 50


def test_killed_at_any_moment(small: Packed, registry: Registry, store: Store) -> None:
    """What is listed is whole, what was begun is cleared away, what came whole is not asked for
    again, and the next pull succeeds."""
    for name in ("killed", "after"):  # two names for one image: whose requests are whose is seen
        registry.push(small.source, f"{name}:one")
    words = f"{registry.host}/killed:one"
    moments = random.Random(20)
    started = time.monotonic()
    pull(words, store=store, name="egg")
    whole = time.monotonic() - started
    killed_with: Counter[int] = Counter()
    for _ in range(KILLS):
        store.remove("egg")
        for path in Path(store.downloads).iterdir():
            path.unlink()
        pid = os.fork()
        if pid == 0:
            try:
                pull(words, store=store, name="egg")
            finally:
                os._exit(0)
        time.sleep(moments.uniform(0, whole * 1.1))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for egg in store.eggs():
            assert_equal(tree_of(egg, store), small)
            store.remove("egg")
        eventually(partial(_is_cleared, store), "the dead pull's work is cleared away")
        there = [one for one in layers_of(small) if one in kept(store)]
        killed_with[len(there)] += 1
        before = len(registry.fetched("after"))
        pull(f"{registry.host}/after:one", store=store, name="egg")
        again = registry.fetched("after")[before:]
        assert not set(there) & set(again), "what came whole is not asked for again"
    assert_equal(tree_of(store.egg("egg"), store), small)
    assert {0, len(layers_of(small))} <= set(killed_with), "the moments are all alike"


def layers_of(packed: Packed) -> list[str]:
    """The digests of its layers, sorted."""
    return sorted(layer["digest"] for layer in json.loads(_manifest(packed))["layers"])


def kept(store: Store) -> list[str]:
    """The digests of what lies in the store for the next pull, sorted."""
    return sorted(
        f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in Path(store.downloads).iterdir()
    )


def test_what_two_images_share_is_fetched_once(
    small: Packed, registry: Registry, store: Store, tmp_path: Path
) -> None:
    registry.push(small.source, "shared:base")
    more = tmp_path / "more"
    shutil.copytree(small.layout, more)
    (tmp_path / "top.tar").write_bytes(archive(entry("on-top", data=b"of what is there")))
    run("umoci", "raw", "add-layer", "--image", f"{more}:three", str(tmp_path / "top.tar"))
    registry.push(f"oci:{more}:three", "shared:more")
    pull(f"{registry.host}/shared:base", store=store)
    before = len(registry.fetched("shared"))
    seen: list[Progress] = []
    egg = pull(f"{registry.host}/shared:more", store=store, progress=seen.append)
    again = registry.fetched("shared")[before:]
    assert not set(layers_of(small)) & set(again)
    assert Path(store.layer_tree(egg.digest), "on-top").exists()
    states = [layer.state for one in seen for layer in one.layers]
    assert {"waiting", "here", "unpacked"} <= set(states)
    last = [one for one in seen if one.stage == "downloading"][-1]
    assert [layer.digest for layer in last.layers][:3] == [
        layer["digest"] for layer in json.loads(_manifest(small))["layers"]
    ]


def _manifest(packed: Packed) -> bytes:
    path = packed.layout / "blobs" / "sha256" / str(_named(packed.layout)["digest"])[7:]
    return path.read_bytes()


def _named(layout: Path) -> dict[str, Any]:
    """The descriptor of the one image in a layout."""
    (named,) = json.loads((layout / "index.json").read_text())["manifests"]
    return dict(named)


def _is_cleared(store: Store) -> bool:
    store.retire(())
    store.clean()
    return not any(
        os.listdir(f"{store.directory}/{place}") for place in ("staging", "layers/sha256")
    )


def test_two_pulls_of_one_image_at_once(small: Packed, registry: Registry, store: Store) -> None:
    registry.push(small.source, "both:one")
    words = f"{registry.host}/both:one"
    pulls = [
        subprocess.Popen(puller(store, words, name), stdout=subprocess.PIPE, text=True)
        for name in ("ann", "bob", "cat")
    ]
    said = [process.communicate()[0] for process in pulls]
    assert [process.returncode for process in pulls] == [0, 0, 0]
    assert sum("unpacking" in one for one in said) == 1, "the others found it there"
    assert [egg.name for egg in store.eggs()] == ["ann", "bob", "cat"]
    assert kept(store) == layers_of(small)


def test_an_index_of_several_platforms(
    small: Packed, registry: Registry, store: Store, tmp_path: Path
) -> None:
    """This machine's is pulled, or the one that is asked for."""
    registry.push(small.source, "many:one")
    other = "s390x"
    layout = _for_another(small, other, tmp_path)
    registry.push(f"oci:{layout}:three", "many:other")
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {key: one[key] for key in ("mediaType", "digest", "size")}
            | {"platform": {"os": "linux", "architecture": architecture}}
            for one, architecture in ((_named(layout), other), (_named(small.layout), machine))
        ],
    }
    request = urllib.request.Request(
        f"http://{registry.host}/v2/many/manifests/all",
        json.dumps(index).encode(),
        {"Content-Type": str(index["mediaType"])},
        method="PUT",
    )
    with urllib.request.urlopen(request) as answer:
        digest = answer.headers["Docker-Content-Digest"]
    words = f"{registry.host}/many:all"
    egg = pull(words, store=store)
    assert egg.name == "many-all"
    assert egg.platform == f"linux/{machine}"
    assert runs_here(egg.platform)
    assert egg.digest == pull(f"{registry.host}/many@{digest}", store=store).digest
    assert egg.digest == pull(f"{registry.host}/many:one", store=store).digest

    foreign = pull(words, store=store, name="foreign", platform=f"linux/{other}")
    assert foreign.platform == f"linux/{other}"
    assert store.egg("foreign").pins == {"platform": f"linux/{other}"}
    assert Path(store.layer_tree(foreign.digest), "big-endian").exists()
    assert not runs_here(foreign.platform)
    assert runs_here(foreign.platform, emulators=lambda _: ["/proc/x/qemu-s390x"])
    with pytest.raises(PullFailed, match=f"no image for linux/riscv64: there is linux/{other}, "):
        pull(words, store=store, platform="riscv64")
    with pytest.raises(PullFailed, match=f"is for linux/{machine}, and linux/{other} is wanted"):
        pull(f"{registry.host}/many:one", store=store, platform=f"linux/{other}")
    with pytest.raises(BadRequest, match="platform 'windows/amd64' is not known"):
        pull(words, store=store, platform="windows/amd64")
    for _ in range(2):  # not unpacked yet, and found there
        with pytest.raises(BadRequest, match="home: is no image"):
            pull("home", store=store, platform=f"linux/{other}")
        pull("home", store=store)


def _for_another(packed: Packed, architecture: str, place: Path) -> Path:
    """The layout of an image like `packed`, with one layer more, for another kind of machine."""
    layout = place / architecture
    shutil.copytree(packed.layout, layout)
    run("umoci", "config", "--image", f"{layout}:three", "--architecture", architecture)
    (place / "top.tar").write_bytes(archive(entry("big-endian", data=b"!")))
    run("umoci", "raw", "add-layer", "--image", f"{layout}:three", str(place / "top.tar"))
    return layout


def test_a_foreign_egg_does_not_hatch(
    small: Packed, home: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    layout = _for_another(small, "s390x", tmp_path)
    words = ["pull", str(layout), "--name", "ibm", "--platform", "linux/s390x"]
    assert program.run(words) == 0
    assert "ibm is for linux/s390x: nothing of it runs on this machine" in capfd.readouterr().err
    with pytest.raises(HatchFailed, match=r"ibm is for linux/s390x, and this machine runs linux/"):
        engine.hatch("moka", "ibm")
    assert engine.pets() == []


HELPER = """#!/bin/sh
read -r server
echo "{\\"Username\\": \\"ann\\", \\"Secret\\": \\"$CLASS_SECRET\\"}"
"""


def test_the_pullers_own_login_counts(
    small: Packed,
    guarded: Registry,
    empty_home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The nest was started by somebody without one, and lives elsewhere."""
    guarded.push(small.source, "mine:v1")
    engine.start_nest()
    trust(guarded, tmp_path / "somebody/.config/containers", "client.cert", "client.key")
    (tmp_path / "logins").mkdir()
    login = {"credHelpers": {guarded.host: "class"}}
    (tmp_path / "logins/config.json").write_text(json.dumps(login))
    helper = tmp_path / "docker-credential-class"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    with pytest.raises(PullFailed):
        engine.pull(f"{guarded.host}/mine:v1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "somebody"))
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_CONFIG", "logins")
    monkeypatch.setenv("SSL_CERT_FILE", os.path.relpath(guarded.place / "ca.crt"))
    with pytest.raises(PullFailed, match="docker login"):
        engine.pull(f"{guarded.host}/mine:v1")
    monkeypatch.setenv("CLASS_SECRET", "secret")
    assert engine.pull(f"{guarded.host}/mine:v1").name == "mine-v1"
    monkeypatch.setenv("PROCCHI_BOUNDS", "entries=1")
    with pytest.raises(PullFailed, match="more than 1 entries"):
        engine.pull("home")


def test_a_folder_that_is_a_root_file_system(store: Store, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    make_tree(str(tree))
    egg = pull(f"{tree}/", store=store)
    assert egg.name == "tree"
    assert egg.config == {}
    assert tree_of(egg, store) == stripped(look_at(str(tree)))
    assert pull(str(tree), store=store).digest == egg.digest


def test_a_folder_with_holes_and_depths(store: Store, tmp_path: Path) -> None:
    """A terabyte of nothing is not written out; a file in pieces keeps every byte."""
    tree, vast = tmp_path / "tree", tmp_path / "vast"
    tree.mkdir()
    vast.mkdir()
    with (vast / "file").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(PullFailed, match="unpacks to more than 64G"):
        pull(str(vast), store=store)
    with (tree / "comb").open("wb") as comb:
        for tooth in range(20_001):
            os.pwrite(comb.fileno(), b"%05d" % tooth, tooth * 8192)
        comb.truncate(20_005 * 8192)
    os.mkfifo(tree / "pipe")
    home = os.getcwd()
    os.chdir(tree)
    for _ in range(1500):
        os.mkdir("d")
        os.chdir("d")
    Path("bottom").touch()
    os.chdir(home)
    egg = pull(str(tree), store=store)
    there = Path(store.layer_tree(egg.digest))
    assert (there / "comb").read_bytes() == (tree / "comb").read_bytes()
    assert (there / "comb").stat().st_blocks < 20_005 * 16
    assert os.path.lexists(f"{there}/{'d/' * 1500}bottom")
    run("rm", "-r", str(tree), str(there))  # too deep for shutil


def test_a_folder_that_holds_the_store(tmp_path: Path) -> None:
    """As `/` does: it is not pulled into itself, each time with all that was pulled before."""
    (place := tmp_path / "place").mkdir()
    (place / "file").write_bytes(b"1")
    store = Store(str(place / "store"), for_this_user())
    (digest,) = {pull(str(place), store=store).digest for _ in range(2)}
    tree = store.layer_tree(digest)
    assert sorted(os.listdir(tree)) == ["file", "store"]
    assert os.listdir(f"{tree}/store") == []


def test_a_folder_that_may_not_be_read(tmp_path: Path) -> None:
    def refusal() -> str:
        with tempfile.TemporaryDirectory() as place:
            Path(place, "tree/etc").mkdir(parents=True)
            Path(place, "tree/etc/shadow").touch(0)
            with pytest.raises(PullFailed) as error:
                pull(f"{place}/tree", store=Store(f"{place}/store", for_this_user()))
        return str(error.value).replace(place, "")

    assert as_an_ordinary_user(refusal) == "/tree: etc/shadow cannot be read: Permission denied"


def test_folders_that_are_none(store: Store, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PullFailed, match="is an empty folder"):
        pull(f"{tmp_path}/empty", store=store)
    with pytest.raises(BadRequest, match="a folder has no SHA-256"):
        pull(f"{tmp_path}/empty", store=store, sha256="0" * 64)


def test_a_layout_of_several_images(small: Packed, store: Store, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    run("cp", "-a", str(small.layout), str(layout))
    run("umoci", "tag", "--image", f"{layout}:three", "same")
    assert pull(str(layout), store=store).config == WISHES, "one image by two names"
    run("umoci", "config", "--image", f"{layout}:same", "--config.user", "0")
    with pytest.raises(PullFailed, match=r"holds 2 images \(three, same\)"):
        pull(str(layout), store=store)
    index = json.loads((layout / "index.json").read_text())
    for variant, one in zip(("v6", "v7"), index["manifests"], strict=True):
        one["platform"] = {"os": "linux", "architecture": "arm", "variant": variant}
    (layout / "index.json").write_text(json.dumps(index))
    assert pull(str(layout), store=store, platform="linux/arm/v6").config == WISHES
    assert pull(str(layout), store=store, platform="linux/arm/v7").config["user"] == "0"
