"""Decompression of TIFF strips and tiles, never past what their page needs.

What tifffile carries for Pythons without the package imagecodecs gives a strip no bound: 1 MB of it can be 1 GB in
memory, whatever the page's size.
"""

from __future__ import annotations

import sys
import zlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["bound_strips"]

_MEMORY = 128 << 20  # that an LZMA stream may ask for


def bound_strips(tifffile: Any) -> None:
    """Make tifffile, in this process, stop at the size it asks its own decompressors for.

    It has no other way to be told; what it gives stays the same.
    """
    if "imagecodecs" not in sys.modules:  # which keeps to that size
        tifffile.TIFF.DECOMPRESSORS._codecs.update(_BOUNDED)  # noqa: SLF001 - there is no public way


def _whole(codec: Any, data: bytes, most: int | None) -> bytes:
    """Decompress to the end, or to the most bytes that are wanted."""
    # One more than wanted: so that a stream of that size comes to its checksum
    made: bytes = codec.decompress(data) if most is None else codec.decompress(data, most + 1)
    if not codec.eof and (most is None or len(made) <= most):
        raise ValueError("incomplete or truncated stream")
    return made[:most]


def _inflate(data: bytes, /, *, out: Any = None) -> bytes:
    return _whole(zlib.decompressobj(), data, out)


def _lzma(data: bytes, /, *, out: Any = None) -> bytes:
    import lzma

    return _whole(lzma.LZMADecompressor(memlimit=_MEMORY), data, out)


def _packbits(data: bytes, /, *, out: Any = None) -> bytes:
    made = bytearray()
    at, most = 0, float("inf") if out is None else out
    while at < len(data) and len(made) < most:
        count = data[at] + 1
        if count <= 128:
            made += data[at + 1 : at + 1 + count]
            at += count
        elif count > 129:
            made += data[at + 1 : at + 2] * (258 - count)
            at += 1
        at += 1
    return bytes(made)


_BOUNDED: dict[int, Callable[..., bytes]] = {8: _inflate, 32946: _inflate, 34925: _lzma, 32773: _packbits}
