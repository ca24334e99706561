"""A nest in which one step of hatching fails: `python faulty_nest.py DATA RUNTIME STEP WHEN`.

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
from engine.steps import Step


def main() -> int:
    name, when = sys.argv[3:5]
    (number,) = [n for n, step in enumerate(hatching.STEPS) if step.name == name]
    step = hatching.STEPS[number]

    def fail(house: House) -> None:
        if when == "after":
            step.execute(house)
            if step.side == "nest" and house.child is not None and house.child.pid == 0:
                return  # the clone's other side: the failure is the nest's alone
        raise OSError(errno.EIO, os.strerror(errno.EIO), "injected")

    hatching.STEPS[number] = Step(step.name, step.side, step.syscalls, step.why, fail)
    return nest.main()


if __name__ == "__main__":
    sys.exit(main())
