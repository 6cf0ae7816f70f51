"""Request: one call's resource, mode and keywords; gives descriptors to read from and commits outputs.

A resource is opened once, here. Outputs are made under another name in the target's folder and appear
under their own by rename, whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge.core.uri import FilePath, parse
from bridge.errors import (
    BridgeError,
    CorruptMedia,
    ForbiddenUri,
    OutputFailed,
    UriError,
    UriIsDirectory,
    UriNotFound,
)
from bridge.limits import DEFAULT, Limits

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MODES", "Request"]

MODES = {
    "i": "an image",
    "I": "multiple images",
    "v": "a volume",
    "V": "multiple volumes",
    "?": "anything",
}
_HEAD = 4096


class Request:
    """What one call asks for. A context manager; `close` ends it, and drops an output not committed.

    Parameters
    ----------
    uri
        The user's uri.
    mode : {"i", "I", "v", "V", "?"}
        What the user expects to read or write.
    writing : bool
        Whether this is an output.
    kwargs : dict
        The user's further keywords, for the Reader or Writer.
    limits : Limits
        What the call may cost.
    name : str, optional
        What messages call it, where that is not the uri.

    Attributes
    ----------
    name : str
        The user's name of the resource, for messages.
    extension : str
        Lower case, with its point; empty if there is none.
    kind : str or None
        What the content is, as told from its first bytes; set by the catalogue.
    """

    def __init__(
        self,
        uri: Any,
        mode: str = "?",
        *,
        writing: bool = False,
        kwargs: dict[str, Any] | None = None,
        limits: Limits = DEFAULT,
        name: str | None = None,
    ) -> None:
        if mode not in MODES:
            message = f"mode must be one of {', '.join(map(repr, MODES))}, not {mode!r}"
            raise UriError(message)
        self.uri = uri
        self.mode = mode
        self.kwargs = dict(kwargs or {})
        self.limits = limits
        self.resource = parse(uri)
        self.name = name or str(self.resource)
        self.kind: str | None = None
        self._head: bytes | None = None
        self._files = _Files()
        self._finalizer = weakref.finalize(self, self._files.drop)
        if not isinstance(self.resource, FilePath):
            message = (
                f"{self.name}: only file names are read and written by this version, not {type(self.resource).__name__}"
            )
            raise UriError(message)
        self.path = self.resource.path
        self.extension = self.path.suffix.lower()
        if writing:
            self._check_target()
        else:
            self._files.source = self._open()

    def __repr__(self) -> str:
        """Tell the resource and the mode."""
        return f"<Request {self.name} for {MODES[self.mode]}>"

    def __enter__(self) -> Self:
        """Give the request itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    # Reading

    @property
    def size(self) -> int:
        """Bytes of the content."""
        return os.fstat(self._files.source).st_size

    @property
    def head(self) -> bytes:
        """The first 4 KiB of the content."""
        if self._head is None:
            self._head = self.read_at(0, _HEAD)
        return self._head

    def read_at(self, offset: int, count: int) -> bytes:
        """Read up to `count` bytes at `offset`; fewer only at the end."""
        return os.pread(self._files.source, count, offset)

    @contextlib.contextmanager
    def input(self) -> Iterator[int]:
        """Give a descriptor of the content, at its beginning, for one child; closed on leaving.

        It is the file that this request has opened, with a position of its own, whatever has happened
        to the name since.
        """
        descriptor = self._reopen()
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def _reopen(self) -> int:
        flags = os.O_RDONLY | os.O_CLOEXEC
        with contextlib.suppress(OSError):  # no /proc: not Linux, or a bare chroot
            return os.open(f"/proc/self/fd/{self._files.source}", flags)
        descriptor = os.dup(self._files.source)  # shares its position: good for one child at a time
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def _open(self) -> int:
        try:  # O_NONBLOCK: a FIFO must not hang us
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise _unreadable(self.name, error) from error
        facts = os.fstat(descriptor)
        if stat.S_ISREG(facts.st_mode) and facts.st_size:
            return descriptor
        os.close(descriptor)
        raise self._nothing_to_read(facts)

    def _nothing_to_read(self, facts: os.stat_result) -> BridgeError:
        if stat.S_ISDIR(facts.st_mode):
            return UriIsDirectory(f"{self.name} is a directory; name a file in it")
        if stat.S_ISREG(facts.st_mode):
            return CorruptMedia(f"{self.name} is empty (0 bytes)")
        return UriError(f"{self.name} is not a regular file; copy its content to a file to read it")

    # Writing

    def _check_target(self) -> None:
        """Refuse, before any work is done, a target that can't be written."""
        try:
            is_directory = stat.S_ISDIR(self.path.stat().st_mode)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            is_directory = False
        except OSError as error:
            raise UriError(f"{self.name} cannot be written: {error.strerror}") from error
        if is_directory:
            message = f"{self.name} is a directory; name a file in it"
            raise UriIsDirectory(message)
        self.path = Path(os.path.realpath(self.path))  # a link stays, what it points to is replaced
        if self.path.exists() and not self.path.is_file():
            message = f"{self.name} is not a regular file; write to a file and copy it there"
            raise UriError(message)
        if not self.path.parent.is_dir():
            message = f"{self.name}: there is no folder {self.path.parent}; make it first"
            raise UriNotFound(message)
        if not os.access(self.path.parent, os.W_OK | os.X_OK):
            raise self._forbidden_folder()

    def _forbidden_folder(self) -> ForbiddenUri:
        return ForbiddenUri(f"{self.name}: nothing may be written in {self.path.parent}; choose another folder")

    def part(self) -> Path:
        """Give the file, in the target's folder, that the output is made in; created on the first call.

        Its name tells the process that makes it, so that what a killed process has left can be told apart.
        """
        if self._files.part is None:
            part = self.path.with_name(f".framebridge-{os.getpid()}-{os.urandom(6).hex()}.part")
            self._files.part = part  # before it is made: an interrupt may come between
            try:
                descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
            except OSError as error:
                self._files.part = None
                if error.errno in _FORBIDDEN:
                    raise self._forbidden_folder() from error
                raise self._not_placed(error) from error
            os.close(descriptor)
        return self._files.part

    @contextlib.contextmanager
    def output(self) -> Iterator[int]:
        """Give a descriptor of the file that the output is made in, for one child; closed on leaving.

        A child that gets a name could make the file again after we have removed it.
        """
        descriptor = os.open(self.part(), os.O_RDWR | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    def commit(self) -> None:
        """Put the finished output in its place, with the mode of the file that it replaces."""
        part = self.part()
        try:
            if self.path.exists():
                part.chmod(stat.S_IMODE(self.path.stat().st_mode))
            part.replace(self.path)
        except OSError as error:
            raise self._not_placed(error) from error
        self._files.part = None

    def _not_placed(self, error: OSError) -> OutputFailed:
        return OutputFailed(f"{self.name} could not be written: {error.strerror}")

    def close(self) -> None:
        """End the request: close what is open, remove an output that was not committed."""
        self._finalizer()


class _Files:
    """What must be put away even when nobody holds the Request any more."""

    def __init__(self) -> None:
        self.source = -1
        self.part: Path | None = None
        self.owner = os.getpid()

    def drop(self) -> None:
        if self.source >= 0:
            os.close(self.source)
            self.source = -1
        if self.part is not None and self.owner == os.getpid():
            self.part.unlink(missing_ok=True)
            self.part = None


_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


def _unreadable(name: str, error: OSError) -> BridgeError:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return UriNotFound(f"there is no file {name}")
    if error.errno in _FORBIDDEN:
        return ForbiddenUri(f"{name} may not be read: {error.strerror}")
    return UriError(f"{name} cannot be opened: {error.strerror}")
