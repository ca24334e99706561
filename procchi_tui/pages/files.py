"""What a pet has open."""

from __future__ import annotations

from collections.abc import Iterable

from engine import XRay
from procchi_tui.pages.page import Block, XRayPage, unread


class Files(XRayPage):
    """Its open files, by process."""

    id = "files"
    title = "Files"
    about = "What its processes have open"

    def parts(self, xray: XRay) -> Iterable[Block]:
        """A block for each process."""
        for process in xray.processes:
            rows = [(str(file.fd), file.target) for file in xray.files if file.pid == process.pid]
            if rows:
                yield Block(
                    process.command,
                    f"0 is its input, 1 its output, 2 its complaints: /proc/{process.pid}/fd",
                    rows,
                )
        yield from unread(xray, "files", "processes")
