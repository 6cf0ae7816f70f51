"""Client: one connection to one worker: streams of frames, requests with their answers, and signs of life."""

from __future__ import annotations

import contextlib
import weakref
from collections import deque
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from bridge.errors import BridgeError, LimitExceeded
from bridge.limits import of_call
from bridge.remote import wire
from bridge.remote.connection import Connection
from bridge.remote.stream import Picture, Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    import zmq

    from bridge.limits import Limits

__all__ = ["Client", "Picture", "Reply", "Stream"]

_ANSWER = 30.0  # seconds that a request may take, where nobody says so


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of a request: the worker's words, and an array with the name of its pixel format where there is one."""

    body: Mapping[str, Any]
    array: np.ndarray[Any, Any] | None = None
    pixels: str = ""


class Client:
    """A connection to a worker. A context manager; leaving it closes. Threads take turns.

    Parameters
    ----------
    address : str or Path
        Folder of a worker on this machine, or an address of ZeroMQ, as ``tcp://host:port``; from there the pixels
        come in the messages.
    subject : str
        The user's name for what is worked on; used in messages.
    limits : Limits
        Of messages and waits.
    seconds : float
        How long it may take until the worker has answered.
    prepare : callable, optional
        Is called with the socket of ZeroMQ before it connects: for keys.

    Raises
    ------
    WorkerLost
        If no worker answers.
    WrongVersion
        If it is of another version.
    """

    def __init__(
        self,
        address: str | Path,
        *,
        subject: str = "",
        limits: Limits | None = None,
        seconds: float = 10.0,
        prepare: Callable[[zmq.Socket[Any]], None] | None = None,
    ) -> None:
        self._next = 1
        self._replies: dict[int, Reply | BridgeError | None] = {}  # None while it is waited for
        self._streams: weakref.WeakValueDictionary[int, Stream] = weakref.WeakValueDictionary()
        self._forsaken: deque[int] = deque()  # streams that nobody has any more, of which the worker does not know yet
        self._connection = Connection(
            address, subject=subject or str(address), limits=of_call(limits, None), seconds=seconds, prepare=prepare
        )
        self._last_word = self._connection.handlers[wire.Fault], self._connection.handlers[wire.Bye]
        self._connection.handlers |= {wire.Frame: self._frame, wire.Answer: self._answer}
        self._connection.handlers |= {wire.Fault: self._fault, wire.Bye: self._bye}

    def __repr__(self) -> str:
        """Tell the worker and the state."""
        return f"<Client of {self._connection.subject}: {self._connection.state}>"

    def __enter__(self) -> Self:
        """Give the client itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close after success, abort after an exception."""
        if exception[0] is None:
            self.close()
        else:
            self.abort()

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the worker has said of itself.

        ``kind``, ``abilities``, ``pid``, ``version``, and as ``wall`` the nanoseconds of the wall clock at zero of the
        monotonic clock by which it stamps frames.
        """
        return self._connection.facts

    @property
    def alive(self) -> bool:
        """Tell whether it is open, and the worker has not been found gone."""
        return self._connection.alive

    def ask(
        self,
        what: str,
        body: Mapping[str, Any] | None = None,
        *,
        data: wire.Bytes | None = None,
        descriptors: Sequence[int] = (),
        copy: bool = False,
        seconds: float = _ANSWER,
    ) -> Reply:
        """Ask, and wait for the answer.

        Parameters
        ----------
        what : str
            What is asked.
        body : mapping
            The rest of the question, as JSON has it.
        data : bytes, optional
            Bytes that go with it.
        descriptors : sequence of int, optional
            Open files that go with it; only to a worker on this machine.
        copy : bool
            Give an array of its own, rather than a view of shared memory.
        seconds : float
            Deadline.

        Raises
        ------
        BridgeError
            What the worker answers; `WorkerLost` if it does not live; `ToolTimeout` if it is too slow.
        """
        return self.wait(self.send(what, body, data=data, descriptors=descriptors), copy=copy, seconds=seconds)

    def send(
        self,
        what: str,
        body: Mapping[str, Any] | None = None,
        *,
        data: wire.Bytes | None = None,
        descriptors: Sequence[int] = (),
    ) -> int:
        """Ask as `ask` does, and go on; `wait` fetches the answer by the number that this gives."""
        most = self._connection.limits.zmq_message
        if data is not None and memoryview(data).nbytes > most:
            raise LimitExceeded(
                f"{self._connection.subject}: {memoryview(data).nbytes} bytes are over the limit zmq_message, which is "
                f"{most}; raise it with limits=bridge.Limits(zmq_message=...)"
            )
        with self._connection.lock:
            self._begin()
            number = self._number()
            if descriptors:
                self._connection.send_descriptors(number, tuple(descriptors))
            ask = wire.Ask(number=number, what=what, body=body or {}, data=data, descriptors=len(descriptors))
            self._connection.send(ask)
            self._replies[number] = None
            return number

    def wait(self, number: int, *, copy: bool = False, seconds: float = _ANSWER) -> Reply:
        """Wait for the answer to what was sent; raise as `ask` does. Nobody may wait for it twice."""
        with self._connection.lock:
            if number not in self._replies:
                raise ValueError(f"there is no request {number} that waits for its answer")
            try:
                if self._replies[number] is None:
                    self._begin()
                    self._connection.until(lambda: self._replies[number] is not None, seconds, "has not answered")
            finally:
                reply = self._replies.pop(number)
                if reply is None:
                    self._forsake(number)
            if isinstance(reply, BridgeError):
                raise reply
            assert reply is not None  # noqa: S101 - what was waited for
            return replace(reply, array=reply.array.copy()) if copy and reply.array is not None else reply

    def open(
        self,
        options: Mapping[str, Any] | None = None,
        *,
        delivery: str = "latest",
        copy: bool = False,
        seconds: float = _ANSWER,
    ) -> Stream:
        """Ask for frames.

        Parameters
        ----------
        options : mapping
            For the source, as JSON has them.
        delivery : {"latest", "lossless"}
            The newest frame each time, or all of them: then the source waits for us.
        copy : bool
            Give arrays of their own, that can be written to, rather than views of shared memory.
        seconds : float
            Deadline for the source to be open.

        Raises
        ------
        BridgeError
            What the source raises; `WorkerLost` and `ToolTimeout` as `ask` does.
        """
        if delivery not in wire.DELIVERIES:
            raise ValueError(f"delivery must be one of {', '.join(wire.DELIVERIES)}, not {delivery!r}")
        with self._connection.lock:
            self._begin()
            number = self._number()
            lossless = delivery == "lossless"
            stream = Stream(
                self._connection,
                number,
                lossless=lossless,
                copy=copy,
                forsake=self._forsake,
                forsaken=self._forsaken,
            )
            self._connection.send(wire.Open(number=number, delivery=delivery, options=options or {}))
            self._streams[number] = stream
            self._replies[number] = None
            stream.description = self.wait(number, seconds=seconds).body
            if lossless and not stream.ended:
                stream.grant()
            return stream

    def ping(self, seconds: float | None = None) -> float:
        """Ask for a sign of life; give the seconds that it took."""
        with self._connection.lock:
            self._begin()
            return self._connection.ping(self._connection.limits.zmq_lost if seconds is None else seconds)

    def close(self) -> None:
        """Say goodbye and let go. Arrays that it gave stay as they are. Any thread may call it."""
        with self._connection.alone():
            self._connection.close(farewell=True)

    def abort(self) -> None:
        """Let go at once."""
        with self._connection.alone():
            self._connection.close()

    def _begin(self) -> None:
        """See that the connection can be used, and tell the worker what was dropped meanwhile."""
        self._connection.check()
        while self._forsaken:
            self._forsake(self._forsaken.popleft())

    def _number(self) -> int:
        number, self._next = self._next, self._next % 0xFFFFFFFF + 1
        return number

    def _forsake(self, number: int) -> None:
        """Tell the worker that a stream or an answer is not wanted any more."""
        if self._connection.alive:
            with contextlib.suppress(BridgeError):
                self._connection.send(wire.Bye(number=number, reason="closed"))

    # What comes

    def _frame(self, message: wire.Frame) -> None:
        array = self._connection.array(message.layout, message.slot, message.data)
        stream = self._streams.get(message.number)
        if stream is not None and not stream.closed:
            stream.put(message, array)

    def _answer(self, message: wire.Answer) -> None:
        layout, array = message.layout, None
        if layout is not None:  # also if nobody waits: only an array can give its memory back
            array = self._connection.array(layout, message.slot, message.data)
        if message.number in self._replies:
            pixels = layout.pixels if layout is not None else ""
            self._replies[message.number] = Reply(body=message.body, array=array, pixels=pixels)

    def _fault(self, message: wire.Fault) -> None:
        stream = self._streams.get(message.number)
        if message.number in self._replies:
            self._replies[message.number] = message.error()
        elif not message.number:
            self._last_word[0](message)
        if stream is not None:
            stream.end(message.error())

    def _bye(self, message: wire.Bye) -> None:
        stream = self._streams.get(message.number)
        if not message.number:
            self._last_word[1](message)
        elif stream is not None:
            stream.end(None)
