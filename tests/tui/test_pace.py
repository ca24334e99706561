"""How fast a pull goes, as it is told."""

from __future__ import annotations

from engine import Progress
from engine.model import LayerProgress
from procchi_tui.pace import Pace

MIB = 1 << 20


def told(
    *noted: tuple[float, int], stage: str = "downloading", total: int | None = 30 * MIB
) -> str:
    pace = Pace()
    progress = Progress(stage, 0, total)
    for now, done in noted:
        progress = Progress(stage, done, total)
        pace.note(progress, now)
    return pace.words(progress)


def test_what_is_told() -> None:
    assert told((0, 0), total=None) == ""
    assert told((0, MIB)) == "1M of 30M"
    assert told((0, 0), (0.2, MIB)) == "1M of 30M", "nobody could tell yet"
    assert told((0, 0), (2, 6 * MIB)) == "6M of 30M, 3M/s, 8s left"
    assert told((0, 0), (2, 6 * MIB), total=None) == "6M, 3M/s"
    assert told((0, 0), (3, 12), stage="cooking", total=36) == "12 of 36, 6s left"


def test_a_line_that_stalls_is_seen_to_stall() -> None:
    steady = [(float(second), second * MIB) for second in range(5)]
    assert "1M/s" in told(*steady)
    stalled = steady + [(float(second), 4 * MIB) for second in range(5, 12)]
    assert told(*stalled) == "4M of 30M, 0B/s"


def test_another_stage_begins_anew() -> None:
    pace = Pace()
    pace.note(Progress("downloading", 0, 30), 0)
    pace.note(Progress("downloading", 30, 30), 5)
    pace.note(Progress("unpacking", 0, 30), 5.1)
    assert pace.rate is None


def test_what_was_kept_from_an_earlier_pull_is_no_pace() -> None:
    pace = Pace()

    def note(now: float, *layers: tuple[str, int]) -> str:
        states = [LayerProgress(str(n), *layer, 50 * MIB) for n, layer in enumerate(layers)]
        done = sum(layer.done for layer in states)
        progress = Progress("downloading", done, 150 * MIB, tuple(states))
        pace.note(progress, now)
        return pace.words(progress)

    note(0, ("waiting", 0), ("waiting", 0), ("waiting", 0))
    note(1, ("downloading", 25 * MIB), ("waiting", 0), ("here", 50 * MIB))
    assert note(2, ("downloading", 29 * MIB), ("downloading", 40 * MIB), ("here", 50 * MIB)) == (
        "119M of 150M, 2M/s, 16s left"
    )
