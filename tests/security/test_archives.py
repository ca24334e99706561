"""Archives made to harm: nothing outside the tree is touched, nothing of them is kept."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from backports import zstd
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine.errors import BadRequest, PullFailed
from engine.idmap import for_this_user
from engine.images import pull
from engine.images.archive import Packed, unpacking
from engine.images.bounds import Bounds
from engine.images.store import Store
from tests.security.archives import (
    HOSTILE,
    archive,
    configuration,
    directory,
    entry,
    hardlink,
    pax,
    symlink,
    write_layout,
)

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
        store.clean()
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


def test_whoever_pulls_allows_more(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal names what to write, and what it names is enough."""
    path = tmp_path / "big"
    path.write_bytes(gzip.compress(archive(entry("x", data=bytes(2 << 20)), entry("y"))))
    for bounds in ("size=1M", "entries=1"):
        monkeypatch.setenv("PROCCHI_BOUNDS", bounds)
        with pytest.raises(PullFailed, match="is a bomb") as refused:
            pull(str(path), store=store)
        _, _, more = str(refused.value).partition("PROCCHI_BOUNDS=")
        monkeypatch.setenv("PROCCHI_BOUNDS", more.removesuffix(")").replace("2M", "4M"))
        assert pull(str(path), store=store).size == 2 << 20
        store.remove("big")
        store.clean()
    for nonsense in ("128G", "size=big", "entries=-1", "most=3", "ratio=" + "9" * 30):
        monkeypatch.setenv("PROCCHI_BOUNDS", nonsense)
        with pytest.raises(BadRequest, match="PROCCHI_BOUNDS"):
            pull(str(path), store=store)
    assert is_empty(store)


def test_the_usual_bounds_stop_a_bomb(tmp_path: Path, store: Store) -> None:
    path = tmp_path / "bomb"
    path.write_bytes(gzip.compress(archive(entry("x", data=bytes(300 << 20))), 9))
    with pytest.raises(PullFailed, match=r"is a bomb: .* 256M .*PROCCHI_BOUNDS=ratio=2000"):
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
        store.clean()
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
        store.clean()
    except PullFailed as error:
        assert str(error).isprintable()
    assert is_empty(store)


# Images: one layer over another


LAYERS: dict[str, tuple[Callable[[str], list[bytes]], str | None]] = {
    "whiteouts through a symlink of a lower layer to outside": (
        lambda canary: [
            archive(symlink("s", canary.rpartition("/")[0])),
            archive(entry("s/.wh.canary"), entry("s/.wh..wh..opq"), entry("x", data=b"1")),
        ],
        None,
    ),
    "a whiteout of a symlink to outside, and of all": (
        lambda canary: [
            archive(symlink("s", canary), symlink("d", canary.rpartition("/")[0]), entry("y")),
            archive(entry(".wh.s"), entry(".wh..wh..opq"), entry("x", data=b"1")),
        ],
        None,
    ),
    "a file through a symlink of a lower layer to outside": (
        lambda canary: [
            archive(symlink("s", canary.rpartition("/")[0])),
            archive(entry("s/canary", data=b"evil")),
        ],
        "layer 2 of 2 entry 's/canary' cannot be made",
    ),
    "a hard link through a symlink of a lower layer to outside": (
        lambda canary: [
            archive(symlink("s", canary.rpartition("/")[0])),
            archive(hardlink("h", "s/canary"), entry("h", data=b"evil")),
        ],
        "which is no earlier entry",
    ),
    "CVE-2019-19921 a directory that a layer makes a symlink to outside": (
        lambda canary: [
            archive(directory("d"), entry("d/f")),
            archive(symlink("d", canary.rpartition("/")[0])),
            archive(entry("d/canary", data=b"evil")),
        ],
        "layer 3 of 3 entry 'd/canary' cannot be made",
    ),
    "a whiteout of the root by its layer's own directory": (
        lambda canary: [archive(entry("y")), archive(entry("x"), entry("./.wh..."))],
        "a whiteout of '..'",
    ),
    "a bomb in the second layer": (
        lambda canary: [archive(entry("x")), archive(entry("y", size=1 << 62))],
        "layer 2 of 2 is a bomb",
    ),
    "a layer that is cut off": (
        lambda canary: [archive(entry("x")), entry("y", data=b"1" * 5000)[:2000]],
        "layer 2 of 2 ends too early",
    ),
    "a layer of nothing": (
        lambda canary: [archive(entry("x", data=b"1")), archive()],
        None,
    ),
    "a layer of no byte": (lambda canary: [archive(entry("x", data=b"1")), b""], None),
    "layers of no byte": (lambda canary: [b"", b""], "holds nothing"),
    "layers of nothing": (lambda canary: [archive(), archive()], "holds nothing"),
    "a directory 2,000 deep, hidden whole": (
        lambda canary: [
            archive(*(directory("d/" * depth) for depth in range(1, 2000, 40))),
            archive(entry("x", data=b"1"), entry(".wh.d")),
        ],
        None,
    ),
    "a directory 2,000 deep of both layers": (
        lambda canary: [
            archive(directory("d/" * 2000), entry("d/" * 1000 + "lower")),
            archive(entry("d/" * 2000 + "upper"), entry("x", data=b"1"), entry("d/.wh..wh..opq")),
        ],
        None,
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_hostile_layers(name: str, tmp_path: Path, store: Store, canary: Path) -> None:
    build, refused = LAYERS[name]
    write_layout(tmp_path / "image", *build(str(canary)))
    if refused:
        assert refused in refusal(store, tmp_path / "image")
    else:
        egg = pull(str(tmp_path / "image"), store=store)
        assert Path(store.layer_tree(egg.digest), "x").read_bytes() == b"1"
        store.remove(egg.name)
        store.clean()
    assert is_empty(store)
    assert sings(canary)


def test_a_layer_that_is_no_good_below_others_that_wait(tmp_path: Path, store: Store) -> None:
    """Whoever unpacks ends with layers that it has not taken, which resets its socket."""
    bad, good = tmp_path / "bad", tmp_path / "good"
    bad.write_bytes(b"no tar at all" * 100)
    good.write_bytes(archive(entry("x")))
    with store.staging() as staging, staging.ledger() as ledger:
        place = (staging.tree, store.idmap, Bounds(), lambda _: None, ledger, (staging.lock,))
        with (
            bad.open("rb") as lower,
            good.open("rb") as upper,
            pytest.raises(PullFailed, match="layer 1 of 3 is not a tar archive"),
            unpacking(3, *place) as tree,
        ):
            tree.put(Packed(lower.fileno()))
            tree.put(Packed(upper.fileno()))
            os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOWAIT)
            tree.put(Packed(upper.fileno()))
            tree.finish()


def test_whiteouts_hide_lower_layers_only(tmp_path: Path, store: Store) -> None:
    """Wherever among a layer's own entries they stand: image-spec, layer.md, "Whiteouts"."""
    lower = archive(
        *(directory(name) for name in ("before", "after", "whole", "whole/below", "kept")),
        *(entry(f"{name}/lower") for name in ("before", "after", "whole/below", "kept")),
        entry("file", data=b"lower"),
        symlink("link", "kept"),
    )
    upper = archive(
        entry("before/.wh..wh..opq"),
        entry("before/upper"),
        entry("after/upper"),
        entry("after/.wh..wh..opq"),
        entry("whole/below/upper"),
        entry("whole/.wh..wh..opq"),
        entry("file", data=b"upper"),
        entry(".wh.file"),
        entry("link/upper"),
        entry("kept/.wh.lower"),
        entry(".wh.link"),
        hardlink("linked", "file"),
    )
    write_layout(tmp_path / "image", lower, upper)
    tree = store.layer_tree(pull(str(tmp_path / "image"), store=store).digest)
    found = {
        os.path.relpath(os.path.join(place, name), tree)
        for place, below, files in os.walk(tree)
        for name in files
    }
    assert found == {
        *("before/upper", "after/upper", "whole/below/upper", "kept/upper", "file", "linked"),
    }
    assert Path(tree, "file").read_bytes() == b"upper"
    assert os.path.samefile(Path(tree, "file"), Path(tree, "linked"))


def test_a_directory_keeps_the_time_that_its_layer_gave_it(tmp_path: Path, store: Store) -> None:
    lower = archive(
        directory("d"), directory("d/below"), entry("d/gone"), symlink("link", "d/below")
    )
    upper = archive(
        entry("d/new"),
        entry("d/.wh.gone"),
        entry("d/made/on/the/way"),
        entry("link/through"),
        entry("link/.wh..wh..opq"),
    )
    write_layout(tmp_path / "image", lower, upper)
    tree = store.layer_tree(pull(str(tmp_path / "image"), store=store).digest)
    assert sorted(os.listdir(f"{tree}/d")) == ["below", "made", "new"]
    assert {os.stat(f"{tree}/{name}").st_mtime for name in ("d", "d/below")} == {1_000_000_000}


def test_a_set_gid_directory_of_a_lower_layer_gives_its_group_to_no_file(
    tmp_path: Path, store: Store
) -> None:
    """Debian's /var/mail is such a directory. Who a file belongs to, its own entry says."""
    lower = archive(
        pax({"gid": "8"}), directory("mail", 0o2775), pax({"gid": "8"}), entry("mail/of-the-group")
    )
    upper = archive(entry("mail/roots", data=b"1"), symlink("mail/link", "roots"))
    write_layout(tmp_path / "image", lower, upper)
    tree = Path(store.layer_tree(pull(str(tmp_path / "image"), store=store).digest))
    groups = {path.name: path.lstat().st_gid for path in (tree / "mail").iterdir()}
    root, mail = tree.stat().st_gid, (tree / "mail").stat().st_gid
    assert groups == {"of-the-group": mail, "roots": root, "link": root}


def _saved(place: Path, config: object, layers: object) -> None:
    """What `docker save` writes, but for these names."""
    layer = archive(entry("x", data=b"1"))
    place.mkdir()
    (place / "layer.tar").write_bytes(layer)
    (place / "config.json").write_bytes(configuration(layer))
    (place / "manifest.json").write_text(json.dumps([{"Config": config, "Layers": layers}]))


@pytest.mark.parametrize(
    ("config", "layers", "said"),
    [
        ("/etc/passwd", ["layer.tar"], "it leads out of it"),
        ("../outside/canary", ["layer.tar"], "it leads out of it"),
        ("config.json", ["a/../../outside/canary"], "has no file"),
        ("config.json", ["out/canary"], "a symlink leads out of it"),
        ("config.json", ["up/outside/canary"], "it leads out of it"),
        ("config.json", ["circle"], "or in circles"),
        ("config.json", ["pipe"], "no ordinary file"),
        ("config.json", ["."], "no ordinary file"),
        ("config.json", [""], "no ordinary file"),
        ("config.json", ["nul\0"], "has no file"),
        ("config.json", ["n" * 5000], "has no file"),
        ("config.json", [], "no list of 1 to 256 layers"),
        ("config.json", "layer.tar", "no list of 1 to 256 layers"),
        ("config.json", [5], "something other than files"),
        (None, ["layer.tar"], "something other than files"),
        ("config.json", ["layer.tar"] * 2, "has 2 layers, and a configuration of 1"),
        ("layer.tar", ["layer.tar"], "no JSON"),
        ("config.json", ["config.json"], "is not a tar archive"),
    ],
)
@pytest.mark.parametrize("kind", ["folder", "archive"])
def test_a_saved_image_that_names_what_it_should_not(
    kind: str,
    config: object,
    layers: object,
    said: str,
    tmp_path: Path,
    store: Store,
    canary: Path,
) -> None:
    place = tmp_path / "image"
    _saved(place, config, layers)
    (place / "out").symlink_to(canary.parent)
    (place / "up").symlink_to("..")
    (place / "circle").symlink_to("circle")
    os.mkfifo(place / "pipe")
    path = place
    if kind == "archive":
        path = tmp_path / "image.tar"
        with tarfile.open(path, "w") as tar:
            tar.add(place, ".")
    assert said in refusal(store, path)
    assert is_empty(store)
    assert sings(canary)


def test_a_saved_image_whose_links_stay_inside(tmp_path: Path, store: Store) -> None:
    """Docker writes such links where two images share a layer."""
    place = tmp_path / "image"
    _saved(place, "config.json", ["a/layer.tar"])
    (place / "a").mkdir()
    (place / "a/layer.tar").symlink_to("../b/../layer.tar")
    (place / "b").mkdir()
    egg = pull(str(place), store=store)
    assert Path(store.layer_tree(egg.digest), "x").read_bytes() == b"1"


def test_another_programs_manifest_json_makes_no_image(tmp_path: Path, store: Store) -> None:
    for number, content in enumerate([b"{}", b"[]", b"[1]", b"[" * 10**6, b"[{}]", b"\xff"]):
        place = tmp_path / f"tree-{number}"
        place.mkdir()
        (place / "manifest.json").write_bytes(content)
        egg = pull(str(place), store=store)
        assert os.listdir(store.layer_tree(egg.digest)) == ["manifest.json"]
