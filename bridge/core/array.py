"""Array: a numpy array with a dict of metadata, and the memory guard of the calls that gather many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bridge.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Array", "MemoryGuard"]


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

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle with the metadata."""
        make, arguments, state = super().__reduce__()  # type: ignore[str-unpack]
        return make, arguments, (state, self.meta)

    def __setstate__(self, state: Any) -> None:
        """Unpickle with the metadata."""
        inner, self.meta = state
        super().__setstate__(inner)


class MemoryGuard:
    """Counts bytes and raises before they are too many.

    Parameters
    ----------
    most : int or None
        None guards nothing.
    call : str
        The function that the user called, for the message.
    """

    def __init__(self, most: int | None, call: str) -> None:
        self._most = most
        self._call = call
        self._bytes = 0

    def add(self, array: np.ndarray[Any, Any]) -> None:
        """Count one more array.

        Raises
        ------
        LimitExceeded
            When all together are over the limit.
        """
        self._bytes += array.nbytes
        if self._most is not None and self._bytes > self._most:
            message = (
                f"{self._call} has gathered {self._bytes / 1e6:.0f} MB, more than its limit of "
                f"{self._most / 1e6:.0f} MB: raise it with memtest=<bytes>, switch it off with memtest=False, "
                "or iterate over get_reader() instead, which keeps one image at a time"
            )
            raise LimitExceeded(message)
