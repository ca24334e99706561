"""Sending a blocking call off the screen's loop.

Threads of our own rather than Textual's thread workers: those live in an executor that is
joined at exit, so that a pull from a dead server would keep the program from quitting.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread

from textual.message import Message
from textual.message_pump import MessagePump

from engine import ProcchiError
from procchi_tui.messages import Trouble


def post(target: MessagePump, message: Message) -> None:
    """Post `message` to `target` from any thread; nothing happens when the session is over."""
    try:
        target.post_message(message)
    except RuntimeError:  # the loop is closed: nobody is looking any more
        pass


def send(target: MessagePump, errand: Callable[[], Message | None]) -> None:
    """Run `errand` in a thread and post the message that it returns to `target`.

    What goes wrong is posted as `Trouble`, in one line.
    """

    def run() -> None:
        try:
            answer = errand()
        except (ProcchiError, OSError) as error:
            answer = Trouble(str(error))
        except Exception as error:
            answer = Trouble(f"something unexpected: {type(error).__name__}: {error}")
        if answer is not None:
            post(target, answer)

    Thread(target=run, name="errand", daemon=True).start()
