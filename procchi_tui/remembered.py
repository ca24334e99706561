"""What the face remembers from one session to the next, such as the theme chosen last."""

from __future__ import annotations

import json
import os
from pathlib import Path


class Remembered:
    """A few texts by name, in a file of their own.

    Nothing that matters to pets: where the file cannot be read or written, nothing is remembered.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known = self._read()

    def _read(self) -> dict[str, str]:
        try:
            known = json.loads(self._file.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        if not isinstance(known, dict):
            return {}
        return {name: value for name, value in known.items() if isinstance(value, str)}

    def get(self, name: str) -> str:
        """What was noted under `name`; empty when nothing was."""
        return self._known.get(name, "")

    def note(self, name: str, value: str) -> None:
        """Remember `value` under `name`."""
        if self.get(name) == value:
            return
        # Another session may have noted something meanwhile.
        self._known = self._read() | {name: value}
        whole = self._file.with_suffix(f".{os.getpid()}")
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            whole.write_text(json.dumps(self._known, indent=1) + "\n", encoding="utf-8")
            whole.replace(self._file)
        except OSError:
            pass
