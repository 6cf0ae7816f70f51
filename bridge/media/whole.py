"""Whether an EXR or a QOI is all there, which their decoder does not mind. Pure."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from bridge.media.heads import exr_attributes

if TYPE_CHECKING:
    from bridge.media.head import ReadAt

__all__ = ["is_cut"]

_QOI_END = bytes(7) + b"\x01"
_TILED = 0x200
_EXR_LINES = (1, 1, 1, 16, 32, 16, 32, 32, 32, 256)  # of a block, by the number of the compression


_JPEG_END = b"\xff\xd9"  # which cannot be among the code of a JPEG-LS
_BEHIND = 4096  # bytes where it may be, as some writers pad the file


def is_cut(kind: str, read_at: ReadAt, size: int) -> bool:
    """Tell whether the end of a picture is missing; False for kinds that are not looked at here.

    Examples
    --------
    >>> data = b"qoif" + bytes(30)
    >>> is_cut("qoi", lambda at, count: data[at : at + count], len(data))
    True
    """
    if kind == "qoi":
        return size < 22 or read_at(size - 8, 8) != _QOI_END
    if kind == "jls":
        return _JPEG_END not in read_at(max(0, size - _BEHIND), _BEHIND)
    return kind == "exr" and _exr_is_cut(read_at, size)


def _exr_is_cut(read_at: ReadAt, size: int) -> bool:
    """Look at the table of blocks, or tiles, and at the one that lies last."""
    head = read_at(0, 1 << 20)
    tiled = bool(struct.unpack_from("<I", head, 4)[0] & _TILED)
    at, facts = exr_attributes(head)
    blocks = _tiles(facts) if tiled else _blocks(facts)
    if blocks is None:
        return False
    before = 20 if tiled else 8  # bytes that say which one it is, and how long
    table = read_at(at, 8 * blocks)
    if blocks < 1 or len(table) < 8 * blocks:
        return True
    places = struct.unpack(f"<{blocks}Q", table)
    last: int = max(places)
    if min(places) < at or last + before > size:
        return True
    length: int = struct.unpack("<i", read_at(last + before - 4, 4))[0]
    return last + before + length > size


def _blocks(facts: dict[str, bytes]) -> int:
    """Count the blocks of lines."""
    _, height = _extent(facts)
    method = facts["compression"][0]
    lines = _EXR_LINES[method] if method < len(_EXR_LINES) else 1
    return -(-height // lines)


def _tiles(facts: dict[str, bytes]) -> int | None:
    """Count the tiles; None where there are smaller pictures beside the whole one, which ffmpeg refuses."""
    wide, high, levels = struct.unpack("<IIB", facts["tiles"])
    width, height = _extent(facts)
    return None if levels & 15 or not wide * high else -(-width // wide) * -(-height // high)


def _extent(facts: dict[str, bytes]) -> tuple[int, int]:
    left, top, right, bottom = struct.unpack("<4i", facts["dataWindow"])
    return right - left + 1, bottom - top + 1
