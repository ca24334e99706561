"""Archives made to harm: nothing outside the tree is touched, nothing of them is kept."""

from __future__ import annotations

import gzip
import lzma
import os
import stat
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import PullFailed
from engine.idmap import for_this_user
from engine.images import pull
from engine.images.archive import Bounds
from engine.images.store import Store
from tests.security.archives import HOSTILE, archive, directory, entry, pax, symlink

SMALL = Bounds(harmless=32 << 20)
"""So that a bomb need not write much before it is stopped."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(str(tmp_path / "store"), for_this_user())


@pytest.fixture
def canary(tmp_path: Path) -> Path:
    """A file outside, which anybody could write to."""
    place = tmp_path / "outside"
    place.mkdir()
    place.chmod(0o777)
    canary = place / "canary"
    canary.write_text("sings")
    canary.chmod(0o666)
    os.utime(canary, (1, 1))
    os.utime(place, (1, 1))
    return canary


def sings(canary: Path) -> bool:
    """Whether the file, its directory and all their attributes are as they were."""
    place = canary.parent
    return (
        canary.read_text() == "sings"
        and os.listdir(place) == ["canary"]
        and stat.S_IMODE(canary.stat().st_mode) == 0o666
        and stat.S_IMODE(place.stat().st_mode) == 0o777
        and (canary.stat().st_mtime, place.stat().st_mtime) == (1, 1)
        and canary.stat().st_nlink == 1
    )


def is_empty(store: Store) -> bool:
    places = ("eggs", "layers/sha256", "archives/sha256", "staging", "downloads")
    return not any(os.listdir(f"{store.directory}/{place}") for place in places)


def refusal(store: Store, path: Path) -> str:
    """The one line with which the archive is refused."""
    with pytest.raises(PullFailed) as refused:
        pull(str(path), store=store, name="egg", bounds=SMALL)
    line = str(refused.value)
    assert line.isprintable(), "one line, which does nothing to a terminal"
    assert str(path) in line
    return line


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile(name: str, tmp_path: Path, store: Store, canary: Path) -> None:
    trap = HOSTILE[name]
    path = tmp_path / "hostile"
    path.write_bytes(trap.build(str(canary)))
    if trap.refused:
        assert trap.refused in refusal(store, path)
        assert is_empty(store)
    else:
        tree = store.layer_tree(pull(str(path), store=store, name="egg").digest)
        for below, content in (trap.holds or {}).items():
            assert Path(tree, below).read_bytes() == content
        for place, _, files in os.walk(tree):
            for file in files:
                mode = os.lstat(os.path.join(place, file)).st_mode
                assert not mode & (stat.S_ISUID | stat.S_ISGID)
                assert not stat.S_ISCHR(mode)
                assert not stat.S_ISBLK(mode)
            for name_below in [".", *files]:
                path_below = os.path.join(place, name_below)
                assert os.listxattr(path_below, follow_symlinks=False) == []
        store.remove("egg")
        assert is_empty(store)
    assert sings(canary)


HONEST = archive(
    directory("etc"),
    entry("etc/passwd", data=b"root:x:0:0::/:/bin/sh\n"),
    symlink("bin", "usr/bin"),
    pax({"path": "usr/bin/" + "n" * 150}) + entry("x", data=os.urandom(3000)),
)


@pytest.mark.parametrize("kind", ["plain", "gz", "xz", "zst"])
def test_cut_off_anywhere(kind: str, tmp_path: Path, store: Store) -> None:
    whole = {
        "plain": lambda data: data.rstrip(b"\0"),
        "gz": gzip.compress,
        "xz": lzma.compress,
        "zst": zstd.compress,
    }[kind](HONEST)
    path = tmp_path / "cut"
    for length in [*range(1, len(whole), len(whole) // 12), len(whole) - 1]:
        path.write_bytes(whole[:length])
        line = refusal(store, path)
        assert "ends too early" in line or "is not a tar archive" in line or "is damaged" in line
    assert is_empty(store)


def test_a_bit_flipped_in_a_compressed_archive(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "flipped"
    for whole in (gzip.compress(HONEST), lzma.compress(HONEST)):
        for at in range(30, len(whole), len(whole) // 6):
            path.write_bytes(whole[:at] + bytes([whole[at] ^ 4]) + whole[at + 1 :])
            refusal(store, path)
    assert is_empty(store)


def test_bounds_hold_while_unpacking(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "big"
    for bounds, data, said in (
        (Bounds(entries=10), b"".join(entry(f"{n}") for n in range(11)), "more than 10 entries"),
        (Bounds(size=1 << 20), entry("x", data=bytes(1 << 20)), "more than 1M"),
        (Bounds(ratio=10, harmless=1 << 20), entry("x", data=bytes(2 << 20)), "more than 1M"),
    ):
        path.write_bytes(gzip.compress(archive(data)))
        with pytest.raises(PullFailed, match=said):
            pull(str(path), store=store, bounds=bounds)
    assert is_empty(store)


def test_the_usual_bounds_stop_a_bomb(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(archive(entry("x", data=bytes(300 << 20))), 9))
    with pytest.raises(PullFailed, match="is a bomb: it unpacks to more than 256M"):
        pull(str(path), store=store)
    assert is_empty(store)


def test_what_an_honest_archive_holds_is_within_the_bounds(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "zeros"
    path.write_bytes(gzip.compress(archive(entry("x", data=bytes(50 << 20)))))
    assert pull(str(path), store=store).size == 50 << 20


NAMES = st.lists(
    st.sampled_from(["..", ".", "", "a", "b", "link", "ü", "\n", "é" * 120]), min_size=1, max_size=6
).map("/".join)
NUMBERS = st.one_of(
    st.integers(-(2**63), 2**63), st.sampled_from([0, 1, 511, 512, 513, 2**33, 2**62])
)
KINDS = st.sampled_from("0123456755555LKxgSDVMZ\0")


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    entries=st.lists(
        st.tuples(NAMES, KINDS, NAMES, st.binary(max_size=600), st.none() | NUMBERS, NUMBERS),
        max_size=8,
    )
)
def test_any_headers_are_unpacked_or_refused(
    entries: list[tuple[str, str, str, bytes, int | None, int]],
    tmp_path: Path,
    store: Store,
    canary: Path,
) -> None:
    path = tmp_path / "any"
    path.write_bytes(
        archive(
            directory("a"),
            symlink("link", str(canary.parent)),
            *(
                entry(name, kind, data, link=link, size=size, mtime=mtime)
                for name, kind, link, data, size, mtime in entries
            ),
        )
    )
    try:
        pull(str(path), store=store, name="egg")
        store.remove("egg")
    except PullFailed as error:
        assert str(error).isprintable()
    assert is_empty(store)
    assert sings(canary)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(at=st.integers(0, len(HONEST) - 1), new=st.integers(0, 255))
def test_any_byte_may_be_another(at: int, new: int, tmp_path: Path, store: Store) -> None:
    path = tmp_path / "any"
    path.write_bytes(HONEST[:at] + bytes([new]) + HONEST[at + 1 :])
    try:
        pull(str(path), store=store, name="egg")
        store.remove("egg")
    except PullFailed as error:
        assert str(error).isprintable()
    assert is_empty(store)
