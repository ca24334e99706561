"""The one thread that follows the nest."""

from __future__ import annotations

from threading import Event as Flag
from threading import Lock, Thread

from textual.message_pump import MessagePump

from engine import NestUnreachable, ProcchiError, Snapshot
from procchi_tui.errands import post
from procchi_tui.messages import NestLost, NestNews, NestStatus
from procchi_tui.nest_engine import Engine, Watch
from procchi_tui.nursery import News

RETRY_SECONDS = 1.0


class Watcher:
    """Gathers what the nest tells until the screen has time for it.

    However fast the nest talks, one `NestNews` at most waits in the screen's queue, and
    `take()` then gives everything since the last one as a single change.
    """

    def __init__(self, engine: Engine, target: MessagePump, *, readings: float = 4.0) -> None:
        """Watch for `target`, with the kernel's numbers `readings` times a second."""
        self._engine = engine
        self._readings = readings
        self._target = target
        self._lock = Lock()
        self._news: News | None = None
        self._watch: Watch | None = None
        self._closed = Flag()
        self._thread = Thread(target=self._run, name="watcher", daemon=True)

    def start(self) -> None:
        """Begin to watch."""
        self._thread.start()

    def close(self) -> None:
        """Stop watching; safe from any thread, and twice."""
        self._closed.set()
        with self._lock:
            watch = self._watch
        if watch is not None:
            watch.close()

    def take(self) -> News | None:
        """Everything that happened since the last call."""
        with self._lock:
            news, self._news = self._news, None
        return news

    def _run(self) -> None:
        while not self._closed.is_set():
            reason = "it stopped"
            try:
                self._follow()
            except (ProcchiError, OSError) as error:
                reason = str(error)
            except Exception as error:  # such as a nest of another version: say so, and go on
                reason = f"it said something unexpected ({type(error).__name__}: {error})"
            if not self._closed.is_set():
                post(self._target, NestLost(reason))
                self._closed.wait(RETRY_SECONDS)

    def _follow(self) -> None:
        with self._engine.watch(readings=self._readings) as watch:
            with self._lock:
                self._watch = watch
            if self._closed.is_set():
                return
            post(self._target, self._status())
            fresh = True
            for item in watch:
                with self._lock:
                    waiting = self._news is not None
                    news = self._news = self._news or News()
                    if isinstance(item, Snapshot):
                        if fresh:
                            news = self._news = News(fresh=True, events=news.events)
                            fresh = False
                        news.add(item)
                    else:
                        news.events.append(item)
                if not waiting:
                    post(self._target, NestNews())

    def _status(self) -> NestStatus:
        status = self._engine.nest_status()
        if "cgroup" not in status:
            raise NestUnreachable("it stopped")
        cgroup = status["cgroup"]
        return NestStatus(cgroup["kind"], tuple(cgroup["enforced"]), cgroup["why"], status["pid"])
