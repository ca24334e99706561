"""Talking to a pet: a shell in it, in the session's own terminal, in a real one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import engine
from tests.conftest import eventually
from tests.tui.test_real_nest import Terminal, lives, nest, session, terminal

__all__ = ["nest", "terminal"]


@pytest.fixture
def an_egg_with_vi(nest: None, tmp_path: Path) -> str:
    """This machine's own `home`, with vi laid into it."""
    engine.pull("home")
    [layer] = engine.eggs()[0].layers
    tree = tmp_path / "with-vi"
    kept = Path(os.environ["PROCCHI_HOME"], "eggs", "layers", *layer.split(":"), "tree")
    subprocess.run(["cp", "-a", kept, tree], check=True)
    vi = Path("/usr/bin/vim.tiny")
    shutil.copy(vi, tree / "usr/bin/vi")
    needed = subprocess.run(["ldd", vi], capture_output=True, text=True, check=True).stdout
    for word in needed.split():
        if word.startswith("/") and not (tree / word[1:]).exists():
            (tree / word[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(word, tree / word[1:])
    terminfo = tree / "usr/lib/terminfo/x"
    terminfo.mkdir(parents=True, exist_ok=True)
    shutil.copy("/lib/terminfo/x/xterm-256color", terminfo)
    return engine.pull(str(tree), name="with-vi").name


def test_a_shell_an_editor_and_a_way_out(an_egg_with_vi: str, terminal: Terminal) -> None:
    engine.hatch("moka", an_egg_with_vi)
    terminal.run(session())
    terminal.until("▸ moka")
    terminal.press("t")
    terminal.until("moka: a shell inside", "#")

    terminal.type("hostname; stty size; trap 'echo caught' INT; sleep 99")
    terminal.press("Enter")
    terminal.until("moka", "38 120")
    terminal.press("C-c")
    terminal.until("caught")
    terminal.resize(80, 24)
    terminal.type("until stty size | grep '22 80'; do sleep 0.1; done; echo smal''ler")
    terminal.press("Enter")
    terminal.until("smaller")

    terminal.type("vi -N -u NONE /tmp/note")
    terminal.press("Enter")
    terminal.until("[New", without="smaller")
    terminal.press("i")
    terminal.type("q is no way out of here, nor is ?")
    terminal.press("Enter", "Up", "Escape")
    terminal.until("q is no way out", without="INSERT")
    terminal.type(":wq")
    terminal.press("Enter")
    terminal.until("smaller", "#", without="~")  # what the editor covered
    assert engine.feed("moka", ["cat", "/tmp/note"]).stdout == (
        b"q is no way out of here, nor is ?\n\n"
    )

    terminal.press("C-d")
    terminal.until("ended with status", "▸ moka")
    terminal.press("t")
    terminal.until("moka: a shell inside", "#")
    terminal.type("echo $$ > /tmp/shell; echo read''y; sleep 99")
    terminal.press("Enter")
    terminal.until("ready")
    inside = int(engine.feed("moka", ["cat", "/tmp/shell"]).stdout)
    shells = [one.pid for one in engine.xray("moka").processes if one.inside == inside]
    assert [lives(pid) for pid in shells] == [True]
    terminal.press("C-q")
    terminal.until("hung up on moka", "▸ moka")
    eventually(lambda: not lives(shells[0]), "the shell ends with its terminal")


def test_the_pet_dies_while_it_is_talked_to(nest: None, terminal: Terminal) -> None:
    engine.hatch("moka")
    terminal.run(session())
    terminal.until("▸ moka")
    terminal.press("t")
    terminal.until("moka: a shell inside", "#")
    engine.release("moka")
    terminal.until("ended with status 137", "The nest is empty.")
