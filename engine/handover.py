"""What hatching and feeding end with: our own code gives way to the pet's.

Whoever comes to this point is about to execute a stranger's command, so it keeps nothing that is
not meant for it: no descriptor, no privilege, no setting of the nest's.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
from collections.abc import Iterable, Mapping, Sequence
from typing import NoReturn, TypeVar

from engine.model import Call, StepReport
from engine.steps import Reporter, Step, StepFailed
from engine.syswrap import CAP, call, close_all_but, dump_no_core, join_session_keyring

AnyHouse = TypeVar("AnyHouse")

CAPABILITIES = frozenset(
    {
        CAP.AUDIT_WRITE,
        CAP.CHOWN,
        CAP.DAC_OVERRIDE,
        CAP.FOWNER,
        CAP.FSETID,
        CAP.KILL,
        CAP.MKNOD,
        CAP.NET_BIND_SERVICE,
        CAP.NET_RAW,
        CAP.SETFCAP,
        CAP.SETGID,
        CAP.SETPCAP,
        CAP.SETUID,
        CAP.SYS_CHROOT,
    }
)
"""What docker and podman leave to a container's root."""

ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "TERM": "xterm",
}


def execvpe(
    command: Sequence[str], environment: Mapping[str, str], reporter: Reporter, why: str
) -> None:
    """execve(2) of the first executable that PATH finds; the step is reported before it.

    Raises OSError: ENOENT where there is none, otherwise why the best one could not be. It names no
    file: whoever gave the command knows which it is.
    """
    name, worst = command[0], errno.ENOENT
    path = environment.get("PATH") or ENVIRONMENT["PATH"]
    candidates = [name] if "/" in name else [f"{part or '.'}/{name}" for part in path.split(":")]
    for candidate in candidates:
        try:
            os.stat(candidate)
        except OSError as error:
            if error.errno not in (errno.ENOENT, errno.ENOTDIR):
                worst = error.errno or worst
            continue
        shown = f'"{candidate}", {list(command)}, {len(environment)} variables'
        made = Call("execve", shown, "does not return", 0.0)
        reporter.did(StepReport("execve", why, [made], 0.0))
        reporter.done()
        try:
            os.execve(candidate, list(command), dict(environment))
        except OSError as error:
            worst = errno.EACCES if error.errno == errno.ENOENT else error.errno or worst
            if error.errno == errno.ENOENT:  # it is there: what lacks is its interpreter
                raise OSError(errno.ENOEXEC, "its interpreter is missing") from error
            if error.errno != errno.EACCES:
                raise OSError(error.errno, error.strerror) from error
    raise OSError(worst, os.strerror(worst))


def leave_keys_behind() -> None:
    """Join a session keyring of its own: the nest's belongs to whoever started it (keyrings(7)).

    Done with the nest's ids: a quota counts keyrings by user, and root's is the largest. A kernel
    without keys has none to leave; where the quota is used up, the nest's own empty keyring stays.
    """
    try:
        join_session_keyring()
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EDQUOT):
            raise


def settle(stdio: Sequence[int], kept: set[int], rlimits: Mapping[str, int] | None = None) -> None:
    """Start a session with `stdio`, and no other descriptor but those `kept` until execve.

    Python's own settings are undone: an ignored signal stays ignored over execve, and the nest's
    raised descriptor limit would break programs that close "all" of them. No core is dumped: the
    host would run its handler for it, as root. `rlimits` are those that stand in for limits which
    nobody enforces here (Cgroups.rlimits).
    """
    call("setsid", os.setsid)
    for target, source in enumerate(stdio):
        call("dup2", os.dup2, source, target)
    close_all_but(kept)
    for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    os.umask(0o022)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(1024, hard), hard))
    dump_no_core()
    for name, value in (rlimits or {}).items():
        kind = getattr(resource, f"RLIMIT_{name}")
        _, hard = resource.getrlimit(kind)
        most = value if hard == resource.RLIM_INFINITY else min(value, hard)
        call("setrlimit", resource.setrlimit, kind, (most, most), args=f"RLIMIT_{name}, {most}")


def enter(directory: str, make: bool) -> None:
    """chdir(2) to `directory` in the pet, made first where it is not there and `make` says so.

    Called once no descriptor of the host's is left: a path through /proc/self/fd led out of runc's
    containers (CVE-2024-21626). Raises OSError, also where it leads outside all the same.
    """
    path = os.path.join("/", directory)
    try:
        if make and not os.path.isdir(path):
            call("mkdir", os.makedirs, path, 0o755, True, args=f'"{path}", 0755')
        call("chdir", os.chdir, path)
        os.getcwd()
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise OSError(error.errno, f"its working directory {path!r}: {why}") from error


def run_to_execve(steps: Iterable[Step[AnyHouse]], house: AnyHouse, reporter: Reporter) -> NoReturn:
    """Run the steps, the last of which executes; a refusal is reported and ends the process."""
    try:
        for one in steps:
            reporter.did(one.run(house))
    except StepFailed as error:
        reporter.failed(error)
    except BaseException as error:  # must never unwind into the nest's code
        failure = OSError(errno.EPROTO, f"{type(error).__name__}: {error}")
        reporter.failed(StepFailed("unexpected", failure))
    finally:
        os._exit(1)
