"""Bad input: one clear line, the right status, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .conftest import Procchi
from .test_life import until


@pytest.fixture(autouse=True)
def nothing_is_left_behind(procchi: Procchi) -> Iterator[None]:
    """Whatever is refused, the eggs and pets stay as they were."""
    eggs = procchi.json("eggs")
    yield
    assert procchi.json("eggs") == eggs
    assert {pet["name"] for pet in procchi.json("pets")} <= {"moka"}


@pytest.mark.parametrize("name", ["..", ".", "a/b", "", "x" * 300, "new\nline", "-", "ü", "a b"])
def test_names(procchi: Procchi, name: str) -> None:
    procchi.refused("hatch", name, status=2)


def test_a_taken_name(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    assert "release moka" in procchi.refused("hatch", "moka", status=1)


LIMITS = ["0", "-1", "12bogus", str(2**64), "nan", "inf", "1e400", "", "½"]


@pytest.mark.parametrize("option", ["--memory", "--cpu", "--pids"])
@pytest.mark.parametrize("value", LIMITS)
def test_limits(procchi: Procchi, option: str, value: str) -> None:
    line = procchi.refused("hatch", "moka", option, value, status=2)
    assert option.removeprefix("--") in line.lower()


def test_an_egg_that_does_not_exist(procchi: Procchi) -> None:
    assert "nosuch" in procchi.refused("hatch", "moka", "nosuch", status=1)
    assert "nosuch" in procchi.refused("pull", "/nosuch.tar.gz", status=1)
    assert "nosuch" in procchi.refused("eggs", "rm", "nosuch", status=1)


def test_a_command_that_cannot_be_run(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    line = procchi.refused("feed", "moka", "--", "nosuch", status=127)
    assert line.endswith("its egg has no 'nosuch' in the PATH")
    line = procchi.refused("feed", "moka", "--", "./nosuch", status=127)  # never looked up there
    assert line.endswith("its egg has no './nosuch'")
    assert "/etc" in procchi.refused("feed", "moka", "--", "/etc", status=126)


def test_a_command_in_quotes_of_its_own(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    line = procchi.refused("feed", "moka", "--", "ls -l", status=127)
    assert line.endswith("no 'ls -l' in the PATH: leave the quotes away, or use sh -c '…'")
    assert "quotes" not in procchi.refused("feed", "moka", "--", "nosuch", "a b", status=127)


def test_what_may_not_be_executed_is_named_once(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    line = procchi.refused("feed", "moka", "--", "/etc/passwd", status=126)
    assert line.count("/etc/passwd") == 1
    assert "cannot be executed: Permission denied: is it a program? A script" in line
    write = ["sh", "-c", 'printf "$1" >/tmp/x; chmod +x /tmp/x', "sh"]
    for content, said in (
        ("#!/nosuch", "its interpreter is missing"),
        (r"\0", "Exec format error"),
    ):
        procchi("feed", "moka", "--", *write, content)
        line = procchi.refused("feed", "moka", "--", "/tmp/x", status=126)
        assert line.endswith(f": '/tmp/x' cannot be executed: {said}")


def test_a_pet_whose_command_cannot_be_run(procchi: Procchi) -> None:
    assert "nosuch" in procchi.refused("hatch", "nori", "--", "nosuch", status=127)
    assert "/etc" in procchi.refused("hatch", "nori", "--", "/etc", status=126)


def test_a_ghost(procchi: Procchi) -> None:
    procchi("hatch", "moka", "--", "sh", "-c", "exit 0")
    until(lambda: procchi.json("look", "moka")["status"] == "ghost")
    for words in (["feed", "moka", "ls"], ["sleep", "moka"], ["wake", "moka"]):
        assert "ghost" in procchi.refused(*words, status=1)
    assert "ghost" in procchi.refused("feed", "moka", "--write", "hi", status=1)


def test_a_sleeper(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    procchi("sleep", "moka")
    assert "procchi wake moka" in procchi.refused("feed", "moka", "ls", status=1)


@pytest.mark.parametrize(
    "words",
    [
        ["feed", "nobody", "ls"],
        ["feed", "nobody", "--signal", "TERM"],
        ["feed", "nobody", "--write", "hi"],
        ["look", "nobody"],
        ["stats", "nobody"],
        ["stats", "nobody", "--watch"],
        ["logs", "nobody"],
        ["sleep", "nobody"],
        ["wake", "nobody"],
        ["release", "nobody"],
    ],
    ids=" ".join,
)
def test_a_stranger(procchi: Procchi, words: list[str]) -> None:
    assert "nobody" in procchi.refused(*words, status=1)


def test_a_home_that_cannot_be_made(procchi: Procchi) -> None:
    nowhere = Procchi(procchi.home)
    nowhere.environment["PROCCHI_HOME"] = "/dev/null/home"
    assert "/dev/null" in nowhere.refused("pets", status=1)
    assert "/dev/null" in nowhere.refused("feed", "moka", "ls", status=125)


def test_a_terminal_that_is_not_there(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    assert "-t" in procchi.refused("feed", "-it", "moka", "sh", status=1)
