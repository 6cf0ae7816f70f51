"""What the tests of jobs look at results with: ffmpeg itself, as a user would."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

# A static glibc crashes over the service names of transport streams when it loads the system's converters.
_ENVIRONMENT = os.environ | {"GCONV_PATH": "/nonexistent"}
_QUIETLY: dict[str, Any] = {"capture_output": True, "text": True, "timeout": 60, "env": _ENVIRONMENT}
Rows = list[tuple[float, str]]


@pytest.fixture
def decoded(ffmpeg: str) -> Callable[..., Rows]:
    """``decoded(path, "0:v:0")`` lists time in seconds and digest of what the stream decodes to."""

    def look(path: Path, stream: str = "0:v:0", *options: str) -> Rows:
        words = ("-nostdin", "-v", "error", "-i", f"file:{path}", "-map", stream, *options, "-fps_mode", "passthrough")
        said = subprocess.run(
            [ffmpeg, *words, "-copyts", "-f", "framemd5", "-"],
            check=True,
            capture_output=True,
            text=True,
            timeout=60,
            env=_ENVIRONMENT,
        )
        base = 0.0
        rows = []
        for line in said.stdout.splitlines():
            if line.startswith("#tb 0:"):
                over, under = line.split(":")[1].split("/")
                base = int(over) / int(under)
            elif not line.startswith("#"):
                cells = [cell.strip() for cell in line.split(",")]
                rows.append((int(cells[2]) * base, cells[-1]))
        return rows

    return look


@pytest.fixture
def listed(ffmpeg: str) -> Callable[..., list[str]]:
    """``listed(path, "0:a:0")`` lists the digests of the packets of a stream."""

    def look(path: Path, stream: str) -> list[str]:
        words = ("-nostdin", "-v", "error", "-i", f"file:{path}", "-map", stream, "-c", "copy", "-f", "framemd5", "-")
        said = subprocess.run([ffmpeg, *words], check=True, **_QUIETLY)
        return [line.split(",")[-1].strip() for line in said.stdout.splitlines() if not line.startswith("#")]

    return look
