"""FITS, read and written in this process: programs cut its samples to 16 bits and turn it upside down."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.core.format import Format, Reader, Writer
from bridge.core.intake import check_count, check_memory, check_size
from bridge.errors import TruncatedMedia
from bridge.media.fits import encode_fits, fits_array, fits_units
from bridge.media.info import ImagePage, MediaInfo

if TYPE_CHECKING:
    import numpy as np

    from bridge.core.request import Request
    from bridge.media.fits import FitsUnit

__all__ = ["FitsFormat", "FitsReader", "FitsWriter"]


class FitsReader(Reader):
    """Reads FITS: each array of the file is one image, or one volume, of whatever shape it has.

    Samples are what they stand for, ``BSCALE * stored + BZERO``: integers where these only make them unsigned, else
    floats. The first row is the first in the file. The metadata has the cards of the head in the group ``FITS``.
    """

    def _open(self, **kwargs: Any) -> None:
        super()._open(**kwargs)
        request, limits = self.request, self.request.limits
        self._units = fits_units(request.read_at, request.size)
        check_count(limits, request.name, len(self._units))
        for unit in self._units if request.mode != "i" else self._units[:1]:
            self._check(unit)

    def _check(self, unit: FitsUnit) -> None:
        width = unit.shape[-1]
        height = unit.shape[-2] if len(unit.shape) > 1 else 1
        check_size(self.request.limits, self.request.name, width, height)
        check_memory(self.request.limits, self.request.name, self._made(unit), self.request.size)

    @staticmethod
    def _made(unit: FitsUnit) -> int:
        return unit.nbytes // int(unit.coded[1]) * unit.dtype.itemsize

    def _length(self) -> float:
        return len(self._units)

    def _counted(self) -> int | None:
        return len(self._units)

    def _expected(self) -> int | None:
        return sum(self._made(unit) for unit in self._units)

    def _data(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        if index >= len(self._units):
            return None
        unit = self._units[index]
        self._check(unit)
        data = self.request.read_at(unit.begin, unit.nbytes)
        if len(data) < unit.nbytes:
            raise TruncatedMedia(f"{self.request.name} ended {unit.nbytes - len(data)} bytes early", got=index)
        return fits_array(unit, data), self._meta(index)

    def _info(self) -> MediaInfo:
        pages = tuple(ImagePage(shape=unit.shape, dtype=str(unit.dtype)) for unit in self._units)
        return MediaInfo(uri=self.request.name, format="FITS", size=self.request.size, pages=pages, source="header")

    def _meta(self, index: int | None) -> dict[str, Any]:
        unit = self._units[index or 0]
        groups = {"FITS": dict(unit.cards)}
        if index is not None:
            return {**groups, "index": index}
        facts = {"format": "FITS", "shape": unit.shape, "nframes": len(self._units), "source": "bridge"}
        return {**groups, "FILE": facts}


class FitsWriter(Writer):
    """Writes FITS, each array as it is: the first in front, others as ``IMAGE`` extensions behind it."""

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        del meta
        with self.request.part().open("ab" if self._count else "wb") as file:
            file.writelines(encode_fits(image, first=not self._count))

    def _finish(self) -> None:
        """Nothing is left to do."""


class FitsFormat(Format):
    """Pictures and cubes of the sky, and other arrays."""

    name = "FITS"
    depths = "8, 16, 32, 64, float"
    metadata = True
    description = "Flexible Image Transport System"
    extensions = (".fits", ".fit", ".fts")
    modes = "iIvV"
    reader = FitsReader
    writer = FitsWriter

    def can_read(self, request: Request) -> bool:
        """Take content that says it is FITS."""
        return request.kind == "fits"
