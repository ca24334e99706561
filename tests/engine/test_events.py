"""What happens to a pet is told at once, by the kernel's own notice where it gives one."""

from __future__ import annotations

import json
import os
import pathlib
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import engine
from engine import wire
from tests.conftest import eventually, kill_nest, nest_pid, said

EATER = "exec tail /dev/zero"
FORKER = "i=0; while [ $i -lt 20 ]; do sleep 5 & i=$((i+1)); done 2>/dev/null"


@contextmanager
def heard() -> Iterator[list[engine.Event]]:
    """All events from here on."""
    events: list[engine.Event] = []
    with engine.watch() as watch:

        def listen() -> None:
            events.extend(item for item in watch if isinstance(item, engine.Event))

        thread = threading.Thread(target=listen)
        thread.start()
        try:
            yield events
        finally:
            watch.close()
            thread.join()


def kinds(events: list[engine.Event], pet: str = "moka") -> list[str]:
    return [event.kind for event in events if event.pet == pet]


def moods(events: list[engine.Event]) -> list[str]:
    return [event.detail["mood"] for event in events if event.kind == "mood"]


def one(events: list[engine.Event], kind: str) -> engine.Event:
    eventually(lambda: kind in kinds(events), f"{kind} is told")
    return next(event for event in events if event.kind == kind)


def test_a_life_is_told_in_its_order(home: pathlib.Path) -> None:
    with heard() as events:
        engine.hatch("moka", limits=engine.Limits(cpu="unlimited"))  # a slow machine throttles soon
        assert said("moka", "echo hi") == "hi"
        engine.sleep("moka")
        engine.wake("moka")
        engine.diet("moka", pids=20)
        engine.release("moka")
        eventually(lambda: "released" in kinds(events), "its end is told")
    told = [kind for kind in kinds(events) if kind != "mood"]
    assert told == "hatched fed meal-over asleep awake diet died released".split()


def test_a_meal_that_eats_too_much_is_told_of(home: pathlib.Path) -> None:
    engine.hatch("moka", limits=engine.Limits(memory="20M"))
    with heard() as events:
        assert engine.feed("moka", ["sh", "-c", EATER]).oom_killed
        assert one(events, "oom").detail["kills"] >= 1
        eventually(lambda: "sick" in moods(events), "its mood is told")
        one(events, "meal-over")
        assert one(events, "limit").detail["limit"] == "memory"
    hits = engine.details("moka").facts.get("memory_limit_hits")
    assert hits is None or (hits.value or 0) > 0, "the limit was met"
    assert kinds(events).index("oom") < kinds(events).index("meal-over")


def test_refused_forks_are_told_of_and_no_more_than_now_and_then(home: pathlib.Path) -> None:
    engine.hatch("moka", limits=engine.Limits(pids=8))
    with heard() as events:
        engine.feed("moka", ["sh", "-c", FORKER])
        limit = one(events, "limit")
        assert limit.detail["limit"] == "pids" and limit.detail["times"] >= 1
        eventually(lambda: "panicked" in moods(events), "its mood is told")
    assert kinds(events).count("limit") < 10


def test_a_throttled_pet_is_told_of_once(home: pathlib.Path) -> None:
    engine.hatch("moka", limits=engine.Limits(cpu=0.05))
    with heard() as events:
        engine.feed("moka", ["timeout", "3", "sh", "-c", "while :; do :; done"])
        assert one(events, "throttled").detail["periods"] >= 1
    assert kinds(events).count("throttled") == 1


def test_what_happened_before_anybody_watched_is_no_news(home: pathlib.Path) -> None:
    engine.hatch("moka", limits=engine.Limits(pids=8))
    engine.feed("moka", ["sh", "-c", FORKER])
    with heard() as events:
        engine.hatch("pico")
        eventually(lambda: "hatched" in kinds(events, "pico"), "something new is told")
    assert "limit" not in kinds(events)


def test_a_pet_that_was_stopped_before_anybody_watched_is_no_news(home: pathlib.Path) -> None:
    engine.hatch("moka", limits=engine.Limits(cpu=0.05))
    if not engine.look("moka").enforced:
        return
    files = {fact.file: fact.path for fact in engine.details("moka").facts.values()}
    stat = pathlib.Path(next(path for file, path in files.items() if file.startswith("cpu.stat")))
    engine.write("moka", "(timeout 6 sh -c 'while :; do :; done'; echo over)\n")
    log = home / "pets/moka/log"  # engine.log_path would look at the pet
    eventually(lambda: "over" in log.read_text(), "it has been busy")
    assert "nr_throttled 0" not in stat.read_text()

    def rests() -> bool:
        before = stat.read_text()
        time.sleep(0.5)
        return stat.read_text() == before

    eventually(rests, "it rests")
    with heard() as events:
        engine.hatch("pico")
        eventually(lambda: "hatched" in kinds(events, "pico"), "something new is told")
    assert "throttled" not in kinds(events)


def test_an_oom_kill_of_before_is_no_news_and_no_cause_of_death(home: pathlib.Path) -> None:
    """Whoever is released later was not killed for memory, and nobody needs to have watched."""
    engine.hatch("moka", limits=engine.Limits(memory="20M"))
    record = home / "pets" / "moka" / "pet.json"
    file = pathlib.Path(engine.details("moka").facts["oom_kills"].path)
    engine.write("moka", f"{EATER.removeprefix('exec ')} &\n")
    eventually(lambda: "oom_kill 1" in file.read_text(), "the OOM killer strikes")
    eventually(lambda: json.loads(record.read_text())["oom_kills"] == 1, "the nest has seen it")
    with heard() as events:
        engine.release("moka")
        died = one(events, "died")
    assert died.detail["cause"] == "killed by SIGKILL: released by its keeper"
    assert "oom" not in kinds(events)


def _is_there(pid: int) -> bool:
    return os.path.exists(f"/proc/{pid}")


def test_a_kill_of_the_keepers_is_no_oom_kill_even_right_after_one(home: pathlib.Path) -> None:
    engine.hatch("moka", limits=engine.Limits(memory="20M"))
    assert engine.feed("moka", ["sh", "-c", EATER]).oom_killed
    engine.signal("moka", signal.SIGKILL)
    eventually(lambda: engine.look("moka").epitaph, "it is dead")
    epitaph = engine.look("moka").epitaph
    assert epitaph and (epitaph.cause, epitaph.oom_killed) == ("killed by SIGKILL", False)


def test_what_a_new_nest_finds_is_told_to_who_watches_first(home: pathlib.Path) -> None:
    limits = engine.Limits(memory="20M")
    pids = {name: engine.hatch(name, limits=limits).pid or 0 for name in ("moka", "pico", "nano")}
    assert engine.feed("pico", ["sh", "-c", EATER]).oom_killed
    file = pathlib.Path(engine.details("nano").facts["oom_kills"].path)
    kill_nest()
    with open(home / "pets" / "nano" / "mouth", "w") as mouth:
        mouth.write(f"{EATER.removeprefix('exec ')} &\n")
    eventually(lambda: "oom_kill 1" in file.read_text(), "the OOM killer strikes")
    for name in ("pico", "nano"):
        os.kill(pids[name], signal.SIGKILL)
    eventually(lambda: not any(map(_is_there, (pids["pico"], pids["nano"]))), "they are dead")
    engine.start_nest()
    with heard() as events:
        one(events, "adopted")
        eventually(lambda: len(events) == 3, "all three are told of")
    assert sorted(event.kind for event in events) == ["adopted", "died", "died"]
    unseen = "died while no nest was there to see how"
    for name, cause in {
        "pico": unseen,
        "nano": f"{unseen}; the OOM killer had struck 1 times by then",
    }.items():
        epitaph = engine.look(name).epitaph
        assert epitaph and (epitaph.cause, epitaph.oom_killed) == (cause, False)
    with heard() as events:
        engine.sleep("moka")
        one(events, "asleep")
    assert "adopted" not in kinds(events), "it is told once"


def test_pets_that_are_gone_leave_nothing_to_ring(home: pathlib.Path) -> None:
    engine.hatch("moka")

    def bells() -> int:
        found = 0
        for link in list(pathlib.Path(f"/proc/{nest_pid()}/fd").iterdir()):
            with suppress(FileNotFoundError):  # closed meanwhile
                found += "[eventfd]" in str(link.readlink())
        return found

    with heard():
        engine.look("moka")
    assert bells() <= 1
    engine.release("moka")
    assert not bells()


def test_a_watcher_that_does_not_read_keeps_nobody_busy_and_misses_nothing(
    home: pathlib.Path,
) -> None:
    engine.hatch("moka")
    status = pathlib.Path(f"/proc/{nest_pid()}/status")

    def woken() -> int:
        return int(status.read_text().partition("\nvoluntary_ctxt_switches:")[2].split()[0])

    with wire.connect() as watcher:
        watcher.send({"op": "watch", "readings": None})
        for number in range(12):  # more than its socket holds
            engine.feed("moka", ["true", str(number), "x" * 100_000])
        before = woken()
        time.sleep(1)
        assert woken() - before < 50, "the nest tries again and again"
        fed = (said["detail"]["command"][1] for said in watcher if said.get("event") == "fed")
        assert [next(fed) for _ in range(12)] == [str(number) for number in range(12)]
