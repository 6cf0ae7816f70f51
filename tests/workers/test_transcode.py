"""The worker that transcodes out of a folder, as a process, and what it tells of itself."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import HTTPError

import pytest

import bridge
from bridge_workers import __main__ as table
from bridge_workers.health import Health, Metric, Metrics
from bridge_workers.transcode import resources
from tests.jobs.films import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

_HOME = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    run("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=2", "-c:v", "libx264", "-preset", "ultrafast", path)
    return path


@contextlib.contextmanager
def _worker(*options: object) -> Iterator[subprocess.Popen[str]]:
    path = os.pathsep.join([*sys.path, str(_HOME), str(_HOME / "workers")])
    command = [sys.executable, "-m", "bridge_workers", "transcode", *map(str, options)]
    environment = {**os.environ, "PYTHONPATH": path}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def _until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def _lay(clip: Path, folder: Path, *names: str) -> None:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_bytes(clip.read_bytes())


def _content(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_what_is_laid_into_the_folder_is_made_once(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hot"
    names = ("a.mkv", "-i 'b%d'\n.mkv", "broken.mkv", ".hidden.mkv", "copying.mkv.part")
    _lay(clip, folder, *names)
    (folder / "broken.mkv").write_bytes(clip.read_bytes()[:900])
    (folder / "elsewhere.mkv").symlink_to(clip)
    options = ("--watch", folder, "--once", "--settle", "0", "--slots", "2")
    with _worker(*options) as process:
        assert process.wait(60) == 0
    expected = [
        *("-i 'b%d'\n.mkv", "a.mkv"),
        *(".hidden.mkv", "copying.mkv.part", "elsewhere.mkv"),
        *("failed/broken.mkv", "failed/broken.mkv.txt"),
        *("out/-i 'b%d'\n.mp4", "out/a.mp4"),
    ]
    expected[:2] = [f"done/{name}" for name in expected[:2]]
    assert _content(folder) == sorted(expected)
    assert "broken.mkv" in (folder / "failed" / "broken.mkv.txt").read_text()
    assert bridge.improps(folder / "out" / "a.mp4").shape[0] == 20
    made = (folder / "out" / "a.mp4").stat().st_mtime_ns
    (folder / "done" / "a.mkv").rename(folder / "a.mkv")  # as if it had been killed before that
    with _worker(*options) as process:
        assert process.wait(60) == 0
    assert _content(folder) == sorted(expected)
    assert (folder / "out" / "a.mp4").stat().st_mtime_ns == made


def _asked(port: str, page: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=5) as answer:
            return answer.status, answer.read().decode()
    except HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_it_tells_how_it_is_and_ends_when_told(clip: Path, tmp_path: Path) -> None:
    folder = tmp_path / "hot"
    folder.mkdir()
    with _worker("--watch", folder, "--settle", "0.1", "--health", "0") as process:
        assert process.stdout is not None
        port = process.stdout.readline().split()[-1]
        assert _asked(port, "livez") == (200, "alive\n")
        assert _asked(port, "readyz") == (200, "ready\n")
        assert _asked(port, "jobs")[0] == 404
        _lay(clip, folder, "a.mkv")
        _until((folder / "done" / "a.mkv").exists)
        _until(lambda: 'jobs_total{state="done"} 1' in _asked(port, "metrics")[1])
        said = _asked(port, "metrics")[1]
        assert "framebridge_frames_total 20" in said
        assert 'framebridge_job_seconds_bucket{le="+Inf"} 1' in said
        assert "a.mkv" not in said
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_film_that_is_not_done_in_time_stays_for_the_next(tmp_path: Path) -> None:
    folder = tmp_path / "hot"
    folder.mkdir()
    run("-f", "lavfi", "-i", "testsrc2=s=640x480:r=25:d=60", "-c:v", "mpeg2video", "-q:v", "2", folder / "long.mpg")
    with _worker("--watch", folder, "--settle", "0", "--grace", "0.1", "--preset", "archive") as process:
        _until(lambda: any(folder.glob("out/.framebridge-*")))
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
    assert _content(folder) == ["long.mpg"]


def test_numbers_are_as_prometheus_reads_them() -> None:
    metrics = Metrics(
        jobs_total=Metric("counter", "Films."),
        seconds=Metric("histogram", "Seconds.", (1, 10)),
        left=Metric("gauge", "x"),
    )
    metrics.add("jobs_total", state='a"b\\c\n')
    metrics.observe("seconds", 0.5)
    metrics.observe("seconds", 20)
    lines = metrics.text().splitlines()
    assert 'framebridge_jobs_total{state="a\\"b\\\\c\\n"} 1' in lines
    told = [line.split()[-1] for line in lines if line.startswith("framebridge_seconds")]
    assert told == ["1", "1", "2", "20.5", "2"]
    assert "framebridge_left 0" in lines
    assert all(re.fullmatch(r"# (HELP|TYPE) \S+ .+|\w+(\{.*\})? \S+", line) for line in lines)


def test_not_ready_is_told_with_the_reason() -> None:
    why = ["draining"]
    with Health(Metrics(), lambda: why[0], "127.0.0.1:0") as health:
        assert _asked(str(health.port), "readyz") == (503, "draining\n")
        why[0] = ""
        assert _asked(str(health.port), "readyz")[0] == 200
        watchers = [threading.Thread(target=_asked, args=(str(health.port), "metrics")) for _ in range(8)]
        for watcher in watchers:
            watcher.start()
        for watcher in watchers:
            watcher.join(10)


def test_tags_name_the_encoders_that_are_here() -> None:
    tags = resources(3)
    assert tags["slots"] == 3
    assert any(name.startswith("encoder:") for name in tags)


@pytest.mark.parametrize("options", [[], ["--dask", "tcp://127.0.0.1:1", "--watch", "x"], ["--watch"]])
def test_a_command_line_that_makes_no_sense_is_refused(options: list[str], capsys: Any) -> None:
    with pytest.raises(SystemExit):
        table.main(["transcode", *options])
    assert "usage" in capsys.readouterr().err
