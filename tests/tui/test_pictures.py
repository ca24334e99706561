"""Pictures to keep: screenshots, plots, casts."""

from __future__ import annotations

import os
from pathlib import Path
from xml.etree import ElementTree

import pytest
from textual.widgets import Static

from procchi_tui import themes
from procchi_tui.drawing import plot
from procchi_tui.nursery import Sample
from procchi_tui.recording import Recording
from procchi_tui.screens.history import HistoryScreen
from tests.tui.conftest import face, seen, until
from tests.tui.fixed_nest import MIB, FixedNest, pet

SVG = "{http://www.w3.org/2000/svg}"
PAST = [Sample(10 * MIB, 0.0), Sample(None, None), Sample(25 * MIB, 0.25), Sample(60 * MIB, 0.5)]


def test_a_plot_in_characters() -> None:
    memory, cpu = plot.curves(PAST, 50 * MIB, 0.5)
    assert plot.columns(memory, 4, 2) == ["  ▁█".replace("▁", " "), "▃ ██"]
    assert plot.columns(cpu, 6, 1) == ["  ▁ ▄█"]
    unlimited, _ = plot.curves(PAST, None, None)
    assert (unlimited.top, unlimited.limited) == (60 * MIB, False)
    nothing, _ = plot.curves([], None, None)
    assert plot.columns(nothing, 3, 1) == ["   "]


@pytest.mark.parametrize("theme", ["procchi-day", "procchi-sixteen", "nord"])
def test_a_plot_as_a_picture(theme: str) -> None:
    drawn = plot.curves(PAST, 50 * MIB, None)
    picture = plot.svg("<moka> & co", "now", drawn, colours=themes.colours(theme))
    root = ElementTree.fromstring(picture)
    words = [text.text for text in root.iter(f"{SVG}text")]
    assert "<moka> & co" in words and "memory, limit 50M" in words and "3 s ago" in words
    assert "now" in words
    ended = plot.svg("kiko", "ghost", drawn, colours=themes.colours(theme), over=True)
    assert "3 s before<" in ended and "its end<" in ended and "now<" not in ended
    lines = [line.attrib["points"].split() for line in root.iter(f"{SVG}polyline")]
    assert [len(points) for points in lines] == [1, 2, 1, 2], "a gap is a gap"
    assert all(node.attrib.get("stroke", "#")[0] == "#" for node in root.iter())


async def test_the_plot_is_shown_and_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = tmp_path / "pictures"  # is made
    monkeypatch.setenv("XDG_DOWNLOAD_DIR", str(pictures))
    fixed = FixedNest([pet("moka")])
    app = face(fixed)
    async with app.run_test(size=(100, 40)) as pilot:
        await seen(pilot, fixed)
        await pilot.press("H")
        assert isinstance(app.screen, HistoryScreen)
        area = app.screen.query_one("#plot", Static)
        await until(pilot, lambda: "memory" in str(area.render()))
        assert "no reading here, 50M at most" in str(area.render())
        await pilot.press("s")
        await until(pilot, lambda: app._notifications)
        [saved] = pictures.iterdir()
        assert ElementTree.parse(saved).getroot().tag == f"{SVG}svg"
        assert [note.message for note in app._notifications] == [f"Saved as {saved}."]


async def test_a_screenshot_is_a_key_away_even_in_a_dialogue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = tmp_path / "pictures"  # is made
    monkeypatch.setenv("XDG_DOWNLOAD_DIR", str(pictures))
    fixed = FixedNest([pet("moka")])
    app = face(fixed)
    async with app.run_test(size=(100, 40)) as pilot:
        await seen(pilot, fixed)
        await pilot.press("n", "ctrl+s")
        await until(pilot, lambda: app._notifications)
        [saved] = pictures.iterdir()
        assert "Hatch" in saved.read_text()
        assert any(str(saved) in note.message for note in app._notifications)


# -- casts (a real one is in test_real_nest.py)


def test_a_cast_never_overwrites_anything(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.touch()
    with pytest.raises(FileExistsError):
        Recording(str(there), 80, 24)


def test_a_full_disk_ends_the_cast_and_not_the_session(tmp_path: Path) -> None:
    recording = Recording(str(tmp_path / "cast"), 80, 24)
    recording.output("a")
    assert recording._file is not None
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, recording._file.fileno())
    os.close(full)
    recording.output("b")
    assert recording.trouble == "No space left on device"
    recording.output("c")
    recording.close()
