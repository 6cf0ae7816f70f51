"""What of the user's uri still means the same later, and in another process."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.core.uri import Device, FileObject, FilePath, Published, RawBytes, Series, Url, ZipMember

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.core.uri import Resource

__all__ = ["lasting"]

_FILES = (io.FileIO, io.BufferedReader, io.BufferedRandom)


def lasting(resource: Resource) -> Any:
    """Give a uri that means the same later and in another process; None if there is none.

    To be asked before anything is read: of a file object the position counts.
    """
    kind = type(resource)
    return _FORMS[kind](resource) if kind in _FORMS else None


def _path_of(file: Any) -> Path | None:
    """Give the path of a file object that is a whole file of this machine."""
    inner = getattr(file, "file", file)  # what tempfile gives wraps one
    name = getattr(inner, "name", None)
    if not isinstance(inner, _FILES) or not isinstance(name, str | bytes):
        return None
    try:
        path = Path(os.path.abspath(os.fsdecode(name)))  # noqa: PTH100 - keep links
        own, named = os.fstat(inner.fileno()), path.stat()
        same = os.path.samestat(own, named) and stat.S_ISREG(own.st_mode)
        return path if same and inner.tell() == 0 else None
    except (OSError, ValueError):  # closed, or gone
        return None


_FORMS: dict[type, Callable[[Any], Any]] = {
    FilePath: lambda resource: resource.path,
    ZipMember: lambda resource: resource.archive / resource.member,
    Series: lambda resource: resource,
    RawBytes: lambda resource: resource.data,
    Url: lambda resource: resource.address,
    Device: str,
    Published: str,
    FileObject: lambda resource: _path_of(resource.file),
}
