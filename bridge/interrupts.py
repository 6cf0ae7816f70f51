"""Interrupts: steps that Ctrl-C must not come between, because what they make has no owner yet, or must all go."""

from __future__ import annotations

import os
import signal
import sys
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

__all__ = ["keep_interrupts", "uninterrupted"]

_SIGINT = int(signal.SIGINT)
_AGAIN = 0.02  # seconds until it comes once more: then the place where it could not be raised is left


def keep_interrupts() -> None:
    """Have a signal come again whose exception Python has let fall; called by programs, at their start.

    Python raises `KeyboardInterrupt`, and what a handler raises, between any two steps of the main thread, and where
    that is in a callback of the garbage collector, as those that clean up behind each import, it only prints that it
    was ignored. A handler of SIGTERM that raises ``SystemExit(128 + number)`` is understood, too.
    """
    before = sys.unraisablehook

    def said(unraisable: sys.UnraisableHookArgs) -> None:
        number = _signal_of(unraisable.exc_value)
        if number:
            again = threading.Timer(_AGAIN, os.kill, (os.getpid(), number))  # to the process: it wakes who waits
            again.daemon = True
            again.start()
        else:
            before(unraisable)

    sys.unraisablehook = said


def _signal_of(error: BaseException | None) -> int:
    if isinstance(error, KeyboardInterrupt):
        return _SIGINT
    return error.code - 128 if isinstance(error, SystemExit) and isinstance(error.code, int) and error.code > 128 else 0


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
