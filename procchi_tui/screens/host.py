"""The machine, the nest, and what they lack."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine import Check
from procchi_tui.errands import send
from procchi_tui.messages import HostRead
from procchi_tui.pages.page import Block
from procchi_tui.screens.panel import PanelScreen
from procchi_tui.words import cores, size

READ_SECONDS = 5.0


class HostScreen(PanelScreen):
    """Gauges, the doctor's findings with their remedies, and how the nest is."""

    HELP = (
        "What this machine has for pets and what it lacks, each with what to do about it, as "
        "`procchi doctor` finds it; and the nest, the one process that keeps the pets."
    )
    _checks: tuple[Check, ...] | None = None
    _nest: Mapping[str, Any] | None = None
    _trouble = ""
    _reading = False

    def on_mount(self) -> None:
        """Ask the nest, again and again, and the doctor once."""
        self._read()
        self.set_interval(READ_SECONDS, self._read)

    def _read(self) -> None:
        engine, checks = self.session.engine, self._checks
        if self._reading or self.app.screen is not self:
            return

        def read() -> HostRead:
            found = checks or ()
            try:
                found = found or tuple(engine.doctor())
                return HostRead(found, engine.nest_status())
            except Exception as error:  # or nothing would be read any more
                return HostRead(found, {}, str(error) or type(error).__name__)

        self._reading = True
        send(self, read)

    def on_host_read(self, message: HostRead) -> None:
        """Show it."""
        self._reading = False
        self._checks, self._nest = message.checks, message.nest
        self._trouble = message.trouble
        self.show()

    def show_session(self) -> None:
        """The gauges too."""
        super().show_session()
        self._stale = True

    def blocks(self) -> Iterable[Block]:
        """The machine, the doctor, the nest."""
        host = self.session.facts.host
        if host is not None:
            yield Block(
                "this machine",
                "all pets share it: /proc/stat, /proc/meminfo, /proc/loadavg",
                [
                    ("CPU", f"{host.cpu:.0%} of all of them in use"),
                    ("memory", f"{size(host.memory)} of {size(host.memory_total)} in use"),
                    ("load", f"{host.load:.2f} tasks ran or waited, over the last minute"),
                ],
            )
        yield from _doctor(self._checks)
        if self._trouble:
            yield Block("the nest does not answer", self._trouble, [])
        elif self._nest is not None:
            yield Block(
                "the nest",
                "the one process that keeps your pets; they live on without it",
                list(_nest(self._nest)),
            )


def _doctor(checks: tuple[Check, ...] | None) -> Iterator[Block]:
    if checks is None:
        yield Block("doctor", "is looking…", [])
    elif checks:
        rows: list[tuple[str, ...]] = []
        for check in checks:
            rows.append(("ok" if check.ok else "--", check.name, check.found))
            if check.remedy:
                rows.append(("", "what helps", check.remedy))
        missing = sum(not check.ok for check in checks)
        told = f"{missing} missing, with what helps" if missing else "all is well"
        yield Block("doctor", told, rows)


def _nest(status: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for key in ("pid", "since", "pets", "home"):
        if key in status:
            yield key, str(status[key])
    cgroup = status.get("cgroup") or {}
    yield "cgroups", f"{cgroup.get('kind', '?')} {cgroup.get('why', '')}".strip()
    yield "enforced", ", ".join(cgroup.get("enforced", ())) or "nothing"
    ceiling = status.get("ceiling") or {}
    for key, shown in (("memory", size), ("cpu", cores), ("pids", str)):
        if ceiling.get(key) is not None:
            whether = "" if key in ceiling.get("enforced", ()) else " (not enforced here)"
            yield f"{key} for all", f"{shown(ceiling[key])} at most{whether}"
