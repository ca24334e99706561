"""What a pet's root may do, and what it may not."""

from __future__ import annotations

from collections.abc import Iterable

from engine import XRay
from procchi_tui.pages.page import Block, XRayPage, unread

ABOUT = {
    "CHOWN": "give files to others",
    "DAC_OVERRIDE": "read and write any file of its own users",
    "DAC_READ_SEARCH": "read any file of its own users",
    "FOWNER": "treat any such file as its own",
    "FSETID": "keep set-user-ID bits",
    "KILL": "send signals to any process in it",
    "SETGID": "become another group",
    "SETUID": "become another user",
    "SETPCAP": "take capabilities out of the bounding set",
    "NET_BIND_SERVICE": "listen on ports below 1024",
    "NET_RAW": "send raw packets (ping)",
    "NET_ADMIN": "change its network devices",
    "SYS_ADMIN": "mount, and much else",
    "SYS_CHROOT": "chroot(2)",
    "SYS_PTRACE": "look into other processes",
    "MKNOD": "make device files (a user namespace forbids it still)",
    "AUDIT_WRITE": "write to the audit log",
    "SETFCAP": "give capabilities to files",
}
"""capabilities(7), in few words; in a user namespace they reach no further than that."""
SECCOMP = {
    "off": "every system call may be tried",
    "strict": "read, write and exit only",
    "filter": "a filter decides on each system call",
}


class Privileges(XRayPage):
    """Capabilities, no_new_privs and seccomp."""

    id = "privileges"
    title = "Privileges"
    about = "What its root may do: capabilities, no_new_privs, seccomp"

    def parts(self, xray: XRay) -> Iterable[Block]:
        """The rules first, then what they leave."""
        status = f"/proc/{xray.pid}/status"
        yield Block(
            "rules",
            f"hold for PID 1 and all that it starts: {status}",
            [
                (
                    "no_new_privs",
                    {True: "set", False: "not set", None: "?"}[xray.no_new_privs],
                    "no program gives more privileges than its caller has (set-user-ID)",
                ),
                ("seccomp", xray.seccomp or "?", SECCOMP.get(xray.seccomp or "", "")),
            ],
        )
        sets = xray.capabilities
        names = dict.fromkeys(cap for held in sets.values() for cap in held)
        yield Block(
            "capabilities of PID 1",
            f"root's power in pieces, each within its own walls: Cap* in {status}",
            [
                (
                    name,
                    *("●" if name in held else "·" for held in sets.values()),
                    ABOUT.get(name, ""),
                )
                for name in names
            ],
            ("may", *(name[:3] for name in sets), "what for"),
        )
        yield from unread(xray, "capabilities")
