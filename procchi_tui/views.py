"""The views beside the nest: one file each under screens, and one line here."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple


class View(NamedTuple):
    """A screen that is one key away from every other."""

    id: str
    key: str
    title: str
    about: str
    """What its key does, for the palette and the help."""
    screen: str
    """Its module under `procchi_tui.screens` and its class; imported when it is first shown."""


_TABLE = (
    View("graves", "g", "Graveyard", "The ghosts: how they died", "graveyard.GraveyardScreen"),
    View("events", "v", "Events", "All that happened in this session", "events.EventsScreen"),
    View("shop", "e", "Egg shop", "Eggs (images) at home, and the catalogue", "shop.ShopScreen"),
    View("host", "i", "Host", "This machine, the nest, and what helps", "host.HostScreen"),
)
LOOK = View("look", "enter,x", "Look", "See one pet up close (inspect)", "look.LookScreen")
"""The one that is about the pet in hand, and comes up over the others."""
VIEWS = {view.id: view for view in _TABLE}


def screen_of(view: View) -> type:
    """The class of its screen."""
    module, _, name = view.screen.partition(".")
    screen: type = getattr(import_module(f"procchi_tui.screens.{module}"), name)
    return screen
