"""Pictures of floats, which no program may quantise: Radiance and PFM, and the writing of OpenEXR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.core.format import Format, Reader, Writer
from bridge.core.intake import check_size
from bridge.errors import TruncatedMedia, UnsupportedPixels
from bridge.media.exr import encode_exr
from bridge.media.head import PictureHead
from bridge.media.info import MediaInfo, file_facts, still_info
from bridge.media.pfm import encode_pfm, pfm_head, pfm_pixels
from bridge.media.rgbe import encode_radiance, radiance_head, radiance_pixels

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.core.request import Request

__all__ = ["ExrFormat", "PfmFormat", "RadianceFormat", "SinglePictureReader", "float_formats"]

_HEADER = 1 << 16  # bytes that hold every header


class SinglePictureReader(Reader):
    """What is read in this process has one picture: a subclass reads its header and its pixels."""

    _head: PictureHead

    def _open(self, **kwargs: Any) -> None:
        super()._open(**kwargs)
        self._head = self._describe(self.request.read_at(0, _HEADER))
        check_size(self.request.limits, self.request.name, self._head.width, self._head.height)

    def _describe(self, data: bytes) -> PictureHead:
        """Read the header."""
        raise NotImplementedError

    def _pixels(self) -> np.ndarray[Any, Any]:
        """Read the picture."""
        raise NotImplementedError

    def _variables(self) -> dict[str, dict[str, Any]]:
        """Give what else the header says, in a group."""
        raise NotImplementedError

    def _length(self) -> float:
        return 1

    def _expected(self) -> int | None:
        return self._head.depth // 8 * self._head.width * self._head.height * self._head.channels

    def _data(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        return None if index else (self._pixels(), {"index": 0})

    def _info(self) -> MediaInfo:
        return still_info(self.request.name, self._format.name, self.request.size, self._head)

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is not None:
            return {"index": index}
        return {"FILE": file_facts(self._format.name, "bridge", self._head), **self._variables()}


class RadianceReader(SinglePictureReader):
    """Reads Radiance pictures, both packings and all orientations, as float32.

    Values are those of the file: ``EXPOSURE`` and the other lines of its header are told in the metadata, in the
    group ``RADIANCE``, and not applied.
    """

    def _describe(self, data: bytes) -> PictureHead:
        self._header = radiance_head(data)
        return PictureHead(width=self._header.width, height=self._header.height, channels=3, depth=32)

    def _pixels(self) -> np.ndarray[Any, Any]:
        return radiance_pixels(self._header, self.request.read_at(self._header.start, self.request.size))

    def _variables(self) -> dict[str, dict[str, Any]]:
        return {"RADIANCE": dict(self._header.variables)}


class PfmReader(SinglePictureReader):
    """Reads PFM of either byte order as float32; the scale in its header is told in the metadata, and not applied."""

    def _describe(self, data: bytes) -> PictureHead:
        self._header = pfm_head(data)
        return PictureHead(
            width=self._header.width, height=self._header.height, channels=self._header.channels, depth=32
        )

    def _pixels(self) -> np.ndarray[Any, Any]:
        head = self._header
        data = self.request.read_at(head.start, min(head.nbytes, self.request.size))
        if len(data) < head.nbytes:
            raise TruncatedMedia(f"{self.request.name} ended {head.nbytes - len(data)} bytes early", got=0)
        return pfm_pixels(head, data)

    def _variables(self) -> dict[str, dict[str, Any]]:
        return {"PFM": {"scale": self._header.scale}}


class _FloatWriter(Writer):
    """What they share: one picture of float32, as it is."""

    _channels: tuple[int, ...]
    _instead: str

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        del meta
        if self._count:
            raise UnsupportedPixels(f"{self._format.name} holds one picture; write a TIFF or NPZ for several")
        channels = 1 if image.ndim == 2 else image.shape[2] if image.ndim == 3 else 0
        if image.dtype.name != "float32" or channels not in self._channels:
            wanted = " or ".join(map(str, self._channels))
            raise UnsupportedPixels(
                f"{self._format.name} holds float32 of {wanted} channel(s), this array is {image.dtype} "
                f"{image.shape}; formats that can: {self._instead}"
            )
        image = image.astype(np.float32, copy=False)  # of either byte order
        with self.request.part().open("wb") as file:
            file.writelines(self._encode(image[..., 0] if channels == 1 and image.ndim == 3 else image))

    def _encode(self, image: np.ndarray[Any, Any]) -> Iterable[bytes]:
        raise NotImplementedError

    def _finish(self) -> None:
        """Nothing is left to do."""


class ExrWriter(_FloatWriter):
    """Writes OpenEXR, 32-bit floats, deflated without loss."""

    _channels = (1, 3, 4)
    _instead = "TIFF or NPY"

    def _encode(self, image: np.ndarray[Any, Any]) -> Iterable[bytes]:
        return encode_exr(image)


class PfmWriter(_FloatWriter):
    """Writes PFM, exactly."""

    _channels = (1, 3)
    _instead = "EXR (float32), TIFF or NPY"

    def _encode(self, image: np.ndarray[Any, Any]) -> Iterable[bytes]:
        return [encode_pfm(image)]


class RadianceWriter(_FloatWriter):
    """Writes Radiance, which keeps 8 bits of each value: to within 1/128 of the largest of its pixel.

    The attribute `changes` says so. Values below zero, infinite ones and such that are no numbers are refused.
    """

    _channels = (3,)
    _instead = "EXR, PFM (float32), TIFF or NPY"

    def _encode(self, image: np.ndarray[Any, Any]) -> Iterable[bytes]:
        coded = encode_radiance(image)
        self.changes.append("values are kept to within 1/128 of the largest of their pixel")
        return [coded]


class ExrFormat(Format):
    """OpenEXR, written in this process; ffmpeg reads it."""

    name = "EXR"
    depths = "float"
    description = "OpenEXR"
    extensions = (".exr",)
    modes = "iI"
    alpha = True
    writer = ExrWriter

    def can_read(self, request: Request) -> bool:
        """Leave reading to ffmpeg."""
        del request
        return False


class RadianceFormat(Format):
    """Radiance pictures of high dynamic range."""

    name = "HDR"
    depths = "float"
    description = "Radiance"
    extensions = (".hdr", ".pic")
    modes = "iI"
    metadata = True
    reader = RadianceReader
    writer = RadianceWriter

    def can_read(self, request: Request) -> bool:
        """Take content that says it is Radiance."""
        return request.kind == "hdr"


class PfmFormat(Format):
    """Portable float map: floats as they are."""

    name = "PFM"
    depths = "float"
    description = "portable float map"
    extensions = (".pfm",)
    modes = "iI"
    metadata = True
    reader = PfmReader
    writer = PfmWriter

    def can_read(self, request: Request) -> bool:
        """Take content that says it is PFM."""
        return request.kind == "pfm"


def float_formats() -> list[Format]:
    """Give them in order."""
    return [ExrFormat(), RadianceFormat(), PfmFormat()]
