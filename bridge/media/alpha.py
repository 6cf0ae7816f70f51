"""Whether a film may be transparent, by the heads of its container: most are not, and need not be asked. Pure."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from bridge.media.mp4 import boxes, find_box

if TYPE_CHECKING:
    from bridge.media.head import ReadAt

__all__ = ["MAYBE", "has_alpha", "transparency"]

MAYBE = "maybe"
_HEAD = 1 << 16
_ALPHA_MODE = b"\x53\xc0\x81\x01"  # Matroska: the element AlphaMode, one byte, 1
_DECODERS = {b"V_VP9": "libvpx-vp9", b"V_VP8": "libvpx"}  # FFmpeg's own leave the second layer out
_MATROSKA = (b"V_FFV1", b"V_PRORES", b"V_QUICKTIME", b"V_UNCOMPRESSED", b"V_MS/VFW/FOURCC")
_OPAQUE = (b"XVID", b"xvid", b"DIVX", b"divx", b"DX50", b"FMP4", b"H264", b"MJPG", b"mjpg")
_QUICKTIME = (b"ap4h", b"ap4x", b"rle ", b"png ", b"raw ", b"BGRA", b"RGBA", b"FFV1")


def transparency(kind: str, read_at: ReadAt, size: int) -> str | None:
    """Tell whether a film may be transparent.

    Returns
    -------
    str or None
        None is no; `MAYBE` depends on the pixel format of the stream; else it is, and this decoder gives it.
    """
    if kind == "matroska":
        head = read_at(0, _HEAD)
        if _ALPHA_MODE in head:
            return next((decoder for codec, decoder in _DECODERS.items() if codec in head), MAYBE)
        return MAYBE if any(codec in head for codec in _MATROSKA) else None
    if kind == "mp4":
        return MAYBE if _codes(read_at, size) & set(_QUICKTIME) else None
    if kind == "avi":
        return None if any(code in read_at(0, _HEAD) for code in _OPAQUE) else MAYBE
    return MAYBE if kind == "nut" else None


def has_alpha(pixel_format: str | None) -> bool:
    """Tell whether one of FFmpeg's pixel formats has an alpha channel.

    Examples
    --------
    >>> has_alpha("yuva444p10le"), has_alpha("gbrp"), has_alpha("argb")
    (True, False, True)
    """
    return (pixel_format or "").startswith(("yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "ayuv"))


def _codes(read_at: ReadAt, size: int) -> set[bytes]:
    """Give the codes of the sample descriptions of an MP4 or QuickTime file."""
    found = set()
    try:
        movie = find_box(read_at, (0, size), b"moov")
        for track in boxes(read_at, movie, b"trak") if movie else ():
            place: tuple[int, int] | None = track
            for name in (b"mdia", b"minf", b"stbl", b"stsd"):
                place = place and find_box(read_at, place, name)
            if place:
                found.add(read_at(place[0] + 12, 4))
    except struct.error:  # damaged; whoever decodes it will say so
        return found
    return found
