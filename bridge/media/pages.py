"""The chain of a TIFF's directories, one a page, and how large each says it is. Pure."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, NamedTuple

from bridge.errors import CorruptMedia, TruncatedMedia

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.head import ReadAt

__all__ = ["Chain", "Page"]

_MOST_TAGS = 4096  # of one directory, as tifffile has it
_FIRST_READ = 512  # bytes that hold most directories
_FORMS = {3: "H", 4: "L", 16: "Q"}  # types of whole numbers
_WIDTH, _HEIGHT = 256, 257


class Page(NamedTuple):
    """Where a directory is, and its entries as they stand in the file."""

    at: int
    table: bytes


class Chain:
    """The directories, in the byte order and the widths of the file; iterating follows them to their end.

    Parameters
    ----------
    read_at : callable
        ``read_at(offset, count)`` gives up to `count` bytes.
    name : str
        What messages call it.

    Attributes
    ----------
    order : {"<", ">"}
        The byte order, as `struct` names it.
    big : bool
        Whether it is a BigTIFF.
    first : int
        Where the first directory is.

    Raises
    ------
    TruncatedMedia
        If the header, or a directory, lies behind the end.
    CorruptMedia
        If the chain comes back to where it was, or a directory has more entries than any.
    """

    def __init__(self, read_at: ReadAt, name: str = "the content") -> None:
        self._read_at = read_at
        self._name = name
        head = read_at(0, 16)
        self.order = "<" if head[:2] == b"II" else ">"
        try:
            self.big = struct.unpack_from(f"{self.order}H", head, 2)[0] == 43
            self._row = struct.Struct(self.order + ("HHQ8s" if self.big else "HHL4s"))
            self._link = struct.Struct(self.order + ("Q" if self.big else "L"))
            self._count = struct.Struct(self.order + ("Q" if self.big else "H"))
            self.first: int = self._link.unpack_from(head, 8 if self.big else 4)[0]
        except struct.error:
            raise TruncatedMedia(f"{name} ends inside its header", got=0) from None

    def __iter__(self) -> Iterator[Page]:
        """Give one directory after the other."""
        at, seen = self.first, set[int]()
        while at:
            if at in seen:
                raise CorruptMedia(f"{self._name} is a damaged TIFF: it has page directories without an end")
            seen.add(at)
            table, following = self.read(at)
            yield Page(at, table)
            at = following

    def read(self, at: int) -> tuple[bytes, int]:
        """Give the entries of the directory at `at`, and where the next one is."""
        wide = self._count.size
        block = self.bytes_at(at, wide, _FIRST_READ)
        (count,) = self._count.unpack_from(block)
        if count > _MOST_TAGS:
            raise CorruptMedia(f"{self._name} is a damaged TIFF: it has a page directory of {count} entries")
        end = wide + count * self._row.size
        if end + self._link.size > len(block):
            block = self.bytes_at(at, end + self._link.size)
        return block[wide:end], self._link.unpack_from(block, end)[0]

    def bytes_at(self, at: int, count: int, most: int = 0) -> bytes:
        """Read `count` bytes of what belongs to a directory, or up to `most`."""
        block = self._read_at(at, max(count, most))
        if len(block) < count:
            raise TruncatedMedia(f"{self._name} ends before its page directory at byte {at}", got=0)
        return block

    def size(self, page: Page) -> tuple[int, int]:
        """Give the width and height in a directory; 0 if it does not say."""
        found = {_WIDTH: 0, _HEIGHT: 0}
        for tag, kind, _, value in self._row.iter_unpack(page.table):
            if tag in found and kind in _FORMS:
                (found[tag],) = struct.unpack_from(self.order + _FORMS[kind], value)
            elif tag > _HEIGHT:  # they rise
                break
        return found[_WIDTH], found[_HEIGHT]
