"""The chain of a TIFF's directories, one a page, and how large each says it is. Pure."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from bridge.errors import CorruptMedia, TruncatedMedia

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.head import ReadAt

__all__ = ["MOST_PAGES", "Page", "pages"]

MOST_PAGES = 1 << 16  # of a file that is not trusted
_MOST_TAGS = 4096  # of one directory, as tifffile has it
_FIRST_READ = 512  # bytes that hold most directories
_FORMS = {3: "H", 4: "L", 16: "Q"}  # types of whole numbers
_WIDTH, _HEIGHT = 256, 257


class Page(NamedTuple):
    """Where a directory is, and the width and height in it; 0 if it does not say."""

    at: int
    size: tuple[int, int]


def pages(read_at: ReadAt, name: str = "the content") -> Iterator[Page]:
    """Follow the chain to its end.

    Parameters
    ----------
    read_at : callable
        ``read_at(offset, count)`` gives up to `count` bytes.
    name : str
        What messages call it.

    Raises
    ------
    TruncatedMedia
        If a directory lies behind the end.
    CorruptMedia
        If the chain comes back to where it was, or a directory has more entries than any.
    """
    directories = _Directories(read_at, name)
    at, seen = directories.first, set[int]()
    while at:
        if at in seen:
            raise CorruptMedia(f"{name} is a damaged TIFF: its page directories have no end")
        seen.add(at)
        size, following = directories.read(at)
        yield Page(at, size)
        at = following


class _Directories:
    """Reads one directory after the other, in the byte order and the widths of the file."""

    def __init__(self, read_at: ReadAt, name: str) -> None:
        self._read_at = read_at
        self._name = name
        head = read_at(0, 16)
        self._little = head[:2] == b"II"
        self._order = "<" if self._little else ">"
        try:
            big = struct.unpack_from(f"{self._order}H", head, 2)[0] == 43
            self._row = struct.Struct(self._order + ("HHQ8s" if big else "HHL4s"))
            self._link = struct.Struct(self._order + ("Q" if big else "L"))
            self._wide = 8 if big else 2  # bytes of the number of entries
            self.first: int = self._link.unpack_from(head, 8 if big else 4)[0]
        except struct.error:
            raise TruncatedMedia(f"{name} ends inside its header", got=0) from None

    def read(self, at: int) -> tuple[tuple[int, int], int]:
        """Give width and height in the directory at `at`, and where the next one is."""
        block = self._read_at(at, _FIRST_READ)
        count = int.from_bytes(block[: self._wide], "little" if self._little else "big")
        if count > _MOST_TAGS:
            raise CorruptMedia(f"{self._name} is a damaged TIFF: a page directory has {count} entries")
        end = self._wide + count * self._row.size
        if end + self._link.size > len(block):
            block = self._read_at(at, end + self._link.size)
        if end + self._link.size > len(block):
            raise TruncatedMedia(f"{self._name} ends before its page directory at byte {at}", got=0)
        return self._size(block[self._wide : end]), self._link.unpack_from(block, end)[0]

    def _size(self, table: bytes) -> tuple[int, int]:
        found = {_WIDTH: 0, _HEIGHT: 0}
        for tag, kind, _, value in self._row.iter_unpack(table):
            if tag in found and kind in _FORMS:
                (found[tag],) = struct.unpack_from(self._order + _FORMS[kind], value)
            elif tag > _HEIGHT:  # they rise
                break
        return found[_WIDTH], found[_HEIGHT]
