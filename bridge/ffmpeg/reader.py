"""FilmReader: film in, over one ffmpeg child."""

from __future__ import annotations

import contextlib
import json
import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.core.format import Reader
from bridge.errors import CorruptMedia, LimitExceeded, NoSuchFrame, TruncatedMedia, UnsupportedPixels
from bridge.ffmpeg import argv, probe
from bridge.ffmpeg.containers import DEMUXERS
from bridge.media.nut import NutFraming
from bridge.media.pixels import memory_of, pixel_format
from bridge.process.child import Child
from bridge.process.pipes import FrameSource
from bridge.process.tools import Tool, toolbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    from bridge.media.framing import FrameHead
    from bridge.media.info import MediaInfo, VideoStream

__all__ = ["FilmReader"]


class FilmReader(Reader):
    """Reads a film, frame by frame, through one ffmpeg child.

    Parameters
    ----------
    pixelformat : str
        FFmpeg's name of the pixel format wanted, ``"rgb24"`` by default: ``"gray"``, ``"rgba"``,
        ``"rgb48le"``, ``"yuv420p"``, …
    dtype : str
        ``"uint8"`` (the default) or ``"uint16"`` for RGB of that depth.
    stream : int
        Which of the video streams, 0 by default.
    size : tuple of int or str
        Width and height to scale to, ``(320, 180)`` or ``"320x180"``.
    fps : float
        A constant rate: frames are then repeated and left out to keep it.
    loop : bool
        Begin again at the end; iteration then has no end.
    input_params, output_params : sequence of str
        Options for ffmpeg, before the input and before the output. ``ffmpeg_params`` is an older name of the latter.
    print_info : bool
        Print what the file holds.

    Notes
    -----
    Frames come as ``(height, width, channels)`` or ``(height, width)``; subsampled formats as FFmpeg lays
    them out. Unless a rate is asked for, no frame is repeated or left out, whatever the file says of its rate.
    Each frame's `meta` has its ``index`` and its ``time`` in seconds.
    """

    def _open(
        self,
        *,
        pixelformat: str | None = None,
        dtype: Any = None,
        stream: int = 0,
        size: Any = None,
        fps: float | Fraction | None = None,
        loop: bool = False,
        input_params: Sequence[str] | None = None,
        output_params: Sequence[str] | None = None,
        ffmpeg_params: Sequence[str] | None = None,
        print_info: bool = False,
        **kwargs: Any,
    ) -> None:
        super()._open(**kwargs)
        self._source: FrameSource[FrameHead] | None = None
        self._position = 0
        self._count: int | None = None
        self._probed: MediaInfo | None = None
        self._stream = stream
        self._loop = loop
        self._demuxer = DEMUXERS.get(self.request.kind or "")
        self._pixels = pixel_format(pixelformat or self._pixels_of(dtype))
        self._wish = argv.Wish(
            size=_size(size),
            fps=None if fps is None else argv.rate(fps),
            before=tuple(map(str, input_params or ())),
            after=tuple(map(str, [*(output_params or ()), *(ffmpeg_params or ())])),
        )
        self._tool = toolbox().find("ffmpeg")
        if print_info:
            print(json.dumps(self._info().to_dict(), indent=2))  # noqa: T201 - what the user asked for

    def _pixels_of(self, dtype: Any) -> str:
        """Give the pixel format of a dtype, or the usual one."""
        if dtype is None:
            return self._default_pixels()
        name = _DTYPES.get(np.dtype(dtype).name)
        if name is None:
            raise UnsupportedPixels(f"{self.request.name}: dtype is 'uint8' or 'uint16', not {dtype!r}")
        return name

    def _default_pixels(self) -> str:
        return "rgb24"

    def _start(self) -> FrameSource[FrameHead]:
        """Start decoding at the first frame."""
        self._stop()
        limits = self.request.limits
        arguments = argv.decode(
            self._tool.release,
            self._demuxer,
            self._pixels,
            stream=self._stream,
            wish=self._wish,
            max_pixels=limits.pixels,
        )
        with self.request.input() as descriptor:
            child = Child((self._tool.path, *arguments), subject=self.request.name, stdin=descriptor)
        self._position = 0
        self._source = FrameSource(child, NutFraming(), first=limits.first_frame, stall=limits.stall)
        return self._source

    def _stop(self) -> None:
        if self._source is not None:
            self._source.child.abort()
            self._source = None

    def _close(self) -> None:
        with contextlib.suppress(AttributeError):  # `_open` may have failed before it came so far
            self._stop()

    def _data(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        if self._count is not None and index >= self._count:
            return self._data(index % self._count) if self._loop and self._count else None
        source = self._source
        if source is None or index < self._position:
            source = self._start()
        try:
            return self._advance(source, index)
        except TruncatedMedia as error:
            self._stop()
            raise self._failure(source, error.got or 0) from None
        except CorruptMedia:
            self._stop()
            if source.frames or self._has_pictures():
                self._check_pixels()
                raise
            self._count = 0
            return None
        except BaseException:
            self._stop()
            raise

    def _advance(
        self, source: FrameSource[FrameHead], index: int
    ) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        """Read on to frame `index`; None if the film ends before."""
        while (head := source.head()) is not None:
            frame = self._fill(source, head)
            self._position += 1
            if self._position > index:
                return self._pixels.view(frame), self._frame_meta(index, head)
        self._end(source)
        return self._data(index) if self._loop else None

    def _fill(self, source: FrameSource[FrameHead], head: FrameHead) -> np.ndarray[Any, Any]:
        frame = self._pixels.empty(head.width, head.height)
        if frame.nbytes != head.size:
            message = (
                f"{self.request.name}: ffmpeg sent {head.size} bytes for a frame of {head.width}x{head.height} "
                f"{self._pixels.name}, which takes {frame.nbytes}"
            )
            raise CorruptMedia(message)
        source.fill(head, memory_of(frame))
        return frame

    def _end(self, source: FrameSource[FrameHead]) -> None:
        """Judge the end of the stream: only status 0 after at least one frame is an end."""
        ended = source.child.wait(self.request.limits.stall)
        self._source = None
        if not ended.ok or not source.frames:
            raise self._failure(source, source.frames)
        if self._count is not None and source.frames < self._count and not self._wish.counted:
            raise TruncatedMedia(
                f"{self.request.name} has {self._count} frames, but only {source.frames} could be decoded",
                command=source.child.argv,
                exit=ended,
                got=source.frames,
            )
        self._count = source.frames

    def _failure(self, source: FrameSource[FrameHead], got: int) -> Exception:
        kind = TruncatedMedia if got else CorruptMedia
        error = source.child.failure(kind, got=got)
        after = f" (after {got} whole frames)" if got else ""
        error.message = error.message.replace(argv.INPUT, self.request.name) + after
        return error

    def _frame_meta(self, index: int, head: FrameHead) -> dict[str, Any]:
        time = None if head.pts is None or head.time_base is None else float(head.pts * head.time_base)
        return {"index": index, "time": time}

    def _info(self) -> MediaInfo:
        if self._probed is None:
            self._probed = probe.media_info(self.request, self._demuxer)
        return self._probed

    def _length(self) -> float:
        if self._loop:
            return math.inf
        if self._count is None:
            self._count = self._counted()
        return self._count

    def _check_pixels(self) -> None:
        """Say so where it was the limit of pixels that stopped ffmpeg."""
        with contextlib.suppress(CorruptMedia):
            video, most = self._info().video, self.request.limits.pixels
            if video is not None and video.width * video.height > most:
                raise LimitExceeded(
                    f"{self.request.name} has {video.width}x{video.height} pixels, more than the limit "
                    f"pixels={most} allows; raise it with limits=bridge.Limits(pixels=...)"
                )

    def _has_pictures(self) -> bool:
        """Tell whether the file has a video stream; what cannot be described is not known to have none."""
        try:
            return self._info().video is not None
        except CorruptMedia:
            return True

    def _counted(self) -> int:
        if not self._wish.counted:
            try:
                return probe.count_frames(self.request, self._demuxer, self._stream)
            except CorruptMedia:
                if self._has_pictures():
                    raise
                return 0
        arguments = argv.decode(
            self._tool.release, self._demuxer, self._pixels, stream=self._stream, wish=self._wish, listed=True
        )
        return probe.count_listed(self.request, self._tool, arguments)

    def _expected(self) -> int | None:
        info = self._info()
        video = info.video
        if self._wish.counted or self._loop or video is None:
            return None
        frames = self._length() if video.frames is None else video.frames
        return int(frames) * self._pixels.nbytes(*(self._wish.size or (video.width, video.height)))

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is not None:
            found = self._data(index)
            if found is None:
                raise NoSuchFrame(f"{self.request.name} has no image {index}")
            return found[1]
        meta = _film_meta(self._info(), self._tool)
        return meta | ({"size": self._wish.size} if self._wish.size else {})


_DTYPES = {"uint8": "rgb24", "uint16": "rgb48le"}


def _size(size: Any) -> tuple[int, int] | None:
    """Read a size, ``(320, 180)`` or ``"320x180"``."""
    if size is None:
        return None
    try:
        width, height = map(int, str(size).lower().split("x") if isinstance(size, str) else size)
    except (TypeError, ValueError):
        width = height = 0
    if width < 1 or height < 1:
        raise ValueError(f"size is (width, height) or 'WIDTHxHEIGHT', not {size!r}")
    return width, height


def _film_meta(info: MediaInfo, tool: Tool) -> dict[str, Any]:
    """Give the facts under the names that imageio's ffmpeg plugin gives them, and the rest beside."""
    video, audio = info.video, info.audio
    facts: dict[str, Any] = {
        "plugin": "ffmpeg",
        "ffmpeg_version": tool.version,
        "format": info.format,
        "audio_codec": audio.codec if audio else None,
        "duration": info.duration,
        "tags": info.tags,
        "source": info.source,
    }
    return facts if video is None else facts | _picture_meta(video)


def _picture_meta(video: VideoStream) -> dict[str, Any]:
    size = (video.width, video.height)
    return {
        "codec": video.codec,
        "pix_fmt": video.pixel_format,
        "fps": float(video.fps) if video.fps else None,
        "nframes": video.frames if video.frames is not None else math.inf,
        "source_size": size,
        "size": size[::-1] if video.rotation % 180 else size,
        "rotate": video.rotation,
    }
