"""Decompression of zip members, never more than 1 MiB at a time.

zipfile's own gives bz2 and LZMA no bound: 1 MiB read from it can be 20 GB in memory.
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any, Protocol

from bridge.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["CODECS", "DEFLATED", "STORED", "Codec", "Member", "decompressed"]

STORED, DEFLATED = 0, 8  # methods of compression
_MIB = 1 << 20
_DICTIONARY = 64 * _MIB  # of LZMA: what `7z -mx=9` takes; a header may ask for 4 GiB


class Codec(Protocol):
    """As bz2 and lzma have it."""

    @property
    def eof(self) -> bool:
        """Whether the end of the data has come."""

    @property
    def needs_input(self) -> bool:
        """Whether it can make no more out of what it has."""

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        """Decompress some more, into at most `max_length` bytes."""


class _Stored:
    eof = False
    needs_input = True

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:  # noqa: ARG002 - what comes in is bounded
        return data


class _Deflate:
    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(-15)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        made = self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)
        self.needs_input = len(made) < max_length and not self._inflater.unconsumed_tail
        return made


def _bzip2() -> Codec:
    import bz2

    return bz2.BZ2Decompressor()


def _lzma(head: bytes, name: str) -> tuple[Codec, int]:
    """Make one from the header in front of the data: version, length 5, lc/lp/pb, size of the dictionary."""
    import lzma

    length, packed, dictionary = struct.unpack("<2xHBI", head.ljust(9, b"\xff"))
    if length != 5 or packed >= 225:
        raise EOFError("its LZMA header is wrong")
    if dictionary > _DICTIONARY:
        raise LimitExceeded(
            f"{name}: its LZMA dictionary takes {dictionary} bytes of memory, and the limit is {_DICTIONARY};"
            " pack it again with deflate"
        )
    rest, lc = divmod(packed, 9)
    pb, lp = divmod(rest, 5)
    options = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": max(dictionary, 4096)}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options]), len(head)


CODECS: dict[int, Callable[[bytes, str], tuple[Codec, int]]] = {
    STORED: lambda *_: (_Stored(), 0),
    DEFLATED: lambda *_: (_Deflate(), 0),
    12: lambda *_: (_bzip2(), 0),
    14: _lzma,
}


def decompressed(codec: Codec, pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Decompress what comes in pieces, into pieces of at most 1 MiB."""
    while not codec.eof:
        piece = next(pieces, b"") if codec.needs_input else b""
        made = codec.decompress(piece, _MIB)
        if not made and not piece:
            return
        yield made


class Member(io.RawIOBase):
    """The content of a member, to be read once from its beginning.

    Attributes
    ----------
    size : int
        Bytes of it; when all are read, one more read checks them.
    """

    def __init__(self, pieces: Iterator[bytes], size: int) -> None:
        super().__init__()
        self.size = size
        self._pieces = pieces
        self._piece = memoryview(b"")
        self._at = 0

    def readable(self) -> bool:
        """Tell that it is."""
        return True

    def tell(self) -> int:
        """Count the bytes read."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Read some bytes."""
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        count = min(len(buffer), len(self._piece))
        buffer[:count] = self._piece[:count]
        self._piece = self._piece[count:]
        self._at += count
        return count
