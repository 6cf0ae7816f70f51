"""The catalogue: which Formats exist, in which order they are asked, what this machine can do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.arrays.npy import NpyFormat, NpzFormat
from bridge.arrays.tiff import TiffFormat
from bridge.core.format import Format, FormatManager
from bridge.errors import UnknownFormat
from bridge.ffmpeg.animation import animation_formats
from bridge.ffmpeg.image import still_formats
from bridge.ffmpeg.video import film_formats
from bridge.magick.image import picture_formats
from bridge.media.sniff import sniff

if TYPE_CHECKING:
    from bridge.core.request import Request

__all__ = ["formats", "reader_for", "writer_for"]


def _ordered() -> FormatManager:
    """Put the formats in order: in this process first, then ImageMagick, then ffmpeg."""
    manager = FormatManager()
    ordered: list[Format] = [NpyFormat(), NpzFormat(), TiffFormat()]
    ordered += [*picture_formats(), *still_formats(), *animation_formats(), *film_formats()]
    for format in ordered:
        manager.add_format(format)
    return manager


formats = _ordered()


def reader_for(request: Request, name: str | None) -> Format:
    """Choose the format that reads a request; its content is looked at, once, here.

    Raises
    ------
    UnknownFormat
        If none does.
    """
    request.kind = sniff(request.head)
    if request.kind in ("svg", "pdf", "postscript"):
        message = (
            f"{request.name} is a {request.kind.upper()} document: drawing it means running its content, "
            "which bridge does not do; convert it to PNG first"
        )
        raise UnknownFormat(message)
    return formats.find_reader(request, name)


def writer_for(request: Request, name: str | None) -> Format:
    """Choose the format that writes a request.

    Raises
    ------
    UnknownFormat
        If none does.
    """
    return formats.find_writer(request, name)
