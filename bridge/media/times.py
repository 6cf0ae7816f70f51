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
    end : float, fractions.Fraction or None
        When the last frame ends; None shows it as long as the one before.
    clock : fractions.Fraction or None
        Seconds per tick, to which the times are rounded, each by itself: so errors do not add up. None takes a
        clock that holds them all.

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

    def __init__(
        self,
        seconds: Iterable[float | Fraction],
        *,
        end: float | Fraction | None = None,
        clock: Fraction | None = None,
    ) -> None:
        exact = [_exact(time) for time in seconds]
        if not exact or exact[0] < 0 or any(later <= time for time, later in itertools.pairwise(exact)):
            raise ValueError("timestamps are the seconds at which each frame is shown: not negative, and rising")
        all_of_them = exact if end is None else [*exact, _exact(end)]
        common = math.lcm(*(time.denominator for time in all_of_them))
        self.time_base = clock or Fraction(1, min(common, _FINEST))
        self._ticks = [self._nearest(time) for time in exact]
        self._end = None if end is None else self._nearest(_exact(end))
        if len(set(self._ticks)) < len(self._ticks) or (self._end is not None and self._end <= self._ticks[-1]):
            raise ValueError(f"timestamps are at least {float(self.time_base):g} s apart here")
        self.rounded = any(time % self.time_base for time in all_of_them)

    def _nearest(self, time: Fraction) -> int:
        """Round halves up: what is a tick apart stays apart."""
        return math.floor(time / self.time_base + Fraction(1, 2))

    def __len__(self) -> int:
        """Count them."""
        return len(self._ticks)

    @property
    def last(self) -> int:
        """How many ticks the last frame is shown."""
        if self._end is not None:
            return self._end - self._ticks[-1]
        return self._ticks[-1] - self._ticks[-2] if len(self._ticks) > 1 else 0

    @classmethod
    def of_durations(cls, durations: Iterable[float | Fraction], clock: Fraction | None = None) -> Times:
        """Make them of how many seconds each frame is shown."""
        exact = [_exact(duration) for duration in durations]
        if not exact or min(exact) <= 0:
            raise ValueError("durations are positive numbers of seconds, one for each frame")
        *begins, end = itertools.accumulate(exact, initial=Fraction(0))
        return cls(begins, end=end, clock=clock)

    def tick(self, position: int) -> int:
        """Give the time of a frame in ticks.

        Raises
        ------
        ValueError
            If there is none.
        """
        if position >= len(self._ticks):
            raise ValueError(f"there are timestamps for {len(self._ticks)} frames, and more frames than that")
        return self._ticks[position]

    def end(self, frames: int) -> None:
        """Check that each time had its frame.

        Raises
        ------
        ValueError
            If there are more times than frames.
        """
        if frames < len(self._ticks):
            raise ValueError(f"there are timestamps for {len(self._ticks)} frames, and only {frames} frames")

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
