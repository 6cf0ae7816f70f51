"""Request: one call's resource, mode and keywords; gives descriptors to read from and commits outputs.

A resource is opened once, here. Outputs are made under another name and appear under their own in one step,
whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge.core.source import open_source, readable
from bridge.core.target import Target, not_placed, target_for, writable
from bridge.core.uri import FilePath, parse
from bridge.errors import UriError
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
    file_name : str
        The name that the content goes by, without folders; empty for raw bytes.
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
            raise UriError(f"mode must be one of {', '.join(map(repr, MODES))}, not {mode!r}")
        self.uri = uri
        self.mode = mode
        self.kwargs = dict(kwargs or {})
        self.limits = limits
        self.kind: str | None = None
        self.resource = (writable if writing else readable)(parse(uri))
        self.name = name or str(self.resource)
        self._head: bytes | None = None
        self._target: Target | None = None
        self._files = _Files()
        self._finalizer = weakref.finalize(self, self._files.drop)
        self._start(writing=writing)

    def _start(self, *, writing: bool) -> None:
        if writing:
            self._target = target_for(self.resource)
            self.file_name = self._target.file_name
        else:
            opened = open_source(self.resource, self.limits)
            self._files.source, self.file_name = opened.descriptor, opened.file_name
        self.extension = Path(self.file_name).suffix.lower()

    def __repr__(self) -> str:
        """Tell the resource and the mode."""
        return f"<Request {self.name} for {MODES[self.mode]}>"

    def __enter__(self) -> Self:
        """Give the request itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    @property
    def path(self) -> Path | None:
        """The file, where the resource is one."""
        return self.resource.path if isinstance(self.resource, FilePath) else None

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

    # Writing

    def part(self) -> Path:
        """Give the file in which the output is made; created on the first call.

        Its name tells the process that makes it, so that what a killed process has left can be told apart.
        """
        if self._target is None:
            raise UriError(f"{self.name} was opened for reading")
        if self._files.part is None:
            folder = self._target.folder
            part = folder / f".framebridge-{os.getpid()}-{os.urandom(6).hex()}.part"
            self._files.part = part  # before it is made: an interrupt may come between
            try:
                descriptor = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
            except OSError as error:
                self._files.part = None
                raise not_placed(self.name, folder, error) from error
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
        """Put the finished output in its place, in one step."""
        part = self.part()
        if self._target is None:
            return
        try:
            self._target.place(part)
        except OSError as error:
            raise not_placed(self.name, self._target.folder, error) from error
        part.unlink(missing_ok=True)
        self._files.part = None

    def get_result(self) -> bytes | None:
        """Give the output itself after a commit to ``"<bytes>"``; None for every other uri."""
        return self._target.result if self._target else None

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
