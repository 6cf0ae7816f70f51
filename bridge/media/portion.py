"""Which part of a picture is wanted, and how large: what users say, checked against the picture. Pure."""

from __future__ import annotations

import operator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

from bridge.errors import UnsupportedPixels
from bridge.media.orientation import stored_box

if TYPE_CHECKING:
    import numpy as np

__all__ = ["WHOLE", "Box", "Portion", "portion_of", "read_size"]

Box: TypeAlias = tuple[int, int, int, int]  # x, y, width, height


@dataclass(frozen=True, slots=True, kw_only=True)
class Portion:
    """A part of a picture as it is stored, before it is turned.

    Attributes
    ----------
    box : tuple of int or None
        x and y of the upper left corner, width and height; None for all of it.
    size : tuple of int or None
        Width and height to which that is scaled.
    """

    box: Box | None = None
    size: tuple[int, int] | None = None

    @property
    def whole(self) -> bool:
        """Tell whether it is the whole picture at its own size."""
        return self.box is None and self.size is None

    def shape(self, width: int, height: int) -> tuple[int, int]:
        """Give width and height of what comes of a picture of this size."""
        return self.size or (self.box[2:] if self.box else (width, height))

    def decoded(self, width: int, height: int, *, reducible: bool) -> tuple[int, int]:
        """Give width and height of what is decoded for it: all, or of JPEG, if scaled, down to 1/8 of each side."""
        if not reducible or self.size is None or self.box is not None:
            return width, height
        most = min(width // self.size[0], height // self.size[1])
        step = next(step for step in (8, 4, 2, 1) if step <= max(1, most))
        return -(-width // step), -(-height // step)

    def of(self, picture: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Cut it out of a whole picture."""
        if self.box is None:
            return picture
        x, y, width, height = self.box
        return picture[y : y + height, x : x + width]

    def tell(self, file: dict[str, Any]) -> None:
        """Change a picture's plain facts, its group ``FILE``: ``size`` is what comes, ``source_size`` what there is."""
        if not self.whole:
            file["source_size"] = file["size"]
            file["size"] = self.shape(*file["size"])


WHOLE = Portion()


def portion_of(
    picture: tuple[int, int], name: str, *, size: Any = None, crop: Any = None, region: Any = None, orientation: int = 1
) -> Portion:
    """Read what the user wants of a picture.

    Parameters
    ----------
    picture : tuple of int
        Width and height as it is stored.
    name : str
        What the user calls it.
    size : tuple of int or str
        ``(width, height)`` or ``"WIDTHxHEIGHT"`` of what comes out.
    crop, region : tuple of int
        ``(x, y, width, height)``; two names of the same.
    orientation : int
        The picture is turned by it afterwards; size and crop are those of what is then seen.

    Raises
    ------
    ValueError
        For what is no size or no part.
    UnsupportedPixels
        For a part that does not lie inside the picture.

    Examples
    --------
    >>> portion_of((40, 30), "a.png", crop=(10, 0, 5, 5), size="2x2")
    Portion(box=(10, 0, 5, 5), size=(2, 2))
    """
    if crop is not None and region is not None:
        raise ValueError("crop= and region= say the same; give one")
    scaled = read_size(size)
    box = _read_box(region if crop is None else crop)
    turned = orientation >= 5
    if box is not None:
        width, height = picture[::-1] if turned else picture
        x, y, wide, high = box
        if x + wide > width or y + high > height:
            raise UnsupportedPixels(
                f"{name} is {width}x{height}; the part {wide}x{high} at x={x}, y={y} does not lie inside it"
            )
        box = stored_box(box, orientation, picture)
    return Portion(box=box, size=scaled[::-1] if scaled and turned else scaled)


_MOST = 1 << 20  # pixels a side


def read_size(size: Any) -> tuple[int, int] | None:
    """Read a size, ``(320, 180)`` or ``"320x180"``."""
    if size is None:
        return None
    try:
        width, height = map(int, size.lower().split("x")) if isinstance(size, str) else map(operator.index, size)
    except (TypeError, ValueError):
        width = height = 0
    if not (1 <= width <= _MOST and 1 <= height <= _MOST):
        raise ValueError(f"size is (width, height) or 'WIDTHxHEIGHT', not {size!r}")
    return width, height


def _read_box(box: Any) -> Box | None:
    if box is None:
        return None
    try:
        x, y, width, height = (side.__index__() for side in box)
    except (TypeError, ValueError, AttributeError):
        x = y = width = height = -1
    if min(x, y) < 0 or min(width, height) < 1:
        raise ValueError(f"crop is (x, y, width, height) in pixels, not {box!r}")
    return x, y, width, height
