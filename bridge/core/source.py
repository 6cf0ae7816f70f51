"""Where content to read comes from: each kind of resource opened once, as one descriptor."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.core.archive import ArchiveLimits, read_member, split
from bridge.core.uri import Device, FileObject, FilePath, Published, RawBytes, Resource, Series, Url, ZipMember
from bridge.errors import BridgeError, CorruptMedia, ForbiddenUri, UriError, UriIsDirectory, UriNotFound

if TYPE_CHECKING:
    from bridge.core.spool import Spool
    from bridge.core.trip import HttpLimits
    from bridge.limits import Limits

__all__ = ["Opened", "open_source", "readable", "unreadable"]

_DOWNLOADED = ("http", "https", "ftp")


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """An open resource: a descriptor, and the name that the content goes by.

    The descriptor is closed with its owner, or, if it has none, by the caller.
    """

    descriptor: int
    file_name: str
    owner: Spool | None = None


def readable(resource: Resource) -> Resource:
    """Tell what a resource means for reading: a path into an archive names its member."""
    if isinstance(resource, FilePath) and not os.path.exists(resource.path):  # noqa: PTH110 - never raises
        found = split(resource.path)
        if found is not None:
            return ZipMember(archive=found[0], member=found[1])
    return resource


def open_source(resource: Resource, limits: Limits) -> Opened:
    """Open a resource for reading.

    Raises
    ------
    UriError, UriNotFound, UriIsDirectory, ForbiddenUri, CorruptMedia, LimitExceeded, TruncatedMedia
        As the kind of resource has it. What a file object's own `read` raises comes out as it is.
    """
    if isinstance(resource, FilePath):
        return Opened(descriptor=_open_file(resource, limits), file_name=resource.path.name)
    if isinstance(resource, Series | Device | Published):  # their readers look for the content
        name = Path(resource.pattern).name if isinstance(resource, Series) else ""
        return Opened(descriptor=os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), file_name=name)
    spool, file_name = _spooled(resource, limits)
    if not spool.size:
        spool.close()
        raise CorruptMedia(f"{resource} is empty (0 bytes)")
    return Opened(descriptor=spool.fileno(), file_name=file_name, owner=spool)


def _spooled(resource: Resource, limits: Limits) -> tuple[Spool, str]:
    """Bring content that is no file of its own under a descriptor."""
    from bridge.core.spool import Spool, spool_object

    if isinstance(resource, ZipMember):
        rules = ArchiveLimits(bytes=limits.content, ratio=limits.archive_ratio, entries=limits.archive_entries)
        return read_member(resource.archive, resource.member, rules), Path(resource.member).name
    if isinstance(resource, RawBytes):
        spool = Spool(limits.content, name=str(resource), limit="content")
        spool.write(resource.data)
        return spool.finish(), ""
    if isinstance(resource, FileObject):
        return spool_object(resource.file, limits.content, limit="content"), _name_of(resource.file)
    if isinstance(resource, Url):
        return _fetched(resource, limits)
    raise UriError(f"{resource} is for writing only")


def _name_of(file: Any) -> str:
    """Give the name of a file object, if it is one: `open` of a descriptor has a number there."""
    name = getattr(file, "name", "")
    return Path(os.fsdecode(name)).name if isinstance(name, str | bytes) else ""


def _fetched(resource: Url, limits: Limits) -> tuple[Spool, str]:
    scheme = resource.address.partition(":")[0].lower()
    if scheme not in ("http", "https") and limits.trust == "untrusted":
        raise ForbiddenUri(
            f"{resource}: untrusted addresses are those of http and https only; if you trust it, give a higher trust"
        )
    if scheme not in _DOWNLOADED:
        return _by_fsspec(resource, limits)
    from bridge.core.download import fetch

    came = fetch(resource.address, _http_limits(limits))
    return came.spool, came.name


def _http_limits(limits: Limits) -> HttpLimits:
    from bridge.core.trip import HttpLimits

    return HttpLimits(
        connect=limits.http_connect,
        stall=limits.http_stall,
        total=limits.http_total,
        bytes=limits.http_bytes,
        redirects=limits.http_redirects,
        rate=limits.http_rate,
        public=limits.http_public,
    )


def _by_fsspec(resource: Url, limits: Limits) -> tuple[Spool, str]:
    """Open what the library fsspec knows: ``s3://``, ``gs://``, ``memory://`` and more."""
    from bridge.core.spool import spool_object

    if limits.http_public:
        raise ForbiddenUri(
            f"{resource}: where fsspec connects to cannot be checked, and the limit http_public=True allows public"
            " addresses only; if you trust it, lift it with limits=bridge.Limits(http_public=False)"
        )
    try:
        import fsspec
    except ImportError:
        raise UriError(
            f"{resource}: addresses other than http, https, ftp and file need fsspec: pip install 'framebridge[fsspec]'"
        ) from None
    try:
        with fsspec.open(resource.address, "rb") as file:
            spool = spool_object(file, limits.content, name=str(resource), limit="content")
    except (ValueError, ImportError) as error:
        if isinstance(error, BridgeError):
            raise
        raise UriError(f"{resource} cannot be opened by fsspec: {error}") from error
    except FileNotFoundError as error:
        raise UriNotFound(f"there is no {resource}") from error
    return spool, Path(resource.address.partition("?")[0]).name


def _open_file(resource: FilePath, limits: Limits) -> int:
    strange = limits.trust == "untrusted"
    try:  # O_NONBLOCK: a FIFO must not hang us
        flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | (os.O_NOFOLLOW if strange else 0)
        descriptor = os.open(resource.path, flags)
    except OSError as error:
        if strange and error.errno == errno.ELOOP:
            raise ForbiddenUri(f"{resource} is a symbolic link, which is not followed for untrusted content") from error
        raise unreadable(str(resource), error) from error
    facts = os.fstat(descriptor)
    if stat.S_ISREG(facts.st_mode) and facts.st_size:
        return descriptor
    os.close(descriptor)
    raise _nothing_to_read(str(resource), facts)


def _nothing_to_read(name: str, facts: os.stat_result) -> BridgeError:
    if stat.S_ISDIR(facts.st_mode):
        return UriIsDirectory(f"{name} is a directory; name a file in it")
    if stat.S_ISREG(facts.st_mode):
        return CorruptMedia(f"{name} is empty (0 bytes)")
    return UriError(f"{name} is not a regular file; copy its content to a file to read it")


def unreadable(name: str, error: OSError) -> BridgeError:
    """Turn what `open` says into an error of ours."""
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return UriNotFound(f"there is no file {name}")
    if isinstance(error, PermissionError):
        return ForbiddenUri(f"{name} may not be read: {error.strerror}")
    return UriError(f"{name} cannot be opened: {error.strerror}")
