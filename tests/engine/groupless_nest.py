"""A nest that finds less than there is: `python groupless_nest.py DATA RUNTIME [CONTROLLER]`.

No control groups at all, as on the same machine without systemd's help, or in a container; or, on
cgroup v1, all but one controller. Everything else is the real nest.
"""

from __future__ import annotations

import os
import sys

from engine import cgroups
from engine.cgroups import Cgroups
from engine.cgroups.none import NoCgroups
from engine.cgroups.v1 import V1Cgroups
from engine.nest import __main__ as nest

detect = cgroups.detect


def less(name: str = "procchi") -> Cgroups:
    if not lacking:
        return NoCgroups("none is to be found here")
    found = detect(name)
    assert isinstance(found, V1Cgroups)
    os.rmdir(found.bases[lacking])
    bases = {key: base for key, base in found.bases.items() if key != lacking}
    return V1Cgroups(bases, found.enforced, found.why)


if __name__ == "__main__":
    lacking = sys.argv.pop() if len(sys.argv) > 3 else ""
    cgroups.detect = less
    sys.exit(nest.main())
