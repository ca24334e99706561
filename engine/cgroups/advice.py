"""Why an ordinary user has no limits here, and what helps: one line a student can act on."""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
from typing import NamedTuple

from engine.cgroups.delegation import runtime_directory

AS_ROOT = "sudo ./run, or sudo procchi-tui where it is installed: root's nest has limits"
_DROP_IN = "/etc/systemd/system/user@.service.d/delegate.conf"


class Host(NamedTuple):
    """What decides whether systemd hands a part of the hierarchy over."""

    unified: bool
    """The controllers are with cgroup v2."""
    container: bool
    wsl: bool
    systemd: bool
    """It is the system's init."""
    manager: bool
    """This user's own manager listens."""
    tool: bool
    """There is a systemd-run to ask it."""


def this_host(unified: bool) -> Host:
    """What can be seen from here."""
    return Host(
        unified=unified,
        container=is_container(),
        wsl="microsoft" in os.uname().release.lower(),
        systemd=os.path.isdir("/run/systemd/system"),
        manager=os.path.exists(f"{runtime_directory()}/bus"),
        tool=any(os.access(f"{place}/systemd-run", os.X_OK) for place in os.get_exec_path()),
    )


MARKERS = ("/.dockerenv", "/run/.containerenv", "/run/systemd/container")


def is_container(root: str = "") -> bool:
    """Whether we are in one, by what systemd-detect-virt(1) goes by, and by the mounted groups.

    What PID 1 was started with only root may read. `root` is where all of it is looked for.
    """
    if any(os.path.exists(f"{root}{marker}") for marker in MARKERS):
        return True
    with contextlib.suppress(OSError), open(f"{root}/proc/1/environ", "rb") as file:
        if any(variable.startswith(b"container=") for variable in file.read().split(b"\0")):
            return True
    with open(
        f"{root}/proc/self/mountinfo"
    ) as file:  # a part of a hierarchy, mounted as if it were all
        fields = [line.split() for line in file if " - cgroup" in line]
    return any(field[3] != "/" for field in fields)


def advice(host: Host, enforced: tuple[str, ...]) -> str:
    """What an ordinary user can do where limits other than those `enforced` are wanted."""
    if enforced:
        return (
            f"have the administrator write `[Service]` and `Delegate=cpu memory pids` to {_DROP_IN}"
            ", then log in anew"
        )
    if host.wsl and not host.systemd:
        return (
            "write `[boot]` and `systemd=true` to /etc/wsl.conf, then `wsl --shutdown` in Windows; "
            f"or {AS_ROOT}"
        )
    if host.container:
        return (
            "this is a container: run Procchi on its host, or start it with `--privileged "
            "--cgroupns=private` and be root in it"
        )
    if not host.systemd:
        return f"no systemd runs here to hand limits over; {AS_ROOT}"
    if not host.unified:
        return (
            "boot with systemd.unified_cgroup_hierarchy=1, for only cgroup v2 can be handed over; "
            f"or {AS_ROOT}"
        )
    if not host.tool or not host.manager:
        return (
            "log in on a console or by ssh (not by su or sudo), where dbus-user-session is "
            f"installed; or `sudo loginctl enable-linger {_name()}`; or {AS_ROOT}"
        )
    return "`procchi nest stop`, and try again: the next nest asks systemd anew; pets live on"


def logout(delegated: bool) -> str:
    """What becomes of an ordinary user's pets when they log out: logind.conf(5), loginctl(1)."""
    if os.path.exists(f"/var/lib/systemd/linger/{_name()}"):
        return "pets live on when you log out (lingering is on)"
    if delegated:
        return "pets end when you log out; `loginctl enable-linger` lets them live on"
    if _kills_on_logout():
        return "pets end when you log out (KillUserProcesses=yes); `loginctl enable-linger` helps"
    return "pets live on when you log out"


def _kills_on_logout() -> bool:
    for path in ["/etc/systemd/logind.conf", *glob.glob("/etc/systemd/logind.conf.d/*.conf")]:
        try:
            with open(path) as file:
                words = {line.replace(" ", "").strip().lower() for line in file}
        except OSError:
            continue
        if words & {"killuserprocesses=yes", "killuserprocesses=true", "killuserprocesses=1"}:
            return True
    return False


def _name() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())
