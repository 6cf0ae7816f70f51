"""The functions that users call: thin verbs over Request, Format, Reader and Writer."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bridge.core.array import Array, MemoryGuard, check_volume, nbytes
from bridge.errors import UnsupportedPixels
from bridge.limits import Limits, in_force, of_call
from bridge.turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import numpy as np

    from bridge.capture.devices import CaptureDevice
    from bridge.core.format import Reader, Writer
    from bridge.core.request import Request
    from bridge.media.info import MediaInfo

__all__ = [
    "devices",
    "get_reader",
    "get_writer",
    "help",
    "imread",
    "imwrite",
    "mimread",
    "mimwrite",
    "mvolread",
    "mvolwrite",
    "probe",
    "show_formats",
    "status",
    "volread",
    "volwrite",
]


def get_reader(
    uri: Any,
    format: str | None = None,
    mode: str = "?",
    *,
    limits: Limits | None = None,
    trust: str | None = None,
    **kwargs: Any,
) -> Reader:
    """Return a reader, which reads data and metadata from a file.

    Parameters
    ----------
    uri : str, path, bytes or file object
        The resource: a file name, a member of a zip file, an address, a file object, or the content itself.
    format : str, optional
        A format's name or an extension. By default the content decides.
    mode : {"i", "I", "v", "V", "?"}
        What is expected: an image, multiple images, a volume, multiple volumes, anything.
    limits : Limits, optional
        What the call may cost, and whom it trusts; by default what `configure` set.
    trust : {"trusted", "normal", "untrusted"}, optional
        Short for ``limits=Limits(trust=...)``.
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
    return _reader(_request(uri, format, mode, of_call(limits, trust), kwargs), format)


def _request(uri: Any, format: str | None, mode: str, limits: Limits, kwargs: dict[str, Any]) -> Request:
    """Open what is to be read; an address is downloaded here."""
    # Imported here, as in get_writer, so that `import bridge` costs next to nothing beside numpy.
    from bridge.core.request import Request
    from bridge.core.uri import Series, sequence

    if format is not None and format.lower() == "sequence" and not isinstance(uri, Series):
        uri = sequence(uri)
    return Request(uri, mode, kwargs=kwargs, limits=limits)


def _reader(request: Request, format: str | None) -> Reader:
    from bridge.catalogue import reader_for

    try:
        return reader_for(request, format).get_reader(request)
    except BaseException:
        request.close()
        raise


@contextmanager
def _read_in_turn(uri: Any, format: str | None, mode: str, kwargs: dict[str, Any]) -> Iterator[Reader]:
    """Open a reader for one call, and end its children before the next one's turn comes."""
    limits = of_call(kwargs.pop("limits", None), kwargs.pop("trust", None))
    request = _request(uri, format, mode, limits, kwargs)
    with request, turn(limits), _reader(request, format) as reader:
        yield reader


def get_writer(
    uri: Any,
    format: str | None = None,
    mode: str = "?",
    *,
    limits: Limits | None = None,
    trust: str | None = None,
    **kwargs: Any,
) -> Writer:
    """Return a writer, which writes data and metadata to a file.

    The file appears, whole, when the writer is closed; on any error there is none, and an older file of
    that name stays as it was.

    Parameters
    ----------
    uri : str, path or file object
        The resource; ``"<bytes>"`` keeps the content for ``writer.request.get_result()``.
    format : str, optional
        A format's name or an extension. By default the file's extension decides.
    mode : {"i", "I", "v", "V", "?"}
        What will be written.
    limits : Limits, optional
        What the call may cost, and whom it trusts; by default what `configure` set.
    trust : {"trusted", "normal", "untrusted"}, optional
        Short for ``limits=Limits(trust=...)``.
    **kwargs
        Keywords of the format's writer.

    Raises
    ------
    UriNotFound, UriIsDirectory, ForbiddenUri, UnknownFormat, MissingCodec, ToolMissing
        See `bridge.errors`.
    """
    from bridge.catalogue import writer_for
    from bridge.core.request import Request

    request = Request(uri, mode, writing=True, kwargs=kwargs, limits=of_call(limits, trust))
    try:
        return writer_for(request, format).get_writer(request)
    except BaseException:
        request.close()
        raise


def imread(uri: Any, format: str | None = None, **kwargs: Any) -> Array:
    """Read an image: the picture, or the first frame of a film.

    Parameters
    ----------
    uri : str, path, bytes or file object
        The resource: a file name, a member of a zip file, an address, a file object, or the content itself.
    format : str, optional
        A format's name or an extension. By default the content decides.
    **kwargs
        Keywords of the format's reader; see `help`.

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
    return _read_first(uri, format, "i", kwargs)


def volread(uri: Any, format: str | None = None, **kwargs: Any) -> Array:
    """Read a volume.

    Parameters
    ----------
    uri, format, **kwargs
        As for `imread`.

    Returns
    -------
    Array
        ``N x M x L``, or ``N x M x L x K`` if each voxel is a tuple, with metadata in its attribute `meta`.
    """
    return _read_first(uri, format, "v", kwargs)


def _read_first(uri: Any, format: str | None, mode: str, kwargs: dict[str, Any]) -> Array:
    with _read_in_turn(uri, format, mode, kwargs) as reader:
        image = reader.get_data(0)
        image.meta = {**reader.get_meta_data(), **image.meta}
        return image


def mimread(uri: Any, format: str | None = None, memtest: bool | float | str = True, **kwargs: Any) -> list[Array]:
    """Read multiple images.

    Parameters
    ----------
    uri, format, **kwargs
        As for `imread`.
    memtest : bool, number or str
        Raise when the images take more than 256 MB, or than this many bytes (``"1GiB"``, ``"200 MB"``). Where
        their size is known beforehand, nothing is decoded. False never raises.

    Returns
    -------
    list of Array
        Each with metadata in its attribute `meta`.

    Raises
    ------
    LimitExceeded
        When the images take too much memory.
    """
    return _read_all(uri, format, "I", memtest, kwargs)


def mvolread(uri: Any, format: str | None = None, memtest: bool | float | str = True, **kwargs: Any) -> list[Array]:
    """Read multiple volumes.

    Parameters
    ----------
    uri, format, **kwargs
        As for `imread`.
    memtest : bool, number or str
        As for `mimread`, with 1 GB.

    Returns
    -------
    list of Array
    """
    return _read_all(uri, format, "V", memtest, kwargs)


def _read_all(
    uri: Any, format: str | None, mode: str, memtest: bool | float | str, kwargs: dict[str, Any]
) -> list[Array]:
    images: list[Array] = []
    with _read_in_turn(uri, format, mode, kwargs) as reader:
        limits = reader.request.limits
        default = limits.images_memory if mode == "I" else limits.volumes_memory
        guard = MemoryGuard(default if memtest is True else nbytes(memtest), reader.request.name)
        reader.check_gathered()
        if guard.most is not None:
            guard.expect(reader.expected_bytes())
        for image in reader:
            reader.check_gathered(len(images) + 1)
            guard.add(image)
            images.append(image)
    return images


def imwrite(uri: Any, im: np.ndarray[Any, Any], format: str | None = None, **kwargs: Any) -> bytes | None:
    """Write an image.

    Parameters
    ----------
    uri : str, path or file object
        The resource; its extension says the format. ``"<bytes>"`` returns the content instead.
    im : numpy.ndarray
        ``(height, width)`` or ``(height, width, channels)``. Its dtype decides the depth, never its values.
    format : str, optional
        A format's name or an extension.
    **kwargs
        Keywords of the format's writer; see `help`. With all formats, ``meta``: metadata in groups, which updates
        that in the attribute `meta` of the image. JPEG, PNG, WebP and TIFF hold EXIF, GPS, XMP and ICC, some of them
        IPTC and comments; what of them could not be written is told by the `changes` of a `get_writer`.

    Returns
    -------
    bytes or None
        The content, for ``"<bytes>"``.

    Raises
    ------
    UnsupportedPixels
        If the format cannot hold the array as it is; the message names formats that can.

    Examples
    --------
    >>> im = imread("photo.jpg")                         # doctest: +SKIP
    >>> imwrite("photo.png", im[:100])                   # with its EXIF, its profile, ... # doctest: +SKIP
    >>> imwrite("mine.jpg", im, meta={"EXIF": {**im.meta["EXIF"], "Artist": "Ada"}})  # doctest: +SKIP
    """
    return _write_all(uri, [im], format, "i", kwargs)


def mimwrite(uri: Any, ims: Iterable[np.ndarray[Any, Any]], format: str | None = None, **kwargs: Any) -> bytes | None:
    """Write multiple images: a film, an animation or a stack.

    Parameters
    ----------
    uri, format, **kwargs
        As for `imwrite`; the keywords are the format's, e.g. ``fps``.
    ims : iterable of numpy.ndarray
        Each ``(height, width)`` or ``(height, width, channels)``.

    Returns
    -------
    bytes or None
        The content, for ``"<bytes>"``.
    """
    return _write_all(uri, ims, format, "I", kwargs)


def volwrite(uri: Any, vol: np.ndarray[Any, Any], format: str | None = None, **kwargs: Any) -> bytes | None:
    """Write a volume.

    Parameters
    ----------
    uri, format, **kwargs
        As for `imwrite`.
    vol : numpy.ndarray
        ``N x M x L``, or ``N x M x L x K`` if each voxel is a tuple.

    Returns
    -------
    bytes or None
        The content, for ``"<bytes>"``.
    """
    return _write_all(uri, [vol], format, "v", kwargs)


def mvolwrite(uri: Any, vols: Iterable[np.ndarray[Any, Any]], format: str | None = None, **kwargs: Any) -> bytes | None:
    """Write multiple volumes.

    Parameters
    ----------
    uri, format, **kwargs
        As for `imwrite`.
    vols : iterable of numpy.ndarray
        Each ``N x M x L`` or ``N x M x L x K``.

    Returns
    -------
    bytes or None
        The content, for ``"<bytes>"``.
    """
    return _write_all(uri, vols, format, "V", kwargs)


def _write_all(
    uri: Any, arrays: Iterable[np.ndarray[Any, Any]], format: str | None, mode: str, kwargs: dict[str, Any]
) -> bytes | None:
    meta = kwargs.pop("meta", None)
    with get_writer(uri, format, mode, **kwargs) as writer:
        empty = True
        for array in arrays:
            if mode in "vV":
                check_volume(array, writer.request.name)
            writer.append_data(array, meta)
            empty = False
        if empty:
            raise UnsupportedPixels(f"{writer.request.name}: there is nothing to write")
    return writer.request.get_result()


def help(name: str | None = None) -> None:
    """Print the documentation of a format, or a list of the formats.

    Parameters
    ----------
    name : str, optional
        The name of a format, a file name extension, or a full file name.
    """
    from bridge.catalogue import describe, formats

    if name is None:
        print("\n".join(f"{format.name} - {format.description} [{' '.join(format.extensions)}]" for format in formats))
    else:
        print(describe(name))


def show_formats() -> None:
    """Print a table of the formats: what this machine reads and writes, by which program, and what is missing."""
    from bridge.catalogue import table

    print(table())


def status() -> dict[str, Any]:
    """Tell what this process works with: programs, limits, how children are boxed, what is alive.

    Returns
    -------
    dict
        ``programs`` (name -> path, version, where it was found, or None), ``limits`` (those in force, by name),
        ``sandbox`` (``state`` in words, ``landlock`` its version, ``seccomp``, ``spawner`` the process id of the
        process that starts children, if it runs), ``policy`` (``refuses_postscript``: whether ImageMagick, asked just
        now, refuses what our policy forbids; None without ImageMagick or when trusted), ``children`` (how many are
        not put away yet) and ``temporary_bytes`` (in their private folders).

    Examples
    --------
    >>> status()["limits"]["trust"]
    'normal'
    """
    from dataclasses import asdict

    from bridge.magick.policy import refuses_postscript
    from bridge.process.isolation import sandbox
    from bridge.process.launch import alive
    from bridge.process.spawning import spawner_pid
    from bridge.process.tools import toolbox

    limits, box = in_force(), sandbox()
    tools = {name: toolbox().get(name) for name in ("ffmpeg", "ffprobe", "magick")}
    magick = tools["magick"]
    tried = refuses_postscript(limits, magick.path) if magick and limits.trust != "trusted" else None
    children, temporary = alive()
    return {
        "programs": {name: tool and asdict(tool) for name, tool in tools.items()},
        "limits": asdict(limits),
        "sandbox": {
            "state": str(box),
            "landlock": box.landlock,
            "seccomp": box.seccomp,
            "spawner": spawner_pid(),
        },
        "policy": {"refuses_postscript": tried},
        "children": children,
        "temporary_bytes": temporary,
    }


def devices() -> list[CaptureDevice]:
    """List the cameras and the screens of this machine, with their names and modes.

    Returns
    -------
    list of CaptureDevice
        Cameras first, in the order of ``<video0>``, ``<video1>``, ...: each has ``uri name path``, a camera ``modes``
        with ``pixelformat size fps``, a screen its ``size``. No camera is started for that.

    Raises
    ------
    ToolMissing, ToolTimeout
        On macOS and Windows, where ffmpeg has to be asked.

    Examples
    --------
    >>> [(device.uri, device.name) for device in devices()]              # doctest: +SKIP
    [('<video0>', 'HD Webcam'), ('<screen>', 'X screen 0')]
    """
    from bridge.capture.inventory import devices as found

    return found()


def probe(uri: Any, *, limits: Limits | None = None, trust: str | None = None) -> MediaInfo:
    """Tell what a file holds, without decoding it where that is possible.

    Parameters
    ----------
    uri : str or path
        The file.
    limits, trust
        As for `get_reader`.

    Returns
    -------
    MediaInfo
        Streams with codec, size, rate and colour; or pages with shape and dtype.

    Examples
    --------
    >>> probe("clip.mp4").video.fps                      # doctest: +SKIP
    Fraction(30000, 1001)
    """
    with get_reader(uri, limits=limits, trust=trust) as reader:
        described: MediaInfo = reader.info
        return described
