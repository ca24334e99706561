"""The catalogue: short names, Alpine's release index, and a teacher's own file or URL."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import engine
from engine.errors import BadRequest, NoSuchEgg, ProcchiError, PullFailed
from engine.images import pull
from engine.images.catalogue import OWN, find, offers, resolve
from engine.images.platforms import parse as parse_platform
from engine.images.platforms import runs_here, this_platform
from engine.images.reference import parse
from engine.images.store import Store
from engine.model import Offer
from procchi_tui.config import Config, offer_catalogue


class Mirror(NamedTuple):
    """A plain web server, as a class may have one."""

    place: str
    log: Path

    def url(self, path: str) -> str:
        return f"{self.place}/{path}"

    def asked(self) -> list[str]:
        return re.findall(r'"GET (\S+) ', self.log.read_text())


@pytest.fixture
def server(served: Path, tmp_path: Path) -> Iterator[Mirror]:
    log = tmp_path / "log"
    command = [sys.executable, "-u", "-m", "http.server", "--bind", "127.0.0.1", "0"]
    with (
        log.open("wb") as file,
        subprocess.Popen(command, cwd=served, stdout=subprocess.PIPE, stderr=file) as process,
    ):
        assert process.stdout
        port = process.stdout.readline().split()[5].decode()
        yield Mirror(f"http://127.0.0.1:{port}", log)
        process.kill()


INDEX = """\
---
-
  title: "Mini root filesystem"
  desc: |
    Minimal root filesystem.
    flavor: alpine-minirootfs
    file: ../../../etc/shadow
    For use in containers

  branch: v3.20
  arch: x86_64
  version: 3.20.3
  flavor: alpine-standard
  file: alpine-standard-3.20.3-x86_64.iso
  iso: alpine-standard-3.20.3-x86_64.iso
  date: 2024-09-06
  time: 11:35:40
  size: 217055232
  sha256: 81df854fbd7327d293c726b1eeeb82061d3bc8f5a86a6f77eea720f6be372261
  sha512: c0d4f9c5f5ae8b6ce3aed5cf8d4e62c5e3b0b1c4ef3f8e7a7b07d3c8d8
-
  title: "Mini root filesystem"
  desc: |
    Minimal root filesystem.
    For use in containers
    and minimal chroots.
  branch: v3.20
  arch: x86_64
  version: 3.20.3
  flavor: alpine-minirootfs
  file: alpine-minirootfs-3.20.3-x86_64.tar.gz
  iso: alpine-minirootfs-3.20.3-x86_64.tar.gz
  date: 2024-09-06
  time: 11:35:40
  size: 3434620
  sha256: @SHA256@
  sha512: 1f0a2d6b
-
  title: "Netboot"
  flavor: alpine-netboot
  file: alpine-netboot-3.20.3-x86_64.tar.gz
  sha256: 0000000000000000000000000000000000000000000000000000000000000000
"""
FILE = "alpine-minirootfs-3.20.3-x86_64.tar.gz"


def tarball(path: Path, content: bytes = b"3.20.3\n") -> str:
    with tarfile.open(path, "w:gz") as tar:
        entry = tarfile.TarInfo("etc/alpine-release")
        entry.size = len(content)
        tar.addfile(entry, io.BytesIO(content))
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def mirror(served: Path) -> Path:
    """A mirror of Alpine's latest-stable, for this machine."""
    releases = served / "latest-stable" / "releases" / os.uname().machine
    releases.mkdir(parents=True)
    digest = tarball(releases / FILE)
    (releases / "latest-releases.yaml").write_text(INDEX.replace("@SHA256@", digest))
    return releases


def catalogue(tmp_path: Path, text: str) -> str:
    path = tmp_path / "catalogue.toml"
    path.write_text(text)
    return str(path)


def test_what_procchi_brings_along_can_be_pulled() -> None:
    own = offers()
    names = [offer.name for offer in own]
    assert set(names) >= set("alpine debian ubuntu fedora arch void busybox".split())
    for offer in own:
        assert offer.size and offer.about.endswith(".")
        assert offer.alpine or parse(offer.source), offer
        if offer.alpine:
            assert offer.source.startswith("https://")
    assert os.path.dirname(OWN) == os.path.dirname(__import__("engine.images").images.__file__)


def test_alpine_by_its_own_release_index(
    mirror: Path, server: Mirror, store: Store, tmp_path: Path
) -> None:
    own = catalogue(tmp_path, f'[alpine]\nalpine = "{server.url("latest-stable/")}"\n')
    egg = pull("alpine", store=store, catalogue=own)
    assert (egg.name, egg.source) == ("alpine", "alpine")
    assert Path(store.layer_tree(egg.digest), "etc/alpine-release").read_text() == "3.20.3\n"
    machine = os.uname().machine
    assert server.asked() == [
        f"/latest-stable/releases/{machine}/latest-releases.yaml",
        f"/latest-stable/releases/{machine}/{FILE}",
    ]
    assert runs_here(egg.platform)


@pytest.mark.parametrize(
    ("platform", "directory", "is_for"),
    [
        ("linux/arm64", "aarch64", "linux/arm64"),
        ("aarch64", "aarch64", "linux/arm64"),
        ("linux/arm/v6", "armhf", "linux/arm/v6"),
        ("armv6l", "armhf", "linux/arm/v6"),
        ("arm", "armv7", "linux/arm"),
        ("386", "x86", "linux/386"),
        ("s390x", "s390x", "linux/s390x"),
    ],
)
def test_alpine_for_another_machine(
    platform: str,
    directory: str,
    is_for: str,
    mirror: Path,
    store: Store,
    tmp_path: Path,
    server: Mirror,
) -> None:
    mirror.rename(mirror.parent / directory)
    own = catalogue(tmp_path, f'[alpine]\nalpine = "{server.url("latest-stable/")}"\n')
    for _ in range(2):  # unpacked, and found there
        egg = pull("alpine", store=store, catalogue=own, platform=platform)
        assert egg.platform == is_for
    with pytest.raises(NoSuchEgg, match="no such file on its server"):
        pull("alpine", store=store, catalogue=own)


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ("linux/arm/v7", ["v7", "", "v6", "v5"]),
        ("armv6l", ["v6", "v5"]),
        ("linux/arm64/v8", ["v8", ""]),
        ("arm64", ["v8", ""]),
        ("linux/amd64/v3", ["v3"]),
    ],
)
def test_which_variants_run(wanted: str, taken: list[str]) -> None:
    """A Raspberry Pi of the first kind runs nothing that is for ARMv7."""
    variants = parse_platform(wanted).variants()
    assert [one.variant for one in variants] == taken


@pytest.mark.parametrize("half", ["linux", "amd64"])
def test_half_a_platform_runs_nowhere(half: str) -> None:
    """There are eggs that say no more."""
    assert not runs_here(half, emulators=lambda _: [])


@pytest.mark.usefixtures("nothing_is_left")
def test_alpine_with_another_digest_is_refused(
    mirror: Path, server: Mirror, store: Store, tmp_path: Path
) -> None:
    tarball(mirror / FILE, b"changed\n")
    own = catalogue(tmp_path, f'[alpine]\nalpine = "{server.url("latest-stable")}"\n')
    with pytest.raises(PullFailed, match="SHA-256"):
        pull("alpine", store=store, catalogue=own)


BROKEN_INDEXES = {
    "a web page": ("<!doctype html><p>log in", "is a web page"),
    "nothing": ("", "lists no alpine-minirootfs"),
    "no such flavor": (INDEX.replace("alpine-minirootfs", "alpine-other"), "lists no"),
    "a file elsewhere": (INDEX.replace(FILE, "../../../evil.tar.gz"), "none to fetch"),
    "a file of another server": (INDEX.replace(FILE, "https://evil/x.tar.gz"), "none to fetch"),
    "no digest": (INDEX.replace("  sha256: @SHA256@\n", ""), "no sha256"),
    "half a digest": (INDEX.replace("@SHA256@", "abc"), "no sha256"),
    "no UTF-8": ("\udcff", "no text in UTF-8"),
    "too large": ("#" * (2 << 20), "more than 1048576 bytes"),
    "anchors without end": ("- &a [*a,*a]\n" * 1000, "lists no"),
}


@pytest.mark.parametrize("how", BROKEN_INDEXES)
@pytest.mark.usefixtures("nothing_is_left")
def test_a_broken_release_index(
    how: str, mirror: Path, server: Mirror, store: Store, tmp_path: Path
) -> None:
    text, why = BROKEN_INDEXES[how]
    index = mirror / "latest-releases.yaml"
    index.write_bytes(text.encode("utf-8", "surrogateescape"))
    own = catalogue(tmp_path, f'[alpine]\nalpine = "{server.url("latest-stable")}"\n')
    with pytest.raises(ProcchiError, match=why) as error:
        pull("alpine", store=store, catalogue=own)
    assert "latest-releases.yaml" in str(error.value) and str(error.value).isprintable()


def test_an_index_that_is_not_there(server: Mirror, store: Store, tmp_path: Path) -> None:
    own = catalogue(tmp_path, f'[alpine]\nalpine = "{server.url("no-branch")}"\n')
    with pytest.raises(NoSuchEgg, match="no such file on its server"):
        pull("alpine", store=store, catalogue=own)


def test_the_catalogue_goes_before_a_registry_and_a_teachers_before_ours(
    tmp_path: Path, store: Store
) -> None:
    digest = tarball(tmp_path / "room.tar.gz")
    own = catalogue(
        tmp_path,
        f'[debian]\nfrom = "./room.tar.gz"\nsha256 = "{digest}"\nsize = "1M"\nabout = "Ours."\n'
        '[Class-1]\nfrom = "./room.tar.gz"\n',
    )
    assert [offer.name for offer in offers(own)][:3] == ["debian", "Class-1", "alpine"]
    assert find("debian", own) == Offer(
        "debian", str(tmp_path / "room.tar.gz"), "Ours.", 1 << 20, digest
    )
    assert pull("debian", store=store, catalogue=own).name == "debian"
    assert pull("Class-1", store=store, catalogue=own).digest == store.egg("debian").digest
    tarball(tmp_path / "room.tar.gz", b"not what the catalogue says")
    with pytest.raises(PullFailed, match="SHA-256"):
        pull("debian", store=store, catalogue=own)


def test_a_catalogue_by_url_with_a_file_beside_it(
    served: Path, server: Mirror, store: Store
) -> None:
    (served / "room").mkdir()
    tarball(served / "room" / "egg.tar.gz")
    (served / "room" / "class.toml").write_text('[day-1]\nfrom = "./egg.tar.gz"\n')
    egg = pull("day-1", store=store, catalogue=server.url("room/class.toml"))
    assert egg.name == "day-1"
    with pytest.raises(NoSuchEgg, match=r"catalogue http://.*no such file"):
        pull("day-1", store=store, catalogue=server.url("elsewhere.toml"))


@pytest.mark.parametrize(
    "words",
    ["/etc/shadow", "file:///etc/shadow", "var/backups/site.tar.gz", "site.tar", "../x", "a/../b"],
)
def test_a_catalogue_of_another_machines_names_no_file_of_ours(
    words: str, served: Path, server: Mirror
) -> None:
    (served / "class.toml").write_text(f'[x]\nfrom = "{words}"\n')
    try:
        (offer, *_) = offers(server.url("class.toml"))
    except BadRequest as error:
        assert "of another machine's" in str(error) or "written ./FILE" in str(error)
    else:
        assert offer.source == server.url("x")


BROKEN = {
    "no TOML": ("[debian", "is no TOML"),
    "a web page": ("<html>", "is a web page"),
    "no table": ('debian = "debian:12"', "debian is no table"),
    "a name that cannot be": ('["../x"]\nfrom = "x"', "the name '../x' cannot be used"),
    "a key that there is not": ('[x]\nfrm = "y"', "a key 'frm'"),
    "neither": ('[x]\nsize = "3M"', "one of `from` and `alpine`"),
    "both": ('[x]\nfrom = "y"\nalpine = "https://z"', "one of `from` and `alpine`"),
    "from a number": ("[x]\nfrom = 7", "no line of text"),
    "from two lines": ('[x]\nfrom = "a\\nb"', "no line of text"),
    "from nowhere": ('[x]\nfrom = "Not A Reference"', "no image in a registry"),
    "by ftp": ('[x]\nalpine = "ftp://x/y"', "no http"),
    "half a digest": ('[x]\nfrom = "y"\nsha256 = "abc"', "not 64 hexadecimal digits"),
    "no size": ('[x]\nfrom = "y"\nsize = "big"', "'big' is not a size"),
    "a colour": ('[x]\nfrom = "y"\nabout = "\\u001b[31m"', "no line of text"),
    "too many": ("".join(f"[x{n}]\n" for n in range(1001)), "more than 1000 entries"),
    "nested without end": ("x = " + "[" * 100_000, "is nested too deeply"),
    "no UTF-8": ("\udcff", "no text in UTF-8"),
    "too large": ("#" * (2 << 20), "more than 1048576 bytes"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_catalogue_is_one_clear_line(how: str, tmp_path: Path) -> None:
    text, why = BROKEN[how]
    path = tmp_path / "class.toml"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ProcchiError) as error:
        offers(str(path))
    assert why in str(error.value)
    assert f"catalogue {path}: " in str(error.value) and str(error.value).isprintable()


@pytest.mark.parametrize("place", ["missing.toml", ".", "gopher://x/y", "a\0b"])
def test_a_catalogue_that_cannot_be_had(place: str, tmp_path: Path) -> None:
    with pytest.raises(BadRequest):
        offers(place if "://" in place else f"{tmp_path}/{place}")


def test_a_catalogue_that_is_a_fifo(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    assert offers(str(tmp_path / "fifo")) == offers()


def test_an_offer_needs_no_asking_but_alpines() -> None:
    offer = Offer("x", "debian:12", sha256="1" * 64)
    assert resolve(offer, this_platform()) == ("debian:12", "1" * 64, None)


def test_by_the_library_and_its_environment(
    empty_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "alpine" in [offer.name for offer in engine.catalogue()]
    digest = tarball(tmp_path / "egg.tar.gz")
    monkeypatch.chdir(tmp_path)
    catalogue(tmp_path, f'[room]\nfrom = "./egg.tar.gz"\nsha256 = "{digest}"\n')
    monkeypatch.setenv("PROCCHI_CATALOGUE", "catalogue.toml")
    (room, *_) = engine.catalogue()
    assert room.name == "room" and json.loads(json.dumps(room.to_json()))["sha256"] == digest
    assert engine.pull("room").name == "room"
    monkeypatch.delenv("PROCCHI_CATALOGUE")
    offer_catalogue(Config(catalogue=str(tmp_path / "catalogue.toml")))
    assert engine.catalogue()[0].name == "room"
    monkeypatch.setenv("PROCCHI_CATALOGUE", "no-such.toml")
    with pytest.raises(BadRequest, match=r"catalogue .*no-such.toml: cannot be read"):
        engine.pull("room2")
