"""What a picture loses in a format of few colours, and the palette with which it loses nothing. Pure."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["SIDE", "ColourCount", "room", "with_palette"]

SIDE = 16  # of the square in which a palette is laid out
_SAMPLES = 4096  # pixels that are looked at first: pictures of many colours mostly have too many there


class ColourCount:
    """Counts the colours of frames of 8 bits, and tells what is lost where there are too many.

    Parameters
    ----------
    most : int
        How many a palette holds; what is transparent takes one of these.
    together : bool
        All frames share one palette; else each has its own.

    Attributes
    ----------
    losses : list of str
        What was lost until now, each kind once.

    Examples
    --------
    >>> count = ColourCount(2)
    >>> count.of(np.array([[7, 7, 9]], np.uint8)).tolist()
    [[9], [7]]
    >>> count.of(np.arange(3, dtype=np.uint8)[None]), count.losses
    (None, ['frames of more than 2 colours were brought to so many'])
    """

    def __init__(self, most: int, *, together: bool = False) -> None:
        self.losses: list[str] = []
        self._most = most
        self._together = together
        self._seen = np.zeros(0, np.uint32)
        self._full = False

    def of(self, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
        """Give all colours of a frame, or of all until now, ``(n, channels)``; None if they are too many.

        What is transparent comes last.
        """
        planes = image if image.ndim == 3 else image[..., None]
        if planes.shape[2] in (2, 4):
            alpha = planes[..., -1]
            if ((alpha > 0) & (alpha < 255)).any():
                self._lose("what was half transparent became transparent or opaque")
            planes = np.where((alpha < 128)[..., None], 0, planes)
            planes[..., -1][alpha >= 128] = 255
        pixels = planes.reshape(-1, planes.shape[2])
        packed = None if self._full else self._packed(pixels)
        if packed is None:
            self._full = self._together
            self._lose(f"frames of more than {self._most} colours were brought to so many")
            return None
        return np.stack([(packed >> 8 * place).astype(np.uint8) for place in range(pixels.shape[1])], axis=1)

    def _packed(self, pixels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any] | None:
        """Give the colours as numbers."""
        for part in (pixels[:: max(1, len(pixels) // _SAMPLES)], pixels):
            numbers = np.zeros(len(part), np.uint32)
            for place in range(part.shape[1]):
                numbers |= part[:, place].astype(np.uint32) << np.uint32(8 * place)
            found = np.union1d(self._seen, numbers)
            if len(found) > self._most:
                return None
        if self._together:
            self._seen = found
        return found[::-1]

    def _lose(self, what: str) -> None:
        if what not in self.losses:
            self.losses.append(what)


def room(width: int, height: int) -> tuple[int, int]:
    """Give width and height of what `with_palette` makes of a picture of that size."""
    return max(width, SIDE), height + 2 * SIDE


def with_palette(image: np.ndarray[Any, Any], colours: np.ndarray[Any, Any] | None) -> np.ndarray[Any, Any]:
    """Lay the palette of a picture below it, and below that a square that is 255 where there is one.

    Examples
    --------
    >>> with_palette(np.full((2, 20), 7, np.uint8), np.array([[7]], np.uint8))[[0, 2, 18], 15:17].tolist()
    [[7, 7], [7, 0], [255, 0]]
    """
    height, width = image.shape[:2]
    wide, high = room(width, height)
    made = np.zeros((high, wide, *image.shape[2:]), np.uint8)
    made[:height, :width] = image
    if colours is not None:
        places = np.arange(SIDE * SIDE)
        places[len(colours) - 1 :] = 0
        places[-1] = len(colours) - 1  # where FFmpeg expects what is transparent, and no more than once
        made[height : height + SIDE, :SIDE] = colours[places].reshape(SIDE, SIDE, *image.shape[2:])
        made[height + SIDE :, :SIDE] = 255
    return made
