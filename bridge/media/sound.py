"""Sound as a WAV file. Pure."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from bridge.errors import UnsupportedPixels

__all__ = ["wav"]

_MOST = (1 << 32) - 256  # a RIFF chunk says its size in 32 bits
_FLOAT = 3  # WAVE_FORMAT_IEEE_FLOAT


def wav(samples: np.ndarray[Any, Any], rate: float) -> bytes:
    """Give sound as a WAV file of 32-bit floats.

    Parameters
    ----------
    samples : numpy.ndarray
        ``(n,)`` or ``(n, channels)``; floats from -1 to 1, or integers on the scale of their dtype.
    rate : int or float
        Samples a second, a whole number.

    Raises
    ------
    UnsupportedPixels
        If the array is no sound, or too long for the format.
    ValueError
        If the rate is none.
    """
    sound = np.asarray(samples)
    if sound.ndim == 1:
        sound = sound[:, None]
    if sound.ndim != 2 or not sound.size or not 1 <= sound.shape[1] <= 64 or sound.dtype.kind not in "fiu":
        raise UnsupportedPixels(f"sound is an array (n, channels) of numbers, not {sound.dtype} {np.shape(samples)}")
    if not 1 <= _number(rate) <= 768_000 or rate % 1:
        raise ValueError(f"the rate of sound is a number of samples a second, not {rate!r}")
    data = np.ascontiguousarray(_floats(sound), "<f4")
    if data.nbytes > _MOST:
        raise UnsupportedPixels(f"{data.nbytes} bytes of sound are too many for one WAV file; give a file instead")
    count = sound.shape[1]
    format = struct.pack("<HHIIHHH", _FLOAT, count, int(rate), int(rate) * count * 4, count * 4, 32, 0)
    chunks = b"fmt " + struct.pack("<I", len(format)) + format
    chunks += b"fact" + struct.pack("<II", 4, len(data)) + b"data" + struct.pack("<I", data.nbytes)
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + data.nbytes) + b"WAVE" + chunks + data.tobytes()


def _number(rate: Any) -> float:
    """Give it as a number; what is none is zero."""
    return float(rate) if isinstance(rate, int | float | np.number) else 0


def _floats(sound: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Bring integers to the range from -1 to 1."""
    if sound.dtype.kind == "f":
        return sound
    info = np.iinfo(sound.dtype)
    middle = 0 if sound.dtype.kind == "i" else (info.max + 1) // 2
    half = (int(info.max) + 1) / (1 if sound.dtype.kind == "i" else 2)
    return (sound.astype(np.float64) - middle) / half
