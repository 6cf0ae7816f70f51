"""NPY and NPZ through numpy. Object arrays are refused: they would have to be unpickled."""

from __future__ import annotations

import contextlib
import math
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bridge.core.format import Format, Reader, Writer
from bridge.errors import BridgeError, CorruptMedia, TruncatedMedia, UnsupportedPixels
from bridge.media.info import ImagePage, MediaInfo
from bridge.media.pixels import memory_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.core.archive import ArchiveLimits
    from bridge.core.request import Request
    from bridge.core.unpacking import Member
    from bridge.limits import Limits

__all__ = ["NpyFormat", "NpyReader", "NpyWriter", "NpzFormat", "NpzReader", "NpzWriter"]


_HEADER = 128  # bytes before the samples, of all but unusual arrays
_PIECE = 1 << 16
_BOMB, _ZEROS = 1000, 1032  # the ratio of what is called a bomb, and of an array of zeros, which deflates no further


class _Head(NamedTuple):
    """What the header of an NPY file promises."""

    shape: tuple[int, ...]
    fortran: bool
    dtype: np.dtype[Any]


def _read_head(file: Any, size: int, name: str) -> _Head:
    """Read the header of an NPY file of `size` bytes, and hold it against that size."""
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version, np.lib.format.read_array_header_2_0)
        head = _Head(*read_header(file))
        np.broadcast_to(np.empty((), head.dtype), head.shape)  # what numpy cannot hold, it says here
    except BridgeError:
        raise
    except Exception as error:  # what Python's parser and numpy raise for what a stranger has made up
        raise CorruptMedia(f"{name} has a damaged NPY header: {error}") from error
    if head.dtype.hasobject:
        raise UnsupportedPixels(f"{name} holds Python objects, which bridge never unpickles; save plain numbers")
    if not head.dtype.itemsize or head.dtype.subdtype:
        raise UnsupportedPixels(f"{name} holds an array of {head.dtype}, which are no numbers")
    if math.prod(head.shape) * head.dtype.itemsize > size - file.tell():
        raise TruncatedMedia(
            f"{name} promises an array {head.shape} of {head.dtype}, more than its {size} bytes hold", got=0
        )
    return head


def read_npy(file: Any, size: int, name: str) -> np.ndarray[Any, Any]:
    """Read one array from an open NPY file of `size` bytes; nothing is allocated that these do not hold.

    Raises
    ------
    CorruptMedia, TruncatedMedia, UnsupportedPixels
        The last for object arrays.
    """
    shape, fortran, dtype = _read_head(file, size, name)
    count = math.prod(shape)
    flat = np.empty(count, dtype)
    view = memory_of(flat.view(np.uint8)) if count else memoryview(b"")
    at = 0
    while at < len(view) and (taken := file.readinto(view[at:])):
        at += taken
    if at < len(view):
        raise TruncatedMedia(f"{name} ended {len(view) - at} bytes early", got=0)
    return flat.reshape(shape[::-1]).T if fortran else flat.reshape(shape)


class _ArraysReader(Reader):
    """What NPY and NPZ share: named arrays, read when asked for."""

    def _names(self) -> list[str]:
        raise NotImplementedError

    def _head(self, index: int) -> _Head:
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
        heads = [self._head(index) for index in range(len(self._names()))]
        pages = tuple(ImagePage(shape=head.shape, dtype=str(head.dtype)) for head in heads)
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

    def _head(self, index: int) -> _Head:
        del index
        with self._opened() as file:
            return _read_head(file, self.request.size, self.request.name)

    def _array(self, index: int) -> np.ndarray[Any, Any]:
        del index
        with self._opened() as file:
            return read_npy(file, self.request.size, self.request.name)

    @contextlib.contextmanager
    def _opened(self) -> Iterator[Any]:
        with self.request.input() as descriptor, os.fdopen(os.dup(descriptor), "rb") as file:
            yield file


class NpzReader(_ArraysReader):
    """Reads the arrays of an NPZ file, in the order in which they were stored."""

    def _open(self, **kwargs: Any) -> None:
        super()._open(**kwargs)
        from bridge.core.archive import Archive

        with self.request.input() as descriptor:
            self._descriptor = os.dup(descriptor)
        self._archive = Archive(self._descriptor, self.request.name, _rules(self.request.limits, self.request.size))
        self._members = [info for info in self._archive.infos if info.filename.endswith(".npy")]

    def _expected(self) -> int | None:
        return sum(max(0, info.file_size - _HEADER) for info in self._members)

    def _names(self) -> list[str]:
        return [info.filename.removesuffix(".npy") for info in self._members]

    def _head(self, index: int) -> _Head:
        with self._opened(index) as (member, name):
            return _read_head(member, member.size, name)

    def _array(self, index: int) -> np.ndarray[Any, Any]:
        with self._opened(index) as (member, name):
            array = read_npy(member, member.size, name)
            while member.read(_PIECE):  # at the end the checksum is looked at
                pass
            return array

    @contextlib.contextmanager
    def _opened(self, index: int) -> Iterator[tuple[Member, str]]:
        member = self._members[index].filename
        with self._archive.open(member) as opened:
            yield opened, f"{self.request.name}/{member}"

    def _close(self) -> None:
        descriptor = getattr(self, "_descriptor", None)  # `_open` may have failed before it came so far
        if descriptor is not None:
            os.close(descriptor)


def _rules(limits: Limits, size: int) -> ArchiveLimits:
    """Give what a member may cost: as anywhere, but stored ones may be as large as the file, as NPY may."""
    from bridge.core.archive import ArchiveLimits

    ratio = _ZEROS if _BOMB <= limits.archive_ratio < _ZEROS else limits.archive_ratio
    return ArchiveLimits(bytes=max(limits.content, size), ratio=ratio, entries=limits.archive_entries)


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
