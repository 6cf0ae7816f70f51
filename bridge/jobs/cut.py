"""Cut: which frames of a film a job takes, and how ffmpeg is told so exactly. Pure."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from bridge.errors import BadJob

if TYPE_CHECKING:
    from bridge.jobs.job import Trim
    from bridge.media.index import FrameIndex

__all__ = ["Cut", "cut_of"]

_MICRO = Fraction(1, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A part of a film.

    Attributes
    ----------
    before, after : tuple of str
        Words before the input and for the output.
    taken : tuple of int
        The number of the first frame in it, and of the first behind that is not.
    seconds : float
        How long it is shown.
    """

    before: tuple[str, ...]
    after: tuple[str, ...]
    taken: tuple[int, int]
    seconds: float

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return self.taken[1] - self.taken[0]


def cut_of(trim: Trim, index: FrameIndex, name: str, *, jumps: bool, start: float | None) -> Cut | None:
    """Give the part that is taken; None for all.

    FFmpeg counts in microseconds here, from the place to which it was sent, and rounds to the film's ticks: so the
    numbers are chosen that round to just the tick of the first frame, and of the first that is not taken.

    Parameters
    ----------
    jumps : bool
        Decode from a key frame before the part, not from the beginning.
    start : float or None
        Seconds on the file's clock at which it begins.

    Raises
    ------
    BadJob
        If there is no frame in it, or the film does not tell the times of its frames.
    """
    first, stop = _frames(trim, index)
    if first >= stop:
        raise BadJob(f"{name} has {len(index)} frames, none of them in the part that is asked for")
    if (first, stop) == (0, len(index)):
        return None
    if index.ordinal:
        raise BadJob(f"{name} does not tell the times of its frames: remux it first, to MKV, to take a part of it")
    base = index.time_base
    pts = index.pts
    place = _place(index, first) if jumps else None
    sent = _micro(place * base) if place is not None else round(Fraction(str(start or 0)) / _MICRO)
    begin = int(pts[first]) - _ticks(sent, base)
    end = int(pts[stop]) if stop < len(index) else int(pts[-1] + index.durations[-1])
    last = end - int(pts[first])
    seek = ("-noaccurate_seek", "-seek_timestamp", "1", "-ss", _said(sent)) if place is not None else ()
    after = ("-ss", _said(_micro(begin * base))) if begin > 0 else ()
    length = ("-t", _said(_micro(last * base))) if stop < len(index) else ()
    return Cut(before=seek, after=(*after, *length), taken=(first, stop), seconds=float(last * base))


def _frames(trim: Trim, index: FrameIndex) -> tuple[int, int]:
    """Give the first frame that is taken, and the first behind it that is not."""
    if trim.start is None and trim.end is None:
        return trim.first or 0, len(index) if trim.stop is None else min(trim.stop, len(index))
    if index.ordinal or not len(index):
        return 0, len(index)
    zero = int(index.pts[0])
    ends = []
    for seconds in (trim.start, trim.end):
        tick = None if seconds is None else -(-seconds // index.time_base)
        ends.append(None if tick is None else int(np.searchsorted(index.pts, zero + int(tick))))
    return ends[0] or 0, len(index) if ends[1] is None else ends[1]


def _place(index: FrameIndex, first: int) -> int | None:
    """Give the time of a key frame from which on decoding gives the first frame; None is the beginning.

    Not the nearest: frames that are shown before it may refer to those before it.
    """
    if not index.entries:
        return None
    entries = [entry for entry in itertools.islice(index.starts(first), 2) if entry is not None]
    return entries[-1].pts if len(entries) == 2 else None


def _rounded(exact: Fraction) -> int:
    """Round as FFmpeg does: to the nearest, halves away from zero."""
    whole = int(abs(exact) + Fraction(1, 2))
    return whole if exact >= 0 else -whole


def _ticks(micro: int, base: Fraction) -> int:
    return _rounded(micro * _MICRO / base)


def _micro(seconds: Fraction) -> int:
    return _rounded(seconds / _MICRO)


def _said(micro: int) -> str:
    return f"{'-' if micro < 0 else ''}{abs(micro) // 1_000_000}.{abs(micro) % 1_000_000:06d}"
