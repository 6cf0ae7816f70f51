"""Samples: sound as an array, with its rate and its place in time."""

from __future__ import annotations

from bridge.core.array import Array

__all__ = ["Samples"]


class Samples(Array):
    """A `numpy.ndarray` of sound, float32, ``(n, channels)``, with a dict of metadata.

    Its `meta` has ``rate`` in samples a second, and ``start``: seconds from the time of the film's first frame to
    that of the first sample, negative where sound begins earlier.

    Examples
    --------
    >>> import numpy as np
    >>> tone = Samples(np.zeros((480, 2), np.float32), {"rate": 48000, "start": 0.0})
    >>> tone.rate, tone.start, tone.shape
    (48000, 0.0, (480, 2))
    """

    @property
    def rate(self) -> int:
        """Samples a second."""
        return int(self.meta["rate"])

    @property
    def start(self) -> float:
        """Seconds from the film's first frame to the first sample."""
        return float(self.meta.get("start", 0.0))
