"""ICC profiles of three primaries and a curve: made for sRGB, and recognised. CIE Lab to sRGB. Pure.

Sources: ICC.1:2001-04 (version 2, which every program takes), ICC.1:2022 for parametric curves, IEC 61966-2-1.
"""

from __future__ import annotations

import functools
import struct
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Primaries: TypeAlias = Sequence[tuple[float, float]]

__all__ = ["is_plain_gray", "is_srgb", "lab_to_srgb", "matrix_profile", "srgb_profile"]

_Floats: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

_D50 = np.array([0.9642, 1.0, 0.8249])  # of the space in which profiles meet
_D65 = (0.3127, 0.3290)
_SRGB = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_ENTRIES = 1024  # of a curve that is sampled


def _to_light(values: _Floats) -> _Floats:
    """Undo the curve of sRGB."""
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def _from_light(light: _Floats) -> _Floats:
    """Apply the curve of sRGB."""
    light = np.clip(light, 0, 1)
    return np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)


def _xyz(x: float, y: float) -> _Floats:
    return np.array([x / y, 1.0, (1 - x - y) / y])


def _colorants(primaries: Primaries, white: tuple[float, float]) -> _Floats:
    """Give XYZ of the primaries as columns, adapted from their white to D50."""
    columns = np.stack([_xyz(*primary) for primary in primaries], axis=1)
    light = _xyz(*white)
    columns = columns * np.linalg.solve(columns, light)
    cones = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ light))
    adapted: _Floats = np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ columns
    return adapted


def matrix_profile(
    name: str,
    primaries: Primaries,
    white: tuple[float, float] = _D65,
    curve: Callable[[_Floats], _Floats] = _to_light,
) -> bytes:
    """Make a profile of a screen.

    Parameters
    ----------
    name : str
        Its description, in ASCII.
    primaries : sequence of pairs of float
        x and y of red, green and blue.
    white : tuple of float
        x and y of white.
    curve : callable
        Gives the light, 0 to 1, of stored values, 0 to 1; that of sRGB by default.

    Returns
    -------
    bytes
        The content of an ``.icc`` file, version 2.1.
    """
    sampled = np.rint(np.clip(curve(np.linspace(0, 1, _ENTRIES)), 0, 1) * 65535).astype(">u2")
    text = name.encode("ascii") + b"\0"
    blocks = {
        b"desc": b"desc\0\0\0\0" + struct.pack(">L", len(text)) + text + bytes(4 + 4 + 2 + 1 + 67),
        b"cprt": b"text\0\0\0\0No copyright, use freely\0",
        b"wtpt": _xyz_tag(_D50),
        **dict(zip((b"rXYZ", b"gXYZ", b"bXYZ"), map(_xyz_tag, _colorants(primaries, white).T), strict=True)),
        b"rTRC": b"curv\0\0\0\0" + struct.pack(">L", _ENTRIES) + sampled.tobytes(),
    }
    return _packed(blocks, same={b"gTRC": b"rTRC", b"bTRC": b"rTRC"})


def _xyz_tag(xyz: _Floats) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">3l", *(round(float(value) * 65536) for value in xyz))


def _packed(blocks: dict[bytes, bytes], same: dict[bytes, bytes]) -> bytes:
    """Lay a profile out: header, table, blocks, each at a multiple of four bytes."""
    at = 128 + 4 + 12 * (len(blocks) + len(same))
    places: dict[bytes, tuple[int, int]] = {}
    body = b""
    for tag, block in blocks.items():
        places[tag] = (at + len(body), len(block))
        body += block + bytes(-len(block) % 4)
    places |= {tag: places[other] for tag, other in same.items()}
    table = struct.pack(">L", len(places)) + b"".join(
        struct.pack(">4s2L", tag, *place) for tag, place in places.items()
    )
    head = struct.pack(
        ">L4sL4s4s4s6H4s4s6L12s48x",
        at + len(body), b"\0\0\0\0", 0x02100000, b"mntr", b"RGB ", b"XYZ ",
        2026, 1, 1, 0, 0, 0, b"acsp", b"\0\0\0\0", 0, 0, 0, 0, 0, 0, _xyz_tag(_D50)[8:],
    )  # fmt: skip
    return head + table + body


@functools.cache
def srgb_profile() -> bytes:
    """Give a profile of sRGB."""
    return matrix_profile("sRGB", _SRGB)


# Recognising


def is_srgb(profile: bytes) -> bool:
    """Tell whether a profile says what sRGB is, whatever it is called."""
    try:
        tags = _tags(profile)
        if b"A2B0" in tags:
            return False
        colorants = np.stack([_xyz_of(tags[tag]) for tag in (b"rXYZ", b"gXYZ", b"bXYZ")], axis=1)
        curves = [_curve(tags[tag]) for tag in (b"rTRC", b"gTRC", b"bTRC")]
    except _DAMAGE:
        return False
    return bool(np.allclose(colorants, _colorants(_SRGB, _D65), atol=0.002)) and all(map(_is_srgb_curve, curves))


def is_plain_gray(profile: bytes) -> bool:
    """Tell whether a profile of gray has the curve of sRGB, or gamma 2.2, which is nearly the same."""
    try:
        curve = _curve(_tags(profile)[b"kTRC"])
    except _DAMAGE:
        return False
    return _is_srgb_curve(curve) or bool(np.abs(np.clip(curve, 0, 1) ** (1 / 2.2) - _STEPS).max() < 0.01)


_DAMAGE = (LookupError, struct.error, ValueError, ZeroDivisionError)
_STEPS = np.linspace(0, 1, 256)
_MOST_TAGS = 100


def _is_srgb_curve(curve: _Floats) -> bool:
    return bool(np.abs(_from_light(curve) - _STEPS).max() < 0.002)


def _tags(profile: bytes) -> dict[bytes, bytes]:
    (count,) = struct.unpack_from(">L", profile, 128)
    rows = (struct.unpack_from(">4s2L", profile, 132 + 12 * number) for number in range(min(count, _MOST_TAGS)))
    return {tag: profile[at : at + size] for tag, at, size in rows}


def _xyz_of(block: bytes) -> _Floats:
    return np.array(struct.unpack_from(">3l", block, 8)) / 65536


def _curve(block: bytes) -> _Floats:
    """Give the light of 256 values from 0 to 1."""
    if block[:4] == b"para":
        return _parametric(block)
    if block[:4] != b"curv":
        raise ValueError(block[:4])
    (count,) = struct.unpack_from(">L", block, 8)
    if count > (len(block) - 12) // 2:
        raise ValueError(count)
    entries = np.frombuffer(block, ">u2", count, 12)
    if count < 2:
        return _STEPS ** (entries[0] / 256 if count else 1.0)
    return np.interp(_STEPS, np.linspace(0, 1, count), entries / 65535)


# Kind of curve -> its numbers behind the exponent -> a b c d e f of (a x + b)^g + e from d on, c x + f below.
_SHAPES: dict[int, tuple[int, Callable[..., tuple[float, ...]]]] = {
    0: (0, lambda: (1, 0, 0, 0, 0, 0)),
    1: (2, lambda a, b: (a, b, 0, -b / a, 0, 0)),
    2: (3, lambda a, b, c: (a, b, 0, -b / a, c, c)),
    3: (4, lambda a, b, c, d: (a, b, c, d, 0, 0)),
    4: (6, lambda a, b, c, d, e, f: (a, b, c, d, e, f)),
}


def _parametric(block: bytes) -> _Floats:
    (kind,) = struct.unpack_from(">H", block, 8)
    count, shape = _SHAPES[kind]
    gamma, *numbers = (number / 65536 for number in struct.unpack_from(f">{1 + count}l", block, 12))
    a, b, c, d, e, f = shape(*numbers)
    with np.errstate(all="ignore"):  # what is no number is no curve that we know
        power: _Floats = np.clip(a * _STEPS + b, 0, None) ** gamma + e
    return np.where(d <= _STEPS, power, c * _STEPS + f)


# Lab

_ROWS = 256  # that are converted at once


def lab_to_srgb(image: np.ndarray[Any, Any], *, offset: bool = False) -> np.ndarray[Any, Any]:
    """Convert CIE Lab (D50) as TIFF stores it to sRGB, of the same dtype; what sRGB cannot show is clipped.

    Parameters
    ----------
    image : numpy.ndarray
        ``(height, width, 3)`` or with alpha behind, which stays; uint8 or uint16.
    offset : bool
        a and b are stored with 128 added (TIFF's ICCLAB), not as signed numbers (TIFF's CIELAB).
    """
    found = image.copy()
    most = np.iinfo(image.dtype).max
    matrix = np.linalg.inv(_colorants(_SRGB, _D65))
    for row in range(0, image.shape[0], _ROWS):
        light = _lab_light(image[row : row + _ROWS, :, :3], offset=offset) @ matrix.T
        found[row : row + _ROWS, :, :3] = np.rint(_from_light(light) * most)
    return found


def _lab_light(image: np.ndarray[Any, Any], *, offset: bool) -> _Floats:
    """Give XYZ of Lab samples."""
    deep = image.dtype.itemsize == 2
    brightest = 0xFF00 if deep and offset else np.iinfo(image.dtype).max
    signed = image[..., 1:] ^ (1 << 15 if deep else 1 << 7) if offset else image[..., 1:]
    ab = signed.view(np.int16 if deep else np.int8).astype(np.float64) / (256 if deep else 1)
    y = (image[..., 0] * (100 / brightest) + 16) / 116
    cones = np.stack([y + ab[..., 0] / 500, y, y - ab[..., 1] / 200], axis=-1)
    light: _Floats = np.where(cones > 6 / 29, cones**3, (cones - 16 / 116) * (3 * (6 / 29) ** 2)) * _D50
    return light
