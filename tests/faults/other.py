"""Another Python with bridge in it, to be hurt: what it says, what it has started, what is left of that."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

__all__ = ["Other", "fully_gone", "script"]

_BEGIN = """
import gc, os, resource, signal, sys, threading, time, warnings
import numpy as np
warnings.simplefilter("ignore", ResourceWarning)
import bridge

def say(*words):
    print(*words, flush=True)
"""


def script(body: str, *arguments: object, timeout: float = 40, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run some Python with bridge to its end."""
    command = [sys.executable, "-c", _BEGIN + body, *map(str, arguments)]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=timeout, **options)


def fully_gone(processes: Iterable[psutil.Process], within: float) -> list[psutil.Process]:
    """Give those that still live after that time; one that only waits for somebody to notice its end does not."""
    until = time.monotonic() + within
    left = [*processes]
    while left:
        left = [process for process in left if process.is_running() and _status(process) != psutil.STATUS_ZOMBIE]
        if time.monotonic() > until:
            break
        time.sleep(0.02)
    return left


def _status(process: psutil.Process) -> str:
    try:
        return process.status()
    except psutil.NoSuchProcess:
        return psutil.STATUS_ZOMBIE


class Other:
    """Runs some Python with bridge; a context manager that leaves nothing of it."""

    def __init__(self, body: str, *arguments: object, folder: Path | None = None, **environment: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _BEGIN + body, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=folder,
            env=os.environ | environment,
        )
        self.pid = self._process.pid
        self.family: list[psutil.Process] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.look()
        self._process.kill()
        self._process.communicate()
        for process in self.family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        fully_gone(self.family, 5)

    def hear(self) -> str:
        """Wait for the next line that it says."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        if not line:
            raise AssertionError(self._process.communicate()[1])
        return line

    def look(self, *more: int) -> list[psutil.Process]:
        """Give all that it has started so far, and these."""
        with contextlib.suppress(psutil.NoSuchProcess):
            known = {process.pid for process in self.family}
            found = psutil.Process(self.pid).children(recursive=True) + [psutil.Process(pid) for pid in more]
            self.family += [process for process in found if process.pid not in known]
        return self.family

    def hurt(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def end(self, seconds: float = 10) -> int:
        """Wait for its end; give how it ended."""
        return self._process.wait(seconds)

    def go_on(self) -> None:
        """Send it a line."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()


def until(wanted: Callable[[], object], seconds: float = 5) -> bool:
    """Wait for something to become true."""
    end = time.monotonic() + seconds
    while not wanted():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGHUP)
