"""A registry made to harm: one clear line, nothing kept, and no password told to a stranger."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tracemalloc
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.errors import NoSuchEgg, PullFailed
from engine.idmap import for_this_user
from engine.images import pull, web
from engine.images.download import path_of
from engine.images.platforms import runs_here
from engine.images.registry import _origin
from engine.images.store import Store
from engine.model import Progress
from tests.security import hostile_registry, hostile_server
from tests.security.archives import digest
from tests.security.hostile_registry import BASIC, BLOB, MACHINE, OTHER_BLOB, SCENARIOS


class Registry:
    """A running hostile_server.py."""

    def __init__(self, port: int, log: Path) -> None:
        self.host = f"127.0.0.1:{port}"
        self.port = port
        self._log = log

    def requests(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]

    def forget(self) -> None:
        self._log.write_text("")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Registry]:
    """A process of its own, for pulling must be done where there are no threads."""
    log = tmp_path_factory.mktemp("registry") / "log"
    log.touch()
    command = [sys.executable, "-m", hostile_server.__name__, str(log)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout
        yield Registry(int(process.stdout.readline()), log)
        process.kill()


@pytest.fixture
def registry(running: Registry, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Registry:
    """Asked by somebody who has no logins, and does not pause between tries."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / "nobody"))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    monkeypatch.setattr(web, "PAUSE", 0.0)
    running.forget()
    return running


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), for_this_user())


def log_in(registry: Registry, tmp_path: Path, **more: str) -> None:
    """As ann, by docker's own file; the pull's environment finds it."""
    place = tmp_path / "nobody"
    place.mkdir()
    login = {"auths": {registry.host: {"auth": BASIC.removeprefix("Basic "), **more}}}
    (place / "config.json").write_text(json.dumps(login))


def is_empty(store: Store) -> bool:
    places = ("eggs", "layers/sha256", "archives/sha256", "staging")
    return not any(os.listdir(f"{store.directory}/{place}") for place in places)


def kept(store: Store) -> list[str]:
    """The digests of what lies in the store for the next pull."""
    return [digest(path.read_bytes()) for path in Path(store.downloads).iterdir()]


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(
    name: str,
    registry: Registry,
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if "a-login" in name:
        log_in(registry, tmp_path)
    said = SCENARIOS[name].said
    if said == "is too slow":  # for others a busy machine must not be
        monkeypatch.setattr(web, "PATIENCE", 0.3)
    if said is None:
        egg = pull(f"{registry.host}/{name}", store=store)
        assert egg.name == name
        assert Path(store.layer_tree(egg.digest), "x").read_bytes() == b"hello"
        assert kept(store) == [digest(BLOB)]
        return
    with pytest.raises((PullFailed, NoSuchEgg)) as refused:
        pull(f"{registry.host}/{name}", store=store)
    line = str(refused.value)
    assert said in line
    assert line.startswith(f"{registry.host}/{name}")
    assert line.isprintable()
    assert len(line) < 800
    assert is_empty(store)
    begun = set(kept(store)) - {digest(OTHER_BLOB)}  # which is whole, and may be needed again
    assert not begun or "kept for the next pull" in line


def test_a_layer_is_unpacked_while_another_comes(registry: Registry, store: Store) -> None:
    seen = []

    class Enough(Exception):
        pass

    def watch(now: Progress) -> None:
        states = [layer.state for layer in now.layers]
        seen.append(states)
        if states and states[0] == "unpacked" and states[1] in ("waiting", "downloading"):
            raise Enough

    with pytest.raises(Enough):
        name = "a-layer-that-drips-over-another"
        pull(f"{registry.host}/{name}", store=store, progress=watch)
    assert is_empty(store), seen


LOGINS = [name for name in SCENARIOS if "redirect" in name]


@pytest.mark.parametrize("name", LOGINS)
def test_a_login_is_told_to_nobody_else(
    name: str, registry: Registry, store: Store, tmp_path: Path
) -> None:
    """CVE-2018-18074, CVE-2020-15157: neither along a redirect, nor to whoever asks at its end."""
    log_in(registry, tmp_path)
    try:
        pull(f"{registry.host}/{name}", store=store)
    except PullFailed:
        pass
    elsewhere = [one for one in registry.requests() if one["Host"] == f"localhost:{registry.port}"]
    assert [one["Authorization"] for one in elsewhere] == [None] * len(elsewhere)
    assert elsewhere or SCENARIOS[name].said


def test_a_login_goes_as_far_as_the_registry_itself(
    registry: Registry, store: Store, tmp_path: Path
) -> None:
    log_in(registry, tmp_path)
    pull(f"{registry.host}/a-redirect-after-a-login", store=store)
    blob = [one for one in registry.requests() if digest(BLOB) in one["path"]]
    *_, last = registry.requests()
    assert [one["Authorization"] for one in blob] == [BASIC]
    assert (last["Host"], last["Authorization"]) == (f"localhost:{registry.port}", None)


def test_a_registry_may_write_its_usual_port_or_not() -> None:
    """As some do behind a proxy: a redirect there leads to the registry itself."""
    assert _origin("https://q.io/v2/") == _origin("https://Q.io:443/v2/x")
    assert _origin("http://q.io/v2/") == _origin("http://q.io:80/v2/x")
    assert len({*map(_origin, ("https://q.io", "http://q.io", "https://q.io:80"))}) == 3


def test_an_identity_token_is_exchanged_and_told_to_nobody_else(
    registry: Registry, store: Store, tmp_path: Path
) -> None:
    """As `docker login` leaves one for some registries: distribution's spec/auth/oauth.md."""
    log_in(registry, tmp_path, identitytoken="1dent+ty")
    pull(f"{registry.host}/a-token", store=store)
    (asked,) = (one for one in registry.requests() if one["path"].endswith("/token"))
    assert (asked["method"], asked["Authorization"]) == ("POST", None)
    assert dict(urllib.parse.parse_qsl(asked["query"])) == {
        "grant_type": "refresh_token",
        "refresh_token": "1dent+ty",
        "client_id": "procchi",
        "service": "here",
        "scope": "repository:x:pull",
    }
    others = [one for one in registry.requests() if one is not asked]
    assert {one["Authorization"] for one in others} == {None, "Bearer t0ken"}


def test_a_token_is_asked_for_with_the_login(
    registry: Registry, store: Store, tmp_path: Path
) -> None:
    log_in(registry, tmp_path)
    pull(f"{registry.host}/a-token", store=store)
    (asked,) = (one for one in registry.requests() if one["path"].endswith("/token"))
    assert asked["Authorization"] == BASIC
    assert asked["query"] == "scope=repository%3Ax%3Apull&service=here"
    last = registry.requests()[-1]
    assert last["Authorization"] == "Bearer t0ken"


def test_the_netrc_is_nobodys_business(
    registry: Registry, store: Store, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ann password secret\n")
    monkeypatch.setenv("NETRC", str(netrc))
    pull(f"{registry.host}/good", store=store)
    assert {one["Authorization"] for one in registry.requests()} == {None}


def test_a_layer_that_came_whole_is_not_fetched_again(registry: Registry, store: Store) -> None:
    with pytest.raises(KeyboardInterrupt):
        pull(f"{registry.host}/good", store=store, progress=_interrupt_unpacking)
    assert is_empty(store)
    registry.forget()
    pull(f"{registry.host}/good", store=store)
    fetched = [one["path"] for one in registry.requests() if "/blobs/" in one["path"]]
    assert len(fetched) == 1, "the configuration alone"
    assert kept(store) == [digest(BLOB)]


def test_a_kept_layer_that_has_rotted_is_fetched_again(registry: Registry, store: Store) -> None:
    egg = pull(f"{registry.host}/good", store=store)
    store.remove(egg.name)
    store.clean()
    (part,) = Path(store.downloads).iterdir()
    part.write_bytes(b"!" * part.stat().st_size)
    pull(f"{registry.host}/good", store=store)
    assert kept(store) == [digest(BLOB)]


def test_a_beginning_that_has_rotted_is_not_gone_on_from(registry: Registry, store: Store) -> None:
    """As a crash leaves one: with zeros at its end."""
    Path(path_of(digest(BLOB), store.downloads)).write_bytes(BLOB[:20] + bytes(20))
    pull(f"{registry.host}/good-with-ranges", store=store)
    asked = [one["Range"] for one in registry.requests() if digest(BLOB) in one["path"]]
    assert asked == ["bytes=40-", None]
    assert kept(store) == [digest(BLOB)]


def _interrupt_unpacking(progress: Any) -> None:
    if progress.stage in ("unpacking", "storing"):
        raise KeyboardInterrupt


def test_by_its_digest(registry: Registry, store: Store) -> None:
    body = hostile_registry.dump(hostile_registry.manifest())
    pull(f"{registry.host}/good", store=store, sha256=digest(body))
    with pytest.raises(PullFailed, match="has the digest"):
        pull(f"{registry.host}/good", store=store, sha256="0" * 64)


@pytest.mark.parametrize("name", ["good-of-no-platform-of-its-own", "good-of-another-of-its-own"])
def test_an_image_is_for_what_its_index_says(name: str, registry: Registry, store: Store) -> None:
    egg = pull(f"{registry.host}/{name}", store=store)
    assert egg.platform == f"linux/{MACHINE}"
    assert runs_here(egg.platform)


def test_plain_http_is_for_loopback_only_or_where_it_was_asked_for(
    registry: Registry, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`0` leads to this machine, too, but is no name of loopback's."""
    words = f"0:{registry.port}/good"
    with pytest.raises(PullFailed, match=f"speaks no TLS; .* PROCCHI_PLAIN_HTTP=0:{registry.port}"):
        pull(words, store=store)
    assert registry.requests() == []
    monkeypatch.setenv("PROCCHI_PLAIN_HTTP", f"other:1, 0:{registry.port}")
    assert pull(words, store=store).name == "good"


def test_a_registry_that_is_not_there(registry: Registry, store: Store) -> None:
    with pytest.raises(PullFailed, match="Connection refused"):
        pull("127.0.0.1:1/good", store=store)
    with pytest.raises(PullFailed, match=r"Name or service|name resolution") as error:
        pull("registry.invalid/good", store=store)
    assert "Errno" not in str(error.value)


def test_memory_stays_bounded(registry: Registry, store: Store) -> None:
    """A manifest of 100 MB is not read."""
    name = "a-manifest-of-100-megabytes-without-a-length"
    tracemalloc.start()
    with pytest.raises(PullFailed):
        pull(f"{registry.host}/{name}", store=store)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20 << 20
