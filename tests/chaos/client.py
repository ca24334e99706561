"""One of those who keep the nest busy: `python -m tests.chaos.client NUMBER SEED JOURNAL`.

Does what its seed says until its standard input closes, or it is killed. Each wish is put down in
the journal before, and again after, with what came of it.
"""

from __future__ import annotations

import os
import random
import select
import sys
from typing import TextIO

import engine

MOST_PETS = 6
"""Of each client: then it releases one first."""
TOO_MUCH = "dd if=/dev/zero of=/dev/null bs=80M count=1"
"""More than any of the pets may have."""
EATEN = ("true", "exit 3", "ls /proc | wc -l", TOO_MUCH)
DIETS = ({"memory": "20M"}, {"memory": "60M", "pids": 30}, {"cpu": 0.1}, {"cpu": "unlimited"})


class Client:
    """Somebody with pets of their own, who sometimes cares for others'."""

    def __init__(self, number: int, seed: int, journal: TextIO) -> None:
        self._dice = random.Random(seed)
        self._journal = journal
        self._prefix = f"c{number}s{seed}"
        self._hatched = 0
        self._mine: list[str] = []

    def live(self) -> None:
        """Wish after wish."""
        while not select.select([0], [], [], self._dice.uniform(0, 0.05))[0]:
            wish = self._dice.choices(
                ["hatch", "feed", "diet", "sleep", "wake", "release", "look"], [4, 5, 2, 2, 3, 2, 2]
            )[0]
            if wish == "hatch" and len(self._mine) >= MOST_PETS:
                wish = "release"
            self._try(wish)

    def _try(self, wish: str) -> None:
        name = self._name(wish)
        if not name:
            return
        self._note("try", wish, name)
        try:
            self._do(wish, name)
        except engine.ProcchiError as error:
            self._note("refused", wish, name, type(error).__name__, str(error))
        else:
            self._note("did", wish, name)

    def _name(self, wish: str) -> str:
        if wish == "hatch":
            self._hatched += 1
            return f"{self._prefix}n{self._hatched}"
        others = []
        if wish not in ("release", "look") and self._dice.random() < 0.3:
            try:
                others = [pet.name for pet in engine.pets()]
            except engine.ProcchiError as error:
                self._note("refused", "pets", "-", type(error).__name__, str(error))
        among = sorted(others) or self._mine
        return self._dice.choice(among) if among else ""

    def _do(self, wish: str, name: str) -> None:
        match wish:
            case "hatch":
                engine.hatch(name, limits=engine.Limits(memory="30M", pids=20))
                self._mine.append(name)
            case "feed":
                meal = self._dice.choice(EATEN)
                if meal == TOO_MUCH:
                    self._note("gorges", name)
                engine.feed(name, ["sh", "-c", meal])
            case "diet":
                engine.diet(name, **self._dice.choice(DIETS))
            case "sleep":
                engine.sleep(name)
            case "wake":
                engine.wake(name)
            case "look":
                engine.look(name)
            case "release":
                engine.release(name)
                self._mine.remove(name)

    def _note(self, *words: str) -> None:
        self._journal.write("\t".join(words).replace("\n", " ") + "\n")
        self._journal.flush()


def main() -> None:
    number, seed, path = sys.argv[1:]
    with open(path, "a", encoding="utf-8") as journal:
        try:
            Client(int(number), int(seed), journal).live()
        except Exception as error:
            journal.write(f"traceback\t{type(error).__name__}: {error}\n")
            raise
    os._exit(0)


if __name__ == "__main__":
    main()
