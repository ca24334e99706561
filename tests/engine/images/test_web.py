"""Pulling from the web: what works, and each way in which it does not."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from engine.errors import NoSuchEgg, ProcchiError, PullFailed
from engine.images import pull, web
from engine.images.bounds import Bounds
from engine.images.catalogue import offers
from engine.images.store import Store
from engine.model import Progress
from tests.engine.images.conftest import Server
from tests.engine.images.puller import killed_when


def test_from_the_web(egg_file: Path, server: Server, store: Store) -> None:
    seen: list[Progress] = []
    egg = pull(server.url("good/egg.tar.gz"), store=store, progress=seen.append)
    assert egg == store.egg("egg")
    size = egg_file.stat().st_size
    assert Progress("downloading", size, size) in seen
    assert os.listdir(store.downloads) == []


def test_a_redirect(egg_file: Path, server: Server, store: Store) -> None:
    assert pull(server.url("moved/egg.tar.gz"), store=store).name == "egg"


def test_a_password_in_the_url_is_used_and_not_kept(
    egg_file: Path, server: Server, store: Store
) -> None:
    url = server.url("good/egg.tar.gz").replace("://", "://ann:secret@")
    egg = pull(url, store=store)
    assert server.requests()[0]["Authorization"] == "Basic YW5uOnNlY3JldA=="
    assert egg.source == server.url("good/egg.tar.gz")
    with pytest.raises(NoSuchEgg) as error:
        pull(url.replace("egg.", "none."), store=store)
    assert "secret" not in str(error.value)


def starts(server: Server) -> list[int]:
    """From which byte on each request asked."""
    ranges = [request["Range"] or "bytes=0-" for request in server.requests()]
    return [int(asked.removeprefix("bytes=").removesuffix("-")) for asked in ranges]


def test_a_connection_that_breaks_is_taken_up(
    egg_file: Path, server: Server, store: Store, impatient: None
) -> None:
    pull(server.url("cut/100000/egg.tar.gz"), store=store)
    first, second, third = starts(server)
    assert first == 0 < second < third < egg_file.stat().st_size
    assert [bool(request["If-Range"]) for request in server.requests()] == [False, True, True]


@pytest.mark.usefixtures("egg_file", "impatient")
def test_without_ranges_it_starts_again(server: Server, store: Store) -> None:
    pull(server.url("plain-cut/100000/egg.tar.gz"), store=store)
    assert starts(server) == [0, 0]


@pytest.mark.usefixtures("egg_file", "impatient")
def test_a_file_that_has_changed_is_fetched_anew(server: Server, store: Store) -> None:
    assert pull(server.url("changed/egg.tar.gz"), store=store).size == 250_000
    first, second = starts(server)
    assert first == 0 < second, "the rest was asked for, and the whole came"


@pytest.mark.usefixtures("egg_file", "impatient")
def test_another_part_than_asked_for_is_not_used(server: Server, store: Store) -> None:
    url = server.url("wrong-part/200000/egg.tar.gz")
    assert pull(url, store=store).size == 250_000
    first, second, third = starts(server)
    assert first == third == 0 < second


def test_it_goes_on_where_a_killed_pull_stopped(
    egg_file: Path, content: bytes, server: Server, store: Store
) -> None:
    big = egg_file.with_name("big")
    big.write_bytes(content + bytes(1_000_000))  # gzip allows zeros after its end
    with killed_when(store, server.url("drip/big"), "downloading 500000"):
        pass
    assert store.eggs() == []
    (part,) = (path for path in Path(store.downloads).iterdir() if path.suffix == ".part")
    have = part.stat().st_size
    assert have >= 500_000
    assert pull(server.url("drip/big"), store=store).size == 250_000
    assert starts(server) == [0, have]
    assert os.listdir(store.downloads) == []


def test_what_was_fetched_whole_is_not_fetched_again(
    egg_file: Path, content: bytes, server: Server, store: Store
) -> None:
    with killed_when(store, server.url("good/egg.tar.gz"), f"downloading {len(content)}"):
        pass
    pull(server.url("good/egg.tar.gz"), store=store)
    assert starts(server) == [0, len(content)], "the second answer is 416: there is no more"


@pytest.mark.usefixtures("egg_file", "impatient")
def test_a_server_that_is_busy_for_a_moment(server: Server, store: Store) -> None:
    pull(server.url("busy/2/egg.tar.gz"), store=store)
    assert len(server.requests()) == 3


@pytest.mark.usefixtures("egg_file", "impatient", "nothing_is_left")
@pytest.mark.parametrize("how", ["good", "endless"])
def test_no_more_is_fetched_than_may_be_unpacked(how: str, server: Server, store: Store) -> None:
    with pytest.raises(PullFailed, match=r"more than 98K .*PROCCHI_BOUNDS=size=195K"):
        pull(server.url(f"{how}/egg.tar.gz"), store=store, bounds=Bounds(size=100_000))


@pytest.mark.usefixtures("egg_file", "impatient", "nothing_is_left_but_notes")
@pytest.mark.parametrize(
    ("path", "error", "said"),
    [
        ("good/nothing.tar", NoSuchEgg, "404 Not Found"),
        ("status/403/x", PullFailed, "answers 403 Forbidden"),
        ("status/429/x", PullFailed, "answers 429 Too Many Requests"),
        ("status/500/x", PullFailed, "answers 500"),
        ("html/egg.tar.gz", PullFailed, "a web page"),
        ("circle/x", PullFailed, "redirects in circles"),
        ("long/egg.tar.gz", PullFailed, "tried 4 times"),
        ("short/egg.tar.gz", PullFailed, "ends too early"),
    ],
)
def test_what_servers_do(
    path: str, error: type[ProcchiError], said: str, server: Server, store: Store
) -> None:
    with pytest.raises(error, match=said) as raised:
        pull(server.url(path), store=store, name="x")
    line = str(raised.value)
    assert line.startswith(server.url(path))
    assert line.isprintable()


@pytest.fixture
def nothing_is_left_but_notes(store: Store) -> Iterator[None]:
    """What a failed download leaves is the beginning of a file, for the next one; never an egg."""
    yield
    for place in ("eggs", "layers/sha256", "archives/sha256", "staging"):
        assert os.listdir(f"{store.directory}/{place}") == []


def test_no_hop_of_a_redirect_is_over_plain_http(
    egg_file: Path, content: bytes, server: Server, safe_server: Server, store: Store
) -> None:
    """Whoever sits on that hop leads to an archive of theirs, over https again."""
    safe = safe_server.url("good/egg.tar.gz")
    there_and_back = safe_server.leading_to(server.leading_to(safe))
    (egg_file.parent / "class.toml").write_text("[x]\nfrom = 'debian'\n")
    listed = safe_server.leading_to(server.leading_to(safe_server.url("good/class.toml")))
    for refused in (there_and_back, safe_server.leading_to(server.url("good/egg.tar.gz"))):
        with pytest.raises(PullFailed, match="redirects to plain http"):
            pull(refused, store=store)
    with pytest.raises(PullFailed, match="redirects to plain http"):
        offers(listed)
    assert pull(safe_server.leading_to(safe), store=store).name == "x"
    digest = hashlib.sha256(content).hexdigest()
    assert pull(there_and_back, store=store, sha256=digest, name="known").name == "known"


def test_nobody_there(store: Store, impatient: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with pytest.raises(PullFailed, match="Connection refused") as error:
        pull(f"http://127.0.0.1:{port}/egg.tar", store=store)
    assert "Errno" not in str(error.value)


def test_a_short_name_that_the_catalogue_does_not_have(
    store: Store, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever asks the registry for it is told where the short names are."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{closed.getsockname()[1]}")
    with pytest.raises(PullFailed, match="Connection refused") as error:
        pull("nosuchname", store=store)
    hint = "(the catalogue has no 'nosuchname': see `procchi eggs --catalogue`)"
    assert str(error.value).endswith(hint)
    for words in ("owner/nosuchname", "nosuchname:1"):
        with pytest.raises(PullFailed) as error:
            pull(words, store=store)
        assert "catalogue" not in str(error.value)


def test_a_server_that_falls_silent(
    egg_file: Path,
    server: Server,
    store: Store,
    impatient: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(web, "TIMEOUTS", (1.0, 0.2))
    with pytest.raises(PullFailed, match="tried 4 times"):
        pull(server.url("stuck/egg.tar.gz"), store=store)


def test_a_wrong_digest_from_the_web(
    egg_file: Path, server: Server, store: Store, nothing_is_left: None
) -> None:
    with pytest.raises(PullFailed, match="was asked for"):
        pull(server.url("good/egg.tar.gz"), store=store, sha256="0" * 64)


def test_a_broken_archive_from_the_web_is_not_kept(
    egg_file: Path, content: bytes, server: Server, store: Store, nothing_is_left: None
) -> None:
    egg_file.write_bytes(content[:-20])
    with pytest.raises(PullFailed, match="ends too early"):
        pull(server.url("good/egg.tar.gz"), store=store)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "http://",
            "https://",
            "HTTPS://:80/",
            "http:///x.tar",
            "http://a b/x.tar",
            "https://[::1/x",
            "http://h:99999/x.tar",
        ),
        *("file://[x", "[::::1]:5000/x", "localhost:99999/x"),
    ],
)
@pytest.mark.parametrize("name", ["x", None])
def test_urls_that_are_none(url: str, name: str | None, store: Store, impatient: None) -> None:
    with pytest.raises(ProcchiError) as error:
        pull(url, store=store, name=name)
    assert str(error.value).isprintable()
    assert "URL" in str(error.value)
    assert "--name" not in str(error.value)


@pytest.mark.parametrize("name", ["x", None])
def test_what_skopeo_calls_a_registry(name: str | None, store: Store) -> None:
    with pytest.raises(ProcchiError, match="docker") as error:
        pull("docker://alpine:3.20", store=store, name=name)
    assert "--name" not in str(error.value) and "an image in a registry" in str(error.value)


@pytest.mark.parametrize("place", ["http://[", "http://h:99999/", "http://h:abc/", "file:///etc"])
def test_redirects_to_what_is_no_url(
    place: str, server: Server, store: Store, impatient: None
) -> None:
    with pytest.raises(PullFailed, match="no http URL, or leads to none") as error:
        pull(server.leading_to(place), store=store)
    assert str(error.value).isprintable()
