"""The folder of chunks, beside a target that is a file, in the hands of one process at a time."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bridge.core.target import not_placed
from bridge.core.uri import Url
from bridge.errors import OutputFailed
from bridge.jobs.runner import settle
from bridge.process.tools import cache_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.core.request import Request

__all__ = ["Folder", "folder_of", "leave_folder", "settle_folder"]

_DYING = 2.0  # seconds that the programs of a killed process may take to end, which have the folder open
_KEPT = 16  # folders of results that are no files, and that nobody has gone on with yet

_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """The folder of chunks of a target, in the hands of one process. A context manager; it stays until `finish`.

    Parameters
    ----------
    target : str
        The file that is made of them, beside which it is.
    path : pathlib.Path, optional
        Where it is in the place of that.
    """

    def __init__(self, target: str, path: Path | None = None) -> None:
        self._target = target
        place = Path(os.path.realpath(target))
        self.path = path or place.with_name(f".framebridge-{_short(place.name)}.chunks")
        self.descriptor = -1

    def __enter__(self) -> Self:
        """Make it, or take what an earlier process has left."""
        deadline = time.monotonic() + _DYING
        try:
            while self.descriptor < 0:
                self.path.mkdir(exist_ok=True)
                self._take(patient=time.monotonic() < deadline)
        except OSError as error:
            raise not_placed(self._target, self.path.parent, error) from error
        return self

    def _take(self, *, patient: bool) -> None:
        """Lock it; another process may have removed it meanwhile, or be about to end."""
        descriptor = os.open(self.path, _FOLDER)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), self.path.stat()):
                    self.descriptor, descriptor = descriptor, -1
        except BlockingIOError:
            if patient:
                time.sleep(0.05)
                return
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


def folder_of(out: Request) -> Folder:
    """Give the folder of an output: where it is no file, one of this user's, found again by the address."""
    if out.path is not None:
        return Folder(str(out.path))
    home = cache_folder() / "chunks"
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise not_placed(out.name, home.parent, error) from error
    _sweep(home)
    name = _short(out.resource.address) if isinstance(out.resource, Url) else os.urandom(8).hex()
    return Folder(out.name, home / name)


def _short(name: str) -> str:
    return hashlib.blake2b(os.fsencode(name), digest_size=8).hexdigest()


def _sweep(home: Path) -> None:
    """Remove the oldest of what nobody has gone on with."""
    for path in sorted(home.iterdir(), key=_age)[:-_KEPT]:
        with contextlib.suppress(OSError), _unheld(path):
            shutil.rmtree(path)


def _age(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:  # it has gone
        return 0.0


def leave_folder(path: Path) -> None:
    """Remove a folder in which there is nothing and for which nobody waits: who did may have gone before us."""
    with contextlib.suppress(OSError), _unheld(path):
        path.rmdir()


@contextlib.contextmanager
def _unheld(path: Path) -> Iterator[None]:
    """Hold a folder that nobody else holds."""
    descriptor = os.open(path, _FOLDER)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def settle_folder(folder: Path) -> None:
    """Have names reach the disk."""
    descriptor = os.open(folder, _FOLDER)
    try:
        settle([descriptor])
    finally:
        os.close(descriptor)
