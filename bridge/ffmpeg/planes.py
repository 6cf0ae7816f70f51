"""Planes: a frame as a codec has it, luma and chroma apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, SupportsIndex, TypeAlias

import numpy as np

from bridge.core.array import Array, Batch
from bridge.errors import UnsupportedPixels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.media.pixels import PixelFormat

    _Layout: TypeAlias = tuple[PixelFormat, tuple[int, int]]  # width and height

__all__ = ["Planes", "PlanesBatch"]


class _Laid(Array):
    """An array that knows how planes lie in its memory."""

    _layout: _Layout | None = None

    def _take(self, layout: _Layout | None) -> None:
        self._layout = layout
        self.is_picture = layout is None

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the planes."""
        make, arguments, state = super().__reduce__()
        return make, arguments, (state, self._layout)

    def __setstate__(self, state: Any) -> None:
        """Unpickle with the planes."""
        inner, layout = state
        super().__setstate__(inner)
        self._take(layout)


class Planes(_Laid):
    """A frame of a YCbCr format, in one block of memory; its planes are views of that.

    Attributes
    ----------
    pixelformat : str
        FFmpeg's name of the format.

    Examples
    --------
    >>> from bridge.media.pixels import pixel_format
    >>> frame = Planes.of(pixel_format("yuv420p").empty(6, 4), pixel_format("yuv420p"), (6, 4))
    >>> frame.shape, frame.y.shape, frame.u.shape
    ((6, 6), (4, 6), (2, 3))
    """

    def __array_finalize__(self, source: object) -> None:
        """Keep the planes in copies and views of the whole, not in parts. Called by numpy."""
        super().__array_finalize__(source)
        if isinstance(source, Planes) and (self.shape, self.strides) == (source.shape, source.strides):
            self._take(source._layout)  # noqa: SLF001 - of our own kind

    @classmethod
    def of(cls, frame: np.ndarray[Any, Any], pixels: PixelFormat, size: tuple[int, int]) -> Self:
        """View the memory of a frame of that format, of that width and height."""
        made = cls(frame)
        made._take((pixels, size))
        return made

    @property
    def pixelformat(self) -> str:
        """FFmpeg's name of the format."""
        return self._known()[0].name

    @property
    def y(self) -> np.ndarray[Any, Any]:
        """Luma, ``(height, width)``."""
        return self._component(0)

    @property
    def u(self) -> np.ndarray[Any, Any]:
        """Cb, of the size at which it was coded."""
        return self._component(1)

    @property
    def v(self) -> np.ndarray[Any, Any]:
        """Cr, of the size at which it was coded."""
        return self._component(2)

    @property
    def a(self) -> np.ndarray[Any, Any]:
        """Alpha, for formats that have it.

        Raises
        ------
        UnsupportedPixels
            For others.
        """
        return self._component(3)

    def _known(self) -> _Layout:
        if self._layout is None or not self.flags.c_contiguous:  # a transposed one has kept its layout
            raise UnsupportedPixels("only a whole frame has planes, not a part of one or what was calculated from it")
        return self._layout

    def _component(self, number: int) -> np.ndarray[Any, Any]:
        pixels, size = self._known()
        memory, at = np.asarray(self).reshape(-1), 0
        for plane in pixels.planes:
            shape = plane.shape(*size)
            samples = int(np.prod(shape))
            if number < plane.channels:
                found = memory[at : at + samples].reshape(shape)
                return found if plane.channels == 1 else found[..., number]
            number -= plane.channels
            at += samples
        raise UnsupportedPixels(f"{pixels.name} has no such plane")


class PlanesBatch(_Laid, Batch):
    """Several frames of a YCbCr format in one array; each of them is `Planes`.

    Examples
    --------
    >>> from bridge.media.pixels import pixel_format
    >>> pixels = pixel_format("yuv420p")
    >>> both = PlanesBatch.of_frames(np.zeros((2, 6, 6), np.uint8), [{"index": 0}, {"index": 1}], pixels, (6, 4))
    >>> both[1].u.shape, both[1].meta, [frame.y.shape for frame in both]
    ((2, 3), {'index': 1}, [(4, 6), (4, 6)])
    """

    @classmethod
    def of_frames(
        cls,
        frames: np.ndarray[Any, Any],
        metas: Sequence[Mapping[str, Any]],
        pixels: PixelFormat,
        size: tuple[int, int],
    ) -> Self:
        """View the memory of frames of that format, of that width and height."""
        made = cls(frames, metas)
        made._take((pixels, size))
        return made

    def __array_finalize__(self, source: object) -> None:
        """Keep the planes in copies and in some of the frames, not in parts of these. Called by numpy."""
        super().__array_finalize__(source)
        if isinstance(source, PlanesBatch) and self.shape[1:] == source.shape[1:]:
            self._take(source._layout)  # noqa: SLF001 - of our own kind

    def __getitem__(self, at: Any) -> Any:
        """Give one frame with its planes, or what `Batch` gives."""
        found = super().__getitem__(at)
        one = isinstance(at, SupportsIndex) and not isinstance(at, bool | np.bool_ | np.ndarray)
        if self._layout is None or not one:
            return found
        frame = Planes.of(found, *self._layout)
        frame.meta = found.meta
        return frame
