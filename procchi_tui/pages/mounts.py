"""What a pet sees where."""

from __future__ import annotations

from collections.abc import Iterable

from engine import XRay
from procchi_tui.pages.page import Block, XRayPage, unread


class Mounts(XRayPage):
    """Its mounts, in the order in which they were made."""

    id = "mounts"
    title = "Mounts"
    about = "Its file systems: which is where, and what may not be done there"

    def parts(self, xray: XRay) -> Iterable[Block]:
        """One line a mount."""
        yield Block(
            "mounts",
            f"later ones cover earlier ones: /proc/{xray.pid}/mountinfo",
            [
                (
                    mount.target,
                    mount.kind,
                    "" if mount.root == "/" else mount.root,
                    mount.options,
                )
                for mount in xray.mounts
            ],
            ("where", "type", "part of it", "options"),
        )
        yield from unread(xray, "mounts")
