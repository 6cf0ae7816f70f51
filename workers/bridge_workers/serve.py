"""The one loop that every worker runs: hello, open, credit, requests, signs of life, goodbye.

It has one thread, which only waits for sockets; each open source has a thread of its own, and so have requests.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import signal
import socket
import threading
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.errors import BridgeError, WireError, WorkerLost, WrongVersion
from bridge.limits import of_call
from bridge.printing import printable
from bridge.remote import wire
from bridge.remote.ring import Ring
from bridge.remote.sockets import CONTROL, MEMORY, limited, reachable
from bridge_workers.complaints import Complaints, log_to_stderr
from bridge_workers.gate import Gate
from bridge_workers.peers import Lines, Peer
from bridge_workers.runs import Delivery, Run
from bridge_workers.work import Answerer, Feed, Reply, Request, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    import zmq

    from bridge.limits import Limits

__all__ = ["Answerer", "Feed", "Reply", "Request", "Server", "Source", "run", "serve"]

log = logging.getLogger("bridge.worker")

_DRAIN = 5.0  # seconds that work that has begun may take, once we are to end
_REQUESTS = 64  # of one reader, at a time
_STREAMS = 16
_LOOK = 0.5  # seconds from one look to the next at readers that keep others waiting
_TOLD = "the worker was told to end"


class Server:
    """A worker at work. `run` is its loop; `end`, from any thread or a signal, ends that.

    Parameters
    ----------
    kind : str
        Its name: ``"camera"``, ``"magick"``.
    work : Source or Answerer
        What it does.
    limits : Limits
        Of messages and waits.
    slots, memory : int
        How many slots of shared memory are kept, and how many bytes of those that nobody holds.
    """

    def __init__(
        self,
        kind: str,
        work: Source | Answerer,
        *,
        limits: Limits | None = None,
        slots: int = 16,
        memory: int = 1 << 28,
    ) -> None:
        import zmq

        self.kind, self.work = kind, work
        self.limits = of_call(limits, None)
        self.counts = dict.fromkeys(("peers", "frames", "answers", "faults", "refused", "lost"), 0)
        self.ending = False
        self._ring = Ring(slots, memory)
        self._context = zmq.Context()
        self._poller = zmq.Poller()
        self._handlers: dict[Any, Callable[[], None]] = {}
        self._routers: list[tuple[zmq.Socket[Any], zmq.Socket[Any]]] = []  # each with its monitor
        self._lines: Lines | None = None
        self._gate: Gate | None = None
        self._paths: list[str] = []
        self._peers: dict[tuple[zmq.Socket[Any], bytes], Peer] = {}
        self._by_fd: dict[tuple[zmq.Socket[Any], int], Peer] = {}
        self._runs: dict[Hashable, Run] = {}  # those that may be joined
        self._all_runs: set[Run] = set()
        self._posted: deque[Callable[[], None]] = deque()
        self._nudging, self._nudged = threading.Lock(), False
        self._wake, self._woken = socket.socketpair()
        self._wake.setblocking(False)
        self._woken.setblocking(False)
        self._watch(self._woken.fileno(), self._wakeup)
        threads = work.threads if isinstance(work, Answerer) else 1
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="framebridge-answer")
        self._busy = 0
        self._complaints = Complaints()
        self._heeded: dict[int, Any] = {}
        self._hello = wire.Hello(
            facts={
                "version": wire.VERSION,
                "kind": kind,
                "pid": os.getpid(),
                "wall": time.time_ns() - time.monotonic_ns(),
                "abilities": dict(work.describe()),
            }
        )

    @property
    def readers(self) -> int:
        """Count those who are connected."""
        return len(self._peers)

    # Beginning

    def listen(self, address: str, prepare: Callable[[zmq.Socket[Any]], None] | None = None) -> str:
        """Be reachable at an address of ZeroMQ; give it as it is really bound.

        `prepare` is called with the socket before that: for keys.
        """
        import zmq

        router = limited(self._context.socket(zmq.ROUTER), self.limits)
        router.setsockopt(zmq.ROUTER_MANDATORY, 1)
        if prepare is not None:
            prepare(router)
        events = zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL
        events |= zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
        monitor = router.get_monitor_socket(events)
        self._routers.append((router, monitor))
        router.bind(address)
        self._watch(monitor, functools.partial(self._monitored, router, monitor))
        self._watch(router, functools.partial(self._hear, router))
        return router.getsockopt_string(zmq.LAST_ENDPOINT)

    def admit(self, lets_in: Callable[[bytes], bool]) -> None:
        """Have it asked which readers' keys are let in. Called before `listen`, where that is with keys."""
        gate = self._gate = Gate(self._context, lets_in, self._refused)
        self._watch(gate.socket, gate.heard)

    def _refused(self, whence: str) -> None:
        self.counts["refused"] += 1
        self._complaints.say("a key is refused, from %s", whence)

    def listen_here(self, folder: str) -> None:
        """Be reachable for readers on this machine, by two sockets in a private folder."""
        lines = self._lines = Lines(f"{reachable(folder)}/{MEMORY}")
        self._watch(lines.fileno(), lines.accept)
        self._paths.append(f"{folder}/{MEMORY}")
        self.listen(f"ipc://{folder}/{CONTROL}")
        self._paths.append(f"{folder}/{CONTROL}")

    def _watch(self, what: Any, handler: Callable[[], None], events: int = 1) -> None:
        self._poller.register(what, events)  # 1 is zmq.POLLIN
        self._handlers[what] = handler

    def _unwatch(self, what: Any) -> None:
        if self._handlers.pop(what, None) is not None:
            self._poller.unregister(what)

    # Running

    def run(self) -> None:
        """Serve until `end` is called."""
        try:
            while not self.ending:
                held_up = [run for run in self._all_runs if run.held_up]
                self._turn(_LOOK if held_up else None)
                for run in held_up:
                    run.tend()
            self._drain()
        finally:
            self.close()

    def end(self) -> None:
        """Have `run` finish what is at work, say goodbye and return. Any thread may call it, and signals do."""
        self.ending = True
        self._nudge()

    def heed(self, *numbers: int) -> None:
        """Have these signals end it. Called in the main thread."""
        # A signal may come to any thread, and does not wake this one up: what Python's own handler writes does.
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in numbers:
            self._heeded[number] = signal.signal(number, lambda *_: self.end())

    def post(self, call: Callable[[], None]) -> None:
        """Have something called in the thread of the loop."""
        self._posted.append(call)
        with self._nudging:
            first, self._nudged = not self._nudged, True
        if first:
            self._nudge()

    def _nudge(self) -> None:
        with contextlib.suppress(OSError):  # full: it will look anyhow; closed: it is over
            self._wake.send(b"!")

    def _turn(self, seconds: float | None) -> None:
        found = self._poller.poll(None if seconds is None else int(seconds * 1000) + 1)
        for what, handler in [(what, self._handlers.get(what)) for what, _ in found]:
            # It may have gone in this very turn, and another may have got its number.
            if handler is not None and self._handlers.get(what) is handler:
                handler()

    def _wakeup(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._woken.recv(4096)
        with self._nudging:
            self._nudged = False  # what is posted from here on may be missed below, and nudges again
        while self._posted:
            self._posted.popleft()()

    def _drain(self) -> None:
        deadline = time.monotonic() + _DRAIN
        for run in list(self._all_runs):
            run.stop(_TOLD)
        while (self._busy or self._all_runs) and time.monotonic() < deadline:
            self._turn(max(0.0, deadline - time.monotonic()))
        for peer in list(self._peers.values()):
            peer.send(wire.Bye(reason=_TOLD))

    def close(self) -> None:
        """Let go of everything. `run` does so, too."""
        if self._context.closed:
            return
        for run in list(self._all_runs):
            run.stop()
            run.wait(1.0)
        self._pool.shutdown(wait=not self._busy, cancel_futures=True)
        if isinstance(self.work, Answerer):
            self.work.close()
        self._close_sockets()
        for peer in list(self._peers.values()):  # not before goodbyes are on their way: their lines end sooner
            self._forget(peer)
        self._ring.close()
        self._heed_no_more()
        self._wake.close()
        self._woken.close()

    def _close_sockets(self) -> None:
        if self._lines is not None:
            self._lines.close()
        if self._gate is not None:
            self._gate.close()
        for path in self._paths:
            Path(path).unlink(missing_ok=True)
        for router, monitor in self._routers:
            router.disable_monitor()
            monitor.close()
            router.close()
        self._context.term()

    def _heed_no_more(self) -> None:
        if self._heeded:
            signal.set_wakeup_fd(-1)
        for number, handler in self._heeded.items():
            signal.signal(number, handler)

    # Messages

    def _hear(self, router: zmq.Socket[Any]) -> None:
        import zmq

        for _ in range(64):  # others wait, too
            try:
                name, *parts = router.recv_multipart(zmq.DONTWAIT, copy=False)
            except zmq.Again:
                return
            key = (router, name.bytes)
            peer = self._peers.get(key)
            try:
                message = wire.unpack([part.buffer for part in parts], most=self.limits.zmq_message)
                if isinstance(message, wire.Hello):
                    self._greet(key, message, parts[-1].get(zmq.SRCFD))
                elif peer is not None:
                    self._heard(peer, message)
                else:
                    self._refuse(key, WorkerLost("the worker does not know this connection any more"), quiet=True)
            except WireError as error:
                self._refuse(key, error)

    def _refuse(self, key: tuple[zmq.Socket[Any], bytes], error: BridgeError, *, quiet: bool = False) -> None:
        """Tell somebody who is not understood, and have no more to do with them."""
        import zmq

        if not quiet:
            self.counts["refused"] += 1
            self._complaints.say("a connection is refused: %s", printable(str(error)))
        router, name = key
        if not quiet or not isinstance(error, WrongVersion):
            with contextlib.suppress(zmq.ZMQError):
                router.send_multipart([name, *wire.pack(wire.Fault.of(0, error))], zmq.DONTWAIT)
        if key in self._peers:
            self._forget(self._peers[key])

    def _greet(self, key: tuple[zmq.Socket[Any], bytes], message: wire.Hello, fd: Any) -> None:
        import zmq

        if key in self._peers:
            raise WireError("a connection says hello twice")
        router, name = key
        line = None
        if message.facts.get("memory") is True:
            line = self._lines.line(name) if self._lines is not None else None
            if line is None:
                raise WireError("a connection wants shared memory, and has no line for it")
        peer = Peer(router, name, line=line, ring=self._ring, limits=self.limits, lose=self._lose)
        self._peers[key] = peer
        for known, monitor in self._routers:  # who had this descriptor before has gone, and the monitor knows
            self._monitored(known, monitor)
        if isinstance(fd, int):
            self._by_fd[router, fd] = peer
        if line is not None:
            # Only for its end; what is said on it is heard when there is use for that.
            self._watch(line.fileno(), functools.partial(self._lose, peer, "its line has ended"), zmq.POLLERR)
        self.counts["peers"] += 1
        peer.send(self._hello)

    def _heard(self, peer: Peer, message: wire.Message) -> None:
        if peer.line is None or self._ring.hear(peer.line):
            self._handle(peer, message)
        else:
            self._lose(peer, "what it says on its line is not understood")

    def _handle(self, peer: Peer, message: wire.Message) -> None:
        if isinstance(message, wire.Credit):
            if (known := peer.deliveries.get(message.number)) is not None:
                run, delivery = known
                run.grant(delivery, message.frames)
        elif isinstance(message, wire.Ping):
            if not message.answer:
                peer.send(wire.Ping(number=message.number, answer=True))
        elif isinstance(message, wire.Ask):
            self._guarded(peer, message, self._asked)
        elif isinstance(message, wire.Open):
            self._guarded(peer, message, self._open)
        elif isinstance(message, wire.Bye):
            self._bye(peer, message)

    def _guarded(self, peer: Peer, message: Any, call: Callable[[Peer, Any], None]) -> None:
        try:
            self._admit(peer, message.number)
            call(peer, message)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a wish, others go on
            self.counts["faults"] += 1
            peer.send(wire.Fault.of(message.number, error))

    def _admit(self, peer: Peer, number: int) -> None:
        if not number or number in peer.deliveries or number in peer.requests:
            raise WireError(f"the number {number} is taken")
        if self.ending:
            raise WorkerLost(_TOLD)

    def _bye(self, peer: Peer, message: wire.Bye) -> None:
        if not message.number:
            self._forget(peer)
        elif message.number in peer.deliveries:
            run, delivery = peer.deliveries.pop(message.number)
            run.leave(delivery)
        elif message.number in peer.requests:
            peer.requests[message.number].set()

    # Streams

    def _open(self, peer: Peer, message: wire.Open) -> None:
        if not isinstance(self.work, Source):
            raise WireError(f"a worker of the kind {self.kind} has no frames to send")
        if len(peer.deliveries) >= _STREAMS:
            raise WireError(f"a connection has at most {_STREAMS} streams")
        key = self.work.share(message.options)
        run = self._runs.get(key) if key is not None else None
        if run is None or run.stopped:
            key = object() if key is None else key
            run = Run(
                self.work,
                message.options,
                ring=self._ring,
                post=self.post,
                over=functools.partial(self._run_over, key),
                sent=self._count_frame,
            )
            self._runs[key] = run
            self._all_runs.add(run)
        delivery = Delivery(peer=peer, number=message.number, lossless=message.delivery == "lossless")
        peer.deliveries[message.number] = (run, delivery)
        run.join(delivery)

    def _count_frame(self) -> None:
        self.counts["frames"] += 1

    def _run_over(self, key: Hashable, run: Run) -> None:
        self._all_runs.discard(run)
        if self._runs.get(key) is run:
            del self._runs[key]

    # Requests

    def _asked(self, peer: Peer, message: wire.Ask) -> None:
        descriptors: list[int] = []
        if message.descriptors and peer.line is not None:
            descriptors = peer.line.received(message.number)  # they were sent, and heard, before
        if len(descriptors) != message.descriptors:
            for descriptor in descriptors:
                os.close(descriptor)
            raise WireError(f"{message.descriptors} descriptors were to come with a request, not {len(descriptors)}")
        if not isinstance(self.work, Answerer) or len(peer.requests) >= _REQUESTS:
            for descriptor in descriptors:
                os.close(descriptor)
            raise WireError(f"a worker of the kind {self.kind} does not take this request, or not as many")
        forsaken = peer.requests[message.number] = threading.Event()
        request = Request(
            what=message.what,
            body=message.body,
            data=b"" if message.data is None else message.data,
            descriptors=tuple(descriptors),
            slot=self._ring.take,
            forsaken=forsaken,
        )
        self._busy += 1
        self._pool.submit(self._answer, peer, message.number, request)

    def _answer(self, peer: Peer, number: int, request: Request) -> None:
        """Answer, in a thread of the pool."""
        outcome: Reply | BaseException
        try:
            if request.forsaken.is_set():
                raise WorkerLost("nobody waits for it any more")  # noqa: TRY301 - as if it had been raised within
            assert isinstance(self.work, Answerer)  # noqa: S101 - or there would be no request
            outcome = self.work.answer(request)
        except BaseException as error:  # noqa: BLE001 - told to the asker
            outcome = error
        for descriptor in request.descriptors:
            with contextlib.suppress(OSError):
                os.close(descriptor)
        self.post(functools.partial(self._answered, peer, number, outcome))

    def _answered(self, peer: Peer, number: int, outcome: Reply | BaseException) -> None:
        self._busy -= 1
        wanted = peer.requests.pop(number, None)
        if isinstance(outcome, BaseException):
            self.counts["faults"] += 1
            peer.send(wire.Fault.of(number, outcome))
            return
        slot = outcome.slot
        try:
            if wanted is None or wanted.is_set() or peer.gone:
                return
            self.counts["answers"] += 1
            if slot is None or outcome.layout is None:
                peer.send(wire.Answer(number=number, body=outcome.body))
                return
            peer.send_array(
                lambda place, data: wire.Answer(
                    number=number, body=outcome.body, layout=outcome.layout, slot=place, data=data
                ),
                outcome.layout,
                slot,
            )
        except WorkerLost:
            peer.lose("it does not take its memory")
        except BridgeError as error:  # an answer that cannot be written, or is too large
            peer.send(wire.Fault.of(number, error))
        finally:
            if slot is not None:
                self._ring.give_back(slot)

    # Ends of others

    def _monitored(self, router: zmq.Socket[Any], monitor: zmq.Socket[Any]) -> None:
        import zmq
        from zmq.utils.monitor import recv_monitor_message

        while monitor.poll(0):
            event = recv_monitor_message(monitor, zmq.DONTWAIT)
            if event["event"] == zmq.EVENT_DISCONNECTED:
                peer = self._by_fd.pop((router, event["value"]), None)
                if peer is not None:
                    self._lose(peer, "its connection has ended")
            else:
                self.counts["refused"] += 1
                self._complaints.say("a connection is refused before it could say hello")

    def _lose(self, peer: Peer, why: str) -> None:
        """Forget a reader that has not said goodbye."""
        if not peer.gone:
            self.counts["lost"] += 1
            log.info("a reader is lost: %s", why)
            self._forget(peer)

    def _forget(self, peer: Peer) -> None:
        if peer.gone:
            return
        peer.gone = True
        for run, delivery in list(peer.deliveries.values()):
            run.leave(delivery)
        peer.deliveries.clear()
        for forsaken in peer.requests.values():
            forsaken.set()
        if peer.line is not None:
            self._unwatch(peer.line.fileno())
            self._ring.drop(peer.line)
            peer.line.close()
        self._peers = {key: one for key, one in self._peers.items() if one is not peer}
        self._by_fd = {key: one for key, one in self._by_fd.items() if one is not peer}


def serve(server: Server, folder: str) -> int:
    """Run a worker for the process that has started it: its sockets are in `folder`, it says when they are there."""

    def listen() -> str:
        server.listen_here(folder)
        return "ready"

    return run(server, listen)


def run(server: Server, listen: Callable[[], str]) -> int:
    """Run a worker; SIGTERM and SIGINT let it finish what it has begun.

    `listen` makes it reachable, and gives what it says of that.
    """
    log_to_stderr()
    server.heed(signal.SIGTERM, signal.SIGINT)
    try:
        print(listen(), flush=True)
        server.run()
    finally:
        server.close()
    return 0
