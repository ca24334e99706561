"""The system calls that no pet may make: a filter in front of the kernel (seccomp(2)).

What capabilities and namespaces refuse anyway is not listed again. What is left are the keyrings,
which no namespace divides; and doors that anybody may open, behind which kernels were broken into
most: BPF, io_uring, performance events, page faults handled by whoever causes them, and above all
a user namespace of one's own, in which one is root again with every capability. docker's default
profile refuses the same.

A filter is a program of classic BPF, run by the kernel at each system call
(Documentation/userspace-api/seccomp_filter.rst). It sees the call's number, which means something
else in each calling convention that the machine understands, so all of them have to be known; a
convention that is not is refused as a whole.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import NamedTuple

from engine.syswrap import CLONE

CLONE3 = 435
IO_URING = (425, 426, 427)  # setup, enter, register
"""Numbers given since Linux 5.1 are the same everywhere."""
X32_BIT = 0x40000000
"""Marks x86-64's own convention for 32-bit pointers (asm/unistd.h), which nobody uses."""


class Abi(NamedTuple):
    """A calling convention: its name for the kernel (linux/audit.h), and its numbers."""

    audit: int
    clone: int
    unshare: int
    refused: tuple[int, ...]
    """add_key, request_key, keyctl, bpf, perf_event_open, userfaultfd."""


X86_64 = Abi(0xC000003E, 56, 272, (248, 249, 250, 321, 298, 323))
I386 = Abi(0x40000003, 120, 310, (286, 287, 288, 357, 336, 374))
ARM = Abi(0x40000028, 120, 337, (309, 310, 311, 386, 364, 388))
AARCH64 = Abi(0xC00000B7, 220, 97, (217, 218, 219, 280, 241, 282))  # asm-generic/unistd.h
RISCV64 = AARCH64._replace(audit=0xC00000F3)

ABIS = {"x86_64": (X86_64, I386), "aarch64": (AARCH64, ARM), "riscv64": (RISCV64,)}
"""By what uname(2) calls the machine."""

# linux/bpf_common.h and linux/filter.h, under the headers' names.
LD_W_ABS = 0x20
JEQ, JGE, JSET = 0x15, 0x35, 0x45
RET = 0x06
# linux/seccomp.h: what is answered, and where struct seccomp_data keeps what is asked.
ALLOW = 0x7FFF0000
ERRNO = 0x00050000
NUMBER, ARCH, FIRST_ARGUMENT = 0, 4, 16
"""Bytes. An argument has eight, the lower half first: all these machines are little-endian."""


def program(machine: str) -> bytes:
    """The filter for a kind of machine; empty where its conventions are not known here."""
    if not (abis := ABIS.get(machine)):
        return b""
    lines = [_line(LD_W_ABS, ARCH)]
    for abi in abis:
        rules = _rules(abi)
        lines += [_line(JEQ, abi.audit, 0, len(rules)), *rules]
    lines.append(_refuse(errno.ENOSYS))
    return b"".join(lines)


def _rules(abi: Abi) -> list[bytes]:
    lines = [_line(LD_W_ABS, NUMBER)]
    if abi is X86_64:
        lines += [_line(JGE, X32_BIT, 0, 1), _refuse(errno.ENOSYS)]
    for number in (*abi.refused, *IO_URING):
        lines += [_line(JEQ, number, 0, 1), _refuse(errno.EPERM)]
    # Its flags lie in memory, where no filter can look. Who is told that the kernel is too old
    # for it (every libc) uses clone instead.
    lines += [_line(JEQ, CLONE3, 0, 1), _refuse(errno.ENOSYS)]
    return [
        *lines,
        _line(JEQ, abi.clone, 1, 0),
        _line(JEQ, abi.unshare, 0, 3),
        _line(LD_W_ABS, FIRST_ARGUMENT),
        _line(JSET, CLONE.NEWUSER, 0, 1),
        _refuse(errno.EPERM),
        _line(RET, ALLOW),
    ]


def _line(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    """Struct sock_filter: an operation, and how many lines to jump over afterwards."""
    return struct.pack("=HBBI", code, when_true, when_false, value)


def _refuse(number: int) -> bytes:
    return _line(RET, ERRNO | number)


PROGRAM = program(os.uname().machine)
"""This machine's."""
