"""framebridge-worker magick, by hand: what the library says to it, and what it says without anybody to talk to."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest

import bridge

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("magick")]

_COMMAND = [sys.executable, "-m", "bridge_workers", "magick"]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the warm way is Linux's")
def test_it_decodes_a_picture_into_the_memory_that_it_is_given(tmp_path: Path) -> None:
    picture = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3)
    bridge.imwrite(tmp_path / "a.png", picture)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, subprocess.Popen(_COMMAND, stdin=theirs.fileno()) as worker:
        theirs.close()
        ours.settimeout(30)
        assert ours.recv(1 << 16).startswith(b"hello ImageMagick ")
        memory = os.memfd_create("samples")
        content = os.open(tmp_path / "a.png", os.O_RDONLY)
        try:
            os.ftruncate(memory, picture.nbytes)
            wanted = b"read png TrueColor RGB 8 6 4 0 0 6 4 - -"
            socket.send_fds(ours, [wanted], [content, memory])
            assert ours.recv(1 << 16) == b"done"
            samples = os.pread(memory, picture.nbytes, 0)
        finally:
            os.close(memory)
            os.close(content)
        ours.close()
        assert worker.wait(30) == 0
    assert samples == picture.tobytes()


def test_without_a_socket_it_says_who_talks_to_it() -> None:
    done = subprocess.run(_COMMAND, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "its input is no socket" in done.stderr
    assert "Traceback" not in done.stderr
