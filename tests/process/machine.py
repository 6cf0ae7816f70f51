"""What the tests of this room ask of the machine: a Python to run, and what became of a process."""

from __future__ import annotations

import sys
import time
from pathlib import Path

__all__ = ["gone", "python", "state"]


def python(body: str) -> list[str]:
    """Give the command line that runs some Python, quickly started."""
    return [sys.executable, "-ISc", body]


def state(pid: int) -> str:
    """Give the state letter of a process, as ps does; Z if it is nothing but a name, empty if not even that."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def gone(pid: int, *, within: float = 0, zombie: bool = False) -> bool:
    """Tell whether a process has ended; one of somebody else's children may wait for him to notice (`zombie`)."""
    deadline = time.monotonic() + within
    while (now := state(pid)) and not (zombie and now == "Z"):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True
