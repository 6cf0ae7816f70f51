"""The catalogue: which Formats exist, in which order they are asked, what this machine can do."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from bridge.arrays.dicom import DicomFormat
from bridge.arrays.fits import FitsFormat
from bridge.arrays.floats import float_formats
from bridge.arrays.npy import NpyFormat, NpzFormat
from bridge.arrays.targa import TargaFormat
from bridge.arrays.tiff import TiffFormat
from bridge.capture.camera import CameraFormat
from bridge.capture.clipboard import ClipboardFormat
from bridge.capture.published import PublishedFormat
from bridge.capture.screen import ScreenFormat
from bridge.core.format import Format
from bridge.core.intake import check_file
from bridge.core.manager import FormatManager
from bridge.core.request import Request
from bridge.core.sequence import SeriesFormat
from bridge.core.uri import RETURN_BYTES, Device, Published, Series
from bridge.errors import ForbiddenFormat, UnknownFormat
from bridge.ffmpeg.animation import animation_formats
from bridge.ffmpeg.avif import SequenceFormat
from bridge.ffmpeg.image import still_formats
from bridge.ffmpeg.video import film_formats
from bridge.magick.document import document_formats
from bridge.magick.image import picture_formats
from bridge.media.sniff import sniff

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from bridge.core.array import Array
    from bridge.core.format import Reader
    from bridge.limits import Limits

__all__ = ["check_trust", "formats", "reader_for", "writer_for"]


def _ordered() -> FormatManager:
    """Put the formats in order: in this process first, then ImageMagick, then ffmpeg."""
    manager = FormatManager(_plugins)
    ordered: list[Format] = [SeriesFormat(_read_one, _describe_one), NpyFormat(), NpzFormat(), TiffFormat()]
    ordered += [
        TargaFormat(),
        *float_formats(),
        DicomFormat(_decoded),
        FitsFormat(),
        *picture_formats(),
        *document_formats(),
        *still_formats(),
        *animation_formats(),
        SequenceFormat(),
        *film_formats(),
        CameraFormat(),
        ScreenFormat(),
        ClipboardFormat(_pasted, _copied),
        PublishedFormat(),
    ]
    for format in ordered:
        manager.add_format(format)
    return manager


def _plugins() -> Iterator[Format]:
    """Load the formats that other distributions add: entry points of the group ``bridge.formats``.

    Each is a Format or a callable that gives one. One that fails is left out, and the log says why.
    """
    from importlib.metadata import entry_points

    for point in entry_points(group="bridge.formats"):
        try:
            loaded = point.load()
            format = loaded if isinstance(loaded, Format) else loaded()
        except Exception:
            log.exception("the format plug-in %s could not be loaded", point)
            continue
        if isinstance(format, Format):
            yield format
        else:
            log.error("the format plug-in %s gave %r, which is no Format", point, format)


def _opened(uri: Any, limits: Limits, **kwargs: Any) -> Reader:
    """Open the reader of one picture of a series."""
    request = Request(uri, "i", kwargs=kwargs, limits=limits)
    try:
        return reader_for(request, None).get_reader(request)
    except BaseException:
        request.close()
        raise


def _read_one(uri: Any, limits: Limits, **kwargs: Any) -> Array:
    with _opened(uri, limits, **kwargs) as reader:
        return reader.get_data(0)


def _describe_one(uri: Any, limits: Limits) -> Any:
    with _opened(uri, limits) as reader:
        return reader.info


def _decoded(code: bytes, limits: Limits, name: str) -> Array:
    """Decode a picture that is part of another file, which is called `name`."""
    with Request(code, "i", limits=limits, name=name) as request, reader_for(request, None).get_reader(request) as read:
        return read.get_data(0)


def _pasted(data: bytes, outer: Request, **kwargs: Any) -> Reader:
    """Open the reader of a picture from the clipboard."""
    request = Request(data, outer.mode, kwargs=kwargs, limits=outer.limits, name=outer.name)
    try:
        return reader_for(request, outer.known.get("format")).get_reader(request)
    except BaseException:
        request.close()
        raise


def _copied(image: np.ndarray[Any, Any], meta: dict[str, Any], outer: Request, **kwargs: Any) -> tuple[bytes, str]:
    """Encode a picture for the clipboard; give what clipboards call its format, too."""
    request = Request(RETURN_BYTES, "i", writing=True, kwargs=kwargs, limits=outer.limits, name=outer.name)
    try:
        format = writer_for(request, outer.known.get("format") or "png")
        with format.get_writer(request) as writer:
            writer.append_data(image, meta)
    finally:
        request.close()
    return request.get_result() or b"", f"image/{format.extensions[0].removeprefix('.')}".replace("/jpg", "/jpeg")


_DEVICES = {"clipboard": "CLIPBOARD", "screen": "SCREEN"}  # the others are cameras


def _of_device(device: Device, request: Request, name: str | None, *, writing: bool) -> Format:
    """Give the format of a device; another name that the user has given goes along, for what comes from there."""
    own = _DEVICES.get(device.name, "CAMERA")
    if name is not None and name.upper() not in (own, "FFMPEG"):  # as imageio calls the format of cameras
        if own != "CLIPBOARD":
            raise UnknownFormat(f"{request.name} is read as {own}, which format={name!r} is not")
        request.known["format"] = name
    return (formats.find_writer if writing else formats.find_reader)(request, own)


log = logging.getLogger("bridge")
formats = _ordered()


def reader_for(request: Request, name: str | None) -> Format:
    """Choose the format that reads a request; its content is looked at, once, here.

    Raises
    ------
    UnknownFormat
        If none does; `ForbiddenFormat` if that is for want of trust.
    """
    request.choose = reader_for
    if isinstance(request.resource, Published):
        return formats.find_reader(request, name or "ZMQ")
    if isinstance(request.resource, Device):
        return _of_device(request.resource, request, name, writing=False)
    request.kind = None if isinstance(request.resource, Series) else sniff(request.head)
    check_trust(request)
    check_file(request.limits, request.name, request.kind, 0 if request.kind is None else request.size)
    return formats.find_reader(request, name)


_DOCUMENTS = ("svg", "pdf", "postscript")
_STRANGERS = ("png", "apng", "jpeg", "gif", "webp", "bmp", "tiff", "mp4", "matroska", "avi")


def check_trust(request: Request) -> None:
    """Refuse what is not read at the request's level of trust."""
    kind, trust = request.kind, request.limits.trust
    if kind in _DOCUMENTS and trust != "trusted":
        raise ForbiddenFormat(
            f"{request.name} is a {kind.upper()} document: drawing it means running its content; "
            "if it is your own, trust='trusted' does that"
        )
    if trust == "untrusted" and kind not in _STRANGERS and not isinstance(request.resource, Series):
        what = f"a {kind.upper()} file" if kind else "of no known kind"
        raise ForbiddenFormat(
            f"{request.name} is {what}; untrusted content is read as one of {', '.join(_STRANGERS)} only; "
            "if you know where it comes from, trust='normal' reads more"
        )


def writer_for(request: Request, name: str | None) -> Format:
    """Choose the format that writes a request.

    Raises
    ------
    UnknownFormat
        If none does.
    """
    if isinstance(request.resource, Device):
        return _of_device(request.resource, request, name, writing=True)
    return formats.find_writer(request, name)


def describe(name: str) -> str:
    """Give the documentation of the formats of a name, an extension or a file name.

    Raises
    ------
    UnknownFormat
        If there is none.
    """
    first = formats[name]
    others = [f for f in formats if f is not first and f.name.partition("-")[0] == first.name]
    return "\n\n".join(format.doc for format in (first, *others))


_COLUMNS = ("format", "reads by", "writes by", "samples", "alpha", "animated", "metadata", "extensions")


def table() -> str:
    """Give a readable table of what this machine reads and writes, and below it why not, with the remedy."""
    rows: list[tuple[str, ...]] = [_COLUMNS]
    lacking: list[str] = []
    for format in formats:
        reads, writes = _by(format, writing=False), _by(format, writing=True)
        marks = tuple("yes" if fact else "-" for fact in (format.alpha, format.animated, format.metadata))
        rows.append((format.name, reads, writes, format.depths, *marks, " ".join(format.extensions)))
        lacking += [f"{format.name}: {reason}" for reason in _reasons(format)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([*lines, *(["", "not on this machine:", *lacking] if lacking else [])])


def _by(format: Format, *, writing: bool) -> str:
    if not (format.writer if writing else format.reader) or format.missing(writing=writing):
        return "-"
    return format.program or "in-process"


def _reasons(format: Format) -> list[str]:
    """Tell why a format cannot be read or written here, each reason once."""
    reading = format.missing() if format.reader else ""
    writing = format.missing(writing=True) if format.writer else ""
    return [reason for reason in dict.fromkeys((reading, writing)) if reason]
