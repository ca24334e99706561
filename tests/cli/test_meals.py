"""What is told of meals from the command line."""

from __future__ import annotations

from .conftest import Procchi


def test_meals_are_listed_and_explained(procchi: Procchi) -> None:
    procchi("hatch", "moka")
    assert procchi.says("meals", "moka") == ""
    done = procchi("feed", "--explain", "moka", "--", "sh", "-c", "echo hi; exit 3", status=3)
    assert done.stdout == "hi\n"
    assert "join namespaces" in done.stderr and "execve(" in done.stderr
    (meal,) = procchi.json("meals", "moka")
    assert (meal["number"], meal["exit_code"], meal["command"][0]) == (1, 3, "sh")
    assert "echo hi; exit 3" in procchi.says("meals", "moka")
    assert "setns(" in procchi.says("meals", "moka", "--explain", "1")
    procchi("meals", "moka", "--explain", "2", status=2)
