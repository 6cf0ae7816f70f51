"""TGA of gray and alpha, read in this process: the programs take it for something else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.arrays.floats import SinglePictureReader
from bridge.core.format import Format
from bridge.errors import CorruptMedia
from bridge.media.head import PictureHead
from bridge.media.tga import gray_alpha, gray_alpha_head

if TYPE_CHECKING:
    import numpy as np

    from bridge.core.request import Request

__all__ = ["TargaFormat"]


class TargaReader(SinglePictureReader):
    """Reads TGA of gray and alpha, as uint8 ``(height, width, 2)``."""

    def _describe(self, data: bytes) -> PictureHead:
        header = gray_alpha_head(data)
        if header is None:
            raise CorruptMedia(f"{self.request.name} is no TGA of gray and alpha")
        self._header = header
        return PictureHead(width=header.width, height=header.height, channels=2)

    def _pixels(self) -> np.ndarray[Any, Any]:
        return gray_alpha(self._header, self.request.read_at(self._header.start, self.request.size))

    def _variables(self) -> dict[str, dict[str, Any]]:
        return {}


class TargaFormat(Format):
    """TGA of gray and alpha; other TGA is read by ImageMagick."""

    name = "TGA-GRAY"
    description = "Truevision Targa of gray and alpha"
    extensions = (".tga",)
    modes = "iI"
    alpha = True
    reader = TargaReader

    def can_read(self, request: Request) -> bool:
        """Take content of no kind that has such a header, by its name."""
        return self.could_read(request) and request.extension in self.extensions

    def could_read(self, request: Request) -> bool:
        """Take content of no kind that has such a header."""
        return request.kind is None and gray_alpha_head(request.head) is not None
