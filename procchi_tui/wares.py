"""What the egg shop has: eggs at home, and those that the catalogue offers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from engine import Egg, Offer


class Ware(NamedTuple):
    """An egg at home, one that can be had, or both."""

    name: str
    egg: Egg | None = None
    offer: Offer | None = None

    @property
    def size(self) -> int | None:
        """Bytes: unpacked where it is at home, to fetch where it is not."""
        return self.egg.size if self.egg else self.offer.size if self.offer else None

    @property
    def about(self) -> str:
        """One sentence, or where it came from."""
        if self.offer and self.offer.about:
            return self.offer.about
        if self.name == "home":
            return "This machine's own shell and tools: no network needed."
        return f"From {self.egg.source}" if self.egg else self.offer.source if self.offer else ""

    def fits(self, words: str) -> bool:
        """Whether every one of `words` is found in its name, its sentence or its source."""
        sources = [one.source for one in (self.egg, self.offer) if one]
        text = " ".join((self.name, self.about, *sources)).casefold()
        return all(word in text for word in words.casefold().split())


def shelves(eggs: Sequence[Egg], offers: Sequence[Offer]) -> tuple[list[Ware], list[Ware]]:
    """The eggs at home, and what can be had besides. `home` can always be cooked."""
    by_name = {offer.name: offer for offer in offers}
    at_home = [Ware(egg.name, egg, by_name.get(egg.name)) for egg in eggs]
    here = {egg.name for egg in eggs}
    rest = [Ware(offer.name, None, offer) for offer in offers if offer.name not in here]
    if "home" not in here:
        rest.insert(0, Ware("home", None, Offer("home", "this machine")))
    return at_home, rest
