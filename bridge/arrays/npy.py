"""NPY and NPZ through numpy. Object arrays are refused: they would have to be unpickled."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.core.format import Format, Reader, Writer
from bridge.errors import CorruptMedia, TruncatedMedia, UnsupportedPixels
from bridge.media.info import ImagePage, MediaInfo
from bridge.media.pixels import memory_of

if TYPE_CHECKING:
    from bridge.core.request import Request

__all__ = ["NpyFormat", "NpyReader", "NpyWriter", "NpzFormat", "NpzReader", "NpzWriter"]


_HEADER = 128  # bytes before the samples, of all but unusual arrays


def read_npy(file: Any, size: int, name: str) -> np.ndarray[Any, Any]:
    """Read one array from an open NPY file of `size` bytes.

    Raises
    ------
    CorruptMedia, TruncatedMedia, UnsupportedPixels
        The last for object arrays.
    """
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version, np.lib.format.read_array_header_2_0)
        shape, fortran, dtype = read_header(file)
    except (ValueError, EOFError, SyntaxError, TypeError) as error:
        message = f"{name} has a damaged NPY header: {error}"
        raise CorruptMedia(message) from error
    if dtype.hasobject:
        message = f"{name} holds Python objects, which bridge never unpickles; save plain numbers"
        raise UnsupportedPixels(message)
    count = math.prod(shape)
    if any(side < 0 for side in shape) or count * dtype.itemsize > size - file.tell():
        message = f"{name} promises an array {shape} of {dtype}, more than its {size} bytes hold"
        raise TruncatedMedia(message, got=0)
    flat = np.empty(count, dtype)
    view = memory_of(flat.view(np.uint8)) if count else memoryview(b"")
    at = 0
    while at < len(view) and (taken := file.readinto(view[at:])):
        at += taken
    if at < len(view):
        message = f"{name} ended {len(view) - at} bytes early"
        raise TruncatedMedia(message, got=0)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


class _ArraysReader(Reader):
    """What NPY and NPZ share: named arrays, read when asked for."""

    def _names(self) -> list[str]:
        raise NotImplementedError

    def _array(self, index: int) -> np.ndarray[Any, Any]:
        raise NotImplementedError

    def _length(self) -> float:
        return len(self._names())

    def _data(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        if index >= self._length():
            return None
        return self._array(index), self._meta(index)

    def _info(self) -> MediaInfo:
        arrays = [self._array(index) for index in range(len(self._names()))]
        pages = tuple(ImagePage(shape=array.shape, dtype=str(array.dtype)) for array in arrays)
        return MediaInfo(
            uri=self.request.name,
            format=self._format.name,
            size=self.request.size,
            pages=pages,
            source="numpy",
        )

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is None:
            return {"plugin": "numpy", "format": self._format.name, "names": self._names()}
        return {"index": index, "name": self._names()[index]}


class NpyReader(_ArraysReader):
    """Reads the one array of an NPY file."""

    def _expected(self) -> int | None:
        return max(0, self.request.size - _HEADER)

    def _names(self) -> list[str]:
        return ["array"]

    def _array(self, index: int) -> np.ndarray[Any, Any]:
        del index
        with self.request.input() as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
            return read_npy(file, self.request.size, self.request.name)


class NpzReader(_ArraysReader):
    """Reads the arrays of an NPZ file, in the order in which they were stored."""

    def _open(self, **kwargs: Any) -> None:
        super()._open(**kwargs)
        import zipfile

        self._descriptor = os.fdopen(self._own_descriptor(), "rb")
        try:
            self._zip = zipfile.ZipFile(self._descriptor)
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            message = f"{self.request.name} is a damaged NPZ file: {error}"
            raise CorruptMedia(message) from error
        self._members = [info for info in self._zip.infolist() if info.filename.endswith(".npy")]

    def _own_descriptor(self) -> int:
        with self.request.input() as descriptor:
            return os.dup(descriptor)

    def _expected(self) -> int | None:
        return sum(max(0, info.file_size - _HEADER) for info in self._members)

    def _names(self) -> list[str]:
        return [info.filename.removesuffix(".npy") for info in self._members]

    def _array(self, index: int) -> np.ndarray[Any, Any]:
        info = self._members[index]
        import zipfile
        import zlib

        try:
            with self._zip.open(info) as member:
                return read_npy(member, info.file_size, f"{self.request.name}/{info.filename}")
        except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError) as error:
            if isinstance(error, TruncatedMedia | CorruptMedia | UnsupportedPixels):
                raise
            message = f"{self.request.name}/{info.filename} is damaged: {error}"
            raise CorruptMedia(message) from error

    def _close(self) -> None:
        descriptor = getattr(self, "_descriptor", None)  # `_open` may have failed before it came so far
        if descriptor is not None:
            descriptor.close()


class NpyWriter(Writer):
    """Writes one array as it is."""

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        del meta
        if self._count:
            message = f"{self.request.name}: NPY holds one array; write .npz for several"
            raise UnsupportedPixels(message)
        with self.request.part().open("wb") as file:
            np.lib.format.write_array(file, image, allow_pickle=False)

    def _finish(self) -> None:
        """Nothing is left to do."""


class NpzWriter(Writer):
    """Writes arrays as they are, each when it comes.

    Parameters
    ----------
    compress : bool
        Whether to deflate them; True by default.
    """

    def _open(self, *, compress: bool = True, **kwargs: Any) -> None:
        super()._open(**kwargs)
        import zipfile

        method = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
        self._zip = zipfile.ZipFile(self.request.part(), "w", method)

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        del meta
        with self._zip.open(f"arr_{self._count}.npy", "w", force_zip64=True) as member:
            np.lib.format.write_array(member, image, allow_pickle=False)

    def _finish(self) -> None:
        self._zip.close()

    def _abort(self) -> None:
        archive = getattr(self, "_zip", None)
        if archive is not None:
            archive.close()


class NpyFormat(Format):
    """One numpy array, any shape and any dtype of numbers."""

    name = "NPY"
    depths = "any"
    description = "numpy array"
    extensions = (".npy",)
    modes = "iIvV"
    reader = NpyReader
    writer = NpyWriter

    def can_read(self, request: Request) -> bool:
        """Take content that says it is NPY."""
        return request.kind == "npy"


def _begins_with_array(head: bytes) -> bool:
    """Tell whether the first member of a zip is called ``*.npy``."""
    return head[30 : 30 + int.from_bytes(head[26:28], "little")].endswith(b".npy")


class NpzFormat(Format):
    """Several numpy arrays in one file."""

    name = "NPZ"
    depths = "any"
    description = "numpy arrays, compressed"
    extensions = (".npz",)
    modes = "iIvV"
    reader = NpzReader
    writer = NpzWriter

    def can_read(self, request: Request) -> bool:
        """Take zip files that are called ``.npz``, or have no name and begin with an array: any may hold anything."""
        named = request.extension == ".npz"
        return self.could_read(request) and (named or (not request.extension and _begins_with_array(request.head)))

    def could_read(self, request: Request) -> bool:
        """Take any zip file: the user has named us."""
        return request.kind == "zip"
