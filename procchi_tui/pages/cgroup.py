"""The control group of a pet, file by file."""

from __future__ import annotations

import os
from collections.abc import Iterable

from engine import XRay
from procchi_tui.pages.page import Block, XRayPage, unread


class Cgroup(XRayPage):
    """Its files, live."""

    id = "cgroup"
    title = "Cgroup"
    about = "The files of its control group, live"

    def parts(self, xray: XRay) -> Iterable[Block]:
        """A block for each directory."""
        places = dict.fromkeys(os.path.dirname(setting.path) for setting in xray.cgroup)
        for place in places:
            yield Block(
                place,
                "what cat(1) shows of each of these files",
                [
                    (setting.file, setting.value, setting.about)
                    for setting in xray.cgroup
                    if os.path.dirname(setting.path) == place
                ],
            )
        yield from unread(xray, "cgroup")
