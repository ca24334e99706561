"""A nest in which one step of hatching fails: `python faulty_nest.py DATA RUNTIME STEP WHEN [PET]`.

The step raises what a kernel would, before or after it has done its work. Everything else is the
real nest.
"""

from __future__ import annotations

import errno
import os
import sys

from engine import hatching
from engine.hatching import House
from engine.nest import __main__ as nest


def main() -> int:
    name, when, *whose = sys.argv[3:]
    del sys.argv[3:]
    (number,) = [n for n, step in enumerate(hatching.STEPS) if step.name == name]
    step = hatching.STEPS[number]

    def fail(house: House) -> None:
        if when == "after":
            step.execute(house)
        if whose and house.its.name not in whose:
            return
        raise OSError(errno.EIO, os.strerror(errno.EIO), "injected")

    hatching.STEPS[number] = step._replace(execute=fail)
    return nest.main()


if __name__ == "__main__":
    sys.exit(main())
