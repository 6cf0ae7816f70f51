"""TIFF pictures and stacks through tifffile; compressions that it cannot undo go through ImageMagick."""

from __future__ import annotations

import contextlib
import math
import os
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.arrays.directories import Directories
from bridge.arrays.region import cut, decoded_pixels, is_planar, read_region
from bridge.arrays.strips import bound_strips
from bridge.core.format import Format, Reader, Writer
from bridge.core.intake import check_memory, check_size
from bridge.core.keywords import switch
from bridge.errors import BridgeError, CorruptMedia, MissingCodec, UnsupportedPixels
from bridge.media.carry import HELD, carried
from bridge.media.embed import Blocks, amend_tiff
from bridge.media.info import ImagePage, MediaInfo
from bridge.media.orientation import told_upright, upright
from bridge.media.portion import portion_of
from bridge.media.srgb import take_colorspace
from bridge.process.tools import install_hint, toolbox

if TYPE_CHECKING:
    from collections.abc import Iterator

    import tifffile

    from bridge.core.request import Request
    from bridge.media.portion import Box

__all__ = ["TiffFormat", "TiffReader", "TiffWriter"]

_CLASSIC = 3_900_000_000  # bytes of pixels that surely fit a classic TIFF

_DESCRIPTION = 0x10E


class TiffReader(Reader):
    """Reads TIFF. As an image or a volume the whole first series, as it is shaped; page by page otherwise.

    A stack of equal pages is one array ``(pages, height, width)`` to `imread` and `volread`, as tifffile and
    imageio give it, and that many pictures to `mimread` and to iteration.

    Parameters
    ----------
    crop : tuple of int
        ``(x, y, width, height)`` of the only part that is wanted, of every page; also called `region`. Only the tiles
        or strips that it touches are read and decoded. With `rotate`, it is that of the page as it comes out.
    rotate : bool
        Turn and mirror each page as the orientation of the first says, which the metadata then has as upright, and
        what it was in ``FILE``. By default pixels come as they are stored.
    size, colorspace
        Are for ImageMagick, which is given the TIFF then: its first page, or page by page, of 8 and 16 bits.
    """

    def _open(
        self,
        *,
        crop: Any = None,
        region: Any = None,
        size: Any = None,
        colorspace: Any = None,
        rotate: bool = False,
        **kwargs: Any,
    ) -> None:
        super()._open(**kwargs)
        if size is not None or take_colorspace(colorspace):
            raise MissingCodec(
                f"{self.request.name}: size= and colorspace= need ImageMagick ({install_hint('magick')}) and a picture "
                "of 8 or 16 bits"
            )
        self._wanted = {"crop": crop, "region": region}
        self._orientation = 0  # as it is stored
        import tifffile

        bound_strips(tifffile)
        Directories(self.request).check()
        with self.request.input() as descriptor:
            self._file = os.fdopen(os.dup(descriptor), "rb")
        with self._damage_told():
            self._tiff = tifffile.TiffFile(self._file, name=self.request.file_name or "content")
            self._whole = self.request.mode in "ivV"
            self._check()
        if switch("rotate", rotate):
            from bridge.media.metadata import orientation

            self._orientation = orientation(self._meta(None))
        self._limit(self._tiff.pages.first, 0)

    @contextlib.contextmanager
    def _damage_told(self) -> Iterator[None]:
        """Turn what tifffile raises, which is whatever the numbers of a stranger lead to, into our error."""
        try:
            yield
        except BridgeError:
            raise
        except Exception as error:
            raise CorruptMedia(f"{self.request.name} is a damaged TIFF: {error}") from error

    def _check(self) -> None:
        if not len(self._tiff.pages):
            message = f"{self.request.name} is a TIFF without a page"
            raise CorruptMedia(message)
        self._sides(self._tiff.pages.first.keyframe)
        self._pictures()

    def _sides(self, frame: Any) -> tuple[int, int, int]:
        """Give width, height and depth of a page, which a stranger may have made anything."""
        sides = (frame.imagewidth, frame.imagelength, frame.imagedepth)
        if not all(isinstance(side, int) and side > 0 for side in sides):
            raise CorruptMedia(f"{self.request.name} is a damaged TIFF: it has a page of {sides[0]}x{sides[1]} pixels")
        return sides

    def _limit(self, page: Any, wanted: int) -> None:
        """Hold a page, and the bytes that are `wanted` at once, before a part is cut out, against the limits."""
        limits, name = self.request.limits, self.request.name
        width, height, depth = self._sides(page.keyframe)
        pixels, box = width * height * depth, self._box(page)
        decoded = pixels if box is None else decoded_pixels(page, box)
        check_size(limits, name, width, height, what="a page", pixels=decoded)
        check_memory(limits, name, wanted * decoded // pixels, self.request.size)

    def _counted(self) -> int | None:
        return None if self._whole else len(self._tiff.pages)

    def _box(self, page: Any) -> Box | None:
        """Give the part of a page that is wanted; None for all of it."""
        frame = page.keyframe
        size = (frame.imagewidth, frame.imagelength)
        return portion_of(size, self.request.name, orientation=self._orientation or 1, **self._wanted).box

    def _length(self) -> float:
        with self._damage_told():
            return len(self._tiff.series) if self._whole else self._pictures()[1]

    def _pictures(self) -> tuple[tuple[int, ...], int]:
        """Give the shape of one picture of the first series, and how many there are in all."""
        series = self._tiff.series[0]
        if len(self._tiff.series) > 1:
            return (), len(self._tiff.pages)
        shape = tuple(int(side) for side in series.shape)
        page = tuple(int(side) for side in self._tiff.pages.first.shape)
        if shape[-len(page) :] != page:  # planes of one picture on pages of their own, or the like
            page = shape[-2:]
        return page, int(np.prod(shape[: -len(page)], dtype=np.int64))

    def _data(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        if index >= self._length():
            return None
        with self._damage_told():
            paged = not self._whole and len(self._tiff.pages) == self._pictures()[1]
            series = self._tiff.series[index if self._whole else 0]
            first = self._tiff.pages[index] if paged else series.keyframe
            whole = int(first.nbytes if paged else series.nbytes)
        box = self._box(first)
        self._limit(first, whole)
        found = self._decode(index, first, box)
        if self._orientation > 1:
            found = _turned(found, series.axes if self._whole else first.axes, self._orientation)
        return found, self._meta(index)

    def _decode(self, index: int, page: Any, box: Box | None) -> np.ndarray[Any, Any]:
        try:
            if self._whole:
                return _of_series(self._tiff.series[index], box)
            shape, count = self._pictures()
            if len(self._tiff.pages) == count:
                return np.asarray(page.asarray() if box is None else read_region(page, box))
            pictures: np.ndarray[Any, Any] = self._tiff.series[0].asarray().reshape(-1, *shape)
            picture = pictures[index]
            return picture if box is None else np.array(cut(picture, box, planar=is_planar(page)))
        except Exception as error:  # tifffile raises whatever a decoder raises
            if "imagecodecs" in str(error):
                raise MissingCodec(
                    f"{self.request.name}: samples of this type in this compression need the package imagecodecs "
                    "(pip install imagecodecs)"
                ) from error
            message = f"{self.request.name}: page {index} cannot be decoded: {error}"
            raise CorruptMedia(message) from error

    def _info(self) -> MediaInfo:
        with self._damage_told():
            shape, count = self._pictures()
            if self._whole or not shape:
                shown = self._tiff.series if self._whole else self._tiff.pages
                pages = tuple(ImagePage(shape=tuple(map(int, page.shape)), dtype=str(page.dtype)) for page in shown)
            else:
                pages = (ImagePage(shape=shape, dtype=str(self._tiff.series[0].dtype)),) * count
        return MediaInfo(uri=self.request.name, format="TIFF", size=self.request.size, pages=pages, source="tifffile")

    def _expected(self) -> int | None:
        with self._damage_told():
            whole = sum(int(series.nbytes) for series in self._tiff.series)
            first = self._tiff.pages.first.keyframe
        box = self._box(first)
        return whole if box is None else whole * box[2] * box[3] // (first.imagewidth * first.imagelength)

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is not None:
            return {"index": index}
        from bridge.media.metadata import read_groups

        groups = read_groups("tiff", self.request.read_at)
        with self._damage_told():
            series = self._tiff.series[0]
            return {
                **(told_upright(groups, self._orientation) if self._orientation else groups),
                "plugin": "tifffile",
                "format": "TIFF",
                "shape": tuple(series.shape),
                "axes": series.axes,
                "dtype": str(series.dtype),
                "pages": len(self._tiff.pages),
                "description": self._tiff.pages.first.description,
            }

    def _close(self) -> None:
        for name in ("_tiff", "_file"):  # `_open` may have failed before it came so far
            opened = getattr(self, name, None)
            if opened is not None:
                opened.close()


def _of_series(series: Any, box: Box | None) -> np.ndarray[Any, Any]:
    """Decode a series, or a part of each of its pages."""
    if box is None:
        return np.asarray(series.asarray())
    page = series.keyframe
    if None not in series.pages and series.shape == (*series.shape[: -page.ndim], *page.shape):
        parts = [read_region(one, box) for one in series.pages]
        stack = series.shape[: -page.ndim]
        if len(parts) == math.prod(stack):
            return np.stack(parts).reshape(*stack, *parts[0].shape)
    ends = {"X": slice(box[0], box[0] + box[2]), "Y": slice(box[1], box[1] + box[3])}
    return np.array(series.asarray()[tuple(ends.get(axis, slice(None)) for axis in series.axes)])


def _turned(image: np.ndarray[Any, Any], axes: str, orientation: int) -> np.ndarray[Any, Any]:
    """Turn all the pictures in an array, whose last axes are named by tifffile's letters."""
    named = axes[-image.ndim :].rjust(image.ndim, "Q")
    places = named.index("Y"), named.index("X")
    return np.moveaxis(upright(np.moveaxis(image, places, (0, 1)), orientation), (0, 1), places)


class TiffWriter(Writer):
    """Writes TIFF: each array that is appended becomes one page, or as many as it has planes.

    The metadata of the first one is written, too.

    Parameters
    ----------
    compression : str
        ``"deflate"`` (the default) or ``"none"``; both lose nothing.
    bigtiff : bool
        Whether the file may grow over 4 GiB; by default it may if the first array is nearly as large.
    """

    _held = HELD["tiff"]

    def _open(self, *, compression: str = "deflate", bigtiff: bool | None = None, **kwargs: Any) -> None:
        super()._open(**kwargs)
        self._big = bigtiff
        if compression not in ("deflate", "none"):
            message = f"compression is 'deflate' or 'none', not {compression!r}"
            raise ValueError(message)
        self._compression = None if compression == "none" else "zlib"
        self._tiff: tifffile.TiffWriter | None = None
        self._blocks = Blocks()
        self._first: dict[str, Any] = {}

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        groups = {name: meta[name] for name in HELD["tiff"] if name in meta}
        if image.ndim < 2:
            raise UnsupportedPixels(f"{self.request.name}: TIFF holds pictures, not an array of shape {image.shape}")
        if self._tiff is None:
            self._tiff = self._begun(image)
        try:
            self._write(self._tiff, image)
        except (struct.error, OverflowError) as error:
            raise UnsupportedPixels(
                f"{self.request.name}: a classic TIFF holds 4 GiB at most; give bigtiff=True"
            ) from error
        if not self._count:
            self._first = groups
            self._take(image, groups)
        elif groups not in ({}, self._first):
            self._tell(f"{name} of page {self._count}" for name in groups if groups[name] != self._first.get(name))

    def _take(self, image: np.ndarray[Any, Any], groups: dict[str, Any]) -> None:
        """Encode the metadata of the first page."""
        sampled, coloured = self._sampled(image)
        rows = image.shape[-3 if sampled else -2 :]
        size = (rows[1], rows[0]) if len(rows) > 1 else (1, 1)
        channels = image.shape[-1] if coloured else 1 if not sampled or image.shape[-1] <= 2 else 0
        self._blocks, changes = carried(groups, "tiff", channels=channels, size=size)
        self.changes += changes
        exif = self._blocks.exif
        if self.request.mode in "vV" and exif and exif.directories.get("IFD0", {}).pop(_DESCRIPTION, None):
            self.changes.append("EXIF ImageDescription was not written: that of a volume tells its shape")

    def _begun(self, image: np.ndarray[Any, Any]) -> tifffile.TiffWriter:
        import tifffile

        big = self._big if self._big is not None else image.nbytes > _CLASSIC
        return tifffile.TiffWriter(self.request.part(), bigtiff=big, byteorder="<")

    def _write(self, tiff: tifffile.TiffWriter, image: np.ndarray[Any, Any]) -> None:
        sampled, coloured = self._sampled(image)
        if sampled and image.shape[-1] == 1:  # tifffile has no such samples
            image, sampled = image[..., 0], False
        tiff.write(
            image,
            photometric="rgb" if coloured else "minisblack",
            planarconfig="contig" if sampled else None,
            compression=self._compression,
            contiguous=False,
            software=False,
            metadata={}
            if self.request.mode in "vV"
            else None,  # a volume's shape is written down, so that it is one series
        )

    def _sampled(self, image: np.ndarray[Any, Any]) -> tuple[bool, bool]:
        """Tell whether the last axis is samples, of up to four in a picture, and whether these are colours."""
        sampled = image.ndim == 4 if self.request.mode in "vV" else image.ndim >= 3 and image.shape[-1] <= 4
        return sampled, sampled and image.shape[-1] in (3, 4) and image.dtype.kind == "u"

    def _finish(self) -> None:
        if self._tiff is not None:
            self._tiff.close()
        if self._blocks:
            with self.request.output() as part:
                size = os.fstat(part).st_size
                for at, piece in amend_tiff(lambda at, count: os.pread(part, count, at), size, self._blocks):
                    os.pwrite(part, piece, at)

    def _abort(self) -> None:
        opened: tifffile.TiffWriter | None = getattr(self, "_tiff", None)
        if opened is not None:
            with contextlib.suppress(struct.error, OSError):  # the file is not wanted any more
                opened.close()


class TiffFormat(Format):
    """TIFF pictures and stacks of any depth, read and written in this process."""

    name = "TIFF"
    depths = "8, 16, 32, 64, float"
    alpha = True
    metadata = True
    description = "Tagged Image File Format"
    extensions = (".tif", ".tiff", ".stk", ".lsm")
    modes = "iIvV"
    reader = TiffReader
    writer = TiffWriter

    def can_read(self, request: Request) -> bool:
        """Take content that says it is TIFF and whose compression tifffile undoes without further packages."""
        if request.kind != "tiff":
            return False
        directories, pictures = Directories(request), request.mode in "iI?" and toolbox().get("magick") is not None
        asked = any(request.kwargs.get(name) is not None for name in ("size", "colorspace"))
        return directories.for_tifffile(other=pictures and (asked or directories.odd))
