"""Asking a registry for an image, by the OCI distribution specification.

What comes is held against its digest and size before anything is made of it, so a registry can
refuse an image but not change one that is asked for by digest. A login goes to the registry that
it is for, and to the token server that this registry names, and to nobody else: not along a
redirect (a blob store would answer 400, and could keep it), and not to whoever answers 401 at
the end of one (CVE-2020-15157).
"""

from __future__ import annotations

import ipaddress
import json
import os
import re
import ssl
import urllib.parse
from collections.abc import Mapping
from typing import NamedTuple

import requests

from engine.errors import NoSuchEgg, PullFailed
from engine.images import credentials, manifest, web
from engine.images.manifest import Descriptor, Document
from engine.images.reference import DOCKER_HUB, Reference
from engine.images.saying import shown
from engine.model import MIB

_HUB_HOST = "registry-1.docker.io"
_LARGEST_TOKEN = MIB
"""Bytes of a token server's answer, and of an error's text: as containers/image's bound."""
_PORTS = {"http": 80, "https": 443}
_MOST_REDIRECTS = 5
_REDIRECTS = (301, 302, 303, 307, 308)
_PLAIN_HTTP = "PROCCHI_PLAIN_HTTP"
"""The environment variable that names registries, by commas, which speak no TLS."""
_CERTIFICATES = ("/etc/containers/certs.d", "/etc/docker/certs.d")
"""Where podman and docker look for HOST:PORT/*.crt, *.cert and *.key: containers-certs.d(5)."""
_CHALLENGE = re.compile(r"(?:^|,)\s*(Bearer|Basic)\s+(?=\w+=)", re.IGNORECASE)
_PARAMETER = re.compile(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|([^\s",]+))')
_TOKEN = re.compile(r"[!-~]+")


class _Challenge(NamedTuple):
    """What a 401 asks for (RFC 9110, section 11.6.1)."""

    scheme: str
    parameters: Mapping[str, str]


class Registry:
    """The repository that a reference names. Close it, or use it as a context manager.

    What it raises does not name the reference.
    """

    def __init__(self, reference: Reference) -> None:
        self._reference = reference
        host = _HUB_HOST if reference.host == DOCKER_HUB else reference.host
        name = urllib.parse.urlsplit(f"//{host}").hostname or host
        self._may_be_plain = _is_loopback(name) or host in _said_plain()
        self._base = f"https://{host}"
        self._trust = _trust(host)
        self._known = ssl.create_default_context()  # once: it reads more than a hundred files
        self._authorization: str | None = None
        self._is_near = _is_loopback(name)
        self.reconnect()

    def __enter__(self) -> Registry:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def reconnect(self) -> None:
        """Leave the connections that there are to others: a child must not talk on its parent's."""
        self._session = web.session(self._known)
        if self._trust:
            place = self._base.replace("http:", "https:")
            self._session.mount(f"{place}/", web.Trusting(self._trust))
        self._session.trust_env = not self._is_near  # a proxy is for what is far away

    def reach(self) -> None:
        """Find out whether the registry speaks TLS. Raises PullFailed."""
        if self._may_be_plain:
            web.persistently(self._try_to_reach)

    def document(self, wanted: str | Descriptor) -> Document:
        """The manifest or index under a tag or digest, or that a descriptor names, checked.

        Raises NoSuchEgg or PullFailed.
        """
        named = wanted if isinstance(wanted, Descriptor) else None
        what = named.digest if named else str(wanted)
        accept = {"Accept": ", ".join((*manifest.INDEXES, *manifest.MANIFESTS))}

        def attempt() -> Document:
            with web.Patience(), self._get(f"manifests/{what}", accept) as answer:
                self._refuse(answer)
                media_type = answer.headers.get("Content-Type", "")
                media_type = media_type.partition(";")[0].strip().lower()
                if named and named.media_type != media_type:
                    raise PullFailed(
                        f"has a manifest of the type {shown(media_type)}, "
                        f"and its index promised {shown(named.media_type)}"
                    )
                body = web.body(answer, manifest.LARGEST, "a manifest")
                if named:
                    named.check(body)
                elif what.startswith("sha256:"):
                    manifest.check_digest(body, what)
                else:
                    said = answer.headers.get("Docker-Content-Digest", "")
                    if said.startswith("sha256:"):  # a registry may have it by another sum
                        manifest.check_digest(body, said)
                return Document(media_type, body)

        return web.persistently(attempt)

    def configuration(self, wanted: Descriptor) -> bytes:
        """A small blob, whole and checked. Raises NoSuchEgg or PullFailed."""
        if wanted.size > manifest.LARGEST:
            raise PullFailed(f"has a configuration of {wanted.size} bytes")

        def attempt() -> bytes:
            with web.Patience(), self._get(f"blobs/{wanted.digest}") as answer:
                self._refuse(answer)
                body = web.body(answer, wanted.size, "a configuration")
                wanted.check(body)
                return body

        return web.persistently(attempt)

    def blob(self, digest: str, headers: Mapping[str, str]) -> requests.Response:
        """The answer to asking for a blob, with headers of one's own; its body is not read yet."""
        return self._get(f"blobs/{digest}", headers)

    def _try_to_reach(self) -> None:
        try:
            with web.Patience(), self._ask(f"{self._base}/v2/", {}):
                pass
        except requests.exceptions.SSLError as error:
            if "certificate" in web.reason(error):
                raise  # it speaks TLS, and cannot be trusted
            self._base = self._base.replace("https:", "http:")

    # One request, its redirects, and its one more try once it is known who asks

    def _get(self, path: str, headers: Mapping[str, str] | None = None) -> requests.Response:
        url = f"{self._base}/v2/{self._reference.repository}/{path}"
        headers = {**web.HEADERS, **(headers or {})}
        answer = self._follow(url, headers)
        if answer.status_code == 401 and _origin(answer.url) == _origin(self._base):
            challenges = _challenges(answer.headers.get("WWW-Authenticate", ""))
            answer.close()
            self._authorization = self._authorize(challenges)
            answer = self._follow(url, headers)
        return answer

    def _follow(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        for _ in range(_MOST_REDIRECTS + 1):
            own = _origin(url) == _origin(self._base)
            login = {"Authorization": self._authorization} if own and self._authorization else {}
            try:
                answer = self._ask(url, {**headers, **login})
            except requests.exceptions.SSLError as error:
                if "certificate" in web.reason(error):
                    raise
                host = self._reference.host
                raise PullFailed(
                    f"speaks no TLS; if plain HTTP is meant, say {_PLAIN_HTTP}={host}"
                ) from None
            if answer.status_code not in _REDIRECTS:
                return answer
            answer.close()
            url = _next(url, answer.headers.get("Location", ""))
        raise PullFailed("redirects in circles")

    def _ask(self, url: str, headers: Mapping[str, str]) -> requests.Response:
        return self._session.get(
            url,
            headers=headers,
            stream=True,
            timeout=web.TIMEOUTS,
            allow_redirects=False,
            auth=_as_it_is,
        )

    # Who asks

    def _authorize(self, challenges: list[_Challenge]) -> str:
        """What to say to those challenges. Raises PullFailed where there is nothing to say."""
        login = credentials.find(self._reference)
        for challenge in challenges:
            if challenge.scheme == "bearer":
                return f"Bearer {self._token(challenge.parameters, login)}"
        for challenge in challenges:
            if challenge.scheme == "basic" and login and not login.identity_token:
                return login.basic
        raise PullFailed(self._needs_login())

    def _needs_login(self) -> str:
        host = self._reference.host
        return (
            "answers 401: there is no such image, or it wants a login "
            f"(`podman login {host}` or `docker login {host}`)"
        )

    def _token(self, parameters: Mapping[str, str], login: credentials.Credentials | None) -> str:
        realm = urllib.parse.urlsplit(parameters.get("realm", ""))
        base = urllib.parse.urlsplit(self._base)
        near = realm.hostname == base.hostname or _is_loopback(realm.hostname or "")
        plain = realm.scheme == base.scheme == "http" and near
        if not realm.hostname or not (plain or realm.scheme == "https"):
            raise PullFailed(f"names {realm.geturl()[:80]!r} as its token server: no https URL")
        scope = f"repository:{self._reference.repository}:pull"
        query = {"scope": parameters.get("scope", scope)}
        if "service" in parameters:
            query["service"] = parameters["service"]
        answer = self._ask_for_token(realm, query, login)
        with answer:
            if answer.status_code in (400, 401, 403):
                raise PullFailed(
                    f"its token server answers {answer.status_code}: "
                    + ("it does not take this login" if login else "log in first")
                )
            if answer.status_code != 200:
                raise PullFailed(f"its token server {web.refusal(answer)}")
            body = web.body(answer, _LARGEST_TOKEN, "a token")
        fields = manifest.read_object(body, "a token")
        token = fields.get("token") or fields.get("access_token")
        if not isinstance(token, str) or not _TOKEN.fullmatch(token):
            raise PullFailed("its token server answers with no token")
        return token

    def _ask_for_token(
        self,
        realm: urllib.parse.SplitResult,
        query: dict[str, str],
        login: credentials.Credentials | None,
    ) -> requests.Response:
        url = realm.geturl()
        if login and login.identity_token:  # OAuth 2, as Docker's token specification has it
            form = {**query, "grant_type": "refresh_token", "client_id": "procchi"}
            form["refresh_token"] = login.identity_token
            return self._session.post(
                url,
                data=form,
                headers=web.HEADERS,
                stream=True,
                timeout=web.TIMEOUTS,
                allow_redirects=False,
                auth=_as_it_is,
            )
        more = "&" if realm.query else "?"
        headers = dict(web.HEADERS)
        if login:
            headers["Authorization"] = login.basic
        return self._session.get(
            url + more + urllib.parse.urlencode(query),
            headers=headers,
            stream=True,
            timeout=web.TIMEOUTS,
            allow_redirects=False,
            auth=_as_it_is,
        )

    # What it answers

    def _refuse(self, answer: requests.Response) -> None:
        """Raises for every answer that is none. TryAgain where waiting may help."""
        if answer.status_code == 200:
            return
        if answer.status_code == 401:
            raise PullFailed(self._needs_login())
        said = web.refusal(answer) + _error_text(answer)
        if answer.status_code == 404:
            raise NoSuchEgg(f"{said}: the registry has no such image")
        raise PullFailed(said)


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """In place of requests' own look into ~/.netrc, and at a password in a redirect's URL."""
    return request


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urllib.parse.urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def _next(url: str, location: str) -> str:
    """Where a redirect leads. Raises PullFailed where nobody should go."""
    there = urllib.parse.urljoin(url, location)
    scheme = urllib.parse.urlsplit(there).scheme
    if scheme not in ("http", "https"):
        raise PullFailed(f"redirects to {there[:80]!r}, which is no http URL")
    if scheme == "http" and url.startswith("https:"):
        raise PullFailed("redirects to plain http, where anybody can look on")
    return there


def _challenges(header: str) -> list[_Challenge]:
    """Those of a WWW-Authenticate header that are known here."""
    pieces = _CHALLENGE.split(header)
    return [
        _Challenge(
            scheme.lower(),
            {
                key.lower(): re.sub(r"\\(.)", r"\1", quoted) or plain
                for key, quoted, plain in _PARAMETER.findall(rest)
            },
        )
        for scheme, rest in zip(pieces[1::2], pieces[2::2], strict=True)
    ]


def _error_text(answer: requests.Response) -> str:
    """What the registry says of its refusal, if it says it as the specification has it."""
    try:
        body = json.loads(web.body(answer, _LARGEST_TOKEN, "an error"))
        message = body["errors"][0]["message"]
    except (PullFailed, ValueError, LookupError, TypeError, RecursionError):
        return ""
    return f" ({str(message)[:200]})" if message else ""


def _is_loopback(name: str) -> bool:
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return name == "localhost"


def _said_plain() -> list[str]:
    return [host.strip() for host in os.environ.get(_PLAIN_HTTP, "").split(",")]


def _trust(host: str) -> ssl.SSLContext | None:
    """By the certificates that are there for the registry alone; None where there are none.

    Raises PullFailed.
    """
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.expanduser("~/.config")
    for place in (f"{config}/containers/certs.d", *_CERTIFICATES):
        directory = f"{place}/{host}"
        try:
            names = sorted(os.listdir(directory))
        except OSError:
            continue
        context = ssl.create_default_context()
        for path in (f"{directory}/{name}" for name in names):
            stem, ending = os.path.splitext(path)
            key = f"{stem}.key"
            used = path if ending == ".crt" or os.path.exists(key) else key
            try:
                if ending == ".crt":
                    context.load_verify_locations(path)
                elif ending == ".cert":
                    context.load_cert_chain(path, key)
            except OSError as error:  # ssl.SSLError is one
                raise PullFailed(f"{used} cannot be used: {web.reason(error)}") from None
        return context
    return None
