"""A small process that clones pets and meals for a nest which grows.

A fork copies the caller's page tables and descriptors, and each page that either side writes to
afterwards. A nest of a thousand pets has ten thousand descriptors; this fork of it, made while
there were no pets, has two. CLONE_PARENT (clone(2)) makes each clone the nest's own child, so the
nest alone waits for it.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import signal
import socket
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from engine.idmap import Child
from engine.model import Call
from engine.syswrap import (
    CLONE,
    SyscallError,
    clone3,
    close_all_but,
    recording,
    setns,
    write_down,
)

Main = Callable[[dict[str, Any], list[int]], NoReturn]
"""What a clone does, with the words and the descriptors that came for it."""
MOST_DESCRIPTORS = 64


class ForkServer:
    """The nest's end of it. One that was killed is replaced when the next clone is wanted."""

    def __init__(self, mains: Mapping[str, Main]) -> None:
        self._mains = mains
        self._start()

    def _start(self) -> None:
        self._sock, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self.pid = os.fork()
        if self.pid == 0:
            try:
                close_all_but({theirs.fileno()})
                gc.freeze()
                _serve(theirs, self._mains)
            except BaseException:
                traceback.print_exc()  # into the nest's log
            finally:
                os._exit(0)
        theirs.close()

    def clone(
        self,
        flags: CLONE,
        main: str,
        words: Mapping[str, Any],
        descriptors: Sequence[int],
        cgroup: int | None = None,
        pids: int | None = None,
    ) -> Child:
        """clone3(2): a child of the caller's, which runs `main` with `words` and `descriptors`.

        `cgroup` is a descriptor of the cgroup v2 directory to be born in, `pids` a pidfd of a
        process in the pid namespace to be born in. The calls are written down as the caller's.
        Raises SyscallError, the kernel's refusal, or OSError when the server ended over it.
        """
        if self._is_gone():
            self.close()
            self._start()
        born = [fd for fd in (cgroup, pids) if fd is not None]
        request = {
            "flags": int(flags),
            "cgroup": cgroup is not None,
            "pids": pids is not None,
            "main": main,
            "words": words,
        }
        try:
            _send(self._sock, request, [*born, *descriptors])
            answer, pidfds = _receive(self._sock)
        except (EOFError, ConnectionError) as error:
            why = "the process that clones for the nest was ended over it: try again"
            raise OSError(errno.ECONNRESET, why) from error
        for call in answer["calls"]:
            write_down(Call(*call))
        if "refused" in answer:
            raise SyscallError(*answer["refused"])
        if not pidfds:  # the kernel drops what there is no room for: unix(7), SCM_RIGHTS
            os.kill(answer["pid"], signal.SIGKILL)
            os.waitpid(answer["pid"], 0)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return Child(answer["pid"], *pidfds)

    def close(self) -> None:
        """Have it end; it has when this returns."""
        self._sock.close()
        os.waitpid(self.pid, 0)

    def _is_gone(self) -> bool:
        try:
            return not self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except ConnectionError:
            return True


def _serve(sock: socket.socket, mains: Mapping[str, Main]) -> None:
    """Clone until the nest hangs up or has died."""
    own_pids = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    while True:
        try:
            request, descriptors = _receive(sock)
        except (EOFError, ConnectionError):
            return
        flags = CLONE(request["flags"]) | CLONE.PARENT
        kept = list(descriptors)
        cgroup = kept.pop(0) if request["cgroup"] else None
        pids = kept.pop(0) if request["pids"] else None
        child, answer = Child(-1, -1), {}
        with recording() as calls:
            try:
                child = _clone(flags, cgroup, pids, own_pids)
            except SyscallError as error:
                refused = error.errno, error.syscall, error.arguments, error.filename
                answer = {"refused": refused}
        if child.pid == 0:
            gc.disable()  # it does little until execve, and shall copy no pages to find garbage
            mains[request["main"]](request["words"], kept)
        _send(
            sock,
            {"pid": child.pid, "calls": calls, **answer},
            [child.pidfd] if child.pid > 0 else [],
        )
        for fd in {child.pidfd, *descriptors} - {-1}:
            os.close(fd)


def _clone(flags: CLONE, cgroup: int | None, pids: int | None, own_pids: int) -> Child:
    if pids is None:
        return Child(*clone3(flags, cgroup))
    setns(pids, CLONE.NEWPID)
    child = None
    try:
        child = Child(*clone3(flags, cgroup))
    finally:
        if child is None or child.pid != 0:
            setns(own_pids, CLONE.NEWPID)  # home again: the next one is no business of this pet's
    return child


def _send(sock: socket.socket, message: Mapping[str, Any], descriptors: Sequence[int]) -> None:
    data = json.dumps(message).encode() + b"\n"
    sent = socket.send_fds(sock, [data], descriptors)
    sock.sendall(data[sent:])


def _receive(sock: socket.socket) -> tuple[Any, list[int]]:
    """The one message that is on its way. Raises EOFError or ConnectionError."""
    data, descriptors, _, _ = socket.recv_fds(sock, 1 << 16, MOST_DESCRIPTORS)
    for fd in descriptors:
        os.set_inheritable(fd, False)  # Python's own for those that it opens; not for these
    while not data.endswith(b"\n"):
        more = sock.recv(1 << 20)
        if not more:
            raise EOFError("the other end is closed")
        data += more
    return json.loads(data), descriptors
