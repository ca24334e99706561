"""How fast a pull goes, as it is told."""

from __future__ import annotations

from engine import Progress
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
    assert told((0, 0), (2, 6 * MIB)) == "6M of 30M, 3M/s, 8.0 s left"
    assert told((0, 0), (2, 6 * MIB), total=None) == "6M, 3M/s"
    assert told((0, 0), (3, 12), stage="cooking", total=36) == "12 of 36, 6.0 s left"


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
