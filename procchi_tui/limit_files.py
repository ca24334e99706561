"""The file of a pet's control group that holds a limit: the kinds of control groups differ."""

from __future__ import annotations

_V2 = {
    "memory": "memory.max",
    "memory_high": "memory.high",
    "swap": "memory.swap.max",
    "cpu": "cpu.max",
    "pids": "pids.max",
}
_V1 = {
    "memory": "memory.limit_in_bytes",
    "cpu": "cpu.cfs_quota_us",
    "pids": "pids.max",
}
_OF_KIND = {"v2": _V2, "v1": _V1}


def limit_file(cgroup: str, limit: str) -> str:
    """Its name under that kind of control groups; empty where there is no such file."""
    return _OF_KIND.get(cgroup, {}).get(limit, "")
