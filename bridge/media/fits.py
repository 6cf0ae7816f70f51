"""FITS: arrays behind heads of cards of 80 characters. Pure."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.errors import CorruptMedia, TruncatedMedia, UnsupportedPixels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.head import ReadAt

__all__ = ["FitsUnit", "encode_fits", "fits_array", "fits_units"]

_BLOCK, _CARD = 2880, 80
_TYPES = {8: "u1", 16: "i2", 32: "i4", 64: "i8", -32: "f4", -64: "f8"}
_MOST_BLOCKS = 4096  # of one head
_MOST_UNITS = 65_535
_MOST_AXES = 32  # as numpy has them

# BZERO of integers that FITS has no type for -> the array's type
_OFFSETS = {("u1", -128): "i1", ("i2", 1 << 15): "u2", ("i4", 1 << 31): "u4", ("i8", 1 << 63): "u8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FitsUnit:
    """One array of the file.

    Attributes
    ----------
    cards : dict
        Its head: keywords and values, typed; comments and what is blank are left out.
    shape : tuple of int
        Of the array, the slowest axis first: ``(NAXISn, …, NAXIS2, NAXIS1)``.
    coded : str
        numpy's name of the samples in the file, without their byte order, which is big-endian.
    begin : int
        Where they begin.
    """

    cards: dict[str, Any]
    shape: tuple[int, ...]
    coded: str
    begin: int

    @property
    def scale(self) -> tuple[float, float]:
        """What samples are multiplied by, and what is added then."""
        return _real(self.cards.get("BSCALE"), 1.0), _real(self.cards.get("BZERO"), 0.0)

    @property
    def blank(self) -> int | None:
        """The value that stands for none, of integers."""
        blank = self.cards.get("BLANK")
        return blank if isinstance(blank, int) and not isinstance(blank, bool) and self.coded[0] != "f" else None

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the array's samples."""
        scale, zero = self.scale
        if scale == 1 and zero and (self.coded, zero) in _OFFSETS and self.blank is None:
            return np.dtype(_OFFSETS[self.coded, int(zero)])
        if (scale, zero) == (1, 0) and self.blank is None:
            return np.dtype(self.coded)
        return np.dtype("f8" if self.coded in ("i4", "i8", "f8") else "f4")

    @property
    def nbytes(self) -> int:
        """Count the bytes of the samples in the file."""
        return math.prod(self.shape) * int(self.coded[1])


def fits_units(read_at: ReadAt, size: int) -> list[FitsUnit]:
    """Find the arrays of a file: the primary one and those of its ``IMAGE`` extensions.

    Raises
    ------
    CorruptMedia, TruncatedMedia
        If a head is damaged, or promises more than there is.
    UnsupportedPixels
        If there is no array, but perhaps a table.
    """
    found: list[FitsUnit] = []
    others: list[str] = []
    at = 0
    for number in range(_MOST_UNITS):
        if at >= size or (number and not read_at(at, _CARD).strip(b"\0 ")):
            break
        cards, begin = _cards(read_at, at)
        kind = cards.get("XTENSION", "IMAGE") if number else "IMAGE"
        axes = [_whole(cards, f"NAXIS{axis}") for axis in range(1, _whole(cards, "NAXIS", _MOST_AXES) + 1)]
        coded = _TYPES.get(cards.get("BITPIX", 0))
        if coded is None:
            raise CorruptMedia(f"this FITS has samples of {cards.get('BITPIX')!r} bits")
        groups = cards.get("GROUPS") is True and axes[:1] == [0]
        samples = math.prod(axes[1:] if groups else axes) if axes else 0
        each = _whole(cards, "PCOUNT", otherwise=0) + samples
        extent = int(coded[1]) * _whole(cards, "GCOUNT", otherwise=1) * each if axes else 0
        if begin + extent > size:
            raise TruncatedMedia(f"this FITS ends {begin + extent - size} bytes early", got=len(found))
        if kind == "IMAGE" and samples and not groups:
            found.append(FitsUnit(cards=cards, shape=tuple(reversed(axes)), coded=coded, begin=begin))
        elif extent:
            others.append("random groups" if groups else str(kind))
        at = begin + -(-extent // _BLOCK) * _BLOCK
    if not found:
        raise UnsupportedPixels(f"this FITS holds no picture{', but ' + ', '.join(others[:3]) if others else ''}")
    return found


def _cards(read_at: ReadAt, at: int) -> tuple[dict[str, Any], int]:
    """Read one head; tell where it ends."""
    cards: dict[str, Any] = {}
    for block in range(_MOST_BLOCKS):
        text = read_at(at + block * _BLOCK, _BLOCK)
        if len(text) < _BLOCK and b"END" not in text:
            raise TruncatedMedia("a head of this FITS ends early", got=0)
        for place in range(0, len(text), _CARD):
            card = text[place : place + _CARD]
            if card.rstrip() == b"END":
                return cards, at + (block + 1) * _BLOCK
            if card[8:10] == b"= ":
                name = card[:8].decode("ascii", "replace").rstrip()
                cards.setdefault(_shown(name), _value(card[10:].decode("ascii", "replace")))
    raise CorruptMedia(f"a head of this FITS has more than {_MOST_BLOCKS} blocks")


_TEXT = re.compile(r" *'((?:[^']|'')*)'")
_INTEGER = re.compile(r"[-+]?\d{1,20}")
_NUMBER = re.compile(r"([-+]?(?:\d+\.?\d*|\.\d+))(?:[EeDd]([-+]?\d{1,4}))?")


def _shown(text: str) -> str:
    return "".join(letter if " " <= letter <= "~" else "?" for letter in text)


def _value(text: str) -> Any:
    """Read what stands in a card: a text, a truth, a number; else it stays as it is."""
    if quoted := _TEXT.match(text):
        return _shown(quoted[1].replace("''", "'").rstrip())
    plain = text.partition("/")[0].strip()
    if plain in ("T", "F"):
        return plain == "T"
    if _INTEGER.fullmatch(plain):
        return int(plain)
    if number := _NUMBER.fullmatch(plain):
        return float(f"{number[1]}e{number[2] or 0}")
    return _shown(plain)


def _whole(cards: dict[str, Any], name: str, most: int = 1 << 62, *, otherwise: int | None = None) -> int:
    value = cards.get(name, otherwise)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise CorruptMedia(f"this FITS has a head whose {name} is {value!r}")
    return value


def _real(value: Any, otherwise: float) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else otherwise


def fits_array(unit: FitsUnit, data: bytes) -> np.ndarray[Any, Any]:
    """Give the array whose samples `data` holds, as ``BSCALE * samples + BZERO``; what is ``BLANK`` is NaN.

    The first row of the array is the first of the file, as astropy and imageio give it; viewers of the sky show that
    one at the bottom.
    """
    samples = np.frombuffer(data, f">{unit.coded}", math.prod(unit.shape)).reshape(unit.shape)
    scale, zero = unit.scale
    if unit.dtype.kind != "f" or (unit.coded[0] == "f" and (scale, zero) == (1, 0)):
        plain = samples.astype(f"={unit.coded}")
        return plain if unit.dtype == plain.dtype else _other_sign(plain, unit.dtype)
    made: np.ndarray[Any, Any] = samples.astype(unit.dtype) * unit.dtype.type(scale) + unit.dtype.type(zero)
    if unit.blank is not None:
        made[samples == unit.blank] = np.nan
    return made


def _other_sign(samples: np.ndarray[Any, Any], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """Give signed samples as unsigned ones or the other way round: the lowest becomes the lowest."""
    bits = samples.view(f"u{dtype.itemsize}")
    turned: np.ndarray[Any, Any] = (bits ^ bits.dtype.type(1 << (8 * dtype.itemsize - 1))).view(dtype)
    return turned


# Writing

_BITPIX = {np.dtype(coded): bits for bits, coded in _TYPES.items()}
_WRITTEN = {np.dtype(dtype): (coded, zero) for (coded, zero), dtype in _OFFSETS.items()}


def encode_fits(image: np.ndarray[Any, Any], *, first: bool) -> Iterator[bytes]:
    """Encode an array as the primary one of a file, or as an extension.

    Raises
    ------
    UnsupportedPixels
        If FITS has no such samples.
    """
    dtype = image.dtype.newbyteorder("=")
    coded, zero = _WRITTEN.get(dtype, (dtype.str[1:], 0))
    bits = _BITPIX.get(np.dtype(coded))
    if bits is None or image.dtype.kind == "b":
        raise UnsupportedPixels(
            f"FITS holds integers of 8 to 64 bits, float32 and float64, not {image.dtype}; formats that can: NPY"
        )
    cards = [_card("SIMPLE", "T") if first else _card("XTENSION", "'IMAGE   '"), _card("BITPIX", bits)]
    cards.append(_card("NAXIS", image.ndim))
    cards += [_card(f"NAXIS{axis}", side) for axis, side in enumerate(reversed(image.shape), 1)]
    cards += [_card("EXTEND", "T")] if first else [_card("PCOUNT", 0), _card("GCOUNT", 1)]
    cards += [_card("BSCALE", 1), _card("BZERO", zero)] if zero else []
    head = b"".join([*cards, b"END".ljust(_CARD)])
    yield head.ljust(-(-len(head) // _BLOCK) * _BLOCK)
    samples = np.ascontiguousarray(image, dtype)
    if zero:
        samples = _other_sign(samples, np.dtype(coded))
    yield samples.astype(samples.dtype.newbyteorder(">")).tobytes()
    yield bytes(-samples.nbytes % _BLOCK)


def _card(name: str, value: Any) -> bytes:
    shown = str(value)
    return f"{name:8}= {shown if shown.startswith(chr(39)) else shown.rjust(20)}".encode().ljust(_CARD)
