"""What an ordinary user without limits is told to do, on each kind of host."""

from __future__ import annotations

import pathlib

import pytest

from engine.cgroups.advice import Host, advice, is_container

GOOD = Host(unified=True, container=False, wsl=False, systemd=True, manager=True, tool=True)


@pytest.mark.parametrize(
    ("host", "enforced", "helps"),
    [
        (GOOD, ("memory", "pids"), "Delegate=cpu memory pids"),
        (GOOD._replace(wsl=True, systemd=False), (), "systemd=true"),
        (GOOD._replace(wsl=True), (), "procchi nest stop"),
        (GOOD._replace(container=True, systemd=False), (), "--cgroupns=private"),
        (GOOD._replace(systemd=False), (), "no systemd runs here"),
        (GOOD._replace(unified=False), (), "systemd.unified_cgroup_hierarchy=1"),
        (GOOD._replace(manager=False), (), "not by su or sudo"),
        (GOOD._replace(tool=False), (), "dbus-user-session"),
        (GOOD, (), "procchi nest stop"),
    ],
)
def test_each_host_has_its_remedy(host: Host, enforced: tuple[str, ...], helps: str) -> None:
    said = advice(host, enforced)
    assert helps in said
    assert "\n" not in said and len(said) < 220


@pytest.mark.parametrize(
    ("path", "content", "expected"),
    [
        ("proc/1/environ", "HOME=/\0TERM=linux\0", False),
        ("proc/1/environ", "HOME=/\0container=podman\0", True),
        (".dockerenv", "", True),
        ("run/.containerenv", "", True),
        ("run/systemd/container", "systemd-nspawn\n", True),
        ("proc/self/mountinfo", "32 31 0:30 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n", False),
        ("proc/self/mountinfo", "32 31 0:30 /a/b /sys/fs/cgroup rw - cgroup2 none rw\n", True),
    ],
)
def test_a_container_is_known_by_what_it_is_made_of(
    tmp_path: pathlib.Path, path: str, content: str, expected: bool
) -> None:
    for name in ("proc/1/environ", "proc/self/mountinfo", path):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content if name == path else "")
    assert is_container(str(tmp_path)) is expected
