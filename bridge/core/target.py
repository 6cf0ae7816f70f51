"""Where finished output goes: each kind of resource checked before any work, and filled by one step at the end."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import tempfile
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

from bridge.core.archive import split_for_writing
from bridge.core.archive_writing import write_member
from bridge.core.uri import Device, FileObject, FilePath, Resource, ReturnBytes, Url, ZipMember
from bridge.errors import BridgeError, ForbiddenUri, OutputFailed, UriError, UriIsDirectory, UriNotFound

__all__ = ["Target", "not_placed", "target_for", "writable"]


def writable(resource: Resource) -> Resource:
    """Tell what a resource means for writing: a path into an archive names its member."""
    if isinstance(resource, FilePath):
        found = split_for_writing(resource.path)
        if found is not None:
            return ZipMember(archive=found[0], member=found[1])
    return resource


def target_for(resource: Resource) -> Target:
    """Give the way to fill a resource, and refuse at once one that can't be written.

    Raises
    ------
    UriError, UriNotFound, UriIsDirectory, ForbiddenUri
    """
    if isinstance(resource, FilePath):
        return _File(resource)
    if isinstance(resource, ZipMember):
        return _Member(resource)
    if isinstance(resource, FileObject):
        return _Object(resource)
    if isinstance(resource, ReturnBytes):
        return _Bytes()
    if isinstance(resource, Device) and resource.name == "clipboard":
        return _Clipboard()
    if isinstance(resource, Url) and not resource.address.lower().startswith(_READ_ONLY):
        return _Stored(resource)
    raise UriError(
        f"{resource} cannot be written; give a file name, a member of a zip, a file object, '<clipboard>', '<bytes>' or"
        " an address that fsspec writes"
    )


_READ_ONLY = ("http://", "https://", "ftp://", "ftps://")


class Target(ABC):
    """One place for output.

    Attributes
    ----------
    file_name : str
        What the output is called; its extension says the format.
    folder : Path
        Where the output is made before it is put in its place.
    result : bytes or None
        The output itself, where it is to be returned.
    """

    file_name: str = ""
    folder: Path
    result: bytes | None = None

    @abstractmethod
    def place(self, part: Path) -> None:
        """Put the finished output in its place. What is left of `part` the caller removes."""


class _File(Target):
    """A file: it is made beside the old one and takes its place by rename."""

    def __init__(self, resource: FilePath) -> None:
        name = str(resource)
        self._path = Path(os.path.realpath(resource.path))  # a link stays, what it points to is replaced
        self._name = name
        self.file_name = resource.path.name
        self.folder = self._path.parent
        self._check()

    def _check(self) -> None:
        try:
            mode = self._path.stat().st_mode
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            mode = stat.S_IFREG
        except OSError as error:
            raise UriError(f"{self._name} cannot be written: {error.strerror}") from error
        if stat.S_ISDIR(mode):
            raise UriIsDirectory(f"{self._name} is a directory; name a file in it")
        if not stat.S_ISREG(mode):
            raise UriError(f"{self._name} is not a regular file; write to a file and copy it there")
        _check_folder(self._name, self.folder)

    def place(self, part: Path) -> None:
        if self._path.exists():
            part.chmod(stat.S_IMODE(self._path.stat().st_mode))
        part.replace(self._path)


def _check_folder(name: str, folder: Path) -> None:
    if not folder.is_dir():
        raise UriNotFound(f"{name}: there is no folder {folder}; make it first")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise ForbiddenUri(f"{name}: nothing may be written in {folder}; choose another folder")


class _Member(Target):
    """A member of an archive, which is made anew with it and takes the old one's place."""

    def __init__(self, resource: ZipMember) -> None:
        self._resource = resource
        self.file_name = Path(resource.member).name
        self.folder = resource.archive.parent
        if not self.file_name or resource.member.endswith("/"):
            raise UriError(f"{resource} names no member of the archive")
        _check_folder(str(resource), self.folder)

    def place(self, part: Path) -> None:
        write_member(self._resource.archive, self._resource.member, part)


class _Object(Target):
    """A file object: it gets the whole output when that is finished, or nothing."""

    def __init__(self, resource: FileObject) -> None:
        self._file: Any = resource.file
        name = getattr(self._file, "name", "")
        self.file_name = Path(name).name if isinstance(name, str) else ""
        self.folder = Path(tempfile.gettempdir())
        self._check(str(resource))

    def _check(self, name: str) -> None:
        if not callable(getattr(self._file, "write", None)):
            raise UriError(f"{name} has no `write`")
        if getattr(self._file, "closed", False) is True:
            raise UriError(f"{name} is closed; give it while it is open")
        if isinstance(self._file, io.TextIOBase):
            raise UriError(f"{name} is open in text mode: open it with 'wb'")

    def place(self, part: Path) -> None:
        with part.open("rb") as content:
            while piece := content.read(1 << 20):
                self._write(memoryview(piece))

    def _write(self, left: memoryview) -> None:
        """Write all of it: a raw file may take less than it is given; what tells no number has taken all."""
        while left:
            taken = self._file.write(left)
            left = left[taken:] if isinstance(taken, int) else left[:0]


class _Bytes(Target):
    """The caller, who gets the output as bytes."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.gettempdir())

    def place(self, part: Path) -> None:
        self.result = part.read_bytes()


class _Stored(Target):
    """A place that the library fsspec knows: the output is sent there when it is finished.

    Stores of objects show it when they have all of it; elsewhere it goes under another name, which is then changed.
    """

    def __init__(self, resource: Url) -> None:
        self._name = str(resource)
        try:
            import fsspec
        except ImportError:
            raise UriError(f"{resource}: such addresses need fsspec: pip install 'framebridge[fsspec]'") from None
        try:
            self._files, self._path = fsspec.core.url_to_fs(resource.address)
        except (ValueError, ImportError) as error:
            raise UriError(f"{resource} cannot be opened by fsspec: {error}") from error
        self.file_name = self._path.rpartition("/")[2]
        self.folder = Path(tempfile.gettempdir())
        if not self.file_name or resource.address.endswith("/"):
            raise UriIsDirectory(f"{resource} is a folder; name a file in it")

    def place(self, part: Path) -> None:
        unfinished = f"{self._path}.{os.urandom(6).hex()}.part"
        try:
            self._files.put_file(str(part), unfinished)
            self._files.mv(unfinished, self._path)
        except Exception as error:  # each kind of store raises its own
            with contextlib.suppress(Exception):
                self._files.rm(unfinished)
            raise OutputFailed(f"{self._name} could not be written: {error}") from error


class _Clipboard(Target):
    """The clipboard: its Writer hands the picture over, and only then it is committed."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.gettempdir())

    def place(self, part: Path) -> None:
        """Do nothing: it is in its place."""


def not_placed(name: str, folder: Path, error: OSError) -> BridgeError:
    """Turn what the system says of an output into an error of ours."""
    if isinstance(error, BridgeError):
        return error
    if isinstance(error, PermissionError) or error.errno == 30:  # EROFS
        return ForbiddenUri(f"{name}: nothing may be written in {folder}; choose another folder")
    return OutputFailed(f"{name} could not be written in {folder}: {error.strerror or error}")
