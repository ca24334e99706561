"""Waiting for many things in one thread: descriptors that become ready, and moments."""

from __future__ import annotations

import heapq
import itertools
import os
import selectors
import signal
import socket
import time
import traceback
from collections.abc import Callable, Iterable

Callback = Callable[[], None]


class Timer:
    """A moment to come; `cancel` makes it pass unnoticed."""

    def __init__(self, callback: Callback) -> None:
        self.callback: Callback | None = callback

    def cancel(self) -> None:
        """Never call back."""
        self.callback = None


class Loop:
    """Calls back when something is ready, or when a moment has come."""

    def __init__(self, complain: Callable[[str], None]) -> None:
        self._selector = selectors.DefaultSelector()
        self._timers: list[tuple[float, int, Timer]] = []
        self._count = itertools.count()  # of two timers for one moment the earlier made is first
        self._running = True
        self._pid = os.getpid()
        self._complain = complain

    def readable(self, fd: int, callback: Callback) -> None:
        """Call back each time that `fd` can be read (a pidfd: when its process has ended)."""
        self._wait(fd, selectors.EVENT_READ, callback)

    def writable(self, fd: int, callback: Callback) -> None:
        """Call back once, when `fd` takes more to write."""
        self._wait(fd, selectors.EVENT_WRITE, callback)

    def _wait(self, fd: int, event: int, callback: Callback | None) -> None:
        """Have one callback for one event of `fd`; None is no more."""
        known = self._selector.get_map().get(fd)
        callbacks: dict[int, Callback] = {} if known is None else dict(known.data)
        if callback is not None:
            callbacks[event] = callback
        else:
            del callbacks[event]
        if known is None:
            self._selector.register(fd, sum(callbacks), callbacks)
        elif callbacks:
            self._selector.modify(fd, sum(callbacks), callbacks)
        else:
            self._selector.unregister(fd)

    def forget(self, fd: int) -> None:
        """Stop watching `fd`; not watching it is fine."""
        try:
            self._selector.unregister(fd)
        except KeyError:
            pass

    def when_ended(self, pid: int, done: Callable[[int], None]) -> None:
        """Call `done` with the wait status of the child `pid`, when it has ended."""
        pidfd = os.pidfd_open(pid)

        def ended() -> None:
            self.forget(pidfd)
            os.close(pidfd)
            _, status = os.waitpid(pid, 0)
            done(status)

        self.readable(pidfd, ended)

    def until(self, numbers: Iterable[signal.Signals]) -> None:
        """Stop at any of these signals, at once.

        A wait that a signal interrupts is taken up again (PEP 475), so the signal writes to a
        socket that is waited for.
        """
        near, far = socket.socketpair()
        near.setblocking(False)
        far.setblocking(False)
        self._signals = near, far  # kept, for they close themselves

        def swallow() -> None:
            near.recv(64)

        signal.set_wakeup_fd(far.fileno(), warn_on_full_buffer=False)
        self.readable(near.fileno(), swallow)
        for number in numbers:
            signal.signal(number, lambda *_: self.stop())

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
            for key, events in self._selector.select(self._patience()):
                for event, callback in key.data.items():
                    if event & events and self._is_due(key.fd, event, callback):
                        self.call(callback)
            now = time.monotonic()
            while self._timers and self._timers[0][0] <= now:
                _, _, timer = heapq.heappop(self._timers)
                if callback := timer.callback:
                    self.call(callback)

    def _is_due(self, fd: int, event: int, callback: Callback) -> bool:
        """Whether it is still waited for: one callback may have made another of its round vain."""
        known = self._selector.get_map().get(fd)
        if known is None or known.data.get(event) is not callback:
            return False
        if event == selectors.EVENT_WRITE:
            self._wait(fd, event, None)
        return True

    def _patience(self) -> float | None:
        """Seconds to the next timer that still matters."""
        while self._timers and self._timers[0][2].callback is None:
            heapq.heappop(self._timers)
        return max(0.0, self._timers[0][0] - time.monotonic()) if self._timers else None

    def call(self, callback: Callback) -> None:
        """Call it; what it raises is complained of."""
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
