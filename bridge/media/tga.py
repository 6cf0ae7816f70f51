"""TGA of gray and alpha, which ImageMagick and ffmpeg take for 15-bit colours. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.errors import CorruptMedia, TruncatedMedia

__all__ = ["TgaHead", "gray_alpha", "gray_alpha_head"]

_GRAY, _PACKED_GRAY = 3, 11
_RIGHT, _TOP = 0x10, 0x20


@dataclass(frozen=True, slots=True, kw_only=True)
class TgaHead:
    """What the header says."""

    width: int
    height: int
    packed: bool
    flips: tuple[bool, bool]
    start: int


def gray_alpha_head(data: bytes) -> TgaHead | None:
    """Read the header of a TGA whose pixels are gray and alpha, a byte each; None for all others.

    Examples
    --------
    >>> gray_alpha_head(bytes(18)) is None
    True
    """
    if len(data) < 18:
        return None
    before, has_map, kind, colours, bits, width, height, depth, flags = struct.unpack("<BBB2xHB4xHHBB", data[:18])
    if kind not in (_GRAY, _PACKED_GRAY) or depth != 16 or flags & 0xCF != 8 or has_map > 1 or not width * height:
        return None
    start = 18 + before + has_map * colours * ((bits + 7) // 8)
    flips = (not flags & _TOP, bool(flags & _RIGHT))
    return TgaHead(width=width, height=height, packed=kind == _PACKED_GRAY, flips=flips, start=start)


def gray_alpha(head: TgaHead, data: bytes) -> np.ndarray[Any, Any]:
    """Decode the pixels, uint8 ``(height, width, 2)``, the first line on top.

    Raises
    ------
    TruncatedMedia, CorruptMedia
        If `data` is not whole.
    """
    wanted = 2 * head.width * head.height
    raw = _unpacked(data, wanted) if head.packed else data[:wanted]
    if len(raw) < wanted:
        raise TruncatedMedia("the TGA ends before its last pixel", got=0)
    image = np.frombuffer(raw, np.uint8).reshape(head.height, head.width, 2)
    for axis, flipped in enumerate(head.flips):
        image = np.flip(image, axis) if flipped else image
    return np.ascontiguousarray(image)


def _unpacked(data: bytes, wanted: int) -> bytes:
    """Undo the packing: a byte that counts, then one pixel for all or as many as it says."""
    found = bytearray()
    at = 0
    while len(found) < wanted and at < len(data):
        count = (data[at] & 127) + 1
        if data[at] > 127:
            found += data[at + 1 : at + 3] * count
            at += 3
        else:
            found += data[at + 1 : at + 1 + 2 * count]
            at += 1 + 2 * count
    if len(found) > wanted:
        raise CorruptMedia("the TGA has a run that goes beyond its last pixel")
    return bytes(found)
