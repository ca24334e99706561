"""A pet seen through, the same on every machine."""

from __future__ import annotations

from engine import XRay
from engine.anatomy import (
    IdRange,
    Interface,
    Listener,
    Mount,
    Namespace,
    OpenFile,
    Process,
    Setting,
)
from engine.radiology import KINDS

HOST = 4026531835
CAPS = "CHOWN DAC_OVERRIDE FOWNER FSETID KILL SETGID SETUID NET_BIND_SERVICE SYS_CHROOT".split()
GROUP = "/sys/fs/cgroup/procchi"


def fixed_xray(name: str) -> XRay:
    return XRay(
        pet=name,
        pid=4711,
        namespaces=tuple(
            Namespace(kind, about, HOST + at if kind == "time" else 4026532200 + at, HOST + at)
            for at, (kind, about) in enumerate(KINDS.items())
        ),
        uid_map=(IdRange(0, 1900000000, 65536),),
        gid_map=(IdRange(0, 1900000000, 65536),),
        mounts=(
            Mount("/", "overlay", "overlay", "rw,relatime"),
            Mount("/proc", "proc", "proc", "rw,nosuid,nodev,noexec,relatime"),
            Mount("/dev", "tmpfs", "tmpfs", "rw,nosuid,noexec,relatime"),
            Mount("/dev/null", "devtmpfs", "devtmpfs", "rw,relatime", "/null"),
            Mount("/sys", "sysfs", "sysfs", "ro,nosuid,nodev,noexec,relatime"),
        ),
        capabilities={
            "effective": tuple(CAPS),
            "permitted": tuple(CAPS),
            "inheritable": (),
            "bounding": (*CAPS, "MKNOD"),
            "ambient": (),
        },
        no_new_privs=True,
        seccomp="off",
        oom_score=666,
        oom_score_adj=0,
        cgroup=(
            _setting(name, "memory.current", "12582912", "bytes in use now"),
            _setting(name, "memory.max", "52428800", "above this the OOM killer comes"),
            _setting(name, "cpu.max", "50000 100000", "microseconds it may run, in each period"),
            _setting(name, "pids.events", "max 0", "how often it did"),
        ),
        processes=(
            Process(4711, 1, 4000, "S", 1900000000, 1, "/bin/sh"),
            Process(4712, 2, 4711, "S", 1900000000, 1, "sh -c sleep 60; echo done"),
            Process(4713, 3, 4712, "S", 1900000000, 1, "sleep 60"),
            Process(4714, 4, 4711, "Z", 1900000001, 1, "[worker]"),
            Process(4720, 9, 4000, "R", 1900000000, 4, "yes"),
        ),
        files=(
            OpenFile(4711, 0, "/mouth"),
            OpenFile(4711, 1, "/log"),
            OpenFile(4713, 0, "/dev/null"),
            OpenFile(4713, 1, "pipe:[12345]"),
        ),
        interfaces=(Interface("lo", 2048, 2048),),
        listeners=(Listener("tcp", "127.0.0.1", 8080),),
        unread={"files": "of process 4720: Permission denied"},
    )


def _setting(name: str, file: str, value: str, about: str) -> Setting:
    return Setting(file.partition(".")[0], file, value, f"{GROUP}/{name}/{file}", about)
