"""Runs: a feed, the thread that fills slots from it, and who reads it. All but that thread is the server's."""

from __future__ import annotations

import threading
import time
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bridge.errors import LimitExceeded, ToolTimeout, WorkerLost
from bridge.remote import wire

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.errors import BridgeError
    from bridge.remote.ring import Ring, Slot
    from bridge_workers.peers import Peer
    from bridge_workers.work import Feed, Source

__all__ = ["Delivery", "Run"]

_AHEAD = 4  # frames that were read and that somebody who wants all of them has not been sent yet


@dataclass(slots=True, kw_only=True, eq=False)
class Shot:
    """One frame, as long as the server has to do with it."""

    slot: Slot
    stamp: wire.Stamp
    sequence: int
    waiting: int = 0  # deliveries in whose queues it is


@dataclass(slots=True, kw_only=True, eq=False)
class Delivery:
    """One reader of a run."""

    peer: Peer
    number: int
    lossless: bool
    credit: int = 0
    last: int = -1
    since: float = 0.0  # when it began to take nothing of what waits for it; 0 if it does not
    queue: deque[Shot] = field(default_factory=deque)


class Run:
    """A feed at work.

    Parameters
    ----------
    source : Source
        Where the feed comes from.
    options : mapping
        For opening it.
    ring : Ring
        Where slots come from.
    post : callable
        Has something called in the server's thread.
    over : callable
        Is called there when the run has no more to do.
    """

    def __init__(
        self,
        source: Source,
        options: Mapping[str, Any],
        *,
        ring: Ring,
        post: Callable[[Callable[[], None]], None],
        over: Callable[[Run], None],
    ) -> None:
        self.deliveries: list[Delivery] = []
        self._source, self._options = source, options
        self._ring, self._post, self._over = ring, post, over
        self._feed: Feed | None = None  # set by its own thread; readers are told of it in `_opened`
        self._open = False
        self._newest: Shot | None = None
        self._end: list[BaseException | None] = []  # how it ended, once it has
        self._why = ""  # it was stopped
        self._permits = threading.Semaphore(_AHEAD)
        self.stopped = False
        self._thread = threading.Thread(target=self._work, name="framebridge-feed", daemon=True)
        self._thread.start()

    # In the thread of the feed

    def _work(self) -> None:
        end: BaseException | None = None
        try:
            feed = self._source.open(self._options)
            self._feed = feed
            self._post(lambda: self._opened(feed))
            try:
                self._fill(feed)
            finally:
                feed.close()
        except BaseException as error:  # noqa: BLE001 - told to the readers
            end = error
        self._post(lambda: self._ended(end))

    def _fill(self, feed: Feed) -> None:
        size = feed.layout.nbytes
        sequence = 0
        while self._permits.acquire() and not self.stopped:
            slot = self._ring.take(size)
            try:
                with slot.view[:size] as memory:
                    stamp = feed.fill(memory)
            except BaseException:
                self._ring.give_back(slot)
                raise
            if stamp is None:
                self._ring.give_back(slot)
                return
            shot = Shot(slot=slot, stamp=stamp, sequence=sequence)
            self._post(lambda shot=shot: self._arrived(shot))  # type: ignore[misc] # mypy does not infer the default
            sequence += 1

    # In the server's thread

    @property
    def feed(self) -> Feed | None:
        """The feed, once it is open."""
        return self._feed

    def join(self, delivery: Delivery) -> None:
        """Have one more reader."""
        self.deliveries.append(delivery)
        if self._open and self._feed is not None:
            self._welcome(delivery, self._feed)

    def _opened(self, feed: Feed) -> None:
        self._open = True
        for delivery in list(self.deliveries):
            self._welcome(delivery, feed)

    def _welcome(self, delivery: Delivery, feed: Feed) -> None:
        layout = feed.layout
        try:
            delivery.peer.check(layout)
        except LimitExceeded as error:
            self._send_off(delivery, error)
            return
        told = {"shape": layout.shape, "dtype": layout.dtype.str, "pixels": layout.pixels, **feed.description}
        delivery.peer.send(wire.Answer(number=delivery.number, body=told))
        self._pump(delivery)

    def grant(self, delivery: Delivery, frames: int) -> None:
        """Let a reader have more frames."""
        most = delivery.peer.limits.zmq_queue
        delivery.credit = min(delivery.credit + frames, most)
        self._pump(delivery)

    def leave(self, delivery: Delivery) -> None:
        """Have one reader less; with the last one the feed ends."""
        if delivery not in self.deliveries:
            return
        self.deliveries.remove(delivery)
        while delivery.queue:
            self._done_with(delivery.queue.popleft())
        if not self.deliveries:
            self.stop()

    def stop(self, why: str = "closed") -> None:
        """End the feed, whoever reads it."""
        if not self.stopped:
            self.stopped = True
            self._why = why
            self._permits.release()
            if self._feed is not None:
                self._feed.close()
        self._done()

    def _send_off(self, delivery: Delivery, error: BridgeError) -> None:
        """Have one reader less, and tell it why."""
        delivery.peer.send(wire.Fault.of(delivery.number, error))
        delivery.peer.deliveries.pop(delivery.number, None)
        self.leave(delivery)

    @property
    def held_up(self) -> bool:
        """Tell whether a reader that takes nothing keeps others waiting."""
        return len(self.deliveries) > 1 and any(delivery.since for delivery in self.deliveries)

    def tend(self) -> None:
        """Leave behind who keeps others waiting for too long; who reads alone may take his time."""
        for delivery in list(self.deliveries):
            patience = delivery.peer.limits.zmq_lost
            if self.held_up and delivery.since and time.monotonic() - delivery.since > patience:
                why = f"no frame was taken for {patience:g} s while other readers of this source waited"
                self._send_off(delivery, ToolTimeout(why))

    def _arrived(self, shot: Shot) -> None:
        newest, self._newest = self._newest, shot
        if newest is not None:
            self._ring.give_back(newest.slot)
        for delivery in self.deliveries:
            if delivery.lossless:
                self._ring.hold(shot.slot)
                shot.waiting += 1
                delivery.queue.append(shot)
        if not shot.waiting:
            self._permits.release()
        for delivery in list(self.deliveries):
            self._pump(delivery)

    def _ended(self, error: BaseException | None) -> None:
        self._end.append(WorkerLost(self._why) if self.stopped else error)
        for delivery in list(self.deliveries):
            self._pump(delivery)
        self._done()

    def _pump(self, delivery: Delivery) -> None:
        """Send what may be sent."""
        try:
            if delivery.lossless:
                while delivery.credit and delivery.queue:
                    shot = delivery.queue.popleft()
                    try:
                        self._give(delivery, shot)
                    finally:
                        self._done_with(shot)
            elif delivery.credit and self._news_for(delivery):
                self._give(delivery, self._newest)  # type: ignore[arg-type] # there is one
        except WorkerLost:
            delivery.peer.lose("it does not take its memory")
        if delivery in self.deliveries and self._at_end(delivery):
            self._farewell(delivery)
        stalled = bool(delivery.queue) and not delivery.credit
        delivery.since = (delivery.since or time.monotonic()) if stalled else 0.0

    def _at_end(self, delivery: Delivery) -> bool:
        """Tell whether a reader has had all that it shall have; an error waits for no newest frame."""
        if not self._end or delivery.queue:
            return False
        return self._end[0] is not None or not self._news_for(delivery)

    def _news_for(self, delivery: Delivery) -> bool:
        """Tell whether there is a newer frame than a reader of the latest has."""
        return not delivery.lossless and self._newest is not None and self._newest.sequence > delivery.last

    def _give(self, delivery: Delivery, shot: Shot) -> None:
        if self._feed is None:
            return
        delivery.peer.send_array(
            lambda slot, data: wire.Frame(
                number=delivery.number,
                sequence=shot.sequence,
                layout=layout,
                stamp=shot.stamp,
                slot=slot,
                data=data,
            ),
            layout := self._feed.layout,
            shot.slot,
        )
        delivery.credit -= 1
        delivery.last = shot.sequence

    def _farewell(self, delivery: Delivery) -> None:
        self.deliveries.remove(delivery)
        delivery.peer.deliveries.pop(delivery.number, None)
        error = self._end[0]
        if error is None:
            delivery.peer.send(wire.Bye(number=delivery.number, reason="end"))
        else:
            delivery.peer.send(wire.Fault.of(delivery.number, error))
        self._done()

    def _done_with(self, shot: Shot) -> None:
        shot.waiting -= 1
        if not shot.waiting:
            self._permits.release()
        self._ring.give_back(shot.slot)

    def _done(self) -> None:
        """Let go of the last frame when there is neither a feed nor a reader."""
        if self._end and not self.deliveries:
            if self._newest is not None:
                self._ring.give_back(self._newest.slot)
                self._newest = None
            self._over(self)

    def wait(self, seconds: float) -> None:
        """Wait for the thread. Called at the worker's end."""
        self._thread.join(seconds)
