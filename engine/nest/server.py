"""The nest's door: who may come in, what they ask, and what they are answered."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from engine import images
from engine.errors import BadRequest, NestUnreachable, ProcchiError
from engine.model import now
from engine.nest import kitchen, meals
from engine.nest.details import details
from engine.nest.diet import diet
from engine.nest.hatchery import Hatchery
from engine.nest.keeper import Keeper
from engine.nest.loop import Loop
from engine.nest.releasing import release
from engine.nest.watching import Observatory, Watcher
from engine.syswrap import close_all_but
from engine.wire import LONGEST_REQUEST, MOST_DESCRIPTORS, PROTOCOL, Wire, credentials, encode

LONGEST_BACKLOG = 64 << 20
"""Bytes not yet read by a client. One that lets more pile up is hung up on."""

RESERVED = 64
"""Descriptors that are left for what is under way, and for those who want to release pets."""
COSTLY = frozenset({"hatch", "feed", "pull", "catalogue", "watch"})
FULL_SECONDS = 0.1
NONSENSE = (
    *(ValueError, KeyError, TypeError, AttributeError),
    *(OverflowError, RecursionError),  # of numbers and of brackets there may be too many
)
"""What a request raises that cannot be meant."""
SWEEP_SECONDS = 0.5
"""After a pull was killed: its helpers die with it, but not at once."""


class Server:
    """Accepts clients and carries out their requests."""

    def __init__(
        self, loop: Loop, listener: socket.socket, keeper: Keeper, observatory: Observatory
    ) -> None:
        self.loop, self.listener = loop, listener
        self.keeper, self.observatory = keeper, observatory
        self.hatchery = Hatchery(keeper)
        self.since = now()
        loop.readable(listener.fileno(), self._accept)

    def _accept(self) -> None:
        try:
            sock, _ = self.listener.accept()
        except BlockingIOError:  # gone again
            return
        except OSError:  # no descriptor left: it waits at the door until one is
            door = self.listener.fileno()
            self.loop.forget(door)
            self.loop.later(FULL_SECONDS, lambda: self.loop.readable(door, self._accept))
            return
        sock.setblocking(False)
        _, uid, _ = credentials(sock)
        visitor = Visitor(self, sock)
        if uid != os.geteuid():
            visitor.refuse(NestUnreachable(f"this nest belongs to user {os.geteuid()}"))

    def carry_out(self, visitor: Visitor, message: dict[str, Any]) -> None:
        """Do what a request asks. Raises ProcchiError, or ValueError where it makes no sense."""
        keeper = self.keeper
        op = message.get("op")
        if message.get("protocol") != PROTOCOL and op not in {"status", "stop"}:
            raise NestUnreachable(
                "this nest is of another version: `procchi nest stop`, and try again; pets live on"
            )
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        if op in COSTLY and _descriptors() >= most - RESERVED:
            raise ProcchiError(
                f"the nest may have {most} files open and has nearly that: release pets, or "
                "`procchi nest stop` and raise the limit (`ulimit -Hn`)"
            )
        match op:
            case "hatch":
                self.hatchery.hatch(message, visitor.answer, visitor.refuse)
            case "feed":
                meal = kitchen.feed(
                    keeper, message, visitor.descriptors, visitor.say, visitor.refuse
                )
                visitor.on_message = lambda said: meal.signal(int(said["signal"]))
                meal.over = visitor.finish
            case "write":
                keeper.write(
                    message["name"], str(message["text"]).encode("utf-8", "surrogateescape")
                )
                visitor.answer({})
            case "signal":
                keeper.signal(message["name"], int(message["number"]))
                visitor.answer({})
            case "pets":
                pets = [keeper.describe(dweller).to_json() for dweller in keeper.visible()]
                visitor.answer({"pets": pets})
            case "look":
                visitor.answer({"pet": keeper.describe(keeper.find(message["name"])).to_json()})
            case "details":
                visitor.answer({"details": details(keeper, message["name"]).to_json()})
            case "care":
                number = message.get("meal")
                steps = keeper.care(message["name"], None if number is None else int(number))
                visitor.answer({"steps": steps})
            case "meals":
                dweller = keeper.find(message["name"])
                eaten = meals.past(dweller.directory, dweller.eating)
                visitor.answer({"meals": [meal.to_json() for meal in eaten]})
            case "sleep" | "wake":
                dweller = keeper.freeze(message["name"], op == "sleep")
                visitor.answer({"pet": keeper.describe(dweller).to_json()})
            case "diet":
                dweller = diet(keeper, message["name"], message["limits"])
                visitor.answer({"pet": keeper.describe(dweller).to_json()})
            case "moods":
                keeper.temper.change(dict(message.get("changes") or {}))
                visitor.answer({"thresholds": keeper.temper.status()})
            case "ceiling":
                changes, lives = dict(message.get("changes") or {}), keeper.lives_in(keeper.cgroups)
                keeper.ceiling.change(changes, keeper.grouped(), lives)
                visitor.answer({"ceiling": keeper.ceiling.status()})
            case "release":
                release(keeper, message["name"], visitor.answer, visitor.refuse)
            case "eggs":
                visitor.answer({"eggs": [egg.to_json() for egg in keeper.store.eggs()]})
            case "egg":
                visitor.answer({"egg": keeper.describe_egg(message["name"]).to_json()})
            case "remove-egg":
                keeper.remove_egg(message["name"], lambda: visitor.answer({}))
            case "verify-eggs":
                self._apart(visitor, "verifying", partial(self._verify, message))
            case "collect-garbage":
                keeper.store.retire(keeper.layers_in_use())
                self._apart(visitor, "collecting garbage", self._collect_garbage)
            case "pull":
                self._apart(visitor, "pulling", partial(self._pull, message))
            case "catalogue":
                more = message.get("catalogue")
                self._apart(visitor, "reading the catalogue", lambda _: images.offers(more))
            case "watch":
                self._watch(visitor, message.get("readings"))
            case "status":
                visitor.answer(self._status())
            case "stop":
                visitor.say({})  # and no more: the connection closes when this process is gone
                self.loop.stop()
            case unknown:
                raise BadRequest(f"this nest does not know {unknown!r}: stop it, and try again")

    def _status(self) -> dict[str, Any]:
        keeper = self.keeper
        return {
            "running": True,
            "pid": os.getpid(),
            "since": self.since.isoformat(),
            "pets": sum(dweller.alive for dweller in keeper.pets.values()),
            "home": keeper.places.data,
            "ceiling": keeper.ceiling.status(),
            "cgroup": {
                "kind": keeper.cgroups.kind,
                "enforced": list(keeper.cgroups.enforced),
                "why": keeper.cgroups.why,
            },
        }

    def _watch(self, visitor: Visitor, hz: float | None) -> None:
        watcher = Watcher(visitor.say, visitor.is_behind, None if hz is None else float(hz))
        visitor.on_hangup = lambda: self.observatory.remove(watcher)
        self.observatory.add(watcher)

    def _pull(self, message: dict[str, Any], wire: Wire) -> dict[str, Any]:
        os.environ.clear()
        os.environ.update(message.get("environment") or {})
        egg = images.pull(
            str(message.get("reference") or "home"),
            store=self.keeper.store,
            name=message.get("name"),
            sha256=message.get("sha256"),
            platform=message.get("platform"),
            progress=lambda progress: wire.send({"progress": progress}),
            catalogue=message.get("catalogue"),
        )
        return {"egg": egg.to_json()}

    def _verify(self, message: dict[str, Any], _: Wire) -> dict[str, Any]:
        verdicts = self.keeper.store.verify([str(name) for name in message.get("names") or []])
        return {"verdicts": verdicts}

    def _collect_garbage(self, _: Wire) -> dict[str, Any]:
        return {"freed": self.keeper.store.clean(downloads_too=True).to_json()}

    def _apart(self, visitor: Visitor, what: str, work: Callable[[Wire], dict[str, Any]]) -> None:
        """Work in a process of its own, which answers by itself; hanging up ends it."""
        pid = os.fork()
        if pid == 0:
            _work_here(visitor.sock, self.keeper, what, work)
        pidfd = os.pidfd_open(pid)

        def ended() -> None:
            visitor.on_hangup = None
            self.loop.forget(pidfd)
            os.close(pidfd)
            _, status = os.waitpid(pid, 0)
            if status:
                visitor.refuse(ProcchiError(f"{what} ended with status {status}: try again"))
                self.loop.later(SWEEP_SECONDS, self._sweep)
            visitor.finish()

        visitor.on_hangup = lambda: signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        self.loop.readable(pidfd, ended)

    def _sweep(self) -> None:
        """Clear away what a killed pull was unpacking."""
        clean = self.keeper.store.clean
        self.keeper.clearing.in_a_child(clean, "what a killed pull left", lambda: None)


def _descriptors() -> int:
    """How many this process has open; the directory's size says so since Linux 6.2."""
    return os.stat("/proc/self/fd").st_size or len(os.listdir("/proc/self/fd"))


def _work_here(
    sock: socket.socket, keeper: Keeper, what: str, work: Callable[[Wire], dict[str, Any]]
) -> None:
    """In the forked child: work, and tell the client what came of it. Never returns."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        mine = os.dup(sock.fileno())
        close_all_but({mine})
        wire = Wire(socket.socket(fileno=mine))
        wire.sock.setblocking(True)
        try:
            wire.send(work(wire))
        except ProcchiError as error:
            wire.send({"error": str(error), "kind": error.kind})
        except Exception as error:
            keeper.complain(f"{what}: {type(error).__name__}: {error}")
            wire.send({"error": f"{what} failed: {type(error).__name__}: {error}", "kind": "error"})
    except BaseException:
        os._exit(1)
    os._exit(0)


class Visitor:
    """One connection: a request, its descriptors, and what is still to be sent back."""

    def __init__(self, server: Server, sock: socket.socket) -> None:
        self.server, self.sock = server, sock
        self.descriptors: list[int] = []
        self.open = True
        self.on_message: Callable[[dict[str, Any]], None] | None = None
        """What a further message means to the request under way."""
        self.on_hangup: Callable[[], None] | None = None
        self._asked = False
        self._incoming = b""
        self._outgoing = bytearray()
        self._finished = False
        server.loop.readable(sock.fileno(), self._read)

    def is_behind(self) -> bool:
        """Whether it has not read what was sent before."""
        return bool(self._outgoing)

    def say(self, message: dict[str, Any]) -> None:
        """Send a message; more may follow."""
        if not self.open:
            return
        self._outgoing += encode(message)
        self._write()
        if len(self._outgoing) > LONGEST_BACKLOG:
            self.hang_up()

    def answer(self, message: dict[str, Any]) -> None:
        """Send the last message, and close."""
        self.say(message)
        self.finish()

    def refuse(self, error: ProcchiError) -> None:
        """Send an error, and close."""
        self.answer({"error": str(error), "kind": error.kind})

    def finish(self) -> None:
        """Close, once all is sent."""
        self._finished = True
        if not self._outgoing:
            self.hang_up()

    def hang_up(self) -> None:
        """Close now."""
        if not self.open:
            return
        self.open = False
        self.server.loop.forget(self.sock.fileno())
        self._close_descriptors()
        self.sock.close()
        if self.on_hangup:
            self.on_hangup()

    def _close_descriptors(self) -> None:
        for fd in self.descriptors:
            os.close(fd)
        self.descriptors = []

    def _write(self) -> None:
        try:
            while self._outgoing:
                del self._outgoing[: self.sock.send(self._outgoing[: 1 << 20])]
        except BlockingIOError:
            self.server.loop.writable(self.sock.fileno(), self._write_more)
        except OSError:
            self.hang_up()

    def _write_more(self) -> None:
        self._write()
        if self._finished and not self._outgoing:
            self.hang_up()

    def _read(self) -> None:
        try:
            data, descriptors, _, _ = socket.recv_fds(self.sock, 1 << 16, MOST_DESCRIPTORS)
        except BlockingIOError:
            return
        except OSError:
            self.hang_up()
            return
        if self._asked:
            _close(descriptors)  # they belong to a request, and there is one a connection
        else:
            self.descriptors += descriptors
        if not data:
            self.hang_up()
            return
        *lines, self._incoming = (self._incoming + data).split(b"\n")
        for line in lines:
            if self.open:
                self._hear(line)
        if self.open and len(self._incoming) > LONGEST_REQUEST:
            self.refuse(BadRequest(f"a request may have {LONGEST_REQUEST} bytes at most"))

    def _hear(self, line: bytes) -> None:
        try:
            message = json.loads(line)
            if not isinstance(message, dict):
                raise ValueError("not an object")
            if not self._asked:
                self._asked = True
                self.server.carry_out(self, message)
                self._close_descriptors()
            elif self.on_message:
                self.on_message(message)
        except ProcchiError as error:
            self.refuse(error)
        except NONSENSE as error:
            self.refuse(BadRequest(f"the request makes no sense: {type(error).__name__}: {error}"))
        except Exception as error:
            self.refuse(
                ProcchiError(f"the nest could not do that: {type(error).__name__}: {error}")
            )
            raise


def _close(descriptors: Sequence[int]) -> None:
    for fd in descriptors:
        os.close(fd)
