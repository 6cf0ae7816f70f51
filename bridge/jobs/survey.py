"""Survey: a film that a job reads, opened once; what it holds, which frames, and whether all of it is there."""

from __future__ import annotations

import contextlib
import hashlib
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bridge.catalogue import check_trust
from bridge.core.intake import check_count, check_size, check_sizes
from bridge.core.request import Request
from bridge.core.uri import RawBytes
from bridge.errors import CorruptMedia, TruncatedMedia, UnknownFormat
from bridge.ffmpeg import probe
from bridge.ffmpeg.containers import AUDIO_DEMUXERS
from bridge.ffmpeg.guide import Guide
from bridge.ffmpeg.listing import Film
from bridge.media.complete import ends_early
from bridge.media.info import AudioStream, VideoStream
from bridge.media.mp4 import film_fault
from bridge.media.sizes import sizes
from bridge.media.sniff import sniff

if TYPE_CHECKING:
    from bridge.limits import Limits
    from bridge.media.index import FrameIndex
    from bridge.media.info import MediaInfo

__all__ = ["Survey"]

_ENDS = 1 << 16
_DEMUXERS = AUDIO_DEMUXERS | {"gif": "gif", "apng": "apng"}  # of WebP ffmpeg before 9 reads no animations


class Survey:
    """One source of a job. A context manager; `close` lets go of the file.

    Parameters
    ----------
    uri
        The user's uri of it.
    limits : Limits
        Of the call.
    on_damage : {"raise", "warn", "ignore"}
        What is done about a damaged one.

    Raises
    ------
    UriError, ForbiddenUri, ForbiddenFormat, UnknownFormat, CorruptMedia, TruncatedMedia, LimitExceeded
        As the content has it.
    """

    def __init__(self, uri: Any, limits: Limits, on_damage: str = "raise") -> None:
        self.request = Request(uri, limits=limits)
        try:
            self._check(on_damage)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        """Give the survey itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Let go of the file; may be called again."""
        if "_guide" in self.__dict__:
            self._guide.close()
        self.request.close()

    def _check(self, on_damage: str) -> None:
        """Refuse what its own header makes impossible, before any program looks at it."""
        request = self.request
        request.kind = kind = sniff(request.head)
        check_trust(request)
        self.demuxer = _DEMUXERS.get(kind or "", "")
        if not self.demuxer:
            what = f"a {kind.upper()} file" if kind else "of no known kind"
            raise UnknownFormat(f"{request.name} is {what}, and no film or sound that can be transcoded")
        check_sizes(request.limits, request.name, sizes(kind or "", request.read_at, request.size, request.known))
        if kind == "mp4" and (fault := film_fault(request.read_at, request.size)):
            raise CorruptMedia(f"{request.name} is a damaged film: {fault}")
        self.missing = ends_early(kind or "", request.read_at, request.size)
        if self.missing and on_damage == "raise":
            raise TruncatedMedia(
                f"{request.name} is not whole: {self.missing}; on_damage='warn' transcodes what there is"
            )

    @property
    def name(self) -> str:
        """The user's name of it."""
        return self.request.name

    @cached_property
    def info(self) -> MediaInfo:
        """What it holds."""
        self._guide.start()  # its frames will be asked for: they are listed meanwhile
        info = probe.media_info(self.request, self.demuxer, remember=True)
        if not any(isinstance(stream, VideoStream | AudioStream) for stream in info.streams):
            raise CorruptMedia(f"{self.name} holds neither pictures nor sound that are known")
        for stream in info.streams:
            if isinstance(stream, VideoStream):
                check_size(self.request.limits, self.name, stream.width, stream.height)
        return info

    @cached_property
    def video(self) -> VideoStream | None:
        """The film in it; cover pictures are none."""
        video = self.info.video
        return None if video is None or video.attached_picture else video

    @cached_property
    def sounds(self) -> list[AudioStream]:
        """All its audio streams."""
        return [stream for stream in self.info.streams if isinstance(stream, AudioStream)]

    @cached_property
    def film(self) -> Film:
        """What to list."""
        return Film(request=self.request, demuxer=self.demuxer)

    @cached_property
    def _guide(self) -> Guide:
        return Guide(self.film)

    @cached_property
    def index(self) -> FrameIndex:
        """Its frames."""
        index = self._guide.whole()
        check_count(self.request.limits, self.name, len(index))
        return index

    @cached_property
    def even(self) -> bool:
        """Whether its frames are evenly spaced, by no more than half a step off."""
        video, index = self.video, self.index
        if video is None or video.fps is None or index.ordinal or len(index) < 2:
            return True
        times = (index.pts - index.pts[0]) * float(index.time_base * video.fps)
        return bool(np.abs(times - np.arange(len(index))).max() < 0.5)

    @property
    def seconds(self) -> float | None:
        """How long it is, as far as its header tells."""
        if self.demuxer == "matroska" and self.info.duration is not None:  # it tells when the last frame ends
            return self.info.duration - max(0.0, self.info.start or 0.0)
        return self.info.duration

    def identity(self) -> str:
        """Name its content: by place, size, time of change and both ends of a file, else by all of it."""
        if isinstance(self.request.resource, RawBytes):
            return hashlib.sha256(self.request.resource.data).hexdigest()
        size = self.request.size
        ends = hashlib.sha256(self.request.read_at(0, _ENDS))
        ends.update(self.request.read_at(max(0, size - _ENDS), _ENDS))
        changed = 0
        with contextlib.suppress(OSError):
            changed = 0 if self.request.path is None else os.stat(self.request.path).st_mtime_ns  # noqa: PTH116 - one call for both kinds of name
        return f"{size}|{changed}|{ends.hexdigest()}"
