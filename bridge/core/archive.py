"""Members of zip archives: which part of a path is the archive, and one member out of it.

The directory of the archive is read by `zipfile`; the data by ourselves, so that neither a size that lies nor a
decompressor without a bound can take more than the limits say. Nothing is ever extracted by its name.
"""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from bridge.core.unpacking import CODECS, Member, decompressed
from bridge.errors import (
    BridgeError,
    CorruptMedia,
    ForbiddenUri,
    LimitExceeded,
    MissingCodec,
    UriError,
    UriIsDirectory,
    UriNotFound,
)

if TYPE_CHECKING:  # the others are imported where they are used: most reading and writing never gets there
    import zipfile
    from collections.abc import Iterator
    from pathlib import Path

    from bridge.core.spool import Spool
    from bridge.core.unpacking import Codec

__all__ = ["Archive", "ArchiveLimits", "members", "read_member", "split", "split_for_writing", "unreadable"]

_MIB = 1 << 20
LOCAL_HEADER = struct.Struct("<4s 2x H 18x HH")  # signature, version, flags, ..., lengths of name and extra field
_LOCAL, _CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
_ENCRYPTED, _PATCHED, UTF8 = 0x1, 0x20, 0x800
UNIX = 3
_METHODS = {9: "deflate64", 93: "zstd", 95: "xz", 98: "ppmd"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """What a member of an archive may cost.

    Errors name a limit as `bridge.Limits` does: ``archive_ratio`` for `ratio`, ``content`` for `bytes`.

    Attributes
    ----------
    bytes : int
        Most bytes of a member, decompressed.
    ratio : float
        How many times larger than its compressed form a member may be, if it is larger than `ratio_from` bytes.
    ratio_from : int
        Members up to this many bytes may be compressed as well as they like.
    entries : int
        Most members of an archive: what the format holds without its 64 bit extension.
    """

    bytes: int = 1 << 30
    ratio: float = 1000.0
    ratio_from: int = 10 * _MIB
    entries: int = 65_535


_DEFAULT = ArchiveLimits()


# Which part of a path


def split(path: Path) -> tuple[Path, str] | None:
    """Tell the archive and the member in a path like ``pictures.zip/cats/a.png``.

    Parameters
    ----------
    path : Path
        An absolute path.

    Returns
    -------
    tuple of Path and str, or None
        None if no folder of the path is really a zip archive. A file called ``.zip`` counts as one, so that
        reading says what is wrong with it.
    """
    for parent in path.parents:
        with contextlib.suppress(OSError):
            if stat.S_ISREG(parent.stat().st_mode):
                return (parent, path.relative_to(parent).as_posix()) if _is_archive(parent) else None
    return None


def _is_archive(path: Path) -> bool:
    if path.suffix.lower() == ".zip":
        return True
    import zipfile

    return zipfile.is_zipfile(path)


def split_for_writing(path: Path) -> tuple[Path, str] | None:
    """Tell the same of a path to write to, whose archive need not exist yet.

    A folder called ``x.zip`` is a folder, and what exists as a file under the whole path is that file.
    """
    if os.path.lexists(path):
        return None
    for parent in reversed(path.parents):
        if parent.suffix.lower() == ".zip" and not parent.is_dir():
            return parent, path.relative_to(parent).as_posix()
    return split(path)


# Reading


def members(archive: int | str | Path, limits: ArchiveLimits = _DEFAULT) -> list[str]:
    """Give the names of all members that are files, in the order of the archive's directory.

    Parameters
    ----------
    archive : int, str or Path
        A descriptor or a path.

    Raises
    ------
    CorruptMedia
        If it is no zip archive, or a damaged or contradictory one.
    LimitExceeded
        If it has more members than `limits` allows.
    UriNotFound, ForbiddenUri, UriError
        If it cannot be opened.
    """
    with _opened(archive, limits) as opened:
        return [info.filename for info in opened.infos if not info.is_dir()]


def read_member(archive: int | str | Path, member: str, limits: ArchiveLimits = _DEFAULT) -> Spool:
    """Read one member, decompressed and checked.

    Parameters
    ----------
    archive : int, str or Path
        A descriptor or a path.
    member : str
        Its name in the archive, with ``/`` between folders. ``..`` has no meaning in it.

    Raises
    ------
    UriNotFound, UriIsDirectory
        If there is no such member; if it is a folder.
    ForbiddenUri
        If it is encrypted, a link or a device.
    MissingCodec
        If its compression is not known here.
    CorruptMedia
        If the archive or the member is damaged, contradicts itself, has that name twice, or members that lie
        over each other.
    LimitExceeded
        If the member, its compression or the number of members is beyond `limits`.
    """
    with _opened(archive, limits) as opened:
        return opened.read(member)


@contextlib.contextmanager
def _opened(archive: int | str | Path, limits: ArchiveLimits) -> Iterator[Archive]:
    name = f"the archive with descriptor {archive}" if isinstance(archive, int) else str(archive)
    descriptor = _open(archive, name)
    try:
        yield Archive(descriptor, name, limits)
    finally:
        os.close(descriptor)


def _open(archive: int | str | Path, name: str) -> int:
    if isinstance(archive, int):
        return os.dup(archive)  # only ever read by position, so that the owner's is left alone
    try:  # O_NONBLOCK: a FIFO must not hang us
        return os.open(archive, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise unreadable(name, error) from error


def unreadable(name: str, error: OSError) -> BridgeError:
    """Turn what `open` says of an archive into an error of ours."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return UriNotFound(f"there is no file {name}")
    if error.errno in (errno.EACCES, errno.EPERM):
        return ForbiddenUri(f"{name} may not be read: {error.strerror}")
    return UriError(f"{name} cannot be opened: {error.strerror}")


class _Directory(io.RawIOBase):
    """The archive as `zipfile` sees it: it reads the whole directory at once, so that is where it is stopped.

    The number of members that an archive tells is not to be trusted; each has this signature.
    """

    def __init__(self, descriptor: int, size: int, name: str, limits: ArchiveLimits) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._size = size
        self._name = name
        self._limits = limits
        self._at = 0

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        at = (0, self._at, self._size)[whence] + offset
        if at < 0:
            raise OSError(errno.EINVAL, "before the beginning")
        self._at = at
        return at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        wanted = left if size < 0 else min(size, left)
        if wanted > self._limits.entries * 1024:
            raise self._too_many(f"a directory of {wanted} bytes")
        data = os.pread(self._descriptor, wanted, self._at)
        self._at += len(data)
        if (count := data.count(_CENTRAL)) > self._limits.entries:
            raise self._too_many(f"{count} members")
        return data

    def _too_many(self, what: str) -> LimitExceeded:
        return LimitExceeded(
            f"{self._name} has {what}, more than the limit archive_entries={self._limits.entries} allows;"
            " if you trust it, raise it with limits=bridge.Limits(archive_entries=...)"
        )


class Archive:
    """The directory of an archive, checked, and the way to its data."""

    def __init__(self, descriptor: int, name: str, limits: ArchiveLimits) -> None:
        self.name = name
        self._descriptor = descriptor
        self._limits = limits
        import zipfile

        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            raise (UriIsDirectory if stat.S_ISDIR(facts.st_mode) else UriError)(f"{name} is not a regular file")
        with self._damage_told(), zipfile.ZipFile(_Directory(descriptor, facts.st_size, name, limits)) as directory:
            self.infos = directory.infolist()
            self.end = directory.start_dir
            self.comment = directory.comment
        self._next = self._extents()

    @contextlib.contextmanager
    def _damage_told(self) -> Iterator[None]:
        import zipfile

        try:
            yield
        except NotImplementedError as error:
            raise MissingCodec(f"{self.name}: {error}") from error
        except zipfile.BadZipFile as error:
            raise CorruptMedia(f"{self.name} is not a zip archive, or a damaged one: {error}") from error
        except (ValueError, struct.error, OSError, OverflowError) as error:  # what zipfile lets through
            if isinstance(error, BridgeError):
                raise
            raise CorruptMedia(f"{self.name} is a damaged zip archive: {error}") from error

    def _extents(self) -> dict[int, int]:
        """Give where each member must end, by where it begins; refuse members that lie over each other."""
        ordered = sorted(self.infos, key=lambda info: info.header_offset)
        starts = [info.header_offset for info in ordered]
        ends = [*starts[1:], self.end][: len(starts)]
        for info, end in zip(ordered, ends, strict=True):
            least = LOCAL_HEADER.size + len(info.orig_filename) + info.compress_size
            if info.header_offset < 0 or info.header_offset + least > end:
                raise CorruptMedia(f"{self.name}: its members lie over each other, as no archiver makes them")
        return dict(zip(starts, ends, strict=True))

    # One member

    def read(self, member: str) -> Spool:
        """Give its content."""
        from bridge.core.spool import Spool

        info = self._readable(self.find(member))
        spool = Spool(self._limits.bytes, name=f"{self.name}/{member}", limit="content")
        try:
            spool.expect(info.file_size)
            for piece in self._checked(info, spool.name):
                spool.write(piece)
            return spool.finish()
        except BaseException:
            spool.close()
            raise

    def open(self, member: str) -> Member:
        """Give its content as it is decompressed, for who keeps it elsewhere; the checks are as in `read`."""
        info = self._readable(self.find(member))
        name = f"{self.name}/{member}"
        if info.file_size > self._limits.bytes:
            raise LimitExceeded(
                f"{name}: {info.file_size} bytes, more than the limit content={self._limits.bytes} allows;"
                " if you trust it, raise it with limits=bridge.Limits(content=...)"
            )
        return Member(self._checked(info, name), info.file_size)

    def find(self, member: str) -> zipfile.ZipInfo:
        """Give the one entry of that name."""
        found = [info for info in self.infos if info.filename == member]
        if len(found) > 1:
            raise CorruptMedia(f"{self.name} has {len(found)} members {member!r}: which is meant cannot be told")
        if found and not found[0].is_dir():
            return found[0]
        folder = member.rstrip("/") + "/"
        if found or any(info.filename.startswith(folder) for info in self.infos):
            raise UriIsDirectory(f"{self.name}: {member!r} is a folder; name a file in it")
        raise UriNotFound(f"{self.name} has no member {member!r}{self._hint(member)}")

    def _hint(self, member: str) -> str:
        import difflib

        # Only some and only short ones: comparing with all names of a hostile archive would take minutes.
        names = [info.filename for info in self.infos if len(info.filename) < 200 and not info.is_dir()][:2000]
        near = difflib.get_close_matches(member[:200], names, n=3) or names[:3]
        return f"; it has {', '.join(map(repr, near))}" if near else "; it is empty"

    def _readable(self, info: zipfile.ZipInfo) -> zipfile.ZipInfo:
        """Refuse what must not be read, before it is."""
        name = f"{self.name}/{info.filename}"
        if info.flag_bits & _ENCRYPTED:
            raise ForbiddenUri(f"{name} is encrypted; unpack it with its password first")
        kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == UNIX else 0
        if kind not in (0, stat.S_IFREG):
            what = "a link" if kind == stat.S_IFLNK else "not a regular file"
            raise ForbiddenUri(f"{name} is {what}: only files are read from archives")
        if info.file_size > max(self._limits.ratio_from, self._limits.ratio * info.compress_size):
            raise LimitExceeded(
                f"{name}: {info.compress_size} bytes become {info.file_size}, more than the limit"
                f" archive_ratio={self._limits.ratio:g} allows; if you trust it, raise it with"
                " limits=bridge.Limits(archive_ratio=...)"
            )
        return info

    def _checked(self, info: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
        """Decompress; never past the size that the directory tells, which the limits have allowed."""
        check = size = 0
        for piece in self._pieces(info, name):
            size += len(piece)
            if size > info.file_size:
                raise CorruptMedia(f"{name} holds more than the {info.file_size} bytes that the archive tells")
            check = zlib.crc32(piece, check)
            yield piece
        if size < info.file_size:
            raise CorruptMedia(f"{name} ends after {size} of {info.file_size} bytes")
        if check != info.CRC:
            raise CorruptMedia(f"{name} is damaged: its checksum is wrong")

    def _pieces(self, info: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
        start, end = self.data(info)
        try:
            codec, skip = self._codec(info, start, name)
            yield from decompressed(codec, self._raw(start + skip, end))
        except (zlib.error, OSError, EOFError) as error:
            if isinstance(error, BridgeError):
                raise
            raise CorruptMedia(f"{name} is damaged: {error}") from error
        except Exception as error:
            if type(error).__name__ != "LZMAError":  # its module may be missing
                raise
            raise CorruptMedia(f"{name} is damaged: {error}") from error

    def data(self, info: zipfile.ZipInfo) -> tuple[int, int]:
        """Give where the compressed bytes of a member begin and end."""
        start, _, _ = self.header(info)
        end = start + info.compress_size
        if end > self._next[info.header_offset]:
            raise CorruptMedia(f"{self.name}: its members lie over each other, as no archiver makes them")
        return start, end

    def header(self, info: zipfile.ZipInfo) -> tuple[int, bytes, bytes]:
        """Give where the data of a member begins, and the fixed part and the extra field of its local header."""
        fixed = os.pread(self._descriptor, LOCAL_HEADER.size, info.header_offset)
        if len(fixed) < LOCAL_HEADER.size or fixed[:4] != _LOCAL:
            raise CorruptMedia(f"{self.name}: there is no member where {info.filename!r} should be")
        _, _, name_length, extra_length = LOCAL_HEADER.unpack(fixed)
        at = info.header_offset + len(fixed)
        rest = os.pread(self._descriptor, name_length + extra_length, at)
        if rest[:name_length] != info.orig_filename.encode("utf-8" if info.flag_bits & UTF8 else "cp437"):
            raise CorruptMedia(f"{self.name}: {info.filename!r} has another name in its own header")
        return at + name_length + extra_length, fixed, rest[name_length:]

    def extent(self, info: zipfile.ZipInfo) -> tuple[int, int]:
        """Give all that lies between the local header of a member and the next: data, and what describes it."""
        start, _ = self.data(info)
        return start, self._next[info.header_offset]

    def _codec(self, info: zipfile.ZipInfo, start: int, name: str) -> tuple[Codec, int]:
        """Give what decompresses a member, and how many bytes to skip before."""
        method = info.compress_type
        if info.flag_bits & _PATCHED or method not in CODECS:
            kind = "patches" if info.flag_bits & _PATCHED else _METHODS.get(method, f"method {method}")
            raise MissingCodec(f"{name} is compressed by {kind}: pack it again with deflate")
        try:
            return CODECS[method](os.pread(self._descriptor, 9, start), name)
        except ImportError as error:  # a Python that was built without
            raise MissingCodec(f"{name}: this Python cannot decompress it: {error}") from error

    def _raw(self, start: int, end: int) -> Iterator[bytes]:
        for at in range(start, end, 1 << 16):
            yield os.pread(self._descriptor, min(1 << 16, end - at), at)

    def copy(self, start: int, end: int, out: BinaryIO) -> None:
        """Write bytes of the archive, as they are, to `out`."""
        out.writelines(os.pread(self._descriptor, min(_MIB, end - at), at) for at in range(start, end, _MIB))
