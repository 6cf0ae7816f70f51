"""Resource: what the user's uri means; a closed set of cases, parsed once. Opens nothing."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bridge.errors import UriError
from bridge.printing import printable

__all__ = [
    "RETURN_BYTES",
    "Device",
    "FileObject",
    "FilePath",
    "Published",
    "RawBytes",
    "Resource",
    "ReturnBytes",
    "Series",
    "Url",
    "ZipMember",
    "parse",
    "sequence",
]

RETURN_BYTES = "<bytes>"

_DEVICE = re.compile(r"<(video\d+|screen|clipboard)>")
_PUBLISHED = re.compile(r"zmq\+(tcp://(?:[\w.-]+|\[[0-9a-f:.%\w]+\]):\d{1,5})/?", re.ASCII | re.IGNORECASE)
_URL = re.compile(r"([a-z][a-z0-9+.-]+)://", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePath:
    """A file of this machine; `path` is absolute."""

    path: Path

    def __str__(self) -> str:
        """Give the path, as it may be printed."""
        return printable(str(self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class ZipMember:
    """A member of a zip archive."""

    archive: Path
    member: str

    def __str__(self) -> str:
        """Give it as the user writes it."""
        return printable(f"{self.archive}/{self.member}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Pictures that belong together by their names; made by `sequence`, never guessed from a name."""

    pattern: str

    def __str__(self) -> str:
        """Give the pattern, as it may be printed."""
        return printable(self.pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class FileObject:
    """Something with `read` or `write`."""

    file: Any

    def __str__(self) -> str:
        """Give the name if it has one."""
        return printable(str(getattr(self.file, "name", f"<{type(self.file).__name__} object>")))


@dataclass(frozen=True, slots=True, kw_only=True)
class RawBytes:
    """The content itself."""

    data: bytes

    def __str__(self) -> str:
        """Give the size."""
        return f"<{len(self.data)} bytes>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Url:
    """An address on another machine."""

    address: str

    def __str__(self) -> str:
        """Give the address, as it may be printed."""
        return printable(self.address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A camera, the screen or the clipboard."""

    name: str

    def __str__(self) -> str:
        """Give it as the user writes it."""
        return f"<{self.name}>"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """What a worker publishes; `address` is ZeroMQ's."""

    address: str

    def __str__(self) -> str:
        """Give it as the user writes it."""
        return f"zmq+{self.address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReturnBytes:
    """No file: the writing call returns the content."""

    def __str__(self) -> str:
        """Give it as the user writes it."""
        return RETURN_BYTES


Resource = FilePath | ZipMember | Series | FileObject | RawBytes | Url | Device | Published | ReturnBytes


def sequence(pattern: str | os.PathLike[str]) -> Series:
    """Name a series of pictures, to be given as a uri.

    Parameters
    ----------
    pattern : str or path
        Either numbered, ``"frame%04d.png"``, or a glob, ``"frame*.png"``. Numbered files are read from the
        lowest number on, and a gap among them is an error; globbed ones in the order of their names, with
        numbers in them compared as numbers.

    Examples
    --------
    >>> import bridge
    >>> frames = bridge.mimread(bridge.sequence("frames/frame%04d.png"))   # doctest: +SKIP
    """
    text = os.fsdecode(os.fspath(pattern))
    if not text or "\0" in text:
        raise UriError(f"{text!r} is no pattern of file names")
    return Series(pattern=os.path.abspath(os.path.expanduser(text)))  # noqa: PTH100, PTH111 - as for paths


def parse(uri: Any) -> Resource:
    """Tell what a uri means, by its type and its form alone.

    A path into an archive is a `FilePath` here: whether a folder of it is a zip file, the Request sees when it opens.

    Parameters
    ----------
    uri : str, os.PathLike, bytes-like or file object
        A path that looks like something else is a path when written with its folder (``./<screen>``).

    Raises
    ------
    UriError
        If it is nothing of the kind.
    """
    if isinstance(uri, Series):
        return uri
    if isinstance(uri, str):
        return _parse_text(uri)
    if isinstance(uri, os.PathLike):
        return _path(os.fspath(uri))
    if isinstance(uri, bytes | bytearray | memoryview):
        return RawBytes(data=bytes(uri))
    if hasattr(uri, "read") or hasattr(uri, "write"):
        return FileObject(file=uri)
    message = f"a uri is a str, a path, bytes or a file object, not {type(uri).__name__}"
    raise UriError(message)


def _parse_text(uri: str) -> Resource:
    if uri == RETURN_BYTES:
        return ReturnBytes()
    if match := _DEVICE.fullmatch(uri):
        return Device(name=match[1])
    match = _URL.match(uri)
    if uri[:6].lower() == "file:/" and (match is None or match[1].lower() == "file"):
        return _local(uri)
    if match and match[1].lower().startswith("zmq"):
        return _published(uri)
    return _path(uri) if match is None else Url(address=uri)


def _published(uri: str) -> Published:
    match = _PUBLISHED.fullmatch(uri)
    if match is None:
        raise UriError(f"{printable(uri)} names no worker: write zmq+tcp://HOST:PORT")
    return Published(address=match[1].lower())


def _local(uri: str) -> FilePath:
    """Give the path of a ``file:`` address, its percent signs decoded."""
    from urllib.parse import unquote, urlsplit

    parts = urlsplit(uri.replace("#", "%23").replace("?", "%3F"))
    if parts.netloc not in ("", "localhost"):
        message = f"{uri} is on the machine {parts.netloc!r}, not on this one"
        raise UriError(message)
    return _path(unquote(parts.path))


def _path(path: str | bytes) -> FilePath:
    text = os.fsdecode(path)
    if not text or "\0" in text:
        message = f"{text!r} is no file name"
        raise UriError(message)
    return FilePath(path=Path(os.path.abspath(os.path.expanduser(text))))  # noqa: PTH100, PTH111 - keep links, never fail
