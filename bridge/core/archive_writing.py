"""One file into a zip archive under a name: whole or not at all, with the other members as they were."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from bridge.core.archive import LOCAL_HEADER, UNIX, UTF8, Archive, ArchiveLimits, unreadable
from bridge.core.part import Part, part_name
from bridge.core.unpacking import DEFLATED, STORED
from bridge.errors import BridgeError, ForbiddenUri, OutputFailed, UriError, UriIsDirectory, UriNotFound

if TYPE_CHECKING:
    import zipfile
    from collections.abc import Iterator

__all__ = ["write_member"]

_MIB = 1 << 20
_DEFAULT = ArchiveLimits()
# Names of content that is compressed already: to deflate it again costs time and gains nothing.
_PICTURES = {".png", ".apng", ".jpg", ".jpeg", ".jp2", ".jxl", ".gif", ".webp", ".avif", ".heic", ".heif"}
_FILMS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".ogv", ".flv", ".wmv", ".m4a"}
_COMPRESSED = _PICTURES | _FILMS | {".zip", ".npz", ".gz", ".bz2", ".xz", ".zst"}


def write_member(
    archive: str | Path, member: str, source: str | Path, limits: ArchiveLimits = _DEFAULT, *, name: str | None = None
) -> None:
    """Put a file into an archive under a name, whole or not at all.

    A new archive is made beside the old one, with its other members copied as they are compressed, and takes its
    place by rename; a member of the same name is replaced. Whatever fails, the old archive is untouched. Two that
    write to one archive at a time wait for each other.

    Parameters
    ----------
    archive : str or Path
        The archive; made if there is none, or an empty file.
    member : str
        The name of the member, with ``/`` between folders.
    source : str or Path
        The file with the content.
    name : str, optional
        What the output is called in messages.

    Raises
    ------
    UriError, UriIsDirectory, UriNotFound, ForbiddenUri
        If the member's name, the archive's or its folder cannot be written to.
    CorruptMedia, LimitExceeded
        If what is there is no sound zip archive.
    OutputFailed
        If the disk is full, or the like.
    """
    target = Path(os.path.realpath(archive))  # a link stays, what it points to is replaced
    name = name or f"{archive}/{member}"
    _check_member(member, name)
    try:
        while not _written(target, member, Path(source), limits):
            pass  # somebody else has made the archive meanwhile: add to that one
    except OSError as error:
        if isinstance(error, BridgeError):
            raise
        raise _not_written(name, target, error) from error


def _not_written(name: str, target: Path, error: OSError) -> BridgeError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and not target.parent.is_dir():
        return UriNotFound(f"{name}: there is no folder {target.parent}; make it first")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return ForbiddenUri(f"{name}: nothing may be written in {target.parent}; choose another folder")
    return OutputFailed(f"{name} could not be written: {error.strerror or error}")


def _check_member(member: str, name: str) -> None:
    """Refuse names with which an unpacker would write elsewhere, or that zip cannot hold."""
    parts = member.split("/")
    if "\0" in member or "\\" in member or any(part in ("", ".", "..") for part in parts):
        raise UriError(f"{name}: {member!r} is no name for a member of an archive")
    try:
        encoded = member.encode()
    except UnicodeEncodeError as error:
        raise UriError(f"{name}: {member!r} is not Unicode, which names in archives must be") from error
    if len(encoded) > 0xFFFF:
        raise UriError(f"{name}: a member's name has at most 65,535 bytes, not {len(encoded)}")


def _written(target: Path, member: str, source: Path, limits: ArchiveLimits) -> bool:
    with _locked(target) as descriptor, _part(target) as part:
        old = Archive(descriptor, str(target), limits) if descriptor is not None and _size(descriptor) else None
        if old is not None:
            _refuse_folder(old, member)
        with part.open("wb") as out:
            kept = [] if old is None else _copied(old, member, out)
            _append(out, kept, b"" if old is None else old.comment, member, source)
        if descriptor is None:
            return _placed_as_new(part, target)
        part.chmod(stat.S_IMODE(os.fstat(descriptor).st_mode))
        part.replace(target)
        return True


def _size(descriptor: int) -> int:
    facts = os.fstat(descriptor)
    return facts.st_size if stat.S_ISREG(facts.st_mode) else 1


@contextlib.contextmanager
def _locked(target: Path) -> Iterator[int | None]:
    """Give the archive, for us alone among those who use this function; None if there is none."""
    descriptor = _latest(target)
    try:
        yield descriptor
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _latest(target: Path) -> int | None:
    while True:
        try:
            descriptor = os.open(target, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise unreadable(str(target), error) from error
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(target.stat(), os.fstat(descriptor)):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # replaced while we waited


@contextlib.contextmanager
def _part(target: Path) -> Iterator[Path]:
    """Give a new file beside the target, by whose name what a killed process has left can be told apart."""
    part = Part(part_name(target.parent))
    try:
        part.make()
        yield part.path
    finally:
        part.drop()


def _placed_as_new(part: Path, target: Path) -> bool:
    """Put it there if nothing is there by now."""
    try:
        target.hardlink_to(part)
    except FileExistsError:
        return False
    except OSError:  # a file system without links
        part.replace(target)
    return True


def _refuse_folder(old: Archive, member: str) -> None:
    if any(info.filename.startswith(member + "/") for info in old.infos):
        raise UriIsDirectory(f"{old.name}: {member!r} is a folder; name a file in it")


def _copied(old: Archive, member: str, out: BinaryIO) -> list[zipfile.ZipInfo]:
    """Copy all members but one, compressed as they are; give their entries with their new places."""
    kept = [info for info in old.infos if info.filename != member]
    if len(kept) == len(old.infos) and all(map(_plainly_named, kept)):
        old.copy(0, old.end, out)
        return kept
    old.copy(0, min((info.header_offset for info in old.infos), default=0), out)  # what makes it unpack itself
    for info in sorted(kept, key=lambda info: info.header_offset):
        place = out.tell()
        _, fixed, extra = old.header(info)
        out.write(_renamed(fixed, info) + extra)
        old.copy(*old.extent(info), out)
        info.header_offset = place
    return kept


def _plainly_named(info: zipfile.ZipInfo) -> bool:
    return info.filename == info.orig_filename and (info.filename.isascii() or bool(info.flag_bits & UTF8))


def _renamed(fixed: bytes, info: zipfile.ZipInfo) -> bytes:
    """Give a local header with the name as zipfile will write it into the directory: in UTF-8.

    Appending by zipfile alone writes only the directory so, and members with names from DOS can't be read any more.
    """
    name = info.filename.encode()
    _, flags, _, extra_length = LOCAL_HEADER.unpack(fixed)
    flags |= 0 if info.filename.isascii() else UTF8
    return fixed[:6] + struct.pack("<H", flags) + fixed[8:26] + struct.pack("<HH", len(name), extra_length) + name


def _append(out: BinaryIO, kept: list[zipfile.ZipInfo], comment: bytes, member: str, source: Path) -> None:
    """Write the member and the directory behind what has been copied: zipfile begins where the file stands."""
    import shutil
    import zipfile

    info = zipfile.ZipInfo(member, date_time=_now())
    info.compress_type = STORED if Path(member).suffix.lower() in _COMPRESSED else DEFLATED
    info.create_system = UNIX
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    with source.open("rb") as content, zipfile.ZipFile(out, "w") as archive:
        info.file_size = os.fstat(content.fileno()).st_size  # by which zipfile chooses the 64 bit form
        archive.comment = comment
        archive.infolist().extend(kept)  # the list itself, from which the directory is written
        with archive.open(info, "w") as entry:
            shutil.copyfileobj(content, entry, _MIB)


def _now() -> tuple[int, int, int, int, int, int]:
    """Give the local time, which zip wants, as far as it can hold it."""
    now = time.localtime()
    fields = (now.tm_year, now.tm_mon, now.tm_mday, now.tm_hour, now.tm_min, now.tm_sec)
    return min(max(fields, (1980, 1, 1, 0, 0, 0)), (2107, 12, 31, 23, 59, 58))
