"""Connection: the sockets between a reader and a worker, and the waiting for what comes by them. Knows no requests."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.errors import BridgeError, Closed, ToolTimeout, WireError, WorkerLost
from bridge.remote import wire
from bridge.remote.ring import TOKEN
from bridge.remote.sockets import CONTROL, MEMORY, limited, reachable
from bridge.remote.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import zmq

    from bridge.limits import Limits

__all__ = ["Connection"]


class Connection:
    """A connection, greeted. Whoever uses it holds its `lock`.

    No thread stands behind it: a worker is asked for signs of life while somebody waits for it. It belongs to the
    process that made it.

    Parameters
    ----------
    address : str or Path
        Folder of a worker on this machine, or an address of ZeroMQ.
    subject : str
        The user's name for what is worked on.
    limits : Limits
        Of messages and waits.
    seconds : float
        How long it may take until the worker has answered.
    prepare : callable or None
        Is called with the socket before it connects.

    Attributes
    ----------
    facts : mapping
        What the worker has said of itself.
    handlers : dict
        Who takes what comes, by the kind of message.
    """

    def __init__(
        self,
        address: str | Path,
        *,
        subject: str,
        limits: Limits,
        seconds: float,
        prepare: Callable[[zmq.Socket[Any]], None] | None,
    ) -> None:
        import zmq

        self.subject = subject
        self.limits = limits
        self.lock = threading.RLock()
        self.facts: Mapping[str, Any] = {}
        self.closed = False
        self.handlers: dict[type, Callable[[Any], None]] = {
            wire.Hello: self._welcomed,
            wire.Ping: self._pinged_by,
            wire.Fault: self._failed,
            wire.Bye: self._bidden,
        }
        self._owner = os.getpid()
        self._over = ""  # why the worker is gone
        self._closing = False
        self._heard = self._pinged = 0.0
        self._again, self._dontwait, self._linger = zmq.Again, zmq.DONTWAIT, zmq.LINGER
        token = b"\1" + os.urandom(TOKEN - 1)  # a name in ZeroMQ does not begin with a zero
        local = "://" not in str(address)
        self._window = Window(f"{reachable(str(address))}/{MEMORY}", token, seconds) if local else None
        self._context = zmq.Context()
        self._socket = limited(self._context.socket(zmq.DEALER), limits)
        self._finalizer = weakref.finalize(self, _end, self._owner, self._socket, self._context, self._window)
        try:
            self._socket.setsockopt(zmq.ROUTING_ID, token)
            if prepare is not None:
                prepare(self._socket)
            self._socket.connect(f"ipc://{address}/{CONTROL}" if local else str(address))
            self._poller = zmq.Poller()
            self._poller.register(self._socket, zmq.POLLIN)
            if self._window is not None:
                self._poller.register(self._window.fileno(), zmq.POLLIN)
            self.send(wire.Hello(facts={"version": wire.VERSION, "pid": self._owner, "memory": local}))
            self.until(lambda: bool(self.facts), seconds, "has not answered")
        except BaseException:
            self.close()
            raise

    @property
    def state(self) -> str:
        """Tell it in a word or two."""
        return "closed" if self.closed else self._over or "open"

    @property
    def local(self) -> bool:
        """Tell whether the worker is on this machine."""
        return self._window is not None

    @property
    def alive(self) -> bool:
        """Tell whether it is open, ours, and the worker has not been found gone."""
        return not self.closed and not self._over and os.getpid() == self._owner

    def check(self) -> None:
        """Raise what keeps it from being used, if anything does."""
        if os.getpid() != self._owner:
            raise Closed(f"{self.subject}: this connection belongs to process {self._owner}; a fork makes its own")
        if self.closed:
            raise Closed(f"{self.subject}: the connection is closed")
        if self._over:
            raise self._lost()

    def send(self, message: wire.Message) -> None:
        """Send a message, without waiting.

        Raises
        ------
        WorkerLost
            If the worker has not taken so many before that nothing more goes.
        """
        try:
            self._socket.send_multipart(wire.pack(message), self._dontwait)
        except self._again:
            self._over = "it takes nothing"
            raise self._lost() from None

    def send_descriptors(self, number: int, descriptors: tuple[int, ...]) -> None:
        """Send open files that belong to a request, before that."""
        if self._window is None:
            raise WireError(f"{self.subject}: open files go only to a worker on this machine")
        self._window.send(number, descriptors)

    def array(self, layout: wire.Layout, slot: int | None, data: wire.Bytes | None) -> np.ndarray[Any, Any]:
        """Give the array of a message."""
        if slot is None:
            return np.frombuffer(data or b"", layout.dtype).reshape(layout.shape)
        if self._window is None:
            raise WireError(f"{self.subject}: the worker speaks of memory that it cannot share")
        return self._window.array(slot, layout, self.limits.zmq_lost)

    def until(self, done: Callable[[], bool], seconds: float, complaint: str) -> None:
        """Take what comes until something is so.

        Raises
        ------
        WorkerLost
            If the worker is gone.
        ToolTimeout
            If it lives and takes too long.
        """
        begun = now = self._heard = self._pinged = time.monotonic()  # what came before was not looked at
        while True:
            self._take()
            if done():
                return
            if self._closing:
                raise Closed(f"{self.subject}: the connection was closed by another thread")
            if self._window is not None and self._window.over:
                self._over = self._over or "it has ended"
            if self._over:
                raise self._lost()
            now = time.monotonic()
            if now - begun >= seconds:
                raise self._too_slow(seconds, complaint)
            self._show_life(now)
            patience = min(self.limits.zmq_beat, begun + seconds - now)
            self._poller.poll(int(patience * 1000) + 1)

    def ping(self, seconds: float) -> float:
        """Ask for a sign of life; give the seconds that it took."""
        begun = time.monotonic()
        self.send(wire.Ping())
        self.until(lambda: self._heard > self._pinged, seconds, "gives no sign of life")
        return time.monotonic() - begun

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Hold the lock; whoever waits for the worker in another thread stops to."""
        if not self.lock.acquire(blocking=False):
            self._closing = True
            if self._window is not None:
                self._window.shut()
            self.lock.acquire()
        try:
            yield
        finally:
            self.lock.release()

    def close(self, *, farewell: bool = False) -> None:
        """Let go, with a word where that is wanted and possible. What was given stays as it is."""
        if farewell and self.alive and not self._closing:
            with contextlib.suppress(BridgeError):
                self.send(wire.Bye(reason="closed"))
        elif os.getpid() == self._owner and not self._socket.closed:
            self._socket.setsockopt(self._linger, 0)
        self.closed = True
        self._finalizer()

    # What comes

    def _take(self) -> None:
        """Take all that has come, without waiting. Who sends what is no message is not listened to again."""
        try:
            self._take_all()
        except WireError as error:
            self._over = self._over or str(error)
            raise

    def _take_all(self) -> None:
        if self._window is not None:
            self._window.look()
        while True:
            try:
                parts = self._socket.recv_multipart(self._dontwait, copy=False)
            except self._again:
                return
            self._heard = time.monotonic()
            message = wire.unpack([part.buffer for part in parts])
            if handler := self.handlers.get(type(message)):
                handler(message)

    def _welcomed(self, message: wire.Hello) -> None:
        self.facts = message.facts or {"version": wire.VERSION}

    def _pinged_by(self, message: wire.Ping) -> None:
        if not message.answer:
            self.send(wire.Ping(answer=True))

    def _failed(self, message: wire.Fault) -> None:
        """Take an error that ends the connection. Those of requests and streams have their own handler."""
        error = message.error(self.subject)
        self._over = str(error)
        raise error

    def _bidden(self, message: wire.Bye) -> None:
        self._over = message.reason or "it said goodbye"

    # What does not come

    def _lost(self) -> WorkerLost:
        return WorkerLost(f"{self.subject}: the worker is gone: {self._over}")

    def _too_slow(self, seconds: float, complaint: str) -> BridgeError:
        kind = ToolTimeout if self.facts else WorkerLost
        return kind(f"{self.subject}: the worker {complaint} for {seconds:g} s")

    def _show_life(self, now: float) -> None:
        if not self.facts:
            return
        if now - self._heard > self.limits.zmq_lost:
            self._over = f"it gave no sign of life for {self.limits.zmq_lost:g} s"
            raise self._lost()
        if now - self._pinged >= self.limits.zmq_beat:
            self._pinged = now
            self.send(wire.Ping())


def _end(owner: int, socket: zmq.Socket[Any], context: zmq.Context[Any], window: Window | None) -> None:
    """Let go of a connection; in a fork it is the original's, and ZeroMQ's own threads are not there."""
    if os.getpid() != owner:
        return
    if window is not None:
        window.close()
    socket.close()
    context.term()
