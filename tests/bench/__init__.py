"""Benchmarks: run by hand, and in CI as a report. Each figure stands beside its peer's.

Ours are measured as they are once installed: pip compiles what it installs, and what is run from a
checkout is compiled the first time. Where the environment forbids that, each start of a command
or of a nest would be measured with a compiler's work.
"""

import compileall
import pathlib

for package in ("assets", "engine", "procchi_tui"):
    compileall.compile_dir(pathlib.Path(__file__).parents[2] / package, quiet=2)
