"""The header of a JPEG XL codestream, bit by bit. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.errors import CorruptMedia, UnsupportedPixels
from bridge.media.head import PictureHead, sampled

if TYPE_CHECKING:
    from bridge.media.head import Samples, Window

__all__ = ["jxl"]

_HEADER = 4096  # bytes that hold every header that we read
_BOXES = 1000  # before the pixels
_ALPHA, _GRAY = 0, 1
_FLOATS = 0


class _Bits:
    """Numbers of some bits, least significant first, as the standard writes them."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "little")
        self._left = 8 * len(data)

    def __call__(self, count: int) -> int:
        self._left -= count
        if self._left < 0:
            raise CorruptMedia("the JXL header ends early")
        value = self._value & (1 << count) - 1
        self._value >>= count
        return value

    def one_of(self, *ways: tuple[int, int]) -> int:
        """Read two bits that choose a way: an offset, and how many bits are added to it."""
        offset, count = ways[self(2)]
        return offset + self(count)

    def enum(self) -> int:
        return self.one_of((0, 0), (1, 0), (2, 4), (18, 6))


def jxl(data: Window) -> PictureHead:
    """Read the header of a JPEG XL file, bare or in boxes.

    Raises
    ------
    CorruptMedia, UnsupportedPixels
    """
    bits = _Bits(_codestream(data))
    if bits(16) != 0x0AFF:
        raise CorruptMedia("the JXL file holds no codestream")
    width, height = _size(bits)
    if bits(1):  # all is as usual
        return PictureHead(width=width, height=height, channels=3)
    frames = 1
    if bits(1):
        turned = bits(3) >= 4  # its pixels come out upright
        width, height = (height, width) if turned else (width, height)
        frames = _extras(bits)
    depth = _depth(bits)
    samples: Samples = {"depth": 32, "maxval": 0} if depth == _FLOATS else sampled(depth)
    bits(1)
    alpha = False
    for _ in range(bits.one_of((0, 0), (1, 0), (2, 4), (1, 12))):
        alpha |= _extra_channel(bits) == _ALPHA
    bits(1)
    usual = bits(1)
    gray = not usual and (bits(1), bits.enum())[1] == _GRAY
    return PictureHead(width=width, height=height, channels=(1 if gray else 3) + alpha, frames=frames, **samples)


def _codestream(data: Window) -> bytes:
    """Give the beginning of the codestream: the file's own, or that of the first box that holds some of it."""
    if data(0, 2) == b"\xff\x0a":
        return data(0, _HEADER)
    at = 0
    for _ in range(_BOXES):
        name = data(at + 4, 4)
        if len(name) < 4:
            break
        size, start = data.number(">I", at), at + 8
        if size == 1:
            size, start = data.number(">Q", at + 8), at + 16
        if name in (b"jxlc", b"jxlp"):
            start += 4 if name == b"jxlp" else 0
            return data(start, min(_HEADER, at + size - start) if size else _HEADER)
        if size < start - at:
            break
        at += size
    raise CorruptMedia("the JXL file ends before its pixels")


_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}
_SIDE = ((1, 9), (1, 13), (1, 18), (1, 30))


def _size(bits: _Bits) -> tuple[int, int]:
    small = bits(1)
    height = 8 * (bits(5) + 1) if small else bits.one_of(*_SIDE)
    if ratio := _RATIOS.get(bits(3)):
        return height * ratio[0] // ratio[1], height
    return 8 * (bits(5) + 1) if small else bits.one_of(*_SIDE), height


def _extras(bits: _Bits) -> int:
    """Pass over what few files have; tell 2 for an animation, whose frames are not counted, else 1."""
    if bits(1):
        _size(bits)
    if bits(1):
        raise UnsupportedPixels("this JPEG XL has a preview, which is not read")
    if not bits(1):
        return 1
    bits.one_of((100, 0), (1000, 0), (1, 10), (1, 30))
    bits.one_of((1, 0), (1001, 0), (1, 8), (1, 10))
    bits.one_of((0, 0), (0, 3), (0, 16), (0, 32))
    bits(1)
    return 2


def _depth(bits: _Bits) -> int:
    """Read the bits of a sample; `_FLOATS` for floats of any size."""
    if bits(1):
        bits.one_of((32, 0), (16, 0), (24, 0), (1, 6))
        bits(4)
        return _FLOATS
    return bits.one_of((8, 0), (10, 0), (12, 0), (1, 6))


def _extra_channel(bits: _Bits) -> int:
    """Read what a further channel is, by its number in the standard."""
    if bits(1):
        return _ALPHA
    kind = bits.enum()
    _depth(bits)
    bits.one_of((0, 0), (3, 0), (4, 0), (1, 3))
    for _ in range(bits.one_of((0, 0), (0, 4), (16, 5), (48, 10))):
        bits(8)
    if kind == _ALPHA:
        bits(1)
    elif kind in _LONG:
        bits(_LONG[kind])
    return kind


_LONG = {2: 64, 5: 8}  # a spot colour has four half floats; the number of a colour filter is short
