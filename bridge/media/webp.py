"""Animated WebP: its chunks, and the time of each frame, put right in what libwebp made. Pure."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from bridge.errors import CorruptMedia

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MOST_TICKS", "timed"]

MOST_TICKS = (1 << 24) - 1  # milliseconds of one frame
_DISPOSED = 1


def timed(content: bytes, ticks: Sequence[int], *, loop: int = 0) -> bytes:
    """Give each frame the milliseconds that it is shown.

    Parameters
    ----------
    content : bytes
        As libwebp's encoder of animations makes it of frames that are 1 ms apart: of frames that are alike it makes
        one that is shown longer. These become frames again, which add nothing to the one before.
    ticks : sequence of int
        One for each frame that the encoder was given.
    loop : int
        How often it plays, where the encoder has made a still picture of frames that are all alike.

    Raises
    ------
    CorruptMedia
        If it holds other frames than these.
    """
    made, left = bytearray(), list(ticks)
    frames = sum(name == b"ANMF" for name, _ in _chunks(content))
    if not frames and len(left) == 1:  # a still picture
        return content
    if not frames:
        content, frames = _animation(content, loop), 1
    for name, body in _chunks(content):
        if name != b"ANMF":
            made += _chunk(name, body)
            continue
        frames -= 1
        alike = int.from_bytes(body[12:15], "little") if frames else len(left)  # the last one's is a guess
        own, left = left[:alike], left[alike:]
        if not own or len(own) < alike:
            break
        last = len(own) - 1
        disposed = body[15] & _DISPOSED
        for number, long in enumerate(own):
            flags = disposed if number == last else 0
            head, rest = (body[:12], body[16:]) if number == 0 else (body[:12], _nothing(body))
            flags |= body[15] & ~_DISPOSED if number == 0 else 0
            made += _chunk(b"ANMF", head + long.to_bytes(3, "little") + bytes([flags]) + rest)
    if left or frames:
        raise CorruptMedia(f"the animation that was made does not hold the {len(ticks)} frames that were given")
    return b"RIFF" + struct.pack("<L", len(made) + 4) + b"WEBP" + bytes(made)


def _animation(content: bytes, loop: int) -> bytes:
    """Make an animation of one frame out of a still picture."""
    body, size, alpha = b"", b"", 0
    for name, data in _chunks(content):
        if name not in (b"ALPH", b"VP8 ", b"VP8L"):
            continue
        body += _chunk(name, data)
        alpha |= 16 * (name == b"ALPH" or (name == b"VP8L" and bool(data[4] & 16)))
        if name == b"VP8L":
            bits = int.from_bytes(data[1:5], "little")
            size = (bits & 0x3FFF).to_bytes(3, "little") + (bits >> 14 & 0x3FFF).to_bytes(3, "little")
        elif name == b"VP8 ":
            sides = [(int.from_bytes(data[at : at + 2], "little") & 0x3FFF) - 1 for at in (6, 8)]
            size = b"".join(side.to_bytes(3, "little") for side in sides)
    if not size:
        raise CorruptMedia("the animation that was made holds no picture")
    made = _chunk(b"VP8X", bytes([_ANIMATED | alpha, 0, 0, 0]) + size)
    made += _chunk(b"ANIM", bytes(4) + loop.to_bytes(2, "little"))
    made += _chunk(b"ANMF", bytes(6) + size + bytes([1, 0, 0, _UNBLENDED]) + body)
    return b"RIFF" + struct.pack("<L", len(made) + 4) + b"WEBP" + made


_ANIMATED, _UNBLENDED = 2, 2


def _chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(content):
        size = int.from_bytes(content[at + 4 : at + 8], "little")
        yield content[at : at + 4], content[at + 8 : at + 8 + size]
        at += 8 + (size + 1 & ~1)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<L", len(body)) + body + b"\0" * (len(body) & 1)


def _nothing(body: bytes) -> bytes:
    """Make a lossless picture as large as a frame's, all transparent: each of its five codes has one symbol, 0."""
    width, height = (int.from_bytes(body[at : at + 3], "little") for at in (6, 9))
    codes = sum(1 << 3 + 4 * number for number in range(5))
    bits = width | height << 14 | 1 << 28 | codes << 32
    return _chunk(b"VP8L", b"\x2f" + bits.to_bytes(7, "little"))
