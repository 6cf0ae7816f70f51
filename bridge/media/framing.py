"""FrameHead: what a self-describing stream says of a frame before its pixels come. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fractions import Fraction

__all__ = ["Cursor", "FrameHead", "NeedMore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameHead:
    """What stands before the pixels of a frame.

    Attributes
    ----------
    width, height : int
        Pixels.
    size : int
        Bytes of the whole frame, `prefix` included.
    pts : int or None
        Presentation time in units of `time_base`; None where the stream carries no time.
    time_base : fractions.Fraction or None
        Seconds per unit of `pts`.
    channels, maxval : int or None
        Samples a pixel and the largest value of one, where the stream says so (PNM and PAM).
    prefix : bytes
        First bytes of the frame that the stream has left out (NUT's elision headers).
    key : bool
        Whether it is decoded without others; raw frames always are.
    """

    width: int
    height: int
    size: int
    pts: int | None = None
    time_base: Fraction | None = None
    channels: int | None = None
    maxval: int | None = None
    prefix: bytes = b""
    key: bool = True


class NeedMore(Exception):
    """The bytes at hand end before the thing that is being read does."""


class Cursor:
    """Reads forward through bytes; running out raises `NeedMore`, so a parse can be tried again later."""

    __slots__ = ("data", "position")

    def __init__(self, data: bytes | bytearray, position: int = 0) -> None:
        self.data = data
        self.position = position

    def take(self, count: int) -> bytes:
        """Read exactly `count` bytes."""
        end = self.position + count
        if end > len(self.data):
            raise NeedMore
        piece = bytes(self.data[self.position : end])
        self.position = end
        return piece

    def peek(self) -> int:
        """Give the next byte and leave it there."""
        if self.position >= len(self.data):
            raise NeedMore
        return self.data[self.position]

    def integer(self, count: int) -> int:
        """Read a big-endian unsigned integer."""
        return int.from_bytes(self.take(count), "big")

    def line(self) -> bytes:
        """Read up to a newline and past it."""
        end = self.data.find(b"\n", self.position)
        if end < 0:
            raise NeedMore
        return self.take(end + 1 - self.position)[:-1]
