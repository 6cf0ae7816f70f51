"""Which failures may go away by themselves, and how long to wait before one tries again."""

from __future__ import annotations

from bridge.errors import BridgeError, OutputFailed, ToolFailed, ToolTimeout

__all__ = ["pause", "worth_another_try"]

_FIRST, _LONGEST = 1.0, 60.0  # seconds


def worth_another_try(error: BaseException) -> bool:
    """Tell whether the same job may go well later.

    A full disk may be made free, a killed program had no fault, a machine that was too busy may be less so. What the
    job asks for, what the film holds and what was cancelled stay what they are.

    Examples
    --------
    >>> from bridge.errors import BadJob, ToolTimeout
    >>> worth_another_try(ToolTimeout("a.mov: ffmpeg made no progress for 60 s")), worth_another_try(BadJob("no"))
    (True, False)
    """
    if isinstance(error, ToolFailed):
        return bool(error.exit and error.exit.signal and not error.exit.stopped)
    if isinstance(error, ToolTimeout | OutputFailed):
        return True
    return isinstance(error, ConnectionError) and isinstance(error, BridgeError)


def pause(attempt: int) -> float:
    """Give how many seconds to wait after an attempt, the first of which is 0.

    Examples
    --------
    >>> pause(0), pause(3), pause(100)
    (1.0, 8.0, 60.0)
    """
    return min(_LONGEST, _FIRST * (1 << min(attempt, 10)))
