"""Unfinished output: made under a name of its own, owned by one process, swept when that has died.

A part is locked by its owner for as long as it lives, so that another process, also one in another container that
shares the folder, can tell what is being written from what was left behind.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import re
from pathlib import Path

__all__ = ["Part", "part_name"]

_NAME = re.compile(r"\.framebridge-(\d+)-[0-9a-f]{12}\.part")


def part_name(folder: Path) -> Path:
    """Give a new name for unfinished output in a folder; it tells the process that makes it."""
    return folder / f".framebridge-{os.getpid()}-{os.urandom(6).hex()}.part"


class Part:
    """One unfinished file. Made by `make`, ended by `drop`, which removes it, or by `keep`.

    Parameters
    ----------
    path : Path
        Where; nothing is there yet.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._owner = os.getpid()
        self._made = False
        self._lock: io.FileIO | None = None  # an object: an interrupt as it is made leaves no descriptor behind

    def make(self) -> None:
        """Create the file, and remove first what dead processes have left beside it.

        Raises
        ------
        OSError
            If nothing can be written there.
        """
        _sweep(self.path.parent)
        self._made = True  # before it is: an interrupt may come between
        try:
            self._lock = io.FileIO(self.path, "xb")
        except FileExistsError:  # somebody else's
            self._made = False
            raise
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(self._lock.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)

    def keep(self) -> None:
        """Let go of it and leave it where it is."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def drop(self) -> None:
        """Let go of it and remove it; in a fork of its owner, only let go."""
        self.keep()
        if self._made and self._owner == os.getpid():
            self.path.unlink(missing_ok=True)


def _sweep(folder: Path) -> None:
    """Remove parts whose process is dead; that this fails is no error."""
    with contextlib.suppress(OSError):
        for entry in os.scandir(folder):
            found = _NAME.fullmatch(entry.name)
            if found and entry.is_file(follow_symlinks=False) and _abandoned(entry.path, int(found[1])):
                with contextlib.suppress(OSError):
                    Path(entry.path).unlink()


def _abandoned(path: str, process: int) -> bool:
    """Tell whether nobody makes a part any more: its process is gone, and nobody has it locked."""
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        pass
    except OSError:
        return False
    else:
        return False
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
