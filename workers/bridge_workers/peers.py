"""Peers: who is connected to a worker: what it reads, what it has asked, and its line for shared memory."""

from __future__ import annotations

import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.errors import LimitExceeded, WorkerLost
from bridge.remote import wire
from bridge.remote.ring import TOKEN, Line, check_peer

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable

    import zmq

    from bridge.limits import Limits
    from bridge.remote.ring import Ring, Slot
    from bridge_workers.runs import Delivery, Run

__all__ = ["Lines", "Peer"]

_WAITING = 64  # lines that have not said whose they are, or whose connection has not come


class Peer:
    """One reader.

    Parameters
    ----------
    router : zmq.Socket
        The socket by which it has come, under this name.
    name : bytes
        By which that knows it.
    line : Line or None
        For memory, if it is on this machine.
    """

    def __init__(
        self,
        router: zmq.Socket[Any],
        name: bytes,
        *,
        line: Line | None,
        ring: Ring,
        limits: Limits,
        lose: Callable[[Peer, str], None],
    ) -> None:
        import zmq

        self.line = line
        self.limits = limits
        self.deliveries: dict[int, tuple[Run, Delivery]] = {}
        self.requests: dict[int, threading.Event] = {}
        self.gone = False
        self._router, self._name, self._ring, self._lose = router, name, ring, lose
        self._refused, self._dontwait = zmq.ZMQError, zmq.DONTWAIT

    def lose(self, why: str) -> None:
        """Have no more to do with it."""
        self._lose(self, why)

    def send(self, message: wire.Message) -> None:
        """Send a message; who does not take it is lost."""
        if self.gone:
            return
        try:
            self._router.send_multipart([self._name, *wire.pack(message)], self._dontwait)
        except self._refused as error:
            self.lose(f"it takes nothing: {error}")

    def check(self, layout: wire.Layout) -> None:
        """See that an array can go to this reader.

        Raises
        ------
        LimitExceeded
            If it would not fit a message, and there is no shared memory.
        """
        if self.line is None and layout.nbytes > self.limits.zmq_message:
            raise LimitExceeded(
                f"a picture of {layout.nbytes} bytes is over the limit zmq_message, which is "
                f"{self.limits.zmq_message}; raise it on both sides with bridge.Limits(zmq_message=...)"
            )

    def send_array(
        self, make: Callable[[int | None, memoryview | None], wire.Message], layout: wire.Layout, slot: Slot
    ) -> None:
        """Send a message with an array: by the slot that it is in, or with its pixels.

        Raises
        ------
        WorkerLost
            If the reader does not take the memory.
        LimitExceeded
            If it would not fit a message.
        """
        if self.gone:
            raise WorkerLost("the reader has gone")
        self.check(layout)
        if self.line is not None:
            self._ring.hold(slot, self.line)
            self.send(make(slot.number, None))
        else:
            self.send(make(None, slot.view[: layout.nbytes]))


class Lines:
    """The socket at which readers on this machine ask for their line."""

    def __init__(self, place: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK)
        self._waiting: dict[bytes, socket.socket] = {}
        self._silent: list[socket.socket] = []
        try:
            _bind(self._socket, place)
            Path(place).chmod(0o600)
            self._socket.listen(128)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Give the descriptor to wait for."""
        return self._socket.fileno()

    def accept(self) -> None:
        """Take who has come, if it is the same user."""
        while True:
            try:
                end, _ = self._socket.accept()
            except OSError:
                break
            try:
                check_peer(end)
            except OSError:
                end.close()
                continue
            end.setblocking(False)
            self._silent.append(end)
        self._hear()

    def _hear(self) -> None:
        """See whose lines those are that have said it."""
        silent, self._silent = self._silent, []
        for end in silent:
            try:
                token = end.recv(TOKEN + 1)
            except BlockingIOError:
                self._silent.append(end)
                continue
            except OSError:
                token = b""
            if len(token) == TOKEN and token not in self._waiting:
                self._waiting[token] = end
            else:
                end.close()
        while len(self._silent) > _WAITING:
            self._silent.pop(0).close()
        while len(self._waiting) > _WAITING:
            self._waiting.pop(next(iter(self._waiting))).close()

    def line(self, token: bytes) -> Line | None:
        """Give the line that belongs to a connection."""
        self.accept()
        end = self._waiting.pop(token, None)
        return None if end is None else Line(end)

    def close(self) -> None:
        """Close it."""
        self._socket.close()
        for end in (*self._silent, *self._waiting.values()):
            end.close()
        self._silent.clear()
        self._waiting.clear()


def _bind(end: socket.socket, place: str) -> None:
    """Take a place in the file system, also that of a worker that was killed; not of one that lives."""
    try:
        end.bind(place)
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as trial:
            if trial.connect_ex(place) != errno.ECONNREFUSED:
                raise
        Path(place).unlink()
        end.bind(place)
