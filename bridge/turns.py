"""Turns: how many calls of this process may have children at work at once, in the order in which they came.

A turn lasts for a call, not for the life of a reader: readers that stand half read hold nobody up.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bridge.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.limits import Limits

__all__ = ["turn"]


class _Waiting:
    """Somebody in the queue."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.called = threading.Event()


class _Turns:
    """Who is at work, and who waits."""

    def __init__(self, busy: int = 0) -> None:
        self._lock = threading.Lock()
        self._queue: deque[_Waiting] = deque()
        self._busy = busy

    def take(self, limits: Limits) -> None:
        """Wait for a turn.

        Raises
        ------
        LimitExceeded
            If none comes within ``limits.finish``.
        """
        me = _Waiting(max(1, limits.processes))
        with self._lock:
            if not self._queue and self._busy < me.most:
                self._busy += 1
                return
            self._queue.append(me)
        deadline = time.monotonic() + limits.finish
        try:
            came = me.called.wait(max(0.0, deadline - time.monotonic()))
        except BaseException:
            self._leave(me)
            raise
        if not came:
            self._leave(me)
            raise LimitExceeded(
                f"no turn came in {limits.finish:g} s: the limit processes lets {me.most} calls work at once; "
                "raise it with limits=bridge.Limits(processes=...)"
            )

    def _leave(self, me: _Waiting) -> None:
        """Give up waiting, or the turn that came just then."""
        with self._lock:
            waiting = me in self._queue
            if waiting:
                self._queue.remove(me)
        if not waiting:
            self.give_back()

    def give_back(self) -> None:
        """End a turn; those who wait longest come next."""
        with self._lock:
            self._busy -= 1
            while self._queue and self._busy < self._queue[0].most:
                self._busy += 1
                self._queue.popleft().called.set()


_turns = _Turns()
_mine = threading.local()


@contextmanager
def turn(limits: Limits) -> Iterator[None]:
    """Do something in one's turn; within a turn of the same thread there is nothing to wait for."""
    held = getattr(_mine, "held", False)
    if held:
        yield
        return
    _turns.take(limits)
    _mine.held = True
    try:
        yield
    finally:
        _mine.held = False
        _turns.give_back()


def _forget() -> None:
    """Begin anew, in a fork: the turns of other threads never end there."""
    global _turns  # noqa: PLW0603 - the locks of the other one may be held for ever
    _turns = _Turns(busy=int(getattr(_mine, "held", False)))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
