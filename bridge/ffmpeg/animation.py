"""GIF and APNG through ffmpeg: animations are read like film, but say themselves which channels they have."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bridge.errors import CorruptMedia
from bridge.ffmpeg.containers import ANIMATIONS
from bridge.ffmpeg.reader import FilmReader
from bridge.ffmpeg.video import FilmFormat
from bridge.ffmpeg.writer import FilmWriter
from bridge.media.sniff import PictureHead, picture_head
from bridge.media.times import Times

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bridge.core.format import Format
    from bridge.core.request import Request

__all__ = ["AnimationFormat", "AnimationReader", "AnimationWriter", "animation_formats", "pixels_of"]

_PIXELS = {(1, 8): "gray", (2, 8): "ya8", (3, 8): "rgb24", (4, 8): "rgba",
           (1, 16): "gray16le", (2, 16): "ya16le", (3, 16): "rgb48le", (4, 16): "rgba64le",
           (1, 32): "grayf32le", (3, 32): "gbrpf32le", (4, 32): "gbrapf32le"}  # fmt: skip


def pixels_of(head: PictureHead) -> str:
    """Give the pixel format that keeps the channels and the depth that a picture's header promises."""
    return _PIXELS[min(head.channels, 4), head.depth]


class AnimationReader(FilmReader):
    """Reads an animation frame by frame, each composed as a viewer shows it.

    Parameters
    ----------
    pixelformat : str
        FFmpeg's name of the pixel format wanted; by default the one that keeps the file's channels.
    """

    def _default_pixels(self) -> str:
        head = picture_head(self.request.kind or "", self.request.read_at)
        if head is None:
            message = f"{self.request.name} has no header that is known"
            raise CorruptMedia(message)
        return pixels_of(head)


class AnimationWriter(FilmWriter):
    """Writes an animation through one ffmpeg child; it appears when it is closed, complete, or not at all.

    Parameters
    ----------
    fps : float or fractions.Fraction
        Frames per second, 10 by default.
    duration : float or sequence of float
        Seconds, not milliseconds, for which each frame is shown, instead of a rate: one number for all, or one
        for each.
    loop : int
        How often the animation is repeated, as the file says it; 0, the default, is without end.
    timestamps : sequence of float
        The time of each frame in seconds, rising, instead of durations.

    Notes
    -----
    GIF counts in hundredths of a second. Times are rounded to these, not durations, so the whole takes as long as
    it should; `changes` says so where something was rounded. Viewers show delays of 0.01 s as longer ones.
    """

    def _open(  # type: ignore[override] # no rate is given where durations are
        self,
        *,
        fps: float | Fraction | None = None,
        duration: float | Sequence[float] | None = None,
        loop: Any = 0,
        timestamps: Iterable[float] | None = None,
        **kwargs: Any,
    ) -> None:
        timestamps = None if timestamps is None else list(timestamps)
        if sum(given is not None for given in (fps, duration, timestamps)) > 1:
            raise ValueError("fps=, duration= and timestamps= are three ways to say the same; give one")
        if not isinstance(loop, int) or not 0 <= loop <= _LOOPS:
            raise ValueError(f"loop is a number from 0, without end, to {_LOOPS}, not {loop!r}")
        if isinstance(duration, int | float):
            fps, duration = _rate(duration), None
        super()._open(fps=10 if fps is None else fps, timestamps=timestamps, **kwargs)
        self._video[_REPEATS[self._container.muxer]] = loop
        self._pace(timestamps, duration)

    def _pace(self, timestamps: Sequence[float] | None, durations: Sequence[float] | None) -> None:
        """Bring the times to the clock of the format."""
        muxer = self._container.muxer
        clock = _CLOCKS.get(muxer)
        if timestamps is not None:
            self._times = Times(timestamps, clock=clock)
        elif durations is not None:
            self._times = Times.of_durations(durations, clock)
        if self._times is not None:
            self._video["final_delay"] = _final(muxer, self._times)
        if clock is None:
            return
        if self._times is None and self._fps * clock > 1:
            raise ValueError(f"{muxer.upper()} shows at most {1 / clock} frames per second, not {self._fps}")
        if self._times.rounded if self._times else (1 / self._fps) % clock:
            self.changes.append(f"times were rounded to the {float(clock):g} s that {muxer.upper()} counts in")


def _rate(duration: float) -> Fraction:
    if not 0 < duration < math.inf:
        raise ValueError(f"duration is a positive number of seconds, or one for each frame, not {duration!r}")
    return 1 / Fraction(duration).limit_denominator(1_000_000)


_CLOCKS = {"gif": Fraction(1, 100)}
_REPEATS = {"gif": "loop", "apng": "plays"}
_LOOPS = 65535


def _final(muxer: str, times: Times) -> str:
    """Tell for how long the last frame is shown, which has no successor, as the muxers want it."""
    seconds = times.last * times.time_base
    if muxer == "gif":
        return str(round(seconds * 100))
    short = seconds.limit_denominator(_LOOPS)
    return f"{short.numerator}/{short.denominator}"


class AnimationFormat(FilmFormat):
    """Animation through the program ffmpeg."""

    reader = AnimationReader
    writer = AnimationWriter

    def can_read(self, request: Request) -> bool:
        """Take content of our kind."""
        return request.kind in self.container.kinds


def animation_formats() -> list[Format]:
    """Give the formats, GIF first."""
    return [AnimationFormat(container) for container in ANIMATIONS]
