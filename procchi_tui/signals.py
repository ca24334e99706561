"""The signals that one sends by hand (signal(7)), and what they mean."""

from __future__ import annotations

import signal

SIGNALS = {
    signal.SIGTERM: "asks it to end",
    signal.SIGINT: "what Ctrl-C sends",
    signal.SIGHUP: "to many daemons: read your settings anew",
    signal.SIGQUIT: "what Ctrl-\\ sends",
    signal.SIGUSR1: "means what the program makes of it",
    signal.SIGUSR2: "means what the program makes of it",
    signal.SIGWINCH: "its window has another size",
    signal.SIGSTOP: "stops it; cannot be refused",
    signal.SIGCONT: "lets it go on after a stop",
    signal.SIGKILL: "ends it; cannot be refused",
}
NOTE = (
    "A pet's PID 1 never sees a signal that it has no handler for: pid_namespaces(7). "
    "SIGKILL and SIGSTOP from here always work."
)
