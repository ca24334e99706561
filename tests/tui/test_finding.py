from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from engine import Limits, Readings
from procchi_tui.arrangement import ORDERS, Arrangement
from procchi_tui.finding import FilterMistake, Subject, parse
from procchi_tui.nursery import News, Nursery
from tests.tui.fixed_nest import MIB, NOW, a_nest_full, pet


def subject(name: str = "moka", mood: str = "happy", **different: Any) -> Subject:
    cores = different.pop("cores", 0.1)
    known = pet(name, mood, **different)
    return Subject(known, known.readings, cores, (NOW - known.created_at).total_seconds())


using = Readings(0.0, 42 * MIB, pids=12)


@pytest.mark.parametrize(
    "text",
    [
        "", "mo", "MOKA", "!ghost", "home", "egg:home", "egg=home", "mood:hap", "status:alive",
        "mem>80%", "mem>=84%", "mem>40M", "mem<1G", "memory>40m", "pids>10", "pids<50%", "pids=12",
        "cpu>0.05", "cpu>15%", "cpu<=.1", "meals>1", "age>5min", "age<1h", "age>=420s",
        "mo mem>80% !pids>60", "!mem<80%", "!!mo", "!egg:debian", "baby",
    ],
)  # fmt: skip
def test_what_matches(text: str) -> None:
    assert parse(text).matches(subject(readings=using))


@pytest.mark.parametrize(
    "text",
    [
        "momo", "!mo", "egg:hom3", "egg=hom", "mood:sick", "mem>85%", "mem>42M", "pids>12",
        "cpu>50%", "meals>2", "age>8min", "mo momo", "mo !home", "mood=hap",
    ],
)  # fmt: skip
def test_what_does_not_match(text: str) -> None:
    assert not parse(text).matches(subject(readings=using))


def test_what_is_not_known_is_not_compared() -> None:
    unread = subject(readings=None, cores=None, limits=Limits(None, None, None))
    unlimited = subject(readings=using, limits=Limits(None, None, None))
    for text in ("mem>0", "mem<1T", "cpu>=0", "pids<100", "mem<100%"):
        assert not parse(text).matches(unread), text
    for text in ("mem>1%", "cpu<100%", "pids>0%", "age>1%"):
        assert not parse(text).matches(unlimited), text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("mem>", "mem>80%"),
        ("mem>x", "mem>80%"),
        ("mem:80%", "mem>80%"),
        ("cpu>nan", "cpu>0.2"),
        ("pids>1e9", "pids>10"),
        ("age>5", "age>5min"),
        ("age>5weeks", "age>5min"),
        ("weight>3", "nothing of a pet is called 'weight'"),
        ("weight:3", "there are mem, cpu"),
        (">3", "nothing of a pet"),
        ("mood>sick", "mood:sick"),
        ("mood:", "mood:sick"),
        ("mo !", "!ghost"),
        ("mem>" + "9" * 400, "mem>80%"),
    ],
)
def test_what_means_nothing_is_answered_by_what_would(text: str, words: str) -> None:
    with pytest.raises(FilterMistake) as mistake:
        parse(text)
    assert words in str(mistake.value)


TERMS = st.text() | st.from_regex(r"!*(mem|cpu|pids|age|mood|x)(<=|>=|[<>:=])[0-9.%kMsmin]*")


@given(st.lists(TERMS, max_size=4).map(" ".join))
@example("mem>" + "9" * 5000)
@example("mem>²")
@example("\x1b[2Jmem>1")
def test_any_text_is_understood_or_refused_in_one_line(text: str) -> None:
    try:
        found = parse(text)
    except FilterMistake as mistake:
        line = str(mistake)
        assert line.isprintable() and 0 < len(line) < 160
        return
    assert found.matches(subject()) in (True, False)
    again = parse(found.text)
    assert again.text == found.text
    assert again.matches(subject()) == found.matches(subject())


@given(st.sampled_from(["mo", "mem>80%", "egg:home", "cpu>0.2", "pids<3"]))
def test_an_exclamation_mark_turns_a_term_round(term: str) -> None:
    for known in a_nest_full():
        it = Subject(known, known.readings, None, 60.0)
        assert parse(term).matches(it) is not parse(f"!{term}").matches(it)


def nursery() -> Nursery:
    known = Nursery()
    pets = a_nest_full()
    known.take(News(fresh=True, at=1.0, pets={one.name: one for one in pets}))
    later = {
        one.name: one.readings._replace(cpu_usec=(one.readings.cpu_usec or 0) + index * 10_000)
        for index, one in enumerate(pets)
        if one.readings
    }
    known.take(News(at=2.0, readings=later))
    return known


def names(arrangement: Arrangement) -> list[str]:
    return [name for _, names in arrangement.sections(nursery(), NOW) for name in names]


@pytest.mark.parametrize("order", ORDERS)
def test_orders_lose_nobody_and_turn_round(order: Any) -> None:
    everyone = set(nursery().pets)
    forth, back = names(Arrangement(order=order)), names(Arrangement(order=order, backwards=True))
    assert set(forth) == set(back) == everyone
    assert forth != back


def test_orders() -> None:
    assert names(Arrangement(order="name"))[:3] == ["kiko", "luma", "miso"]
    assert names(Arrangement(order="memory"))[:3] == ["umi", "nori", "luma"]
    assert names(Arrangement(order="cpu"))[0] == "umi"
    assert names(Arrangement(order="pids"))[0] == "miso"
    assert names(Arrangement(order="mood"))[0] == "umi"  # panicked: the one in trouble
    assert names(Arrangement(order="mood"))[-3:] == ["pico", "kiko", "suki"]
    assert names(Arrangement()) == list(nursery().pets)


def test_groups_have_a_heading_each_the_pressing_first() -> None:
    sections = Arrangement(grouping="mood", order="name").sections(nursery(), NOW)
    titles = [title for title, _ in sections]
    assert titles[0] == "panicked · 1 pet"
    assert titles.index("happy · 2 pets") > titles.index("queasy · 1 pet")
    assert sections[titles.index("happy · 2 pets")].names == ["moka", "yuzu"]
    known = nursery()
    known.take(News(pets={"debby": pet("debby", egg="debian", created_at=NOW + timedelta(1))}))
    by_egg = Arrangement(grouping="egg").sections(known, NOW)
    assert [title for title, _ in by_egg] == ["debian · 1 pet", "home · 12 pets"]


def test_only_what_matches_is_there() -> None:
    assert names(Arrangement(filter=parse("mood:happy"))) == ["moka", "yuzu"]
    assert Arrangement(filter=parse("nobody")).sections(nursery(), NOW) == []
