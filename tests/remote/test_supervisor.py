"""Supervisor: real workers, their start, their end, and that nothing is left of either."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from bridge.errors import Closed, CorruptMedia, ToolFailed, UnsupportedPixels, UriError, UriNotFound, WorkerLost
from bridge.remote.supervisor import Supervisor
from bridge_workers.__main__ import main
from tests.faults.other import fully_gone, until

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

STAND_IN = "testsrc2=s=64x48:r=25"  # a generator in the place of a camera, which shows nothing of a camera's own


def family(supervisor: Supervisor) -> list[psutil.Process]:
    assert supervisor.pid is not None
    worker = psutil.Process(supervisor.pid)
    return [worker, *worker.children(recursive=True)]


def test_the_frames_of_a_film_are_those_that_ffmpeg_gives(lavfi: Any, ffmpeg: str) -> None:
    film = lavfi("a.mkv", "testsrc2=s=66x50:d=1:r=25", "-c:v", "ffv1", "-pix_fmt", "bgr0")
    command = [ffmpeg, "-v", "error", "-i", str(film), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    raw = subprocess.run(command, check=True, capture_output=True, timeout=30).stdout
    expected = np.frombuffer(raw, np.uint8).reshape(-1, 50, 66, 3)
    with Supervisor("file", str(film)) as supervisor, supervisor.connect() as client:
        stream = client.open(delivery="lossless")
        assert stream.description["size"] == [66, 50]
        pictures = [*stream]
        assert len(pictures) == len(expected) == 25
        assert all((one.array == other).all() for one, other in zip(pictures, expected, strict=True))
        times = [float((picture.stamp.pts or 0) * picture.stamp.time_base) for picture in pictures]
        assert times == pytest.approx([index / 25 for index in range(25)])
        assert stream.missed == 0


def test_other_pixel_formats() -> None:
    from bridge.media.pixels import pixel_format

    with Supervisor("file", "testsrc2=s=64x48:r=25:d=0.2", "--lavfi") as supervisor, supervisor.connect() as client:
        for pixels in ("gray", "rgb48le", "gbrp", "yuv420p", "nv12", "rgba"):
            pictures = [*client.open({"pixelformat": pixels}, delivery="lossless")]
            assert len(pictures) == 5
            empty = pixel_format(pixels).empty(64, 48)
            assert {(picture.array.shape, picture.array.dtype, picture.pixels) for picture in pictures} == {
                (empty.shape, empty.dtype, pixels)
            }
        with pytest.raises(UnsupportedPixels, match="nonsense"):
            client.open({"pixelformat": "nonsense"})
        with pytest.raises(UriError, match="no option zoom"):
            client.open({"zoom": 2})


def test_a_paced_source_keeps_its_pace() -> None:
    """A stand-in for a camera, only for the pace."""
    with Supervisor("file", STAND_IN, "--lavfi", "--paced") as supervisor, supervisor.connect() as client:
        stream = client.open()
        stamps = []
        for _ in range(10):
            picture = stream.read()
            assert picture is not None
            stamps.append((picture.sequence, picture.stamp.captured))
        (first, begun), (last, ended) = stamps[0], stamps[-1]
        assert (ended - begun) / 1e9 >= 0.5 * (last - first) / 25
        assert stream.missed == last - first - 9


def test_faults_of_the_source_reach_the_reader(tmp_path: Path) -> None:
    (tmp_path / "text.mp4").write_text("no film\n" * 100)
    with Supervisor("file", str(tmp_path / "none.mp4")) as supervisor, supervisor.connect() as client:
        with pytest.raises(UriNotFound, match="No such file"):
            client.open()
        assert client.alive
    supervisor = Supervisor("file", str(tmp_path / "text.mp4"))
    with supervisor, supervisor.connect() as client, pytest.raises(CorruptMedia, match=r"text\.mp4"):
        client.open()


def test_closing_leaves_nothing() -> None:
    supervisor = Supervisor("file", STAND_IN, "--lavfi", "--paced")
    with supervisor:
        client = supervisor.connect()
        stream = client.open()
        picture = stream.read()
        assert picture is not None
        processes = family(supervisor)
        assert len(processes) >= 3  # the worker, its spawner, ffmpeg
        assert [*Path(tempfile.gettempdir()).glob("framebridge-*")]
    assert fully_gone(processes, 2) == []
    assert not [*Path(tempfile.gettempdir()).glob("framebridge-*")]
    with pytest.raises(WorkerLost):
        for _ in range(100):
            stream.read()
    client.close()
    assert picture.array.shape == (48, 64, 3)
    with pytest.raises(Closed):
        supervisor.connect()
    supervisor.close()
    supervisor.abort()


def test_a_worker_that_died_is_started_again_within_a_limit() -> None:
    with Supervisor("file", STAND_IN, "--lavfi", restarts=1) as supervisor:
        pids = set()
        for _ in range(2):
            with supervisor.connect() as client:
                assert client.ping() > 0
                assert supervisor.pid is not None
                pids.add(supervisor.pid)
                os.kill(supervisor.pid, signal.SIGKILL)
                assert until(lambda: not supervisor.running)
                with pytest.raises(WorkerLost):
                    client.ping()
        assert len(pids) == 2
        begun = time.monotonic()
        with pytest.raises(WorkerLost, match=r"has died 2 times .*SIGKILL"):
            supervisor.connect()
        assert time.monotonic() - begun < 1


def test_a_worker_that_does_not_come_up_says_why() -> None:
    with Supervisor("file") as supervisor, pytest.raises(ToolFailed, match="arguments are required: film"):
        supervisor.start()
    with Supervisor("nonsense") as supervisor, pytest.raises(ToolFailed, match="invalid choice"):
        supervisor.start()


def test_a_worker_needs_no_installed_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It finds what this process has, also from another folder and with modules lying about there."""
    (tmp_path / "bridge.py").write_text("raise SystemExit('the wrong one')")
    (tmp_path / "zmq.py").write_text("raise SystemExit('the wrong one')")
    monkeypatch.chdir(tmp_path)
    with Supervisor("file", STAND_IN, "--lavfi") as supervisor, supervisor.connect() as client:
        assert client.facts["abilities"]["stand-in"] is True


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_by_hand(number: int, tmp_path: Path) -> None:
    from bridge.remote.client import Client

    folder = Path(tempfile.mkdtemp(dir="/tmp", prefix="fb-"))
    command = [sys.executable, "-m", "bridge_workers", "file", STAND_IN, "--lavfi", "--paced", "--at", str(folder)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    worker = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
        client = Client(folder)
        stream = client.open()
        assert stream.read() is not None
        worker.send_signal(number)
        with pytest.raises(WorkerLost, match="told to end"):
            for _ in range(200):
                stream.read()
        client.close()
        assert worker.wait(10) == 0
        assert not [*folder.iterdir()]
    finally:
        worker.kill()
        worker.communicate()
        for path in folder.iterdir():
            path.unlink()
        folder.rmdir()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "required: KIND"),
        (["nonsense"], "invalid choice"),
        (["file", "a"], "one of the arguments --at --supervised is required"),
        (["file", "a", "--at", "/nonexistent/folder"], "No such file"),
    ],
)
def test_the_command_line_fails_in_words(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        status = main(arguments)
    except SystemExit as error:
        status = int(str(error.code))
    assert status in (1, 2)
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


def test_the_place_of_a_worker_that_was_killed_is_taken_and_that_of_one_that_lives_is_not() -> None:
    from bridge.remote.client import Client
    from bridge_workers.serve import Server
    from tests.remote.workers import Apart, Counter

    with Apart("counter") as apart:
        taken = Server("test", Counter())
        with pytest.raises(OSError, match="in use"):
            taken.listen_here(str(apart.folder))
        taken.close()
        with Client(apart.folder) as client:
            client.ping()
        apart.hurt(signal.SIGKILL)
        apart.process.wait(10)
        server = Server("test", Counter())
        server.listen_here(str(apart.folder))
        server.close()
        assert not [*apart.folder.iterdir()]


def test_a_folder_with_too_long_a_name_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    long = tmp_path / ("a" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with Supervisor("file", STAND_IN, "--lavfi") as supervisor, pytest.raises(ToolFailed, match="shorter name"):
        supervisor.start()
