"""Two care logs held against each other, step by step and call by call."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from difflib import SequenceMatcher
from typing import TypeVar

from engine import StepReport
from procchi_tui.pages.page import Block
from procchi_tui.words import count

Part = TypeVar("Part")
OURS, THEIRS, BOTH = "<", ">", "="


def paired(
    ours: Sequence[Part], theirs: Sequence[Part], name: Callable[[Part], str]
) -> list[tuple[Part | None, Part | None]]:
    """Both in their own order, those of one name side by side; None where one has no such."""
    matcher = SequenceMatcher(None, [*map(name, ours)], [*map(name, theirs)], autojunk=False)
    pairs: list[tuple[Part | None, Part | None]] = []
    for kind, begin, end, other_begin, other_end in matcher.get_opcodes():
        if kind == "equal":
            pairs += zip(ours[begin:end], theirs[other_begin:other_end], strict=True)
        else:
            pairs += [(part, None) for part in ours[begin:end]]
            pairs += [(None, part) for part in theirs[other_begin:other_end]]
    return pairs


def compared(
    titles: tuple[str, str], ours: Sequence[StepReport], theirs: Sequence[StepReport]
) -> Iterable[Block]:
    """What both took, then a block for each step that either has. Times are microseconds."""
    steps = paired(ours, theirs, _name)
    gains = [right.usec - left.usec for left, right in steps if left and right]
    yield Block(
        f"{titles[0]}, beside {titles[1]}",
        f"µs of {OURS}, µs of {THEIRS}, how much more; steps and calls of one name side by side",
        [
            _total(OURS, titles[0], ours),
            _total(THEIRS, titles[1], theirs),
            (f"{BOTH} {count(len(gains), 'step')} in both: {sum(gains):+,.0f} µs",),
        ],
    )
    for number, (left, right) in enumerate(steps, 1):
        whys = dict.fromkeys(step.why for step in (left, right) if step is not None)
        yield Block(f"{number}. {_step(left, right)}", "  ".join(whys), list(_calls(left, right)))


def _name(step: StepReport) -> str:
    return step.name


def _total(mark: str, title: str, steps: Sequence[StepReport]) -> tuple[str, ...]:
    took = f"{sum(step.usec for step in steps):,.0f} µs"
    calls = sum(len(step.calls) for step in steps)
    return f"{mark} {title}", count(len(steps), "step"), count(calls, "system call"), took


def _step(left: StepReport | None, right: StepReport | None) -> str:
    if left is not None and right is not None:
        difference = right.usec - left.usec
        return f"{left.name}  {left.usec:.0f} µs, {right.usec:.0f} µs: {difference:+.0f} µs"
    if left is not None:
        return f"{left.name}  {left.usec:.0f} µs, only in {OURS}"
    assert right is not None
    return f"{right.name}  {right.usec:.0f} µs, only in {THEIRS}"


def _calls(left: StepReport | None, right: StepReport | None) -> Iterator[tuple[str, ...]]:
    pairs = paired(left.calls if left else (), right.calls if right else (), lambda call: call.name)
    for ours, theirs in pairs:
        if theirs is None:
            assert ours is not None
            yield f"{OURS} {ours.usec:>6.0f} {'':>6} {'':>6}", str(ours)
        elif ours is None:
            yield f"{THEIRS} {'':>6} {theirs.usec:>6.0f} {'':>6}", str(theirs)
        else:
            times = f"{ours.usec:>6.0f} {theirs.usec:>6.0f}"
            times += f" {theirs.usec - ours.usec:>+6.0f}"
            same = str(ours) == str(theirs)
            yield f"{BOTH if same else OURS} {times}", str(ours)
            if not same:
                yield f"{THEIRS} {' ' * len(times)}", str(theirs)
