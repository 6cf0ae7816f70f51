"""Radiance: pixels of three 8-bit mantissas with one exponent. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from bridge.errors import CorruptMedia, TruncatedMedia, UnsupportedPixels

__all__ = ["RadianceHead", "encode_radiance", "radiance_head", "radiance_pixels"]

_SIZE = re.compile(rb"([-+])([XY]) +(\d{1,10}) +([-+])([XY]) +(\d{1,10})\n")
_LONGEST_LINE = 1 << 12
_FORMATS = ("32-bit_rle_rgbe", "32-bit_rle_xyze")
_PACKED = range(8, 32768)  # widths that lines packed by component may have


@dataclass(frozen=True, slots=True, kw_only=True)
class RadianceHead:
    """What the header says.

    Attributes
    ----------
    width, height : int
        Of the picture as it is seen.
    axes : str
        ``"YX"`` where lines of the file are lines of the picture, else ``"XY"``.
    flips : tuple of bool
        Whether the file counts down, on each axis of the picture.
    variables : dict
        The other lines of the header (``EXPOSURE``, ``FORMAT``, …), as they are; none is applied.
    start : int
        Where the pixels begin.
    """

    width: int
    height: int
    axes: str
    flips: tuple[bool, bool]
    variables: dict[str, str]
    start: int


def radiance_head(data: bytes) -> RadianceHead:
    r"""Read the header at the beginning of `data`.

    Raises
    ------
    CorruptMedia
        If it is damaged.

    Examples
    --------
    >>> head = radiance_head(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 2 +X 3\n")
    >>> head.width, head.height, head.variables
    (3, 2, {'FORMAT': '32-bit_rle_rgbe'})
    """
    text, blank, _ = data.partition(b"\n\n")
    size = _SIZE.match(data, len(text) + 2)
    if not blank or size is None or size[2] == size[5] or not int(size[3]) or not int(size[6]):
        raise CorruptMedia("the Radiance header is damaged or ends early")
    lines = (line.decode("latin-1").partition("=") for line in text.split(b"\n")[1:] if not line.startswith(b"#"))
    variables = {name.strip(): value.strip() for name, is_one, value in lines if is_one}
    if (form := variables.get("FORMAT", _FORMATS[0])) not in _FORMATS:
        raise CorruptMedia(f"the Radiance header says FORMAT={form[:40]!r}")
    sides = {size[2]: int(size[3]), size[5]: int(size[6])}
    signs = {size[2]: size[1], size[5]: size[4]}
    return RadianceHead(
        width=sides[b"X"], height=sides[b"Y"], axes=(size[2] + size[5]).decode(),
        flips=(signs[b"Y"] == b"+", signs[b"X"] == b"-"), variables=variables, start=size.end(),
    )  # fmt: skip


def radiance_pixels(head: RadianceHead, data: bytes) -> np.ndarray[Any, Any]:
    """Decode the pixels, float32 ``(height, width, 3)``, the first line on top.

    Raises
    ------
    TruncatedMedia, CorruptMedia
        If `data` is not whole.
    """
    turned = head.axes == "XY"
    lines, length = (head.width, head.height) if turned else (head.height, head.width)
    packed = length in _PACKED and data[:2] == b"\2\2" and len(data) > 2 and data[2] < 128
    coded = _by_component(data, lines, length) if packed else _by_pixel(data, lines * length)
    coded = coded.reshape(lines, length, 4)
    coded = coded.transpose(1, 0, 2) if turned else coded
    for axis, flipped in enumerate(head.flips):
        coded = np.flip(coded, axis) if flipped else coded
    exponents = np.where(coded[..., 3:] == 0, -1000, coded[..., 3:].astype(np.int32) - 136)
    return np.ldexp(coded[..., :3].astype(np.float32), exponents)


def _by_component(data: bytes, lines: int, length: int) -> np.ndarray[Any, Any]:
    """Undo the newer packing: in each line all reds, then greens, blues, exponents, each in runs."""
    mark = bytes((2, 2, length >> 8, length & 255))
    coded = np.empty((lines, length, 4), np.uint8)
    at = 0
    for line in range(lines):
        if data[at : at + 4] != mark:
            raise _damaged(data, at + 4, f"line {line} has no beginning")
        row, at = _runs(data, at + 4, 4 * length)
        coded[line] = np.frombuffer(row, np.uint8).reshape(4, length).T
    return coded


def _runs(data: bytes, at: int, count: int) -> tuple[bytes, int]:
    row = bytearray()
    while len(row) < count:
        if at + 1 >= len(data):
            raise _damaged(data, len(data) + 1, "")
        long = data[at]
        if long > 128:
            row += data[at + 1 : at + 2] * (long - 128)
            at += 2
        else:
            row += data[at + 1 : at + 1 + long]
            at += 1 + long
        if not long or len(row) > count:
            raise _damaged(data, at, "a run does not fit its line")
    return bytes(row), at


def _by_pixel(data: bytes, count: int) -> np.ndarray[Any, Any]:
    """Undo the older packing, where (1, 1, 1, n) repeats the last pixel; several of them are digits of n."""
    units = np.frombuffer(data, np.uint8, len(data) // 4 * 4).reshape(-1, 4)
    repeats = (units[:, :3] == 1).all(axis=1)
    if not repeats[:count].any():
        if len(units) < count:
            raise _damaged(data, len(data) + 1, "")
        return units[:count]
    place = np.arange(len(units))
    last = np.maximum.accumulate(np.where(repeats, -1, place))
    if last[0] < 0:
        raise _damaged(data, 0, "it begins with a repetition")
    digit = np.minimum(place - last - 1, 3)
    long = np.where(repeats, units[:, 3].astype(np.int64) << 8 * np.maximum(digit, 0), 1)
    ends = np.cumsum(np.minimum(long, count + 1))
    if ends[-1] < count:
        raise _damaged(data, len(data) + 1, "")
    whole = int(np.searchsorted(ends, count)) + 1
    if ends[whole - 1] != count:
        raise _damaged(data, 0, "a repetition goes beyond the last pixel")
    return np.repeat(units[last[:whole]], long[:whole], axis=0)


def _damaged(data: bytes, at: int, what: str) -> CorruptMedia | TruncatedMedia:
    """Tell an end that came early from damage."""
    if at > len(data):
        return TruncatedMedia("the Radiance picture ends before its last pixel", got=0)
    return CorruptMedia(f"the Radiance picture is damaged: {what}")


def encode_radiance(image: np.ndarray[Any, Any]) -> bytes:
    """Encode a float32 picture of 3 channels, each value to within 1/256 of the largest of its pixel.

    Raises
    ------
    UnsupportedPixels
        For values that have no such form: below zero, from 2**127 on, or no numbers.
    """
    if not ((image >= 0) & (image < 2.0**127 * (1 - 2.0**-9))).all():
        raise UnsupportedPixels("Radiance holds numbers from 0 to 1.7e38; formats that can: EXR, PFM, TIFF or NPY")
    height, width = image.shape[:2]
    _, exponent = np.frexp(image.max(axis=2))
    high = np.ldexp(image.max(axis=2), 8 - exponent) >= 255.5  # would be rounded to 256
    exponent += high
    seen = (exponent > -128) & (image.max(axis=2) > 0)
    coded = np.zeros((height, width, 4), np.uint8)
    mantissas = np.rint(np.ldexp(image, np.where(seen, 8 - exponent, 0)[..., None]))
    coded[..., :3] = np.where(seen[..., None], mantissas, 0)
    coded[..., 3] = np.where(seen, exponent + 128, 0)
    return f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n".encode() + coded.tobytes()
