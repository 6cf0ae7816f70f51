"""TIFF pictures and stacks through tifffile; compressions that it cannot undo go through ImageMagick."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from bridge.core.format import Format, Reader, Writer
from bridge.errors import CorruptMedia, LimitExceeded, TruncatedMedia
from bridge.media.info import ImagePage, MediaInfo

if TYPE_CHECKING:
    import tifffile

    from bridge.core.request import Request

__all__ = ["TiffFormat", "TiffReader", "TiffWriter"]

# What tifffile undoes with what Python carries: none, deflate (two numbers), LZMA, PackBits.
_IN_PROCESS = frozenset({1, 8, 32946, 34925, 32773})


class TiffReader(Reader):
    """Reads TIFF. As an image or a volume the whole first series, as it is shaped; page by page otherwise.

    A stack of equal pages is one array ``(pages, height, width)`` to `imread` and `volread`, as tifffile and
    imageio give it, and that many pictures to `mimread` and to iteration.
    """

    def _open(self, **kwargs: Any) -> None:
        super()._open(**kwargs)
        import tifffile

        _Directories(self.request).check()
        with self.request.input() as descriptor:
            self._file = os.fdopen(os.dup(descriptor), "rb")
        try:
            self._tiff = tifffile.TiffFile(self._file, name=self.request.path.name)
            self._whole = self.request.mode in "ivV"
            self._check()
        except (tifffile.TiffFileError, ValueError, KeyError, IndexError, TypeError, OSError) as error:
            message = f"{self.request.name} is a damaged TIFF: {error}"
            raise CorruptMedia(message) from error

    def _check(self) -> None:
        pages = self._tiff.pages
        if not len(pages):
            message = f"{self.request.name} is a TIFF without a page"
            raise CorruptMedia(message)
        pixels = int(np.prod(pages.first.shape[:2], dtype=np.int64))
        most = self.request.limits.pixels
        if pixels > most:
            message = f"{self.request.name} has {pixels} pixels in a page, more than the limit pixels={most} allows"
            raise LimitExceeded(message)

    def _length(self) -> float:
        return len(self._tiff.series) if self._whole else self._pictures()[1]

    def _pictures(self) -> tuple[tuple[int, ...], int]:
        """Give the shape of one picture of the first series, and how many there are in all."""
        series = self._tiff.series[0]
        if len(self._tiff.series) > 1:
            return (), len(self._tiff.pages)
        picture = 3 if series.axes.endswith(("YXS", "SYX", "CYX")) and series.shape[-1] in (3, 4) else 2
        if series.axes.endswith("SYX"):
            picture = 3
        shape = tuple(int(side) for side in series.shape)
        return shape[-picture:], int(np.prod(shape[:-picture], dtype=np.int64))

    def _data(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        if index >= self._length():
            return None
        return self._decode(index), self._meta(index)

    def _decode(self, index: int) -> np.ndarray[Any, Any]:
        try:
            if self._whole:
                return np.asarray(self._tiff.series[index].asarray())
            shape, count = self._pictures()
            if len(self._tiff.pages) == count:
                return np.asarray(self._tiff.pages[index].asarray())
            pictures: np.ndarray[Any, Any] = self._tiff.series[0].asarray().reshape(-1, *shape)
            return np.asarray(pictures[index])
        except Exception as error:  # tifffile raises whatever a decoder raises
            message = f"{self.request.name}: page {index} cannot be decoded: {error}"
            raise CorruptMedia(message) from error

    def _info(self) -> MediaInfo:
        shape, count = self._pictures()
        if self._whole or not shape:
            shown = self._tiff.series if self._whole else self._tiff.pages
            pages = tuple(ImagePage(shape=tuple(map(int, page.shape)), dtype=str(page.dtype)) for page in shown)
        else:
            pages = (ImagePage(shape=shape, dtype=str(self._tiff.series[0].dtype)),) * count
        return MediaInfo(uri=self.request.name, format="TIFF", size=self.request.size, pages=pages, source="tifffile")

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is not None:
            return {"index": index}
        series = self._tiff.series[0]
        return {
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


class TiffWriter(Writer):
    """Writes TIFF: each array that is appended becomes one page, or as many as it has planes.

    Parameters
    ----------
    compression : str
        ``"deflate"`` (the default) or ``"none"``; both lose nothing.
    """

    def _open(self, *, compression: str = "deflate", **kwargs: Any) -> None:
        super()._open(**kwargs)
        import tifffile

        if compression not in ("deflate", "none"):
            message = f"compression is 'deflate' or 'none', not {compression!r}"
            raise ValueError(message)
        self._compression = None if compression == "none" else "zlib"
        self._tiff = tifffile.TiffWriter(self.request.part(), bigtiff=False)

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        del meta
        rgb = image.ndim >= 3 and image.shape[-1] in (3, 4) and image.dtype.kind == "u"
        self._tiff.write(
            image,
            photometric="rgb" if rgb else "minisblack",
            compression=self._compression,
            contiguous=False,
            metadata=None,
        )

    def _finish(self) -> None:
        self._tiff.close()

    def _abort(self) -> None:
        opened: tifffile.TiffWriter | None = getattr(self, "_tiff", None)
        if opened is not None:
            opened.close()


class TiffFormat(Format):
    """TIFF pictures and stacks of any depth, read and written in this process."""

    name = "TIFF"
    description = "Tagged Image File Format"
    extensions = (".tif", ".tiff", ".stk", ".lsm")
    modes = "iIvV"
    reader = TiffReader
    writer = TiffWriter

    def can_read(self, request: Request) -> bool:
        """Take content that says it is TIFF and whose compression tifffile undoes without further packages."""
        return request.kind == "tiff" and _Directories(request).compression() in _IN_PROCESS


class _Directories:
    """The chain of a TIFF's directories, read from the file itself: one a page."""

    COMPRESSION = 259
    MOST = 100_000

    def __init__(self, request: Request) -> None:
        self._request = request
        head = request.head
        self._order: Literal["little", "big"] = "little" if head[:2] == b"II" else "big"
        self._big = self._number(head[2:4]) == 43
        self._offset = 8 if self._big else 4  # bytes of an offset

    def _number(self, raw: bytes) -> int:
        return int.from_bytes(raw, self._order)

    def _at(self, at: int, count: int) -> bytes:
        raw = self._request.read_at(at, count)
        if len(raw) < count:
            message = f"{self._request.name} ends before its page directory at byte {at}"
            raise TruncatedMedia(message, got=0)
        return raw

    def _table(self, at: int) -> tuple[bytes, int]:
        """Read a directory's entries and the offset of the next directory."""
        width, entry = (8, 20) if self._big else (2, 12)
        count = self._number(self._at(at, width))
        raw = self._at(at + width, count * entry + self._offset)
        return raw[: -self._offset], self._number(raw[-self._offset :])

    def compression(self) -> int:
        """Tell the compression of the first page; 1, none, where it is not said."""
        entry = 20 if self._big else 12
        value = 12 if self._big else 8
        table, _ = self._table(self._number(self._request.read_at(self._offset, self._offset)))
        for start in range(0, len(table), entry):
            if self._number(table[start : start + 2]) == self.COMPRESSION:
                return self._number(table[start + value : start + value + 2])
        return 1

    def check(self) -> None:
        """Follow the chain to its end; a reader that just stops where the file does would lose pages in silence."""
        at, seen = self._number(self._request.read_at(self._offset, self._offset)), set[int]()
        while at:
            if at in seen or len(seen) >= self.MOST:
                message = f"{self._request.name} is a damaged TIFF: its page directories have no end"
                raise CorruptMedia(message)
            seen.add(at)
            _, at = self._table(at)
