"""Pictures as they are to be seen: turned and mirrored as EXIF's orientation says. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["told_upright", "upright"]

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


def told_upright(groups: dict[str, dict[str, Any]], orientation: int) -> dict[str, dict[str, Any]]:
    """Give the metadata of a picture that was turned: nobody shall turn it again; what it was is in ``FILE``."""
    found = {name: dict(group) for name, group in groups.items()}
    if "Orientation" in found.get("EXIF", {}):
        found["EXIF"]["Orientation"] = 1
    if "tiff:Orientation" in found.get("XMP", {}):
        found["XMP"]["tiff:Orientation"] = "1"
    file = found.setdefault("FILE", {})
    file["orientation"] = orientation
    if orientation >= 5 and "size" in file:
        file["size"] = file["size"][::-1]
    return found
