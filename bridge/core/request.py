"""Request: one call's resource, mode and keywords; gives descriptors to read from and commits outputs.

A resource is opened once, here. Outputs are made under another name and appear under their own in one step,
whole or not at all.
"""

from __future__ import annotations

import contextlib
import errno
import os
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge.core.lasting import lasting
from bridge.core.part import Part, part_name
from bridge.core.source import open_source, readable
from bridge.core.target import Target, not_placed, target_for, writable
from bridge.core.uri import FilePath, Series, parse
from bridge.errors import BridgeError, LimitExceeded, UriError
from bridge.interrupts import uninterrupted
from bridge.limits import Limits, in_force

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.core.format import Format
    from bridge.core.spool import Spool

__all__ = ["MODES", "Request", "scarcity"]

MODES = {
    "i": "an image",
    "I": "multiple images",
    "v": "a volume",
    "V": "multiple volumes",
    "?": "anything",
}
_HEAD = 4096
_FARTHEST = 1 << 62
_PIECE = 1 << 16


@contextlib.contextmanager
def scarcity(name: str) -> Iterator[None]:
    """Say in an error of ours that the system gives this process no more descriptors."""
    try:
        yield
    except OSError as error:
        if isinstance(error, BridgeError) or error.errno not in (errno.EMFILE, errno.ENFILE):
            raise
        raise LimitExceeded(
            f"{name}: the system lets this process open no more files ({error.strerror}); close some readers, or raise "
            "its limit (`ulimit -n`)"
        ) from error


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
    limits : Limits, optional
        What the call may cost; by default what is in force.
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
    known : dict
        What was found out about the content, so that it need not be looked for again.
    lasting
        A uri by which the same can be opened again in another process; None if there is none.
    choose : callable or None
        Finds the format of such a request by its name; set by the catalogue.
    """

    def __init__(
        self,
        uri: Any,
        mode: str = "?",
        *,
        writing: bool = False,
        kwargs: dict[str, Any] | None = None,
        limits: Limits | None = None,
        name: str | None = None,
    ) -> None:
        if mode not in MODES:
            raise UriError(f"mode must be one of {', '.join(map(repr, MODES))}, not {mode!r}")
        self.uri = uri
        self.mode = mode
        self.kwargs = dict(kwargs or {})
        self.limits = limits or in_force()
        self.kind: str | None = None
        self.known: dict[str, Any] = {}
        self.resource = (writable if writing else readable)(parse(uri))
        self.name = name or str(self.resource)
        self.lasting = None if writing else lasting(self.resource)
        self.choose: Callable[[Request, str], Format] | None = None
        self._head: bytes | None = None
        self._target: Target | None = None
        self._files = _Files()
        self._finalizer = weakref.finalize(self, self._files.drop)
        with scarcity(self.name):
            self._start(writing=writing)

    def _start(self, *, writing: bool) -> None:
        if writing:
            self._target = target_for(self.resource)
            self.file_name = self._target.file_name
        else:
            plain = isinstance(
                self.resource, FilePath | Series
            )  # its descriptor has no owner, and nobody is waited for
            with uninterrupted() if plain else contextlib.nullcontext():
                opened = open_source(self.resource, self.limits)
                self._files.owner = opened.owner
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
        """Read up to `count` bytes at `offset`; fewer only at the end, and where no file can have any."""
        if not 0 <= offset < _FARTHEST or count <= 0:
            return b""
        if count > _PIECE:  # as a header may say that has no such content
            count = min(count, max(0, self.size - offset))
        return os.pread(self._files.source, count, offset)

    @contextlib.contextmanager
    def input(self) -> Iterator[int]:
        """Give a descriptor of the content, at its beginning, for one child; closed on leaving.

        It is the file that this request has opened, with a position of its own, whatever has happened
        to the name since.
        """
        descriptor = -1
        try:
            with scarcity(self.name), uninterrupted():
                descriptor = self._reopen()
            yield descriptor
        finally:
            if descriptor >= 0:
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
        """Give the file in which the output is made; created on the first call."""
        if self._files.part is None:
            self._files.part = Part(part_name(self._output_target.folder))
            self._make(self._files.part)
        return self._files.part.path

    def draft(self, *, found: bool = False) -> Path:
        """Give a file for what the output is made from; created on the first call, gone with the request.

        Parameters
        ----------
        found : bool
            Give it a name that users find, if the process dies: that of the target with ``.recording-PID``.
        """
        if self._files.draft is None:
            target = self._output_target
            name = Path(target.file_name or "film")
            path = target.folder / f"{name.stem}.recording-{os.getpid()}{name.suffix}"
            self._files.draft = Part(path if found else part_name(target.folder))
            self._make(self._files.draft)
        return self._files.draft.path

    def keep_draft(self) -> Path | None:
        """Leave the draft where it is; give its name."""
        draft, self._files.draft = self._files.draft, None
        if draft is None:
            return None
        draft.keep()
        return draft.path

    @property
    def _output_target(self) -> Target:
        if self._target is None:
            raise UriError(f"{self.name} was opened for reading")
        return self._target

    def _make(self, part: Part) -> None:
        try:
            with uninterrupted():
                part.make()
        except OSError as error:
            raise not_placed(self.name, part.path.parent, error) from error

    @contextlib.contextmanager
    def output(self, path: Path | None = None) -> Iterator[int]:
        """Give a descriptor of the file that the output, or its draft, is made in, for one child; closed on leaving.

        A child that gets a name could make the file again after we have removed it.
        """
        descriptor = -1
        try:
            with scarcity(self.name), uninterrupted():
                descriptor = os.open(path or self.part(), os.O_RDWR | os.O_CLOEXEC)
            yield descriptor
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def commit(self) -> None:
        """Put the finished output in its place, in one step."""
        part, target = self.part(), self._output_target
        try:
            target.place(part)
        except OSError as error:
            raise not_placed(self.name, target.folder, error) from error
        self._files.drop_part()

    def get_result(self) -> bytes | None:
        """Give the output itself after a commit to ``"<bytes>"``; None for every other uri."""
        return self._target.result if self._target else None

    def close(self) -> None:
        """End the request: close what is open, remove an output that was not committed."""
        with uninterrupted():
            self._finalizer()


class _Files:
    """What must be put away even when nobody holds the Request any more."""

    def __init__(self) -> None:
        self.source = -1
        self.owner: Spool | None = None  # of the source, where it is no file's
        self.part: Part | None = None
        self.draft: Part | None = None

    def drop(self) -> None:
        if self.owner is not None:
            self.owner.close()
        elif self.source >= 0:
            os.close(self.source)
        self.source = -1
        self.drop_part()
        if self.draft is not None:
            self.draft.drop()
            self.draft = None

    def drop_part(self) -> None:
        if self.part is not None:
            self.part.drop()
            self.part = None
