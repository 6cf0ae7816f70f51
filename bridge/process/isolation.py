"""What a child may have. Knows nothing of what the child is for."""

from __future__ import annotations

import functools
import os
import struct
from pathlib import Path

__all__ = ["environment"]

# Nothing of ours, of the desktop or of a service's secrets is a media program's business; what is listed
# here is needed to find libraries and a place for temporary files.
_INHERITED = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TZ")
_PT_INTERP = 3


def environment(program: str, scratch: str | None = None) -> dict[str, str]:
    """Give the environment of a child: no HOME (no user-level delegates), no FFREPORT, no proxies.

    With `scratch` that is its folder for temporary files: ImageMagick copies its input there, and leaves the
    copy behind when it is killed.

    ``LC_ALL=C.UTF-8`` keeps messages in English, numbers with a point and file names as they are.
    """
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    kept |= {"LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "AV_LOG_FORCE_NOCOLOR": "1"}
    if scratch is not None:
        kept["TMPDIR"] = kept["MAGICK_TEMPORARY_PATH"] = scratch
    if _is_static(program):
        # A static glibc crashes when it loads the system's character converters, as it does for the service
        # names of transport streams (seen with the static build of ffmpeg 6.0); without them it does not.
        kept["GCONV_PATH"] = "/nonexistent"
    return kept


@functools.lru_cache(maxsize=64)
def _is_static(program: str) -> bool:
    """Tell whether a program is a 64-bit ELF file that asks for no dynamic linker."""
    try:
        with Path(program).open("rb") as file:
            head = file.read(64)
            if len(head) < 64 or head[:6] != b"\x7fELF\x02\x01":
                return False
            offset, size, count = (*struct.unpack_from("<Q", head, 32), *struct.unpack_from("<HH", head, 54))
            file.seek(offset)
            table = file.read(size * count)
    except OSError:
        return False
    return all(struct.unpack_from("<I", table, at)[0] != _PT_INTERP for at in range(0, len(table) - 3, size or 1))
