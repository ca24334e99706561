"""The egg shop on fixed readings: found, pulled, watched, cancelled, hatched from, deleted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input, Select, Static

from engine import BadRequest, Egg, EggDetails, LayerProgress, Progress
from procchi_tui.app import ProcchiApp
from procchi_tui.facts import Pulling
from procchi_tui.nursery import News
from procchi_tui.screens.hatch import HatchScreen
from procchi_tui.screens.nest import NestScreen
from procchi_tui.screens.shop import RemoveScreen, Shelf, ShopScreen
from procchi_tui.wares import Ware, shelves
from tests.tui.conftest import face, until
from tests.tui.fixed_nest import MIB, NOW, OFFERS, FixedNest, a_nest_full

WEB = EggDetails(
    Egg(
        name="web",
        digest="sha256:" + "3f" * 32,
        size=62 * MIB,
        created_at=NOW - timedelta(hours=3),
        source="docker.io/library/nginx:alpine",
        layers=("sha256:" + "3f" * 32,),
        left_out={"device nodes": 2},
        config={
            "entrypoint": ["/docker-entrypoint.sh"],
            "command": ["nginx", "-g", "daemon off;"],
            "environment": {"NGINX_VERSION": "1.27", "PATH": "/usr/local/bin:/usr/bin"},
            "working_directory": "/srv",
            "user": "nginx",
            "stop_signal": "SIGQUIT",
        },
        pins={"platform": "linux/arm64"},
    ),
    parts=(("sha256:" + "ab" * 32, 3_600_000), ("sha256:" + "cd" * 32, 17_000_000)),
    entries=2210,
    pets=(),
)
PROGRESS = Progress(
    "downloading",
    12 * MIB,
    30 * MIB,
    (
        LayerProgress("sha256:" + "a1" * 32, "here", 3 * MIB, 3 * MIB),
        LayerProgress("sha256:" + "b2" * 32, "downloading", 9 * MIB, 20 * MIB),
        LayerProgress("sha256:" + "c3" * 32, "waiting", 0, 7 * MIB),
    ),
)


def stocked() -> FixedNest:
    nest = FixedNest(a_nest_full())
    nest.store = ["home", "debian", "web"]
    nest.egg_details = {"web": WEB}
    nest.known["moka"] = replace(nest.known["moka"], egg="web")
    return nest


async def enter(pilot: Pilot[None]) -> ShopScreen:
    """Through the door, and until there is something on the shelves."""
    app = pilot.app
    assert isinstance(app, ProcchiApp)
    await until(pilot, lambda: app.session.facts.cgroup and isinstance(app.screen, NestScreen))
    await pilot.press("e")
    await until(pilot, lambda: isinstance(app.screen, ShopScreen))
    shop = app.screen
    assert isinstance(shop, ShopScreen)
    await until(pilot, lambda: shop.query_one(Shelf).option_count and shop.ware())
    return shop


async def choose(pilot: Pilot[None], shop: ShopScreen, name: str) -> None:
    await pilot.press("slash", *name, "enter")
    await until(pilot, lambda: (ware := shop.ware()) and ware.name == name)


def names(shop: ShopScreen) -> list[str]:
    return [option.id.removeprefix("egg-") for option in shop.query_one(Shelf).options if option.id]


Script = Callable[[Pilot[None], ShopScreen, FixedNest], Awaitable[None]]


async def play(script: Script, nest: FixedNest | None = None) -> None:
    nest = nest or stocked()
    app = face(nest)
    async with app.run_test(size=(100, 30)) as pilot:
        await script(pilot, await enter(pilot), nest)


async def test_search_as_you_type() -> None:
    async def script(pilot: Pilot[None], shop: ShopScreen, nest: FixedNest) -> None:
        assert names(shop) == ["home", "debian", "web", "alpine", "busybox", "room"]
        await pilot.press("slash", *"small")
        await until(pilot, lambda: names(shop) == ["alpine", "busybox"])
        await pilot.press("e", "s", "t")
        await until(pilot, lambda: names(shop) == ["busybox"])
        await pilot.press("x")
        await until(pilot, lambda: names(shop) == [])
        assert "p pulls by reference" in str(shop.query_one("#told", Static).content)
        await pilot.press("escape")
        await until(pilot, lambda: len(names(shop)) == 6)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(pilot.app.screen, NestScreen))

    await play(script)


async def test_pulled_watched_cancelled_and_pulled_again() -> None:
    async def script(pilot: Pilot[None], shop: ShopScreen, nest: FixedNest) -> None:
        nest.pull_goes_on.clear()
        await choose(pilot, shop, "alpine")
        await pilot.press("enter")
        app = pilot.app
        assert isinstance(app, ProcchiApp)
        await until(pilot, lambda: any(pull.progress for pull in app.session.pulls.values()))
        row = shop.query_one(Shelf).get_option("egg-alpine").prompt
        assert "40%" in str(row)
        await pilot.press("enter")  # it is on its way: asked for once
        await pilot.press("ctrl+x")
        nest.pull_goes_on.set()
        await until(pilot, lambda: not app.session.pulls)
        assert "alpine" not in nest.store
        await pilot.press("enter")
        await until(pilot, lambda: (ware := shop.ware()) and ware.egg)
        assert nest.asked.count(("pull", "alpine", None)) == 2

    await play(script)


async def test_the_cursor_stays_on_its_egg_when_another_pull_ends() -> None:
    async def script(pilot: Pilot[None], shop: ShopScreen, nest: FixedNest) -> None:
        await pilot.press("slash", *"b", "enter")
        await until(pilot, lambda: (ware := shop.ware()) and ware.name == "busybox")
        await pilot.press("up")
        await until(pilot, lambda: (ware := shop.ware()) and ware.name != "busybox")
        other = shop.ware()
        shop.session.carer.pull("room", None)
        await until(pilot, lambda: "room" in nest.store and "room" in str(shop._at_home))
        assert other is not None and (ware := shop.ware()) and ware.name == other.name

    await play(script)


async def test_an_egg_at_home_is_hatched_from_and_pulled_again() -> None:
    async def script(pilot: Pilot[None], shop: ShopScreen, nest: FixedNest) -> None:
        await choose(pilot, shop, "web")
        await pilot.press("P")
        pinned = ("pull", WEB.egg.source, "web", "linux/arm64")
        await until(pilot, lambda: pinned in nest.asked)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(pilot.app.screen, HatchScreen))
        assert pilot.app.screen.query_one(Select).value == "web"

    await play(script)


async def test_deleted_after_a_question() -> None:
    async def script(pilot: Pilot[None], shop: ShopScreen, nest: FixedNest) -> None:
        await choose(pilot, shop, "debian")
        for answer, left in (("n", True), ("y", False)):
            await pilot.press("x")
            await until(pilot, lambda: isinstance(pilot.app.screen, RemoveScreen))
            await pilot.press(answer)
            await until(pilot, lambda: pilot.app.screen is shop)
            if left:
                assert "debian" in nest.store
        await until(pilot, lambda: "debian" not in nest.store and (w := shop.ware()) and not w.egg)

    await play(script)


async def test_an_egg_with_pets_is_not_deleted() -> None:
    async def script(pilot: Pilot[None], shop: ShopScreen, nest: FixedNest) -> None:
        await choose(pilot, shop, "web")
        await pilot.press("x")
        await until(pilot, lambda: pilot.app._notifications)
        assert "moka hatched from web" in next(iter(pilot.app._notifications)).message
        assert pilot.app.screen is shop and "web" in nest.store

    await play(script)


async def test_by_mouse() -> None:
    async def script(pilot: Pilot[None], shop: ShopScreen, nest: FixedNest) -> None:
        shelf = shop.query_one(Shelf)
        await pilot.click(Shelf, offset=(5, 5))
        await until(pilot, lambda: shelf.highlighted == 5)
        assert (ware := shop.ware()) and ware.name == "alpine"

    await play(script)


async def test_a_broken_catalogue_is_told_and_the_eggs_at_home_are_there() -> None:
    class Broken(FixedNest):
        def catalogue(self) -> Any:
            raise BadRequest("catalogue class.toml: is no TOML")

    async def script(pilot: Pilot[None], shop: ShopScreen, nest: FixedNest) -> None:
        assert names(shop) == ["home"]
        assert "is no TOML" in str(shop.query_one("#told", Static).content)

    await play(script, Broken())


async def test_an_egg_that_cannot_be_read_is_asked_for_once() -> None:
    class Unreadable(FixedNest):
        def egg(self, name: str) -> EggDetails:
            self._asked("egg", name)
            raise BadRequest(f"{name} cannot be read")

    async def script(pilot: Pilot[None], shop: ShopScreen, nest: FixedNest) -> None:
        nest.pull_goes_on.clear()
        await choose(pilot, shop, "home")
        await until(pilot, lambda: pilot.app._notifications)
        shop.session.carer.pull("alpine", None)
        await until(pilot, lambda: any(pull.progress for pull in shop.session.pulls.values()))
        for _ in range(5):
            shop.show_session()
            shop.news(News(), moved=True)
            await pilot.pause()
        nest.pull_goes_on.set()
        assert nest.asked.count(("egg", "home")) == 1

    await play(script, Unreadable(a_nest_full()))


def test_what_fits_and_what_can_always_be_cooked() -> None:
    ware = Ware("x", None, OFFERS[0])
    assert ware.fits("MIRROR small") and not ware.fits("large")
    at_home, rest = shelves([], OFFERS)
    assert not at_home and rest[0].name == "home"


@pytest.mark.parametrize("look", ["procchi-night", "procchi-day", "NO_COLOR"])
@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 60)], ids=lambda s: f"{s[0]}x{s[1]}")
def test_what_it_looks_like(
    snap_compare: Any, size: tuple[int, int], look: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if look == "NO_COLOR":
        monkeypatch.setenv("NO_COLOR", "1")
    app = face(stocked(), **({"theme": look} if look.startswith("procchi") else {}))

    async def prepare(pilot: Pilot[None]) -> None:
        shop = await enter(pilot)
        pull = Pulling("alpine", PROGRESS, rate=1.2 * MIB, left=15)
        app.session.pulls[1] = pull
        app.read_gauges()
        if look == "procchi-day":
            await pilot.press("down", "down", "down")
            await until(pilot, lambda: (ware := shop.ware()) and ware.name == "alpine")
        else:
            await pilot.press("down", "down")
            await until(pilot, lambda: "web" in shop._known)
        for prompt in shop.query(Input):
            prompt.cursor_blink = False
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=prepare)


async def test_what_there_is_no_room_for_on_a_shelf_is_seen_to_be_cut() -> None:
    async def script(pilot: Pilot[None], shop: ShopScreen, nest: FixedNest) -> None:
        await pilot.resize_terminal(60, 20)

        def shown() -> str:
            strips = pilot.app.screen._compositor.render_strips()
            return "\n".join(strip.text for strip in strips)

        await until(pilot, lambda: "The …" in shown() and "│  home" in shown())

    await play(script)
