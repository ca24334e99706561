"""The session in a browser: a real headless Chromium, the real engine, and those kept out."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from playwright.sync_api import Page, WebSocket, sync_playwright

import engine
from procchi_tui.emulator import Emulator
from tests.tui.test_real_nest import PATIENCE_SECONDS, nest

__all__ = ["nest"]

CHROMIUM = "/usr/bin/chromium"


class Tab:
    """A page, and what the terminal in it shows: its frames drawn by a terminal of ours."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._terminal = Emulator(300, 100, lambda reply: None)
        self.elsewhere: list[str] = []
        page.on("websocket", self._connected)
        page.on("request", lambda request: self.elsewhere.append(request.url))

    def _connected(self, websocket: WebSocket) -> None:
        websocket.on("framereceived", self._received)

    def _received(self, payload: str | bytes) -> None:
        if isinstance(payload, bytes):
            self._terminal.feed(payload)

    def forget(self) -> None:
        """Know nothing of what was shown so far."""
        self._terminal = Emulator(300, 100, lambda reply: None)

    def screen(self) -> str:
        return "\n".join(
            "".join(char.data for char in self._terminal.line(y)).rstrip() for y in range(100)
        )

    def until(self, *words: str) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not all(word in self.screen() for word in words):
            assert time.monotonic() < deadline, f"never seen: {words}\n{self.screen().strip()}"
            self._page.wait_for_timeout(50)

    def press(self, *keys: str) -> None:
        for key in keys:
            self._page.keyboard.press(key)

    def type(self, text: str) -> None:
        self._page.keyboard.type(text)


@pytest.fixture
def address(nest: None) -> Iterator[str]:
    """`procchi-tui --web`, and the address that it prints."""
    # Without the terminal's size, which would overrule the page's.
    environment = {k: v for k, v in os.environ.items() if k not in ("COLUMNS", "LINES")}
    server = subprocess.Popen(
        [sys.executable, "-m", "procchi_tui", "--web", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        assert server.stdout is not None
        found = re.search(r"http://\S+", server.stdout.readline())
        assert found
        yield found[0]
        server.send_signal(signal.SIGINT)
        assert server.wait(timeout=PATIENCE_SECONDS) == 0
    finally:
        server.kill()
        server.wait()


@pytest.fixture
def page() -> Iterator[Page]:
    assert Path(CHROMIUM).exists(), "Debian's chromium is needed: see .ci/packages"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1300, "height": 800})
        browser.close()


def test_a_pet_hatches_and_eats_in_a_browser(address: str, page: Page, tmp_path: Path) -> None:
    tab = Tab(page)
    page.goto(address)
    tab.until("The nest is empty.")
    assert "token" not in page.url

    page.locator("#terminal").click()
    tab.press("n")
    tab.until("Hatch a pet")
    tab.press("Enter", "Enter")
    tab.until("moka", "1 pet")
    [pet] = engine.pets()
    assert pet.pid is not None
    assert os.readlink(f"/proc/{pet.pid}/ns/net") != os.readlink("/proc/self/ns/net")

    tab.press("f")
    tab.until("feed moka")
    tab.type("hostname; echo $((6 * 7)) > /tmp/eaten; exit 7")
    tab.press("Enter")
    tab.until("Exit status 7")
    assert engine.feed("moka", ["cat", "/tmp/eaten"]).stdout == b"42\n"
    tab.press("Escape")
    tab.until("t Talk")
    tab.press("t")
    tab.until("moka: a shell inside")
    tab.type("echo talked > /tmp/said; exit 3")
    tab.press("Enter")
    tab.until("ended with status 3")
    assert engine.feed("moka", ["cat", "/tmp/said"]).stdout == b"talked\n"

    tab.forget()
    page.reload()
    tab.until("▸ moka", "1 pet", f"pid {pet.pid}")
    assert engine.look("moka").status == "alive", "a closed page is no reason to die"
    host = address.partition("/?")[0]
    loaded = [
        url for url in tab.elsewhere if not url.startswith((host, host.replace("http", "ws")))
    ]
    assert [url for url in loaded if "fonts.googleapis" not in url] == []


def test_nobody_without_the_token(address: str) -> None:
    host, _, token = address.partition("/?token=")
    for path in ("/", "/ws", "/static/js/textual.js", "/download/x", "/?token=", "/?token=é"):
        assert requests.get(host + path, timeout=10).status_code == 403
    wrong = token[:-1] + ("a" if token[-1] != "a" else "b")
    assert requests.get(f"{host}/?token={wrong}", timeout=10).status_code == 403
    cookies = {f"procchi-{host.rpartition(':')[2]}": wrong}
    assert requests.get(host, cookies=cookies, timeout=10).status_code == 403


def test_no_page_from_elsewhere_may_use_the_cookie(address: str, page: Page) -> None:
    host, _, token = address.partition("/?token=")
    page.goto(address)
    Tab(page).until("The nest is empty.")  # its nest runs, and will be stopped
    port = host.rpartition(":")[2]
    cookies = {f"procchi-{port}": token}
    upgrade = {
        "Connection": "Upgrade", "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }  # fmt: skip
    for origin in ("http://evil.example", f"http://127.0.0.1:{int(port) - 1}", "null", None):
        headers = upgrade | ({} if origin is None else {"Origin": origin})
        answer = requests.get(f"{host}/ws", cookies=cookies, headers=headers, timeout=10)
        assert answer.status_code == 403, origin
    # The browser's own word for it: a page of no origin of ours, with the cookie in the jar.
    page.goto("data:text/html,<p>elsewhere")
    opened = page.evaluate(
        """address => new Promise(done => {
            const socket = new WebSocket(address);
            socket.onopen = () => done("open");
            socket.onerror = () => done("refused");
        })""",
        host.replace("http", "ws") + "/ws",
    )
    assert opened == "refused"


def test_where_nobody_can_listen(address: str) -> None:
    port = address.partition("/?")[0].rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "procchi_tui", "--web", "--port", port],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith(f"procchi: nobody can listen at 127.0.0.1 port {port}: ")
    assert done.stderr.count("\n") == 1
