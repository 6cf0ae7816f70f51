"""Film: one Format for each container that ffmpeg reads or writes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.core.format import Format, Reader, Writer
from bridge.ffmpeg.containers import CODECS, CONTAINERS, Container
from bridge.ffmpeg.reader import FilmReader
from bridge.ffmpeg.writer import FilmWriter
from bridge.process.tools import install_hint, toolbox

if TYPE_CHECKING:
    from bridge.core.request import Request

__all__ = ["FilmFormat", "film_formats"]


class FilmFormat(Format):
    """Film through the program ffmpeg."""

    modes = "iI"
    program = "ffmpeg"
    depths = "8, 10, 12, 16"
    animated = True
    metadata = True
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
