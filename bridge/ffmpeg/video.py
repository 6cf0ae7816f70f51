"""Film: Format, Reader and Writer over one ffmpeg child each."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

from bridge.core.format import Format, Reader, Writer
from bridge.core.request import Request
from bridge.errors import (
    CorruptMedia,
    MissingCodec,
    NoSuchFrame,
    TruncatedMedia,
    UnsupportedPixels,
    UriError,
)
from bridge.ffmpeg import argv, probe
from bridge.ffmpeg.containers import CODECS, CONTAINERS, DEMUXERS, Codec, Container
from bridge.media.nut import NutFraming
from bridge.media.pixels import PixelFormat, for_array, memory_of, pixel_format
from bridge.media.sniff import sniff
from bridge.process.child import Child
from bridge.process.pipes import FrameSink, FrameSource
from bridge.process.tools import Tool, install_hint, toolbox

if TYPE_CHECKING:
    from collections.abc import Sequence
    from fractions import Fraction

    import numpy as np

    from bridge.media.framing import FrameHead
    from bridge.media.info import MediaInfo

__all__ = ["FilmFormat", "FilmReader", "FilmWriter", "film_formats"]


class FilmReader(Reader):
    """Reads a film, frame by frame, through one ffmpeg child.

    Parameters
    ----------
    pixelformat : str
        FFmpeg's name of the pixel format wanted, ``"rgb24"`` by default: ``"gray"``, ``"rgba"``,
        ``"rgb48le"``, ``"yuv420p"``, …
    stream : int
        Which of the video streams, 0 by default.

    Notes
    -----
    Frames come as ``(height, width, channels)`` or ``(height, width)``; subsampled formats as FFmpeg lays
    them out. No frame is repeated or left out, whatever the frame rate says. Each frame's `meta` has its
    ``index`` and its ``time`` in seconds.
    """

    def _open(self, *, pixelformat: str | None = None, stream: int = 0, **kwargs: Any) -> None:
        super()._open(**kwargs)
        self._source: FrameSource[FrameHead] | None = None
        self._position = 0
        self._count: int | None = None
        self._probed: MediaInfo | None = None
        self._stream = stream
        self._demuxer = DEMUXERS.get(self.request.kind or "")
        self._pixels = pixel_format(pixelformat or self._default_pixels())
        self._tool = toolbox().find("ffmpeg")

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
            input_options={"max_pixels": str(limits.pixels)},
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
            return None
        source = self._source
        if source is None or index < self._position:
            source = self._start()
        try:
            return self._advance(source, index)
        except TruncatedMedia as error:
            self._stop()
            raise self._failure(source, error.got or 0) from None
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
        return None

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
        if self._count is None:
            self._count = probe.count_frames(self.request, self._demuxer, self._stream)
        return self._count

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is not None:
            found = self._data(index)
            if found is None:
                raise NoSuchFrame(f"{self.request.name} has no image {index}")
            return found[1]
        return _film_meta(self._info(), self._tool)


def _film_meta(info: MediaInfo, tool: Tool) -> dict[str, Any]:
    """Give the facts under the names that imageio's ffmpeg plugin gives them, and the rest beside."""
    video, audio = info.video, info.audio
    if video is None:
        raise CorruptMedia(f"{info.uri} holds no video stream")
    turned = video.rotation % 180 != 0
    size = (video.width, video.height)
    return {
        "plugin": "ffmpeg",
        "ffmpeg_version": tool.version,
        "format": info.format,
        "codec": video.codec,
        "pix_fmt": video.pixel_format,
        "audio_codec": audio.codec if audio else None,
        "fps": float(video.fps) if video.fps else None,
        "nframes": video.frames if video.frames is not None else math.inf,
        "duration": info.duration,
        "source_size": size,
        "size": size[::-1] if turned else size,
        "rotate": video.rotation,
        "tags": info.tags,
        "source": info.source,
    }


class FilmWriter(Writer):
    """Writes a film through one ffmpeg child; it appears when it is closed, complete, or not at all.

    Parameters
    ----------
    fps : float or fractions.Fraction
        Frames per second, 10 by default; 23.976, 29.97 and their like mean NTSC's exact rates.
    codec : str
        A family (``"h264"``, ``"hevc"``, ``"vp9"``, ``"av1"``, …) or the name of one of FFmpeg's
        encoders. The container's usual one by default.
    quality : float
        0 (worst) to 10 (best), 5 by default, on the encoder's constant-quality scale.
    bitrate : int or str
        Bits per second instead of a quality.
    pixelformat : str
        What the encoder is given, ``"yuv420p"`` for most codecs by default.
    audio_path : str or path
        A file whose first audio stream goes along.
    audio_codec : str
        ``"copy"``, or one of FFmpeg's encoders; by default copied where the container can hold it.
    output_params : sequence of str
        Options for ffmpeg's output, put last.

    Notes
    -----
    All frames must have the size and dtype of the first. Nothing is ever scaled.
    """

    _container: Container

    def _open(
        self,
        *,
        fps: float | Fraction = 10,
        codec: str | None = None,
        quality: float | None = 5,
        bitrate: int | str | None = None,
        pixelformat: str | None = None,
        audio_path: Any = None,
        audio_codec: str | None = None,
        output_params: Sequence[str] = (),
        **kwargs: Any,
    ) -> None:
        super()._open(**kwargs)
        self._sink: FrameSink | None = None
        self._fps = argv.rate(fps)
        self._tool = toolbox().find("ffmpeg")
        self._container = self._format.container  # type: ignore[attr-defined]
        self._video = self._video_options(codec, quality, bitrate, pixelformat)
        self._audio = Request(audio_path) if audio_path is not None else None
        self._audio_codec = self._choose_audio(audio_codec)
        self._extra = tuple(output_params)

    def _video_options(
        self, codec: str | None, quality: float | None, bitrate: int | str | None, pixelformat: str | None
    ) -> dict[str, Any]:
        encoder, family = self._choose_encoder(codec)
        options: dict[str, Any] = {"c:v": encoder, **family.options, **self._container.options}
        if bitrate is not None:
            options["b:v"] = bitrate
        elif quality is not None and family.quality:
            if not 0 <= quality <= 10:
                message = f"quality is a number from 0 to 10, not {quality!r}"
                raise ValueError(message)
            options[family.quality] = round(family.worst + (family.best - family.worst) * quality / 10)
        pixels = pixelformat or family.pixels
        return options | ({"pix_fmt": pixels} if pixels else {})

    def _choose_encoder(self, codec: str | None) -> tuple[str, Codec]:
        """Give an encoder that this ffmpeg has, and its family."""
        abilities = toolbox().abilities("ffmpeg")
        abilities.need("muxers", self._container.muxer, self._tool)
        for name in (codec,) if codec else self._container.video:
            family = CODECS.get(name) or _family(name)
            for encoder in family.encoders:
                if encoder in abilities.encoders:
                    return encoder, family
        abilities.need("encoders", CODECS[codec].encoders[0] if codec in CODECS else codec or "", self._tool)
        message = f"{self._tool} has no encoder for {self._container.name}"
        raise MissingCodec(message)

    def _choose_audio(self, codec: str | None) -> str:
        if self._audio is None:
            return ""
        with self._audio.input():
            info = probe.media_info(self._audio, DEMUXERS.get(sniff(self._audio.head) or ""))
        if info.audio is None:
            message = f"{self._audio.name} has no audio stream to go along"
            raise UriError(message)
        if codec is None:
            codec = "copy" if info.audio.codec in self._container.audio_kept else self._container.audio
        if codec != "copy":
            toolbox().abilities("ffmpeg").need("encoders", codec, self._tool)
        return codec

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        del meta
        if self._sink is None:
            self._pixels = for_array(image)
            self._shape = image.shape
            self._sink = self._start(self._pixels, image.shape)
        if image.shape != self._shape or image.dtype != self._pixels.dtype:
            message = (
                f"{self.request.name}: frame {self._count} is {image.dtype} {image.shape}, but the film began with "
                f"{self._pixels.dtype} {self._shape}; scale, crop or pad it yourself, bridge does not"
            )
            raise UnsupportedPixels(message)
        self._sink.put(memory_of(self._pixels.memory(image)))

    def _start(self, pixels: PixelFormat, shape: tuple[int, ...]) -> FrameSink:
        with contextlib.ExitStack() as files:
            audio = files.enter_context(self._audio.input()) if self._audio else None
            arguments = argv.encode(
                self._tool.release,
                pixels,
                (shape[1], shape[0]),
                self._fps,
                muxer=self._container.muxer,
                video=self._video,
                filters="palette" if self._container.muxer == "gif" else None,
                audio=None if audio is None else f"file:/proc/self/fd/{audio}",
                audio_codec=self._audio_codec,
                extra=self._extra,
            )
            child = Child(
                (self._tool.path, *arguments),
                subject=self.request.name,
                feed=True,
                stdout=files.enter_context(self.request.output()),
                pass_fds=() if audio is None else (audio,),
            )
        return FrameSink(child, stall=self.request.limits.stall)

    def _finish(self) -> None:
        if self._sink is None:  # the base class calls this only after an append
            return
        child = self._sink.child
        child.end_input()
        if not child.wait(self.request.limits.finish).ok:
            raise child.failure()
        with Request(self.request.part(), name=self.request.name) as made:
            written = probe.count_frames(made, DEMUXERS.get(sniff(made.head) or ""))
        if written != self._sink.frames:
            message = (
                f"{self.request.name}: {self._sink.frames} frames were given to ffmpeg, but what it wrote holds "
                f"{written}; nothing was put in place"
            )
            raise TruncatedMedia(message, command=child.argv, exit=child.exit, got=written)

    def _abort(self) -> None:
        with contextlib.suppress(AttributeError):  # `_open` may have failed before it came so far
            if self._sink is not None:
                self._sink.child.abort()
        with contextlib.suppress(AttributeError):
            if self._audio is not None:
                self._audio.close()


def _family(encoder: str) -> Codec:
    """Find the family of one of FFmpeg's encoders; an unknown one is taken as it is, with its own defaults."""
    of = next((codec for codec in CODECS.values() if encoder in codec.encoders), Codec(encoders=(), pixels=None))
    return Codec(
        encoders=(encoder,),
        pixels=of.pixels,
        quality=of.quality,
        best=of.best,
        worst=of.worst,
        options=of.options,
    )


class FilmFormat(Format):
    """Film through the program ffmpeg."""

    modes = "iI"
    reader: type[Reader] | None = FilmReader
    writer: type[Writer] | None = FilmWriter

    def __init__(self, container: Container) -> None:
        self.container = container
        self.name = container.name
        self.description = container.description
        self.extensions = container.extensions
        if not container.muxer:
            self.writer = None

    def can_read(self, request: Request) -> bool:
        """Take content of our kind; of formats that share a kind, the one with the name's extension is first."""
        if request.kind not in self.container.kinds:
            return False
        rivals = [row for row in CONTAINERS if request.kind in row.kinds]
        claimed = any(request.extension in row.extensions for row in rivals)
        return request.extension in self.extensions if claimed else rivals[0] == self.container

    def missing(self, *, writing: bool = False) -> str:
        """Tell what this machine lacks for it; empty if it works here."""
        if toolbox().get("ffmpeg") is None:
            return f"ffmpeg is not installed: {install_hint('ffmpeg')}"
        if not writing:
            return "" if self.container.demuxer in toolbox().abilities("ffmpeg").demuxers else "no such demuxer"
        return self._missing_for_writing()

    def _missing_for_writing(self) -> str:
        if not self.container.muxer:
            return "it is only read"
        abilities = toolbox().abilities("ffmpeg")
        encoders = [encoder for family in self.container.video for encoder in CODECS[family].encoders]
        if abilities.encoders.isdisjoint(encoders):
            return f"this ffmpeg has none of the encoders {', '.join(encoders)}"
        return "" if self.container.muxer in abilities.muxers else f"this ffmpeg has no muxer {self.container.muxer}"


def film_formats() -> list[Format]:
    """Give one Format for each container."""
    return [FilmFormat(container) for container in CONTAINERS]
