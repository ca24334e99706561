"""Make the pictures of the README: the real session, on a real nest of real pets.

    ./run python docs/screenshots.py [NAME...]

Hatches pets in a nest of its own, lets them live until each mood is there, and saves what the
session draws as SVG beside this file. As root, so that limits are enforced.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.pilot import Pilot

import engine
from procchi_tui.app import ProcchiApp
from procchi_tui.config import Config
from procchi_tui.places import state_directory
from procchi_tui.remembered import Remembered

HERE = Path(__file__).parent
SETTLED_SECONDS = 60
PATIENCE_SECONDS = 60

HOG = "dd if=/dev/zero of=/dev/null bs=200M count=1"
BOMB = "bomb() { bomb & wait; }; bomb"
SPIN = "while :; do :; done"
WAVES = "while :; do timeout 2 sh -c 'while :; do :; done'; sleep 2; done"
FILL = "head -c 11M /dev/zero > /dev/shm/food; head -c {} /dev/zero > /tmp/food; exec sh"
"""Both count as memory, and each holds half of what the pet may have at most."""
CROWD = "for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; exec sh"


def hatch_all() -> None:
    """One pet of each kind that there is to see."""
    limits = engine.Limits
    small = limits(memory="24M")
    engine.hatch("moka")
    engine.hatch("pico")
    engine.hatch("luma", limits=limits(cpu=0.3), command=["sh", "-c", SPIN])
    engine.hatch("nori", limits=small, command=["sh", "-c", FILL.format("10700K")])
    engine.hatch("suki", limits=limits(pids=12))
    engine.hatch("kiko", limits=limits(cpu=0.8), command=["sh", "-c", f"{WAVES} & exec sh"])
    engine.hatch("momo", limits=small, command=["sh", "-c", FILL.format("7500K")])
    engine.hatch("yuki", limits=limits(memory="30M"), command=["tail", "/dev/zero"])
    engine.hatch("tama", limits=limits(pids=10), command=["sh", "-c", CROWD])
    engine.sleep("pico")


def trouble() -> None:
    """What passes soon: an OOM kill, refused forks."""
    engine.feed("moka", ["hostname"])
    engine.feed("kiko", ["sh", "-c", HOG])
    engine.write("suki", f"{BOMB}\n".encode())


Scene = Callable[[Pilot[None]], Awaitable[None]]


async def until(pilot: Pilot[None], words: str) -> None:
    """Let the session run until `words` are on the screen."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while words not in shown(pilot):
        if time.monotonic() > deadline:
            sys.exit(f"never seen: {words}\n{shown(pilot)}")
        await pilot.pause(0.1)


def shown(pilot: Pilot[None]) -> str:
    """The characters on the screen."""
    app = pilot.app
    text = re.sub(r"<style>.*?</style>", "", app.export_screenshot(), flags=re.DOTALL)
    return re.sub(r"<[^>]*>", "", text).replace("&#160;", " ")


async def nest(pilot: Pilot[None]) -> None:
    """Nothing but the nest."""


async def meal(pilot: Pilot[None]) -> None:
    """A pet that is fed too much."""
    await pilot.press("home", "f")
    for line, words in (("ps -ef", "exit status 0"), (HOG, "ate more memory")):
        await pilot.press(*line, "enter")
        await until(pilot, words)


async def talk(pilot: Pilot[None]) -> None:
    """A shell in a pet, and what it can see of this machine."""
    await pilot.press("home", "t")
    await until(pilot, "Hang up")
    for line in ("id; hostname", "ps -ef", "ls /"):
        await pilot.press(*line, "enter")
        await pilot.pause(1)


async def xray(pilot: Pilot[None]) -> None:
    """One pet's namespaces beside the host's."""
    await pilot.press("home", "enter", "2")
    await until(pilot, "what it keeps apart")


async def graveyard(pilot: Pilot[None]) -> None:
    """How the ghosts died."""
    await pilot.press("g")
    await until(pilot, "Release all")


async def events(pilot: Pilot[None]) -> None:
    """What has happened."""
    await pilot.press("v")
    await until(pilot, "Pause")


async def shop(pilot: Pilot[None]) -> None:
    """Eggs at home, and those to be had."""
    await pilot.press("e")
    await until(pilot, "alpine")


async def tour(pilot: Pilot[None]) -> None:
    """The first steps; a pet is hatched, so this comes last."""
    await pilot.press("f2", "n")
    await until(pilot, "Hatch a pet")
    await pilot.press("enter", "enter")
    await until(pilot, "2 of 4")


async def care_log(pilot: Pilot[None]) -> None:
    """How a pet was made, system call by system call."""
    await pilot.press("home", "enter", "3")
    await until(pilot, "µs")


async def history(pilot: Pilot[None]) -> None:
    """The last two minutes of one."""
    await pilot.press("home", *["right"] * 5, "H")
    await until(pilot, "kiko: the last two minutes")


SCENES: dict[str, tuple[Scene, tuple[int, int], dict[str, object]]] = {
    "screenshot": (nest, (120, 36), {}),
    "day": (nest, (120, 36), {"theme": "procchi-day"}),
    "presenter": (nest, (160, 42), {"presenter": True}),
    "ascii": (nest, (120, 36), {"art": "ascii"}),
    "meal": (meal, (120, 36), {}),
    "care-log": (care_log, (120, 36), {}),
    "history": (history, (120, 36), {}),
    "talk": (talk, (120, 26), {}),
    "x-ray": (xray, (120, 26), {}),
    "graveyard": (graveyard, (120, 26), {}),
    "events": (events, (120, 26), {}),
    "shop": (shop, (120, 36), {}),
    "tour": (tour, (120, 36), {}),
}


async def take(name: str) -> None:
    """Run the session and save what it shows."""
    scene, size, settings = SCENES[name]
    app = ProcchiApp(config=Config(**settings))  # type: ignore[arg-type]
    async with app.run_test(size=size) as pilot:
        await until(pilot, "moka")
        await pilot.pause(SETTLED_SECONDS if scene is history else 10)
        trouble()
        await pilot.pause(3)
        await scene(pilot)
        app.clear_notifications()
        await pilot.pause(1)
        picture = app.export_screenshot(title="procchi-tui")
    # Nothing is fetched by whoever looks at it.
    picture = re.sub(r"\s*@font-face \{.*?\}", "", picture, flags=re.DOTALL)
    (HERE / f"{name}.svg").write_text(picture, encoding="utf-8")
    print(f"docs/{name}.svg")


def main() -> None:
    """Take those that are named, or all."""
    with tempfile.TemporaryDirectory(prefix="procchi-") as home:
        os.environ |= {"PROCCHI_HOME": home, "COLORTERM": "truecolor", "TERM": "xterm-256color"}
        Remembered(state_directory() / "remembered.json").note("tour", "done")
        try:
            hatch_all()
            time.sleep(SETTLED_SECONDS)
            for name in sys.argv[1:] or SCENES:
                asyncio.run(take(name))
        finally:
            for pet in engine.pets():
                engine.release(pet.name)
            engine.stop_nest()


if __name__ == "__main__":
    main()
