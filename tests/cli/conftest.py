"""The command line as users start it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Mapping

Ran = subprocess.CompletedProcess[str]


class Framebridge(Protocol):
    """``framebridge("info", path)`` runs the command and gives its exit status and what it printed."""

    def __call__(self, *arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Ran: ...


def command_line() -> list[str]:
    """Give the installed script; without an installation, what is the same."""
    script = Path(sysconfig.get_path("scripts"), "framebridge")
    if not script.exists() and os.environ.get("FRAMEBRIDGE_TEST_SOURCE") == "1":
        return [sys.executable, "-m", "bridge"]
    return [str(script)]


@pytest.fixture(scope="session")
def framebridge() -> Framebridge:
    def call(*arguments: object, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> Ran:
        return subprocess.run(
            [*command_line(), *map(str, arguments)],
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )

    return call
