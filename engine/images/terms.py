"""What a pull is held to, whatever it pulls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from engine.images.bounds import Bounds
from engine.images.platforms import Platform
from engine.model import Progress


class Terms(NamedTuple):
    """Carried from the words to the egg."""

    pins: Mapping[str, str]
    """As Egg has them."""
    sha256: str | None
    """Hexadecimal digits: of the file as it is, or of a registry's manifest or index."""
    platform: Platform
    """Which of an image's variants."""
    progress: Callable[[Progress], None]
    """Told how far it is; what it raises ends the pull."""
    bounds: Bounds
    """How much may be fetched and unpacked."""
    made_for: Platform | None = None
    """What it runs on where it is no image, if the catalogue says so; else it is for here."""
