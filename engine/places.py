"""Where things are kept: eggs and pets in the data directory, the socket in the runtime one.

`PROCCHI_HOME` moves everything, for tests and demonstrations. Otherwise root has
/var/lib/procchi and /run/procchi, and a user the data directory that platformdirs names (XDG).
"""

from __future__ import annotations

import os
import stat
from binascii import crc32

from engine.errors import NestUnreachable


class Places:
    """The two directories of one nest."""

    def __init__(self, data: str, runtime: str) -> None:
        self.data, self.runtime = data, runtime

    @property
    def eggs(self) -> str:
        """The store of eggs."""
        return f"{self.data}/eggs"

    @property
    def pets(self) -> str:
        """One directory a pet, ghosts included."""
        return f"{self.data}/pets"

    @property
    def trash(self) -> str:
        """What is being removed."""
        return f"{self.data}/trash"

    @property
    def log(self) -> str:
        """The nest's own log."""
        return f"{self.data}/nest.log"

    @property
    def group(self) -> str:
        """The control group of this nest: `procchi`, or another one for each other home."""
        if self.data == "/var/lib/procchi":
            return "procchi"
        return f"procchi.{crc32(os.fsencode(self.data)):08x}"


def places() -> Places:
    """This user's places. Nothing is made."""
    if home := os.environ.get("PROCCHI_HOME"):
        home = os.path.abspath(home)
        return Places(home, f"{home}/run")
    if os.geteuid() == 0:
        return Places("/var/lib/procchi", "/run/procchi")
    from platformdirs import user_data_dir  # late: root and PROCCHI_HOME do without

    # Not in XDG_RUNTIME_DIR, which `su` and cron lack: one user would have two nests for one
    # set of pets.
    try:
        data = user_data_dir("procchi", appauthor=False)
    except RuntimeError:  # an older platformdirs gives a path that begins with `~` instead
        data = ""
    if not os.path.isabs(data):
        raise NestUnreachable("you have no home directory: set HOME, or PROCCHI_HOME")
    return Places(data, f"{data}/run")


def make_private(directory: str) -> None:
    """Make `directory` if need be, for this user alone.

    Raises NestUnreachable when it belongs to somebody else or cannot be made: whoever owns the
    runtime directory could pose as the nest.
    """
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)
        found = os.stat(directory)
        if found.st_uid == os.geteuid() and stat.S_IMODE(found.st_mode) & 0o077:
            os.chmod(directory, 0o700)
    except OSError as error:
        raise NestUnreachable(
            f"{directory} cannot be made ({error.strerror}): set PROCCHI_HOME to another place"
        ) from error
    if found.st_uid != os.geteuid():
        raise NestUnreachable(
            f"{directory} belongs to user {found.st_uid}: set PROCCHI_HOME to a directory of yours"
        )
