"""What a hostile pet tries, and must not get."""

from __future__ import annotations

import errno
import os
import pathlib
import resource
import subprocess
import sys

import pytest

import engine
from tests.conftest import eventually, said


def status_of(name: str, script: str) -> int:
    return engine.feed(name, ["sh", "-c", script]).exit_code


def test_no_descriptor_of_the_nests_is_inherited(home: pathlib.Path) -> None:
    pet = engine.hatch("moka")
    descriptors = pathlib.Path(f"/proc/{pet.pid}/fd")
    held = {fd.name: os.readlink(fd) for fd in descriptors.iterdir()}
    mouth, log = home / "pets/moka/mouth", home / "pets/moka/log"
    for fd, file in (("0", mouth), ("1", log), ("2", log)):  # not by name: theirs may differ
        assert (descriptors / fd).samefile(file)
    inside = home.name  # of a mount that is no longer attached, names begin at its root
    assert [path for fd, path in held.items() if fd not in "012" and inside in path] == []
    assert said("moka", "ls /proc/self/fd | tr '\\n' ' '") == "0 1 2 3"  # 3: ls's own


def test_capabilities_are_a_containers_fourteen(home: pathlib.Path) -> None:
    pet = engine.hatch("moka")
    meal = said("moka", "cat /proc/self/status")
    with open(f"/proc/{pet.pid}/status") as status:
        pid_1 = status.read()
    for text in (meal, pid_1):
        fields = dict(line.split(":\t") for line in text.splitlines() if ":\t" in line)
        assert fields["CapBnd"] == fields["CapEff"] == "00000000a80425fb"
        assert int(fields["CapInh"], 16) == int(fields["CapAmb"], 16) == 0
        assert fields["NoNewPrivs"] == "1"


@pytest.mark.parametrize(
    "attempt",
    [
        "mount -t tmpfs tmpfs /mnt",
        "mount -o remount,rw /proc/sys",
        "umount /proc/kcore || umount /proc/keys",
        "mount --bind /bin /mnt",
        "echo 1 > /proc/sys/vm/drop_caches",
        "echo h > /proc/sysrq-trigger",
        "echo x > /sys/kernel/mm/transparent_hugepage/enabled",
        "hostname elsewhere",
        "mknod /root/disk b 8 0 && head -c 1 /root/disk",
        "cat /proc/1/environ | grep PROCCHI",
        "kill -9 1; kill -0 1 && exit 1; exit 2",
        "ip link add dummy0 type dummy",
        "chroot / sh -c 'mount -t proc proc /proc'",
        "unshare --user --map-root-user sh -c 'mount -t tmpfs tmpfs /tmp && echo 1 > /proc/sys/vm/swappiness'",  # noqa: E501
        "nsenter -t 1 -m true && ls /var/lib/procchi",
        "date -s 2001-01-01",
        "dmesg | head -1 | grep .",
    ],
)
def test_an_attempt_on_the_host_fails(home: pathlib.Path, attempt: str) -> None:
    engine.hatch("moka")
    assert status_of("moka", attempt) != 0


def test_pid_1_cannot_be_killed_from_inside_but_the_pet_stays_whole(home: pathlib.Path) -> None:
    engine.hatch("moka")
    engine.feed("moka", ["sh", "-c", "kill -9 1"])
    assert engine.look("moka").status == "alive"


def test_the_keys_of_whoever_started_the_nest_stay_outside(
    empty_home: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """A keyring is inherited through clone and execve, and no namespace hides it: keyrings(7)."""
    assert os.uname().machine == "x86_64", "the spy knows this architecture's call numbers"
    egg = tmp_path / "egg"
    (egg / "bin").mkdir(parents=True)
    spy = tmp_path / "spy.c"
    spy.write_text(SPY)
    subprocess.run(["cc", "-static", "-o", str(egg / "bin/spy"), str(spy)], check=True)
    subprocess.run(["tar", "-C", str(egg), "-cf", str(tmp_path / "egg.tar"), "."], check=True)
    script = (
        "import ctypes, engine, sys; call = ctypes.CDLL(None).syscall;"
        "call(250, 1, None); call(248, b'user', b'procchi-secret', b'x', 1, -3);"
        "engine.stop_nest(); engine.pull(sys.argv[1]);"
        "engine.hatch('moka', 'egg', command=['/bin/spy', 'stay']);"
        "print(engine.feed('moka', ['/bin/spy']).exit_code)"
    )
    told = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "egg.tar")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout == "3\n"
    eventually(engine.log_path("moka").read_text, "it has looked")
    assert engine.log_path("moka").read_text() == "nothing\n"


SPY = r"""
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    long key = syscall(SYS_request_key, "user", "procchi-secret", NULL, 0);
    puts(key > 0 ? "found" : "nothing");
    fflush(stdout);
    if (argc > 1)
        sleep(1000);
    return key > 0 ? 0 : 3;
}
"""


def test_calls_that_no_namespace_divides_are_refused(
    empty_home: pathlib.Path, tmp_path: pathlib.Path
) -> None:
    """By both calling conventions of x86-64, and by the one that nobody uses (x32)."""
    tree = tmp_path / "egg"
    (tree / "bin").mkdir(parents=True)
    prober = tmp_path / "prober.c"
    prober.write_text(PROBER)
    subprocess.run(["cc", "-static", "-o", str(tree / "bin/prober"), str(prober)], check=True)
    subprocess.run(["cp", "/bin/busybox", str(tree / "bin/sh")], check=True)
    outside = subprocess.run([str(tree / "bin/prober")], capture_output=True, text=True, check=True)
    assert {f"{name} 0" for name in PROBED} <= set(outside.stdout.splitlines())
    engine.pull(str(tree))
    pet = engine.hatch("moka", "egg", command=["/bin/prober", "stay"])
    meal = engine.feed("moka", ["/bin/prober"])
    refused, too_old = f"{-errno.EPERM}", f"{-errno.ENOSYS}"
    expected = {
        **dict.fromkeys(PROBED, refused),
        **{"clone3": too_old, "x32": too_old, "getpid": "0"},
    }
    eventually(lambda: "getpid" in engine.log_path("moka").read_text(), "it has tried")
    for told in (meal.stdout.decode(), engine.log_path("moka").read_text()):
        answers = dict(line.split() for line in told.splitlines())
        assert answers == expected
    with open(f"/proc/{pet.pid}/status") as status:
        assert "Seccomp:\t2" in status.read()


PROBED = (
    "add_key request_key keyctl bpf perf_event_open userfaultfd io_uring_setup io_uring_enter "
    "io_uring_register unshare clone i386-keyctl i386-unshare i386-bpf"
).split()
PROBER = r"""
#define _GNU_SOURCE
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>
#define TRY(name, ...) tell(name, syscall(__VA_ARGS__) == -1 ? -errno : 0)
static void tell(const char *name, long answer)
{
    printf("%s %ld\n", name, answer == -EPERM || answer == -ENOSYS ? answer : 0);
}
static long i386(long number, long first)
{
    long answer;
    __asm__ volatile("int $0x80" : "=a"(answer) : "a"(number), "b"(first), "c"(0), "d"(0)
                     : "memory", "r8", "r9", "r10", "r11");
    return (int) answer;
}
int main(int argc, char **argv)
{
    TRY("add_key", SYS_add_key, 0, 0, 0, 0, 0);
    TRY("request_key", SYS_request_key, 0, 0, 0, 0);
    TRY("keyctl", SYS_keyctl, 0, 0, 0, 0, 0);
    TRY("bpf", SYS_bpf, -1, 0, 0);
    TRY("perf_event_open", SYS_perf_event_open, 0, 0, 0, 0, 0);
    TRY("userfaultfd", SYS_userfaultfd, -1);
    TRY("io_uring_setup", 425, 0, 0);
    TRY("io_uring_enter", 426, -1, 0, 0, 0, 0);
    TRY("io_uring_register", 427, -1, 0, 0, 0);
    TRY("unshare", SYS_unshare, CLONE_NEWUSER | CLONE_SIGHAND | 0x1);
    TRY("clone", SYS_clone, CLONE_NEWUSER | CLONE_FS, 0, 0, 0, 0);
    TRY("clone3", SYS_clone3, 0, 0);
    TRY("x32", SYS_getpid | 0x40000000);
    tell("i386-keyctl", i386(288, 0));
    tell("i386-unshare", i386(310, CLONE_NEWUSER | 0x1));
    tell("i386-bpf", i386(357, -1));
    TRY("getpid", SYS_getpid);
    fflush(stdout);
    if (argc > 1)
        pause();
    return 0;
}
"""


def test_a_crash_runs_no_handler_of_the_hosts(home: pathlib.Path) -> None:
    """The kernel's one limit for that is 1, in bytes: core(5) says that a pipe heeds no other."""
    most = "0" if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0 else "1"  # none goes up from 0
    pet = engine.hatch("moka")
    inside = said("moka", "exec cat /proc/self/limits")
    for limits in (pathlib.Path(f"/proc/{pet.pid}/limits").read_text(), inside):
        (core,) = [line for line in limits.splitlines() if line.startswith("Max core file size")]
        assert core.split()[4:6] == [most, most]


def test_masked_files_say_nothing(home: pathlib.Path) -> None:
    engine.hatch("moka")
    for path in ("/proc/keys", "/proc/timer_list", "/proc/interrupts"):
        if os.path.exists(path):
            assert said("moka", f"cat {path}") == ""
    assert said("moka", "ls /sys/firmware /proc/acpi 2>/dev/null | grep -v :") == ""


def test_an_egg_whose_proc_is_a_link_is_refused(empty_home: pathlib.Path) -> None:
    """CVE-2019-19921: a mount over a link of the egg's goes where the egg says."""
    for name in ("proc", "dev", "sys", "tmp"):
        tree = empty_home / "tree"
        subprocess.run(["rm", "-rf", str(tree)], check=True)
        (tree / "bin").mkdir(parents=True)
        subprocess.run(["cp", "/bin/busybox", str(tree / "bin/sh")], check=True)
        (tree / name).symlink_to("/etc")
        archive = empty_home / f"{name}.tar"
        subprocess.run(["tar", "-C", str(tree), "-cf", str(archive), "."], check=True)
        engine.pull(str(archive))
        with pytest.raises(engine.HatchFailed, match=f"/{name} is not a directory"):
            engine.hatch("moka", name)


def test_two_pets_do_not_see_each_other(home: pathlib.Path) -> None:
    engine.hatch("moka")
    engine.hatch("pico", command=["sleep", "12345"])
    assert "12345" not in said("moka", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '")
    assert status_of("moka", "kill -0 3; test -e /proc/3/root/root/secret") != 0


def test_the_hosts_network_does_not_bring_everybodys_groups_along(home: pathlib.Path) -> None:
    """Its /sys is the host's, and what is mounted in that: other pets' memory could be read."""
    engine.hatch("moka")
    engine.hatch("social", network="host")
    assert said("social", "find /sys/fs/cgroup -mindepth 1") == ""


def test_a_meal_cannot_be_reached_while_it_is_still_ours(home: pathlib.Path) -> None:
    """CVE-2016-9962, CVE-2019-5736: before execve a meal is our code, with our executable."""
    engine.hatch("moka")
    spy = (
        "i=0; while [ $i -lt 400 ]; do for p in /proc/[0-9]*; do"
        ' [ "$p" = /proc/1 ] || [ "$p" = /proc/$$ ] || e=$(readlink $p/exe 2>/dev/null);'
        ' case "$e" in *python*) echo CAUGHT $p $e;; esac; e=; done; i=$((i+1)); done; echo done'
    )
    engine.write("moka", f"({spy}) > /tmp/spied 2>&1\n")
    for _ in range(150):
        engine.feed("moka", ["true"])
    assert "CAUGHT" not in said("moka", "cat /tmp/spied")


def test_a_pets_disk_files_belong_to_nobody_with_power(home: pathlib.Path) -> None:
    engine.hatch("moka")
    said("moka", "cp /bin/sh /root/sh; chmod 4755 /root/sh")
    found = (home / "pets/moka/upper/root/sh").stat()
    assert found.st_uid != 0 and found.st_gid != 0
    assert (home / "pets").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("name", ["", " zz", " ffffff"])
def test_a_pet_named_like_what_the_kernel_says_of_it_is_released(
    home: pathlib.Path, name: str
) -> None:
    """Its name stands first in proc_pid_status(5), and of what it holds only \\n is escaped."""
    pet = engine.hatch("moka")
    engine.write("moka", f"printf '\\rSigCgt:{name}' > /proc/1/comm\n")
    comm = pathlib.Path(f"/proc/{pet.pid}/comm")
    eventually(lambda: b"SigCgt" in comm.read_bytes(), "it is called so")
    with engine.watch() as watch:
        engine.release("moka")
        died = next(e for e in watch if isinstance(e, engine.Event) and e.kind == "died")
    assert died.detail["cause"] == "killed by SIGKILL: released by its keeper"
    assert engine.pets() == []
