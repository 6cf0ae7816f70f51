"""What a conversion through arrays leaves out, said in words, so that nothing is lost in silence."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from fractions import Fraction

    from bridge.ffmpeg.video import FilmFormat
    from bridge.media.info import MediaInfo, VideoStream

__all__ = ["Pace", "losses", "said_of_metadata"]

_DEEP = re.compile(r"(?<!444)(?<!555)(?<!565)(le|be)$|^p\d{3}")  # FFmpeg marks the byte order of what takes two bytes
_UNWRITTEN = re.compile(r"metadata '(.+)' is not written|(.+?) was not written: .*", re.DOTALL)
_NAMED = 4  # of what is left out
_SYNC = 0.04  # seconds, one frame at 25 per second


class Pace:
    """Compares the times of frames with an even pace.

    Parameters
    ----------
    fps : Fraction or None
        The even pace; None compares nothing.
    """

    def __init__(self, fps: Fraction | None) -> None:
        self._step = None if fps is None else float(1 / fps)
        self._first = 0.0
        self._off = 0.0

    def add(self, index: int, time: float | None) -> None:
        """Take note of the time of one frame."""
        if self._step is None or time is None:
            return
        if not index:
            self._first = time
        self._off = max(self._off, abs(time - self._first - index * self._step))

    def note(self) -> list[str]:
        """Say it where frames came more than one step too early or too late."""
        if self._step is None or self._off <= self._step:
            return []
        return [f"the frames of SRC are not evenly spaced (up to {self._off:.2f} s off); DST plays them evenly"]


def losses(info: MediaInfo, target: FilmFormat | None, *, sound: bool, opaque: bool) -> list[str]:
    """Tell what of a film does not go along.

    Parameters
    ----------
    info : MediaInfo
        Of the source.
    target : FilmFormat or None
        None for pictures.
    sound : bool
        Whether the source's first audio stream does.
    opaque : bool
        Whether frames lose their transparency.
    """
    said = [] if info.video is None else list(_of_video(info.video, opaque=opaque))
    if target is not None:
        said += _of_sound(info, target, sound=sound)
    return said


def _of_video(video: VideoStream, *, opaque: bool) -> Iterator[str]:
    pixels = video.pixel_format or ""
    if _DEEP.search(pixels):
        yield f"{pixels} was read with 8 bits a channel"
    if opaque:
        yield "the transparency of SRC was left out"
    if video.sample_aspect_ratio not in (None, 1):
        yield f"SRC has pixels of {video.sample_aspect_ratio}, DST has square ones"


def _of_sound(info: MediaInfo, target: FilmFormat, *, sound: bool) -> Iterator[str]:
    if info.audio is None or info.video is None:
        return
    if not sound and not target.container.audio:
        yield "DST holds no sound"
    late = (info.video.start or 0) - (info.start or 0)
    if sound and late > _SYNC:
        yield f"the picture of SRC begins {late:.2f} s after its sound, in DST with it"


def said_of_metadata(changes: Iterable[str]) -> list[str]:
    """Give what a writer says of changes, with all metadata that is left out in one line.

    Examples
    --------
    >>> said_of_metadata(["metadata 'IPTC' is not written", "EXIF Make was not written: it is empty", "rounded"])
    ['rounded', 'metadata that is not in DST: IPTC, EXIF Make']
    """
    said, names = [], []
    for change in changes:
        found = _UNWRITTEN.fullmatch(change)
        if found:
            names.append(found[1] or found[2])
        else:
            said.append(change)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return said + ([f"metadata that is not in DST: {', '.join(names[:_NAMED])}{more}"] if names else [])
