"""What a worker says of strangers: little, so that nobody can fill a log, or hold us up at one that nobody reads."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import stat
import sys
import time

__all__ = ["Complaints", "log_to_stderr"]

log = logging.getLogger("bridge.worker")

_MOST, _WITHIN = 10, 60.0  # lines, seconds


class Complaints:
    """Warnings, of which a few a minute are said, and the others counted."""

    def __init__(self) -> None:
        self._since = -_WITHIN
        self._said = 0
        self._left_out = 0

    def say(self, template: str, *values: object) -> None:
        """Say it, unless much was said of late."""
        now = time.monotonic()
        if now - self._since >= _WITHIN:
            self._since, self._said = now, 0
        if self._said >= _MOST:
            self._left_out += 1
            return
        self._said += 1
        if self._left_out:
            log.warning("%d warnings were left out", self._left_out)
            self._left_out = 0
        log.warning(template, *values)


def log_to_stderr() -> None:
    """Have warnings said to whoever listens; nobody who does not shall hold us up."""
    with contextlib.suppress(io.UnsupportedOperation, OSError):
        number = sys.stderr.fileno()
        if stat.S_ISFIFO(os.fstat(number).st_mode):
            os.set_blocking(number, False)
    logging.raiseExceptions = False
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(levelname)s: %(message)s")
