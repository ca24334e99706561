"""Images by other tools, from registries, archives and folders: the tree is umoci's."""

from __future__ import annotations

import json
import os
import random
import socket
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from engine.errors import BadRequest, PullFailed
from engine.idmap import for_this_user
from engine.images import pull
from engine.images.store import Store
from engine.model import Egg, Progress
from tests.conftest import eventually
from tests.engine.images.forks import as_a_user_with_ranges, as_an_ordinary_user
from tests.engine.images.packing import Packed, assert_equal, pack_debian, pack_small
from tests.engine.images.test_pull import puller
from tests.engine.images.trees import look_at, make_tree, run, stripped
from tests.engine.test_debian import debian

__all__ = ["debian"]

ANN = "ann:$2b$04$Q8b3x/0EUuPV9wPGFdEMiuu5aQ8l70pfL/r4RdpGJxjdxrajTv31m"
"""A line of an htpasswd file: her password is `secret`."""


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    return pack_small(tmp_path_factory.mktemp("small"))


class Registry:
    """A running docker-registry."""

    def __init__(self, place: Path, tls: bool) -> None:
        self.place = place
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.host = f"127.0.0.1:{free.getsockname()[1]}"
        self.scheme = "https" if tls else "http"
        http: dict[str, object] = {"addr": self.host}
        settings: dict[str, object] = {
            "version": 0.1,
            "storage": {"filesystem": {"rootdirectory": str(place / "data")}},
            "http": http,
        }
        if tls:
            certificate, key = str(place / "ca.crt"), str(place / "key")
            run(
                *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
                *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=a class's own"),
                *("-addext", "subjectAltName=IP:127.0.0.1"),
                *("-keyout", key, "-out", certificate),
            )
            (place / "htpasswd").write_text(ANN + "\n")
            http["tls"] = {"certificate": certificate, "key": key}
            settings["auth"] = {"htpasswd": {"realm": "class", "path": str(place / "htpasswd")}}
        (place / "settings.yml").write_text(json.dumps(settings))  # which is YAML, too

    def push(self, source: str, name: str) -> None:
        """Have skopeo copy an image to `name`."""
        safety = ["--dest-tls-verify=false"]
        if self.scheme == "https":
            safety = ["--dest-cert-dir", str(self.place), "--dest-creds", "ann:secret"]
        run("skopeo", "copy", "-q", *safety, source, f"docker://{self.host}/{name}")


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """Plain HTTP, open to all."""
    yield from _serve(tmp_path_factory.mktemp("registry"), tls=False)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """TLS with a certificate of its own, and a login."""
    yield from _serve(tmp_path_factory.mktemp("guarded"), tls=True)


def _serve(place: Path, tls: bool) -> Iterator[Registry]:
    registry = Registry(place, tls)
    with (
        (place / "log").open("wb") as log,
        subprocess.Popen(
            ["docker-registry", "serve", str(place / "settings.yml")], stdout=log, stderr=log
        ) as process,
    ):
        host, port = registry.host.split(":")
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection((host, int(port))).close()
                break
            except ConnectionRefusedError:
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.05)
        yield registry
        process.kill()


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
    assert os.listdir(store.downloads) == []
    assert list(dict.fromkeys(one.stage for one in seen)) == [
        "resolving",
        "downloading",
        "unpacking",
        "storing",
    ]
    downloading = [one for one in seen if one.stage == "downloading"]
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


def test_from_a_registry_with_tls_and_a_login(
    small: Packed, guarded: Registry, store: Store, nobody: Path
) -> None:
    guarded.push(small.source, "small:v1")
    words = f"{guarded.host}/small:v1"
    with pytest.raises(PullFailed, match="cannot be trusted"):
        pull(words, store=store)
    trusted = nobody / "containers" / "certs.d" / guarded.host
    trusted.mkdir(parents=True)
    (trusted / "ca.crt").write_bytes((guarded.place / "ca.crt").read_bytes())
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
    store.remove("again")


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


def test_killed_at_any_moment(small: Packed, registry: Registry, store: Store) -> None:
    """What is listed is whole, what was begun is cleared away, and the next pull succeeds."""
    registry.push(small.source, "killed:one")
    words = f"{registry.host}/killed:one"
    for _ in range(8):
        with subprocess.Popen(puller(store, words, "egg"), stdout=subprocess.DEVNULL) as process:
            time.sleep(random.uniform(0.2, 0.9))
            process.kill()
        for egg in store.eggs():
            assert_equal(tree_of(egg, store), small)
            store.remove("egg")
        eventually(partial(_is_cleared, store), "the dead pull's work is cleared away")
    assert_equal(tree_of(pull(words, store=store), store), small)


def _is_cleared(store: Store) -> bool:
    store.clean(in_use=())
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
    assert os.listdir(store.downloads) == []


def test_an_index_with_this_machines_platform(
    small: Packed, registry: Registry, store: Store
) -> None:
    registry.push(small.source, "many:one")
    (manifest,) = json.loads((small.layout / "index.json").read_text())["manifests"]
    machine = {"x86_64": "amd64", "aarch64": "arm64"}[os.uname().machine]
    own = {
        "mediaType": manifest["mediaType"],
        "digest": manifest["digest"],
        "size": manifest["size"],
    }
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [own | {"platform": {"os": "linux", "architecture": machine}}],
    }
    request = urllib.request.Request(
        f"http://{registry.host}/v2/many/manifests/all",
        json.dumps(index).encode(),
        {"Content-Type": str(index["mediaType"])},
        method="PUT",
    )
    with urllib.request.urlopen(request) as answer:
        digest = answer.headers["Docker-Content-Digest"]
    egg = pull(f"{registry.host}/many:all", store=store)
    assert egg.name == "many-all"
    assert egg.digest == pull(f"{registry.host}/many@{digest}", store=store).digest
    assert egg.digest == pull(f"{registry.host}/many:one", store=store).digest


def test_a_folder_that_is_a_root_file_system(store: Store, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    make_tree(str(tree))
    egg = pull(f"{tree}/", store=store)
    assert egg.name == "tree"
    assert egg.config == {}
    assert tree_of(egg, store) == stripped(look_at(str(tree)))
    assert pull(str(tree), store=store).digest == egg.digest


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
