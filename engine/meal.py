"""Meals, as whoever feeds them sees them: a command that runs in a pet, and what it says."""

from __future__ import annotations

import os
import selectors
import socket
import termios
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from engine import wire
from engine.errors import NestUnreachable, ProcchiError
from engine.given import command_of, signal_of
from engine.model import Meal
from engine.wire import Wire

Stream = Literal["stdout", "stderr"]


class OpenMeal:
    """A command that runs in a pet."""

    def __init__(
        self, connection: Wire, command: tuple[str, ...], terminal: int | None, number: int
    ) -> None:
        self._wire = connection
        self._command = command
        self.number = number
        """Which of the pet's meals it is: `care_log(name, meal=number)` tells how it began."""
        self.terminal = terminal
        """The near end of its terminal, where it has one; closed by `close`."""

    def fileno(self) -> int:
        """A descriptor that can be read once the command is over, for select(2)."""
        return self._wire.sock.fileno()

    def signal(self, number: int) -> None:
        """Send a signal to the command and all that it has started; nothing when it has ended.

        What has left its session (setsid(2)), as services do, is not of the meal any more.

        Raises BadRequest.
        """
        wish = {"signal": signal_of(number)}
        try:
            self._wire.send(wish)
        except NestUnreachable:
            pass

    def resize(self, rows: int, columns: int) -> None:
        """Give its terminal another size; the command gets SIGWINCH (ioctl_tty(2), TIOCSWINSZ)."""
        assert self.terminal is not None, "this meal has no terminal"
        termios.tcsetwinsize(self.terminal, (rows, columns))

    def wait(self) -> Meal:
        """Until the command has ended. Raises NestUnreachable when the nest ends before it."""
        over = self._wire.answer()
        return Meal(
            command=self._command,
            exit_code=over["exit_code"],
            duration=over["duration"],
            oom_killed=over["oom_killed"],
        )

    def close(self) -> None:
        """Let go of it; a command that still runs goes on."""
        if self.terminal is not None:
            os.close(self.terminal)
            self.terminal = None
        self._wire.close()

    def __enter__(self) -> OpenMeal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def open_meal(
    name: str,
    command: Sequence[str],
    *,
    stdio: tuple[int, int, int] = (0, 1, 2),
    terminal: bool = False,
    environment: Mapping[str, str] | None = None,
    working_directory: str | None = None,
    user: str | None = None,
) -> OpenMeal:
    """Start a command in a pet, and return as soon as it is executed.

    Its first three descriptors are `stdio`, this process's own, passed and not copied; with
    `terminal` a new terminal in the pet, as large as the one that we read from. Environment,
    working directory and user are the pet's own, but for what is given here.

    Raises NoSuchPet, NotAwake, CommandNotFound, CommandNotExecutable, BadRequest.
    """
    words = command_of(command)
    connection = wire.connect()
    near, far = socket.socketpair() if terminal else (None, None)
    try:
        wish = {
            "op": "feed",
            "name": name,
            "command": words,
            "environment": dict(environment or {}),
            "working_directory": working_directory,
            "user": user,
            "terminal": terminal,
            "window": _window() if terminal else None,
        }
        connection.send(wish, [far.fileno()] if far else stdio)
        if far:
            far.close()
        number = int(connection.answer()["meal"])
        tty = None
        if near:
            _, received, _, _ = socket.recv_fds(near, 1, 1)
            if len(received) != 1 or not os.isatty(received[0]):
                raise ProcchiError(f"{name} gave no terminal")
            tty = received[0]
        return OpenMeal(connection, tuple(words), tty, number)
    except BaseException:
        connection.close()
        raise
    finally:
        for end in (near, far):
            if end:
                end.close()


def _window() -> tuple[int, int] | None:
    """Rows and columns of the terminal that we read from, if it is one."""
    try:
        columns, rows = os.get_terminal_size(0)
    except OSError:
        return None
    return rows, columns


def feed(
    name: str,
    command: Sequence[str],
    *,
    stdin: bytes = b"",
    environment: Mapping[str, str] | None = None,
    on_output: Callable[[Stream, bytes], None] | None = None,
    working_directory: str | None = None,
    user: str | None = None,
) -> Meal:
    """Run a command in a pet, wait for it, and return what it said.

    `stdin` is what it reads. `on_output` is called from this thread with each piece of output
    as it comes. A command that ends by a signal has status 128 + its number. The rest is as in
    `open_meal`, what it raises included.
    """
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
    (read_in, write_in), (read_out, write_out), (read_err, write_err) = pipes
    theirs = (read_in, write_out, write_err)
    kept: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    try:
        with open_meal(
            name,
            command,
            stdio=theirs,
            environment=environment,
            working_directory=working_directory,
            user=user,
        ) as meal:
            for fd in theirs:
                os.close(fd)
            pipes = []
            _converse(write_in, stdin, {read_out: "stdout", read_err: "stderr"}, kept, on_output)
            over = meal.wait()
    finally:
        for pair in pipes:
            for fd in pair:
                os.close(fd)
    return Meal(
        command=over.command,
        exit_code=over.exit_code,
        duration=over.duration,
        stdout=bytes(kept["stdout"]),
        stderr=bytes(kept["stderr"]),
        oom_killed=over.oom_killed,
    )


def _converse(
    write_in: int,
    stdin: bytes,
    outputs: dict[int, Stream],
    kept: dict[Stream, bytearray],
    on_output: Callable[[Stream, bytes], None] | None,
) -> None:
    """Write `stdin` and read the outputs, whichever is ready, until all are closed."""
    rest = memoryview(stdin)
    try:
        with selectors.DefaultSelector() as selector:
            os.set_blocking(write_in, False)
            selector.register(write_in, selectors.EVENT_WRITE)
            for fd in outputs:
                selector.register(fd, selectors.EVENT_READ)
            while selector.get_map():
                for key, _ in selector.select():
                    if key.fd == write_in:
                        try:
                            rest = rest[os.write(write_in, rest[: 1 << 16]) :] if rest else rest
                        except BrokenPipeError:
                            rest = rest[:0]
                        if not rest:
                            selector.unregister(write_in)
                            os.close(write_in)
                            write_in = -1
                        continue
                    data = os.read(key.fd, 1 << 16)
                    if not data:
                        selector.unregister(key.fd)
                        continue
                    kept[outputs[key.fd]] += data
                    if on_output:
                        on_output(outputs[key.fd], data)
    finally:
        for fd in (write_in, *outputs):
            if fd != -1:
                os.close(fd)
