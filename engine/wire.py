"""How a program and the nest talk: JSON, one message a line, over a Unix stream socket.

One connection carries one request and what comes back for it. Descriptors travel with the
request (SCM_RIGHTS, unix(7)). This module is kept light, for `procchi pets` lives on it.
"""

from __future__ import annotations

import json
import os
import select
import socket
import struct
import time

from engine.errors import BY_KIND, NestUnreachable, ProcchiError
from engine.places import Places, make_private, places

TYPE_CHECKING = False  # as typing's own, whose import takes longer than an answer of the nest
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

    Message = dict[str, Any]

PROTOCOL = 1
"""Raised when messages change, so that a nest of before an upgrade says what it is."""
MOST_DESCRIPTORS = 4
LONGEST_REQUEST = 1 << 20
"""Bytes. The kernel takes less than this as a command and its environment (MAX_ARG_STRLEN)."""
START_SECONDS = 60.0


def encode(message: Message) -> bytes:
    """One line."""
    return json.dumps(message, separators=(",", ":")).encode() + b"\n"


def address(at: Places, directory: int) -> str:
    """The socket's path by an open descriptor of its directory: sun_path holds 107 bytes only."""
    path = f"{at.runtime}/nest.sock"
    return path if len(os.fsencode(path)) < 108 else f"/proc/self/fd/{directory}/nest.sock"


class Wire:
    """One connection to the nest."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._buffer = b""

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Send one message, and `descriptors` with it."""
        data = encode(message | {"protocol": PROTOCOL})
        try:
            sent = socket.send_fds(self.sock, [data], list(descriptors)) if descriptors else 0
            if sent < len(data):
                self.sock.sendall(data[sent:])
        except BrokenPipeError:
            pass  # it has hung up, and may have said why: that is still to be received
        except OSError as error:
            raise NestUnreachable(f"the nest hung up ({error.strerror}): try again") from error

    def receive(self) -> Message | None:
        """The next message; None once the nest has closed the connection.

        Raises the ProcchiError that the nest sent, where it sent one.
        """
        line = self.line()
        if line is None:
            return None
        message: Message = json.loads(line)
        if "error" in message:
            raise BY_KIND.get(message["kind"], ProcchiError)(message["error"])
        return message

    def wait(self, seconds: float) -> bool:
        """Whether something is there to be received, after `seconds` at the latest."""
        if b"\n" in self._buffer:
            return True
        return wait_for(self.sock.fileno(), seconds)

    def peer(self) -> int:
        """A pidfd of the nest; -1 where it is in a pid namespace out of sight."""
        pid, _, _ = credentials(self.sock)
        return os.pidfd_open(pid) if pid else -1

    def line(self) -> bytes | None:
        """The next message as it came; None once the connection is closed."""
        while b"\n" not in self._buffer:
            try:
                data = self.sock.recv(1 << 18)
            except ConnectionResetError:
                data = b""
            if not data:
                return None
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def answer(self) -> Message:
        """The next message, which must come."""
        if (message := self.receive()) is None:
            raise NestUnreachable(
                f"the nest ended before it answered: see {places().log}; the pets live on"
            )
        return message

    def __iter__(self) -> Iterator[Message]:
        while (message := self.receive()) is not None:
            yield message

    def close(self) -> None:
        """Hang up."""
        self.sock.close()

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(start: bool = True) -> Wire:
    """A connection to this user's nest, which is started if need be and if `start`.

    Raises NestUnreachable.
    """
    at = places()
    if wire := _try(at):
        return wire
    if not start:
        raise NestUnreachable("no nest is running: it starts with the first pet")
    make_private(at.runtime)
    make_private(at.data)
    _start(at)
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if wire := _try(at):
            return wire
        time.sleep(0.01)
    raise NestUnreachable(f"the nest did not start within {START_SECONDS:.0f} s: see {at.log}")


def _try(at: Places) -> Wire | None:
    try:
        directory = os.open(at.runtime, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise NestUnreachable(f"{at.runtime} cannot be entered: {error.strerror}") from error
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.connect(address(at, directory))
    except (FileNotFoundError, ConnectionRefusedError):
        sock.close()
        return None
    except OSError as error:
        sock.close()
        raise NestUnreachable(f"the nest cannot be reached: {error.strerror}") from error
    finally:
        os.close(directory)
    return Wire(sock)


def _start(at: Places) -> None:
    """Start a nest, and return once it listens. A second one started meanwhile gives way.

    In a scope of its own, where a user's manager gives one; without, where it does not.
    """
    import sys

    # -P: what lies in the working directory must not be imported by a nest that runs as root.
    command = [sys.executable, "-P", "-m", "engine.nest", at.data, at.runtime]
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    paths = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    from engine.cgroups.delegation import in_a_scope, runtime_directory

    if (asked := in_a_scope(command)) is not None:
        environment["XDG_RUNTIME_DIR"] = runtime_directory()
        if not (said := _run(asked, environment, at)):
            return
        command.append(f"systemd-run: {said}")  # for the nest to tell why it has no scope
    if said := _run(command, environment, at):
        raise NestUnreachable(f"the nest did not start: {said}")


def _run(command: list[str], environment: dict[str, str], at: Places) -> str:
    """Run what starts a nest, and return once that listens; otherwise what it said."""
    import subprocess

    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=environment,
            cwd="/",
            start_new_session=True,
            check=False,
            timeout=START_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NestUnreachable(
            f"the nest did not start within {START_SECONDS:.0f} s: see {at.log}"
        ) from None
    if not done.returncode:
        return ""
    said = done.stderr.decode(errors="replace").strip().splitlines()
    return said[-1] if said else "it said nothing"


def credentials(sock: socket.socket) -> tuple[int, int, int]:
    """Process (0 where out of sight), user and group at the other end: unix(7), SO_PEERCRED."""
    pid, uid, gid = struct.unpack("iII", sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return pid, uid, gid


def wait_for(fd: int, seconds: float | None = None) -> bool:
    """Whether it is readable, after `seconds` at the latest. Unlike select(2), for any number."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else seconds * 1000))


def request(op: str, **arguments: Any) -> Message:
    """Ask the nest for one thing, and return its answer. Raises ProcchiError."""
    with connect() as wire:
        wire.send({"op": op, **arguments})
        return wire.answer()
