"""The calls that users of imageio's third version look for, in terms of the second's."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bridge.api import get_reader, get_writer
from bridge.errors import UriError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.core.array import Array
    from bridge.core.format import Reader, Writer

__all__ = ["ImageProperties", "Opened", "imiter", "immeta", "imopen", "improps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageProperties:
    """What a resource holds, without its pixels.

    Attributes
    ----------
    shape : tuple of int
        Of one image, or, of all together, with their number in front.
    dtype : numpy.dtype
        Of the samples.
    n_images : int or None
        How many images there are, where all are meant; inf is given as None.
    is_batch : bool
        Whether `shape` counts the images in front.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    n_images: int | None = None
    is_batch: bool = False


def imiter(uri: Any, format: str | None = None, **kwargs: Any) -> Iterator[Array]:
    """Iterate over the images of a resource, one at a time in memory.

    Parameters
    ----------
    uri, format, **kwargs
        As for `bridge.imread`.

    Yields
    ------
    Array
    """
    with get_reader(uri, format, "?", **kwargs) as reader:
        yield from reader


def improps(uri: Any, index: int | None = None, format: str | None = None, **kwargs: Any) -> ImageProperties:
    """Tell shape, dtype and number of the images.

    Parameters
    ----------
    uri, format, **kwargs
        As for `bridge.imread`.
    index : int, optional
        The image that is meant; all of them by default.
    """
    with imopen(uri, "r", format=format, **kwargs) as opened:
        return opened.properties(index)


def immeta(uri: Any, index: int | None = None, format: str | None = None, **kwargs: Any) -> dict[str, Any]:
    """Read the metadata of one image, or of the resource.

    Parameters
    ----------
    uri, format, **kwargs
        As for `bridge.imread`.
    index : int, optional
        The image that is meant; the resource by default.
    """
    with get_reader(uri, format, "?", **kwargs) as reader:
        return reader.get_meta_data(index)


def imopen(uri: Any, io_mode: str, *, format: str | None = None, **kwargs: Any) -> Opened:
    """Open a resource for reading (``"r"``) or writing (``"w"``).

    Parameters
    ----------
    uri, format, **kwargs
        As for `bridge.get_reader` and `bridge.get_writer`.
    io_mode : {"r", "w"}
        What for.

    Returns
    -------
    Opened
        A context manager.
    """
    if io_mode not in ("r", "w"):
        raise UriError(f"io_mode is 'r' or 'w', not {io_mode!r}")
    return Opened(get_reader(uri, format, "?", **kwargs) if io_mode == "r" else get_writer(uri, format, "?", **kwargs))


class Opened:
    """An open resource with the third version's methods. Obtained by `imopen`."""

    def __init__(self, stream: Reader | Writer) -> None:
        self._stream: Any = stream
        self._stack = contextlib.ExitStack()
        self._stack.enter_context(stream)

    def __enter__(self) -> Self:
        """Give it itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close; after an exception nothing is written."""
        self._stack.__exit__(*exception)  # type: ignore[arg-type] # whatever `with` gives

    def close(self) -> None:
        """Close. Has no effect if it is closed already."""
        self._stack.close()

    def read(self, index: int | None = None) -> Any:
        """Read image `index`; without one, the image, or all images of a series stacked."""
        if index is not None:
            return self._stream.get_data(index)
        images = list(self._stream.iter_data())
        return images[0] if len(images) == 1 else np.stack(images)

    def iter(self) -> Iterator[Array]:
        """Iterate over the images."""
        images: Iterator[Array] = self._stream.iter_data()
        return images

    def properties(self, index: int | None = None) -> ImageProperties:
        """Tell shape, dtype and number of the images."""
        image = self._stream.get_data(index or 0)
        if index is not None:
            return ImageProperties(shape=image.shape, dtype=image.dtype)
        length = self._stream.get_length()
        if length == 1:
            return ImageProperties(shape=image.shape, dtype=image.dtype, n_images=1)
        number = int(length) if length != float("inf") else None
        shape = (number or -1, *image.shape)
        return ImageProperties(shape=shape, dtype=image.dtype, n_images=number, is_batch=True)

    def metadata(self, index: int | None = None) -> dict[str, Any]:
        """Read the metadata of one image, or of the resource."""
        meta: dict[str, Any] = self._stream.get_meta_data(index)
        return meta

    def write(self, ndimage: Any, **kwargs: Any) -> bytes | None:
        """Write one image, or each of a list of images; give the content when it is for ``"<bytes>"``."""
        for image in ndimage if isinstance(ndimage, list | tuple) else [ndimage]:
            self._stream.append_data(image, **kwargs)
        if str(self._stream.request.uri) != "<bytes>":
            return None
        self._stream.close()
        content: bytes | None = self._stream.request.get_result()
        return content
