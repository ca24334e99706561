"""`python -m engine.nest DATA RUNTIME`: become this user's nest, unless there is one already."""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import signal
import socket
import sys
import time

from engine import cgroups, idmap
from engine.handover import leave_keys_behind
from engine.nest.keeper import Keeper
from engine.nest.loop import Loop
from engine.nest.server import Server
from engine.nest.watching import Observatory
from engine.places import Places, make_private
from engine.wire import address

LOG_SECONDS = 2.0
"""How often the pets' logs are looked at."""
NEST_LOG_LIMIT = 1 << 20


def main() -> int:
    """Start the nest in the background, and return once it listens (or another one does)."""
    places = Places(*sys.argv[1:3])
    make_private(places.data)
    make_private(places.runtime)
    ready, tell = os.pipe2(os.O_CLOEXEC)
    if os.fork():
        os.close(tell)
        said = os.read(ready, 4096).decode(errors="replace")
        if said == "ready":
            return 0
        print(said or f"it ended at once: see {places.log}", file=sys.stderr)
        return 1
    os.close(ready)
    code = 1
    try:
        serve(places, tell)
        code = 0
    except Exception as error:
        os.write(tell, f"{type(error).__name__}: {error}".encode())
        raise
    finally:
        os._exit(code)


def serve(places: Places, ready: int) -> None:
    """Be the nest until told to stop. Writes `ready` into the pipe `ready` when it listens."""
    lock = os.open(f"{places.runtime}/nest.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # another one is there, or will be in a moment
        os.write(ready, b"ready")
        return
    os.umask(0o022)
    leave_keys_behind()
    _redirect(places.log)
    _raise_descriptor_limit()
    loop = Loop(_complain)
    observatory = Observatory(loop)
    keeper = Keeper(
        loop,
        places,
        cgroups.detect(places.group),
        idmap.for_this_user(),
        observatory.tell,
        _complain,
    )
    observatory.keeper = keeper
    keeper.come_home()
    if not keeper.pets:
        keeper.cgroups.remove()  # looking made it; it is made again with the first pet
    listener = _listen(places)
    Server(loop, listener, keeper, observatory)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: loop.stop())

    sock = f"{places.runtime}/nest.sock"
    mine = inode(sock)

    def keep_house() -> None:
        if inode(sock) != mine:  # nobody can reach us any more, and another nest may be there
            loop.stop()
        loop.later(LOG_SECONDS, keep_house)
        keeper.trim_logs()

    keep_house()
    # What is there now stays: no collection touches it, so no forked child copies its pages.
    gc.collect()
    gc.freeze()
    os.write(ready, b"ready")
    os.close(ready)
    loop.run()
    if inode(sock) == mine:
        os.unlink(sock)


def inode(path: str) -> int | None:
    """The number of the file at `path`; None when there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return None


def _listen(places: Places) -> socket.socket:
    directory = os.open(places.runtime, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    path = address(places, directory)
    if os.path.lexists(path):
        os.unlink(path)  # we hold the lock: whoever made it is gone
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(path)
    listener.listen(128)
    listener.setblocking(False)
    os.close(directory)
    return listener


def _redirect(log: str) -> None:
    """Our own output goes to the log, which starts anew once it has grown large."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    if os.path.exists(log) and os.path.getsize(log) > NEST_LOG_LIMIT:
        os.rename(log, f"{log}.old")
    fd = os.open(log, flags, 0o600)
    os.dup2(fd, 1)
    os.dup2(fd, 2)
    os.close(fd)


def _raise_descriptor_limit() -> None:
    """As many descriptors as we may have: each pet's kernel files are kept open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _complain(text: str) -> None:
    try:
        os.write(2, f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n".encode())
    except OSError:  # a full disk must not end the nest that complains of it
        pass


if __name__ == "__main__":
    sys.exit(main())
