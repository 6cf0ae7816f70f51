"""Still pictures through ffmpeg, for machines without ImageMagick."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge.core.format import Format, Reader, Writer
from bridge.errors import CorruptMedia, LimitExceeded, TruncatedMedia, UnsupportedPixels
from bridge.ffmpeg import argv
from bridge.ffmpeg.animation import pixels_of
from bridge.media.info import MediaInfo, still_info
from bridge.media.nut import NutFraming
from bridge.media.pixels import for_array, memory_of, pixel_format
from bridge.media.sniff import picture_head
from bridge.process.child import Child
from bridge.process.pipes import FrameSource
from bridge.process.tools import install_hint, toolbox

if TYPE_CHECKING:
    import numpy as np

    from bridge.core.request import Request
    from bridge.media.framing import FrameHead

__all__ = ["StillFormat", "StillReader", "StillWriter", "still_formats"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """One still format as ffmpeg serves it; `written` maps an array's pixel format to the encoder's."""

    name: str
    description: str
    extensions: tuple[str, ...]
    kind: str
    demuxer: str
    encoder: str
    written: dict[str, str]


_SAME = {name: name for name in ("gray", "ya8", "rgb24", "rgba")}
_PNG = _SAME | {"gray16le": "gray16be", "ya16le": "ya16be", "rgb48le": "rgb48be", "rgba64le": "rgba64be"}

STILLS: tuple[Still, ...] = (
    Still(
        name="PNG-FFMPEG", description="Portable Network Graphics", extensions=(".png",), kind="png",
        demuxer="png_pipe", encoder="png", written=_PNG,
    ),
    Still(
        name="JPEG-FFMPEG", description="Joint Photographic Experts Group", kind="jpeg",
        extensions=(".jpg", ".jpeg", ".jpe", ".jfif"), demuxer="jpeg_pipe", encoder="mjpeg",
        written={"gray": "gray", "rgb24": "yuvj420p"},
    ),
    Still(
        name="BMP-FFMPEG", description="Windows bitmap", extensions=(".bmp", ".dib"), kind="bmp",
        demuxer="bmp_pipe", encoder="bmp", written={"gray": "gray", "rgb24": "bgr24"},
    ),
    Still(
        name="WEBP-FFMPEG", description="WebP", extensions=(".webp",), kind="webp",
        demuxer="webp_pipe", encoder="libwebp", written={"rgb24": "yuv420p", "rgba": "yuva420p"},
    ),
    Still(
        name="PNM-FFMPEG", description="portable anymap", extensions=(".ppm", ".pgm", ".pam"), kind="pnm",
        demuxer="", encoder="pam", written=_PNG,
    ),
)  # fmt: skip


class StillReader(Reader):
    """Reads one picture through ffmpeg, with the channels and the depth that its header promises."""

    _format: StillFormat

    def _open(self, **kwargs: Any) -> None:
        super()._open(**kwargs)
        self._tool = toolbox().find("ffmpeg")
        head = picture_head(self.request.kind or "", self.request.read_at)
        if head is None:
            message = f"{self.request.name} has no header that is known"
            raise CorruptMedia(message)
        most = self.request.limits.pixels
        if head.width * head.height > most:
            message = f"{self.request.name} has {head.width}x{head.height} pixels, over the limit pixels={most}"
            raise LimitExceeded(message)
        self._head = head
        self._pixels = pixel_format(pixels_of(head))

    def _info(self) -> MediaInfo:
        return still_info(self.request.name, self._format.name, self.request.size, self._head)

    def _length(self) -> float:
        return 1

    def _data(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        if index:
            return None
        arguments = argv.decode(self._tool.release, self._format.still.demuxer, self._pixels, frames=1)
        still = self.request.limits.still
        with (
            self.request.input() as descriptor,
            Child((self._tool.path, *arguments), subject=self.request.name, stdin=descriptor) as child,
        ):
            source: FrameSource[FrameHead] = FrameSource(child, NutFraming(), first=still, stall=still)
            frame = self._frame(source)
            if source.head() is not None or not child.wait(still).ok:
                raise child.failure(CorruptMedia)
        return self._pixels.view(frame), {"index": 0}

    def _frame(self, source: FrameSource[FrameHead]) -> np.ndarray[Any, Any]:
        try:
            head = source.head()
            if head is not None:
                frame = self._pixels.empty(head.width, head.height)
                source.fill(head, memory_of(frame))
                return frame
        except TruncatedMedia:
            pass
        source.child.wait(self.request.limits.still)
        raise source.child.failure(CorruptMedia)

    def _meta(self, index: int | None) -> dict[str, Any]:
        return {"plugin": "ffmpeg", "format": self._format.name, "nframes": 1} if index is None else {"index": index}


class StillWriter(Writer):
    """Writes one picture through ffmpeg, at the array's own depth.

    Parameters
    ----------
    quality : int
        1 to 100, for JPEG and WebP (75 by default).
    """

    _format: StillFormat

    def _open(self, *, quality: int = 75, **kwargs: Any) -> None:
        super()._open(**kwargs)
        self._tool = toolbox().find("ffmpeg")
        toolbox().abilities("ffmpeg").need("encoders", self._format.still.encoder, self._tool)
        self._quality = quality

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        del meta
        still = self._format.still
        if self._count:
            message = f"{self.request.name}: {self._format.name} holds one picture; write a film, a GIF or a TIFF"
            raise UnsupportedPixels(message)
        pixels = for_array(image)
        if pixels.name not in still.written:
            able = ", ".join(row.name for row in STILLS if pixels.name in row.written) or "TIFF or NPY"
            message = f"{self.request.name}: {still.name} cannot hold {pixels.name}; formats that can: {able}"
            raise UnsupportedPixels(message)
        options = {"pix_fmt": still.written[pixels.name], **self._quality_options()}
        arguments = argv.encode_still(pixels, (image.shape[1], image.shape[0]), still.encoder, options)
        with self.request.output() as part:
            self._child = Child((self._tool.path, *arguments), subject=self.request.name, feed=True, stdout=part)
        self._child.write(memory_of(pixels.memory(image)), self.request.limits.stall)
        self._child.end_input()

    def _quality_options(self) -> dict[str, Any]:
        if self._format.still.encoder == "mjpeg":
            return {"q:v": round(31 - 29 * min(max(self._quality, 1), 100) / 100)}
        return {"quality": self._quality} if self._format.still.encoder == "libwebp" else {}

    def _finish(self) -> None:
        if not self._child.wait(self.request.limits.still).ok or not self.request.part().stat().st_size:
            raise self._child.failure()

    def _abort(self) -> None:
        with contextlib.suppress(AttributeError):  # `_append` may not have come so far
            self._child.abort()


class StillFormat(Format):
    """Still pictures through ffmpeg, where there is no ImageMagick."""

    modes = "iI"
    reader = StillReader
    writer = StillWriter

    def __init__(self, still: Still) -> None:
        self.still = still
        self.name = still.name
        self.description = still.description
        self.extensions = still.extensions

    def can_read(self, request: Request) -> bool:
        """Take content of our kind."""
        return bool(self.still.demuxer) and request.kind == self.still.kind

    def missing(self, *, writing: bool = False) -> str:
        """Tell what this machine lacks for it; empty if it works here."""
        if toolbox().get("ffmpeg") is None:
            return f"ffmpeg is not installed: {install_hint('ffmpeg')}"
        if writing and self.still.encoder not in toolbox().abilities("ffmpeg").encoders:
            return f"this ffmpeg has no encoder {self.still.encoder}"
        return ""


def still_formats() -> list[Format]:
    """Give one Format for each still format."""
    return [StillFormat(still) for still in STILLS]
