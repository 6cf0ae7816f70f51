"""The chain of a TIFF's page directories, held against the size of the file before a library reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from bridge.errors import CorruptMedia, LimitExceeded
from bridge.media.pages import Chain

if TYPE_CHECKING:
    from bridge.core.request import Request

__all__ = ["Directories"]

_BITS, _COMPRESSION, _SAMPLE_FORMAT = 258, 259, 339

# What tifffile undoes with what Python carries: none, deflate (two numbers), LZMA, PackBits.
_IN_PROCESS = frozenset({1, 8, 32946, 34925, 32773})

_PAGES = 65_535  # that many take seconds to list, and no camera or microscope makes more in one file
_BATCH = 1000  # directories that are looked at together
_SIZES = np.zeros(1 << 16, np.uint64)  # bytes of a value, by its type
_SIZES[1:19] = [1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8]


class Directories:
    """The directories of a TIFF, one a page."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._size = request.size
        self._chain = Chain(request.read_at, request.name)
        self._order: Literal["little", "big"] = "little" if self._chain.order == "<" else "big"
        self._offset = 8 if self._chain.big else 4  # bytes of an offset
        sign, number = self._chain.order, f"{self._chain.order}u{self._offset}"
        self._entry = np.dtype([("tag", f"{sign}u2"), ("type", f"{sign}u2"), ("count", number), ("value", number)])

    def _number(self, raw: bytes) -> int:
        return int.from_bytes(raw, self._order)

    def _damaged(self, what: str) -> CorruptMedia:
        return CorruptMedia(f"{self._request.name} is a damaged TIFF: it has {what}")

    # The first page

    def for_tifffile(self, *, other: bool) -> bool:
        """Tell whether tifffile decodes the first page alone, or nobody else can without loss.

        ImageMagick would give floating point, signed and 32-bit samples as clipped 16-bit ones; `other` samples are
        left to it.
        """
        return (
            (not other and self._first(_COMPRESSION, 1) in _IN_PROCESS)
            or self._first(_SAMPLE_FORMAT, 1) != 1
            or self._first(_BITS, 1) > 16
        )

    @property
    def odd(self) -> bool:
        """Whether the samples of the first page have 2 to 15 bits, but not 8: tifffile needs another package then."""
        return 1 < self._first(_BITS, 1) < 16 and self._first(_BITS, 1) != 8

    def _first(self, tag: int, otherwise: int) -> int:
        """Read the first number of a tag of the first page."""
        entry, value = (20, 12) if self._chain.big else (12, 8)
        table, _ = self._chain.read(self._chain.first)
        for start in range(0, len(table), entry):
            if self._number(table[start : start + 2]) == tag:
                count = self._number(table[start + 4 : start + value])
                field = table[start + value : start + entry]
                if 2 * count <= len(field):
                    return self._number(field[:2])
                return self._number(self._chain.bytes_at(self._number(field), 2))
        return otherwise

    # All of them

    def check(self) -> None:
        """Follow the chain to its end; a reader that just stops where the file does would lose pages in silence.

        Raises
        ------
        TruncatedMedia
            If the file ends before.
        CorruptMedia
            If it has no end, or directories or values lie over each other, so that few bytes stand for very many.
        LimitExceeded
            If it has more pages than can be listed in good time.
        """
        total, most = 0, self._most_pages()
        tables: list[bytes] = []
        for number, (_, table) in enumerate(self._chain):
            if number == most:
                raise LimitExceeded(
                    f"{self._request.name} has more than {most} pages; if you trust it, raise the limit with"
                    " limits=bridge.Limits(frames=...)"
                )
            total += len(table)
            if total > self._size:
                raise self._overlapping()
            tables.append(table)
            if len(tables) == _BATCH:
                self._check_values(tables)
                tables = []
        self._check_values(tables)

    def _overlapping(self) -> CorruptMedia:
        return self._damaged("page directories or values that lie over each other")

    def _most_pages(self) -> int:
        limits = self._request.limits
        return _PAGES if limits.trust == "untrusted" else max(_PAGES, limits.frames or 0)

    def _check_values(self, tables: list[bytes]) -> None:
        """Add up each directory's values, of those that lie in the file: others are not there to be read."""
        tables = [table for table in tables if table]
        if not tables:
            return
        entries = np.frombuffer(b"".join(tables), self._entry)
        counts = np.minimum(entries["count"].astype(np.uint64), self._size + 1)
        wanted = counts * _SIZES[entries["type"]]
        ends = np.minimum(entries["value"].astype(np.uint64), self._size + 1) + wanted
        inside = (wanted > self._offset) & (ends <= self._size)
        starts = np.cumsum([0, *(len(table) // self._entry.itemsize for table in tables[:-1])])
        if np.add.reduceat(np.where(inside, wanted, 0), starts).max() > self._size:
            raise self._overlapping()
