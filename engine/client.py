"""What the library offers: every function asks the nest, starting it where there is none."""

from __future__ import annotations

import os
import pathlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from engine import wire
from engine.errors import NestUnreachable, NoSuchEgg
from engine.given import command_of, limits_of, signal_of
from engine.model import (
    Call,
    Details,
    Egg,
    EggDetails,
    Event,
    Freed,
    Limits,
    Offer,
    PastMeal,
    Pet,
    Progress,
    Readings,
    Snapshot,
    StepReport,
    Verdict,
)
from engine.places import places
from engine.wire import Wire

HEARTBEAT_SECONDS = 0.5
UNCHANGED = "unchanged"
_PATHS = frozenset(
    "DOCKER_CONFIG REGISTRY_AUTH_FILE SSL_CERT_FILE SSL_CERT_DIR REQUESTS_CA_BUNDLE "
    "CURL_CA_BUNDLE".split()
)
"""Environment variables that may name a file by a path from where we are."""


def pull(
    reference: str = "home",
    *,
    name: str | None = None,
    sha256: str | None = None,
    platform: str | None = None,
    progress: Callable[[Progress], None] | None = None,
) -> Egg:
    """Fetch an egg into the store, and wait for it.

    `reference` is `home` (cooked from this machine, no network), a name in the `catalogue`, the
    path of a tarball, a `docker save` archive, an OCI layout or a folder, an `http(s)` or `file`
    URL, or an image in a registry (`debian:bookworm-slim`, `localhost:5000/name@sha256:…`).
    `name` is what it will be called (else after the reference), `sha256` the hexadecimal digest
    that the file must have, `platform` (`linux/arm64`) which of an image's variants is wanted
    where not this machine's.
    Logins, certificates and proxies are found by this process's environment and home directory;
    its PROCCHI_BOUNDS (`size=128G entries=2000000 ratio=500`) is how much an egg may be.
    `progress` is called from this thread, twice a second at least; what it raises cancels the
    pull. Raises NoSuchEgg, PullFailed, BadRequest.
    """
    from engine.images.words import made_whole  # late: most of a client's life goes without

    reference = made_whole(reference)  # the nest has a working directory of its own
    with wire.connect() as connection:
        connection.send(
            {
                "op": "pull",
                "reference": reference,
                "name": name,
                "sha256": sha256,
                "platform": platform,
                "environment": _environment(),
                "catalogue": _catalogue(),
            }
        )
        latest = Progress("resolving", 0, None)
        while True:
            while progress and not connection.wait(HEARTBEAT_SECONDS):
                progress(latest)
            if (message := connection.receive()) is None:
                break
            if "egg" in message:
                return Egg.from_json(message["egg"])
            latest = Progress.from_json(message["progress"])
            if progress:
                progress(latest)
    raise NestUnreachable(f"pulling {reference} ended without an answer: see {places().log}")


def _environment() -> dict[str, str]:
    """Of this process, good in any directory.

    The nest was started by somebody else perhaps, elsewhere and long ago. Whose pull it is, their
    logins, helpers, certificates, proxies and bounds count.
    """
    return {
        key: os.path.abspath(value) if key in _PATHS and value else value
        for key, value in os.environ.items()
    }


def catalogue() -> list[Offer]:
    """What can be pulled by a short name: `pull("alpine")`.

    First what the catalogue of the environment variable PROCCHI_CATALOGUE has (a path or a URL),
    then what Procchi's own has besides. Raises BadRequest, NoSuchEgg or PullFailed where the
    former cannot be had.
    """
    return [Offer(**offer) for offer in wire.request("catalogue", catalogue=_catalogue())["offers"]]


def _catalogue() -> str | None:
    """Of this process's environment: the nest has one of its own."""
    place = os.environ.get("PROCCHI_CATALOGUE")
    return os.path.abspath(place) if place and "://" not in place else place or None


def eggs() -> list[Egg]:
    """Every egg in the store."""
    return [Egg.from_json(egg) for egg in wire.request("eggs")["eggs"]]


def egg(name: str) -> EggDetails:
    """One egg, what it was made of, and who lives on it. Raises NoSuchEgg."""
    return EggDetails.from_json(wire.request("egg", name=name)["egg"])


def remove_egg(name: str) -> None:
    """Remove an egg. Raises NoSuchEgg, or ProcchiError while a pet or ghost lives on it."""
    wire.request("remove-egg", name=name)


def verify_eggs(names: Sequence[str] = ()) -> list[Verdict]:
    """Read the eggs called `names`, or all, and compare them with what was unpacked.

    Of every file its content (by CRC-32), mode, owner, size, time and links, of every other entry
    what it has of these. Raises NoSuchEgg.
    """
    found = wire.request("verify-eggs", names=list(names))["verdicts"]
    return [Verdict(name, digest, n, tuple(lines), more) for name, digest, n, lines, more in found]


def collect_garbage() -> Freed:
    """Clear the store of what nobody needs.

    Layers without egg and pet, what dead pulls left, and downloads; those not while a pull is
    under way.
    """
    return Freed.from_json(wire.request("collect-garbage")["freed"])


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
    entrypoint: Sequence[str] | None = None,
    working_directory: str | None = None,
    user: str | None = None,
    stop_signal: str | None = None,
    strict_limits: bool = False,
) -> Pet:
    """Build a pet from an egg, and return it once it executes its command.

    What an image says of itself (Egg.config) holds where nothing else is given: `command` takes
    the place of its command and is appended to its entrypoint, `environment` adds to its own.
    `user` is `name`, `uid`, `name:group` or `uid:gid` of the egg's own, `stop_signal` what
    `release` sends first, like `INT` or `SIGRTMIN+3`; a `working_directory` that is not there is
    made. Where neither says a command, the pet runs its egg's shell, reading from its mouth,
    until it is released.
    The egg `home` is pulled where it is not there. `chroot_only` leaves out pivot_root, to show
    why chroot alone is no wall. With `strict_limits` a limit that this machine does not enforce
    is a HatchFailed, and not only said (`Pet.enforced`). Raises BadRequest, NameTaken, NoSuchEgg,
    HatchFailed, CommandNotFound, CommandNotExecutable.
    """
    wish = {
        "name": name,
        "egg": egg,
        "command": command_of(command),
        "limits": limits_of(limits).to_json(),
        "network": network,
        "hostname": hostname,
        "environment": dict(environment or {}),
        "read_only": read_only,
        "chroot_only": chroot_only,
        "strict_limits": strict_limits,
        "entrypoint": None if entrypoint is None else command_of(entrypoint),
        "working_directory": working_directory,
        "user": user,
        "stop_signal": stop_signal,
    }
    try:
        return Pet.from_json(wire.request("hatch", **wish)["pet"])
    except NoSuchEgg:
        if egg != "home":
            raise
    pull("home")
    return Pet.from_json(wire.request("hatch", **wish)["pet"])


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
    wire.request("signal", name=name, number=signal_of(number))


def pets() -> list[Pet]:
    """Every pet and every ghost, with fresh readings."""
    return [Pet.from_json(pet) for pet in wire.request("pets")["pets"]]


def look(name: str) -> Pet:
    """One pet or ghost, with fresh readings. Raises NoSuchPet."""
    return Pet.from_json(wire.request("look", name=name)["pet"])


def details(name: str) -> Details:
    """All that the kernel tells of one pet, each number with the file it stands in.

    A ghost has none. Raises NoSuchPet.
    """
    return Details.from_json(wire.request("details", name=name)["details"])


def care_log(name: str, *, meal: int | None = None) -> list[StepReport]:
    """What each step of a pet's hatching really did, or of the meal of that number.

    Raises NoSuchPet, and BadRequest for a meal that is not among the last that are kept.
    """
    steps = wire.request("care", name=name, meal=meal)["steps"]
    return [
        StepReport(name, why, [Call(*made) for made in calls], usec)
        for name, why, calls, usec in steps
    ]


def meals(name: str) -> list[PastMeal]:
    """A pet's last meals, oldest first, those under way included. Raises NoSuchPet."""
    return [PastMeal.from_json(meal) for meal in wire.request("meals", name=name)["meals"]]


def log_path(name: str) -> pathlib.Path:
    """Where a pet's output goes: what its PID 1 writes. Read it with `Log`.

    The file is bounded on disk: the oldest lines give way to a hole, which a plain read shows as
    zeroes. Raises NoSuchPet.
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
    memory_high: int | str | None = UNCHANGED,
    swap: int | str | None = UNCHANGED,
) -> Pet:
    """Change a living pet's limits, as Limits takes them; what is not given stays as it is.

    All of it, or nothing where the kernel refuses. Raises BadRequest, NoSuchPet, NotAwake for a
    ghost, and ProcchiError with the kernel's reason: memory in use cannot always be taken away.
    """
    changes = {"memory": memory, "cpu": cpu, "pids": pids, "memory_high": memory_high, "swap": swap}
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


def ceiling(
    *,
    memory: int | str | None = UNCHANGED,
    cpu: float | str | None = UNCHANGED,
    pids: int | str | None = UNCHANGED,
) -> dict[str, Any]:
    """What all pets together may use; what is given is changed, now and from now on.

    Each is an amount as Limits takes it, a share of the host (`75%`), `unlimited`, or `default`.
    The answer has `memory` (bytes), `cpu` (cores), `pids`, None where unlimited; `chosen`, the
    words; and `enforced`. Raises BadRequest, and ProcchiError where the kernel refuses.
    """
    changes = {"memory": memory, "cpu": cpu, "pids": pids}
    given = {
        key: "unlimited" if value is None else str(value)
        for key, value in changes.items()
        if value != UNCHANGED
    }
    answer: dict[str, Any] = wire.request("ceiling", changes=given)["ceiling"]
    return answer


def thresholds(**changes: float | str) -> dict[str, Any]:
    """Where the moods begin and end, by the names that engine.moods.Thresholds documents.

    What is given is changed, now and from now on: a number, `0.9:0.85` for where a mood begins
    and where it ends, or `default`. Raises BadRequest.
    """
    given = {name: str(value) for name, value in changes.items()}
    answer: dict[str, Any] = wire.request("moods", changes=given)["thresholds"]
    return answer


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
        nest = connection.peer()
        connection.send({"op": "stop"})
        connection.answer()
        while connection.line() is not None:
            pass
        if nest != -1:  # it hangs up before it is gone: what it has open is closed in no order
            wire.wait_for(nest)
            os.close(nest)
