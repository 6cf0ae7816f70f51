"""FrameSource, FrameSink and Tail: exact frames out, frames in, the two ends of what a program says.

Knows pipes and whole frames; refuses to know what the bytes of a frame mean.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from bridge.errors import TruncatedMedia

if TYPE_CHECKING:
    from bridge.process.child import Child

__all__ = ["FrameSink", "FrameSource", "Framing", "Head", "Tail", "pipe"]

PIPE_SIZE = 1 << 20  # room for what a program says between two looks at it
_SCRATCH = 4096


def pipe() -> tuple[int, int]:
    """Make a pipe of 1 MiB where the system lets us, else of the size that it gives."""
    read_end, write_end = os.pipe()
    with contextlib.suppress(OSError, AttributeError):  # over the user's quota of pipe memory, or not Linux
        fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, PIPE_SIZE)
    return read_end, write_end


class Tail:
    """Keeps the first 16 KiB and the last 64 KiB of a stream, however long it is."""

    FIRST = 16 << 10
    LAST = 64 << 10

    def __init__(self) -> None:
        self._first = bytearray()
        self._last = bytearray()
        self._dropped = 0
        self.total = 0  # bytes that have come

    def add(self, data: bytes) -> None:
        """Take what has come."""
        self.total += len(data)
        room = self.FIRST - len(self._first)
        self._first += data[:room]
        self._last += data[room:] if room < len(data) else b""
        excess = len(self._last) - self.LAST
        if excess > 0:
            del self._last[:excess]
            self._dropped += excess

    def __str__(self) -> str:
        """Give what was kept; a gap says how many bytes it stands for."""
        gap = f"\n[{self._dropped} bytes left out]\n" if self._dropped else ""
        return self._first.decode("utf-8", "replace") + gap + self._last.decode("utf-8", "replace")


class Head(Protocol):
    """What a framing says of a frame before its pixels."""

    @property
    def size(self) -> int:
        """Bytes of the frame."""

    @property
    def prefix(self) -> bytes:
        """First bytes of the frame that are not sent."""


H = TypeVar("H", bound=Head)
H_co = TypeVar("H_co", bound=Head, covariant=True)


class Framing(Protocol[H_co]):
    """How frames are told apart in a stream; `bridge.media.nut` and `bridge.media.pnm` are two."""

    def head(self, data: bytearray) -> tuple[H_co | None, int]:
        """Read one head off the front of `data`; give it and the number of bytes used up."""


class FrameSource(Generic[H]):
    """Whole frames out of a child, or an error: never a short frame, never a guess.

    Call `head`, allocate ``head.size`` bytes, call `fill`; `head` gives None at the end of the stream.

    Parameters
    ----------
    child : Child
        A running child whose standard output carries the frames.
    framing : Framing
        How its stream tells frames apart.
    first, stall : float
        Seconds to the first frame, and from one piece to the next while we wait.
    """

    def __init__(self, child: Child, framing: Framing[H], *, first: float, stall: float) -> None:
        self.child = child
        self.frames = 0
        self._framing = framing
        self._patience = first
        self._stall = stall
        self._pending = bytearray()
        self._scratch = memoryview(bytearray(_SCRATCH))

    def head(self) -> H | None:
        """Read up to the next frame's pixels.

        Raises
        ------
        TruncatedMedia
            If the stream ends inside a head.
        ToolTimeout
            If the child is silent for too long.
        """
        while True:
            head, used = self._framing.head(self._pending)
            del self._pending[:used]
            if head is not None:
                return head
            count = self.child.read_into(self._scratch, self._patience)
            if not count:
                if self._pending:
                    raise self._short()
                return None
            self._pending += self._scratch[:count]

    def fill(self, head: H, into: memoryview) -> None:
        """Read the pixels that belong to `head` into memory of exactly that size."""
        if len(into) != head.size:
            message = f"a frame of {head.size} bytes does not fit memory of {len(into)}"
            raise ValueError(message)
        at = len(head.prefix)
        into[:at] = head.prefix
        self.fill_part(into[at:])
        self.frames += 1
        self._patience = self._stall

    def fill_part(self, into: memoryview) -> None:
        """Read so many of the bytes that come next: a frame may be read in pieces.

        Raises
        ------
        TruncatedMedia
            If there are not as many.
        """
        early = min(len(self._pending), len(into))
        into[:early] = self._pending[:early]
        del self._pending[:early]
        if self.child.fill(into[early:], self._patience) < len(into) - early:
            raise self._short()

    def _short(self) -> TruncatedMedia:
        message = f"the stream ended inside frame {self.frames}"
        return TruncatedMedia(message, got=self.frames)


class FrameSink:
    """Whole frames into a child, from the array's own memory.

    Parameters
    ----------
    child : Child
        A running child that reads frames from its standard input.
    stall : float
        Seconds without the child taking anything before it counts as hung.
    """

    def __init__(self, child: Child, *, stall: float) -> None:
        self.child = child
        self.frames = 0
        self._stall = stall

    def say(self, data: bytes) -> None:
        """Give what stands before a frame, or before all of them."""
        if data:
            self.child.write(memoryview(data), self._stall)

    def put(self, frame: memoryview) -> None:
        """Give one whole frame; returns when the pipe has taken all of it."""
        self.child.write(frame, self._stall)
        self.frames += 1
