"""`python -m engine.nest DATA RUNTIME [WHY]`: become this user's nest, unless there is one already.

WHY is what was said where a scope with limits was asked for in vain.
"""

from __future__ import annotations

import fcntl
import gc
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from functools import partial

from engine import cgroups, idmap
from engine.feeding import eat
from engine.forkserver import ForkServer
from engine.handover import leave_keys_behind
from engine.hatching import live
from engine.nest.homecoming import come_home
from engine.nest.keeper import Keeper
from engine.nest.loop import Loop
from engine.nest.server import Server
from engine.nest.watching import Observatory
from engine.places import Places, make_private
from engine.syswrap.notice import IN
from engine.wire import address

LOOK_SECONDS = 2.0
"""How often we look for our socket where the kernel cannot tell that it is gone."""
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
        serve(places, tell, "; ".join(sys.argv[3:]))
        code = 0
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.filename:
            why = f"{error.filename}: {error.strerror}"
        os.write(tell, why.encode())
        raise
    finally:
        os._exit(code)


def serve(places: Places, ready: int, why: str) -> None:
    """Be the nest until told to stop. Writes `ready` into the pipe `ready` when it listens.

    `why` says why there are no more limits than are found, where that is known.
    """
    lock = os.open(f"{places.runtime}/nest.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # fcntl(2)'s own kind, which no child inherits: a flock(2) would be held by one that is
        # frozen in a pet's group, and no nest could take a dead one's place until it wakes.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # another one is there, or will be in a moment
        os.write(ready, b"ready")
        return
    os.umask(0o022)
    leave_keys_behind()
    _leave_signals_behind()
    _redirect(places.log)
    _raise_descriptor_limit()
    complain = partial(_complain, places.log)
    loop = Loop(complain)
    observatory = Observatory(loop)
    found = cgroups.detect(places.group)
    found.why = "; ".join(filter(None, (found.why, why)))
    ids = idmap.for_this_user()
    forks = ForkServer({"live": partial(live, ids, found), "eat": partial(eat, ids)})
    # Nobody can listen before they are all at home.
    keeper = Keeper(loop, places, found, ids, forks, observatory.keep, complain)
    observatory.keeper = keeper
    come_home(keeper)
    keeper.tell = observatory.tell
    if keeper.lives_in(keeper.cgroups):
        keeper.ceiling.apply(keeper.grouped())
    else:
        keeper.cgroups.remove()  # looking made it; it is made again with the first pet
    listener = _listen(places)
    Server(loop, listener, keeper, observatory)
    loop.until((signal.SIGTERM, signal.SIGINT, signal.SIGHUP))
    sock = f"{places.runtime}/nest.sock"
    mine = inode(sock)

    def is_there() -> None:
        if inode(sock) != mine:  # nobody can reach us any more, and another nest may be there
            loop.stop()

    _when_changed(keeper, places.runtime, is_there)
    # What is there now stays: no collection touches it, so no forked child copies its pages.
    gc.collect()
    gc.freeze()
    os.write(ready, b"ready")
    os.close(ready)
    loop.run()
    forks.close()
    if inode(sock) == mine:
        os.unlink(sock)


def _when_changed(keeper: Keeper, directory: str, look: Callable[[], None]) -> None:
    """Call `look` after something has been taken out of `directory`, or it has gone itself."""
    gone = IN.DELETE | IN.MOVED_FROM | IN.DELETE_SELF | IN.MOVE_SELF
    try:
        keeper.notices.watch(directory, gone, look)
    except OSError:

        def again() -> None:
            look()
            keeper.loop.later(LOOK_SECONDS, again)

        again()


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


def _leave_signals_behind() -> None:
    """Let every signal do its usual again, whatever it did to whoever started us.

    What is ignored or blocked stays so over fork and execve, and so in every pet; and where
    SIGCHLD is ignored no child is left to be waited for (wait(2)). What Python ignores for itself
    stays, until handover.settle.
    """
    for number in signal.valid_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _redirect(log: str) -> None:
    """Our own output goes to the log, which starts anew once it has grown large. Raises OSError."""
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


def _complain(log: str, text: str) -> None:
    try:
        if os.fstat(2).st_size > NEST_LOG_LIMIT:
            _redirect(log)
        os.write(2, f"{time.strftime('%Y-%m-%dT%H:%M:%S')} {text}\n".encode())
    except OSError:  # a full disk must not end the nest that complains of it
        pass


if __name__ == "__main__":
    sys.exit(main())
