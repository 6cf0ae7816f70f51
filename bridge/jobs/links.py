"""Links: how work that is somewhere else tells how far it is, and hears that it shall stop.

Engines bring neither to a running child. Who waits has a `Board`; who works is `linked` to it: directly in the same
process, by the scheduler's own events inside a Dask worker, by a TCP connection elsewhere. A connection that breaks
says that nobody waits any more.
"""

from __future__ import annotations

import contextlib
import hmac
import json
import os
import selectors
import socket
import sys
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    Report = Callable[[dict[str, Any]], None]

__all__ = ["Board", "at_work", "linked"]

_CONNECT = 5.0  # seconds
_LINE = 1 << 16  # bytes of the longest message
_LOOK = 0.5  # seconds after which a helper thread in a Dask worker sees that its work is done
_here: dict[str, Board] = {}


class _AtWork:
    """What is at work in this process, for who wants to end it."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._stops: dict[int, Callable[[], None]] = {}

    @contextlib.contextmanager
    def holding(self, stop: Callable[[], None]) -> Iterator[None]:
        """Hold a way to stop some work as long as that lasts."""
        with self._changed:
            self._stops[id(stop)] = stop
        try:
            yield
        finally:
            with self._changed:
                del self._stops[id(stop)]
                self._changed.notify_all()

    def ended(self, seconds: float) -> bool:
        """Wait until nothing is at work; False if that takes longer."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._stops, seconds)

    def stop(self) -> None:
        """Stop all of it; whoever waits for it gives it to somebody else."""
        with self._changed:
            stops = list(self._stops.values())
        for stop in stops:
            stop()


at_work = _AtWork()


class Board:
    """Where reports come in and from where work is stopped. A context manager.

    Parameters
    ----------
    report : callable
        Gets each report, a plain dict; from any thread.
    client : distributed.Client, optional
        Of the cluster that works.
    address : str, optional
        Of this machine, at which work in other processes reaches it; nothing listens without it.
    """

    def __init__(self, report: Report, *, client: Any = None, address: str | None = None) -> None:
        self._report = report
        self._client = client
        self._lock = threading.Lock()
        self._stops: dict[int, Callable[[], None]] = {}
        self.stopped = False
        self.token = os.urandom(16).hex()
        self._server = _Server(self, address) if address is not None else None

    def __enter__(self) -> Self:
        """Be found."""
        _here[self.token] = self
        if self._client is not None:
            self._client.subscribe_topic(_topic(self.token), lambda event: self.take(event[1]))
        return self

    def __exit__(self, *_: object) -> None:
        """Be gone."""
        del _here[self.token]
        if self._server is not None:
            self._server.close()
        if self._client is not None:
            with contextlib.suppress(Exception):  # the cluster may have gone
                self._client.unsubscribe_topic(_topic(self.token))

    @property
    def entry(self) -> dict[str, Any]:
        """What work needs to know to be linked."""
        return {"token": self.token, "address": None if self._server is None else list(self._server.address)}

    def take(self, report: Any) -> None:
        """Take a report, if it is one."""
        if isinstance(report, dict):
            self._report(report)

    def stop(self) -> None:
        """Stop all work that is linked, now and from now on."""
        with self._lock:
            self.stopped = True
            stops = list(self._stops.values())
        if self._client is not None:
            with contextlib.suppress(Exception):  # the cluster may have gone
                _event(self.token, self._client).set()
        for stop in stops:
            stop()

    @contextlib.contextmanager
    def attached(self, stop: Callable[[], None]) -> Iterator[Report]:
        """Hold a way to stop some work as long as that lasts."""
        with self._lock:
            self._stops[id(stop)] = stop
        try:
            if self.stopped:
                stop()
            yield self.take
        finally:
            with self._lock:
                del self._stops[id(stop)]


def _topic(token: str) -> str:
    return f"framebridge-{token}"


def _event(token: str, client: Any) -> Any:
    from distributed import Event

    return Event(_topic(token), client=client)  # type: ignore[no-untyped-call] # dask has no types there


@contextlib.contextmanager
def linked(entry: Mapping[str, Any], stop: Callable[[], None]) -> Iterator[Report]:
    """Link work to the board that its `entry` is of; gives the function that reports.

    Parameters
    ----------
    stop : callable
        Called, from another thread, when the work shall stop.
    """
    token = str(entry.get("token", ""))
    board, worker = _here.get(token), _dask_worker()
    if board is not None:
        way: Any = board.attached(stop)
    elif worker is not None:
        way = _by_dask(worker, token, stop)
    elif entry.get("address"):
        way = _by_socket(entry["address"], token, stop)
    else:
        way = contextlib.nullcontext(_unheard)
    with at_work.holding(stop), way as report:
        yield report


def _unheard(_: dict[str, Any]) -> None:
    """Nobody listens."""


# Inside a Dask worker


def _dask_worker() -> Any:
    """Give the Dask worker whose task this is; None anywhere else. Nothing is imported for that."""
    distributed = sys.modules.get("distributed")
    try:
        return distributed.get_worker() if distributed else None
    except (ValueError, AttributeError):  # no worker, or half imported
        return None


@contextlib.contextmanager
def _by_dask(worker: Any, token: str, stop: Callable[[], None]) -> Iterator[Report]:
    from distributed import get_client

    done = threading.Event()
    threading.Thread(target=_hear, args=(get_client(), token, stop, done), daemon=True).start()

    def report(said: dict[str, Any]) -> None:
        worker.log_event(_topic(token), said)

    try:
        yield report
    finally:
        done.set()


def _hear(client: Any, token: str, stop: Callable[[], None], done: threading.Event) -> None:
    with contextlib.suppress(Exception):  # the scheduler has gone: this worker will be, too
        event = _event(token, client)
        while not done.is_set():
            if event.wait(timeout=_LOOK) and not done.is_set():
                stop()
                return


# Over TCP: a line of JSON a message


@contextlib.contextmanager
def _by_socket(address: Any, token: str, stop: Callable[[], None]) -> Iterator[Report]:
    try:
        connection = socket.create_connection((str(address[0]), int(address[1])), _CONNECT)
    except OSError:  # work goes on unheard
        yield _unheard
        return
    connection.settimeout(None)
    listener = threading.Thread(target=_wait_for_word, args=(connection, stop), daemon=True)
    listener.start()

    def report(said: dict[str, Any]) -> None:
        with contextlib.suppress(OSError):  # the listener sees it, too
            connection.sendall(json.dumps(said).encode() + b"\n")

    try:
        report({"token": token})
        yield report
    finally:
        stop = _nothing
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
        listener.join(_CONNECT)
        connection.close()


def _nothing() -> None:
    """Nothing is left to stop."""


def _wait_for_word(connection: socket.socket, stop: Callable[[], None]) -> None:
    """Wait for the one thing that is ever said, or for the end: both mean to stop."""
    with contextlib.suppress(OSError):
        connection.recv(1)
    stop()


class _Server:
    """Takes connections of work in other processes, in a thread of its own."""

    def __init__(self, board: Board, address: str) -> None:
        self._board = board
        self._listener = socket.create_server((address, 0))
        self._listener.setblocking(False)
        self.address = (address, self._listener.getsockname()[1])
        self._wake, self._woken = socket.socketpair()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._selector.register(self._woken, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._serve, name="framebridge-board", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and all connections."""
        self._wake.send(b"x")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()  # type: ignore[union-attr] # all are sockets
        self._selector.close()
        self._wake.close()

    def _serve(self) -> None:
        with contextlib.ExitStack() as attached:
            while True:
                for key, _ in self._selector.select():
                    if key.fileobj is self._woken:
                        return
                    if key.fileobj is self._listener:
                        self._accept()
                    else:
                        self._hear(key, attached)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            connection, _ = self._listener.accept()
            self._selector.register(connection, selectors.EVENT_READ, _Guest())

    def _hear(self, key: selectors.SelectorKey, attached: contextlib.ExitStack) -> None:
        connection: Any = key.fileobj
        guest: _Guest = key.data
        try:
            lines = guest.lines(connection.recv(_LINE))
            for line in lines:
                self._message(guest, json.loads(line), connection, attached)
        except (OSError, ValueError, EOFError):
            self._selector.unregister(connection)
            connection.close()

    def _message(self, guest: _Guest, said: Any, connection: socket.socket, attached: contextlib.ExitStack) -> None:
        if guest.known:
            self._board.take(said)
            return
        if not isinstance(said, dict) or not hmac.compare_digest(str(said.get("token")), self._board.token):
            raise EOFError("a stranger")
        guest.known = True

        def stop() -> None:
            with contextlib.suppress(OSError):
                connection.send(b"x")

        attached.enter_context(self._board.attached(stop))


class _Guest:
    """One connection: whether it has said the token, and what has come of a line."""

    def __init__(self) -> None:
        self.known = False
        self._pending = b""

    def lines(self, data: bytes) -> list[bytes]:
        """Give the lines that are complete."""
        if not data or len(self._pending) > _LINE:
            raise EOFError("it has ended, or talks nonsense")
        *lines, self._pending = (self._pending + data).split(b"\n")
        return lines
