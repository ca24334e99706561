"""The nest's door: who may come in, what they ask, and what they are answered."""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
from collections.abc import Callable, Sequence
from typing import Any

from engine import images
from engine.errors import BadRequest, NestUnreachable, ProcchiError
from engine.model import now
from engine.nest import kitchen
from engine.nest.hatchery import Hatchery
from engine.nest.keeper import Keeper
from engine.nest.loop import Loop
from engine.nest.watching import Observatory, Watcher
from engine.syswrap import close_all_but
from engine.wire import LONGEST_REQUEST, MOST_DESCRIPTORS, PROTOCOL, Wire, encode

LONGEST_BACKLOG = 64 << 20
"""Bytes not yet read by a client. One that lets more pile up is hung up on."""


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
        except OSError:  # gone again, or no descriptor left: it may try again
            return
        sock.setblocking(False)
        credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        _, uid, _ = struct.unpack("iII", credentials)
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
            case "care":
                visitor.answer(keeper.care(message["name"]))
            case "sleep" | "wake":
                dweller = keeper.freeze(message["name"], op == "sleep")
                visitor.answer({"pet": keeper.describe(dweller).to_json()})
            case "diet":
                dweller = keeper.diet(message["name"], message["limits"])
                visitor.answer({"pet": keeper.describe(dweller).to_json()})
            case "release":
                keeper.release(message["name"], visitor.answer, visitor.refuse)
            case "eggs":
                visitor.answer({"eggs": [egg.to_json() for egg in keeper.store.eggs()]})
            case "remove-egg":
                keeper.remove_egg(message["name"])
                visitor.answer({})
            case "pull":
                self._pull(visitor, message)
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

    def _pull(self, visitor: Visitor, message: dict[str, Any]) -> None:
        """Pull in a process of its own, which answers by itself; hanging up ends it."""
        keeper = self.keeper
        pid = os.fork()
        if pid == 0:
            _pull_here(visitor.sock, keeper, message)
        pidfd = os.pidfd_open(pid)

        def ended() -> None:
            visitor.on_hangup = None
            self.loop.forget(pidfd)
            os.close(pidfd)
            _, status = os.waitpid(pid, 0)
            if status:
                visitor.refuse(ProcchiError(f"pulling ended with status {status}: try again"))
            visitor.finish()

        visitor.on_hangup = lambda: signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        self.loop.readable(pidfd, ended)


def _pull_here(sock: socket.socket, keeper: Keeper, message: dict[str, Any]) -> None:
    """In the forked child: pull, telling the client how far it is. Never returns."""
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        mine = os.dup(sock.fileno())
        close_all_but({mine})
        wire = Wire(socket.socket(fileno=mine))
        wire.sock.setblocking(True)
        try:
            egg = images.pull(
                str(message.get("reference") or "home"),
                store=keeper.store,
                name=message.get("name"),
                sha256=message.get("sha256"),
                progress=lambda progress: wire.send({"progress": progress}),
            )
            wire.send({"egg": egg.to_json()})
        except ProcchiError as error:
            wire.send({"error": str(error), "kind": error.kind})
        except Exception as error:
            keeper.complain(f"pull {message}: {type(error).__name__}: {error}")
            wire.send(
                {"error": f"pulling failed: {type(error).__name__}: {error}", "kind": "error"}
            )
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
            # Rare: it reads slowly. Look again soon, rather than watch for a second event.
            self.server.loop.later(0.01, self._write_more)
        except OSError:
            self.hang_up()

    def _write_more(self) -> None:
        if self.open:
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
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.refuse(BadRequest(f"the request makes no sense: {type(error).__name__}: {error}"))
        except Exception as error:
            self.refuse(
                ProcchiError(f"the nest could not do that: {type(error).__name__}: {error}")
            )
            raise


def _close(descriptors: Sequence[int]) -> None:
    for fd in descriptors:
        os.close(fd)
