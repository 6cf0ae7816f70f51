"""A display of our own: its frame buffer is a file, in which a picture can be laid without any drawing program."""

from __future__ import annotations

import mmap
import os
import select
import struct
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WIDTH, HEIGHT = 640, 480
_HEAD = struct.Struct(">25I")  # of an X window dump, whose last field is the number of colours
_COLOUR = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Display:
    """An X server without a screen, and its frame buffer."""

    name: str
    buffer: Path

    def show(self, picture: np.ndarray[Any, Any]) -> None:
        """Lay an RGB picture of the whole screen into the frame buffer."""
        with self.buffer.open("r+b") as file, mmap.mmap(file.fileno(), 0) as memory:
            head = _HEAD.unpack_from(memory)
            at, width, height, row = head[0] + head[19] * _COLOUR, head[4], head[5], head[12]
            rows = np.zeros((height, row), np.uint8)
            for channel in range(3):
                rows[:, 2 - channel : 4 * width : 4] = picture[..., channel]
            memory[at : at + rows.nbytes] = rows.tobytes()


def start(folder: Path, size: str = f"{WIDTH}x{HEIGHT}") -> tuple[subprocess.Popen[bytes], str]:
    """Start an X server; give it and the name of its display."""
    told, tell = os.pipe()
    with os.fdopen(told) as words:
        screen = ["-screen", "0", f"{size}x24", "-fbdir", str(folder), "-noreset", "-nolisten", "tcp"]
        server = subprocess.Popen(
            ["Xvfb", "-displayfd", str(tell), *screen], pass_fds=(tell,), stderr=subprocess.DEVNULL
        )
        os.close(tell)
        if not select.select([words], [], [], 30)[0]:
            server.kill()
            pytest.fail("Xvfb did not start")
        return server, f":{int(words.readline())}"


@pytest.fixture(scope="session")
def x_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Display]:
    folder = tmp_path_factory.mktemp("screen")
    server, name = start(folder)
    yield Display(name=name, buffer=folder / "Xvfb_screen0")
    server.terminate()  # whoever owns its clipboard ends with it
    server.wait(10)


@pytest.fixture
def display(x_server: Display, monkeypatch: pytest.MonkeyPatch) -> Display:
    """The display of this test; that of the machine it runs on is nobody's business."""
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setenv("DISPLAY", x_server.name)
    return x_server


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
