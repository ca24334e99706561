"""Who lives in a pet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from engine import XRay
from procchi_tui.pages.page import Block, XRayPage, unread

STATES = {
    "R": "runs",
    "S": "sleeps",
    "D": "uninterruptible",
    "T": "stopped",
    "t": "traced",
    "Z": "zombie",
    "X": "dead",
    "I": "idle",
}
"""proc_pid_stat(5)."""
FROZEN = {("freezer.state", "FROZEN"), ("cgroup.freeze", "1")}
"""The state of one that is frozen is D on cgroup v1, S on v2, and says little."""


class Processes(XRayPage):
    """The tree of its processes."""

    id = "processes"
    title = "Processes"
    about = "Its processes as a tree, with both their pids"

    def parts(self, xray: XRay) -> Iterable[Block]:
        """The tree, then how its first process stands with the OOM killer."""
        states = STATES
        if FROZEN & {(setting.file, setting.value) for setting in xray.cgroup}:
            states = dict.fromkeys(STATES, "frozen") | {"Z": STATES["Z"]}
        yield Block(
            "processes",
            "one process, two numbers: NSpid in /proc/PID/status, and /proc/PID/cmdline",
            list(_tree(xray, states)),
            ("host pid", "inside", "state", "threads", "user", "command"),
        )
        if waited_for := Counter(other.parent for other in xray.processes if other.state == "Z"):
            yield Block(
                "zombies",
                "ended, but counted until their parent waits for them: wait(2)",
                [(f"of {parent}", str(count)) for parent, count in waited_for.items()],
            )
        yield Block(
            "when memory runs out on the host",
            f"who has the highest score dies first: /proc/{xray.pid}/oom_score",
            [
                ("score of PID 1", _told(xray.oom_score)),
                ("of that, by hand", _told(xray.oom_score_adj)),
            ],
        )
        yield from unread(xray, "processes", "oom_score", "oom_score_adj")


def _told(number: int | None) -> str:
    return "?" if number is None else str(number)


def _tree(xray: XRay, states: Mapping[str, str]) -> Iterator[tuple[str, ...]]:
    known = {process.pid for process in xray.processes}
    children: dict[int, list[int]] = {}
    by_pid = {process.pid: process for process in xray.processes}
    for process in xray.processes:
        parent = process.parent if process.parent in known and process.pid != xray.pid else 0
        children.setdefault(parent, []).append(process.pid)

    def rows(parent: int, lead: Sequence[str]) -> Iterator[tuple[str, ...]]:
        brood = children.get(parent, [])
        for pid in brood:
            process = by_pid[pid]
            last = pid == brood[-1]
            branch = "".join(lead) + ("└ " if last else "├ ") if parent else ""
            yield (
                str(pid),
                "?" if process.inside is None else str(process.inside),
                states.get(process.state, process.state),
                str(process.threads),
                str(process.uid),
                branch + process.command,
            )
            yield from rows(pid, [*lead, "  " if last else "│ "] if parent else lead)

    return rows(0, [])
