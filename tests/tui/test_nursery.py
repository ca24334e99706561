from __future__ import annotations

from dataclasses import replace

from engine import Event, Readings, Snapshot
from procchi_tui.nursery import HISTORY_SAMPLES, News, Nursery
from tests.tui.fixed_nest import NOW, pet


def news(*snapshots: Snapshot, fresh: bool = False) -> News:
    told = News(fresh=fresh)
    for snapshot in snapshots:
        told.add(snapshot)
    return told


def test_many_snapshots_become_one_change() -> None:
    told = news(
        Snapshot(1.0, (pet("moka"), pet("momo")), {}, {}, ()),
        Snapshot(1.25, (pet("moka", "busy"),), {"moka": Readings(1.25, 1)}, {}, ()),
        Snapshot(1.5, (), {"moka": Readings(1.5, 2)}, {}, ("momo",)),
    )
    nursery = Nursery()
    assert nursery.take(told)
    assert list(nursery.pets) == ["moka"]
    assert nursery.pets["moka"].mood == "busy"
    assert nursery.readings["moka"].memory == 2


def test_released_and_hatched_again_begins_anew() -> None:
    nursery = Nursery()
    nursery.take(news(Snapshot(1.0, (pet("moka"),), {}, {}, ()), fresh=True))
    nursery.take(news(Snapshot(2.0, (), {"moka": Readings(2.0, 9, cpu_usec=10)}, {}, ())))
    assert nursery.history("moka")
    again = news(
        Snapshot(2.1, (), {}, {}, ("moka",)), Snapshot(2.2, (pet("moka", pid=9),), {}, {}, ())
    )
    assert nursery.take(again)
    assert nursery.pets["moka"].pid == 9
    assert not nursery.history("moka")


def test_a_fresh_snapshot_is_the_whole_truth() -> None:
    nursery = Nursery()
    nursery.take(news(Snapshot(1.0, (pet("moka"), pet("momo")), {}, {}, ()), fresh=True))
    assert nursery.take(news(Snapshot(9.0, (pet("momo"),), {}, {}, ()), fresh=True))
    assert list(nursery.pets) == ["momo"]


def test_cores_come_from_the_counter_and_the_time() -> None:
    nursery = Nursery()
    nursery.take(news(Snapshot(1.0, (pet("moka"),), {"moka": Readings(1.0, cpu_usec=0)}, {}, ())))
    assert nursery.cores("moka") is None
    nursery.take(news(Snapshot(3.0, (), {"moka": Readings(3.0, cpu_usec=500_000)}, {}, ())))
    assert nursery.cores("moka") == 0.25
    nursery.take(news(Snapshot(4.0, (), {}, {}, ())))
    assert nursery.cores("moka") == 0.0


def test_a_past_ends_with_its_pet() -> None:
    nursery = Nursery()
    for at in (1.0, 2.0, 3.0):
        shown = {"moka": Readings(at, 5, cpu_usec=int(at) * 500_000)}
        nursery.take(news(Snapshot(at, (pet("moka"),), shown, {}, ())))
    assert len(nursery.history("moka")) == 2 and nursery.cores("moka") == 0.5
    nursery.take(news(Snapshot(4.0, (pet("moka", "ghost", status="ghost", pid=None),), {}, {}, ())))
    nursery.take(news(Snapshot(5.0, (), {}, {}, ())))
    assert len(nursery.history("moka")) == 2, "its last readings are nothing that it uses"
    assert nursery.cores("moka") is None


def test_history_is_bounded_and_a_sample_a_second() -> None:
    nursery = Nursery()
    for step in range(HISTORY_SAMPLES * 4 + 40):
        at = 1 + step / 4
        shown = {"moka": Readings(at, step, cpu_usec=step)}
        nursery.take(news(Snapshot(at, () if step else (pet("moka"),), shown, {}, ())))
    assert len(nursery.history("moka")) == HISTORY_SAMPLES


def test_order_is_that_of_birth() -> None:
    nursery = Nursery()
    young = pet("a", created_at=NOW)
    nursery.take(news(Snapshot(1.0, (young, pet("z")), {}, {}, ()), fresh=True))
    assert list(nursery.pets) == ["z", "a"]
    assert not nursery.take(news(Snapshot(2.0, (replace(young, mood="busy"),), {}, {}, ())))


def test_meals_are_counted() -> None:
    nursery = Nursery()
    for kind, left in (("fed", 1), ("fed", 2), ("meal-over", 1), ("meal-over", 0)):
        nursery.take(News(events=[Event(kind, "moka", NOW)]))
        assert nursery.eating.get("moka", 0) == left


def test_a_reason_may_change_while_the_mood_stays() -> None:
    nursery = Nursery()
    nursery.take(news(Snapshot(1.0, (pet("moka", reason="old"),), {}, {}, ())))
    nursery.take(news(Snapshot(2.0, (), {}, {"moka": "new"}, ())))
    assert nursery.reason("moka") == "new"
    later = news(
        Snapshot(3.0, (), {}, {"moka": "newer"}, ()),
        Snapshot(4.0, (pet("moka", "busy", reason="newest"),), {}, {}, ()),
    )
    nursery.take(later)
    assert nursery.reason("moka") == "newest"
