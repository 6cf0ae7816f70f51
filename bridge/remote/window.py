"""Window: the reader's side of shared memory: segments that a worker has passed, and arrays in them."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
import weakref
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bridge.errors import WireError, WorkerLost
from bridge.remote.memory import is_sealed, mapped
from bridge.remote.ring import DESCRIPTORS, DONE, FORGET, GIVEN, NOTE, SENT, check_peer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.remote.wire import Layout

__all__ = ["Window"]


class Window:
    """The reader's end: maps the segments that come, and gives arrays in them.

    Parameters
    ----------
    place : str
        Path of the worker's socket.
    token : bytes
        By which the worker knows whose line it is.
    seconds : float
        How long connecting may take.

    Raises
    ------
    WorkerLost
        If nobody is there.
    PermissionError
        If whoever is there is somebody else's.
    """

    def __init__(self, place: str, token: bytes, seconds: float) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._maps: dict[int, memoryview] = {}
        self._uses: dict[int, int] = {}
        self._last: dict[int, int] = {}  # the use after which a slot is forgotten
        self._owner = os.getpid()
        self.over = False
        try:
            self._socket.settimeout(seconds)
            self._socket.connect(place)
            check_peer(self._socket)
            self._socket.send(token)
            self._socket.setblocking(False)
        except (ConnectionError, FileNotFoundError, TimeoutError) as error:
            self._socket.close()
            raise WorkerLost(f"there is no worker at {place}: {error.strerror or 'no answer'}") from None
        except BaseException:
            self._socket.close()
            raise

    def __enter__(self) -> Self:
        """Give the window itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()

    def fileno(self) -> int:
        """Give the descriptor to wait for."""
        return self._socket.fileno()

    def send(self, number: int, descriptors: Iterable[int]) -> None:
        """Send descriptors that belong to a request, before the request.

        Raises
        ------
        WorkerLost
            If the worker does not take them.
        """
        try:
            socket.send_fds(self._socket, [NOTE.pack(SENT, number, 0)], list(descriptors))
        except OSError as error:
            raise WorkerLost(f"the worker does not take descriptors: {error.strerror}") from None

    def look(self) -> None:
        """Take what has come, without waiting; `over` tells whether the worker's end is closed."""
        while not self.over:
            try:
                data, descriptors, _, _ = socket.recv_fds(self._socket, NOTE.size + 1, DESCRIPTORS)
            except BlockingIOError:
                return
            except OSError:
                data, descriptors = b"", []
            try:
                self._noted(data, descriptors)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def _noted(self, data: bytes, descriptors: list[int]) -> None:
        if not data:
            self.over = True
            return
        what, number, size = NOTE.unpack(data) if len(data) == NOTE.size else (0, 0, 0)
        if what == FORGET:
            self._last[number] = size  # messages that speak of it may still be on their way
            self._forget_used(number)
        elif what == GIVEN and len(descriptors) == 1:
            self._maps[number] = _checked(descriptors[0], size)
            self._uses[number] = 0
        else:
            raise WireError("the worker sent something that is none on the line of its memory")

    def array(self, number: int, layout: Layout, seconds: float) -> np.ndarray[Any, Any]:
        """Give the array in a slot, which the worker leaves alone until that is gone with all its views.

        Raises
        ------
        WireError
            If there is no such slot, or it is smaller than the array.
        WorkerLost
            If it does not come in time.
        """
        self._wait_for(number, seconds)
        memory = self._maps[number]
        if layout.nbytes > len(memory):
            raise WireError(f"an array of {layout.nbytes} bytes is not in a slot of {len(memory)}")
        flat = np.frombuffer(memory, layout.dtype, count=layout.nbytes // layout.dtype.itemsize)
        # The base, not the array: all views of an array have the same base, and keep only that.
        done = weakref.finalize(flat.base, _done, self._socket, self._owner, number)
        done.atexit = False
        self._uses[number] += 1
        self._forget_used(number)
        return flat.reshape(layout.shape)

    def _forget_used(self, number: int) -> None:
        if self._uses.get(number) == self._last.get(number, -1):
            for known in (self._maps, self._uses, self._last):
                known.pop(number)

    def _wait_for(self, number: int, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while number not in self._maps:
            self.look()
            left = deadline - time.monotonic()
            if number in self._maps:
                return
            if self.over or left <= 0:
                raise WorkerLost(f"the memory of slot {number} did not come")
            _wait(self._socket, left)

    def shut(self) -> None:
        """End the line, so that whoever waits for it wakes up. Any thread may call it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Let go of everything; arrays that are still there stay as they are."""
        self._socket.close()
        self._maps.clear()
        self.over = True


def _wait(end: socket.socket, seconds: float) -> None:
    poller = select.poll()
    poller.register(end, select.POLLIN)
    poller.poll(seconds * 1000)


def _checked(descriptor: int, size: int) -> memoryview:
    """Map a segment, once it is sure that it has that size and keeps it: else reading it could end us."""
    if not is_sealed(descriptor) or os.fstat(descriptor).st_size < size:
        raise WireError(f"a segment is not sealed, or smaller than {size} bytes")
    return mapped(descriptor, size)


def _done(line: socket.socket, owner: int, number: int) -> None:
    """Tell the worker that a slot is free. Called when an array goes, in any thread."""
    if os.getpid() == owner:
        with contextlib.suppress(OSError):
            line.send(NOTE.pack(DONE, number, 0))
