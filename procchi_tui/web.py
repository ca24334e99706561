"""The session in a browser: textual-serve, with a lock on its door.

Whoever reaches a session owns the pets of the user who runs it. So the address holds a token, made
anew each time, which a visitor trades for a cookie; and a page from elsewhere, which would bring
that cookie along, is told by its Origin (RFC 6454) and refused.
"""

from __future__ import annotations

import secrets
import shlex
import socket
import sys
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import aiohttp_jinja2
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware
from textual_serve.server import Server

from engine import ProcchiError

SHUTDOWN_SECONDS = 2.0
"""How long an open page may hold up the end."""
REFUSED = "procchi-tui: open the address that it printed, with its token\n"


def serve(options: Sequence[str], host: str, port: int) -> int:
    """Serve sessions started with `options` until interrupted. Returns the exit status.

    Raises ProcchiError where nobody can listen at `host` and `port`; port 0 is any free one.
    """
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as error:
        raise ProcchiError(
            f"nobody can listen at {host} port {port}: {error}; choose another with --port"
        ) from None
    with listener:
        door = _Door(shlex.join([sys.executable, "-m", "procchi_tui", *options]), listener)
        print(f"Your pets are at {door.address}")
        print(
            "Whoever has this address has your pets. Ctrl+C ends it; the pets live on.", flush=True
        )
        if not host.startswith("127.") and host not in ("localhost", "::1"):
            print(
                "Others can reach it, and what is typed travels unencrypted: "
                "`ssh -L` to a loopback port is the safer way.",
                file=sys.stderr,
            )
        web.run_app(
            door.application(),
            sock=listener,
            print=None,
            access_log=None,  # it would write the token down
            shutdown_timeout=SHUTDOWN_SECONDS,
        )
    return 0


class _Door(Server):
    """textual-serve's server, for those with the token only."""

    def __init__(self, command: str, listener: socket.socket) -> None:
        host, port = listener.getsockname()[:2]
        super().__init__(command, host, port, title="Procchi")
        self._token = secrets.token_urlsafe(24)
        self._cookie = f"procchi-{port}"  # browsers share cookies among a host's ports
        shown = f"[{host}]" if ":" in host else host
        self.address = f"http://{shown}:{port}/?token={self._token}"

    async def application(self) -> web.Application:
        """What is served."""
        application = await self._make_app()
        application.middlewares.append(self._guard())
        application.on_response_prepare.append(_harden)
        return application

    async def on_startup(self, app: web.Application) -> None:
        """Say nothing: the address has been said."""

    def _guard(self) -> Middleware:
        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            origin = request.headers.get("Origin")
            if origin is None and "Upgrade" in request.headers:
                raise web.HTTPForbidden(text=REFUSED)  # browsers always send it with these
            if origin is not None and urlsplit(origin).netloc != request.host:
                raise web.HTTPForbidden(text=REFUSED)
            if self._is_token(request.query.get("token", "")):
                # Lax, for a link is followed from elsewhere; and the token leaves the address bar.
                response = web.HTTPFound("/")
                response.set_cookie(self._cookie, self._token, httponly=True, samesite="Lax")
                raise response
            if not self._is_token(request.cookies.get(self._cookie, "")):
                raise web.HTTPForbidden(text=REFUSED)
            return await handler(request)

        return guard

    def _is_token(self, given: str) -> bool:
        return secrets.compare_digest(given.encode(), self._token.encode())

    @aiohttp_jinja2.template("app_index.html")
    async def handle_index(self, request: web.Request) -> dict[str, Any]:
        """The page; its parts are fetched by the name that the visitor came by."""
        return {
            "font_size": 16,
            "app_websocket_url": f"ws://{request.host}/ws",
            "config": {"static": {"url": "/static/"}},
            "application": {"name": self.title},
        }


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    """The page asks for a font from elsewhere: nobody elsewhere is to learn of it."""
    response.headers["Content-Security-Policy"] = (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws://{request.host}; "
        "frame-ancestors 'none'; form-action 'none'; base-uri 'none'"
    )
    response.headers["Referrer-Policy"] = "no-referrer"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Cache-Control"] = "no-store"
