"""PixelFormat: the one table of how pixels lie in memory, under FFmpeg's names. Knows no program."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.errors import UnsupportedPixels

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["PIXEL_FORMATS", "PixelFormat", "Plane", "for_array", "full_scale", "hidden_colours", "memory_of",
           "native", "pixel_format"]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Plane:
    """One plane of a frame: how far it is subsampled, and how many samples a position has."""

    channels: int = 1
    shift_x: int = 0
    shift_y: int = 0

    def shape(self, width: int, height: int) -> tuple[int, ...]:
        """Give the numpy shape of this plane; odd sizes round up, as FFmpeg does."""
        size = (-(-height >> self.shift_y), -(-width >> self.shift_x))
        return size if self.channels == 1 else (*size, self.channels)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """How the pixels of one frame lie in memory.

    Attributes
    ----------
    name : str
        FFmpeg's name, e.g. ``"rgb24"``.
    dtype : numpy.dtype
        The type of one sample, native byte order on little-endian machines.
    planes : tuple of Plane
        In the order in which ``-f rawvideo`` writes them.
    depth : int
        Bits of a sample that carry the value.
    order : tuple of int
        For packed or planar RGB: where the array's channels R, G, B, A are found in memory.
        Empty for formats that are not turned into an ``(h, w, channels)`` array.
    """

    name: str
    dtype: np.dtype[Any]
    planes: tuple[Plane, ...]
    depth: int
    order: tuple[int, ...] = ()

    @property
    def channels(self) -> int:
        """Count the channels of the array that `view` gives."""
        return sum(plane.channels for plane in self.planes)

    @property
    def packed(self) -> bool:
        """Tell whether the samples of a pixel lie side by side."""
        return len(self.planes) == 1

    @property
    def coloured(self) -> bool:
        """Tell whether it holds red, green and blue."""
        return len(self.order) >= 3

    @property
    def ycbcr(self) -> bool:
        """Tell whether it holds luma and chroma in planes of their own."""
        return not self.packed and not self.order

    @property
    def subsampled(self) -> bool:
        """Tell whether any plane is smaller than the frame."""
        return any(plane.shift_x or plane.shift_y for plane in self.planes)

    def nbytes(self, width: int, height: int) -> int:
        """Count the bytes of one whole frame."""
        samples = (plane.shape(width, height) for plane in self.planes)
        return sum(int(np.prod(shape, dtype=np.int64)) for shape in samples) * self.dtype.itemsize

    def check_part(self, box: tuple[int, int, int, int], size: tuple[int, int]) -> None:
        """Refuse a part of a frame that begins or ends within a sample of a subsampled plane.

        Raises
        ------
        UnsupportedPixels
            With the steps that there are.
        """
        for begin, extent, whole, shifts in (
            (box[0], box[2], size[0], [plane.shift_x for plane in self.planes]),
            (box[1], box[3], size[1], [plane.shift_y for plane in self.planes]),
        ):
            step = 1 << max(shifts)
            if begin % step or (extent % step and begin + extent < whole):
                raise UnsupportedPixels(f"a part of {self.name} begins and ends at multiples of {step}, not {box}")

    def empty(self, width: int, height: int) -> np.ndarray[Any, Any]:
        """Allocate the memory of one frame as a contiguous array that a pipe can be read into.

        Packed and full-size planar formats are shaped as they lie in memory; subsampled ones are one
        ``(rows, width)`` block as imageio and OpenCV give yuv420p where that is possible, else flat.
        """
        if self.packed:
            return np.empty(self.planes[0].shape(width, height), self.dtype)
        if not self.subsampled:
            return np.empty((len(self.planes), height, width), self.dtype)
        samples = self.nbytes(width, height) // self.dtype.itemsize
        shape = (samples // width, width) if samples % width == 0 else (samples,)
        return np.empty(shape, self.dtype)

    def view(self, frame: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give the frame as the user sees it: ``(h, w)`` or ``(h, w, channels)``, R before G before B.

        Packed formats are viewed, planar RGB is interleaved into a copy. Subsampled formats are given as
        `empty` made them.
        """
        if self.subsampled or frame.ndim == 2 or not self.order:
            return frame
        if self.packed:
            return frame if self.order == tuple(range(self.channels)) else frame[..., list(self.order)]
        return np.stack([frame[plane] for plane in self.order], axis=-1)

    def memory(self, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        """Give the image as this format lies in memory: C-contiguous, of our dtype; copies only if it must."""
        if self.order and not self.packed:
            image = np.stack([image[..., self.order.index(plane)] for plane in range(self.channels)])
        elif self.order and self.order != tuple(range(self.channels)):
            image = image[..., [self.order.index(channel) for channel in range(self.channels)]]
        return np.ascontiguousarray(image, self.dtype)


def _packed(name: str, dtype: str, depth: int, order: tuple[int, ...] = ()) -> PixelFormat:
    channels = max(1, len(order))
    return PixelFormat(name=name, dtype=np.dtype(dtype), planes=(Plane(channels=channels),), depth=depth, order=order)


def _planar(name: str, dtype: str, depth: int, order: tuple[int, ...]) -> PixelFormat:
    planes = tuple(Plane() for _ in order)
    return PixelFormat(name=name, dtype=np.dtype(dtype), planes=planes, depth=depth, order=order)


def _yuv(name: str, dtype: str, depth: int, shift: tuple[int, int]) -> PixelFormat:
    chroma = Plane(shift_x=shift[0], shift_y=shift[1])
    return PixelFormat(name=name, dtype=np.dtype(dtype), planes=(Plane(), chroma, chroma), depth=depth)


def _yuva(name: str, dtype: str, depth: int, shift: tuple[int, int]) -> PixelFormat:
    chroma = Plane(shift_x=shift[0], shift_y=shift[1])
    return PixelFormat(name=name, dtype=np.dtype(dtype), planes=(Plane(), chroma, chroma, Plane()), depth=depth)


def _yuv_family() -> Iterator[PixelFormat]:
    """Give planar YCbCr in the subsamplings and depths that codecs use."""
    for name, shift in _SUBSAMPLED.items():
        yield _yuv(f"yuv{name}p", "u1", 8, shift)
    for name in ("420", "422", "444", "440"):
        yield _yuv(f"yuvj{name}p", "u1", 8, _SUBSAMPLED[name])
    for name in ("420", "422", "444"):
        shift = _SUBSAMPLED[name]
        yield _yuva(f"yuva{name}p", "u1", 8, shift)
        yield from (_yuv(f"yuv{name}p{depth}le", "<u2", depth, shift) for depth in (9, 10, 12, 14, 16))
        yield from (_yuva(f"yuva{name}p{depth}le", "<u2", depth, shift) for depth in (9, 10, 16))
    yield from (_yuva(f"yuva{name}p12le", "<u2", 12, _SUBSAMPLED[name]) for name in ("422", "444"))
    yield from (_yuv(f"yuv440p{depth}le", "<u2", depth, _SUBSAMPLED["440"]) for depth in (10, 12))


def _semi(name: str, dtype: str, depth: int) -> PixelFormat:
    chroma = Plane(channels=2, shift_x=1, shift_y=1)
    return PixelFormat(name=name, dtype=np.dtype(dtype), planes=(Plane(), chroma), depth=depth)


def _table(rows: Iterable[PixelFormat]) -> dict[str, PixelFormat]:
    return {row.name: row for row in rows}


_RGB, _RGBA, _BGR, _BGRA = (0, 1, 2), (0, 1, 2, 3), (2, 1, 0), (2, 1, 0, 3)
_GBR, _GBRA = (2, 0, 1), (2, 0, 1, 3)
_SUBSAMPLED = {"420": (1, 1), "422": (1, 0), "444": (0, 0), "440": (0, 1), "411": (2, 0), "410": (2, 2)}

PIXEL_FORMATS: dict[str, PixelFormat] = _table(
    (
        _packed("gray", "u1", 8),
        *(_packed(f"gray{depth}le", "<u2", depth) for depth in (9, 10, 12, 14)),
        _packed("gray16le", "<u2", 16),
        _packed("grayf32le", "<f4", 32),
        _packed("ya8", "u1", 8, (0, 1)),
        _packed("ya16le", "<u2", 16, (0, 1)),
        _packed("rgb24", "u1", 8, _RGB),
        _packed("bgr24", "u1", 8, _BGR),
        _packed("rgba", "u1", 8, _RGBA),
        _packed("bgra", "u1", 8, _BGRA),
        _packed("argb", "u1", 8, (1, 2, 3, 0)),
        _packed("abgr", "u1", 8, (3, 2, 1, 0)),
        _packed("rgb48le", "<u2", 16, _RGB),
        _packed("rgba64le", "<u2", 16, _RGBA),
        _planar("gbrp", "u1", 8, _GBR),
        *(_planar(f"gbrp{depth}le", "<u2", depth, _GBR) for depth in (9, 10, 12, 14, 16)),
        _planar("gbrap", "u1", 8, _GBRA),
        *(_planar(f"gbrap{depth}le", "<u2", depth, _GBRA) for depth in (10, 12, 16)),
        _planar("gbrpf32le", "<f4", 32, _GBR),
        _planar("gbrapf32le", "<f4", 32, _GBRA),
        *_yuv_family(),
        _semi("nv12", "u1", 8),
        _semi("p010le", "<u2", 16),
    )
)

# The names that people type for the native byte order; FFmpeg takes both on little-endian machines.
_ALIASES = {name.removesuffix("le"): name for name in PIXEL_FORMATS if name.endswith("le")}
_ALIASES |= {"rgb": "rgb24", "gray8": "gray"}


def pixel_format(name: str) -> PixelFormat:
    """Look a format up by FFmpeg's name.

    Raises
    ------
    UnsupportedPixels
        For a name that the table does not hold.

    Examples
    --------
    >>> pixel_format("rgb48").nbytes(4, 2)
    48
    """
    found = PIXEL_FORMATS.get(_ALIASES.get(name, name))
    if found is None:
        known = ", ".join(sorted(PIXEL_FORMATS))
        message = f"unknown pixel format {name!r}; known are: {known}"
        raise UnsupportedPixels(message)
    return found


def memory_of(array: np.ndarray[Any, Any]) -> memoryview:
    """Give the bytes of a contiguous array, to be read into or written from without a copy."""
    return memoryview(array).cast("B")  # type: ignore[arg-type] # numpy's stubs do not say Buffer on 3.11


# What an array says by its own dtype and number of channels: dtype, channels -> format.
_FOR_ARRAY = {
    ("uint8", 1): "gray",
    ("uint8", 2): "ya8",
    ("uint8", 3): "rgb24",
    ("uint8", 4): "rgba",
    ("uint16", 1): "gray16le",
    ("uint16", 2): "ya16le",
    ("uint16", 3): "rgb48le",
    ("uint16", 4): "rgba64le",
    ("float32", 1): "grayf32le",
    ("float32", 3): "gbrpf32le",
    ("float32", 4): "gbrapf32le",
}


def for_array(image: np.ndarray[Any, Any]) -> PixelFormat:
    """Tell the pixel format that holds this picture as it is; the dtype decides, never the values.

    Parameters
    ----------
    image : numpy.ndarray
        ``(h, w)`` or ``(h, w, channels)`` with 1 to 4 channels; uint8, uint16 or float32.

    Raises
    ------
    UnsupportedPixels
        For any other shape or dtype; the message says what would be taken.
    """
    if image.ndim not in (2, 3) or 0 in image.shape:
        message = (
            f"a picture is (height, width) or (height, width, channels) and not empty, this array is {image.shape}"
        )
        raise UnsupportedPixels(message)
    channels = 1 if image.ndim == 2 else image.shape[2]
    name = _FOR_ARRAY.get((image.dtype.name, channels))
    if name is None:
        message = (
            f"no pixel format holds {channels} channel(s) of {image.dtype.name}: give uint8 or uint16 with "
            "1 to 4 channels, or float32 with 1, 3 or 4 (convert floats and other integers yourself, "
            "so that nothing is scaled behind your back)"
        )
        raise UnsupportedPixels(message)
    return PIXEL_FORMATS[name]


def native(image: np.ndarray[Any, Any], maxval: int, *, shifted: bool = False) -> np.ndarray[Any, Any]:
    """Give 16-bit samples of full scale at the scale that their file has.

    Parameters
    ----------
    image : numpy.ndarray
        uint16; others are given back as they are.
    maxval : int
        What is white in the file; 0 if that is the largest of the array's type.
    shifted : bool
        Full scale was made by a shift, as FFmpeg does it, and not as a fraction of 65535, as ImageMagick does.

    Examples
    --------
    >>> native(np.array([0, 32800, 65535], np.uint16), 1023).tolist()
    [0, 512, 1023]
    """
    if not maxval or image.dtype != np.uint16:
        return image
    if shifted:
        return image >> (16 - maxval.bit_length())
    return ((image * np.uint32(maxval) + np.uint32(32767)) // np.uint32(65535)).astype(np.uint16)


def full_scale(image: np.ndarray[Any, Any], maxval: int) -> np.ndarray[Any, Any]:
    """Give 16-bit samples of which `maxval` is white with 65535 as white.

    Examples
    --------
    >>> full_scale(np.array([0, 512, 1023], np.uint16), 1023).tolist()
    [0, 32800, 65535]
    """
    return ((image * np.uint32(65535) + np.uint32(maxval // 2)) // np.uint32(maxval)).astype(np.uint16)


def hidden_colours(image: np.ndarray[Any, Any]) -> list[str]:
    """Tell that colours are lost of pixels that are wholly transparent, as libwebp clears them; nothing if none are."""
    hidden = image.ndim == 3 and image.shape[2] == 4 and image[image[..., 3] == 0, :3].any()
    return ["colours of what is wholly transparent are not kept"] if hidden else []
