"""Moods: the kernel's numbers in, how a pet is and the number that says so out.

Pure functions over `engine.model`: nothing here reads a file, a clock or a socket, so the
same readings always give the same mood. The nest asks for every pet at every sampling, four
thousand times a second in a big nest, so a judgement stays within a few microseconds.

`MOODS` is the whole table, the most pressing mood first; the first that fits is the pet's. A
mood that has come stays until its number is clearly past the threshold again (`Band`), so
that a face does not flicker. A reading that the kernel does not give is None, and the moods
that need it are never claimed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from engine.model import Limits, Mood, Readings, Status, format_size


class Band(NamedTuple):
    """Two thresholds for one mood: where it begins, and where it ends once it is there."""

    enter: float
    leave: float


class Thresholds(NamedTuple):
    """Where the moods begin and end."""

    choking: Band = Band(0.98, 0.95)
    """Share of the memory limit in use, cached files that can be taken back aside."""
    pressure: Band = Band(20.0, 10.0)
    """Percent of ten seconds in which a task waited for memory: choking, too."""
    queasy: Band = Band(0.90, 0.87)
    """Share of the memory limit in use."""
    full: Band = Band(0.75, 0.70)
    """Share of the memory limit in use."""
    crowded: Band = Band(0.85, 0.75)
    """Share of the pids limit in use."""
    tired: Band = Band(0.25, 0.10)
    """Share of the quota periods in which the pet was stopped, within `window`."""
    tired_periods: int = 5
    """At least 1. Fewer periods than this within `window` say nothing about tiredness."""
    busy: Band = Band(0.60, 0.40)
    """Share of the CPU limit (of one core, where there is none) used within `window`."""
    hungry: Band = Band(500, 1000)
    """Microseconds of CPU within `hunger`: below the first it is idle, from the second on not.
    One meal, however small, costs more than both."""
    window: float = 5.0
    """Seconds over which rates are taken."""
    shortest: float = 0.9
    """Seconds, more than 0. A rate over less than this is noise, and no mood."""
    lately: float = 30.0
    """Seconds that an OOM kill or a refused fork is remembered."""
    hunger: float = 60.0
    """Seconds without a stir that make a pet hungry."""


DEFAULT = Thresholds()


class _Sight(NamedTuple):
    """What a judgement looks at."""

    status: Status
    limits: Limits
    files: Mapping[str, str]
    history: Sequence[Readings]
    now: Readings
    thresholds: Thresholds

    def file(self, reading: str) -> str:
        return self.files.get(reading, reading)

    def earlier(self, seconds: float) -> Readings:
        """The newest reading more than `seconds` old; the oldest one where none is."""
        # A tuple of one float compares with a reading by its first field, `at`, alone.
        at = self.now.at - seconds
        index = bisect_left(self.history, (at,))
        then = self.history[index - 1 if index else 0]
        if 0 < index < len(self.history) and then[1:] == self.history[index][1:]:
            return then._replace(at=at)  # nothing changed between the two, nor at that moment
        return then


# One function for each mood: the reason, or None where the mood does not fit. `held` tells that
# the pet was in this mood a moment ago.


def _ghost(sight: _Sight, held: bool) -> str | None:
    return "its PID 1 has ended" if sight.status == "ghost" else None


def _asleep(sight: _Sight, held: bool) -> str | None:
    if sight.status != "asleep":
        return None
    return f"frozen; {sight.files['asleep']}" if "asleep" in sight.files else "frozen"


def _choking(sight: _Sight, held: bool) -> str | None:
    waiting, memory = sight.now.memory_pressure, sight.now.memory
    if waiting is not None and waiting >= sight.thresholds.pressure[held] and memory is not None:
        seen = _memory_seen(sight, memory)
        return f"it waits for memory; {sight.file('memory_pressure')}={waiting:.2f}; {seen}"
    return _memory(sight, sight.thresholds.choking[held])


def _queasy(sight: _Sight, held: bool) -> str | None:
    return _memory(sight, sight.thresholds.queasy[held])


def _full(sight: _Sight, held: bool) -> str | None:
    return _memory(sight, sight.thresholds.full[held])


def _memory(sight: _Sight, share: float) -> str | None:
    memory, limit = sight.now.memory, sight.limits.memory
    if memory is None or limit is None or memory < share * limit:
        return None
    cache = _cache(sight, memory)
    return None if memory - cache < share * limit else _memory_seen(sight, memory, cache)


def _sick(sight: _Sight, held: bool) -> str | None:
    return _news(sight, "oom_kills", "killed for want of memory")


def _panicked(sight: _Sight, held: bool) -> str | None:
    return _news(sight, "forks_refused", "a fork was refused")


def _news(sight: _Sight, counter: str, said: str) -> str | None:
    count: int | None = getattr(sight.now, counter)
    if not count:
        return None
    if len(sight.history) == 1:  # nobody looked before: all of it is news
        return f"{said}; {sight.file(counter)} {count} since it hatched"
    then = sight.earlier(sight.thresholds.lately)
    growth = _growth(getattr(then, counter), count)
    if not growth:
        return None
    return f"{said}; {sight.file(counter)} +{growth} in the last {_span(then, sight.now)}"


def _crowded(sight: _Sight, held: bool) -> str | None:
    pids, limit = sight.now.pids, sight.limits.pids
    if pids is None or limit is None or pids < sight.thresholds.crowded[held] * limit:
        return None
    return _pids_seen(sight, pids)


def _tired(sight: _Sight, held: bool) -> str | None:
    then, now, wanted = sight.earlier(sight.thresholds.window), sight.now, sight.thresholds
    throttled = _growth(then.throttled, now.throttled)
    if not throttled or now.at - then.at < wanted.shortest:
        return None
    periods = _growth(then.periods, now.periods)
    if periods < wanted.tired_periods or throttled < wanted.tired[held] * periods:
        return None
    return (
        f"throttled in {throttled * 100 // periods} % of {periods} periods "
        f"in the last {_span(then, now)}; {sight.file('throttled')} +{throttled}"
    )


def _busy(sight: _Sight, held: bool) -> str | None:
    then, now = sight.earlier(sight.thresholds.window), sight.now
    used, span, limit = _growth(then.cpu_usec, now.cpu_usec), now.at - then.at, sight.limits.cpu
    if span < sight.thresholds.shortest:
        return None
    cores = used / span / 1e6
    if cores < sight.thresholds.busy[held] * (limit or 1.0):
        return None
    allowed = f"of its {limit:g} " if limit else ""
    return (
        f"used {cores:.2f} {allowed}CPUs; "
        f"{sight.file('cpu_usec')} +{used} µs in the last {_span(then, now)}"
    )


def _hungry(sight: _Sight, held: bool) -> str | None:
    then, now, wanted = sight.earlier(sight.thresholds.hunger), sight.now, sight.thresholds
    if then.cpu_usec is None or now.cpu_usec is None or now.at - then.at < wanted.hunger - 0.001:
        return None
    used = _growth(then.cpu_usec, now.cpu_usec)
    if used >= wanted.hungry[held]:
        return None
    return f"idle; {sight.file('cpu_usec')} +{used} µs in the last {_span(then, now)}"


def _happy(sight: _Sight, held: bool) -> str:
    memory, pids = sight.now.memory, sight.now.pids
    seen = [] if memory is None else [_memory_seen(sight, memory, _cache(sight, memory))]
    if pids is not None:
        seen.append(_pids_seen(sight, pids))
    return "; ".join(seen) or "the kernel gives no readings here"


def _cache(sight: _Sight, memory: int) -> int:
    """What of `memory` no mood minds: cached files, where they were asked for."""
    return min(sight.now.memory_cache or 0, memory)


def _memory_seen(sight: _Sight, memory: int, cache: int = 0) -> str:
    """`memory` with its file, `cache` set aside, and what share of the limit is left of it."""
    limit = sight.limits.memory
    less = f" less {sight.file('memory_cache')} {cache}" if cache else ""
    share = f", {(memory - cache) * 100 // limit} % of {format_size(limit)}" if limit else ""
    return f"{sight.file('memory')} {memory}{less}{share}"


def _pids_seen(sight: _Sight, pids: int) -> str:
    limit = sight.limits.pids
    return f"{sight.file('pids')} {pids} of {limit}" if limit else f"{sight.file('pids')} {pids}"


def _growth(then: int | None, now: int | None) -> int:
    """How much a counter grew; 0 where the kernel does not count."""
    return 0 if then is None or now is None else max(now - then, 0)


def _span(then: Readings, now: Readings) -> str:
    span = now.at - then.at
    return f"{span:.1f} s" if span < 10 else f"{span:.0f} s"


class Row(NamedTuple):
    """One mood of the table."""

    name: str
    when: str
    """What the kernel's numbers say then."""
    remedy: str
    """What a keeper can do about it; empty where nothing needs doing."""
    sign: Callable[[_Sight, bool], str | None]


MOODS: tuple[Row, ...] = (
    Row(
        "ghost",
        "its PID 1 has ended",
        "read its last words (procchi logs NAME), then let it go: procchi release NAME",
        _ghost,
    ),
    Row(
        "asleep",
        "its processes are frozen (cgroup.freeze; v1 freezer.state)",
        "wake it: procchi wake NAME",
        _asleep,
    ),
    Row(
        "sick",
        "the OOM killer struck lately (memory.events oom_kill)",
        "it wanted more memory than it may have: feed it less, or raise its memory limit",
        _sick,
    ),
    Row(
        "panicked",
        "the pids limit refused a fork lately (pids.events max)",
        "it has as many processes as it may, zombies included: end some, or raise its pids limit",
        _panicked,
    ),
    Row(
        "choking",
        "memory is at its limit, cached files aside, or its tasks wait for it (memory.pressure)",
        "end what eats its memory, or raise its memory limit",
        _choking,
    ),
    Row(
        "queasy",
        "memory is nearly at its limit",
        "little is left: end what eats its memory, or raise its memory limit",
        _queasy,
    ),
    Row("full", "much of its memory limit is in use", "nothing yet; watch its memory", _full),
    Row(
        "crowded",
        "nearly as many processes and threads as it may have (pids.current)",
        "end some of its processes, or raise its pids limit; zombies count, too",
        _crowded,
    ),
    Row(
        "tired",
        "stopped in many of its quota periods for having used them up (cpu.stat nr_throttled)",
        "let it finish, give it less to do, or raise its CPU limit",
        _tired,
    ),
    Row(
        "busy",
        "much of its CPU limit is in use (cpu.stat usage_usec)",
        "nothing: let it work",
        _busy,
    ),
    Row(
        "hungry",
        "it has hardly used the CPU for a long while (cpu.stat usage_usec)",
        "feed it a command: procchi feed NAME -- echo hi",
        _hungry,
    ),
    Row("happy", "none of the others", "", _happy),
)
"""Every mood, the most pressing first. The last one always fits."""

_REMEDIES = {row.name: row.remedy for row in MOODS}


def judge(
    status: Status,
    limits: Limits,
    files: Mapping[str, str],
    history: Sequence[Readings],
    before: Mood | None = None,
    *,
    thresholds: Thresholds = DEFAULT,
) -> Mood:
    """How a pet is, and why.

    `history` runs from the oldest reading to the newest; it may be short, and have gaps. A pet
    gets hungry only if it reaches back `thresholds.hunger` seconds. `before` is the mood that
    the pet was in at the judgement before this one.

    `files` says what each reading is called here, by its field's name: `memory` is
    "memory.current" or "memory.usage_in_bytes", `oom_kills` is "memory.events oom_kill", and
    so on. Its `asleep` names what says that a pet is frozen, "cgroup.freeze 1" say.
    """
    history = history or (Readings(at=0.0),)
    sight = _Sight(status, limits, files, history, history[-1], thresholds)
    held = before.name if before else ""
    for name, _, _, sign in MOODS:
        reason = sign(sight, name == held)
        if reason is not None:
            return Mood(name, reason)
    raise AssertionError("the last row of the table always fits")


def remedy(mood: str) -> str:
    """What a keeper can do about `mood`; empty where nothing needs doing, or nothing is known."""
    return _REMEDIES.get(mood, "")


STAGES = (("elder", 300.0), ("grown", 60.0), ("child", 10.0), ("baby", 0.05), ("egg", 0.0))
"""The stages of life, oldest first, and the experience at which each begins: seconds of CPU
time lived, and one for every meal eaten."""


def stage(cpu_usec: int | None, meals: int) -> str:
    """A pet's stage of life, from `cpu_usec` microseconds of CPU time and `meals` eaten."""
    experience = (cpu_usec or 0) / 1e6 + meals
    return next((name for name, begins in STAGES if experience >= begins), "egg")
