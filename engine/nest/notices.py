"""Being told by the kernel that a file has changed, rather than looking at it again and again."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable

from engine.nest.loop import Callback, Loop
from engine.syswrap.notice import (
    IN,
    inotify_add_watch,
    inotify_init,
    inotify_rm_watch,
    notices,
)


class Notices:
    """One inotify(7) descriptor for the whole nest."""

    def __init__(self, loop: Loop, complain: Callable[[str], None]) -> None:
        self._fd, self._loop = -1, loop
        self._callbacks: dict[int, Callback] = {}
        try:
            self._fd = inotify_init()
        except OSError as error:  # fs.inotify.max_user_instances
            complain(f"changes of files will be looked for, not told: {error}")
            return
        loop.readable(self._fd, self._read)

    def watch(self, path: str, mask: IN, callback: Callback) -> int:
        """Call back when it happens to the file at `path`. Raises OSError, as for want of watches.

        One file has one watch: a second call for it takes the place of the first.
        """
        if self._fd == -1:
            raise OSError(errno.ENOSPC, "no inotify instance")
        watch = inotify_add_watch(self._fd, path, mask)
        self._callbacks[watch] = callback
        return watch

    def forget(self, watch: int) -> None:
        """Stop watching; one that has ended by itself does not mind."""
        self._callbacks.pop(watch, None)
        with contextlib.suppress(OSError):
            inotify_rm_watch(self._fd, watch)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 1 << 16)
        except BlockingIOError:
            return
        told = list(notices(data))
        rung = {notice.watch for notice in told}
        if -1 in rung:  # the queue was full: anything may have happened
            rung |= set(self._callbacks)
        for watch in rung:
            if callback := self._callbacks.get(watch):
                self._loop.call(callback)  # one that raises costs only itself
        for notice in told:
            if notice.mask & IN.IGNORED:  # that was its last: it had one, or its file is gone
                self._callbacks.pop(notice.watch, None)
