"""Animated AVIF through ffmpeg: its frames are a film in the file, beside a picture for those who want only one."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from bridge.errors import CorruptMedia, MissingCodec
from bridge.ffmpeg import probe
from bridge.ffmpeg.animation import AnimationWriter
from bridge.ffmpeg.containers import AVIF
from bridge.ffmpeg.reader import FilmReader
from bridge.ffmpeg.video import FilmFormat
from bridge.media.info import VideoStream
from bridge.media.mp4 import handlers
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from bridge.core.request import Request

__all__ = ["SequenceFormat", "SequenceReader"]

_DECODERS = ("libdav1d", "libaom-av1")  # FFmpeg's own wants hardware
_FRAMES, _ALPHA = b"pict", b"auxv"


class SequenceReader(FilmReader):
    """Reads an animated AVIF frame by frame, as RGB. Its transparency, if it has any, is left out, with a warning."""

    def _open(self, **kwargs: Any) -> None:
        if missing := self.format.missing():
            raise MissingCodec(f"{self.request.name}: {missing}")
        tracks = [kind for kind in handlers(self.request.read_at, self.request.size) if kind in (_FRAMES, _ALPHA)]
        if _FRAMES not in tracks:
            raise CorruptMedia(f"{self.request.name} says that it is an animated AVIF, but has no frames")
        streams = probe.media_info(self.request, AVIF.demuxer).streams
        shown = sum(isinstance(stream, VideoStream) for stream in streams)
        self._changes = ["transparency is left out: ffmpeg has it apart"] if _ALPHA in tracks else []
        # FFmpeg since 7 counts the pictures that stand beside the tracks, and before them
        super()._open(stream=shown - len(tracks) + tracks.index(_FRAMES), **kwargs)
        if self._changes:
            warnings.warn(f"{self.request.name}: {self._changes[0]}", stacklevel=2)

    def _meta(self, index: int | None) -> dict[str, Any]:
        meta = super()._meta(index)
        return meta | {"changes": list(self._changes)} if self._changes and index is None else meta


class SequenceFormat(FilmFormat):
    """Animated AVIF through the program ffmpeg."""

    reader = SequenceReader
    writer = AnimationWriter

    def __init__(self) -> None:
        super().__init__(AVIF)

    def can_read(self, request: Request) -> bool:
        """Take content of our kind."""
        return request.kind in self.container.kinds

    def missing(self, *, writing: bool = False) -> str:
        """Tell what this machine lacks for it; empty if it works here."""
        reason = super().missing(writing=writing)
        if reason or writing or not toolbox().abilities("ffmpeg").decoders.isdisjoint(_DECODERS):
            return reason
        return f"this ffmpeg has none of the decoders {', '.join(_DECODERS)}"
