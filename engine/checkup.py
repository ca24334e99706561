"""What this machine has for pets, what it lacks, and what to do about it.

Nothing is guessed from a version or a distribution's name where it can be tried: a user
namespace is made and mounted in, as hatching does it, in a process of its own. That process is
this module run by itself, since the caller may have threads and must not be forked.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

from engine import idmap
from engine.cgroups import detect
from engine.cgroups.advice import advice, logout, this_host
from engine.cgroups.delegation import UNIT, in_a_scope
from engine.cgroups.detection import mounted
from engine.errors import ProcchiError
from engine.model import GIB, Check, format_size
from engine.places import places
from engine.syswrap import CLONE, MS, call, mount

OLDEST_KERNEL = (5, 12)
"""mount_setattr(2) is of 5.12; overlays in user namespaces are of 5.11."""
LEAST_ROOM = GIB // 2
"""Bytes: an egg of a usual distribution, and what its pets write."""
ATTEMPT_SECONDS = 30

Attempts = Mapping[str, str]
"""What was tried in a user namespace, in order: its name, and the kernel's refusal or nothing."""


def doctor() -> list[Check]:
    """Every check. Takes about a tenth of a second, and leaves nothing behind."""
    attempts = _attempts()
    return [
        _kernel(),
        _python(),
        *_sysctls(refused=any(attempts.values())),
        _user_namespace(attempts),
        _mounts(attempts),
        _ids(),
        _cgroups(),
        *_logout(),
        *_ceiling(),
        _room(),
        _home_egg(),
    ]


def _kernel() -> Check:
    release = platform.release()
    numbers = tuple(int(part) for part in release.split("-")[0].split(".")[:2] if part.isdecimal())
    ok = numbers >= OLDEST_KERNEL
    wanted = ".".join(map(str, OLDEST_KERNEL))
    return Check("kernel", ok, f"Linux {release}", "" if ok else f"run Linux {wanted} or later")


def _python() -> Check:
    ok = sys.version_info >= (3, 11)
    return Check(
        "python", ok, platform.python_version(), "" if ok else "install Python 3.11 or later"
    )


SWITCHES: dict[str, tuple[Callable[[int], bool], str, str]] = {
    "user.max_user_namespaces": (
        lambda value: value > 0,
        "how many user namespaces one user may have",
        "15000",
    ),
    "kernel.unprivileged_userns_clone": (
        lambda value: value == 1,
        "1 lets ordinary users make user namespaces (Debian's switch)",
        "1",
    ),
    "kernel.apparmor_restrict_unprivileged_userns": (
        lambda value: value == 0,
        "1 takes the privileges in user namespaces from ordinary users (Ubuntu 23.10 and later)",
        "0",
    ),
}
"""Settings that can forbid user namespaces: is it fine, what does it mean, what should it be."""


def _sysctls(refused: bool) -> list[Check]:
    """One check for each switch that this kernel has. One that is off does no harm to root."""
    checks = []
    for name, (fine, meaning, wanted) in SWITCHES.items():
        try:
            with open(f"/proc/sys/{name.replace('.', '/')}") as file:
                value = int(file.read())
        except (OSError, ValueError):
            continue
        ok = fine(value) or not refused
        keep = f"echo {name}={wanted} | sudo tee /etc/sysctl.d/60-procchi.conf"
        remedy = "" if ok else f"sudo sysctl -w {name}={wanted}; to keep it: {keep}"
        checks.append(Check(name, ok, f"{value} ({meaning})", remedy))
    return checks


def _user_namespace(attempts: Attempts) -> Check:
    refusal = attempts["user namespace"]
    if not refusal:
        return Check("user namespaces", True, "made one, and became its root")
    remedy = (
        "allow them by the setting that is marked above; inside a container, start that with "
        "`--security-opt seccomp=unconfined`; otherwise ask whoever runs this machine"
    )
    return Check("user namespaces", False, refusal, remedy)


MOUNT_REMEDIES = {
    "proc": "inside a container, start that with `--security-opt systempaths=unconfined`",
    "tmpfs": "allow mounts in user namespaces by the setting that is marked above",
    "overlay": "set PROCCHI_HOME to a directory on ext4, xfs, btrfs or tmpfs (not on an overlay)",
}


def _mounts(attempts: Attempts) -> Check:
    tried = {name: refusal for name, refusal in attempts.items() if name in MOUNT_REMEDIES}
    refused = {name: refusal for name, refusal in tried.items() if refusal}
    if not tried:
        return Check("mounts", False, "not tried, for want of a user namespace", "see above")
    if not refused:
        return Check("mounts", True, f"mounted {', '.join(tried)} in a user namespace")
    return Check(
        "mounts",
        False,
        "; ".join(f"{name}: {refusal}" for name, refusal in refused.items()),
        "; ".join(MOUNT_REMEDIES[name] for name in refused),
    )


def _ids() -> Check:
    own = idmap.for_this_user()
    if not own.single:
        extent = own.uids[-1]
        found = f"a pet's users are the host's from {extent.outside} on ({extent.length} of them)"
        return Check("ids", True, found)
    if not shutil.which("newuidmap"):
        remedy = "sudo apt-get install uidmap (Fedora, Arch: shadow-utils, shadow)"
    else:
        remedy = "sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER"
    found = "one id only: every file in a pet belongs to its root, and apt-get cannot change users"
    return Check("ids", False, found, remedy)


def _cgroups() -> Check:
    try:
        kind, enforced, why = _cgroup_facts()
    except ProcchiError as error:
        return Check("limits", False, f"no nest can tell: {error}", "mend that, and look again")
    loose = [limit for limit in ("memory", "cpu", "pids") if limit not in enforced]
    if not loose:
        soft = "" if kind == "v2" else "; a soft limit on memory takes cgroup v2"
        return Check("limits", True, f"memory, cpu and pids are enforced ({why}){soft}")
    found = f"{', '.join(loose)} cannot be enforced ({why})"
    if os.geteuid() != 0:
        host = this_host(unified=_is_unified())
        return Check("limits", False, found, advice(host, tuple(enforced)))
    if kind == "none":
        remedy = (
            "sudo mount -t cgroup2 none /sys/fs/cgroup; inside a container, start that with "
            "`--privileged --cgroupns=private`"
        )
    else:
        remedy = f"boot with a kernel that has the {', '.join(loose)} controllers"
    return Check("limits", False, found, remedy)


def _is_unified() -> bool:
    """Whether cgroup v2 has the controllers."""
    mount = mounted().unified
    if mount is None:
        return False
    with open(f"{mount}/cgroup.controllers") as file:
        return "memory" in file.read().split()


def _logout() -> list[Check]:
    """What becomes of the pets then, where a nest knows how it was started."""
    from engine.client import nest_status

    if os.geteuid() == 0:
        return []
    delegated = UNIT in nest_status().get("cgroup", {}).get("why", "")
    return [Check("logout", True, logout(delegated))]


def _ceiling() -> list[Check]:
    """What all pets together may use, if a nest is there to say."""
    from engine.client import nest_status

    ceiling = nest_status().get("ceiling")
    if ceiling is None or not (ceiling["enforced"] or ceiling["why"]):
        return []  # without control groups there is none, which the check of limits says
    memory = format_size(ceiling["memory"]) if ceiling["memory"] else "unlimited"
    cpu, pids = (ceiling[name] or "unlimited" for name in ("cpu", "pids"))
    found = f"all pets together: {memory} of memory, CPUs: {cpu}, processes: {pids}"
    if ceiling["why"]:
        return [Check("ceiling", False, ceiling["why"], "choose another: procchi nest ceiling")]
    return [Check("ceiling", True, found)]


def _cgroup_facts() -> tuple[str, list[str], str]:
    """Kind, enforced limits, and why, from the nest that has them; by looking where none runs.

    Raises ProcchiError where a nest would have to start, and does not.
    """
    from engine.client import nest_status, start_nest

    status = nest_status()
    if not status["running"] and in_a_scope([]):
        status = start_nest()  # only a nest of its own can tell what it is given
    if status["running"]:
        facts = status["cgroup"]
        return facts["kind"], facts["enforced"], facts["why"]
    found = detect(places().group)
    try:
        return found.kind, list(found.enforced), found.why
    finally:
        found.remove()


def _room() -> Check:
    home = places().data
    free = shutil.disk_usage(_nearest(home)).free
    ok = free >= LEAST_ROOM
    remedy = "" if ok else "procchi eggs rm NAME, or set PROCCHI_HOME to where there is more room"
    return Check("room", ok, f"{format_size(free)} free for {home}", remedy)


def _nearest(path: str) -> str:
    """`path`, or the nearest of its parents that exists."""
    while not os.path.isdir(path):
        path = os.path.dirname(path)
    return path


def _home_egg() -> Check:
    shell = shutil.which("sh")
    if shell:
        return Check("home egg", True, f"can be cooked around {shell}")
    remedy = "install a shell (busybox will do), or pull another egg: procchi pull ROOTFS.tar.gz"
    return Check("home egg", False, "no shell is found in PATH", remedy)


def _attempts() -> Attempts:
    """What `_try_everything` says, run in a process of its own."""
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    paths = [here, *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "engine.checkup"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=ATTEMPT_SECONDS,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )
        attempts: dict[str, str] = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError) as error:
        return {"user namespace": f"the attempt itself failed ({type(error).__name__})"}
    return attempts


def _try_everything() -> Attempts:
    """Make a user namespace and mount in it, as hatching does. Needs a process of one thread."""
    with tempfile.TemporaryDirectory(
        prefix="procchi-doctor-", dir=_nearest(places().data), ignore_cleanup_errors=True
    ) as base:
        own = idmap.for_this_user()
        try:
            for name in ("lower", "upper", "work", "root", "proc", "tmpfs"):
                os.mkdir(f"{base}/{name}")
                call("chown", os.chown, f"{base}/{name}", own.root_uid, own.root_gid)
            os.chmod(base, 0o755)  # the map's root is nobody here
            return _in_a_namespace(base, own)
        except (OSError, ProcchiError) as error:
            return {"user namespace": str(error)}
        finally:
            if os.path.isdir(f"{base}/work/work"):  # overlayfs leaves it without any permission
                os.chmod(f"{base}/work/work", 0o700)


def _in_a_namespace(base: str, own: idmap.IdMap) -> Attempts:
    results, report = os.pipe()
    namespaces = CLONE.NEWNS | CLONE.NEWPID | CLONE.NEWNET | CLONE.NEWIPC | CLONE.NEWUTS
    child = idmap.clone_mapped(namespaces, own)
    if child.pid == 0:
        os.chdir(base)
        os.write(report, json.dumps(_mount_everything(own)).encode())
        os._exit(0)
    os.close(report)
    with open(results) as file:
        said = file.read()
    os.waitpid(child.pid, 0)
    os.close(child.pidfd)
    attempts: dict[str, str] = json.loads(said)
    return attempts


def _mount_everything(own: idmap.IdMap) -> Attempts:
    attempts: dict[str, str] = {}

    def attempt(name: str, act: Callable[[], Any]) -> None:
        try:
            act()
            attempts[name] = ""
        except OSError as error:
            attempts[name] = str(error)

    options = "lowerdir=lower,upperdir=upper,workdir=work,userxattr"
    quiet = MS.NOSUID | MS.NODEV | MS.NOEXEC
    attempt("user namespace", lambda: idmap.become_root(own))
    attempt("private", lambda: mount(None, "/", None, MS.REC | MS.PRIVATE))
    attempt("proc", lambda: mount("proc", "proc", "proc", quiet))
    attempt("tmpfs", lambda: mount("tmpfs", "tmpfs", "tmpfs", quiet))
    attempt("overlay", lambda: mount("overlay", "root", "overlay", 0, options))
    return attempts


if __name__ == "__main__":
    print(json.dumps(_try_everything()))
