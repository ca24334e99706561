"""The pages about one pet: one file each, and a line and a key here."""

from __future__ import annotations

from procchi_tui.pages.body import Body
from procchi_tui.pages.care import Care
from procchi_tui.pages.cgroup import Cgroup
from procchi_tui.pages.events import Events
from procchi_tui.pages.files import Files
from procchi_tui.pages.log import Log
from procchi_tui.pages.meals import Meals
from procchi_tui.pages.mounts import Mounts
from procchi_tui.pages.namespaces import Namespaces
from procchi_tui.pages.network import Network
from procchi_tui.pages.page import Page, XRayPage
from procchi_tui.pages.privileges import Privileges
from procchi_tui.pages.processes import Processes

PAGES: dict[str, Page] = {
    page.id: page
    for page in (
        Body(),
        Namespaces(),
        Care(),
        Log(),
        Processes(),
        Cgroup(),
        Mounts(),
        Privileges(),
        Files(),
        Network(),
        Meals(),
        Events(),
    )
}
"""In the order of their keys."""
KEYS = dict(zip(PAGES, "1234567890mw", strict=True))
"""By page; `0` is the tenth, and what comes after it has a letter."""
XRAY = [page for page in PAGES.values() if isinstance(page, XRayPage)]
