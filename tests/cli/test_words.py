"""What the command line makes of its words, before anybody asks a nest."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from procchi_tui.cli import failures, text
from procchi_tui.cli.feeding import feed
from procchi_tui.cli.hatching import hatch
from procchi_tui.cli.program import ALIASES, program
from tests.conftest import at_work

from .conftest import PROCCHI, Procchi

COMMANDS = [[name] for name in program.commands] + [["eggs", "rm"], ["nest", "stop"]]


@pytest.fixture
def procchi(tmp_path: Path) -> Iterator[Procchi]:
    """The command, with a home where nothing is, and no nest afterwards."""
    yield Procchi(tmp_path / "nobody")
    assert not at_work(str(tmp_path / "nobody"))


@pytest.mark.parametrize("words", [[], *COMMANDS], ids=" ".join)
def test_every_help_shows_an_example_that_can_be_typed(procchi: Procchi, words: list[str]) -> None:
    said = procchi.says(*words, "--help")
    _, examples = said.split("Example:\n")
    typed = " ".join(["procchi", *words])
    assert any(line.strip().startswith(typed) for line in examples.splitlines())
    assert not procchi.home.exists()


def test_feeds_help_tells_failures_apart_and_what_a_signal_does(procchi: Procchi) -> None:
    told = " ".join(procchi.says("feed", "--help").split())
    assert "with 1 where the pet cannot be fed" in told
    assert "never sees a signal that it has no handler for" in told
    assert "procchi feed moka --signal KILL" in told


def test_no_words_show_the_help(procchi: Procchi) -> None:
    assert procchi.says() == procchi.says("--help")


@pytest.mark.parametrize(("other", "ours"), ALIASES.items())
def test_the_fields_own_words_are_taken(procchi: Procchi, other: str, ours: str) -> None:
    assert procchi.says(other, "--help").partition("\n")[2] in procchi.says(ours, "--help")


def test_the_version(procchi: Procchi) -> None:
    assert procchi.says("--version").startswith("procchi 0.")


@pytest.mark.parametrize(
    "words",
    [
        ["fed", "moka"],
        ["--jsno"],
        ["pets", "--jsno"],
        ["pets", "moka"],
        ["look"],
        ["hatch"],
        ["hatch", "moka", "home", "sh"],
        ["hatch", "moka", "--net", "bridge"],
        ["hatch", "moka", "--env", "NAME"],
        ["hatch", "moka", "--memory"],
        ["feed"],
        ["feed", "moka"],
        ["feed", "moka", "--signal", "TERM", "--", "ls"],
        ["feed", "moka", "--signal", "NOSUCH"],
        ["feed", "moka", "--signal", "0"],
        ["feed", "moka", "--nosuch", "ls"],
        ["release"],
        ["nest", "restart"],
    ],
    ids=" ".join,
)
def test_wrong_words_end_with_one_line_and_status_2(procchi: Procchi, words: list[str]) -> None:
    procchi.refused(*words, status=2)
    assert not procchi.home.exists()


@pytest.mark.parametrize("entry", ["main", "tui"])
def test_another_system_gets_one_clear_line(entry: str) -> None:
    """`sys.platform` is what tells, and nothing that needs Linux is imported before it is asked."""
    code = (
        "import sys; sys.platform = 'darwin'; sys.argv = ['procchi', 'pets']; "
        f"from procchi_tui.main import {entry}; status = {entry}(); "
        "assert not {'engine', 'fcntl', 'click', 'textual'} & set(sys.modules); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "Linux" in line
    assert "darwin" in line


def test_run_says_which_commands_there_are(tmp_path: Path) -> None:
    script = shutil.copy(Path(__file__).parents[2] / "run", tmp_path)
    (tmp_path / ".venv/bin").mkdir(parents=True)
    (tmp_path / ".venv/ready").touch()  # as after the first run
    (tmp_path / ".venv/bin/echo").symlink_to("/bin/echo")
    here = subprocess.run([script, "echo", "hi"], capture_output=True, text=True, check=True)
    assert here.stdout == "hi\n"
    for name in ("frob", ".", "../bin"):
        done = subprocess.run([script, name], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        (line,) = done.stderr.splitlines()
        assert line.startswith(f"procchi: there is no command '{name}': ")
        assert "procchi, procchi-tui, pytest" in line


def run_tui(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [f"{PROCCHI}-tui", *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_the_full_screen_without_a_terminal_says_so() -> None:
    done = run_tui()
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert "terminal" in line


def test_the_full_screen_knows_its_words() -> None:
    assert "Example:\n    procchi-tui" in run_tui("--help").stdout
    assert run_tui("--version").stdout.startswith("procchi-tui 0.")
    wrong = run_tui("--nosuch")
    assert wrong.returncode == 2
    assert len(wrong.stderr.splitlines()) == 1


def test_a_reader_that_leaves_is_no_error(procchi: Procchi) -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run(
        [PROCCHI, "--help"], stdout=write_end, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(write_end)
    assert (done.returncode, done.stderr) == (141, "")


def test_a_mistake_of_our_own_is_one_line_and_a_traceback_only_on_demand(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mistake = KeyError("some\nthing")
    monkeypatch.delenv("PROCCHI_DEBUG", raising=False)
    assert failures.report(mistake, ["pets"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "report it" in line
    assert failures.report(mistake, ["exec", "moka"]) == 125
    monkeypatch.setenv("PROCCHI_DEBUG", "1")
    failures.report(mistake, ["pets"])
    assert "KeyError" in capsys.readouterr().err.splitlines()[0]


UNSAID = {"env": (), "workdir": None, "user": None, "explain": False}


def fed(*words: str) -> dict[str, object]:
    return feed.make_context("feed", list(words)).params


@pytest.mark.parametrize(
    "words",
    [
        ["-it", "moka", "ls", "-l"],
        ["moka", "-it", "ls", "-l"],
        ["-i", "moka", "-t", "--", "ls", "-l"],
        ["-it", "--", "moka", "ls", "-l"],
    ],
    ids=" ".join,
)
def test_options_stand_before_or_behind_the_name(words: list[str]) -> None:
    assert fed(*words) == {
        "words": ("moka", "ls", "-l"),
        "interactive": True,
        "tty": True,
        "sig": None,
        "written": None,
        **UNSAID,
    }


shell_words = st.text(st.characters(blacklist_categories=["Cs"]), max_size=8)


@given(st.lists(shell_words, min_size=1, max_size=5))
def test_all_behind_two_dashes_is_the_pets(command: list[str]) -> None:
    assert fed("moka", "--", *command)["words"] == ("moka", *command)
    assert fed("-i", "moka", "--", *command)["words"] == ("moka", *command)


@given(st.lists(shell_words | st.sampled_from(["-i", "--", "--signal", "--help"]), max_size=5))
def test_a_commands_own_options_are_its_own(rest: list[str]) -> None:
    assert fed("moka", "ls", *rest) == {
        "words": ("moka", "ls", *rest),
        "interactive": False,
        "tty": False,
        "sig": None,
        "written": None,
        **UNSAID,
    }


@given(st.lists(shell_words | st.sampled_from(["--memory", "--"]), max_size=5))
def test_what_a_pet_is_to_run_stands_behind_two_dashes(command: list[str]) -> None:
    params = hatch.make_context(
        "hatch", ["moka", "--memory", "30M", "debian", "--", *command]
    ).params
    assert (params["name"], params["egg"], params["memory"]) == ("moka", "debian", "30M")
    assert params["command"] == tuple(command)


def test_a_word_too_many_is_refused() -> None:
    with pytest.raises(click.UsageError):
        hatch.make_context("hatch", ["moka", "home", "ls"])


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (None, "-"),
        (0, "0B"),
        (1023, "1023B"),
        (1536, "1.5K"),
        (50 << 20, "50M"),
        (3 << 50, "3072T"),
    ],
)
def test_sizes_in_a_few_characters(amount: int | None, shown: str) -> None:
    assert text.size(amount) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-3, "0s"), (59.9, "59s"), (60, "1m"), (3600, "1h"), (47.9 * 3600, "47h"), (864000, "10d")],
)
def test_ages_in_a_few_characters(seconds: float, shown: str) -> None:
    assert text.age(seconds) == shown


def test_what_is_counted_is_one_or_many() -> None:
    said = [text.counted(number, "fork") for number in (0, 1, 2, None)]
    assert said == ["0 forks", "1 fork", "2 forks", "- forks"]


def test_a_table_is_cut_at_the_terminals_edge() -> None:
    rows = [("NAME", "WHY"), ("moka", "because"), ("m", "")]
    assert text.columns(rows) == "NAME   WHY\nmoka   because\nm"
    assert text.columns(rows, width=10) == "NAME   WHY\nmoka   be…\nm"
