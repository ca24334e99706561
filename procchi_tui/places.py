"""Where the face keeps what it remembers."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_state_path


def state_directory() -> Path:
    """The directory for what outlives a session; PROCCHI_HOME moves it with everything else."""
    home = os.environ.get("PROCCHI_HOME")
    return Path(home) / "face" if home else user_state_path("procchi")
