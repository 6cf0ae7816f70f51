"""PictureWriter: one picture out, over one ImageMagick child."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.core.format import Writer
from bridge.errors import MissingCodec, TruncatedMedia, UnsupportedPixels
from bridge.magick import argv
from bridge.magick.pictures import PICTURES
from bridge.magick.policy import boxed
from bridge.media.carry import HELD, carried
from bridge.media.embed import embed
from bridge.media.pixels import for_array, hidden_colours, memory_of
from bridge.media.pnm import pam_header
from bridge.process.child import Child
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from bridge.magick.image import PictureFormat
    from bridge.process.tools import Tool

__all__ = ["PictureWriter", "is_shallow"]


class PictureWriter(Writer):
    """Writes one picture through ImageMagick, at the array's own depth, with its metadata (JPEG, PNG, WebP).

    Parameters
    ----------
    quality : int
        1 to 100, for formats that lose something (JPEG, WebP, AVIF and HEIC: 75 by default).
    lossless : bool
        Keep every pixel as it is; for WebP, which else loses something.
    """

    _format: PictureFormat

    def _open(self, *, quality: int | None = None, lossless: bool = False, **kwargs: Any) -> None:
        super()._open(**kwargs)
        self._tool = toolbox().find("magick")
        self._picture = self._format.picture
        self._quality = self._picture.quality if quality is None else quality
        self._lossless = lossless
        self._wanted = self._picture.lossless if lossless else self._picture.options
        if lossless and not self._wanted:
            raise ValueError(f"{self._format.name} takes no lossless=True; WebP does")
        if quality is not None and not (self._picture.quality and 1 <= quality <= 100):
            message = f"{self._format.name} takes no quality={quality!r}" + (
                ": it is a number from 1 to 100" if self._picture.quality else ", it is lossless"
            )
            raise ValueError(message)
        if self._picture.coder.upper() not in toolbox().abilities("magick").muxers:
            message = f"{self.request.name}: {self._tool} cannot write {self._format.name}"
            raise MissingCodec(message)
        self._held = HELD.get(self._picture.coder, frozenset())

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        if self._count:
            message = f"{self.request.name}: {self._format.name} holds one picture; write a film, a GIF or a TIFF"
            raise UnsupportedPixels(message)
        self._check(image)
        self.changes += hidden_colours(image) if self._lossless else []
        arguments = argv.write(self._tool.path, self._picture.coder, self._options(image))
        with self.request.output() as part:
            child = self._child = Child(
                arguments,
                subject=self.request.name,
                feed=True,
                stdout=part,
                part=self.request.part(),
                **boxed(self.request.limits, writing=True),
            )
        stall = self.request.limits.stall
        pixels = np.ascontiguousarray(image.astype(">u2", copy=False) if image.itemsize == 2 else image)
        child.write(memoryview(pam_header(image)), stall)
        child.write(memory_of(pixels), stall)
        child.end_input()
        if self._held:
            channels, size = for_array(image).channels, (image.shape[1], image.shape[0])
            self._blocks, changes = carried(meta, self._picture.coder, channels=channels, size=size)
            self.changes += changes

    def _check(self, image: np.ndarray[Any, Any]) -> None:
        pixels = for_array(image)
        holds = (pixels.channels, pixels.depth)
        if image.itemsize > 1 and is_shallow(self._tool):
            raise UnsupportedPixels(
                f"{self.request.name}: {self._tool} keeps 8 bits a sample; install an ImageMagick Q16, or write "
                "TIFF, NPY or with format='PNG-FFMPEG'"
            )
        if holds not in self._picture.written:
            able = ", ".join(row.name for row in PICTURES if holds in row.written) or "TIFF or NPY"
            message = (
                f"{self.request.name}: {self._format.name} cannot hold {pixels.channels} channel(s) of "
                f"{image.dtype}; formats that can: {able}"
            )
            raise UnsupportedPixels(message)

    def _options(self, image: np.ndarray[Any, Any]) -> list[str]:
        options = [option.format(quality=self._quality) for option in self._wanted]
        if image.ndim == 3 and image.shape[2] == 3:  # colours that happen to be gray else become one channel
            options += ["-type", "TrueColor"]
        if self._picture.coder == "png":
            options += _png_options(for_array(image).channels, image.itemsize * 8)
        return options

    def _finish(self) -> None:
        if not self._child.wait(self.request.limits.still).ok:
            raise self._child.failure()
        if not self.request.part().stat().st_size:
            message = f"{self.request.name}: {self._tool} wrote nothing"
            raise TruncatedMedia(message, command=self._child.argv, exit=self._child.exit)
        if self._held and self._blocks:
            part = self.request.part()
            part.write_bytes(embed(self._picture.coder, part.read_bytes(), self._blocks))

    def _abort(self) -> None:
        with contextlib.suppress(AttributeError):  # `_append` may not have come so far
            self._child.abort()


_PNG_COLOUR_TYPES = {1: 0, 2: 4, 3: 2, 4: 6}


def _png_options(channels: int, depth: int) -> list[str]:
    """Fix the colour type and depth, which ImageMagick else chooses by the values; leave out the clock."""
    return [
        "-define", f"png:color-type={_PNG_COLOUR_TYPES[channels]}",
        "-define", f"png:bit-depth={depth}",
        "-define", "png:exclude-chunks=date,time,bkgd,gama,chrm",
    ]  # fmt: skip


def is_shallow(tool: Tool | None) -> bool:
    """Tell whether it is an ImageMagick that calculates with 8 bits.

    Examples
    --------
    >>> is_shallow(None)
    False
    """
    return tool is not None and tool.version.endswith(" Q8")
