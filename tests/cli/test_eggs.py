"""Pulling eggs by the command line: what is shown on a terminal, and how it is cancelled."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import eventually
from tests.engine.images.conftest import Server, running
from tests.engine.images.trees import run
from tests.engine.made_image import make_image

from .conftest import Procchi
from .test_terminal import terminal


@pytest.fixture
def served(tmp_path: Path) -> Path:
    """A directory with an egg of some 2 MB, which a server offers."""
    place = tmp_path / "served"
    (place / "tree").mkdir(parents=True)
    (place / "tree/file").write_bytes(os.urandom(2_000_000))
    run("tar", "-cf", str(place / "egg.tar"), "-C", str(place / "tree"), ".")
    return place


@pytest.fixture
def server(served: Path, tmp_path: Path) -> Iterator[Server]:
    with running(served, tmp_path / "requests") as server:
        yield server


def test_a_pull_is_watched_cancelled_and_gone_on_with(
    procchi: Procchi, served: Path, server: Server
) -> None:
    before, staging = procchi.json("eggs"), procchi.home / "eggs/staging"
    words = ("pull", server.url("held/egg.tar"), "--name", "class")
    with terminal(procchi, *words) as screen:
        screen.expect(r"downloading .* \d+K of 1\.9M, [\d.]+[KM]/s")
        screen.type("\x03")
        assert screen.end() == 130
    *_, last = screen.drawn.split("\r\n")[:-1]
    assert last.endswith("procchi: the pull was cancelled; what was downloaded is kept")
    assert procchi.json("eggs") == before
    eventually(lambda: not os.listdir(staging), "the nest has cleared away what it left")

    (served / "egg.tar.go").touch()
    with terminal(procchi, *words) as screen:
        assert screen.end() == 0
    assert screen.drawn.splitlines()[-1].split()[0].endswith("class")
    first, second = server.requests()
    assert first["Range"] is None and int(second["Range"][6:-1]) > 900_000
    procchi("eggs", "rm", "class")


def test_the_catalogue(procchi: Procchi, tmp_path: Path) -> None:
    mine = tmp_path / "class.toml"
    mine.write_text('[home]\nfrom = "./home.tar"\nsize = "3M"\nabout = "of this room"\n')
    procchi.environment["PROCCHI_CATALOGUE"] = str(mine)
    try:
        heading, first, *others = procchi.says("eggs", "--catalogue").splitlines()
        assert heading.split() == ["NAME", "SIZE", "WHAT", "IT", "IS"]
        assert first.split() == ["home", "here", "3M", "of", "this", "room"]
        assert any(line.startswith("alpine ") and " here " not in line for line in others)
        offers = procchi.json("eggs", "--catalogue")
        assert [offer["name"] for offer in offers] == [line.split()[0] for line in [first, *others]]
        mine.write_text("[home")
        assert "class.toml" in procchi.refused("eggs", "--catalogue", status=2)
    finally:
        del procchi.environment["PROCCHI_CATALOGUE"]


def test_an_images_own_words_do_not_steer_the_terminal(procchi: Procchi, tmp_path: Path) -> None:
    title = "\x1b]0;a title\x07"
    config = {
        "Entrypoint": ["/bin/sh", "-c", f"sleep 1000; {title}"],
        "Env": [f"A=1{title}", "B=\nname  another"],
        "WorkingDir": f"/tmp{title}",
    }
    home = procchi.home / "eggs/layers/sha256"
    tree = home / procchi.json("eggs", "show", "home")["digest"].removeprefix("sha256:") / "tree"
    run("tar", "-cf", str(tmp_path / "layer.tar"), "-C", str(tree), ".")
    image = make_image(tmp_path / "image", [tmp_path / "layer.tar"], config)
    procchi("pull", image, "--name", "loud")
    procchi("hatch", "moka", "loud")
    for words in (("eggs", "show", "loud"), ("look", "moka")):
        said = procchi.says(*words)
        assert "sleep 1000" in said
        assert all(line.isprintable() for line in said.splitlines())
        assert sum(line.startswith("name ") for line in said.splitlines()) == 1
    procchi("release", "moka")
    procchi("eggs", "rm", "loud")
