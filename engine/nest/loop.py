"""Waiting for many things in one thread: descriptors that become readable, and moments."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import time
import traceback
from collections.abc import Callable

Callback = Callable[[], None]


class Timer:
    """A moment to come; `cancel` makes it pass unnoticed."""

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Never call back."""
        self.callback = None


class Loop:
    """Calls back when something is readable, or when a moment has come."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()  # of two timers for one moment the earlier made is first
        self._running = True
        self._pid = os.getpid()
        self._complain = complain

    def readable(self, fd: int, callback: Callback) -> None:
        """Call back each time that `fd` can be read (a pidfd: when its process has ended)."""
        self._selector.register(fd, selectors.EVENT_READ, callback)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`; not watching it is fine."""
        try:
            self._selector.unregister(fd)
        except KeyError:
            pass

    def later(self, seconds: float, callback: Callback) -> Timer:
        """Call back once, in `seconds`."""
        timer = Timer(callback)
        heapq.heappush(self._timers, (time.monotonic() + seconds, next(self._count), timer))
        return timer

    def stop(self) -> None:
        """Return from `run` after the callback at hand."""
        self._running = False

    def run(self) -> None:
        """Serve until `stop`. A callback that raises is complained of and costs only itself."""
        while self._running:
            for key, _ in self._selector.select(self._patience()):
                # One callback may have made another of the same round pointless.
                if self._selector.get_map().get(key.fd) is key:
                    self._call(key.data)
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                _, _, timer = heapq.heappop(self._timers)
                if callback := timer.callback:
                    self._call(callback)

    def _patience(self) -> float | None:
        """Seconds to the next timer that still matters."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def _call(self, callback: Callback) -> None:
        try:
            callback()
        except Exception:
            self._complain(traceback.format_exc())
        finally:
            if os.getpid() != self._pid:
                os._exit(70)  # a cloned child that went astray must not serve as a second nest


class Lines:
    """Reads a pipe line by line until its other end is closed."""

    def __init__(self, loop: Loop, pipe: int, line: Callable[[bytes], None], end: Callback) -> None:
        self._loop, self._pipe, self._line, self._end = loop, pipe, line, end
        self._buffer = b""
        os.set_blocking(pipe, False)
        loop.readable(pipe, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._pipe, 1 << 16)
        except BlockingIOError:
            return
        if not data:
            self._loop.forget(self._pipe)
            os.close(self._pipe)
            self._end()
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._line(line)
