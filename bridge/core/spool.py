"""Spool: bytes that came from somewhere, kept under one descriptor that programs can open again.

Small content stays in memory, large content in a file without a name. Refuses to know where bytes come from.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
import weakref
from typing import TYPE_CHECKING, Any, NoReturn, Self

from bridge.errors import Closed, LimitExceeded, OutputFailed, UriError
from bridge.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MEMORY", "Spool", "spool_object"]

MEMORY = 64 << 20
_PIECE = 1 << 20
_BYTES = (bytes, bytearray, memoryview)


class Spool:
    """Content as it comes in, then one descriptor of the whole. A context manager; `close` drops the content.

    Call `write` as often as needed, then `finish` once; from then on it can only be read.

    Parameters
    ----------
    cap : int
        Most bytes that may be written.
    name : str
        What the content is, for messages.
    limit : str
        The name of the limit that `cap` is the value of, for messages.
    memory : int
        Bytes that are kept in memory; with one more, all move to a private file in the folder for temporary
        files (``TMPDIR``) that has no name, so that it is gone with the last descriptor, whatever kills us.

    Attributes
    ----------
    size : int
        Bytes written.
    """

    def __init__(self, cap: int, *, name: str = "the content", limit: str = "bytes", memory: int = MEMORY) -> None:
        self.name = name
        self.cap = cap
        self.limit = limit
        self.size = 0
        self._memory = memory
        self._need = 0
        self._finished = False
        self._in_memory = True
        with uninterrupted():
            descriptor = _anonymous_memory()
            if descriptor is None:
                self._in_memory = False
                descriptor = self._private_file()
            self._descriptor = descriptor
            self._finalizer = weakref.finalize(self, os.close, descriptor)

    def __repr__(self) -> str:
        """Tell the size, and where it is."""
        place = "memory" if self._in_memory else "a private file"
        state = "closed" if self.closed else f"in {place}" if self._finished else f"in {place}, unfinished"
        return f"<Spool of {self.name}: {self.size} bytes, {state}>"

    def __enter__(self) -> Self:
        """Give the spool itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    @property
    def closed(self) -> bool:
        """Whether the content is dropped, or handed over."""
        return not self._finalizer.alive

    # In

    def expect(self, size: int) -> None:
        """Say how much will come, so that too much is refused before any of it does.

        Raises
        ------
        LimitExceeded
            If that is more than may be written.
        """
        self._check(size)
        self._need = size
        if size > self._memory:
            self._move()

    def write(self, data: bytes | bytearray | memoryview) -> int:
        """Add `data` to the end; give its length.

        Raises
        ------
        LimitExceeded
            If it is more than may be written.
        OutputFailed
            If the folder for temporary files is full.
        Closed
            If the spool is finished or closed.
        """
        view = memoryview(data)
        view = view.cast("B") if view.nbytes else memoryview(b"")
        if self._finished or self.closed:
            raise Closed(f"{self.name}: nothing can be added, the spool is {'closed' if self.closed else 'finished'}")
        total = self.size + len(view)
        self._check(total)
        self._need = max(self._need, total)
        if total > self._memory:
            self._move()
        self._put(view)
        self.size = total
        return len(view)

    def finish(self) -> Self:
        """Call once all has come: from here on the content is whole, and no child can change it."""
        if not self._finished:
            self._finished = True
            self._seal()
        return self

    def _check(self, size: int) -> None:
        if size > self.cap:
            raise LimitExceeded(
                f"{self.name}: {size} bytes{'' if self.size == 0 else ' or more'}, more than the limit {self.limit}="
                f"{self.cap} allows; if you trust it, raise it with limits=bridge.Limits({self.limit}=...)"
            )

    def _put(self, view: memoryview) -> None:
        try:
            _write_all(self._descriptor, view, self.size)
        except OSError as error:
            if not self._in_memory:
                self._raise_full(error)
            self._move()  # no memory left for us; the disk may have room
            self._put(view)

    def _move(self) -> None:
        """Move from memory to a file, under the same descriptor number."""
        if not self._in_memory:
            return
        with uninterrupted():
            file = self._private_file()
            try:
                for at in range(0, self.size, _PIECE):
                    piece = os.pread(self._descriptor, min(_PIECE, self.size - at), at)
                    _write_all(file, memoryview(piece), at)
                os.dup2(file, self._descriptor, inheritable=False)
            except OSError as error:
                self._raise_full(error)
            finally:
                os.close(file)
            self._in_memory = False

    def _private_file(self) -> int:
        try:
            return _nameless(tempfile.gettempdir())
        except OSError as error:
            self._raise_full(error)

    def _raise_full(self, error: OSError) -> NoReturn:
        raise OutputFailed(
            f"{self.name}: {max(self._need, self.size)} bytes could not be kept in the folder for temporary files,"
            f" {_folder()}: {error.strerror}; make room there, or set TMPDIR to a folder that has it"
        ) from error

    def _seal(self) -> None:
        """Take the way to write from everybody, ourselves included, as far as the system can."""
        with contextlib.suppress(OSError, AttributeError):
            if self._in_memory:
                seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
                fcntl.fcntl(self._descriptor, fcntl.F_ADD_SEALS, seals)
            with uninterrupted():
                reader = _again(self._descriptor)
                try:
                    os.dup2(reader, self._descriptor, inheritable=False)
                finally:
                    os.close(reader)

    # Out

    def fileno(self) -> int:
        """Give the descriptor; it stays ours. Its number is the same for the whole life of the spool."""
        if self.closed:
            raise Closed(f"{self.name}: the spool is closed")
        return self._descriptor

    def reopen(self) -> int:
        """Give a new descriptor for reading, with a position of its own at the beginning; the caller closes it."""
        with contextlib.suppress(OSError):
            return _again(self.fileno())
        descriptor = os.dup(self.fileno())  # no /proc: shares its position, good for one reader at a time
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor

    def detach(self) -> int:
        """Hand the descriptor over: the caller closes it, and the spool counts as closed."""
        descriptor = self.fileno()
        self._finalizer.detach()
        return descriptor

    def read_at(self, offset: int, count: int) -> bytes:
        """Read up to `count` bytes at `offset`; fewer only at the end."""
        return os.pread(self.fileno(), count, offset)

    def close(self) -> None:
        """Drop the content. May be called by anybody, any number of times; the collector does it at the latest."""
        with uninterrupted():
            self._finalizer()


def spool_object(file: Any, cap: int, chunk: int = _PIECE, *, name: str | None = None, limit: str = "bytes") -> Spool:
    """Read a file object, from where it stands to its end, into a spool.

    Parameters
    ----------
    file
        Something with ``read(count)`` that gives bytes, fewer than asked for if it likes, and none at its end. It
        stays open, and stands at its end afterwards.
    cap : int
        Most bytes to take from it.
    chunk : int
        Bytes to ask for at a time.
    name, limit : str
        What the object, and the limit that `cap` is the value of, are called in messages.

    Raises
    ------
    UriError
        If it is closed, not open for reading, in text mode, or non-blocking with nothing to give.
    LimitExceeded
        If it gives more than `cap` bytes.
    Exception
        What `read` itself raises comes out as it is.
    """
    name = name or str(getattr(file, "name", f"<{type(file).__name__} object>"))
    _refuse_unreadable(file, name)
    spool = Spool(cap, name=name, limit=limit)
    try:
        for piece in _pieces(file, chunk, name):
            spool.write(piece)
        return spool.finish()
    except BaseException:
        spool.close()
        raise


def _refuse_unreadable(file: Any, name: str) -> None:
    """Refuse what can be told without taking anything from the object."""
    if getattr(file, "closed", False) is True:
        raise UriError(f"{name} is closed; give it while it is open")
    if not callable(getattr(file, "read", None)):
        raise UriError(f"{name} has no `read`")
    readable = getattr(file, "readable", None)
    if callable(readable) and not readable():
        raise UriError(f"{name} is not open for reading: open it with 'rb'")
    if hasattr(file, "encoding") and hasattr(file, "newlines"):  # io.TextIOBase, and what wraps one
        raise _text_mode(name)


def _text_mode(name: str) -> UriError:
    return UriError(f"{name} is opened in text mode: open it with 'rb'")


def _pieces(file: Any, chunk: int, name: str) -> Iterator[bytes | bytearray | memoryview]:
    while True:
        piece = file.read(chunk)
        if isinstance(piece, str):
            raise _text_mode(name)
        if piece is None:
            raise UriError(f"{name} is non-blocking and has nothing to give now: make it blocking, or pass its bytes")
        if not isinstance(piece, _BYTES):
            raise UriError(f"{name}: `read` gave {type(piece).__name__}, not bytes")
        if not memoryview(piece).nbytes:
            return
        yield piece


def _anonymous_memory() -> int | None:
    """Make a file in memory; None where the system has none, or a sandbox forbids it."""
    with contextlib.suppress(OSError, AttributeError):
        return os.memfd_create("framebridge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    return None


def _nameless(folder: str) -> int:
    """Make a file without a name in `folder`, for this user alone."""
    with contextlib.suppress(OSError, AttributeError):  # a file system, or a system, without O_TMPFILE
        # O_EXCL: it can never be given a name either
        return os.open(folder, os.O_TMPFILE | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
    descriptor, path = tempfile.mkstemp(prefix="framebridge-", dir=folder)
    os.unlink(path)  # noqa: PTH108 - mkstemp gives a str
    return descriptor


def _write_all(descriptor: int, view: memoryview, at: int) -> None:
    while view:
        count = os.pwrite(descriptor, view, at)
        view, at = view[count:], at + count


def _again(descriptor: int) -> int:
    return os.open(f"/proc/self/fd/{descriptor}", os.O_RDONLY | os.O_CLOEXEC)


def _folder() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:  # none of the usual ones can be written
        return os.environ.get("TMPDIR", "/tmp")  # noqa: S108 - named in a message, not used
