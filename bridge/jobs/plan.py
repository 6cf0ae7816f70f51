"""Where a film is cut into chunks: exact frames, by integer times, from its index. Pure."""

from __future__ import annotations

import hashlib
import itertools
import math
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.ffmpeg import argv

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bridge.media.index import Entry, FrameIndex

__all__ = ["LEAST", "MOST", "Chunk", "Plan", "digest", "make_plan", "unsuited"]

LEAST, MOST = 5.0, 30.0  # seconds of a chunk: each joint costs a key frame, and sets rate control back
_PER_WORKER = 3  # chunks, so that the last worker does not keep the others waiting long
_FINEST = Fraction(1, 500_000)  # seconds: lists of chunks count in microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A run of frames that one command encodes.

    Attributes
    ----------
    number : int
        Its place in the film.
    frames : int
        How many it has.
    begin, end : int
        Ticks: the time of its first frame, and when its last is no longer shown.
    wide : tuple of int or None
        Ticks between which frames are decoded for filters that look at neighbours, where that is more.
    seek : argv.Seek
        From where it is decoded.
    times : str
        Digest of the times of its frames, from the first on.
    """

    number: int
    frames: int
    begin: int
    end: int
    seek: argv.Seek
    times: str
    wide: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a film is cut.

    Attributes
    ----------
    time_base : fractions.Fraction
        Seconds per tick.
    pts : numpy.ndarray
        int64, the time of each frame in ticks.
    chunks : tuple of Chunk
        In the order of the film.
    """

    time_base: Fraction
    pts: np.ndarray[Any, Any]
    chunks: tuple[Chunk, ...]

    @property
    def frames(self) -> int:
        """How many frames there are in all."""
        return len(self.pts)

    def starts(self) -> list[int]:
        """Give when each chunk begins and when the last ends, in microseconds from the first frame."""
        ticks = [chunk.begin for chunk in self.chunks] + [self.chunks[-1].end]
        return [round((tick - ticks[0]) * self.time_base * 1_000_000) for tick in ticks]


def unsuited(index: FrameIndex) -> str:
    """Say why a film cannot be cut exactly; empty if it can."""
    for wrong, reason in (
        (len(index) < 2, "it has no frames to share out"),
        (index.ordinal, "its frames have no times of their own"),
        (index.troubled, "it is damaged"),
        (not index.small, "its times are too large"),
        (index.time_base < _FINEST, "its clock is finer than a list of chunks can tell"),
    ):
        if wrong:
            return reason
    return ""


def make_plan(
    index: FrameIndex, workers: int, *, least: float = LEAST, most: float = MOST, overlap: tuple[int, int] = (0, 0)
) -> Plan:
    """Cut a film, at key frames where they are near.

    Parameters
    ----------
    workers : int
        How many are at work at once.
    least, most : float
        Seconds of a chunk.
    overlap : tuple of int
        Frames before and behind a chunk that its filters look at.
    """
    shown = int(index.pts[-1] + index.durations[-1]) - int(index.pts[0])
    count = _count(float(shown * index.time_base), workers, least, most)
    places = [0, *_cuts(index, shown, count), len(index)]
    chunks = (_chunk(index, number, *ends, overlap) for number, ends in enumerate(itertools.pairwise(places)))
    return Plan(time_base=index.time_base, pts=index.pts, chunks=tuple(chunks))


def _count(seconds: float, workers: int, least: float, most: float) -> int:
    """Give how many chunks there are to be: as many for each worker, where they are few."""
    count = min(max(_PER_WORKER * workers, math.ceil(seconds / most)), max(1, int(seconds / least)))
    return count if count < workers or count > _PER_WORKER * workers else count - count % workers


def _cuts(index: FrameIndex, shown: int, count: int) -> Iterator[int]:
    """Yield the positions of the frames at which chunks begin, without the first."""
    keys = np.array([entry.pts for entry in index.entries], np.int64)
    keys = keys[np.isin(keys, index.pts)]
    last = 0
    for number in range(1, count):
        aim = int(index.pts[0]) + shown * number // count
        near = int(keys[np.abs(keys - aim).argmin()]) if len(keys) else aim
        place = int(np.searchsorted(index.pts, near if abs(near - aim) <= shown / count / 2 else aim))
        if last < place < len(index):
            last = place
            yield place


def _chunk(index: FrameIndex, number: int, first: int, stop: int, overlap: tuple[int, int]) -> Chunk:
    early, late = max(0, first - overlap[0]), min(len(index), stop + overlap[1])
    begin, end = (int(index.pts[first]), _time(index, stop))
    wide = (int(index.pts[early]), _time(index, late)) if any(overlap) else None
    return Chunk(
        number=number,
        frames=stop - first,
        begin=begin,
        end=end,
        wide=wide,
        seek=_seek(index, early),
        times=digest((index.pts[first:stop] - begin).tolist()),
    )


def _time(index: FrameIndex, place: int) -> int:
    """Give the time of a frame, or that of the end."""
    return int(index.pts[place]) if place < len(index) else int(index.pts[-1] + max(1, index.durations[-1]))


def _seek(index: FrameIndex, place: int) -> argv.Seek:
    """Begin one key frame before the nearest: what is shown before a key frame may be stored behind it."""
    entry: Entry | None = list(itertools.islice(index.starts(place), 2))[-1] if place else None
    if entry is None:
        return argv.BEGINNING
    following = None if entry.following is None else (entry.following - Fraction(3, 4)) * index.time_base
    return argv.Seek(time=entry.pts * index.time_base, at_most=following, position=entry.position)


def digest(ticks: Sequence[int]) -> str:
    """Name a sequence of times."""
    return hashlib.blake2b(np.array(ticks, "<i8").tobytes(), digest_size=16).hexdigest()
