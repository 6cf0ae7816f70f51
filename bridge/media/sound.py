"""Samples: sound as an array, with its rate and its place in time; and as a WAV file. Pure."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bridge.errors import UnsupportedPixels

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Samples", "wav"]

_MOST = (1 << 32) - 256  # a RIFF chunk says its size in 32 bits
_FLOAT = 3  # WAVE_FORMAT_IEEE_FLOAT


class Samples(np.ndarray[Any, Any]):
    """A `numpy.ndarray` of sound, float32, ``(n, channels)``, with a dict of metadata.

    Attributes
    ----------
    meta : dict
        ``rate`` in samples a second, and ``start``: seconds from the time of the film's first frame to that of the
        first sample, negative where sound begins earlier.

    Examples
    --------
    >>> import numpy as np
    >>> tone = Samples(np.zeros((480, 2), np.float32), {"rate": 48000, "start": 0.0})
    >>> tone.rate, tone.start, tone.shape
    (48000, 0.0, (480, 2))
    """

    meta: dict[str, Any]

    def __new__(cls, array: np.ndarray[Any, Any], meta: Mapping[str, Any]) -> Self:
        """View `array` with `meta`; no sample is copied."""
        view = np.asarray(array).view(cls)
        view.meta = dict(meta)
        return view

    def __array_finalize__(self, source: object) -> None:
        """Hand the metadata on to views and results. Called by numpy."""
        self.meta = dict(getattr(source, "meta", {}))

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """Give reductions to one number as numpy scalars. Called by numpy."""
        if not array.shape:
            return array[()]
        return super().__array_wrap__(array, context, return_scalar)

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the metadata."""
        make, arguments, state = super().__reduce__()  # type: ignore[str-unpack]
        return make, arguments, (state, self.meta)

    def __setstate__(self, state: Any) -> None:
        """Unpickle with the metadata."""
        inner, self.meta = state
        super().__setstate__(inner)

    @property
    def rate(self) -> int:
        """Samples a second."""
        return int(self.meta["rate"])

    @property
    def start(self) -> float:
        """Seconds from the film's first frame to the first sample."""
        return float(self.meta.get("start", 0.0))


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
