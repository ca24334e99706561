"""Who the user is to a registry: what `docker login` and `podman login` have put down.

docker's config.json and podman's auth.json are one format (containers-auth.json(5)); a
credential helper is a program that is asked for the secret instead
(docker/docker-credential-helpers). Nothing is ever written here.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from engine.errors import PullFailed
from engine.images.reference import DOCKER_HUB, Reference

_HUB_KEY = "https://index.docker.io/v1/"
"""What docker calls its own registry in its files."""
_HELPER = re.compile(r"[A-Za-z0-9._-]+", re.ASCII)
_HELPER_SECONDS = 30
_TOKEN_USER = "<token>"


class Credentials(NamedTuple):
    """A name and password, or an identity token in place of both."""

    user: str
    password: str
    identity_token: str = ""

    @property
    def basic(self) -> str:
        """For an Authorization header (RFC 7617)."""
        pair = f"{self.user}:{self.password}".encode()
        return f"Basic {base64.b64encode(pair).decode()}"


def find(reference: Reference) -> Credentials | None:
    """What the first file that knows the reference's registry says; None for nobody.

    Raises PullFailed where a file or a helper cannot be used.
    """
    for path in _files():
        try:
            with open(path, encoding="utf-8") as file:
                known = json.load(file)
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, ValueError, RecursionError) as error:
            raise PullFailed(f"{path} cannot be used for a login: {error}") from None
        if isinstance(known, dict) and (found := _in_file(known, reference, path)):
            return found
    return None


def _files() -> Iterator[str]:
    """In podman's order: its own files first, then docker's."""
    environment = os.environ
    home = os.path.expanduser("~")
    if said := environment.get("REGISTRY_AUTH_FILE"):
        yield said
        return
    if runtime := environment.get("XDG_RUNTIME_DIR"):
        yield f"{runtime}/containers/auth.json"
    yield f"/run/containers/{os.geteuid()}/auth.json"
    yield f"{environment.get('XDG_CONFIG_HOME') or f'{home}/.config'}/containers/auth.json"
    yield f"{environment.get('DOCKER_CONFIG') or f'{home}/.docker'}/config.json"


def _in_file(known: Mapping[str, Any], reference: Reference, path: str) -> Credentials | None:
    helpers, logins, store = (known.get(key) for key in ("credHelpers", "auths", "credsStore"))
    there = [key for names in (helpers, logins) if isinstance(names, dict) for key in names]
    keys = list(_keys(reference, there))
    if isinstance(helpers, dict) and (key := next((key for key in keys if key in helpers), None)):
        if helpers[key]:
            return _from_helper(str(helpers[key]), key)
        store = None  # as docker has it: for this registry there is no helper, and the file counts
    if isinstance(logins, dict):
        for key in keys:
            if isinstance(login := logins.get(key), dict) and (found := _login(login, path)):
                return found
    if isinstance(store, str) and store:
        return _from_helper(store, _HUB_KEY if reference.host == DOCKER_HUB else reference.host)
    return None


def _keys(reference: Reference, there: Sequence[str]) -> Iterator[str]:
    """What a login for it may be filed under: a part of its name, the longest first.

    Or any URL of its registry, if one is `there`, as docker takes them.
    """
    name = f"{reference.host}/{reference.repository}"
    while name:
        yield name
        name = name.rpartition("/")[0]
    if reference.host == DOCKER_HUB:
        yield from (_HUB_KEY, "index.docker.io", "registry-1.docker.io")
    yield from (key for key in there if key.partition("://")[2].partition("/")[0] == reference.host)


def _login(login: Mapping[str, Any], path: str) -> Credentials | None:
    token = login.get("identitytoken")
    if isinstance(token, str) and token:
        return Credentials("", "", token)
    if not isinstance(login.get("auth"), str):
        return None
    try:
        text = "".join(login["auth"].split())  # base64(1) breaks its lines, and docker minds not
        pair = base64.b64decode(text, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise PullFailed(f"{path} has a login that is no base64: log in again") from None
    user, colon, password = pair.partition(":")
    return Credentials(user, password.rstrip("\0")) if colon else None


def _from_helper(name: str, server: str) -> Credentials | None:
    if not _HELPER.fullmatch(name):
        raise PullFailed(f"{name[:40]!r} cannot be a credential helper")
    program = f"docker-credential-{name}"
    try:
        done = subprocess.run(
            [program, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=_HELPER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PullFailed(f"the credential helper {program} cannot be used: {error}") from None
    if done.returncode:
        return None  # "credentials not found in native keychain": nobody has logged in
    try:
        answer = json.loads(done.stdout)
        user, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise PullFailed(f"the credential helper {program} answers with no login") from None
    if user == _TOKEN_USER:
        return Credentials("", "", str(secret))
    return Credentials(str(user), str(secret))
