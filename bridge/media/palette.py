"""What a picture loses in a format of few colours, counted. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["ColourCount"]


class ColourCount:
    """Counts the colours of frames, until there are too many.

    Parameters
    ----------
    most : int
        How many a palette holds; what is transparent takes two of these, one of them for nothing.
    together : bool
        All frames share one palette; else each has its own.

    Examples
    --------
    >>> ColourCount(2).losses(np.arange(3, dtype=np.uint8)[None])
    ['frames of more than 2 colours were brought to so many']
    """

    def __init__(self, most: int, *, together: bool = False) -> None:
        self._most = most
        self._together = together
        self._seen = np.zeros(0, np.uint32)
        self._told: set[str] = set()

    def losses(self, image: np.ndarray[Any, Any]) -> list[str]:
        """Say what is lost of a frame of 8 bits; each kind of loss once."""
        planes = image if image.ndim == 3 else image[..., None]
        alpha = planes[..., -1] if planes.shape[2] in (2, 4) else None
        found = []
        if alpha is not None and ((alpha > 0) & (alpha < 255)).any():
            found.append("what was half transparent became transparent or opaque")
        if _MANY not in self._told and self._too_many(planes, alpha):
            found.append(_MANY)
        new = [loss for loss in found if loss not in self._told]
        self._told |= set(new)
        return [loss.format(self._most) for loss in new]

    def _too_many(self, planes: np.ndarray[Any, Any], alpha: np.ndarray[Any, Any] | None) -> bool:
        colours = planes[..., : planes.shape[2] - (alpha is not None)].astype(np.uint32)
        packed = sum(colours[..., place] << 8 * place for place in range(colours.shape[2]))
        seen = np.unique(packed if alpha is None else packed[alpha >= 128])  # type: ignore[index] # an array
        if self._together:
            seen = self._seen = np.union1d(self._seen, seen)
        return len(seen) > self._most - 2 * (alpha is not None)


_MANY = "frames of more than {} colours were brought to so many"
