"""Memory: what programs have told of a file, kept between runs for as long as the file is the same."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.process.tools import cache_folder

if TYPE_CHECKING:
    from bridge.core.request import Request

__all__ = ["identity", "keep", "recall"]

_SMALL = 1 << 20  # bytes that take a millisecond to look at, where a program takes 80
_ENDS = 1 << 16
_MOST = 1000  # files of a kind that are kept


def identity(request: Request, *words: object) -> str | None:
    """Name the content of a request, and what else an answer depends on; None for what cannot be known again.

    What is small is known by all that it holds, wherever it is; a larger file by its place, its size and time, and
    what its ends hold.
    """
    if request.size <= _SMALL:
        known: tuple[object, ...] = (hashlib.blake2b(request.read_at(0, _SMALL), digest_size=32).hexdigest(),)
    elif request.path is None:
        return None
    else:
        with request.input() as descriptor:
            facts = os.fstat(descriptor)
        ends = hashlib.blake2b(request.read_at(0, _ENDS), digest_size=16)
        ends.update(request.read_at(max(0, facts.st_size - _ENDS), _ENDS))
        known = (facts.st_dev, facts.st_ino, facts.st_size, facts.st_mtime_ns, ends.hexdigest())
    return "|".join(map(str, (*known, *words)))


def _place(kind: str, key: str) -> Path:
    return cache_folder() / kind / hashlib.blake2b(key.encode(), digest_size=16).hexdigest()


def recall(kind: str, key: str | None) -> bytes | None:
    """Give what was kept under a key; None if there is nothing."""
    if key is None:
        return None
    place = _place(kind, key)
    try:
        return place.read_bytes() if place.is_file() else None
    except OSError:
        return None


def keep(kind: str, key: str, content: bytes) -> None:
    """Keep something for later runs; that this fails is no error."""
    place = _place(kind, key)
    with contextlib.suppress(OSError):
        place.parent.mkdir(parents=True, exist_ok=True)
        descriptor, name = tempfile.mkstemp(prefix=f".{kind}-", dir=place.parent)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(content)
            Path(name).replace(place)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        _forget_the_oldest(place.parent)


def _forget_the_oldest(folder: Path) -> None:
    files = list(folder.iterdir())
    if len(files) > _MOST:
        files.sort(key=lambda file: file.stat().st_mtime)
        for file in files[: len(files) - _MOST // 2]:
            file.unlink(missing_ok=True)
