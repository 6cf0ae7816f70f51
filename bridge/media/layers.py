"""Layers of an animation: where each partial picture goes, and how what a viewer shows is composed of them. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["BACKGROUND", "KEEP", "PREVIOUS", "Canvas", "Layer", "transparent"]

KEEP, BACKGROUND, PREVIOUS = 1, 2, 3  # as GIF counts them


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One partial picture of an animation.

    Attributes
    ----------
    box : tuple of int
        Left, top, width and height on the canvas.
    alpha : bool
        Whether some of its pixels may be transparent.
    over : bool
        Whether these let the canvas through; else they take its place as they are.
    disposal : int
        What becomes of its place before the next one: `KEEP`, `BACKGROUND` (it becomes transparent, as all viewers
        do it, whatever colour the file names) or `PREVIOUS` (what was there before comes back).
    """

    box: tuple[int, int, int, int]
    alpha: bool
    over: bool = True
    disposal: int = KEEP

    def covers(self, width: int, height: int) -> bool:
        """Tell whether nothing of the canvas is seen beside it."""
        left, top, wide, high = self.box
        return left <= 0 and top <= 0 and left + wide >= width and top + high >= height


def transparent(layers: Iterable[Layer], width: int, height: int) -> bool:
    """Tell whether some picture that is composed of these may be transparent somewhere."""
    empty = True  # before the first layer the canvas is
    for layer in layers:
        holes = layer.alpha or not layer.covers(width, height)
        if (empty and holes) or (layer.alpha and not layer.over):
            return True
        if layer.disposal == BACKGROUND:
            empty = True
        elif layer.disposal != PREVIOUS:  # which goes back to a canvas as empty as it was
            empty = False
    return False


class Canvas:
    """What a viewer shows of an animation, layer after layer.

    Parameters
    ----------
    width, height : int
        Pixels.

    Examples
    --------
    >>> canvas = Canvas(2, 1)
    >>> red = np.array([[[255, 0, 0, 255]]], np.uint8)
    >>> canvas.lay(red, Layer(box=(1, 0, 1, 1), alpha=False)).tolist()
    [[[0, 0, 0, 0], [255, 0, 0, 255]]]
    """

    def __init__(self, width: int, height: int) -> None:
        self._shown: np.ndarray[Any, Any] = np.zeros((height, width, 4), np.uint8)

    def lay(self, picture: np.ndarray[Any, Any], layer: Layer) -> np.ndarray[Any, Any]:
        """Lay an RGBA picture on what is there; give a copy of all."""
        left, top = layer.box[:2]
        place = self._shown[top : top + picture.shape[0], left : left + picture.shape[1]]
        picture = picture[: place.shape[0], : place.shape[1]]
        before = place.copy()
        place[...] = _over(picture, before) if layer.over else picture
        shown = self._shown.copy()
        if layer.disposal == BACKGROUND:
            place[...] = 0
        elif layer.disposal == PREVIOUS:
            place[...] = before
        return shown


def _over(above: np.ndarray[Any, Any], below: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Blend as libwebp does, to the bit, in its whole numbers."""
    alpha = above[..., 3:].astype(np.uint32)
    through = below[..., 3:] * (256 - alpha) >> 8
    both = alpha + through
    scale = (1 << 24) // np.maximum(both, 1)
    colours = ((above[..., :3] * alpha + below[..., :3] * through).astype(np.uint64) * scale >> 24).astype(np.uint8)
    blended = np.concatenate([colours, both.astype(np.uint8)], axis=2)
    return np.where(alpha == 0, below, np.where(alpha == 255, above, blended))
