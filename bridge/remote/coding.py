"""Frames compressed for the way between machines: one message, one frame, none held back, decoded as they come."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Self

from bridge.errors import TruncatedMedia, UnsupportedPixels, WireError
from bridge.media.nut import NutFraming, NutStream
from bridge.media.pixels import memory_of, pixel_format
from bridge.process.child import Child
from bridge.process.isolation import box_for
from bridge.process.pipes import FrameSource
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np

    from bridge.limits import Limits
    from bridge.process.tools import Tool

__all__ = ["ENCODINGS", "Decoder", "Encoding", "encoder_command"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """One way to compress frames.

    Attributes
    ----------
    encoder : str
        FFmpeg's name of it.
    options : tuple of str
        For ffmpeg.
    tag : bytes
        By which NUT names it.
    lossless : bool
        Whether the frames come out as they went in.
    dependent : bool
        Whether frames are decoded with the help of those before them.
    """

    encoder: str
    options: tuple[str, ...]
    tag: bytes
    lossless: bool = False
    dependent: bool = False

    def pixels(self, name: str, size: tuple[int, int]) -> str:
        """Tell what pixel format the encoder is given.

        Raises
        ------
        UnsupportedPixels
            If it would lose depth or transparency.
        """
        if self.lossless:
            return _LOSSLESS.get(name, name)
        pixels = pixel_format(name)
        if pixels.depth > 8 or (pixels.channels in (2, 4) and not pixels.ycbcr):
            raise UnsupportedPixels(
                f"{self.encoder} would lose depth or transparency of {name}; encode='ffv1' does not"
            )
        if self.encoder == "mjpeg":
            return "yuvj420p"
        return "yuv444p" if any(extent % 2 for extent in size) else "yuv420p"


_LOSSLESS = {"rgb24": "bgr0", "bgr24": "bgr0", "rgba": "bgra", "rgb48le": "gbrp16le", "rgba64le": "gbrap16le"}
ENCODINGS = {
    "mjpeg": Encoding(encoder="mjpeg", options=("-q:v", "3", "-huffman", "default"), tag=b"mjpg"),
    "h264": Encoding(
        encoder="libx264",
        options=("-preset", "superfast", "-tune", "zerolatency", "-crf", "20", "-bf", "0", "-g", "30"),
        tag=b"H264",
        dependent=True,
    ),
    "ffv1": Encoding(encoder="ffv1", options=("-level", "3", "-g", "1"), tag=b"FFV1", lossless=True),
}
_QUIET = ("-nostdin", "-hide_banner", "-v", "repeat+error")
# Threads that each have a frame would hold back as many frames; and nothing is read ahead to guess at the content.
_AT_ONCE = ("-thread_type", "slice", "-flags", "low_delay", "-probesize", "32", "-analyzeduration", "0")
_SENT = ("-f", "nut", "-write_index", "0", "-flush_packets", "1", "pipe:1")


def encoder_command(encoding: Encoding, pixels: str, size: tuple[int, int]) -> tuple[Tool, tuple[str, ...]]:
    """Give ffmpeg, and its arguments to compress raw frames that come by its standard input.

    Raises
    ------
    MissingCodec, ToolMissing, UnsupportedPixels
        If that cannot be.
    """
    tool = toolbox().find("ffmpeg")
    toolbox().abilities("ffmpeg").need("encoders", encoding.encoder, tool)
    raw = ("-f", "rawvideo", "-pixel_format", pixels, "-video_size", f"{size[0]}x{size[1]}", "-framerate", "30")
    source = (*_AT_ONCE, *raw, "-i", "pipe:0", *_passthrough(tool))
    coded = ("-pix_fmt", encoding.pixels(pixels, size), "-c:v", encoding.encoder, "-thread_type", "slice")
    return tool, (*_QUIET, *source, *coded, *encoding.options, *_SENT)


def _passthrough(tool: Tool) -> tuple[str, ...]:
    return "-map", "0:v:0", "-fps_mode" if tool.release >= (5, 1) else "-vsync", "passthrough"


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a worker says of compressed frames, checked.

    Attributes
    ----------
    encoding : Encoding
        How they are compressed.
    config : bytes
        What its decoder wants to know beforehand.
    pixels : str
        FFmpeg's name of the format that they had before.
    size : tuple of int
        Width and height.
    """

    encoding: Encoding
    config: bytes
    pixels: str
    size: tuple[int, int]

    @classmethod
    def of(cls, description: Mapping[str, Any], limits: Limits) -> Self:
        """Read it.

        Raises
        ------
        WireError
            If it is not what a worker says, or of frames larger than the limits have it.
        """
        try:
            width, height = (int(extent) for extent in description["size"])
            encoding, pixels = ENCODINGS[description["encode"]], pixel_format(str(description["pixels"])).name
            config = bytes.fromhex(description["config"])
        except (KeyError, TypeError, ValueError) as error:
            raise WireError(f"the worker describes its frames as nobody would: {error!r}") from None
        if not (0 < width <= limits.side and 0 < height <= limits.side and width * height <= limits.pixels):
            raise WireError(f"the worker's frames have {width}x{height} pixels, more than the limits have it")
        return cls(encoding=encoding, config=config, pixels=pixels, size=(width, height))


class Decoder:
    """Makes pixels of compressed frames, one after the other; a program in a box does it.

    Parameters
    ----------
    description : mapping
        What the worker says of its frames.
    subject : str
        The user's name for what is read.
    limits : Limits
        Of the call.
    """

    def __init__(self, description: Mapping[str, Any], *, subject: str, limits: Limits) -> None:
        told = Told.of(description, limits)
        self._pixels, self._size, self._stall = pixel_format(told.pixels), told.size, limits.stall
        self._nut = NutStream(told.encoding.tag, *told.size, Fraction(1, 1000), config=told.config)
        self._time = 0
        tool = toolbox().find("ffmpeg")
        source = (*_AT_ONCE, "-f", "nut", "-i", "pipe:0", *_passthrough(tool))
        command = (tool.path, *_QUIET, *source, "-pix_fmt", told.pixels, "-c:v", "rawvideo", "-threads", "1", *_SENT)
        self._child = Child(command, subject=subject, box=box_for(limits, "film"), feed=True)
        self._frames = FrameSource(self._child, NutFraming(), first=limits.first_frame, stall=limits.stall)
        self._write(self._nut.begin())

    def frame(self, packet: memoryview | bytes) -> np.ndarray[Any, Any]:
        """Decode one.

        Raises
        ------
        BridgeError
            If that is none, in ffmpeg's words.
        """
        size = memoryview(packet).nbytes
        self._write(self._nut.before(self._time, size))
        self._write(packet)
        self._time += 1
        try:
            head = self._frames.head()
            frame = self._pixels.empty(*self._size)
            if head is None or head.size != frame.nbytes:
                raise self._failure()
            self._frames.fill(head, memory_of(frame))
        except TruncatedMedia:
            raise self._failure() from None
        return self._pixels.view(frame)

    def close(self) -> None:
        """End it."""
        self._child.abort()

    def _write(self, data: memoryview | bytes) -> None:
        self._child.write(memoryview(data), self._stall)

    def _failure(self) -> Exception:
        self._child.close()
        return self._child.failure(TruncatedMedia, got=self._frames.frames)
