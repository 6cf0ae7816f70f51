"""GIF and APNG through ffmpeg: animations are read like film, but say themselves which channels they have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.errors import CorruptMedia
from bridge.ffmpeg.containers import ANIMATIONS
from bridge.ffmpeg.reader import FilmReader
from bridge.ffmpeg.video import FilmFormat
from bridge.media.sniff import PictureHead, picture_head

if TYPE_CHECKING:
    from bridge.core.format import Format
    from bridge.core.request import Request

__all__ = ["AnimationFormat", "AnimationReader", "animation_formats", "pixels_of"]

_PIXELS = {(1, 8): "gray", (2, 8): "ya8", (3, 8): "rgb24", (4, 8): "rgba",
           (1, 16): "gray16le", (2, 16): "ya16le", (3, 16): "rgb48le", (4, 16): "rgba64le"}  # fmt: skip


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


class AnimationFormat(FilmFormat):
    """Animation through the program ffmpeg."""

    reader = AnimationReader

    def can_read(self, request: Request) -> bool:
        """Take content of our kind."""
        return request.kind in self.container.kinds


def animation_formats() -> list[Format]:
    """Give the formats, GIF first."""
    return [AnimationFormat(container) for container in ANIMATIONS]
