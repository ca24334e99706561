"""Asking servers: what may go well in a moment is tried again, and nothing is waited for long."""

from __future__ import annotations

import email.utils
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, TypeVar

import requests
import urllib3.exceptions
from requests.adapters import HTTPAdapter

from engine.errors import PullFailed

T = TypeVar("T")

TRIES = 4
"""In a row that bring nothing new."""
PAUSE = 0.5
"""Seconds before the second try, doubled before each further one."""
LONGEST_PAUSE = 10.0
"""Seconds; also the most that a server's Retry-After is obeyed."""
TIMEOUTS = (10.0, 30.0)
"""Seconds to connect, and to wait for anything more to arrive."""
PATIENCE = 60.0
"""Seconds for a whole answer, or for each block of a large one, however it drips."""
BLOCK = 1 << 16
HEADERS = {"Accept-Encoding": "identity", "User-Agent": "procchi"}


class Trusting(HTTPAdapter):
    """Speaks TLS with whom this machine trusts, as other programs on it do.

    That is OpenSSL's store, where `update-ca-certificates` puts a school's own CA and which
    SSL_CERT_FILE and SSL_CERT_DIR move; requests adds the certificates that it brings along.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        super().__init__()

    def init_poolmanager(self, *arguments: Any, **keywords: Any) -> None:
        """Have every connection made by our rules."""
        super().init_poolmanager(*arguments, **keywords, ssl_context=self._context)

    def proxy_manager_for(self, *arguments: Any, **keywords: Any) -> Any:
        """Likewise through a proxy."""
        return super().proxy_manager_for(*arguments, **keywords, ssl_context=self._context)


def session(trust: ssl.SSLContext | None = None) -> requests.Session:
    """Connections to servers that `trust` accepts, or this machine; to be closed."""
    made = requests.Session()
    made.mount("https://", Trusting(trust or ssl.create_default_context()))
    return made


class TryAgain(Exception):
    """What failed may go well in a moment."""

    def __init__(self, why: str, pause: float = 0.0) -> None:
        super().__init__(why)
        self.pause = pause


def persistently(attempt: Callable[[], T], have: Callable[[], int] = lambda: 0) -> T:
    """`attempt()`'s result, tried again as long as it brings more, by what `have` says.

    Raises PullFailed after a few tries in vain.
    """
    failures, best = 0, have()
    while True:
        try:
            with _ways_to_fail():
                return attempt()
        except TryAgain as error:
            failures = 1 if have() > best else failures + 1
            best = max(best, have())
            if failures >= TRIES:
                kept = "; what has come is kept for the next pull" if best else ""
                raise PullFailed(f"{error} (tried {TRIES} times{kept})") from None
            pause = max(error.pause, PAUSE * 2 ** (failures - 1))
            time.sleep(min(pause, LONGEST_PAUSE))


@contextmanager
def _ways_to_fail() -> Iterator[None]:
    try:
        yield
    except requests.exceptions.SSLError as error:
        raise PullFailed(_distrust(reason(error))) from None
    except requests.TooManyRedirects:
        raise PullFailed("redirects in circles") from None
    except ValueError as error:  # urllib's own, and those of requests that are about a URL
        raise PullFailed(f"is no http URL, or leads to none: {error}") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        if _is_unknown_host(error):
            raise PullFailed(f"{reason(error)}: is there a network?") from None
        raise TryAgain(reason(error)) from None


def _distrust(why: str) -> str:
    if "alert" in why.lower():  # it is the other side that hangs up
        return (
            f"does not trust us: {why}: if it wants a certificate, put NAME.cert and NAME.key into "
            "/etc/containers/certs.d/HOST"
        )
    if "self-signed" in why or "local issuer" in why:
        return f"cannot be trusted: {why}: if its CA is your own, name its file in SSL_CERT_FILE"
    return f"cannot be trusted: {why}"


def _innermost(error: BaseException) -> BaseException:
    """urllib3 wraps what the system said several times."""
    while inner := getattr(error, "reason", None) or error.__cause__ or error.__context__:
        if not isinstance(inner, BaseException):
            break
        error = inner
    return error


def _is_unknown_host(error: BaseException) -> bool:
    inner = _innermost(error)
    return isinstance(inner, socket.gaierror) and inner.errno == socket.EAI_NONAME


def reason(error: BaseException) -> str:
    """The innermost reason, on one line, without the system's number for it."""
    inner = _innermost(error)
    said = (isinstance(inner, OSError) and inner.strerror) or str(inner)
    text = " ".join(said.split())
    return text.rpartition(">: ")[2][:200] or type(inner).__name__


def refusal(answer: requests.Response) -> str:
    """How an answer that brings nothing is to be said. Raises TryAgain where waiting may help.

    Raises PullFailed when the server asks to wait long.
    """
    said = f"answers {answer.status_code} {answer.reason or ''}".rstrip()
    if answer.status_code == 429 or answer.status_code >= 500:
        pause = _retry_after(answer.headers.get("Retry-After", ""))
        if pause > LONGEST_PAUSE:
            raise PullFailed(f"{said}: it asks to be left alone for {pause:.0f} s")
        raise TryAgain(said, pause)
    return said


def check_way(answer: requests.Response) -> None:
    """Raises PullFailed where https led over plain http, if only for one hop."""
    way = [one.url.startswith("https:") for one in (*answer.history, answer)]
    if way[0] and not all(way):
        raise PullFailed(
            "redirects to plain http, where anybody can change it: "
            "give the file's digest with --sha256"
        )


def body(answer: requests.Response, most: int, what: str) -> bytes:
    """All of an answer. Raises PullFailed where it is more than `most` bytes."""
    found = bytearray()
    length = answer.headers.get("Content-Length", "")
    if not (length.isdecimal() and int(length[:18]) > most):
        for block in answer.raw.stream(BLOCK, decode_content=False):
            found += block
            if len(found) > most:
                break
        else:
            if length.isdecimal() and len(found) < int(length[:18]):
                raise TryAgain(f"ended after {len(found)} of {length} bytes")
            return bytes(found)
    raise PullFailed(f"has {what} of more than {most} bytes")


def _retry_after(text: str) -> float:
    """Seconds: a number of them, or a date (RFC 9110, section 10.2.3)."""
    if text.isdecimal():
        return float(text[:9])
    try:
        return email.utils.parsedate_to_datetime(text).timestamp() - time.time()
    except (ValueError, OverflowError):
        return 0.0


class Patience:
    """Ends, by a signal, what takes longer than PATIENCE.

    A socket's own timeout counts from each byte anew: a server that sends one every few
    seconds would hold us for ever.
    """

    def __enter__(self) -> Patience:
        self._handler = signal.signal(signal.SIGALRM, self._end)
        self.renew()
        return self

    def renew(self) -> None:
        """Something has come: wait as long again for more."""
        signal.setitimer(signal.ITIMER_REAL, PATIENCE)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, self._handler)

    def _end(self, *_: Any) -> None:
        raise TryAgain(f"is too slow: no answer, or no {BLOCK} bytes more of it, in {PATIENCE:g} s")
