"""What `details` says of a pet, held against the kernel's own files."""

from __future__ import annotations

import pathlib
import subprocess

import pytest

import engine
from engine.cgroups import facts
from engine.group_files import own_groups
from tests.conftest import eventually, said

STILL = (
    *("memory_limit", "cpu_quota_usec", "cpu_period_usec", "pids_limit", "pids", "pids_peak"),
    *("oom_kills", "forks_refused", "net_received_bytes", "net_sent_bytes"),
)
"""What does not change while nobody does anything."""


def test_each_number_is_the_files(home: pathlib.Path) -> None:
    engine.hatch("moka", limits=engine.Limits(memory="40M", cpu=0.25, pids=20))
    said("moka", "head -c 5M /dev/zero > /root/file; sync")
    found = engine.details("moka").facts
    if engine.start_nest()["cgroup"]["kind"] != "none":
        assert (found["memory_limit"].value, found["pids_limit"].value) == (40 << 20, 20)
        assert (found["cpu_quota_usec"].value, found["cpu_period_usec"].value) == (25_000, 100_000)
        assert (found["memory_file"].value or 0) >= 5 << 20
        for name in STILL:
            content = pathlib.Path(found[name].path).read_text()
            assert str(found[name].value) in content.replace(":", " ").split(), name
            assert found[name].file.split()[0] in found[name].path or name.startswith("net")
    assert (found["pids"].value, found["memory_anonymous"].unit) == (1, "bytes")
    assert found["memory"].value


def test_what_it_writes_to_disks_is_told_with_the_file_that_says_so(home: pathlib.Path) -> None:
    pet = engine.hatch("moka", limits=engine.Limits(memory="40M"))
    told = engine.details("moka").facts["io_written_bytes"]
    group = own_groups(pathlib.Path(f"/proc/{pet.pid}/cgroup").read_text(), "moka").get("", "")
    if pathlib.Path(group, "io.stat").exists():
        assert (told.file, told.path) == ("io.stat wbytes", f"{group}/io.stat")
    else:
        assert told.file == "/proc/PID/io write_bytes, of its living processes"
    if b"tmpfs" in subprocess.check_output(["stat", "--file-system", "--format=%T", str(home)]):
        assert told.value == 0  # there is no disk
        return
    before = told.value or 0
    engine.write("moka", "head -c 5M /dev/zero > /root/file; sync\n")

    def written() -> int:
        return int((engine.details("moka").facts["io_written_bytes"].value or 0) - before)

    eventually(lambda: written() >= 5 << 20, "it is counted")


def test_bytes_over_its_loopback_are_counted(home: pathlib.Path) -> None:
    engine.hatch("moka")
    assert engine.details("moka").facts["net_sent_bytes"].value == 0
    said("moka", "bash -c 'echo 12345 > /dev/udp/127.0.0.1/9' || true")
    sent = engine.details("moka").facts["net_sent_bytes"].value
    assert sent is not None and sent >= 6 + 28  # the text, and the UDP and IP headers


def test_the_hosts_network_is_not_counted_as_the_pets(home: pathlib.Path) -> None:
    engine.hatch("moka", network="host")
    assert "net_sent_bytes" not in engine.details("moka").facts


def test_a_ghost_has_none(home: pathlib.Path) -> None:
    engine.hatch("brief", command=["true"])
    eventually(lambda: engine.look("brief").status == "ghost", "it is dead")
    assert engine.details("brief").facts == {}
    with pytest.raises(engine.NoSuchPet):
        engine.details("nobody")


def test_what_the_kernels_files_look_like() -> None:
    assert facts.whole("max\n", "") is None
    assert facts.whole("-1\n", "") is None
    assert facts.whole("9223372036854771712\n", "") is None
    assert facts.whole("52428800\n", "") == 52428800
    assert facts.keyed("anon 4096\nfile 8192\n", "file") == 8192
    assert facts.first("max 100000\n", "quota") is None
    assert (facts.first("50000 100000\n", ""), facts.second("50000 100000\n", "")) == (
        50000,
        100000,
    )
    pressure = "some avg10=1.25 avg60=0.00 total=5\nfull avg10=0.50 avg60=0.00 total=2\n"
    assert facts.stall(pressure, "full avg10") == 0.5
    devices = "8:0 rbytes=10 wbytes=1 rios=1\n8:16 rbytes=5 wbytes=2 rios=1\n"
    assert facts.over_devices(devices, "rbytes") == 15
    with pytest.raises(LookupError):
        facts.keyed("anon 4096\n", "kernel")
