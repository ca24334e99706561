"""What the library offers: every function asks the nest, starting it where there is none."""

from __future__ import annotations

import os
import pathlib
import selectors
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from engine import wire
from engine.errors import NestUnreachable, NoSuchEgg, ProcchiError
from engine.model import Egg, Event, Limits, Meal, Pet, Progress, Readings, Snapshot, StepReport
from engine.places import places
from engine.wire import Wire

Stream = Literal["stdout", "stderr"]

HEARTBEAT_SECONDS = 0.5
UNCHANGED = "unchanged"


def pull(
    reference: str = "home",
    *,
    name: str | None = None,
    sha256: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Egg:
    """Fetch an egg into the store, and wait for it.

    `reference` is `home` (cooked from this machine, no network), the path of a tarball, a
    `docker save` archive, an OCI layout or a folder, an `http(s)` or `file` URL, or an image in
    a registry (`debian:bookworm-slim`, `localhost:5000/name@sha256:…`). `name` is what it will be
    called (else after the reference), `sha256` the hexadecimal digest that the file must have.
    `progress` is called from this thread, twice a second at least; what it raises cancels the
    pull. Raises NoSuchEgg, PullFailed, BadRequest.
    """
    if _is_path(reference):
        reference = os.path.abspath(reference)  # the nest has a working directory of its own
    with wire.connect() as connection:
        connection.send({"op": "pull", "reference": reference, "name": name, "sha256": sha256})
        latest = Progress("resolving", 0, None)
        while True:
            while progress and not connection.wait(HEARTBEAT_SECONDS):
                progress(latest)
            if (message := connection.receive()) is None:
                break
            if "egg" in message:
                return Egg.from_json(message["egg"])
            latest = Progress(*message["progress"])
            if progress:
                progress(latest)
    raise NestUnreachable(f"pulling {reference} ended without an answer: see {places().log}")


def _is_path(reference: str) -> bool:
    """Whether it means a file or folder; a folder called `debian` is meant by `./debian` only."""
    if reference == "home" or "://" in reference:
        return False
    return os.path.isfile(reference) or ("/" in reference and os.path.exists(reference))


def eggs() -> list[Egg]:
    """Every egg in the store."""
    return [Egg.from_json(egg) for egg in wire.request("eggs")["eggs"]]


def remove_egg(name: str) -> None:
    """Remove an egg. Raises NoSuchEgg, or ProcchiError while a pet or ghost lives on it."""
    wire.request("remove-egg", name=name)


def hatch(
    name: str,
    egg: str = "home",
    *,
    command: Sequence[str] = (),
    limits: Limits | None = None,
    network: Literal["none", "host"] = "none",
    hostname: str | None = None,
    environment: Mapping[str, str] | None = None,
    read_only: bool = False,
    chroot_only: bool = False,
) -> Pet:
    """Build a pet from an egg, and return it once it executes its command.

    Without a `command` it runs its egg's shell, reading from its mouth, until it is released.
    The egg `home` is pulled where it is not there. `chroot_only` leaves out pivot_root, to show
    why chroot alone is no wall. Raises BadRequest, NameTaken, NoSuchEgg, HatchFailed,
    CommandNotFound, CommandNotExecutable.
    """
    wish = {
        "name": name,
        "egg": egg,
        "command": list(command),
        "limits": (limits or Limits()).to_json(),
        "network": network,
        "hostname": hostname,
        "environment": dict(environment or {}),
        "read_only": read_only,
        "chroot_only": chroot_only,
    }
    try:
        return Pet.from_json(wire.request("hatch", **wish)["pet"])
    except NoSuchEgg:
        if egg != "home":
            raise
    pull("home")
    return Pet.from_json(wire.request("hatch", **wish)["pet"])


class OpenMeal:
    """A command that runs in a pet."""

    def __init__(self, connection: Wire, command: tuple[str, ...], terminal: int | None) -> None:
        self._wire = connection
        self._command = command
        self.terminal = terminal
        """The near end of its terminal, where it has one; closed by `close`."""

    def fileno(self) -> int:
        """A descriptor that can be read once the command is over, for select(2)."""
        return self._wire.sock.fileno()

    def signal(self, number: int) -> None:
        """Send a signal to the command's process group; nothing happens when it has ended."""
        try:
            self._wire.send({"signal": int(number)})
        except NestUnreachable:
            pass

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
) -> OpenMeal:
    """Start a command in a pet, and return as soon as it is executed.

    Its first three descriptors are `stdio`, this process's own, passed and not copied; with
    `terminal` a new terminal in the pet, as large as the one that we read from. Raises
    NoSuchPet, NotAwake, CommandNotFound, CommandNotExecutable, BadRequest.
    """
    connection = wire.connect()
    near, far = socket.socketpair() if terminal else (None, None)
    try:
        wish = {
            "op": "feed",
            "name": name,
            "command": list(command),
            "environment": dict(environment or {}),
            "terminal": terminal,
            "window": _window() if terminal else None,
        }
        connection.send(wish, [far.fileno()] if far else stdio)
        if far:
            far.close()
        connection.answer()
        tty = None
        if near:
            _, received, _, _ = socket.recv_fds(near, 1, 1)
            if len(received) != 1 or not os.isatty(received[0]):
                raise ProcchiError(f"{name} gave no terminal")
            tty = received[0]
        return OpenMeal(connection, tuple(command), tty)
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
) -> Meal:
    """Run a command in a pet, wait for it, and return what it said.

    `stdin` is what it reads. `on_output` is called from this thread with each piece of output
    as it comes. A command that ends by a signal has status 128 + its number. Raises as
    `open_meal`.
    """
    pipes = [os.pipe2(os.O_CLOEXEC) for _ in range(3)]
    (read_in, write_in), (read_out, write_out), (read_err, write_err) = pipes
    theirs = (read_in, write_out, write_err)
    kept: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
    try:
        with open_meal(name, command, stdio=theirs, environment=environment) as meal:
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


def write(name: str, text: str | bytes) -> None:
    """Put `text` into a pet's mouth: the standard input of its PID 1.

    Raises NoSuchPet, or NotAwake when it sleeps, is a ghost, does not read or is full.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    wire.request("write", name=name, text=text)


def signal(name: str, number: int) -> None:
    """Send a signal to a pet's PID 1, which ignores those it does not handle.

    That is pid_namespaces(7); SIGKILL and SIGSTOP from here always work. Raises NoSuchPet,
    NotAwake, BadRequest.
    """
    wire.request("signal", name=name, number=int(number))


def pets() -> list[Pet]:
    """Every pet and every ghost, with fresh readings."""
    return [Pet.from_json(pet) for pet in wire.request("pets")["pets"]]


def look(name: str) -> Pet:
    """One pet or ghost, with fresh readings. Raises NoSuchPet."""
    return Pet.from_json(wire.request("look", name=name)["pet"])


def care_log(name: str) -> list[StepReport]:
    """What each step of a pet's hatching really did. Raises NoSuchPet."""
    return [StepReport(*report) for report in wire.request("care", name=name)["hatch"]]


def log_path(name: str) -> pathlib.Path:
    """Where a pet's output goes: what its PID 1 writes. The file is bounded, oldest lines first.

    Raises NoSuchPet.
    """
    wire.request("look", name=name)
    return pathlib.Path(places().pets, name, "log")


def sleep(name: str) -> Pet:
    """Freeze a pet where it stands. Raises NoSuchPet, NotAwake for a ghost."""
    return Pet.from_json(wire.request("sleep", name=name)["pet"])


def wake(name: str) -> Pet:
    """Let a sleeping pet go on. Raises NoSuchPet, NotAwake for a ghost."""
    return Pet.from_json(wire.request("wake", name=name)["pet"])


def diet(
    name: str,
    *,
    memory: int | str | None = UNCHANGED,
    cpu: float | str | None = UNCHANGED,
    pids: int | str | None = UNCHANGED,
) -> Pet:
    """Change a living pet's limits, as Limits takes them; what is not given stays as it is.

    Raises BadRequest, NoSuchPet, NotAwake for a ghost, and ProcchiError where the kernel refuses:
    memory in use cannot always be taken away.
    """
    changes = {"memory": memory, "cpu": cpu, "pids": pids}
    given = {key: value for key, value in changes.items() if value != UNCHANGED}
    return Pet.from_json(wire.request("diet", name=name, limits=given)["pet"])


def release(name: str) -> None:
    """End a pet, or lay a ghost to rest: nothing of it is left afterwards. Raises NoSuchPet."""
    wire.request("release", name=name)


class Watch:
    """What happens in the nest, as it happens: iterate over it. `close` ends the iteration."""

    def __init__(self, connection: Wire) -> None:
        self._wire = connection
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[Event | Snapshot]:
        for message in self._messages():
            if "event" in message:
                at = datetime.fromisoformat(message["at"])
                yield Event(message["event"], message["pet"], at, message["detail"])
            else:
                yield Snapshot(
                    at=message["snapshot"],
                    pets=tuple(map(Pet.from_json, message["pets"])),
                    readings={key: Readings(*row) for key, row in message["readings"].items()},
                    reasons=message["reasons"],
                    gone=tuple(message["gone"]),
                )

    def _messages(self) -> Iterator[dict[str, Any]]:
        try:
            yield from self._wire
        except OSError:
            if not self._closed.is_set():
                raise
        if not self._closed.is_set():
            raise NestUnreachable(
                "the nest has ended: the pets live on, and the next call starts it"
            )

    def close(self) -> None:
        """End the iteration, from whichever thread."""
        self._closed.set()
        try:
            self._wire.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
        self._wire.close()


def watch(readings: float | None = None) -> Watch:
    """Watch the nest: an Event for all that happens, and `readings` Snapshots a second.

    Iterating raises NestUnreachable when the nest ends.
    """
    connection = wire.connect()
    connection.send({"op": "watch", "readings": readings})
    return Watch(connection)


def nest_status() -> dict[str, Any]:
    """Whether a nest is `running`, and its `pid`, `since`, `pets`, `home` and `cgroup`."""
    try:
        with wire.connect(start=False) as connection:
            connection.send({"op": "status"})
            return connection.answer()
    except NestUnreachable:
        return {"running": False, "home": places().data}


def start_nest() -> dict[str, Any]:
    """Start the nest where there is none; its status."""
    return wire.request("status")


def stop_nest() -> None:
    """End the nest, if there is one. The pets live on, and the next nest adopts them."""
    try:
        connection = wire.connect(start=False)
    except NestUnreachable:
        return
    with connection:
        connection.send({"op": "stop"})
        connection.answer()
        while connection.line() is not None:
            pass
