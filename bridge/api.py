"""The functions that users call: thin verbs over Request, Format, Reader and Writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.core.array import Array, MemoryGuard
from bridge.errors import UnsupportedPixels
from bridge.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

    from bridge.core.format import Reader, Writer
    from bridge.media.info import MediaInfo

__all__ = ["get_reader", "get_writer", "imread", "imwrite", "mimread", "mimwrite", "probe"]


def get_reader(
    uri: Any, format: str | None = None, mode: str = "?", *, limits: Limits = DEFAULT, **kwargs: Any
) -> Reader:
    """Return a reader, which reads data and metadata from a file.

    Parameters
    ----------
    uri : str or path
        The file.
    format : str, optional
        A format's name or an extension. By default the content decides.
    mode : {"i", "I", "v", "V", "?"}
        What is expected: an image, multiple images, a volume, multiple volumes, anything.
    limits : Limits
        What the call may cost.
    **kwargs
        Keywords of the format's reader.

    Returns
    -------
    Reader
        A context manager, iterable, and a sequence.

    Raises
    ------
    UriNotFound, UriIsDirectory, ForbiddenUri, CorruptMedia, UnknownFormat, ToolMissing
        See `bridge.errors`.

    Examples
    --------
    >>> with get_reader("clip.mp4") as reader:          # doctest: +SKIP
    ...     for frame in reader:
    ...         print(frame.shape, frame.meta["time"])
    """
    # Imported here, as in get_writer, so that `import bridge` costs next to nothing beside numpy.
    from bridge.catalogue import reader_for
    from bridge.core.request import Request

    request = Request(uri, mode, kwargs=kwargs, limits=limits)
    try:
        return reader_for(request, format).get_reader(request)
    except BaseException:
        request.close()
        raise


def get_writer(
    uri: Any, format: str | None = None, mode: str = "?", *, limits: Limits = DEFAULT, **kwargs: Any
) -> Writer:
    """Return a writer, which writes data and metadata to a file.

    The file appears, whole, when the writer is closed; on any error there is none, and an older file of
    that name stays as it was.

    Parameters
    ----------
    uri : str or path
        The file.
    format : str, optional
        A format's name or an extension. By default the file's extension decides.
    mode : {"i", "I", "v", "V", "?"}
        What will be written.
    limits : Limits
        What the call may cost.
    **kwargs
        Keywords of the format's writer.

    Raises
    ------
    UriNotFound, UriIsDirectory, ForbiddenUri, UnknownFormat, MissingCodec, ToolMissing
        See `bridge.errors`.
    """
    from bridge.catalogue import writer_for
    from bridge.core.request import Request

    request = Request(uri, mode, writing=True, kwargs=kwargs, limits=limits)
    try:
        return writer_for(request, format).get_writer(request)
    except BaseException:
        request.close()
        raise


def imread(uri: Any, format: str | None = None, **kwargs: Any) -> Array:
    """Read an image: the picture, or the first frame of a film.

    Parameters
    ----------
    uri : str or path
        The file.
    format : str, optional
        A format's name or an extension. By default the content decides.
    **kwargs
        Keywords of the format's reader.

    Returns
    -------
    Array
        ``(height, width)`` or ``(height, width, channels)``, of the file's own dtype, with a dict of
        metadata in its attribute `meta`.

    Examples
    --------
    >>> imread("photo.jpg").shape                        # doctest: +SKIP
    (3024, 4032, 3)
    """
    with get_reader(uri, format, "i", **kwargs) as reader:
        image = reader.get_data(0)
        image.meta = {**reader.get_meta_data(), **image.meta}
        return image


def imwrite(uri: Any, im: np.ndarray[Any, Any], format: str | None = None, **kwargs: Any) -> None:
    """Write an image.

    Parameters
    ----------
    uri : str or path
        The file; its extension says the format.
    im : numpy.ndarray
        ``(height, width)`` or ``(height, width, channels)``. Its dtype decides the depth, never its values.
    format : str, optional
        A format's name or an extension.
    **kwargs
        Keywords of the format's writer.

    Raises
    ------
    UnsupportedPixels
        If the format cannot hold the array as it is; the message names formats that can.
    """
    with get_writer(uri, format, "i", **kwargs) as writer:
        writer.append_data(im)


def mimread(uri: Any, format: str | None = None, memtest: bool | int = True, **kwargs: Any) -> list[Array]:
    """Read multiple images.

    Parameters
    ----------
    uri : str or path
        The file.
    format : str, optional
        A format's name or an extension.
    memtest : bool or int
        Raise when the images take more than 256 MB, or than this many bytes; False never raises.
    **kwargs
        Keywords of the format's reader.

    Returns
    -------
    list of Array

    Raises
    ------
    LimitExceeded
        When the images take too much memory.
    """
    images = []
    with get_reader(uri, format, "I", **kwargs) as reader:
        most = reader.request.limits.images_memory if memtest is True else int(memtest) or None
        guard = MemoryGuard(most, "mimread()")
        for image in reader:
            guard.add(image)
            images.append(image)
    return images


def mimwrite(
    uri: Any,
    ims: Iterable[np.ndarray[Any, Any]] | Sequence[np.ndarray[Any, Any]],
    format: str | None = None,
    **kwargs: Any,
) -> None:
    """Write multiple images: a film, an animation or a stack.

    Parameters
    ----------
    uri : str or path
        The file; its extension says the format.
    ims : iterable of numpy.ndarray
        Each ``(height, width)`` or ``(height, width, channels)``.
    format : str, optional
        A format's name or an extension.
    **kwargs
        Keywords of the format's writer, e.g. ``fps``.
    """
    with get_writer(uri, format, "I", **kwargs) as writer:
        empty = True
        for im in ims:
            writer.append_data(im)
            empty = False
        if empty:
            message = f"{uri}: there is no image to write"
            raise UnsupportedPixels(message)


def probe(uri: Any, *, limits: Limits = DEFAULT) -> MediaInfo:
    """Tell what a file holds, without decoding it where that is possible.

    Parameters
    ----------
    uri : str or path
        The file.

    Returns
    -------
    MediaInfo
        Streams with codec, size, rate and colour; or pages with shape and dtype.

    Examples
    --------
    >>> probe("clip.mp4").video.fps                      # doctest: +SKIP
    Fraction(30000, 1001)
    """
    with get_reader(uri, limits=limits) as reader:
        described: MediaInfo = reader.info
        return described
