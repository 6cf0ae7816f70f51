"""Contact sheets: many frames on one picture, made small by averaging areas. Pure numpy."""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.core.array import Array
from bridge.errors import UnsupportedPixels

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["contact_sheet", "shrink"]

Picture = np.ndarray[Any, Any]
Colour = tuple[int, int, int]


def contact_sheet(
    frames: Iterable[Picture],
    *,
    columns: int | None = None,
    width: int = 320,
    gap: int = 8,
    background: Colour = (24, 24, 24),
) -> Array:
    """Lay frames on a grid, row by row, each made small enough for its cell.

    Parameters
    ----------
    frames : iterable of numpy.ndarray
        uint8, ``(height, width)`` gray, ``(height, width, 3)`` RGB or ``(height, width, 4)`` RGBA, of equal
        or different size. Only the small ones are kept, so a reader of any length may be given.
    columns : int, optional
        How many frames in a row; by default as many as make the grid about square in cells.
    width : int
        Of a cell, in pixels. A frame that is wider is made smaller and keeps its shape; none is made larger.
    gap : int
        Pixels between the cells and around them.
    background : tuple of int
        Red, green and blue, 0 to 255, of what no frame covers and of what shows through a transparent one.

    Returns
    -------
    Array
        uint8, ``(rows * (cell + gap) + gap, columns * (width + gap) + gap, 3)``, where a cell is as high as
        the highest small frame. Its `meta` has ``frames``, ``columns`` and ``rows``.

    Raises
    ------
    UnsupportedPixels
        If a frame is something else, or if there is none.

    Examples
    --------
    >>> import numpy as np
    >>> contact_sheet(np.zeros((6, 90, 160, 3), np.uint8), columns=3, width=80, gap=0).shape
    (90, 240, 3)
    """
    small = [_fitted(_as_rgb(frame, background), width) for frame in frames]
    if not small:
        raise UnsupportedPixels("a contact sheet needs at least one frame")
    columns = math.ceil(math.sqrt(len(small))) if columns is None else columns
    return _laid_out(small, columns, (max(len(frame) for frame in small), width), gap, background)


def shrink(frame: Picture, size: tuple[int, int]) -> Picture:
    """Make a picture smaller: each new pixel is the mean of the area that it covers.

    Parameters
    ----------
    frame : numpy.ndarray
        uint8, ``(height, width)`` or ``(height, width, channels)``.
    size : tuple of int
        The new height and width, neither larger than the old.

    Returns
    -------
    numpy.ndarray
        uint8, of the new size. The mean is that of the stored values, rounded to the nearest.

    Raises
    ------
    UnsupportedPixels
        If the frame is something else, or would grow.

    Examples
    --------
    >>> import numpy as np
    >>> shrink(np.array([[0, 10, 20, 30]], np.uint8), (1, 2))
    array([[ 5, 25]], dtype=uint8)
    """
    _check(frame)
    if not all(0 < new <= old for new, old in zip(size, frame.shape, strict=False)):
        raise UnsupportedPixels(f"a frame of {frame.shape[1]}x{frame.shape[0]} is not shrunk to {size[1]}x{size[0]}")
    if size == frame.shape[:2]:
        return np.array(frame)
    return _whole(_averaged(np.asarray(frame, np.float32), size))


def _averaged(frame: Picture, size: tuple[int, int]) -> Picture:
    """Average along one axis, then the other: as two matrix products, which numpy does fast."""
    height, width = size
    rows = _weights(len(frame), height) @ frame.reshape(len(frame), -1)
    lines = rows.reshape(height, frame.shape[1], -1).swapaxes(1, 2)
    small: Picture = lines.reshape(-1, frame.shape[1]) @ _weights(frame.shape[1], width).T
    return small.reshape(height, -1, width).swapaxes(1, 2).reshape(*size, *frame.shape[2:])


@functools.lru_cache(maxsize=16)
def _weights(old: int, new: int) -> Picture:
    """Give the matrix of which part of each new pixel every old one makes up; its rows add up to 1."""
    ends = np.arange(new + 1) * (old / new)
    at = np.arange(old)
    covered = np.minimum(ends[1:, None], at + 1) - np.maximum(ends[:-1, None], at)
    parts: Picture = np.maximum(covered, 0) * (new / old)
    return parts.astype(np.float32)


def _whole(values: Picture) -> Picture:
    rounded: Picture = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return rounded


def _check(frame: Picture) -> None:
    if frame.dtype != np.uint8 or frame.ndim not in (2, 3) or not frame.size:
        raise UnsupportedPixels(f"a frame here is a uint8 picture, not {frame.dtype} {frame.shape}")


def _as_rgb(frame: Picture, background: Colour) -> Picture:
    """Give any frame as RGB; what is transparent shows the background."""
    _check(frame)
    if frame.ndim == 2:
        return np.repeat(np.asarray(frame)[..., None], 3, axis=2)
    if frame.shape[2] == 3:
        return np.asarray(frame)
    if frame.shape[2] != 4:
        raise UnsupportedPixels(f"a frame here has 1, 3 or 4 channels, not {frame.shape[2]}")
    opaque = np.asarray(frame)[..., 3:].astype(np.float32) / 255
    return _whole(frame[..., :3] * opaque + np.asarray(background, np.float32) * (1 - opaque))


def _fitted(frame: Picture, width: int) -> Picture:
    """Make a frame as wide as its cell, if it is wider."""
    if frame.shape[1] <= width:
        return np.array(frame)  # a copy: a reader may use its memory again
    return shrink(frame, (max(1, round(len(frame) * width / frame.shape[1])), width))


def _laid_out(small: list[Picture], columns: int, cell: tuple[int, int], gap: int, background: Colour) -> Array:
    rows = math.ceil(len(small) / columns)
    height, width = cell
    sheet = np.empty((rows * (height + gap) + gap, columns * (width + gap) + gap, 3), np.uint8)
    sheet[:] = background
    for number, frame in enumerate(small):
        row, column = divmod(number, columns)
        top = gap + row * (height + gap) + (height - len(frame)) // 2
        left = gap + column * (width + gap) + (width - frame.shape[1]) // 2
        sheet[top : top + len(frame), left : left + frame.shape[1]] = frame
    return Array(sheet, {"frames": len(small), "columns": columns, "rows": rows})
