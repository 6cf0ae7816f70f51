"""Supervisor: one worker process on this machine: started when needed, again when it has died, within a limit."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bridge.errors import Closed, ToolFailed, ToolMissing, WorkerLost
from bridge.limits import of_call
from bridge.process.child import Child, words
from bridge.process.tools import cache_folder
from bridge.remote.client import Client

if TYPE_CHECKING:
    from bridge.limits import Limits

__all__ = ["Supervisor"]

_START = 30.0  # seconds to a worker's first word, on a machine that is busy
_WITHIN = 60.0  # seconds in which restarts are counted
_DRAIN = 8.0  # seconds that a worker may take to end what it has begun
_READY = b"ready\n"
# What a worker, or what it starts, needs of our environment to find the screen, and its own folders.
_KEPT = ("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XDG_SESSION_TYPE", "XDG_CURRENT_DESKTOP",
         "DBUS_SESSION_BUS_ADDRESS")  # fmt: skip


class Supervisor:
    """Keeps a worker at work. A context manager; leaving it ends the worker.

    Parameters
    ----------
    kind : str
        Which worker: ``"camera"``, ``"magick"``.
    *arguments : str
        The rest of its command line.
    subject : str
        The user's name for what is worked on; used in messages.
    limits : Limits
        Of messages and waits.
    restarts : int
        How often a minute it is started again after it has died.

    Notes
    -----
    The worker is one of our own programs and not boxed: what it starts is, by a spawner of its own. It ends with this
    process, whatever that dies of, and what it has started ends with it. Its sockets and temporary files are in its
    private folder, which goes with it, too. Nothing watches it meanwhile: its readers notice its end at once, and
    `connect` starts it again.
    """

    def __init__(
        self, kind: str, *arguments: str, subject: str = "", limits: Limits | None = None, restarts: int = 3
    ) -> None:
        self.kind = kind
        self._arguments = arguments
        self._subject = subject or f"worker {kind}"
        self._limits = of_call(limits, None)
        self._restarts = restarts
        self._lock = threading.RLock()
        self._child: Child | None = None
        self._starts: deque[float] = deque()
        self._closed = False

    def __repr__(self) -> str:
        """Tell the worker and its state."""
        return f"<Supervisor of {self.kind}: {'closed' if self._closed else self._child or 'not started'}>"

    def __enter__(self) -> Self:
        """Give the supervisor itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close after success, abort after an exception."""
        if exception[0] is None:
            self.close()
        else:
            self.abort()

    @property
    def pid(self) -> int | None:
        """The worker's process id, if it runs."""
        return self._child.pid if self._child is not None and self.running else None

    @property
    def running(self) -> bool:
        """Tell whether the worker runs."""
        with self._lock:
            return self._child is not None and self._child.running

    def start(self) -> None:
        """Start the worker, if it does not run. `connect` does so, too.

        Raises
        ------
        ToolFailed
            If it does not come up; with its last words.
        WorkerLost
            If it has died too often.
        """
        with self._lock:
            if self._closed:
                raise Closed(f"{self._subject}: the worker was told to end")
            if not self.running:
                self._start()

    def connect(self, *, seconds: float = _START) -> Client:
        """Connect to the worker, which is started if it does not run.

        Raises
        ------
        ToolFailed, WorkerLost
            As `start` does.
        """
        with self._lock:
            self.start()
            assert self._child is not None  # noqa: S101 - it was just started
            return Client(self._child.folder, subject=self._subject, limits=self._limits, seconds=seconds)

    def close(self) -> None:
        """Have the worker finish what it has begun, and end it."""
        with self._lock:
            self._closed = True
            if self._child is not None:
                self._child.stop(_DRAIN)

    def abort(self) -> None:
        """End the worker at once."""
        self._closed = True
        if (child := self._child) is not None:
            child.abort()

    def _start(self) -> None:
        """Start it, if that was not too often of late."""
        now = time.monotonic()
        while self._starts and now - self._starts[0] > _WITHIN:
            self._starts.popleft()
        ended = self._child.abort() if self._child is not None else None  # it has ended; its folder goes
        if len(self._starts) > self._restarts:
            raise WorkerLost(
                f"{self._subject}: the worker has died {len(self._starts)} times within {_WITHIN:g} s, "
                f"the last time with {ended}; it is not started again until that is over",
                exit=ended,
                last_words=words(ended.stderr) if ended else "",
            )
        self._starts.append(now)
        self._child = self._started()

    def _started(self) -> Child:
        python = sys.executable
        if not python:
            raise ToolMissing(f"{self._subject}: there is no Python to run a worker with (sys.executable is empty)")
        child = Child(
            (python, "-P", "-m", "bridge_workers", self.kind, "--supervised", *self._arguments),
            subject=self._subject,
            scratch=True,
            variables=_variables(),
        )
        try:
            self._hear(child)
        except BaseException:
            child.abort()
            raise
        return child

    def _hear(self, child: Child) -> None:
        """Wait for its first word."""
        heard = bytearray(len(_READY))
        count = child.fill(memoryview(heard), _START)
        if bytes(heard[:count]) != _READY:
            child.wait(_START)
            raise child.failure(ToolFailed)


def _variables() -> dict[str, str]:
    """Give what the environment of a worker has: where our packages are, our settings, and the screen."""
    entries = (str(Path(__file__).parents[2]), *(entry for entry in sys.path if Path(entry).is_absolute()))
    path = os.pathsep.join(dict.fromkeys(entries))
    kept = {name: value for name, value in os.environ.items() if name.startswith("FRAMEBRIDGE_") or name in _KEPT}
    return {**kept, "PYTHONPATH": path, "FRAMEBRIDGE_CACHE": str(cache_folder())}
