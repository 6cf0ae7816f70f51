"""Interrupts: steps that Ctrl-C must not come between, because what they make has no owner yet, or must all go."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import FrameType

__all__ = ["uninterrupted"]


class uninterrupted:  # noqa: N801 - reads as a statement, like those of contextlib
    """Let an interrupt wait until the steps in the block are done. A context manager, for one use.

    Handlers of Python run in the main thread only, between any two of its steps, so elsewhere there is nothing to do.
    Whatever has no end of its own, such as waiting for somebody else, does not belong in here.
    """

    __slots__ = ("_came", "_handler")

    def __init__(self) -> None:
        self._handler: signal._HANDLER = None
        self._came = False

    def __enter__(self) -> Self:
        """Take the place of the handler."""
        if threading.current_thread() is threading.main_thread():
            handler = signal.getsignal(signal.SIGINT)
            if callable(handler):  # else the system's way is the way: nothing of Python is run
                self._handler = handler
                signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the handler its place back, and what has come in the meantime."""
        if callable(self._handler):
            signal.signal(signal.SIGINT, self._handler)
            if self._came:
                signal.raise_signal(signal.SIGINT)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True
