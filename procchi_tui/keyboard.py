"""One key after the other: each has had its effect before the next one is looked at.

Textual hands a key to the widget in focus at once, and that widget answers a moment later: what is
typed in a burst would meet a screen that has not come up yet, or a field that is about to lose the
focus, and be lost.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from time import monotonic

from textual.app import App, ScreenStackError
from textual.dom import DOMNode
from textual.events import Event

PATIENCE_SECONDS = 1.0
"""How long a widget that is being taken down, or is busy, may hold up what is typed next."""
LOOKED_SECONDS = 0.005
ROUNDS = 2
"""What a key does may be a message of the widget's own, which makes the same way again."""


class Keyboard:
    """What was typed for `app` and has not been handed on; `type_in` hands one thing on."""

    def __init__(self, app: App[None], type_in: Callable[[Event], Awaitable[None]]) -> None:
        self._app = app
        self._type_in = type_in
        self._waiting: deque[Event] = deque()
        self._settling: asyncio.Task[None] | None = None

    async def take(self, event: Event) -> None:
        """Hand on a key or a paste, or keep it until those before have had their effect."""
        self._waiting.append(event)
        await self._hand_on()

    async def _hand_on(self) -> None:
        if self._waiting and self._settling is None:
            try:
                target = self._app.focused or self._app.screen
            except ScreenStackError:  # the session is over, or has not begun
                return
            await self._type_in(self._waiting.popleft())
            self._settling = asyncio.create_task(self._settle(target))

    async def _settle(self, target: DOMNode) -> None:
        """Wait until the key has made its way up from `target`, and what it called for is there."""
        try:
            for _ in range(ROUNDS):
                for node in target.ancestors_with_self:
                    await _caught_up(node)
            deadline = monotonic() + PATIENCE_SECONDS
            while not self._app.screen.is_mounted and monotonic() < deadline:
                await asyncio.sleep(LOOKED_SECONDS)
            await _caught_up(self._app.screen)
        except ScreenStackError:
            pass
        finally:  # whatever went wrong with this one, the keys after it are handed on
            self._settling = None
            self._app.call_later(self._hand_on)


async def _caught_up(node: DOMNode) -> None:
    """Wait until `node` has answered all messages that it has now."""
    passed = asyncio.Event()
    if node.call_later(passed.set):
        try:
            await asyncio.wait_for(passed.wait(), PATIENCE_SECONDS)
        except TimeoutError:
            pass
