"""The folder of chunks beside a target, in the hands of one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
from pathlib import Path
from typing import Self

from bridge.core.target import not_placed
from bridge.errors import OutputFailed
from bridge.jobs.runner import settle

__all__ = ["Folder", "leave_folder", "settle_folder"]


_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """The folder of chunks beside a target, in the hands of one process. A context manager; it stays until `finish`."""

    def __init__(self, target: str) -> None:
        self._target = target
        place = Path(os.path.realpath(target))
        name = hashlib.blake2b(os.fsencode(place.name), digest_size=8).hexdigest()
        self.path = place.with_name(f".framebridge-{name}.chunks")
        self.descriptor = -1

    def __enter__(self) -> Self:
        """Make it, or take what an earlier process has left."""
        try:
            while self.descriptor < 0:
                self.path.mkdir(exist_ok=True)
                self._take()
        except OSError as error:
            raise not_placed(self._target, self.path.parent, error) from error
        return self

    def _take(self) -> None:
        """Lock it; another process may have removed it meanwhile."""
        descriptor = os.open(self.path, _FOLDER)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                    self.descriptor, descriptor = descriptor, -1
        except BlockingIOError:
            raise OutputFailed(f"{self._target} is being made by another process; wait for it, or stop it") from None
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def finish(self) -> None:
        """Remove it, with all that is in it."""
        shutil.rmtree(self.path, ignore_errors=True)

    def __exit__(self, *_: object) -> None:
        """Let go of it."""
        os.close(self.descriptor)
        self.descriptor = -1
        with contextlib.suppress(OSError):  # nothing was finished
            self.path.rmdir()


def leave_folder(path: Path) -> None:
    """Remove a folder in which there is nothing and for which nobody waits: who did may have gone before us."""
    with contextlib.suppress(OSError):
        descriptor = os.open(path, _FOLDER)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.rmdir()
        finally:
            os.close(descriptor)


def settle_folder(folder: Path) -> None:
    """Have names reach the disk."""
    descriptor = os.open(folder, _FOLDER)
    try:
        settle([descriptor])
    finally:
        os.close(descriptor)
