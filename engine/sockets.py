"""A network namespace by its files: interfaces, and who listens (proc_net(5))."""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Iterator

from engine.anatomy import Interface, Listener

WAITING = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
"""The state of a socket that waits for others: TCP_LISTEN, or an unconnected UDP socket."""
MOST_LISTENERS = 200


def interfaces(content: str) -> Iterator[Interface]:
    """The lines of proc_net_dev(5)."""
    for line in content.splitlines():
        name, colon, counters = line.partition(":")
        if colon:
            fields = counters.split()
            yield Interface(name.strip(), int(fields[0]), int(fields[8]))


def listeners(read: Callable[[str], str]) -> Iterator[Listener]:
    """Who waits for others, by /proc/PID/net/tcp and its kin. Raises OSError."""
    left = MOST_LISTENERS
    for protocol, state in WAITING.items():
        try:
            lines = read(f"net/{protocol}").splitlines()[1:]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        for line in lines:
            fields = line.split()
            if left and fields[3] == state:
                left -= 1
                yield Listener(protocol, *_address(fields[1]))


def _address(text: str) -> tuple[str, int]:
    """`0100007F:1F90` -> 127.0.0.1 and 8080: 32-bit words in the machine's own order."""
    words, _, port = text.partition(":")
    packed = b"".join(
        int(words[at : at + 8], 16).to_bytes(4, sys.byteorder) for at in range(0, len(words), 8)
    )
    family = socket.AF_INET if len(packed) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, packed), int(port, 16)
