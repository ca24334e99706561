from __future__ import annotations

import re
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import moods
from engine.cgroups.none import NoCgroups
from engine.model import Limits, Mood, Readings, Status, now
from engine.nest.dweller import Dweller
from engine.nest.records import Record

FILES = {
    "memory": "memory.current",
    "cpu_usec": "cpu.stat usage_usec",
    "throttled": "cpu.stat nr_throttled",
    "pids": "pids.current",
    "forks_refused": "pids.events max",
    "oom_kills": "memory.events oom_kill",
    "asleep": "cgroup.freeze 1",
    "memory_cache": "memory.stat inactive_file",
    "memory_pressure": "memory.pressure some avg10",
}
LIMITS = Limits(memory=100_000_000, cpu=0.5, pids=20)
MEGA = 1_000_000
CALM = Readings(
    at=0.0,
    memory=10 * MEGA,
    memory_peak=10 * MEGA,
    cpu_usec=0,
    periods=0,
    throttled=0,
    throttled_usec=0,
    pids=1,
    forks_refused=0,
    oom_kills=0,
)


def after(seconds: float, **changed: int | None) -> Readings:
    return CALM._replace(at=seconds, **changed)


def judge(
    *history: Readings,
    status: Status = "alive",
    limits: Limits = LIMITS,
    before: str | None = None,
) -> Mood:
    return moods.judge(status, limits, FILES, history, Mood(before, "") if before else None)


TABLE: Sequence[tuple[str, str, list[Readings]]] = [
    (
        "sick",
        "killed for want of memory; memory.events oom_kill +2 in the last 5.0 s",
        [CALM, after(5, oom_kills=2)],
    ),
    (
        "sick",
        "killed for want of memory; memory.events oom_kill 1 since it hatched",
        [after(5, oom_kills=1)],
    ),
    (
        "panicked",
        "a fork was refused; pids.events max +7 in the last 5.0 s",
        [CALM, after(5, forks_refused=7)],
    ),
    ("choking", "memory.current 99000000, 99 % of 95M", [after(5, memory=99 * MEGA)]),
    ("queasy", "memory.current 91000000, 91 % of 95M", [after(5, memory=91 * MEGA)]),
    ("full", "memory.current 75000000, 75 % of 95M", [after(5, memory=75 * MEGA)]),
    (
        "queasy",
        "memory.current 99000000 less memory.stat inactive_file 8000000, 91 % of 95M",
        [after(5, memory=99 * MEGA, memory_cache=8 * MEGA)],
    ),
    (
        "happy",
        "memory.current 99000000 less memory.stat inactive_file 60000000, 39 % of 95M; "
        "pids.current 1 of 20",
        [after(5, memory=99 * MEGA, memory_cache=60 * MEGA)],
    ),
    (
        "choking",
        "it waits for memory; memory.pressure some avg10=23.45; memory.current 70000000, "
        "70 % of 95M",
        [after(5, memory=70 * MEGA)._replace(memory_pressure=23.45)],
    ),
    ("crowded", "pids.current 17 of 20", [after(5, pids=17)]),
    (
        "tired",
        "throttled in 43 % of 48 periods in the last 5.0 s; cpu.stat nr_throttled +21",
        [CALM, after(5, periods=48, throttled=21)],
    ),
    (
        "busy",
        "used 0.40 of its 0.5 CPUs; cpu.stat usage_usec +2000000 µs in the last 5.0 s",
        [CALM, after(5, cpu_usec=2 * MEGA)],
    ),
    (
        "hungry",
        "idle; cpu.stat usage_usec +499 µs in the last 60 s",
        [CALM, after(60, cpu_usec=499)],
    ),
    ("happy", "memory.current 10000000, 10 % of 95M; pids.current 1 of 20", [CALM]),
]


@pytest.mark.parametrize(("name", "reason", "history"), TABLE)
def test_each_mood_has_its_number_and_its_file(
    name: str, reason: str, history: list[Readings]
) -> None:
    assert judge(*history) == Mood(name, reason)


def test_a_ghost_and_a_sleeper_need_no_readings() -> None:
    assert judge(status="ghost") == Mood("ghost", "its PID 1 has ended")
    assert judge(status="asleep") == Mood("asleep", "frozen; cgroup.freeze 1")


def test_what_the_kernel_does_not_give_is_not_claimed() -> None:
    assert judge(Readings(at=0.0), Readings(at=100.0)) == Mood(
        "happy", "the kernel gives no readings here"
    )


def test_unlimited_pets_are_busy_by_the_core_and_never_full() -> None:
    free = Limits(memory=None, cpu=None, pids=None)
    working = judge(CALM, after(5, cpu_usec=4 * MEGA), limits=free)
    assert working.name == "busy"
    assert working.reason.startswith("used 0.80 CPUs; ")
    assert judge(after(0, memory=1 << 40, pids=9999), limits=free) == Mood(
        "happy", f"memory.current {1 << 40}; pids.current 9999"
    )


def test_bad_news_is_forgotten_after_a_while() -> None:
    history = [after(second, oom_kills=1 if second >= 10 else 0) for second in range(60)]
    names = [judge(*history[: second + 1]).name for second in range(60)]
    assert names[:10] == ["happy"] * 10
    assert names[10:41] == ["sick"] * 31
    assert names[41:] == ["happy"] * 19


def test_one_small_meal_stills_the_hunger_for_a_minute() -> None:
    history = [after(second, cpu_usec=2000 if second >= 90 else 0) for second in range(160)]
    names = [judge(*history[: second + 1]).name for second in range(160)]
    assert names.index("hungry") == 60
    assert names[60:90] == ["hungry"] * 30
    assert names[90:151] == ["happy"] * 61
    assert names[151] == "hungry"


def test_a_rate_over_a_moment_is_no_mood() -> None:
    assert judge(CALM, after(0.25, cpu_usec=200_000, periods=2, throttled=2)).name == "happy"


def test_the_rate_is_of_the_last_seconds_only() -> None:
    idle_since = [after(second, cpu_usec=min(second, 10) * 500_000) for second in range(17)]
    assert judge(*idle_since[:11]).name == "busy"
    assert judge(*idle_since).name == "happy"


counters = st.none() | st.integers(0, 2**63)
readings = st.builds(
    Readings,
    at=st.floats(0, 1e9, allow_nan=False),
    **dict.fromkeys(Readings._fields[1:], counters),
)
limits = st.builds(
    Limits,
    memory=st.none() | st.integers(4 << 20, 2**62),
    cpu=st.none() | st.floats(0.001, 1024),
    pids=st.none() | st.integers(1, 1 << 22),
)
histories = st.lists(readings, max_size=20).map(lambda all_: sorted(all_, key=lambda r: r.at))
statuses = st.sampled_from(["alive", "asleep", "ghost"])
previous = st.none() | st.sampled_from([Mood(row.name, "") for row in moods.MOODS])


@given(statuses, limits, histories, previous)
def test_there_is_always_one_mood_and_always_the_same(
    status: Status, limits: Limits, history: list[Readings], before: Mood | None
) -> None:
    first = moods.judge(status, limits, FILES, history, before)
    assert first == moods.judge(status, limits, dict(FILES), tuple(history), before)
    assert first.reason
    assert "\n" not in first.reason
    assert first.name in {row.name for row in moods.MOODS}
    assert (first.name == "ghost") == (status == "ghost")
    assert (first.name == "asleep") == (status == "asleep")


@given(limits, histories, previous)
def test_the_numbers_in_a_reason_are_the_readings(
    limits: Limits, history: list[Readings], before: Mood | None
) -> None:
    reason = moods.judge("alive", limits, FILES, history, before).reason
    for field in ("memory", "pids"):
        if shown := re.search(rf"{re.escape(FILES[field])} (\d+)", reason):
            assert int(shown[1]) == getattr(history[-1], field)
    for field in ("oom_kills", "forks_refused", "throttled", "cpu_usec"):
        if grown := re.search(rf"{re.escape(FILES[field])} \+(\d+)", reason):
            now = getattr(history[-1], field)
            assert int(grown[1]) in {
                max(now - then, 0) for r in history if (then := getattr(r, field)) is not None
            }
    if share := re.search(r", (\d+) % of", reason):
        assert limits.memory and history[-1].memory is not None
        less = re.search(r" less memory.stat inactive_file (\d+)", reason)
        cache = int(less[1]) if less else 0
        assert cache in {0, history[-1].memory_cache, history[-1].memory}
        assert int(share[1]) == (history[-1].memory - cache) * 100 // limits.memory


@given(st.integers(0, 100 * MEGA), st.integers(0, 100 * MEGA), previous)
def test_files_that_are_only_cached_make_nobody_full(
    memory: int, cache: int, before: Mood | None
) -> None:
    reading = after(0, memory=memory, memory_cache=cache)
    mood = moods.judge("alive", LIMITS, FILES, [reading], before).name
    fills = memory - min(cache, memory) >= moods.DEFAULT.full.leave * 100 * MEGA
    assert fills or mood == "happy"


@given(st.integers(1, 200), st.integers(1, 2000), st.integers(0, 20))
def test_a_past_kept_in_short_gives_the_same_mood(still: int, steps: int, used: int) -> None:
    """Of a time in which nothing changed two readings are kept: nothing is judged otherwise."""
    whole = [after(second / 2, cpu_usec=0) for second in range(still)]
    whole += [after((still + n) / 2, cpu_usec=used * n * 1000) for n in range(steps % 60)]
    record = Record("moka", "home", (), now(), (), "moka", LIMITS, ())
    pet = Dweller(record, "", NoCgroups("its past is all that is asked for"))
    for reading in whole:
        pet.remember(reading)
    assert judge(*pet.history) == judge(*whole)


def _worsened(reading: Readings) -> dict[str, Readings]:
    """`reading`, five seconds later, with the cause of each mood added."""
    base = reading._replace(at=reading.at + 5)
    return {
        "sick": base._replace(oom_kills=(base.oom_kills or 0) + 1),
        "panicked": base._replace(forks_refused=(base.forks_refused or 0) + 1),
        "choking": base._replace(memory=LIMITS.memory),
        "queasy": base._replace(memory=92 * MEGA),
        "full": base._replace(memory=80 * MEGA),
        "crowded": base._replace(pids=LIMITS.pids),
        "tired": base._replace(periods=50, throttled=40),
        "busy": base._replace(cpu_usec=2 * MEGA),
    }


@given(st.data(), previous)
def test_the_most_pressing_of_several_causes_wins(data: st.DataObject, before: Mood | None) -> None:
    order = [row.name for row in moods.MOODS]
    worse = _worsened(CALM)
    causes = data.draw(st.lists(st.sampled_from(sorted(worse)), min_size=1, unique=True))
    causes.sort(key=order.index, reverse=True)  # the most pressing is written last
    after_all = CALM._replace(at=5)
    for cause in causes:
        changed = {
            field: value
            for field, value in worse[cause]._asdict().items()
            if value != getattr(CALM, field)
        }
        after_all = after_all._replace(**changed)
    assert moods.judge("alive", LIMITS, FILES, [CALM, after_all], before).name == causes[-1]


LADDER = {
    "choking": moods.DEFAULT.choking,
    "queasy": moods.DEFAULT.queasy,
    "full": moods.DEFAULT.full,
}


@given(st.sampled_from(sorted(LADDER)), st.lists(st.floats(0, 1), min_size=2, max_size=50))
def test_no_flicker_between_a_moods_two_thresholds(name: str, places: list[float]) -> None:
    band = LADDER[name]
    mood, seen = Mood("happy", ""), set()
    for second, place in enumerate([*places, 1.0, *places]):
        share = band.leave + (band.enter - band.leave) * place
        reading = after(second, memory=int(100 * MEGA * share) + 1)
        mood = moods.judge("alive", LIMITS, FILES, [reading], mood)
        seen.add(mood.name)
        if second >= len(places):  # it has been past the upper threshold once
            assert mood.name == name
    assert len(seen) <= 2


@given(st.integers(0, 10**12), st.integers(0, 10**6), st.integers(0, 10**12), st.integers(0, 10))
def test_nobody_grows_younger(cpu: int, meals: int, more_cpu: int, more_meals: int) -> None:
    ages = [name for name, _ in reversed(moods.STAGES)]
    earlier = ages.index(moods.stage(cpu, meals))
    assert ages.index(moods.stage(cpu + more_cpu, meals + more_meals)) >= earlier


def test_the_stages_of_a_life() -> None:
    assert moods.stage(None, 0) == "egg"
    assert moods.stage(5_000, 0) == "egg"
    assert moods.stage(5_000, 1) == "baby"
    assert moods.stage(50_000, 0) == "baby"
    assert moods.stage(None, 10) == "child"
    assert moods.stage(50_000_000, 10) == "grown"
    assert moods.stage(300_000_000, 0) == "elder"


def test_every_mood_that_hurts_has_a_remedy() -> None:
    assert all(moods.remedy(row.name) for row in moods.MOODS if row.name != "happy")
    assert moods.remedy("happy") == ""
    assert moods.remedy("a mood of a later version") == ""
