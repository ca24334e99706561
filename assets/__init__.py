"""What is drawn or listed, not computed: sprites, themes, names. Read with importlib.resources."""

import tomllib
from importlib.resources import files
from typing import Any


def text(name: str) -> str:
    """The content of the asset file `name`."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


def table(name: str) -> dict[str, Any]:
    """The content of the TOML asset file `name`."""
    return tomllib.loads(text(name))
