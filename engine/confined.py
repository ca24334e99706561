"""Running our own code on somebody else's data, where it can do no harm.

An archive is hostile until proven otherwise, and so is a tree that a pet has written. Both are
handled by a forked child that has its own user, mount, pid, network and IPC namespaces, no
privilege on the host, and one directory as its whole world.
"""

from __future__ import annotations

import json
import os
import select
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from engine.errors import BY_KIND, ProcchiError
from engine.idmap import Child, IdMap, become_root, clone_mapped
from engine.syswrap import (
    CLONE,
    MNT,
    MS,
    PR,
    chroot,
    close_all_but,
    mount,
    pivot_root,
    prctl,
    umount2,
)

_NAMESPACES = CLONE.NEWNS | CLONE.NEWPID | CLONE.NEWNET | CLONE.NEWIPC | CLONE.NEWUTS


def run(work: Callable[[], Any], directory: str, idmap: IdMap, keep: tuple[int, ...] = ()) -> Any:
    """`work()`'s result, made in a confined child as `at_work` makes one."""
    with at_work(work, directory, idmap, keep) as helper:
        return helper.result()


@contextmanager
def at_work(
    work: Callable[[], Any], directory: str, idmap: IdMap, keep: tuple[int, ...] = ()
) -> Iterator[Helper]:
    """`work()` goes on while the block runs, in a confined child, and ends with it.

    The child's root is `directory`, which must belong to the map's root, or to the caller; it is
    the map's root there. `keep` are the descriptors that `work` uses; every other one above 2 is
    closed. What `work` needs must be imported before: no file of the host is there to import from.

    The caller may have other threads; the child has none of them.
    """
    result_end, report_end = os.pipe2(os.O_CLOEXEC)
    try:
        child = clone_mapped(_NAMESPACES, idmap)
        if child.pid == 0:
            _in_the_child(work, directory, idmap, report_end, keep)
    except BaseException:
        os.close(result_end)
        raise
    finally:
        os.close(report_end)
    try:
        yield Helper(child, result_end)
    finally:
        signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
        os.waitpid(child.pid, 0)
        os.close(child.pidfd)
        os.close(result_end)


class Helper:
    """A confined child at work."""

    def __init__(self, child: Child, report: int) -> None:
        self._child, self._report = child, report

    def has_ended(self) -> bool:
        """Whether `result` need not wait."""
        poll = select.poll()
        poll.register(self._report, select.POLLIN)
        return bool(poll.poll(0))

    def result(self) -> Any:
        """What its work came to, which travels as JSON.

        A ProcchiError that the work raised is raised here; anything else, a death by signal
        included, as ProcchiError.
        """
        with open(self._report, "rb", closefd=False) as file:
            report = file.read()
        if not report:
            ended = os.waitid(os.P_PIDFD, self._child.pidfd, os.WEXITED | os.WNOWAIT)
            raise ProcchiError(f"the confined helper ended with {_ending(ended)} and said nothing")
        answer = json.loads(report)
        if "error" in answer:
            raise BY_KIND.get(answer["kind"], ProcchiError)(answer["error"])
        return answer["result"]


def _ending(ended: os.waitid_result | None) -> str:
    assert ended is not None
    if ended.si_code == os.CLD_EXITED:
        return f"status {ended.si_status}"
    return signal.Signals(ended.si_status).name


def _in_the_child(
    work: Callable[[], Any], directory: str, idmap: IdMap, report_end: int, keep: tuple[int, ...]
) -> None:
    """Enter `directory` for good, run `work`, report, and end. Never returns."""
    try:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        close_all_but({report_end, *keep})
        mount(None, "/", None, MS.REC | MS.PRIVATE)
        mount(directory, directory, None, MS.BIND | MS.REC)
        os.chdir(directory)  # reachable for the caller's ids, perhaps not for the map's root
        pivot_root(".", ".")
        umount2(".", MNT.DETACH)
        chroot(".")
        become_root(idmap)
        prctl(PR.SET_PDEATHSIG, signal.SIGKILL)  # a killed pull takes its helper along
        answer = {"result": work()}
    except ProcchiError as error:
        answer = {"error": str(error), "kind": error.kind}
    except BaseException as error:
        answer = {"error": f"{type(error).__name__}: {error}", "kind": "error"}
    try:
        os.write(report_end, json.dumps(answer).encode())
    finally:
        os._exit(0)
