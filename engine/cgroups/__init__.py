"""Control groups: one interface, three kinds, chosen by looking and never by guessing.

`detect` returns the kind that this process can really use here:

- v2: the unified hierarchy (Documentation/admin-guide/cgroup-v2.rst);
- v1: memory, cpu, cpuacct, pids and freezer, each in a hierarchy of its own (cgroup-v1/*.rst);
- none: no control groups; what processes use is read from /proc, and nothing is enforced.
"""

from engine.cgroups.detection import detect, find_again
from engine.cgroups.group import Cgroups, Group, in_place

__all__ = ["Cgroups", "Group", "detect", "find_again", "in_place"]
