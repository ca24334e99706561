"""The egg cooked from this machine, and from machines laid out like other distributions."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from engine import confined
from engine.errors import PullFailed
from engine.images import elf, pull
from engine.images.home import cook
from engine.images.store import Store
from engine.model import Egg, Progress

HERE = Path("/")
TOOLS = "sh ls cat sleep sort id stat head tr timeout grep sed mount".split()


def run_in(store: Store, egg: Egg, script: str) -> str:
    """What a shell script writes, run in the egg's tree as its root."""
    read_end, write_end = os.pipe()
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}

    def work() -> int:
        actions = [(os.POSIX_SPAWN_DUP2, write_end, 1), (os.POSIX_SPAWN_DUP2, write_end, 2)]
        command = ["sh", "-c", script]
        pid = os.posix_spawn("/bin/sh", command, environment, file_actions=actions)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

    with open(read_end, "rb") as output:
        status = confined.run(work, store.layer_tree(egg.digest), store.idmap, keep=(write_end,))
        os.close(write_end)
        text = output.read().decode()
    assert status == 0, text
    return text


def libraries(program: str) -> list[str]:
    """What ldd says that this machine's `program` loads, the loader included."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    words = (word for line in done.stdout.splitlines() for word in line.split())
    return [word for word in words if word.startswith("/")]


def cooked(root: Path) -> bytes:
    archive = io.BytesIO()
    cook(str(root), archive, lambda _: None)
    return archive.getvalue()


def names(root: Path) -> dict[str, tarfile.TarInfo]:
    with tarfile.open(fileobj=io.BytesIO(cooked(root))) as tar:
        return {entry.name.removeprefix("."): entry for entry in tar}


@pytest.fixture(scope="module")
def own() -> dict[str, tarfile.TarInfo]:
    return names(HERE)


# This machine


def test_every_tool_of_the_promise_is_there_and_runs(store: Store) -> None:
    seen: list[Progress] = []
    egg = pull("home", store=store, progress=seen.append)
    assert (egg.name, egg.source, egg.left_out) == ("home", "home", {})
    assert {"cooking", "unpacking", "storing"} <= {step.stage for step in seen}
    assert run_in(store, egg, "echo $((6 * 7)); id -u; echo abc | tr a-c x-z | head -n 1") == (
        "42\n0\nxyz\n"
    )
    promised = "sh timeout head tr sleep stat id grep sed awk hostname ps mount ip"
    here = [tool for tool in promised.split() if shutil.which(tool)]
    found = run_in(store, egg, f"for tool in {' '.join(here)}; do command -v $tool; done")
    assert [os.path.basename(path) for path in found.split()] == here
    for tool in ("grep", "sed", "awk", "ps", "ip"):
        if shutil.which(tool):
            said = run_in(store, egg, f"{tool} --version </etc/hosts || {tool} -V || true")
            assert "error while loading" not in said


def test_nothing_that_a_program_needs_is_missing(own: dict[str, tarfile.TarInfo]) -> None:
    programs = [name for name, entry in own.items() if entry.isfile() and "/bin/" in name]
    assert len(programs) > 50
    for program in programs:
        for library in libraries(program):
            real = os.path.realpath(library)
            assert real in own, f"{program} needs {library}"


def test_it_is_made_of_what_every_system_has(own: dict[str, tarfile.TarInfo]) -> None:
    for path in ("/proc", "/sys", "/dev", "/tmp", "/root", "/run", "/var/tmp", "/home", "/etc"):
        assert own[path].isdir()
    assert own["/tmp"].mode == 0o1777
    assert {entry.uid for entry in own.values()} == {0}
    assert all(entry.mode & 0o6000 == 0 for entry in own.values())
    assert sum(entry.size for entry in own.values()) < 60 << 20


def test_pulled_twice_it_is_the_same(store: Store) -> None:
    first = pull("home", store=store)
    seen: list[Progress] = []
    assert pull("home", store=store, progress=seen.append).digest == first.digest
    assert "unpacking" not in {step.stage for step in seen}


# Other layouts: this machine's own programs, where other distributions have them


def real_libraries() -> dict[str, str]:
    """The libraries of TOOLS by name; the loader is not among them."""
    found = {}
    for tool in TOOLS:
        for library in libraries(str(shutil.which(tool))):
            found[os.path.basename(library)] = library
    loader = os.path.basename(interpreter())
    return {name: path for name, path in found.items() if name != loader}


def interpreter() -> str:
    with open(os.path.realpath("/bin/sh"), "rb") as file:
        said = elf.read(file)
    assert said and said.interpreter
    return said.interpreter


def lay_out(root: Path, programs: str, library: str, links: dict[str, str]) -> None:
    """Put TOOLS into `programs`, what they need into `library`, and make the links."""
    for path in (programs, library, "/etc"):
        Path(f"{root}{path}").mkdir(parents=True)
    for link, target in links.items():
        place = Path(f"{root}{link}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(target)
    for tool in TOOLS:
        shutil.copy2(os.path.realpath(str(shutil.which(tool))), f"{root}{programs}/{tool}")
    loader = Path(f"{root}{interpreter()}")
    loader.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(os.path.realpath(interpreter()), loader)
    for name, path in real_libraries().items():
        shutil.copy2(os.path.realpath(path), f"{root}{library}/{name}")
    Path(f"{root}/etc/ld.so.conf").write_text(f"{library}\n")
    subprocess.run(["ldconfig", "-r", str(root)], check=True, env={"PATH": "/usr/sbin:/sbin"})


LAYOUTS = {
    "Debian, merged": ("/usr/bin", "/usr/lib/x-linux-gnu", {"/bin": "usr/bin", "/lib": "usr/lib"}),
    "Debian, not merged": ("/bin", "/lib/x-linux-gnu", {}),
    "Fedora": (
        "/usr/bin",
        "/usr/lib64",
        {"/bin": "usr/bin", "/sbin": "usr/sbin", "/lib64": "usr/lib64", "/usr/sbin": "bin"},
    ),
    "Arch": (
        "/usr/bin",
        "/usr/lib",
        {
            "/bin": "usr/bin",
            "/sbin": "usr/bin",
            "/usr/sbin": "bin",
            "/lib": "usr/lib",
            "/lib64": "usr/lib",
            "/usr/lib64": "lib",
        },
    ),
    "libraries of one's own": ("/usr/bin", "/opt/strange/place", {"/bin": "usr/bin"}),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout(layout: str, tmp_path: Path, store: Store) -> None:
    programs, library, links = LAYOUTS[layout]
    root = tmp_path / "machine"
    lay_out(root, programs, library, links)
    archive = tmp_path / "home.tar"
    archive.write_bytes(cooked(root))
    egg = pull(str(archive), store=store)
    tree = store.layer_tree(egg.digest)
    for link, target in links.items():
        if Path(f"{root}{link}").is_dir():
            assert os.readlink(f"{tree}{link}") == target
    assert os.path.isfile(f"{tree}{programs}/ls")
    assert run_in(store, egg, "ls / | grep -c proc; echo x | sed s/x/y/") == "1\ny\n"


def test_alpine(tmp_path: Path, store: Store) -> None:
    """Busybox under many names, and musl; the loader's own library is none to look for."""
    root = tmp_path / "machine"
    for place in ("bin", "sbin", "lib", "usr/bin", "usr/lib", "etc"):
        (root / place).mkdir(parents=True)
    program = bytearray(Path(os.path.realpath(str(shutil.which("true")))).read_bytes())
    for old, new in ((interpreter(), "/lib/ld-musl-x.so.1"), ("libc.so.6", "libc.musl")):
        assert program.count(old.encode() + b"\0") >= 1
        program[:] = program.replace(old.encode() + b"\0", new.encode().ljust(len(old) + 1, b"\0"))
    (root / "bin/busybox").write_bytes(program)
    (root / "bin/busybox").chmod(0o755)
    (root / "lib/ld-musl-x.so.1").write_bytes(program)
    (root / "lib/libc.musl-x.so.1").symlink_to("ld-musl-x.so.1")
    (root / "etc/ld-musl-x.path").write_text("/lib\n/usr/lib\n")
    for applet in ("bin/sh", "bin/ls", "usr/bin/head", "sbin/ip"):
        (root / applet).symlink_to("/bin/busybox")
    found = names(root)
    assert found["/usr/bin/head"].linkname == "/bin/busybox"
    assert found["/bin/busybox"].isfile()
    assert found["/lib/ld-musl-x.so.1"].isfile()
    assert found["/etc/ld-musl-x.path"].isfile()
    assert "/etc/nsswitch.conf" not in found


def test_the_same_files_make_the_same_egg(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    lay_out(first, *LAYOUTS["Debian, merged"])
    shutil.copytree(first, second, symlinks=True)
    assert cooked(first) == cooked(second)


def test_what_stays_out(tmp_path: Path) -> None:
    root = tmp_path / "machine"
    lay_out(root, *LAYOUTS["Debian, merged"])
    place = root / "usr/bin"
    (place / "which").write_text("#!/bin/sh\necho I am small\n")
    (place / "top").write_text("#!/usr/bin/python3\nprint('I need all of Python')\n")
    (place / "vi").write_bytes((place / "ls").read_bytes() + bytes(20 << 20))
    (place / "less").write_bytes(
        (place / "ls").read_bytes().replace(b"libc.so.6\0", b"libx.so.6\0")
    )
    (place / "more").write_bytes(b"\x7fELF, but not really")
    (place / "cut").symlink_to("cut")
    (place / "nano").mkdir()
    os.mkfifo(place / "awk")
    for name in ("which", "top"):
        (place / name).chmod(0o755)
    shutil.copy2(place / "ls", place / "su")
    (place / "mount").chmod(0o4755)
    found = names(root)
    assert found["/usr/bin/which"].isfile()
    assert found["/usr/bin/mount"].mode == 0o755
    for name in "top vi less more cut nano awk su".split():
        assert f"/usr/bin/{name}" not in found, name


def test_a_machine_without_a_shell(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    with pytest.raises(PullFailed, match="no shell"):
        cook(str(tmp_path), io.BytesIO(), lambda _: None)


@pytest.mark.parametrize("cut", [0, 3, 20, 63, 64, 200, 1000, 5000])
def test_a_broken_program_is_no_program(cut: int, tmp_path: Path) -> None:
    path = tmp_path / "broken"
    path.write_bytes(Path(os.path.realpath("/bin/sh")).read_bytes()[:cut])
    with path.open("rb") as file:
        said = elf.read(file)
    assert said is None or not said.needed
