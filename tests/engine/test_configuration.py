"""What an image says of itself is what its pets do, unless somebody says otherwise."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

import engine
from engine.errors import BadRequest, CommandNotFound, HatchFailed, ProcchiError
from engine.idmap import Extent, IdMap
from engine.images.home import cook
from engine.users import find
from tests.conftest import eventually, said
from tests.engine.made_image import make_image, make_layer
from tests.users import Student, student

__all__ = ["student"]

PASSWD = """\
root:x:0:0:root:/root:/bin/sh
broken
daemon:x:1:1::/usr/sbin:/bin/false
www:x:33:34:the web:/srv/www:/bin/sh
nan:x:many:34::/:/bin/sh
far:x:70000:70000::/:/bin/sh
4242:x:5:6:a name of digits:/five:/bin/sh
"""
GROUP = """\
root:x:0:
www:x:34:
snack:x:50:daemon,www
treat:x:51:www
far:x:70000:www
broken
"""
CONFIG: dict[str, Any] = {
    "Entrypoint": ["/usr/local/bin/entry", "fixed"],
    "Cmd": ["usual"],
    "Env": ["A=image", "B=b=c", "SNACK=apple"],
    "WorkingDir": "/srv/not yet",
    "User": "www",
    "StopSignal": "SIGINT",
}
ENTRY = """\
#!/bin/sh
trap 'echo asked to end; exit 5' INT
echo "args: $*"
echo "at: $PWD"
echo "who: $(id -u):$(id -g):$(id -G)"
echo "env: $A $B $SNACK $HOME"
echo again >> /dev/stderr
while :; do sleep 0.05; done
"""


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    path = tmp_path_factory.mktemp("base") / "home.tar"
    with path.open("wb") as file:
        cook("/", file, lambda _: None)
    return path


Image = Callable[..., engine.Egg]


@pytest.fixture
def image(base: pathlib.Path, empty_home: pathlib.Path, tmp_path: pathlib.Path) -> Iterator[Image]:
    made = 0

    def make(config: Mapping[str, Any] = CONFIG, files: Mapping[str, str] = {}) -> engine.Egg:
        nonlocal made
        made += 1
        own = {"etc/passwd": PASSWD, "etc/group": GROUP, "usr/local/bin/entry": ENTRY, **files}
        top = make_layer(tmp_path / f"top{made}.tar", own)
        folder = make_image(tmp_path / f"image{made}", [base, top], config)
        return engine.pull(folder, name="egg")

    yield make


def its_log(name: str, lines: int) -> list[str]:
    path = engine.log_path(name)
    eventually(lambda: len(path.read_text().splitlines()) >= lines, "it has spoken")
    return path.read_text().splitlines()


def test_a_pet_does_what_its_image_says(image: Image) -> None:
    image()
    pet = engine.hatch("moka", "egg")
    assert pet.command == ("/usr/local/bin/entry", "fixed", "usual")
    assert (pet.user, pet.working_directory, pet.stop_signal) == ("www", "/srv/not yet", "SIGINT")
    assert pet.environment == {"A": "image", "B": "b=c", "SNACK": "apple"}
    assert its_log("moka", 5) == [
        "args: fixed usual",
        "at: /srv/not yet",
        "who: 33:34:34 50 51",
        "env: image b=c apple /srv/www",
        "again",
    ]
    assert engine.look("moka").to_json()["user"] == "www"


def test_all_of_it_can_be_said_otherwise(image: Image) -> None:
    image()
    engine.hatch("one", "egg", command=["mine", "too"])
    assert its_log("one", 1)[0] == "args: fixed mine too"
    pet = engine.hatch(
        "two",
        "egg",
        entrypoint=["/bin/sh", "-c"],
        environment={"A": "mine", "C": "new"},
        working_directory="/usr/bin",
        user="daemon:treat",
        stop_signal="TERM",
        command=['echo "$A $B $C $PWD $(id -u):$(id -g):$(id -G) $HOME"; exec sleep 100'],
    )
    assert its_log("two", 1) == ["mine b=c new /usr/bin 1:51:51 /usr/sbin"]
    assert pet.stop_signal == "TERM"
    shell = engine.hatch("three", "egg", entrypoint=[], user="root", working_directory="")
    assert shell.command == () and said("three", "pwd; id -u; echo $HOME") == "/\n0\n/root"


def test_a_meal_is_who_and_where_its_pet_is(image: Image) -> None:
    image()
    engine.hatch("moka", "egg")
    script = 'echo "$PWD $(id -u):$(id -g):$(id -G) $A $SNACK $HOME"'
    assert said("moka", script) == "/srv/not yet 33:34:34 50 51 image apple /srv/www"
    meal = engine.feed(
        "moka",
        ["sh", "-c", script],
        user="0:50",
        working_directory="/etc",
        environment={"A": "x"},
    )
    assert meal.stdout == b"/etc 0:50:50 x apple /root\n"
    assert engine.feed("moka", ["sh", "-c", "pwd"], working_directory="usr").stdout == b"/usr\n"
    with pytest.raises(ProcchiError, match="working directory '/no/where': No such file"):
        engine.feed("moka", ["true"], working_directory="/no/where")
    with pytest.raises(ProcchiError, match="'ghost'"):
        engine.feed("moka", ["true"], user="ghost")


def test_a_user_has_no_privileges_left(image: Image) -> None:
    image()
    engine.hatch("moka", "egg")
    for where in ("/proc/1/status", "/proc/self/status"):
        status = said("moka", f"cat {where}")
        capabilities = dict(
            line.split(":\t") for line in status.splitlines() if line.startswith("Cap")
        )
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(capabilities[kind], 16) == 0, (where, kind)
    assert engine.feed("moka", ["sh", "-c", "echo x > /etc/passwd"]).exit_code != 0


def test_release_sends_the_stop_signal_first(image: Image) -> None:
    image()
    engine.hatch("moka", "egg")
    its_log("moka", 5)
    with engine.watch() as watched:
        engine.release("moka")
        died = next(event for event in watched if getattr(event, "kind", "") == "died")
    assert isinstance(died, engine.Event)
    assert died.detail["exit_code"] == 5, "it ended by itself, before it would have been killed"


@pytest.mark.parametrize("word", ["BREAKFAST", "99", "SIGRTMIN+99", "-1", "RTMIN+x"])
def test_a_stop_signal_that_is_none(word: str, home: pathlib.Path) -> None:
    with pytest.raises(BadRequest, match="is no signal"):
        engine.hatch("moka", stop_signal=word)
    assert engine.pets() == []


def test_systemds_stop_signal(home: pathlib.Path) -> None:
    script = "trap 'exit 6' 37; echo ready; while :; do sleep 0.05; done"
    engine.hatch("moka", command=["bash", "-c", script], stop_signal="SIGRTMIN+3")
    its_log("moka", 1)
    with engine.watch() as watched:
        engine.release("moka")
        died = next(event for event in watched if getattr(event, "kind", "") == "died")
    assert isinstance(died, engine.Event) and died.detail["exit_code"] == 6


def test_a_working_directory_that_leads_nowhere_good(image: Image) -> None:
    image(files={"srv/file": "x", "srv/out": "->/proc/self/fd/7"})
    engine.hatch("ok", "egg", working_directory="srv/../srv/new/one", user="root")
    assert said("ok", "pwd; stat -c %u:%a .") == "/srv/new/one\n0:755"
    with pytest.raises(HatchFailed, match="working directory '/srv/file/x': Not a directory"):
        engine.hatch("moka", "egg", working_directory="/srv/file/x")
    with pytest.raises(HatchFailed, match="working directory"):
        engine.hatch("moka", "egg", working_directory="/new", read_only=True)
    for number in range(3, 40):  # CVE-2024-21626: a directory of the host's that is still open
        with pytest.raises(HatchFailed, match="working directory"):
            engine.hatch("moka", "egg", working_directory=f"/proc/self/fd/{number}")
    with pytest.raises(HatchFailed, match="working directory"):
        engine.hatch("moka", "egg", working_directory="/srv/out")


def test_a_meal_does_not_leave_by_its_input(home: pathlib.Path) -> None:
    engine.hatch("moka")
    host = os.open("/etc", os.O_RDONLY | os.O_DIRECTORY)
    null = os.open("/dev/null", os.O_WRONLY)
    with pytest.raises(ProcchiError, match="working directory"):
        engine.open_meal(
            "moka", ["ls"], stdio=(host, null, null), working_directory="/proc/self/fd/0"
        ).wait()
    os.close(host)
    os.close(null)


BROKEN = {
    "nobody of that name": ("ghost", "no user 'ghost'"),
    "no group of that name": ("www:ghost", "no group 'ghost'"),
    "a user without numbers": ("nan", "no numbers"),
    "a user beyond the map": ("far", "ids from 0 to 65535 only"),
    "a number beyond the map": ("100000", "ids from 0 to 65535 only"),
    "a number beyond all": ("99999999999", "no user '99999999999'"),
    "a negative number": ("-5", "no user '-5'"),
    "an empty name": (":50", "no user ''"),
}


def test_users_who_cannot_be(image: Image) -> None:
    image()
    for wanted, why in BROKEN.values():
        with pytest.raises(HatchFailed, match=why) as error:
            engine.hatch("moka", "egg", user=wanted)
        assert "\n" not in str(error.value)
        assert engine.pets() == []


WHOLE = IdMap((Extent(0, 0, 65536),), (Extent(0, 0, 65536),))


@pytest.mark.parametrize(
    ("wanted", "expected"),
    {
        "www": (33, 34, (34, 50, 51), "/srv/www"),
        "33": (33, 34, (34, 50, 51), "/srv/www"),
        "www:50": (33, 50, (), "/srv/www"),
        "33:snack": (33, 50, (), "/srv/www"),
        "4242": (5, 6, (), "/five"),
        "777": (777, 0, (), "/"),
        "777:888": (777, 888, (), "/"),
        "daemon": (1, 1, (50,), "/usr/sbin"),
    }.items(),
)
def test_users_as_container_tools_read_them(
    wanted: str, expected: tuple[object, ...], tmp_path: pathlib.Path
) -> None:
    (tmp_path / "passwd").write_text(PASSWD)
    (tmp_path / "group").write_text(GROUP.replace("www:x:34:", "www:x:34:www"))
    assert find(wanted, WHOLE, str(tmp_path / "passwd"), str(tmp_path / "group")) == expected


HOSTILE: dict[str, Callable[[pathlib.Path], object]] = {
    "missing": lambda path: None,
    "a FIFO": os.mkfifo,
    "a directory": lambda path: path.mkdir(),
    "a device": lambda path: path.symlink_to("/dev/zero"),
    "a link in circles": lambda path: path.symlink_to(path),
    "no text": lambda path: path.write_bytes(bytes(range(256)) * 100),
    "a terabyte of nothing": lambda path: os.truncate(path.open("w").name, 1 << 40),
}


@pytest.mark.parametrize("how", HOSTILE)
def test_a_passwd_that_a_pet_has_made(how: str, tmp_path: pathlib.Path) -> None:
    HOSTILE[how](tmp_path / "passwd")
    files = str(tmp_path / "passwd"), str(tmp_path / "group")
    assert find("33", WHOLE, *files) == (33, 0, (), "/")
    with pytest.raises(OSError, match="has no user 'www'"):
        find("www", WHOLE, *files)


def test_an_egg_without_a_shell(empty_home: pathlib.Path, tmp_path: pathlib.Path) -> None:
    layer = make_layer(tmp_path / "layer.tar", {"app": "not a program"})
    engine.pull(make_image(tmp_path / "scratch", [layer], {}), name="scratch")
    with pytest.raises(
        CommandNotFound, match="its egg has no shell, and names no command"
    ) as error:
        engine.hatch("moka", "scratch")
    assert "\n" not in str(error.value)
    assert engine.pets() == []


def test_an_ordinary_users_pet_has_users_too(
    student: Student, base: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    own = {"etc/passwd": PASSWD, "etc/group": GROUP, "usr/local/bin/entry": ENTRY}
    make_image(student.home / "image", [base, make_layer(tmp_path / "top.tar", own)], CONFIG)
    student.procchi("pull", str(student.home / "image"), "--name", "egg")
    hatched = student.procchi("hatch", "moka", "egg", check=False)
    if not student.subordinate_ids:
        assert hatched.returncode == 125
        assert hatched.stderr.count("\n") == 1 and "no ids but 0" in hatched.stderr
        student.procchi("hatch", "moka", "egg", "--user", "root")
        assert student.procchi("feed", "moka", "--", "id", "-u").stdout == "0\n"
        return
    assert student.procchi("feed", "moka", "--", "id", "-u").stdout == "33\n"
    assert student.procchi("feed", "moka", "-u", "0", "--", "id", "-u").stdout == "0\n"
    assert "again" in student.procchi("logs", "moka").stdout
    student.procchi("sleep", "moka")
    student.procchi("wake", "moka")
    student.procchi("release", "moka")


def test_from_the_command_line(image: Image) -> None:
    image()
    pet = engine.hatch("plain", "egg")
    assert pet.user == "www"
    done = procchi(
        *("hatch", "moka", "egg", "-u", "daemon", "-w", "/tmp", "-e", "A=cli"),
        *("--entrypoint", "/bin/sh", "--stop-signal", "INT", "--", "-c", "id -u; pwd; sleep 100"),
    )
    assert done == "moka\n"
    assert its_log("moka", 2) == ["1", "/tmp"]
    assert procchi("feed", "moka", "-u", "www", "-w", "/usr", "-e", "B=1", "--", "pwd") == "/usr\n"
    assert procchi("feed", "-u", "www", "-e", "B=1", "moka", "sh", "-c", "id -u; echo $A$B") == (
        "33\ncli1\n"
    )
    look = procchi("look", "moka")
    assert "daemon" in look and "/tmp" in look and "INT" in look


def procchi(*words: str) -> str:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys; import procchi_tui.main as m; sys.exit(m.main())",
            *words,
        ],
        capture_output=True,
        text=True,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
