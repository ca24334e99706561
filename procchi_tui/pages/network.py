"""How a pet is connected."""

from __future__ import annotations

from collections.abc import Iterable

from engine import XRay
from procchi_tui.pages.page import Block, XRayPage, unread
from procchi_tui.words import size


class Network(XRayPage):
    """Its interfaces, and who listens there."""

    id = "network"
    title = "Network"
    about = "Its network: interfaces, bytes, who listens"

    def parts(self, xray: XRay) -> Iterable[Block]:
        """Interfaces, then sockets."""
        own = any(wall.kind == "net" and wall.own for wall in xray.namespaces)
        whose = "its own" if own else "the host's"
        yield Block(
            "interfaces",
            f"{whose}, with bytes since they came: /proc/{xray.pid}/net/dev",
            [(port.name, size(port.received), size(port.sent)) for port in xray.interfaces],
            ("name", "received", "sent"),
        )
        yield Block(
            "who listens",
            f"sockets that wait for others: /proc/{xray.pid}/net/tcp, tcp6, udp, udp6",
            [(one.protocol, one.address, str(one.port)) for one in xray.listeners]
            or [("nobody", "", "")],
            ("protocol", "address", "port"),
        )
        yield from unread(xray, "interfaces", "listeners")
