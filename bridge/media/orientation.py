"""Pictures as they are to be seen: turned and mirrored as EXIF's orientation says. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["stored_box", "told_upright", "upright"]

_Image = np.ndarray[Any, Any]

# EXIF 2.32, 4.6.4 A: where the first row and the first column of what is stored are to be seen.
_TURNS: dict[int, Callable[[_Image], _Image]] = {
    2: np.fliplr,
    3: lambda image: np.rot90(image, 2),
    4: np.flipud,
    5: lambda image: np.swapaxes(image, 0, 1),
    6: lambda image: np.rot90(image, -1),
    7: lambda image: np.swapaxes(np.rot90(image, 2), 0, 1),
    8: np.rot90,
}


def upright(image: _Image, orientation: int) -> _Image:
    """Turn and mirror a picture, ``(height, width)`` or with channels behind, so that it stands upright.

    Examples
    --------
    >>> upright(np.array([[1, 2]]), 6).tolist()
    [[1], [2]]
    """
    turn = _TURNS.get(orientation)
    return image if turn is None else np.ascontiguousarray(turn(image))


def stored_box(box: tuple[int, int, int, int], orientation: int, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Find where a part of the picture that `upright` gives lies in what is stored.

    Parameters
    ----------
    box : tuple of int
        x, y, width and height in the upright picture.
    orientation : int
        EXIF's number.
    size : tuple of int
        Width and height as stored.

    Examples
    --------
    >>> stored_box((0, 0, 1, 2), 6, (10, 5))
    (0, 4, 2, 1)
    """
    x, y, width, height = box
    if orientation in (5, 6, 7, 8):
        x, y, width, height = y, x, height, width
    if orientation in (2, 3, 7, 8):
        x = size[0] - x - width
    if orientation in (3, 4, 6, 7):
        y = size[1] - y - height
    return x, y, width, height


def told_upright(groups: dict[str, dict[str, Any]], orientation: int) -> dict[str, dict[str, Any]]:
    """Give the metadata of a picture that was turned: nobody shall turn it again; what it was is in ``FILE``."""
    found = {name: dict(group) for name, group in groups.items()}
    if "Orientation" in found.get("EXIF", {}):
        found["EXIF"]["Orientation"] = 1
    if "tiff:Orientation" in found.get("XMP", {}):
        found["XMP"]["tiff:Orientation"] = "1"
    file = found.setdefault("FILE", {})
    file["orientation"] = orientation
    for size in ("size", "source_size") if orientation >= 5 else ():
        if size in file:
            file[size] = file[size][::-1]
    return found
