"""Series of pictures by their names: numbered patterns and globs, read one file after the other."""

from __future__ import annotations

import glob
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.core.format import Format, Reader
from bridge.core.uri import Series
from bridge.errors import NoSuchFrame, UriError, UriNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np

    from bridge.core.request import Request

__all__ = ["SeriesFormat", "SeriesReader", "files_of"]

_NUMBER = re.compile(r"%(0?)(\d*)d")


def files_of(pattern: str) -> list[Path]:
    """List the files of a pattern, in their order.

    Raises
    ------
    UriNotFound
        If there is none.
    UriError
        If a numbered series has a gap: its frames would not be those that the numbers say.
    """
    folder, name = os.path.split(pattern)
    number = _NUMBER.search(name)
    found = _numbered(folder, name, number) if number else _globbed(pattern)
    if not found:
        raise UriNotFound(f"there is no file {pattern}")
    return found


def _numbered(folder: str, name: str, number: re.Match[str]) -> list[Path]:
    before, after = name[: number.start()].replace("%%", "%"), name[number.end() :].replace("%%", "%")
    width = int(number[2] or 0) if number[1] else 0
    shape = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    entries = os.listdir(folder) if os.path.isdir(folder) else []  # noqa: PTH112, PTH208 - names as they are
    numbers = {
        int(match[1]): entry for entry in entries if (match := shape.fullmatch(entry)) and _fits(match[1], width)
    }
    for value in range(min(numbers, default=0), max(numbers, default=-1) + 1):
        if value not in numbers:
            raise UriError(f"{folder}/{name} has a gap: number {value} is missing")
    return [Path(folder, numbers[value]) for value in sorted(numbers)]


def _fits(digits: str, width: int) -> bool:
    """Tell whether ``%0<width>d`` writes these digits."""
    return len(digits) == width or (len(digits) > width and not digits.startswith("0")) or digits == "0"


def _globbed(pattern: str) -> list[Path]:
    paths = (Path(name) for name in glob.glob(pattern))  # noqa: PTH207 - the pattern is absolute
    return sorted((path for path in paths if path.is_file()), key=lambda path: _natural(path.name))


def _natural(name: str) -> list[tuple[int, int, str]]:
    """Sort ``a2`` before ``a10``."""
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in re.split(r"(\d+)", name)]


class SeriesReader(Reader):
    """Reads a series of pictures, each by the format of its own content.

    Keywords are handed on to the reader of each picture.
    """

    _format: SeriesFormat

    def _open(self, **kwargs: Any) -> None:
        self._kwargs = kwargs
        self._files = files_of(self._pattern())

    def _pattern(self) -> str:
        resource = self.request.resource
        return resource.pattern if isinstance(resource, Series) else self.request.name

    def _length(self) -> float:
        return len(self._files)

    def _data(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        if index >= len(self._files):
            return None
        image = self._format.read(self._files[index], self.request.limits, **self._kwargs)
        return image, {**image.meta, "index": index, "file": str(self._files[index])}

    def _info(self) -> Any:
        return self._format.probe(self._files[0], self.request.limits)

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is None:
            return {"format": self.format.name, "files": [str(path) for path in self._files]}
        found = self._data(index)
        if found is None:
            raise NoSuchFrame(f"{self.request.name} has no image {index}")
        return found[1]


class SeriesFormat(Format):
    """Numbered or globbed pictures as one series; only when asked for, by `sequence` or ``format="sequence"``.

    Parameters
    ----------
    read, probe : callable
        Read and describe one picture.
    """

    name = "SEQUENCE"
    description = "series of pictures"
    modes = "iI"
    depths = "as each picture"
    reader = SeriesReader

    def __init__(self, read: Callable[..., Any], probe: Callable[..., Any]) -> None:
        self.read = read
        self.probe = probe

    def can_read(self, request: Request) -> bool:
        """Take what was named as a series."""
        return isinstance(request.resource, Series)
