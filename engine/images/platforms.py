"""What an image runs on, and what this machine runs, in the words of Go's GOOS and GOARCH."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable
from typing import NamedTuple

from engine.errors import BadRequest

_ARCHITECTURES = {
    **{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "armv6l": "arm/v6"},
    **{"i686": "386", "ppc64le": "ppc64le", "s390x": "s390x", "riscv64": "riscv64"},
    **{"loongarch64": "loong64"},
}
"""With its variant, by uname's word for a machine."""
_KNOWN = {*(name.partition("/")[0] for name in _ARCHITECTURES.values()), "mips64le", "ppc64"}
_VARIANTS = {"arm64": ("v8", ""), "arm": ("v7", "", "v6", "v5")}
"""The best first; each runs what those after it are for. Arm of no variant counts as v7."""
_NO_VARIANT = ("", "v1")
_EMULATORS = "/proc/sys/fs/binfmt_misc/qemu-*"


class Platform(NamedTuple):
    """What an image runs on."""

    os: str
    architecture: str
    variant: str = ""

    def __str__(self) -> str:
        return "/".join(filter(None, self))

    @property
    def base(self) -> Platform:
        """Without its variant, which a configuration does not always tell."""
        return self._replace(variant="")

    def variants(self) -> list[Platform]:
        """What an index may call it, the best first."""
        among = _VARIANTS.get(self.architecture, _NO_VARIANT)
        if self.variant:
            among = among[among.index(self.variant) :] if self.variant in among else (self.variant,)
        return [self._replace(variant=variant) for variant in among]

    def takes(self, other: Platform) -> bool:
        """Whether an image for `other` is one for this: 64-bit x86 runs the 32-bit ones too."""
        wanted = [self.base]
        if self.architecture == "amd64":
            wanted.append(Platform("linux", "386"))
        return other.base in wanted


def this_platform() -> Platform:
    """What runs on this machine."""
    return _of_machine(os.uname().machine)


def _of_machine(name: str) -> Platform:
    return Platform("linux", *_ARCHITECTURES.get(name, name).split("/"))


def parse(text: str) -> Platform:
    """The platform that `linux/arm64/v8`, or `arm64`, or `aarch64` means. Raises BadRequest."""
    parts = text.strip().lower().split("/")
    system, architecture, *variant = parts if len(parts) > 1 else ["linux", *parts]
    _, architecture, *usual = _of_machine(architecture)
    variant = variant or [one for one in usual if one]
    if system != "linux" or architecture not in _KNOWN or len(variant) > 1:
        known = ", ".join(sorted(_KNOWN))
        raise BadRequest(
            f"platform {text[:40]!r} is not known: write it like linux/arm64 or linux/arm/v7 "
            f"(there are {known})"
        )
    return Platform(system, architecture, *variant)


def runs_here(platform: str, emulators: Callable[[str], list[str]] = glob.glob) -> bool:
    """Whether this machine runs programs for `platform`, natively or by an emulator.

    `platform` is as Egg.platform has it. An emulator is one that the kernel knows of:
    Documentation/admin-guide/binfmt-misc.rst.
    """
    if not platform:
        return True
    wanted = Platform(*[*platform.split("/"), ""][:3])  # eggs of before may have half of one
    if this_platform().takes(wanted):
        return True
    machines = {name for name in _ARCHITECTURES if _of_machine(name).base == wanted.base}
    there = {path.rpartition("qemu-")[2] for path in emulators(_EMULATORS)}
    return bool(there & {*machines, wanted.architecture})
