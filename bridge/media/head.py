"""PictureHead: what the header of a picture says; Window: small reads from it. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypedDict

from bridge.errors import CorruptMedia

if TYPE_CHECKING:
    from collections.abc import Callable

    ReadAt = Callable[[int, int], bytes]

__all__ = ["PictureHead", "Samples", "Window", "sampled"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PictureHead:
    """What the header of a picture says.

    Attributes
    ----------
    width, height : int
        Pixels, before any orientation is applied.
    channels : int
        Of the array that a reader should give: 1 gray, 2 gray and alpha, 3 RGB, 4 RGBA.
    depth : int
        Bits of a sample of the array: 8 (also for fewer), 16, or 32 for floats.
    maxval : int
        What is white, where that is more than 255 and less than 65535: 1023 of 10 bits; else 0.
    frames : int
        How many pictures follow each other in the file.
    cmyk : bool
        The four channels are inks, not RGBA.
    lab : bool
        The first three channels are CIE Lab.
    rare : bool
        A JPEG without loss, or of more than 8 bits, which few programs decode.
    largest : tuple of int
        Width and height of the largest part that is decoded besides: a layer, or the data window of an EXR.
    """

    width: int
    height: int
    channels: int
    depth: int = 8
    maxval: int = 0
    frames: int = 1
    cmyk: bool = False
    lab: bool = False
    rare: bool = False
    largest: tuple[int, int] = (0, 0)


class Samples(TypedDict):
    """The two of a `PictureHead` that say what its samples are."""

    depth: int
    maxval: int


def sampled(bits: int) -> Samples:
    """Give `depth` and `maxval` of samples that have so many bits.

    Examples
    --------
    >>> sampled(12)
    {'depth': 16, 'maxval': 4095}
    """
    return {"depth": 8 if bits <= 8 else 16, "maxval": (1 << bits) - 1 if 8 < bits < 16 else 0}


_FULL = 255  # bytes of the blocks of a GIF, but for the last
_MOST_SHORT = 1 << 20


class Window:
    """Small reads at rising offsets, served from pieces of 64 KiB."""

    PIECE = 1 << 16

    def __init__(self, read_at: ReadAt) -> None:
        self._read_at = read_at
        self._at = 0
        self._piece = b""

    def __call__(self, at: int, count: int) -> bytes:
        """Give up to `count` bytes at `at`."""
        if not self._at <= at <= at + count <= self._at + len(self._piece):
            self._at, self._piece = at, self._read_at(at, max(count, self.PIECE))
        return self._piece[at - self._at : at - self._at + count]

    def past_blocks(self, at: int) -> int:
        """Pass over blocks that each begin with their size, up to one without; give what comes behind, or the end.

        Raises
        ------
        CorruptMedia
            If there are more short ones than any encoder makes.
        """
        short = 0
        while piece := self(at, 1) and self._piece:
            begin, end = self._at, self._at + len(piece)
            while at < end:
                size = piece[at - begin]
                at += 1 + size
                if not size:
                    return at
                short += size < _FULL
            if short > _MOST_SHORT:
                raise CorruptMedia("the content is cut into too many blocks")
        return at

    def number(self, form: str, at: int) -> int:
        """Give one number in the form that `struct` names."""
        value: int = struct.unpack(form, self(at, struct.calcsize(form)))[0]
        return value

    def byte(self, at: int) -> int:
        """Give one byte as a number."""
        return self(at, 1)[0]

    def little(self, at: int, count: int) -> int:
        """Give a number of `count` bytes, the least significant first."""
        raw = self(at, count)
        if len(raw) < count:
            raise IndexError(at)
        return int.from_bytes(raw, "little")
