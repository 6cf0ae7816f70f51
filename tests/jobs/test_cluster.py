"""Chunks on a cluster of Dask: a real scheduler, two worker processes, and what befalls them."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

from tests.jobs.films import film, frames, run, sound, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

_HOME = Path(__file__).parents[2]
_CLIENT = """
import json, sys
from pathlib import Path
from bridge.jobs.chunks import How
from bridge.jobs.runner import Stop
from tests.jobs.films import in_chunks

source, target, address, speed = sys.argv[1:]
stop = Stop()

def report(progress):
    print(json.dumps({"frames": progress.frames, "stage": progress.stage}), flush=True)
    if target.endswith("cancelled.mp4") and progress.frames:
        stop.set()

if __name__ == "__main__":
    outcome = in_chunks(
        Path(source), Path(target), filters=[f"realtime=speed={speed}"], report=report,
        how=How(workers=2, executor=address, stop=stop),
    )
    print(json.dumps({"chunks": outcome.chunks, "found": outcome.found}), flush=True)
"""


class _Cluster:
    """A scheduler and its workers, each a process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes: list[subprocess.Popen[Any]] = []
        self._file = folder / "scheduler.json"
        self.start("dask_scheduler", "--port", "0", "--host", "127.0.0.1")
        _until(self._file.exists)
        self.address = json.loads(self._file.read_text())["address"]

    def start(self, program: str, *options: str) -> subprocess.Popen[Any]:
        common = ("--scheduler-file", str(self._file), "--no-dashboard")
        return self.run("-m", f"distributed.cli.{program}", *common, *options)

    def worker(self, name: str) -> subprocess.Popen[Any]:
        options = ("--nthreads", "1", "--no-nanny", "--name", name, "--local-directory", str(self.folder))
        return self.start("dask_worker", *options)

    def run(self, *arguments: str, **keywords: Any) -> subprocess.Popen[Any]:
        path = os.pathsep.join([*sys.path, str(_HOME), str(_HOME / "workers")])
        environment = {
            **os.environ,
            "PYTHONPATH": path,
            "PYTHONWARNINGS": "ignore",
            "DASK_TEMPORARY_DIRECTORY": str(self.folder),
        }
        log = (self.folder / "log").open("a")
        process = subprocess.Popen(
            [sys.executable, *arguments], env=environment, cwd=self.folder, **{"stdout": log, "stderr": log, **keywords}
        )
        log.close()
        self.processes.append(process)
        return process

    def client(self, source: Path, target: Path, speed: float) -> subprocess.Popen[str]:
        arguments = (str(source), str(target), self.address, str(speed))
        return self.run("-c", _CLIENT, *arguments, stdout=subprocess.PIPE, text=True)

    def close(self) -> None:
        for process in reversed(self.processes):
            process.kill()
            process.wait()
            if process.stdout:
                process.stdout.close()


def _until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Cluster]:
    if importlib.util.find_spec("distributed") is None:
        missing = "distributed is not installed here: it belongs to the dependency group `test`"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    with contextlib.closing(_Cluster(tmp_path_factory.mktemp("cluster"))) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


def _programs(folder: Path) -> list[psutil.Process]:
    """Give the programs that have a file in the folder open."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if any(str(folder) in file.path for file in process.open_files()):
                found.append(process)
    return found


def _said(line: str) -> dict[str, Any]:
    said: dict[str, Any] = json.loads(line)
    return said


def test_a_worker_that_is_killed_takes_nothing_along(cluster: _Cluster, films: Path, tmp_path: Path) -> None:
    source, target = film(films, "open.mp4"), tmp_path / "film.mp4"
    workers = [cluster.worker("a"), cluster.worker("b")]
    client = cluster.client(source, target, 1.5)
    assert client.stdout is not None
    seen: list[dict[str, Any]] = []
    for line in client.stdout:
        seen.append(_said(line))
        if len(workers) == 2 and seen[-1].get("frames", 0) > 0:
            victim = workers.pop()
            victim.send_signal(signal.SIGKILL)
            victim.wait()
    assert client.wait(30) == 0
    assert len(workers) == 1
    *reports, outcome = seen
    assert outcome["chunks"] > 3
    assert outcome["found"] == 0
    assert len({report["frames"] for report in reports}) > outcome["chunks"]  # told while chunks were at work
    assert reports[-1] == {"frames": 72, "stage": "join"}
    whole(source, tmp_path / "whole.mp4")
    assert [pixels for _, pixels in frames(target)] == [pixels for _, pixels in frames(tmp_path / "whole.mp4")]
    assert sound(target)[0] == sound(tmp_path / "whole.mp4")[0]
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []
    _until(lambda: _programs(tmp_path) == [])


def test_the_command_has_a_cluster_make_it_of_a_film_at_an_address(cluster: _Cluster, tmp_path: Path) -> None:
    source, target = tmp_path / "source.mkv", tmp_path / "made.mkv"
    run("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=12", "-c:v", "libx264", "-preset", "ultrafast", source)
    worker = cluster.worker("a")
    wishes = ("--codec", "ffv1", "--workers", "2", "--dask", cluster.address)
    asked = cluster.run("-m", "bridge", "transcode", f"local://{source}", str(target), *wishes)
    assert asked.wait(60) == 0, (cluster.folder / "log").read_text()
    assert frames(target) == frames(source)
    assert sorted(path.name for path in tmp_path.iterdir() if path.name.startswith(".framebridge")) == []
    assert psutil.Process(worker.pid).children()  # what it starts programs with


def test_cancel_reaches_a_child_on_a_worker(cluster: _Cluster, films: Path, tmp_path: Path) -> None:
    worker = cluster.worker("a")
    client = cluster.client(film(films, "open.mp4"), tmp_path / "cancelled.mp4", 0.05)
    assert client.wait(30) != 0
    _until(lambda: _programs(tmp_path) == [], 3)  # a chunk would take 10 s
    assert worker.poll() is None
    _until(lambda: list(tmp_path.iterdir()) == [], 3)  # by the worker, if the client had gone before it


def test_a_worker_that_is_told_to_end_hands_over(cluster: _Cluster, films: Path, tmp_path: Path) -> None:
    options = ("-m", "bridge_workers", "transcode", "--dask", cluster.address, "--grace", "5")
    source, target = film(films, "closed.mp4"), tmp_path / "film.mp4"
    workers = [cluster.run(*options), cluster.run(*options)]
    client = cluster.client(source, target, 1.0)
    assert client.stdout is not None
    seen: list[dict[str, Any]] = []
    for line in client.stdout:
        seen.append(_said(line))
        if len(seen) == 1:
            _until(lambda: len(_chunk_files(tmp_path)) > 0)
            workers[0].send_signal(signal.SIGTERM)
    assert client.wait(30) == 0
    assert workers[0].wait(20) == 0
    assert seen[-1]["chunks"] > 3
    whole(source, tmp_path / "whole.mp4")
    assert [pixels for _, pixels in frames(target)] == [pixels for _, pixels in frames(tmp_path / "whole.mp4")]
    workers[1].send_signal(signal.SIGTERM)
    assert workers[1].wait(20) == 0


def _chunk_files(folder: Path) -> list[Path]:
    return list(folder.glob(".framebridge-*.chunks/*.nut"))
