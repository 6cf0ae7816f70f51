"""Interrupts: steps that Ctrl-C must not come between, because what they make has no owner yet, or must all go."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    import signal as _signal
    from types import FrameType
else:
    try:  # `signal` makes enumerations of what goes in and out, which takes ten times as long as the rest
        import _signal
    except ImportError:  # of another Python
        import signal as _signal

__all__ = ["uninterrupted"]

_SIGINT = int(signal.SIGINT)


class uninterrupted:  # noqa: N801 - reads as a statement, like those of contextlib
    """Let an interrupt wait until the steps in the block are done. A context manager, for one use.

    Handlers of Python run in the main thread only, between any two of its steps, so elsewhere there is nothing to do.
    Whatever has no end of its own, such as waiting for somebody else, does not belong in here.
    """

    __slots__ = ("_came", "_handler")

    def __init__(self) -> None:
        self._handler: Any = None
        self._came = False

    def __enter__(self) -> Self:
        """Take the place of the handler."""
        if threading.current_thread() is threading.main_thread():
            handler = _signal.getsignal(_SIGINT)
            if callable(handler):  # else the system's way is the way: nothing of Python is run
                self._handler = handler
                _signal.signal(_SIGINT, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        """Give the handler its place back, and what has come in the meantime."""
        if callable(self._handler):
            _signal.signal(_SIGINT, self._handler)
            if self._came:
                signal.raise_signal(signal.SIGINT)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        self._came = True
