"""The walls around a pet."""

from __future__ import annotations

from collections.abc import Iterable

from engine import XRay
from procchi_tui.pages.page import Block, XRayPage, unread


class Namespaces(XRayPage):
    """Each namespace beside the host's, and who its users are."""

    id = "walls"
    title = "Namespaces"
    about = "Its walls and its ids, beside the host's"

    def parts(self, xray: XRay) -> Iterable[Block]:
        """Namespaces, then id maps."""
        yield Block(
            "namespaces",
            f"the inode number of each is its name: /proc/{xray.pid}/ns/*",
            [
                (
                    wall.kind,
                    _number(wall.inode),
                    _number(wall.host) if wall.own else "the same",
                    wall.about if wall.own else _no_wall(wall.inode, wall.about),
                )
                for wall in xray.namespaces
            ],
            ("kind", "its own", "host's", "what it keeps apart"),
        )
        for name, what in (("uid_map", "users"), ("gid_map", "groups")):
            yield Block(
                f"{what}, inside and outside",
                f"which id is which on the host: /proc/{xray.pid}/{name}",
                [
                    (_range(ids.inside, ids.length), _range(ids.outside, ids.length))
                    for ids in getattr(xray, name)
                ],
                ("in the pet", "on the host"),
            )
        yield from unread(xray, "namespaces", "uid_map", "gid_map")


def _number(inode: int | None) -> str:
    return "?" if inode is None else str(inode)


def _no_wall(inode: int | None, about: str) -> str:
    return "not to be seen from here" if inode is None else f"shared with the host: {about}"


def _range(first: int, count: int) -> str:
    return str(first) if count == 1 else f"{first} to {first + count - 1}"
