"""Array: a numpy array with a dict of metadata, and the guards of the calls that gather or give many."""

from __future__ import annotations

import copy
import math
import re
from typing import TYPE_CHECKING, Any, Self, SupportsIndex

import numpy as np

from bridge.errors import LimitExceeded, UnsupportedPixels

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Array", "Batch", "MemoryGuard", "as_array", "check_volume", "nbytes"]


class Array(np.ndarray[Any, Any]):
    """A `numpy.ndarray` whose attribute `meta` is a dict of metadata.

    Views, slices, copies and pickles keep the metadata. Results of arithmetic keep it too, as imageio's do;
    reductions to one number give a plain numpy scalar.

    Examples
    --------
    >>> import numpy as np
    >>> picture = Array(np.zeros((2, 3), np.uint8), {"index": 0})
    >>> picture[:1].meta["index"]
    0
    """

    meta: dict[str, Any]
    is_picture = True  # of a kind that holds something else in its memory, False

    def __new__(cls, array: np.ndarray[Any, Any], meta: Mapping[str, Any] | None = None) -> Self:
        """View `array` with `meta`; no pixel is copied."""
        view = np.asarray(array).view(cls)
        view.meta = dict(meta or {})
        return view

    def __array_finalize__(self, source: object) -> None:
        """Hand the metadata on to views and results. Called by numpy."""
        self.meta = dict(getattr(source, "meta", {}))

    def __array_wrap__(self, array: Any, context: Any = None, return_scalar: bool = False) -> Any:
        """Give reductions to one number as numpy scalars. Called by numpy."""
        if not array.shape:
            return array[()]
        return super().__array_wrap__(array, context, return_scalar)

    def __deepcopy__(self, memo: dict[int, Any] | None) -> Any:
        """Copy the metadata as deeply as the pixels."""
        copied: Any = super().__deepcopy__(memo)
        copied.meta = copy.deepcopy(self.meta, memo)
        return copied

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the metadata."""
        make, arguments, state = super().__reduce__()  # type: ignore[str-unpack] # ndarray's is a tuple
        return make, arguments, (state, self.meta)

    def __setstate__(self, state: Any) -> None:
        """Unpickle with the metadata."""
        inner, self.meta = state
        super().__setstate__(inner)


def as_array(image: np.ndarray[Any, Any], meta: Mapping[str, Any]) -> Array:
    """Give an image its metadata; one of a kind of its own stays of that kind."""
    if not isinstance(image, Array):
        return Array(image, meta)
    image.meta = dict(meta)
    return image


class Batch(Array):
    """Several images in one array; the first axis counts them.

    Its `meta` has a list for each name; ``batch[k]`` is an `Array` with the metadata of that image.

    Examples
    --------
    >>> import numpy as np
    >>> both = Batch(np.zeros((2, 4, 4), np.uint8), [{"index": 7}, {"index": 3}])
    >>> both.meta, both[1].meta
    ({'index': [7, 3]}, {'index': 3})
    """

    def __new__(cls, array: np.ndarray[Any, Any], metas: Sequence[Mapping[str, Any]]) -> Self:
        """View `array` with the metadata of each of its images."""
        names = dict.fromkeys(name for meta in metas for name in meta)
        return super().__new__(cls, array, {name: [meta.get(name) for meta in metas] for name in names})

    def __array_finalize__(self, source: object) -> None:
        """Only what has as many images as its source, along the first axis, keeps their metadata. Called by numpy."""
        super().__array_finalize__(source)
        if isinstance(source, np.ndarray) and _steps(self) != _steps(source):
            self.meta = {}

    def __getitem__(self, at: Any) -> Any:
        """Give one image with its own metadata, some of them with theirs, or what numpy gives, without any."""
        found = super().__getitem__(at)
        one = isinstance(at, SupportsIndex) and not isinstance(at, bool | np.bool_ | np.ndarray)
        if isinstance(found, Array) and (one or isinstance(at, slice)):
            lists = {name: each for name, each in self.meta.items() if isinstance(each, list)}
            found.meta = {name: each[at] for name, each in lists.items() if len(each) == len(self)}
        elif isinstance(found, Array):
            found.meta = {}
        return found if isinstance(at, slice) or not isinstance(found, Batch) else Array(found, found.meta)


def _steps(array: np.ndarray[Any, Any]) -> tuple[int, ...]:
    """Tell how many images there are, and how many samples apart."""
    return (len(array), array.strides[0] // array.itemsize) if array.ndim and array.itemsize else ()


_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_UNITS |= {f"{unit}i": 1024**power for power, unit in enumerate("kmgt", 1)}
_SIZE = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?)b?\s*", re.IGNORECASE)


def nbytes(size: bool | float | str) -> int | None:
    """Read a number of bytes: a number, or ``"200 MB"`` (decimal), ``"1GiB"`` (binary); False gives None.

    Raises
    ------
    ValueError
        If it is none of these.

    Examples
    --------
    >>> nbytes("1GiB")
    1073741824
    """
    if size is False or size is None:
        return None
    if isinstance(size, str):
        match = _SIZE.fullmatch(size)
        if match is None or match[2].lower() not in _UNITS:
            raise ValueError(f"{size!r} is no number of bytes; write it like '200 MB' or '1GiB'")
        return int(float(match[1]) * _UNITS[match[2].lower()])
    if not 0 <= size < math.inf:
        raise ValueError(f"{size!r} is no number of bytes")
    return int(size)


class MemoryGuard:
    """Counts bytes and raises before they are too many.

    Parameters
    ----------
    most : int or None
        None guards nothing.
    name : str
        What is read, for the message.
    """

    def __init__(self, most: int | None, name: str) -> None:
        self.most = most
        self._name = name
        self._bytes = 0

    def expect(self, size: int | None) -> None:
        """Check what is expected in all, before anything is decoded; None is not known.

        Raises
        ------
        LimitExceeded
            When that is over the limit.
        """
        if size is not None:
            self._check(size, "would take")

    def add(self, array: np.ndarray[Any, Any]) -> None:
        """Count one more array.

        Raises
        ------
        LimitExceeded
            When all together are over the limit.
        """
        self._bytes += array.nbytes
        self._check(self._bytes, "has taken")

    def _check(self, size: int, what: str) -> None:
        if self.most is not None and size > self.most:
            raise LimitExceeded(
                f"{self._name}: reading all at once {what} {size / 1e6:.1f} MB, more than the limit of "
                f"{self.most / 1e6:.1f} MB: raise it with memtest='{math.ceil(size / 1e6)} MB', switch it off with "
                "memtest=False, or iterate over get_reader(), which keeps one at a time"
            )


def check_volume(array: Any, name: str) -> None:
    """Refuse an array that is no volume.

    Raises
    ------
    UnsupportedPixels
        If it has neither three nor four axes.
    """
    if np.ndim(array) not in (3, 4):
        raise UnsupportedPixels(f"{name}: a volume is N x M x L or N x M x L x K, this array is {np.shape(array)}")
