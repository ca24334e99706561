"""Where the face finds its settings, and keeps what it remembers."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from platformdirs import user_config_path, user_downloads_path, user_state_path

from engine import NestUnreachable


def config_file() -> Path:
    """The configuration file, whether it is there or not; PROCCHI_HOME moves it, too.

    Raises NestUnreachable for somebody without a home directory.
    """
    home = os.environ.get("PROCCHI_HOME")
    try:
        return (Path(home) if home else user_config_path("procchi")) / "config.toml"
    except RuntimeError as error:
        raise NestUnreachable("you have no home directory: set HOME, or PROCCHI_HOME") from error


def state_directory() -> Path:
    """The directory for what outlives a session; PROCCHI_HOME moves it with everything else."""
    home = os.environ.get("PROCCHI_HOME")
    return Path(home) / "face" if home else user_state_path("procchi")


def pictures_directory() -> Path:
    """Where pictures are saved; made if need be, as a server's user has none."""
    pictures = user_downloads_path()
    with suppress(OSError):  # saving there will say so
        pictures.mkdir(parents=True, exist_ok=True)
    return pictures
