"""Kernel constants, under the names that the headers give them.

Sources: linux/sched.h, linux/mount.h, linux/prctl.h, linux/capability.h, linux/if.h,
asm-generic/ioctls.h, linux/pidfd.h, linux/openat2.h.
"""

from enum import IntEnum, IntFlag


class CLONE(IntFlag):
    """clone(2), unshare(2), setns(2)."""

    VFORK = 0x00004000
    PIDFD = 0x00001000
    PARENT = 0x00008000
    NEWNS = 0x00020000
    NEWCGROUP = 0x02000000
    NEWUTS = 0x04000000
    NEWIPC = 0x08000000
    NEWUSER = 0x10000000
    NEWPID = 0x20000000
    NEWNET = 0x40000000
    INTO_CGROUP = 0x200000000


class MS(IntFlag):
    """mount(2)."""

    RDONLY = 1
    NOSUID = 2
    NODEV = 4
    NOEXEC = 8
    REMOUNT = 32
    NOSYMFOLLOW = 256
    NOATIME = 1024
    NODIRATIME = 2048
    BIND = 4096
    REC = 16384
    PRIVATE = 1 << 18
    SLAVE = 1 << 19
    RELATIME = 1 << 21


class MNT(IntFlag):
    """umount2(2)."""

    DETACH = 2


class MOUNT_ATTR(IntFlag):  # noqa: N801 (the header's name)
    """mount_setattr(2)."""

    RDONLY = 0x1
    NOSUID = 0x2
    NODEV = 0x4
    NOEXEC = 0x8


class RESOLVE(IntFlag):
    """openat2(2)."""

    NO_MAGICLINKS = 0x02
    IN_ROOT = 0x10


AT_FDCWD = -100
AT_RECURSIVE = 0x8000
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 0x4


class PR(IntEnum):
    """prctl(2)."""

    SET_PDEATHSIG = 1
    SET_DUMPABLE = 4
    SET_NAME = 15
    SET_SECCOMP = 22
    CAPBSET_READ = 23
    CAPBSET_DROP = 24
    SET_NO_NEW_PRIVS = 38
    CAP_AMBIENT = 47


PR_CAP_AMBIENT_CLEAR_ALL = 4
SECCOMP_MODE_FILTER = 2


class CAP(IntEnum):
    """capabilities(7)."""

    CHOWN = 0
    DAC_OVERRIDE = 1
    DAC_READ_SEARCH = 2
    FOWNER = 3
    FSETID = 4
    KILL = 5
    SETGID = 6
    SETUID = 7
    SETPCAP = 8
    LINUX_IMMUTABLE = 9
    NET_BIND_SERVICE = 10
    NET_BROADCAST = 11
    NET_ADMIN = 12
    NET_RAW = 13
    IPC_LOCK = 14
    IPC_OWNER = 15
    SYS_MODULE = 16
    SYS_RAWIO = 17
    SYS_CHROOT = 18
    SYS_PTRACE = 19
    SYS_PACCT = 20
    SYS_ADMIN = 21
    SYS_BOOT = 22
    SYS_NICE = 23
    SYS_RESOURCE = 24
    SYS_TIME = 25
    SYS_TTY_CONFIG = 26
    MKNOD = 27
    LEASE = 28
    AUDIT_WRITE = 29
    AUDIT_CONTROL = 30
    SETFCAP = 31
    MAC_OVERRIDE = 32
    MAC_ADMIN = 33
    SYSLOG = 34
    WAKE_ALARM = 35
    BLOCK_SUSPEND = 36
    AUDIT_READ = 37
    PERFMON = 38
    BPF = 39
    CHECKPOINT_RESTORE = 40


LINUX_CAPABILITY_VERSION_3 = 0x20080522

SIOCGIFFLAGS = 0x8913
SIOCSIFFLAGS = 0x8914
IFF_UP = 0x1

TIOCSPTLCK = 0x40045431
TIOCGPTN = 0x80045430
PIDFD_GET_INFO = 0xC040FF0B
PIDFD_INFO_EXIT = 1 << 3

# Raw system call numbers, for what libc has no wrapper of. Calls added since Linux 5.1 have
# one number on every architecture (Documentation/process/adding-syscalls.rst).
NR_OPEN_TREE = 428
NR_MOVE_MOUNT = 429
NR_CLONE3 = 435
NR_OPENAT2 = 437
NR_MOUNT_SETATTR = 442
NR_KEYCTL = {
    "x86_64": 250,
    "aarch64": 219,
    "riscv64": 219,
    "loongarch64": 219,
    "ppc64le": 271,
    "s390x": 280,
}
"""An older call: its number differs (asm-generic/unistd.h and the architectures' own tables)."""
KEYCTL_JOIN_SESSION_KEYRING = 1
