"""A worker that publishes, as a test has it: started, spoken of by its address, hurt, and put away."""

from __future__ import annotations

import signal
import subprocess
import sys
from typing import Self

__all__ = ["GENERATOR", "Worker", "generator"]

GENERATOR = "testsrc2=s=64x48:r=25"


def generator(rate: int = 25) -> tuple[str, ...]:
    """Give the command line of a stand-in for a camera: all readers share what it makes."""
    return ("file", f"testsrc2=s=64x48:r={rate}", "--lavfi", "--paced")


class Worker:
    """Runs ``framebridge-worker`` and waits until it can be reached; a context manager that leaves nothing of it."""

    def __init__(self, *arguments: object, address: str = "tcp://127.0.0.1:*", before: tuple[str, ...] = ()) -> None:
        command = [*before, sys.executable, "-m", "bridge_workers", *map(str, arguments), "--publish", address]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        word, _, self.address = self.process.stdout.readline().strip().partition(" ")
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
