"""Textual's driver for terminals, with stops and continues that it survives."""

from __future__ import annotations

import asyncio
import signal
from typing import Any

from textual.drivers.linux_driver import LinuxDriver


class TerminalDriver(LinuxDriver):
    """Gives the terminal back on SIGTSTP, and takes it anew on SIGCONT, whatever stopped it.

    Textual does both wherever it is interrupted, and takes it anew without having given it back
    where SIGSTOP was the cause. Two threads read the keys then, one of them waits for ever for a
    key that the other has got, and whoever waits for that thread hangs.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        loop = asyncio.get_running_loop()  # between two callbacks nothing is half-done
        loop.add_signal_handler(signal.SIGTSTP, self._sigtstp_application)
        loop.add_signal_handler(signal.SIGCONT, self._sigcont_application)

    def _sigcont_application(self, *_: object) -> None:
        if self._auto_restart and not self._must_signal_resume:
            self.suspend_application_mode()
        super()._sigcont_application()
