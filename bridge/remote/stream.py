"""Stream: frames from a worker, the newest each time or all of them."""

from __future__ import annotations

import weakref
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from bridge.errors import BridgeError, Closed
from bridge.remote import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import numpy as np

    from bridge.remote.connection import Connection

__all__ = ["Picture", "Stream"]

_PATIENCE = 30.0  # seconds for a frame, where nobody says so


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """One frame of a stream.

    Attributes
    ----------
    array : numpy.ndarray
        The pixels: a view of shared memory, read-only, unless a copy was asked for.
    pixels : str
        FFmpeg's name of their format.
    sequence : int
        Its number at the source, from 0.
    missed : int
        How many frames between the one before and this one were not given.
    stamp : Stamp
        When it was captured, and its time.
    """

    array: np.ndarray[Any, Any]
    pixels: str
    sequence: int
    missed: int
    stamp: wire.Stamp


class Stream:
    """Frames from a worker, in the order in which they came. A context manager and an iterator; made by `Client.open`.

    Attributes
    ----------
    description : mapping
        What the source says of its frames: ``shape``, ``dtype``, ``pixels`` and more.
    missed : int
        How many frames were not given so far, because newer ones had come.
    ended : bool
        Whether no more frames will come.
    """

    def __init__(
        self,
        connection: Connection,
        number: int,
        *,
        lossless: bool,
        copy: bool,
        forsake: Callable[[int], None],
        forsaken: deque[int],
    ) -> None:
        self._connection = connection
        self._number = number
        self._lossless = lossless
        self._copy = copy
        self._forsake = forsake
        self._come: deque[Picture] = deque()
        self._granted = 0
        self._last = -1
        self._error: BridgeError | None = None
        self._finalizer = weakref.finalize(self, forsaken.append, number)
        self._finalizer.atexit = False
        self.description: Mapping[str, Any] = {}
        self.missed = 0
        self.ended = False
        self.closed = False

    def __repr__(self) -> str:
        """Tell whose it is, and the state."""
        state = "closed" if self.closed else "ended" if self.ended else "open"
        return f"<Stream {self._number} of {self._connection.subject}: {state}>"

    def __enter__(self) -> Self:
        """Give the stream itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def __iter__(self) -> Iterator[Picture]:
        """Give the frames until the source ends."""
        while (picture := self.read()) is not None:
            yield picture

    def read(self, seconds: float = _PATIENCE) -> Picture | None:
        """Give the next frame, or the newest; None at the end.

        Raises
        ------
        BridgeError
            The source's error, after the frames that came before it; `WorkerLost`; `ToolTimeout` if nothing comes for
            `seconds`; `Closed`.
        """
        with self._connection.lock:
            if self.closed:
                raise Closed(f"{self!r}")
            if not self._come and not self.ended:
                self._connection.check()
                self.grant()
                self._connection.until(lambda: bool(self._come or self.ended), seconds, "has sent no frame")
            if not self._come:
                if self._error is not None:
                    raise self._error
                return None
            picture = self._come.popleft()
            self.missed += picture.missed
            if self._lossless and not self.ended and self._connection.alive:
                self.grant()
            return picture

    def close(self) -> None:
        """Have no more frames."""
        with self._connection.lock:
            if not self.closed:
                self.closed = True
                self._come.clear()
                self._finalizer.detach()
                if not self.ended:
                    self._forsake(self._number)

    def grant(self) -> None:
        """Let frames come: the next one, or as many as may be on their way."""
        wanted = self._connection.limits.zmq_queue if self._lossless else 1
        frames = wanted - self._granted - len(self._come)
        if frames > wanted // 2:
            self._connection.send(wire.Credit(number=self._number, frames=frames))
            self._granted += frames

    def put(self, message: wire.Frame, array: np.ndarray[Any, Any]) -> None:
        """Take a frame. Called by the client."""
        self._granted -= 1
        missed = max(0, message.sequence - self._last - 1) if self._last >= 0 else 0
        self._last = message.sequence
        if self._copy:
            array = array.copy()
        pixels, stamp = message.layout.pixels, message.stamp
        self._come.append(Picture(array=array, pixels=pixels, sequence=message.sequence, missed=missed, stamp=stamp))

    def end(self, error: BridgeError | None) -> None:
        """Take the end. Called by the client."""
        self.ended = True
        self._error = error
        self._finalizer.detach()
