"""A part of a TIFF page: only the tiles or strips that it touches are read and decoded."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.portion import Box

__all__ = ["cut", "decoded_pixels", "is_planar", "read_region"]


def read_region(page: Any, box: Box) -> np.ndarray[Any, Any]:
    """Read a part of a page, as a slice of all of it would be.

    Parameters
    ----------
    page : tifffile.TiffPage or tifffile.TiffFrame
        One page of an open file.
    box : tuple of int
        x, y, width and height, inside the page.

    Raises
    ------
    Exception
        Whatever tifffile's decoders raise.
    """
    x, y, width, height = box
    frame = page.keyframe
    if frame.is_memmappable:  # neither tiled nor compressed: the system reads what is touched
        mapped = page.asarray(out="memmap")
        return np.array(cut(mapped, box, planar=is_planar(frame)), frame.dtype)
    planes = _planes(frame)
    samples = 1 if planes > 1 else frame.samplesperpixel
    found = np.full((planes, height, width, samples), frame.nodata, frame.dtype)
    for pixels, plane, top, left in _segments(page, box):
        rows, columns = pixels.shape[:2]
        above, before = max(y - top, 0), max(x - left, 0)
        part = pixels[above : min(rows, y + height - top), before : min(columns, x + width - left)]
        down, right = max(top - y, 0), max(left - x, 0)
        found[plane, down : down + part.shape[0], right : right + part.shape[1]] = part
    return found[..., 0] if planes > 1 else found[0] if samples > 1 else found[0, ..., 0]


def cut(image: np.ndarray[Any, Any], box: Box, *, planar: bool = False) -> np.ndarray[Any, Any]:
    """Slice a picture, or each plane of one."""
    x, y, width, height = box
    return image[..., y : y + height, x : x + width] if planar else image[y : y + height, x : x + width]


def decoded_pixels(page: Any, box: Box) -> int:
    """Count the pixels that are decoded for a part of a page."""
    frame = page.keyframe
    if frame.is_memmappable:
        return box[2] * box[3]
    high, wide = _segment_size(frame)
    return len(_needed(frame, box)) // _planes(frame) * high * wide


def _segments(page: Any, box: Box) -> Iterator[tuple[np.ndarray[Any, Any], int, int, int]]:
    """Decode the segments that a part touches: pixels, plane, and where in the page they begin."""
    frame = page.keyframe
    tables = {"jpegtables": page.jpegtables, "jpegheader": frame.jpegheader} if frame.compression in _JPEG else {}
    for index in _needed(frame, box):
        offset, size = page.dataoffsets[index], page.databytecounts[index]
        if not size:  # a hole, which reads as nothing
            continue
        page.parent.filehandle.seek(offset)
        raw = page.parent.filehandle.read(size)
        if len(raw) < size:
            raise EOFError(f"segment {index} ends after {len(raw)} of {size} bytes")
        pixels, (plane, _, top, left, _), shape = frame.decode(raw, index, _fullsize=frame.is_tiled, **tables)
        yield pixels[0, : shape[1], : shape[2]], plane, top, left


_JPEG = frozenset({6, 7, 34892, 33007})


def is_planar(page: Any) -> bool:
    """Tell whether a page's samples are stored in planes one behind the other."""
    return bool(page.keyframe.planarconfig == _SEPARATE and page.keyframe.samplesperpixel > 1)


def _planes(frame: Any) -> int:
    return frame.samplesperpixel if is_planar(frame) else 1


_SEPARATE = 2


def _segment_size(frame: Any) -> tuple[int, int]:
    """Give rows and columns of a tile or strip."""
    if frame.is_tiled:
        return frame.tilelength, frame.tilewidth
    return min(frame.rowsperstrip or frame.imagelength, frame.imagelength), frame.imagewidth


def _needed(frame: Any, box: Box) -> list[int]:
    """List the segments that a part touches, by their number in the page."""
    x, y, width, height = box
    high, wide = _segment_size(frame)
    across, down = math.ceil(frame.imagewidth / wide), math.ceil(frame.imagelength / high)
    return [
        (plane * down + row) * across + column
        for plane in range(_planes(frame))
        for row in range(y // high, (y + height - 1) // high + 1)
        for column in range(x // wide, (x + width - 1) // wide + 1)
    ]
