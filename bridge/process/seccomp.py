"""The filter of system calls that a boxed child has: no sockets, no other processes, no mounts. Pure.

Written in the language of Linux's packet filters, for the machines whose numbers stand here.
"""

from __future__ import annotations

import errno
import functools
import struct

__all__ = ["filter_for"]

_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW, _KILL, _REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
_NUMBER, _ARCH, _FLAGS = 0, 4, 16  # places in struct seccomp_data
_X32 = 0x40000000  # the second set of numbers that x86-64 has
_NAMESPACES = 0x7E020000  # flags of clone that make one

# What libc calls to start a thread or a process has its flags where a filter cannot see them: it then takes `clone`.
_CLONE3 = 435

_MACHINES = {
    # audit number, number of clone, numbers that are refused
    "x86_64": (0xC000003E, 56, (
        41, 42, 43, 49, 50, 288,  # socket connect accept bind listen accept4
        101, 310, 311, 312,  # ptrace process_vm_readv process_vm_writev kcmp
        155, 161, 165, 166, 272, 308,  # pivot_root chroot mount umount2 unshare setns
        246, 320, 175, 313, 176, 169, 167, 168, 163, 179,  # kexec, modules, reboot, swap, acct, quotactl
        164, 227, 305, 172, 173,  # clocks, iopl ioperm
        248, 249, 250, 298, 303, 304, 321, 322, 323,  # keys, perf, handles, bpf, execveat, userfaultfd
    )),
    "aarch64": (0xC00000B7, 220, (
        198, 203, 202, 200, 201, 242,
        117, 270, 271, 272,
        41, 51, 40, 39, 97, 268,
        104, 294, 105, 273, 106, 142, 224, 225, 89, 60,
        170, 112, 266,
        217, 218, 219, 241, 264, 265, 280, 281, 282,
    )),
}  # fmt: skip
_SAME = (425, 426, 427, 428, 429, 430, 431, 432, 433, 438, 442)  # io_uring, mounts, pidfd_getfd: alike everywhere


@functools.cache
def filter_for(machine: str) -> bytes:
    """Give the filter for a machine, as `os.uname` calls it; empty if its numbers are not known."""
    if machine not in _MACHINES:
        return b""
    arch, clone, refused = _MACHINES[machine]
    numbers = (*refused, *_SAME)
    lines = [
        (_LOAD, 0, 0, _ARCH),
        (_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, len(numbers) + 5, 0, _X32),
        # Each jump counts the lines to the refusal, which is the last but one.
        *((_EQUAL, len(numbers) + 4 - at, 0, number) for at, number in enumerate(numbers)),
        (_EQUAL, 5, 0, _CLONE3),
        (_EQUAL, 0, 2, clone),
        (_LOAD, 0, 0, _FLAGS),
        (_ANY_BIT, 1, 0, _NAMESPACES),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _REFUSE | errno.EPERM),
        (_RETURN, 0, 0, _REFUSE | errno.ENOSYS),
    ]
    return b"".join(struct.pack("=HBBI", *line) for line in lines)
