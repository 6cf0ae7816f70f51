"""A worker that publishes, as a test has it: started, spoken of by its address, hurt, and put away."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge.remote.keys import WorkerKeys
from bridge_workers.film import FilmSource
from bridge_workers.publish import Published
from bridge_workers.serve import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.limits import Limits

__all__ = ["GENERATOR", "Worker", "generator", "live", "published"]

GENERATOR = "testsrc2=s=64x48:r=25"


def generator(rate: int = 25) -> tuple[str, ...]:
    """Give the command line of a stand-in for a camera: all readers share what it makes."""
    return ("file", f"testsrc2=s=64x48:r={rate}", "--lavfi", "--paced")


@contextlib.contextmanager
def published(
    source: Any, encode: str | None = None, keys: Path | None = None, limits: Limits | None = None
) -> Iterator[str]:
    """Publish in a thread of this process, which is quicker; give the uri."""
    server = Server("file", Published(source, encode), limits=limits)
    if keys is not None:
        server.admit(WorkerKeys.of(keys).lets_in)
    address = server.listen("tcp://127.0.0.1:*", WorkerKeys.of(keys).prepare if keys is not None else None)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield f"zmq+{address}"
    finally:
        server.end()
        thread.join(20)
        assert not thread.is_alive()


def live(rate: int = 25) -> FilmSource:
    """Give a stand-in for a camera: all readers share what it makes."""
    return FilmSource(f"testsrc2=s=64x48:r={rate}", lavfi=True, paced=True)


class Worker:
    """Runs ``framebridge-worker`` and waits until it can be reached; a context manager that leaves nothing of it."""

    def __init__(self, *arguments: object, address: str = "tcp://127.0.0.1:*", before: tuple[str, ...] = ()) -> None:
        command = [*before, sys.executable, "-m", "bridge_workers", *map(str, arguments), "--publish", address]
        root = Path(__file__).parents[2]
        path = os.pathsep.join([str(root), str(root / "workers")] if "FRAMEBRIDGE_TEST_SOURCE" in os.environ else [])
        environment = os.environ | ({"PYTHONPATH": path} if path else {})
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline().strip()
        self.health = int(line.rpartition(" ")[2]) if " health at port " in line else None
        if self.health is not None:
            line = self.process.stdout.readline().strip()
        word, _, self.address = line.partition(" ")
        if word != "ready":
            raise AssertionError(self.process.communicate()[1])

    @property
    def uri(self) -> str:
        """What its readers give."""
        return f"zmq+{self.address}"

    @property
    def port(self) -> int:
        """Where it is reached."""
        return int(self.address.rpartition(":")[2])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def kill(self) -> None:
        """End it at once, also where it stands still."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def end(self) -> tuple[int, str]:
        """Tell it to end; give the exit status and what it has said of errors."""
        self.process.send_signal(signal.SIGTERM)
        words = self.process.communicate(timeout=20)[1]
        return self.process.returncode, words
