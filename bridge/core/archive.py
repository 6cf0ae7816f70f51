"""Members of zip archives: which part of a path is the archive, and one member in or out.

The directory of the archive is read by `zipfile`; the data by ourselves, so that neither a size that lies nor a
decompressor without a bound can take more than the limits say. Nothing is ever extracted by its name.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import stat
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Protocol

from bridge.core.part import Part, part_name
from bridge.errors import (
    BridgeError,
    CorruptMedia,
    ForbiddenUri,
    LimitExceeded,
    MissingCodec,
    OutputFailed,
    UriError,
    UriIsDirectory,
    UriNotFound,
)

if TYPE_CHECKING:  # the others are imported where they are used: most reading and writing never gets there
    import zipfile
    from collections.abc import Callable, Iterator

    from bridge.core.spool import Spool

__all__ = ["ArchiveLimits", "members", "read_member", "split", "split_for_writing", "write_member"]

_MIB = 1 << 20
_LOCAL_HEADER = struct.Struct("<4s 2x H 18x HH")  # signature, version, flags, ..., lengths of name and extra field
_LOCAL, _CENTRAL = b"PK\x03\x04", b"PK\x01\x02"
_ENCRYPTED, _PATCHED, _UTF8 = 0x1, 0x20, 0x800
_UNIX = 3
_DICTIONARY = 64 * _MIB  # of LZMA: what `7z -mx=9` takes; a header may ask for 4 GiB
_STORED, _DEFLATED = 0, 8  # methods of compression
_METHODS = {9: "deflate64", 93: "zstd", 95: "xz", 98: "ppmd"}
# Names of content that is compressed already: to deflate it again costs time and gains nothing.
_PICTURES = {".png", ".apng", ".jpg", ".jpeg", ".jp2", ".jxl", ".gif", ".webp", ".avif", ".heic", ".heif"}
_FILMS = {".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".ts", ".ogv", ".flv", ".wmv", ".m4a"}
_COMPRESSED = _PICTURES | _FILMS | {".zip", ".npz", ".gz", ".bz2", ".xz", ".zst"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveLimits:
    """What a member of an archive may cost.

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
def _opened(archive: int | str | Path, limits: ArchiveLimits) -> Iterator[_Archive]:
    name = f"the archive with descriptor {archive}" if isinstance(archive, int) else str(archive)
    descriptor = _open(archive, name)
    try:
        yield _Archive(descriptor, name, limits)
    finally:
        os.close(descriptor)


def _open(archive: int | str | Path, name: str) -> int:
    if isinstance(archive, int):
        return os.dup(archive)  # only ever read by position, so that the owner's is left alone
    try:  # O_NONBLOCK: a FIFO must not hang us
        return os.open(archive, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise _unreadable(name, error) from error


def _unreadable(name: str, error: OSError) -> BridgeError:
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
            f"{self._name} has {what}, but the limit `entries` is {self._limits.entries};"
            " if you trust it, give limits with a larger `entries`"
        )


class _Archive:
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
            least = _LOCAL_HEADER.size + len(info.orig_filename) + info.compress_size
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
            self._fill(spool, info)
            return spool.finish()
        except BaseException:
            spool.close()
            raise

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
        kind = stat.S_IFMT(info.external_attr >> 16) if info.create_system == _UNIX else 0
        if kind not in (0, stat.S_IFREG):
            what = "a link" if kind == stat.S_IFLNK else "not a regular file"
            raise ForbiddenUri(f"{name} is {what}: only files are read from archives")
        if info.file_size > max(self._limits.ratio_from, self._limits.ratio * info.compress_size):
            raise LimitExceeded(
                f"{name}: {info.compress_size} bytes become {info.file_size}, but the limit `ratio` is"
                f" {self._limits.ratio:g}:1; if you trust it, give limits with a larger `ratio`"
            )
        return info

    def _fill(self, spool: Spool, info: zipfile.ZipInfo) -> None:
        """Decompress; never past the size that the directory tells, which the limits have allowed."""
        check = 0
        for piece in self._pieces(info, spool.name):
            if spool.size + len(piece) > info.file_size:
                raise CorruptMedia(f"{spool.name} holds more than the {info.file_size} bytes that the archive tells")
            check = zlib.crc32(piece, check)
            spool.write(piece)
        if spool.size < info.file_size:
            raise CorruptMedia(f"{spool.name} ends after {spool.size} of {info.file_size} bytes")
        if check != info.CRC:
            raise CorruptMedia(f"{spool.name} is damaged: its checksum is wrong")

    def _pieces(self, info: zipfile.ZipInfo, name: str) -> Iterator[bytes]:
        start, end = self.data(info)
        try:
            codec, skip = self._codec(info, start, name)
            yield from _decompressed(codec, self._raw(start + skip, end))
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
        fixed = os.pread(self._descriptor, _LOCAL_HEADER.size, info.header_offset)
        if len(fixed) < _LOCAL_HEADER.size or fixed[:4] != _LOCAL:
            raise CorruptMedia(f"{self.name}: there is no member where {info.filename!r} should be")
        _, _, name_length, extra_length = _LOCAL_HEADER.unpack(fixed)
        at = info.header_offset + len(fixed)
        rest = os.pread(self._descriptor, name_length + extra_length, at)
        if rest[:name_length] != info.orig_filename.encode("utf-8" if info.flag_bits & _UTF8 else "cp437"):
            raise CorruptMedia(f"{self.name}: {info.filename!r} has another name in its own header")
        return at + name_length + extra_length, fixed, rest[name_length:]

    def extent(self, info: zipfile.ZipInfo) -> tuple[int, int]:
        """Give all that lies between the local header of a member and the next: data, and what describes it."""
        start, _ = self.data(info)
        return start, self._next[info.header_offset]

    def _codec(self, info: zipfile.ZipInfo, start: int, name: str) -> tuple[_Codec, int]:
        """Give what decompresses a member, and how many bytes to skip before."""
        method = info.compress_type
        if info.flag_bits & _PATCHED or method not in _CODECS:
            kind = "patches" if info.flag_bits & _PATCHED else _METHODS.get(method, f"method {method}")
            raise MissingCodec(f"{name} is compressed by {kind}: pack it again with deflate")
        try:
            return _CODECS[method](os.pread(self._descriptor, 9, start), name)
        except ImportError as error:  # a Python that was built without
            raise MissingCodec(f"{name}: this Python cannot decompress it: {error}") from error

    def _raw(self, start: int, end: int) -> Iterator[bytes]:
        for at in range(start, end, 1 << 16):
            yield os.pread(self._descriptor, min(1 << 16, end - at), at)

    def copy(self, start: int, end: int, out: BinaryIO) -> None:
        """Write bytes of the archive, as they are, to `out`."""
        out.writelines(os.pread(self._descriptor, min(_MIB, end - at), at) for at in range(start, end, _MIB))


# Decompression, never more than 1 MiB at a time. zipfile's own gives bz2 and LZMA no bound: 1 MiB read from it
# can be 20 GB in memory.


class _Codec(Protocol):
    """As bz2 and lzma have it."""

    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int = -1) -> bytes: ...


class _Stored:
    eof = False
    needs_input = True

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:  # noqa: ARG002 - what comes in is bounded
        return data


class _Deflate:
    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(-15)
        self.needs_input = True

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    def decompress(self, data: bytes, max_length: int = -1) -> bytes:
        made = self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)
        self.needs_input = len(made) < max_length and not self._inflater.unconsumed_tail
        return made


def _bzip2() -> _Codec:
    import bz2

    return bz2.BZ2Decompressor()


def _lzma(head: bytes, name: str) -> tuple[_Codec, int]:
    """Make one from the header in front of the data: version, length 5, lc/lp/pb, size of the dictionary."""
    import lzma

    length, packed, dictionary = struct.unpack("<2xHBI", head.ljust(9, b"\xff"))
    if length != 5 or packed >= 225:
        raise EOFError("its LZMA header is wrong")
    if dictionary > _DICTIONARY:
        raise LimitExceeded(
            f"{name}: its LZMA dictionary takes {dictionary} bytes of memory, and the limit is {_DICTIONARY};"
            " pack it again with deflate"
        )
    rest, lc = divmod(packed, 9)
    pb, lp = divmod(rest, 5)
    options = {"id": lzma.FILTER_LZMA1, "lc": lc, "lp": lp, "pb": pb, "dict_size": max(dictionary, 4096)}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[options]), len(head)


_CODECS: dict[int, Callable[[bytes, str], tuple[_Codec, int]]] = {
    _STORED: lambda *_: (_Stored(), 0),
    _DEFLATED: lambda *_: (_Deflate(), 0),
    12: lambda *_: (_bzip2(), 0),
    14: _lzma,
}


def _decompressed(codec: _Codec, pieces: Iterator[bytes]) -> Iterator[bytes]:
    while not codec.eof:
        piece = next(pieces, b"") if codec.needs_input else b""
        made = codec.decompress(piece, _MIB)
        if not made and not piece:
            return
        yield made


# Writing


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
        old = _Archive(descriptor, str(target), limits) if descriptor is not None and _size(descriptor) else None
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
            raise _unreadable(str(target), error) from error
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


def _refuse_folder(old: _Archive, member: str) -> None:
    if any(info.filename.startswith(member + "/") for info in old.infos):
        raise UriIsDirectory(f"{old.name}: {member!r} is a folder; name a file in it")


def _copied(old: _Archive, member: str, out: BinaryIO) -> list[zipfile.ZipInfo]:
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
    return info.filename == info.orig_filename and (info.filename.isascii() or bool(info.flag_bits & _UTF8))


def _renamed(fixed: bytes, info: zipfile.ZipInfo) -> bytes:
    """Give a local header with the name as zipfile will write it into the directory: in UTF-8.

    Appending by zipfile alone writes only the directory so, and members with names from DOS can't be read any more.
    """
    name = info.filename.encode()
    _, flags, _, extra_length = _LOCAL_HEADER.unpack(fixed)
    flags |= 0 if info.filename.isascii() else _UTF8
    return fixed[:6] + struct.pack("<H", flags) + fixed[8:26] + struct.pack("<HH", len(name), extra_length) + name


def _append(out: BinaryIO, kept: list[zipfile.ZipInfo], comment: bytes, member: str, source: Path) -> None:
    """Write the member and the directory behind what has been copied: zipfile begins where the file stands."""
    import shutil
    import zipfile

    info = zipfile.ZipInfo(member, date_time=_now())
    info.compress_type = _STORED if Path(member).suffix.lower() in _COMPRESSED else _DEFLATED
    info.create_system = _UNIX
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
