"""Turns: how many calls of this process may have children at work at once, in the order in which they came.

A turn lasts for a call, not for the life of a reader: readers that stand half read hold nobody up.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bridge.errors import LimitExceeded
from bridge.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.limits import Limits

__all__ = ["turn"]


class _Place:
    """Where a call stands: in the queue, at work, or neither."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.working = False
        self.called = threading.Event()


class _Turns:
    """Who is at work, and who waits."""

    def __init__(self, busy: int = 0) -> None:
        self._lock = threading.Lock()
        self._queue: deque[_Place] = deque()
        self._busy = busy

    def take(self, place: _Place, seconds: float) -> bool:
        """Wait for a turn; tell whether it came."""
        with uninterrupted(), self._lock:
            self._queue.append(place)
            self._call()
        return place.called.wait(seconds)

    def leave(self, place: _Place) -> None:
        """Give up waiting, or end a turn; those who wait longest come next."""
        with uninterrupted(), self._lock:
            if place.working:
                place.working = False
                self._busy -= 1
            elif place in self._queue:
                self._queue.remove(place)
            self._call()

    def _call(self) -> None:
        while self._queue and self._busy < self._queue[0].most:
            place = self._queue.popleft()
            self._busy += 1
            place.working = True
            place.called.set()


_turns = _Turns()
_mine = threading.local()


class _Turn:
    """A place that is left with this object, wherever an interrupt comes."""

    def __init__(self, most: int) -> None:
        self.place = _Place(most)
        self.leave = weakref.finalize(self, _leave, self.place)


def _leave(place: _Place) -> None:
    _turns.leave(place)  # those of this process, which may be a fork


@contextmanager
def turn(limits: Limits) -> Iterator[None]:
    """Do something in one's turn; within a turn of the same thread there is nothing to wait for.

    Raises
    ------
    LimitExceeded
        If none comes within ``limits.finish``.
    """
    if getattr(_mine, "turn", lambda: None)() is not None:
        yield
        return
    mine = _Turn(max(1, limits.processes))
    _mine.turn = weakref.ref(mine)
    try:
        if not _turns.take(mine.place, limits.finish):
            raise LimitExceeded(
                f"no turn came in {limits.finish:g} s: the limit processes lets {mine.place.most} calls work at once; "
                "raise it with limits=bridge.Limits(processes=...)"
            )
        yield
    finally:
        with uninterrupted():
            mine.leave()
            del _mine.turn


def _forget() -> None:
    """Begin anew, in a fork: the turns of other threads never end there."""
    global _turns  # noqa: PLW0603 - the locks of the other one may be held for ever
    _turns = _Turns(busy=int(getattr(_mine, "turn", lambda: None)() is not None))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
