"""Typed wrappers over libc for the system calls that pets are made of.

Python's `os` has the rest (and, from 3.12, `unshare` and `setns`; these serve 3.11 too).
Every wrapper raises SyscallError and is written down by `recording()`. Libc is called through
ctypes with `argtypes` set once; `use_errno` keeps errno apart from the interpreter's own calls.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import signal
import struct
import sys
from collections.abc import Iterable, Mapping, Sequence
from ctypes import c_char_p, c_int, c_long, c_uint, c_uint64, c_ulong, c_void_p

from engine.syswrap.constants import (
    AT_FDCWD,
    AT_RECURSIVE,
    CAP,
    CLONE,
    KEYCTL_JOIN_SESSION_KEYRING,
    LINUX_CAPABILITY_VERSION_3,
    MNT,
    MOUNT_ATTR,
    MOVE_MOUNT_F_EMPTY_PATH,
    MS,
    NR_CLONE3,
    NR_KEYCTL,
    NR_MOUNT_SETATTR,
    NR_MOVE_MOUNT,
    NR_OPEN_TREE,
    NR_OPENAT2,
    OPEN_TREE_CLONE,
    PIDFD_GET_INFO,
    PIDFD_INFO_EXIT,
    PR,
    PR_CAP_AMBIENT_CLEAR_ALL,
    RESOLVE,
    SECCOMP_MODE_FILTER,
)
from engine.syswrap.record import SyscallError, call

_libc = ctypes.CDLL(None, use_errno=True)
# clone3 returns twice. PyDLL keeps the GIL across the call, so that the child wakes up holding
# it; CDLL would have it fight for a lock that no thread is left to release.
_pylibc = ctypes.PyDLL(None, use_errno=True)


def _function(name: str, *argtypes: type, library: ctypes.CDLL = _libc) -> ctypes._NamedFuncPointer:
    function = library[name]  # a new object for each signature, never the shared attribute
    function.argtypes = argtypes
    function.restype = c_long if name == "syscall" else c_int
    return function


def _checked(function: ctypes._NamedFuncPointer, *arguments: object) -> int:
    result: int = function(*arguments)
    if result == -1:
        raise OSError(ctypes.get_errno(), "")
    return result


_mount = _function("mount", c_char_p, c_char_p, c_char_p, c_ulong, c_char_p)
_umount2 = _function("umount2", c_char_p, c_int)
_pivot_root = _function("pivot_root", c_char_p, c_char_p)
_syncfs = _function("syncfs", c_int)
_unshare = _function("unshare", c_int)
_setns = _function("setns", c_int, c_int)
_sethostname = _function("sethostname", c_char_p, c_ulong)
_prctl = _function("prctl", c_int, c_ulong, c_ulong, c_ulong, c_ulong)
_capset = _function("capset", c_void_p, c_void_p)
_capget = _function("capget", c_void_p, c_void_p)
_clone3 = _function("syscall", c_long, c_void_p, c_ulong, library=_pylibc)
_open_tree = _function("syscall", c_long, c_int, c_char_p, c_uint)
_move_mount = _function("syscall", c_long, c_int, c_char_p, c_int, c_char_p, c_uint)
_keyctl = _function("syscall", c_long, c_int, c_char_p)
_openat2 = _function("syscall", c_long, c_int, c_char_p, c_void_p, c_ulong)
_mount_setattr = _function("syscall", c_long, c_int, c_char_p, c_uint, c_void_p, c_ulong)

Path = str | bytes
LAST_DESCRIPTOR = 1 << 20
"""More than a process may open unless /proc/sys/fs/nr_open was raised."""


_NAMES: Mapping[type, Sequence[tuple[int, str]]] = {
    kind: [(int(flag), f"{kind.__name__}_{name}") for name, flag in kind.__members__.items()]
    for kind in (CLONE, MNT, MOUNT_ATTR, MS, RESOLVE)
}
"""Of flags, as C writes them; worked out once, for enum's own way takes as long as a mount."""


def _flags(value: int) -> str:
    """A flag's names: CLONE_NEWNS|CLONE_NEWPID."""
    bits = int(value)
    return "|".join(name for bit, name in _NAMES.get(type(value), ()) if bits & bit) or str(bits)


def mount(
    source: Path | None,
    target: Path,
    fstype: str | None = None,
    flags: MS | int = 0,
    data: Path | None = None,
) -> None:
    """mount(2)."""
    call(
        "mount",
        lambda: (
            _checked(
                _mount,
                None if source is None else os.fsencode(source),
                os.fsencode(target),
                None if fstype is None else fstype.encode(),
                int(flags),
                None if data is None else os.fsencode(data),
            )
            and None
        ),
        args=f"{_text(source)}, {_text(target)}, {_text(fstype)}, {_flags(flags)}, {_text(data)}",
        path=os.fsdecode(target),
    )


def _text(value: Path | None) -> str:
    return "NULL" if value is None else f'"{os.fsdecode(value)}"'


def umount2(target: Path, flags: MNT | int = 0) -> None:
    """umount2(2)."""
    call(
        "umount2",
        lambda: _checked(_umount2, os.fsencode(target), int(flags)) and None,
        args=f"{_text(target)}, {_flags(flags)}",
        path=os.fsdecode(target),
    )


def pivot_root(new_root: Path, put_old: Path) -> None:
    """pivot_root(2); `pivot_root(".", ".")` stacks the old root on top of the new one."""
    call(
        "pivot_root",
        lambda: _checked(_pivot_root, os.fsencode(new_root), os.fsencode(put_old)) and None,
        args=f"{_text(new_root)}, {_text(put_old)}",
        path=os.fsdecode(new_root),
    )


def syncfs(fd: int) -> None:
    """syncfs(2): return once all of the filesystem with the open file `fd` is on its disk."""
    call("syncfs", lambda: _checked(_syncfs, fd) and None, args=str(fd))


def chroot(path: Path) -> None:
    """chroot(2)."""
    call("chroot", os.chroot, path, path=os.fsdecode(path))


def unshare(flags: CLONE) -> None:
    """unshare(2)."""
    call("unshare", lambda: _checked(_unshare, int(flags)) and None, args=_flags(flags))


def setns(fd: int, flags: CLONE | int = 0) -> None:
    """setns(2): `fd` is one namespace, or a pidfd with the namespaces to join in `flags` (5.8)."""
    call("setns", lambda: _checked(_setns, fd, int(flags)) and None, args=f"{fd}, {_flags(flags)}")


def sethostname(name: str) -> None:
    """sethostname(2)."""
    raw = name.encode()
    call(
        "sethostname",
        lambda: _checked(_sethostname, raw, len(raw)) and None,
        args=f"{_text(name)}, {len(raw)}",
    )


def prctl(option: PR, arg2: int = 0, arg3: int = 0) -> int:
    """prctl(2)."""
    return call(
        "prctl",
        lambda: _checked(_prctl, int(option), arg2, arg3, 0, 0),
        args=f"PR_{option.name}, {arg2}" + (f", {arg3}" if arg3 else ""),
    )


class _SockFprog(ctypes.Structure):
    """struct sock_fprog of linux/filter.h."""

    _fields_ = [("length", ctypes.c_ushort), ("lines", c_char_p)]


def seccomp(program: bytes) -> None:
    """prctl(2), PR_SET_SECCOMP: every system call from here on passes the BPF `program` first.

    It holds for all that this process becomes and begets, and cannot be taken off. The kernel asks
    for no_new_privs. Does nothing where `program` is empty. See seccomp(2).
    """
    if not program:
        return
    length = len(program) // 8
    filter_ = _SockFprog(length, program)
    call(
        "prctl",
        lambda: (
            _checked(
                _prctl, int(PR.SET_SECCOMP), SECCOMP_MODE_FILTER, ctypes.addressof(filter_), 0, 0
            )
            and None
        ),
        args=f"PR_SET_SECCOMP, SECCOMP_MODE_FILTER, {length} instructions",
    )


class _CloneArgs(ctypes.Structure):
    """struct clone_args of linux/sched.h, as of Linux 5.7 (CLONE_ARGS_SIZE_VER2)."""

    _fields_ = [
        (name, c_uint64)
        for name in (
            "flags pidfd child_tid parent_tid exit_signal stack stack_size tls "
            "set_tid set_tid_size cgroup"
        ).split()
    ]


def clone3(flags: CLONE, cgroup: int | None = None) -> tuple[int, int]:
    """clone3(2), used as a fork: (pid, pidfd) in the parent, (0, -1) in the child.

    `cgroup` is a descriptor of the cgroup v2 directory to be born in. The process must have
    one thread only. The child shares nothing and must end in execve(2) or `os._exit`; Python's
    own after-fork hooks have not run in it.
    """
    pidfd = c_int(-1)
    args = _CloneArgs(
        flags=int(flags | CLONE.PIDFD) | (int(CLONE.INTO_CGROUP) if cgroup is not None else 0),
        pidfd=ctypes.addressof(pidfd),
        # with CLONE_PARENT it is the caller's own, and must not be given
        exit_signal=0 if flags & CLONE.PARENT else int(signal.SIGCHLD),
        cgroup=0 if cgroup is None else cgroup,
    )
    pid = call(
        "clone3",
        lambda: _checked(_clone3, NR_CLONE3, ctypes.byref(args), ctypes.sizeof(args)),
        args=_flags(flags | CLONE.PIDFD | (CLONE.INTO_CGROUP if cgroup is not None else 0)),
    )
    return pid, pidfd.value


def clone3_after_fork(flags: CLONE) -> tuple[int, int]:
    """clone3 for a caller that may have other threads: fork(2) leaves them behind first.

    clone3 alone copies the locks that other threads hold, the C library's and the interpreter's,
    and nobody is there to release them; fork(3) and Python see to that. The fork clones with
    CLONE_PARENT, tells, and ends.
    """
    told, tell = os.pipe2(os.O_CLOEXEC)
    fork = os.fork()
    if fork == 0:
        try:
            pid, _ = clone3(flags | CLONE.PARENT)
            if pid == 0:
                os.close(told)
                os.close(tell)
                return 0, -1
            os.write(tell, json.dumps({"pid": pid}).encode())
        except SyscallError as error:
            refused = error.errno, error.syscall, error.arguments
            os.write(tell, json.dumps({"refused": refused}).encode())
        os._exit(0)
    os.close(tell)
    with open(told, "rb") as answers:
        answer = json.loads(answers.read() or "{}")
    os.waitpid(fork, 0)
    if "pid" not in answer:
        raise SyscallError(*answer.get("refused", (errno.ECHILD, "clone3", _flags(flags))))
    return answer["pid"], os.pidfd_open(answer["pid"])


class _MountAttr(ctypes.Structure):
    """struct mount_attr of linux/mount.h."""

    _fields_ = [(name, c_uint64) for name in ("attr_set", "attr_clr", "propagation", "userns_fd")]


def mount_setattr(path: Path, attributes: MOUNT_ATTR, recursive: bool = True) -> None:
    """mount_setattr(2): set `attributes` on the mount at `path` and, if `recursive`, all below."""
    attr = _MountAttr(attr_set=int(attributes))
    flags = AT_RECURSIVE if recursive else 0
    call(
        "mount_setattr",
        lambda: (
            _checked(
                _mount_setattr,
                NR_MOUNT_SETATTR,
                AT_FDCWD,
                os.fsencode(path),
                flags,
                ctypes.byref(attr),
                ctypes.sizeof(attr),
            )
            and None
        ),
        args=f"AT_FDCWD, {_text(path)}, {'AT_RECURSIVE' if recursive else 0}, {_flags(attributes)}",
        path=os.fsdecode(path),
    )


class _OpenHow(ctypes.Structure):
    """struct open_how of linux/openat2.h."""

    _fields_ = [(name, c_uint64) for name in ("flags", "mode", "resolve")]


def openat2(directory: int, path: Path, flags: int, resolve: RESOLVE) -> int:
    """openat2(2): open `path` below the open `directory`, walking it as `resolve` says (5.6)."""
    how = _OpenHow(flags=flags | os.O_CLOEXEC, resolve=int(resolve))
    raw = os.fsencode(path)
    return call(
        "openat2",
        lambda: _checked(
            _openat2, NR_OPENAT2, directory, raw, ctypes.byref(how), ctypes.sizeof(how)
        ),
        args=f"{directory}, {_text(path)}, {_flags(resolve)}",
        path=os.fsdecode(path),
    )


def open_tree(path: Path, recursive: bool = True) -> int:
    """open_tree(2) with OPEN_TREE_CLONE: a descriptor of a detached copy of the mount at `path`."""
    flags = OPEN_TREE_CLONE | os.O_CLOEXEC | (AT_RECURSIVE if recursive else 0)
    return call(
        "open_tree",
        lambda: _checked(_open_tree, NR_OPEN_TREE, AT_FDCWD, os.fsencode(path), flags),
        args=f"AT_FDCWD, {_text(path)}, OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC"
        + ("|AT_RECURSIVE" if recursive else ""),
        path=os.fsdecode(path),
    )


def move_mount(tree: int, target: Path) -> None:
    """move_mount(2): attach the detached mount `tree` at `target`."""
    call(
        "move_mount",
        lambda: (
            _checked(
                _move_mount,
                NR_MOVE_MOUNT,
                tree,
                b"",
                AT_FDCWD,
                os.fsencode(target),
                MOVE_MOUNT_F_EMPTY_PATH,
            )
            and None
        ),
        args=f'{tree}, "", AT_FDCWD, {_text(target)}, MOVE_MOUNT_F_EMPTY_PATH',
        path=os.fsdecode(target),
    )


_CAPABILITIES = {int(cap): f"CAP_{name}" for name, cap in CAP.__members__.items()}


_CAP_HEADER = struct.pack("=Ii", LINUX_CAPABILITY_VERSION_3, 0)
"""struct __user_cap_header_struct of linux/capability.h: the calling thread."""
_CAP_DATA = struct.Struct("=6I")
"""Twice struct __user_cap_data_struct: effective, permitted, inheritable, low bits first."""


def capset(kept: Iterable[CAP]) -> None:
    """capset(2): `kept` become the permitted and effective capabilities, none inheritable."""
    numbers = sorted(map(int, kept))
    mask = sum(1 << number for number in numbers)
    low, high = mask & 0xFFFFFFFF, mask >> 32
    data = _CAP_DATA.pack(low, low, 0, high, high, 0)
    call(
        "capset",
        lambda: _checked(_capset, _CAP_HEADER, data) and None,
        args="permitted=effective=" + ("|".join(_CAPABILITIES[one] for one in numbers) or "0"),
    )


def effective_capabilities() -> set[CAP]:
    """The calling thread's effective capabilities (capget(2))."""
    data = ctypes.create_string_buffer(_CAP_DATA.size)
    call("capget", lambda: _checked(_capget, _CAP_HEADER, data), args="")
    low, _, _, high, _, _ = _CAP_DATA.unpack(data.raw)
    mask = low | high << 32
    return {cap for cap in CAP if mask >> cap & 1}


_CAPBSET_DROP = int(PR.CAPBSET_DROP)


def bound_capabilities(kept: Iterable[CAP]) -> None:
    """Drop everything but `kept` from the bounding and the ambient set (capabilities(7)).

    What is dropped here cannot come back through execve, set-uid or not.
    """
    keep = frozenset(map(int, kept))
    for number in range(64):
        if number in keep:
            continue
        try:
            _checked(_prctl, _CAPBSET_DROP, number, 0, 0, 0)
        except OSError as error:
            if error.errno == errno.EINVAL:  # past the last capability this kernel knows
                break
            raise SyscallError(error.errno or 0, "prctl", f"PR_CAPBSET_DROP, {number}") from None
    call(
        "prctl",
        lambda: _checked(_prctl, int(PR.CAP_AMBIENT), PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) and None,
        args=f"PR_CAPBSET_DROP, all but {len(keep)}; PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL",
    )


def pidfd_status(pidfd: int) -> int | None:
    """The wait status of the ended process behind `pidfd`, whoever has reaped it.

    None before Linux 6.15, which brought PIDFD_INFO_EXIT, and while the process runs.
    """
    info = bytearray(64)  # struct pidfd_info of linux/pidfd.h, its first version
    info[:8] = PIDFD_INFO_EXIT.to_bytes(8, sys.byteorder)
    try:
        fcntl.ioctl(pidfd, PIDFD_GET_INFO, info)
    except OSError:
        return None
    if not int.from_bytes(info[:8], sys.byteorder) & PIDFD_INFO_EXIT:
        return None
    return int.from_bytes(info[60:64], sys.byteorder, signed=True)


def join_session_keyring() -> None:
    """keyctl(2), KEYCTL_JOIN_SESSION_KEYRING: leave the inherited keys for a new, empty keyring.

    Does nothing on an architecture whose call number is not known here.
    """
    if (number := NR_KEYCTL.get(os.uname().machine)) is not None:
        call(
            "keyctl",
            lambda: _checked(_keyctl, number, KEYCTL_JOIN_SESSION_KEYRING, None),
            args="KEYCTL_JOIN_SESSION_KEYRING, NULL",
        )


def close_all_but(kept: Iterable[int]) -> None:
    """close_range(2) over every descriptor above 2 that is not in `kept`.

    For a child: what its parent has signals written to is closed too, so they no longer are.
    """
    signal.set_wakeup_fd(-1)
    low = 3
    for fd in (*sorted(fd for fd in kept if fd >= low), LAST_DESCRIPTOR):
        if low < fd:
            call("close_range", os.closerange, low, fd, args=f"{low}, {fd - 1}, 0")
        low = fd + 1


def write_file(path: Path, text: str | bytes, dir_fd: int | None = None) -> None:
    """Write `text` to an existing file in one write(2), whose errors are the kernel's verdict.

    Made for /proc and cgroup files, which answer at write(2); a buffered file would report
    the refusal at close, or not at all.
    """
    fd = call(
        "openat" if dir_fd is not None else "open",
        lambda: os.open(path, os.O_WRONLY | os.O_CLOEXEC, dir_fd=dir_fd),
        args=f"{_text(path)}, O_WRONLY|O_CLOEXEC",
        path=os.fsdecode(path),
    )
    try:
        data = text.encode() if isinstance(text, str) else text
        call("write", os.write, fd, data, path=os.fsdecode(path))
    finally:
        os.close(fd)
