"""What the words for an image mean, and whose login goes with them."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.errors import PullFailed
from engine.images import credentials
from engine.images.credentials import Credentials
from engine.images.reference import parse
from engine.images.words import in_a_registry, made_whole

DIGEST = "sha256:" + "ab" * 32


@pytest.mark.parametrize(
    ("text", "meaning", "name"),
    [
        ("alpine", "docker.io/library/alpine:latest", "alpine"),
        ("debian:bookworm-slim", "docker.io/library/debian:bookworm-slim", "debian-bookworm-slim"),
        ("owner/name", "docker.io/owner/name:latest", "name"),
        ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine"),
        ("index.docker.io/a/b:c", "docker.io/a/b:c", "b-c"),
        ("ghcr.io/owner/name:tag", "ghcr.io/owner/name:tag", "name-tag"),
        ("ghcr.io/one/two/three", "ghcr.io/one/two/three:latest", "three"),
        (f"host:5000/name@{DIGEST}", f"host:5000/name@{DIGEST}", "name"),
        (f"name:v1@{DIGEST}", f"docker.io/library/name:v1@{DIGEST}", "name-v1"),
        ("localhost/x", "localhost/x:latest", "x"),
        ("127.0.0.1:5000/x_y.z__a-b:V.1_2", "127.0.0.1:5000/x_y.z__a-b:V.1_2", "x_y.z__a-b-V.1_2"),
        ("[::1]:5000/x", "[::1]:5000/x:latest", "x"),
        ("name:5000", "docker.io/library/name:5000", "name-5000"),
    ],
)
def test_references(text: str, meaning: str, name: str) -> None:
    found = parse(text)
    assert found
    assert str(found) == meaning
    assert found.short == name
    assert parse(meaning) == found
    assert found.wanted in meaning


@pytest.mark.parametrize(
    "text",
    [
        *("", "/", "a/", "/a", "a//b", "A", "a/B", "a:", "a:b:c", "a@", "a@sha256:ab", "a b", "é"),
        *("a..b", "-a", "a-", "a/../b", "../a", "a.b/", "host:/a", "host:x/a", "host:123456/a"),
        *("a:.b", "a:" + "t" * 129, "n" * 256, f"a@{DIGEST}0", "a@md5:" + "0" * 32, "a\n", "a:b\n"),
        *("h?x/a", "u:p@host.org/a", "host.org/a?b", "host.org/a#b", "[::1/a", "a%2fb"),
    ],
)
def test_what_is_no_reference(text: str) -> None:
    assert parse(text) is None


@given(st.text(max_size=40))
def test_any_text_is_a_reference_or_none(text: str) -> None:
    found = parse(text)
    assert found is None or parse(str(found)) == found


def test_files_come_before_registries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("egg").touch()
    Path("debian/slim").mkdir(parents=True)
    for path in ("egg", "./egg", "debian/slim", "./none", "none/x.tar.gz", "..", "debian/../egg"):
        assert made_whole(path) == os.path.normpath(tmp_path / path)
        assert in_a_registry(made_whole(path)) is None
    for words in ("home", "none.tar.gz", "http://x/y", "x\0y"):
        assert made_whole(words) == words
        assert in_a_registry(words) is None
    for words in ("debian", "alpine", "debian/other", "ghcr.io/a/b"):
        assert made_whole(words) == words
        assert in_a_registry(words)
    assert in_a_registry("debian/slim"), "what lies in the nest's directory is none of its business"


@pytest.fixture
def nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home without logins; docker's and podman's files are asked for below it."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_RUNTIME_DIR", "DOCKER_CONFIG"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    monkeypatch.delenv("REGISTRY_AUTH_FILE", raising=False)
    return tmp_path


def put(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def auth(user: str, password: str = "secret") -> dict[str, str]:
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


def who(words: str) -> str | None:
    reference = parse(words)
    assert reference
    found = credentials.find(reference)
    return found and (found.user or found.identity_token)


def test_logins_in_dockers_file(nobody: Path) -> None:
    assert who("alpine") is None
    logins = {
        "https://index.docker.io/v1/": auth("hub"),
        "host:5000": auth("whole"),
        "https://old.example/v2/": auth("old"),
        "http://plain.example:5000": auth("plain"),
        "https://path.example/v2/_catalog": auth("path"),
        "broken.example": {"auth": "YnJva2\nVuOnM=\n"},
        "token.example": {"identitytoken": "identity", **auth("other")},
        "empty.example": {},
    }
    put(nobody / "docker_config/config.json", {"auths": logins})
    assert [who("alpine"), who("docker.io/a/b")] == ["hub", "hub"]
    assert [who("host:5000/x"), who("host:5001/x")] == ["whole", None]
    assert [who("old.example/x"), who("token.example/x")] == ["old", "identity"]
    assert [who("plain.example:5000/x"), who("path.example/x")] == ["plain", "path"]
    assert [who("broken.example/x"), who("empty.example/x")] == ["broken", None]


def test_the_longest_name_in_podmans_file_wins_and_it_comes_first(nobody: Path) -> None:
    put(nobody / "docker_config/config.json", {"auths": {"q.io": auth("docker")}})
    logins = {"q.io": auth("all"), "q.io/team": auth("team"), "q.io/team/one": auth("one")}
    put(nobody / "xdg_config_home/containers/auth.json", {"auths": logins})
    assert who("q.io/team/one") == "one"
    assert who("q.io/team/two") == "team"
    assert who("q.io/other") == "all"
    assert who("q.io/teamwork") == "all"


def test_a_file_that_is_named_is_the_only_one(
    nobody: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(nobody / "docker_config/config.json", {"auths": {"q.io": auth("docker")}})
    monkeypatch.setenv("REGISTRY_AUTH_FILE", str(nobody / "none"))
    assert who("q.io/x") is None


@pytest.mark.parametrize(
    "content", ["{", "\0", "[" * 100_000, '{"auths": {"q.io": {"auth": "%"}}}']
)
def test_a_broken_file_is_named(content: str, nobody: Path) -> None:
    path = nobody / "docker_config/config.json"
    put(path, {})
    path.write_text(content)
    with pytest.raises(PullFailed, match=r"config\.json"):
        who("q.io/x")


@pytest.mark.parametrize("content", [[], {"auths": 5}, {"auths": {"q.io": 5}}, {"credHelpers": []}])
def test_a_strange_file_has_no_login(content: object, nobody: Path) -> None:
    put(nobody / "docker_config/config.json", content)
    assert who("q.io/x") is None


HELPER = """#!/bin/sh
read -r server
case "$1 $server" in
    "get q.io") echo '{"ServerURL": "q.io", "Username": "helped", "Secret": "s3cret"}' ;;
    "get t.io") echo '{"Username": "<token>", "Secret": "identity"}' ;;
    "get https://index.docker.io/v1/") echo '{"Username": "hub", "Secret": "x"}' ;;
    "get odd.io") echo 'sesame' ;;
    *) echo "credentials not found in native keychain"; exit 1 ;;
esac
"""


@pytest.fixture
def helper(nobody: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A credential helper called `test`; the path of docker's file."""
    program = nobody / "bin/docker-credential-test"
    program.parent.mkdir()
    program.write_text(HELPER)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return nobody / "docker_config/config.json"


def test_a_helper_is_asked(helper: Path) -> None:
    put(helper, {"credHelpers": {"q.io": "test", "t.io": "test", "odd.io": "test", "r.io": "test"}})
    reference = parse("q.io/x")
    assert reference
    assert credentials.find(reference) == Credentials("helped", "s3cret")
    assert who("t.io/x") == "identity"
    assert who("r.io/x") is None, "it knows nobody there"
    with pytest.raises(PullFailed, match="answers with no login"):
        who("odd.io/x")


def test_a_helper_for_all(helper: Path) -> None:
    put(helper, {"credsStore": "test", "auths": {"q.io": {}, "r.io": auth("filed")}})
    assert [who("q.io/x"), who("alpine"), who("r.io/x")] == ["helped", "hub", "filed"]


def test_a_registry_without_a_helper_among_others_that_have_one(helper: Path) -> None:
    """As docker has it, an empty name means the file."""
    logins = {"q.io": auth("filed")}
    put(helper, {"credsStore": "test", "credHelpers": {"q.io": "", "t.io": ""}, "auths": logins})
    assert [who("q.io/x"), who("t.io/x"), who("alpine")] == ["filed", None, "hub"]


@pytest.mark.parametrize("name", ["none-such", "../../bin/sh", "a b", "x;id"])
def test_a_helper_that_cannot_be(name: str, helper: Path) -> None:
    put(helper, {"credHelpers": {"q.io": name}})
    with pytest.raises(PullFailed, match="credential helper"):
        who("q.io/x")
