"""What a child may have. Knows nothing of what the child is for."""

from __future__ import annotations

import os

__all__ = ["environment"]

# Nothing of ours, of the desktop or of a service's secrets is a media program's business; what is listed
# here is needed to find libraries and a place for temporary files.
_INHERITED = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT", "TZ")


def environment() -> dict[str, str]:
    """Give the environment of a child: no HOME (no user-level delegates), no FFREPORT, no proxies.

    ``LC_ALL=C.UTF-8`` keeps messages in English, numbers with a point and file names as they are.
    """
    kept = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return kept | {"LC_ALL": "C.UTF-8", "HOME": "/nonexistent", "AV_LOG_FORCE_NOCOLOR": "1"}
