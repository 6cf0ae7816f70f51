"""Times: when each frame of a film is shown, as ticks of one clock. Pure."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Times"]

_FINEST = 1_000_000  # ticks a second


class Times:
    """The times that a user gives for the frames of a film, on a clock that holds them all.

    Parameters
    ----------
    seconds : iterable of float or fractions.Fraction
        From the beginning of the film, rising.

    Raises
    ------
    ValueError
        If they are none.

    Examples
    --------
    >>> times = Times([0, 0.04, 0.12])
    >>> times.time_base, [times.tick(n) for n in range(3)]
    (Fraction(1, 25), [0, 1, 3])
    """

    def __init__(self, seconds: Iterable[float | Fraction]) -> None:
        exact = [_exact(time) for time in seconds]
        if not exact or exact[0] < 0 or any(later <= time for time, later in itertools.pairwise(exact)):
            raise ValueError("timestamps are the seconds at which each frame is shown: not negative, and rising")
        common = math.lcm(*(time.denominator for time in exact))
        self.time_base = Fraction(1, min(common, _FINEST))
        self._ticks = [round(time / self.time_base) for time in exact]
        if len(set(self._ticks)) < len(self._ticks):
            raise ValueError(f"timestamps are at least {1 / _FINEST} s apart")

    def __len__(self) -> int:
        """Count them."""
        return len(self._ticks)

    @property
    def last(self) -> int:
        """How many ticks the last frame is shown: as long as the one before."""
        return self._ticks[-1] - self._ticks[-2] if len(self._ticks) > 1 else 0

    def tick(self, position: int) -> int:
        """Give the time of a frame in ticks.

        Raises
        ------
        ValueError
            If there is none.
        """
        if position >= len(self._ticks):
            raise ValueError(f"there are {len(self._ticks)} timestamps, and more frames than that")
        return self._ticks[position]

    def end(self, frames: int) -> None:
        """Check that each time had its frame.

        Raises
        ------
        ValueError
            If there are more times than frames.
        """
        if frames < len(self._ticks):
            raise ValueError(f"there are {len(self._ticks)} timestamps, and only {frames} frames")

    @property
    def seconds(self) -> Fraction:
        """When the last frame ends."""
        return (self._ticks[-1] + self.last) * self.time_base


def _exact(time: float | Fraction) -> Fraction:
    """Give the rational that is meant: a float is a rounded one."""
    try:
        return time if isinstance(time, Fraction) else Fraction(float(time)).limit_denominator(_FINEST)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"a timestamp is a number of seconds, not {time!r}") from None
