"""Segments: anonymous memory of a size that nobody can change, known by its descriptor, and mappings of it.

Not by Python's `mmap`: until 3.13 each of its mappings keeps a descriptor, and who keeps a thousand frames would keep
a thousand of these.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import mmap
import os
import weakref
from typing import Any

__all__ = ["is_sealed", "mapped", "segment"]

_SEALS = 0x0001 | 0x0002 | 0x0004  # F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW
_ADD_SEALS, _GET_SEALS = 1033, 1034
_FAILED = ctypes.c_void_p(-1).value


def segment(size: int) -> int:
    """Make anonymous memory of a size that nobody can change; give its descriptor.

    Where the system has no memfd, a named segment loses its name at once: nothing tracks it, nothing is left of it.

    Raises
    ------
    OSError
        If there is no room for it.
    """
    sealing = hasattr(os, "memfd_create")
    if sealing:
        descriptor = os.memfd_create("framebridge-frames", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    else:
        descriptor = _nameless()
    try:
        os.ftruncate(descriptor, size)
        if sealing:
            fcntl.fcntl(descriptor, _ADD_SEALS, _SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _nameless() -> int:
    """Make a named segment, and take its name away.

    Not by multiprocessing: until Python 3.13 its resource tracker ends segments that others still use.
    """
    import _posixshmem  # type: ignore[import-not-found] # has no stubs

    name = f"/framebridge-{os.urandom(16).hex()}"
    descriptor: int = _posixshmem.shm_open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    with contextlib.suppress(FileNotFoundError):
        _posixshmem.shm_unlink(name)
    os.set_inheritable(descriptor, False)
    return descriptor


def is_sealed(descriptor: int) -> bool:
    """Tell whether nobody can change the size of a segment, as far as this system has seals."""
    if not hasattr(os, "memfd_create"):
        return True
    try:
        return fcntl.fcntl(descriptor, _GET_SEALS) & _SEALS == _SEALS
    except OSError:
        return False


def mapped(descriptor: int, size: int, *, write: bool = False) -> memoryview:
    """Map the beginning of a segment, which stays for as long as there is any view of this.

    Raises
    ------
    OSError
        If there is no room for it.
    """
    protection = mmap.PROT_READ | (mmap.PROT_WRITE if write else 0)
    address = _libc().mmap(None, size, protection, mmap.MAP_SHARED, descriptor, 0)
    if address in (_FAILED, None):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    memory = (ctypes.c_ubyte * size).from_address(address)
    weakref.finalize(memory, _libc().munmap, address, size).atexit = False
    view = memoryview(memory).cast("B")
    return view if write else view.toreadonly()


@functools.cache
def _libc() -> Any:
    library = ctypes.CDLL(None, use_errno=True)
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = (*(ctypes.c_void_p, ctypes.c_size_t), *(ctypes.c_int,) * 3, ctypes.c_long)
    library.munmap.argtypes = (ctypes.c_void_p, ctypes.c_size_t)
    return library
