"""Films in chunks: what comes out is what one command makes, whatever happens on the way."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec
import psutil
import pytest

import bridge
from bridge.core.request import Request
from bridge.errors import BadJob, CheckFailed, CorruptMedia, JobCancelled, OutputFailed
from bridge.jobs import piece
from bridge.jobs.chunks import How
from bridge.jobs.folder import Folder, folder_of, leave_folder
from bridge.jobs.runner import Stop
from bridge.process.tools import cache_folder
from tests.jobs.films import KINDS, film, frames, in_chunks, run, sound, whole

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.jobs.step import Progress

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("films")


def _same(one: Path, other: Path) -> None:
    """Frames, their times from the first on, and the sound with its place beside the picture."""
    left, right = frames(one), frames(other)
    assert [pixels for _, pixels in left] == [pixels for _, pixels in right]
    assert [at - left[0][0] for at, _ in left] == [at - right[0][0] for at, _ in right]
    (packets, times), (wanted, due) = sound(one), sound(other)
    assert packets == wanted
    # ffmpeg rounds the times of sound out of Matroska in one way where it copies, in another where it encodes.
    assert (
        max(abs((a - float(left[0][0])) - (b - float(right[0][0]))) for a, b in zip(times, due, strict=True)) < 0.0021
    )


def _chunks(folder: Path) -> list[Path]:
    return sorted(folder.glob(".framebridge-*.chunks/*.nut"))


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_source_in_chunks_is_what_one_command_makes(kind: str, films: Path, tmp_path: Path) -> None:
    source = film(films, kind)
    outcome = in_chunks(source, tmp_path / "chunks.mp4")
    assert outcome.chunks > 3
    assert outcome.found == 0
    _same(tmp_path / "chunks.mp4", whole(source, tmp_path / "whole.mp4"))
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


@pytest.mark.parametrize("ending", [".mkv", ".ts"])
def test_other_containers_too(ending: str, films: Path, tmp_path: Path) -> None:
    source = film(films, "open.mp4")
    in_chunks(source, tmp_path / f"chunks{ending}")
    _same(tmp_path / f"chunks{ending}", whole(source, tmp_path / f"whole{ending}"))


def test_a_hostile_name_is_a_name(films: Path, tmp_path: Path) -> None:
    folder = tmp_path / "it's a\n'%d' [x] {y} $(z); #"
    folder.mkdir()
    source = folder / "-i %03d 'a\n:b.mp4"
    source.write_bytes(film(films, "closed.mp4").read_bytes())
    target = folder / "out |'\n.mp4"
    in_chunks(source, target)
    assert len(frames(target)) == 72


@pytest.mark.parametrize(
    ("filters", "overlap"),
    [
        (["yadif"], (2, 2)),
        (["bwdif=mode=send_frame"], (2, 2)),
        (["tmix=frames=3"], (3, 0)),
        (["hue=s=0", "scale=64:48"], (0, 0)),
    ],
)
def test_filters_that_look_at_neighbours_get_them(
    filters: list[str], overlap: tuple[int, int], films: Path, tmp_path: Path
) -> None:
    source = film(films, "uneven.mp4")
    in_chunks(source, tmp_path / "chunks.mp4", filters=filters, overlap=overlap)
    _same(tmp_path / "chunks.mp4", whole(source, tmp_path / "whole.mp4", filters=filters))


def test_without_the_neighbours_such_a_filter_gives_other_frames(films: Path, tmp_path: Path) -> None:
    """Else the test above would not show anything."""
    source = film(films, "uneven.mp4")
    in_chunks(source, tmp_path / "chunks.mp4", filters=["tmix=frames=3"])
    right = frames(whole(source, tmp_path / "whole.mp4", filters=["tmix=frames=3"]))
    assert [p for _, p in frames(tmp_path / "chunks.mp4")] != [p for _, p in right]


def test_a_filter_that_changes_the_count_is_found_out(films: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="frames in the place of"):
        in_chunks(film(films, "closed.mp4"), tmp_path / "a.mp4", filters=["select=mod(n\\,5)"])
    assert not (tmp_path / "a.mp4").exists()


# Resuming

_SCRIPT = """
import sys
from pathlib import Path
from tests.jobs.films import in_chunks
in_chunks(Path(sys.argv[1]), Path(sys.argv[2]), filters=["realtime=speed=2"])
"""


def _started(source: Path, target: Path) -> subprocess.Popen[bytes]:
    here = os.pathsep.join([*sys.path, str(Path(__file__).parents[2])])
    command = [sys.executable, "-c", _SCRIPT, str(source), str(target)]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": here})


def _until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def _at_work_on(folder: Path) -> list[psutil.Process]:
    """Programs that have a file in the folder open."""
    found = []
    for process in psutil.process_iter():
        try:
            if any(str(folder) in file.path for file in process.open_files()):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("finished", [0, 1, 3])
def test_a_killed_run_goes_on_where_it_was(finished: int, films: Path, tmp_path: Path) -> None:
    source, target = film(films, "open.mp4"), tmp_path / "film.mp4"
    process = _started(source, target)
    try:
        _until(lambda: len(_chunks(tmp_path)) >= finished and any(tmp_path.glob(".framebridge-*.chunks")))
        time.sleep(random.uniform(0, 0.2))  # noqa: S311 - any point will do
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    _until(lambda: not _at_work_on(tmp_path))
    kept = {path: path.stat().st_mtime_ns for path in _chunks(tmp_path)}
    assert not target.exists()
    seen: list[dict[Path, int]] = []
    outcome = in_chunks(source, target, filters=["realtime=speed=2"], report=lambda _: seen.append(_stamps(kept)))
    assert outcome.found == len(kept) >= finished
    assert all(stamps == kept for stamps in seen)  # not made anew
    _same(target, whole(source, tmp_path / "whole.mp4"))
    assert list(tmp_path.glob(".framebridge-*")) == []


def _stamps(kept: dict[Path, int]) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in kept}


def _left_half_way(films: Path, tmp_path: Path) -> Path:
    """Stop after the first chunk; give the target."""
    source, target, stop = film(films, "closed.mp4"), tmp_path / "film.mp4", Stop()
    if not (tmp_path / "source.mp4").exists():
        (tmp_path / "source.mp4").write_bytes(source.read_bytes())

    def look(_: Progress) -> None:
        if _chunks(tmp_path):
            stop.set()

    with pytest.raises(JobCancelled):
        in_chunks(tmp_path / "source.mp4", target, how=How(workers=1, stop=stop), report=look)
    assert _chunks(tmp_path)
    return target


def test_nothing_stale_is_used(films: Path, tmp_path: Path) -> None:
    target = _left_half_way(films, tmp_path)
    video = ("-c:v", "libx264", "-preset", "ultrafast", "-qp", "1")
    assert in_chunks(tmp_path / "source.mp4", target, video=video).found == 0
    target = _left_half_way(films, tmp_path)
    run("-i", film(films, "closed.mp4"), "-c", "copy", "-metadata", "title=another", tmp_path / "source.mp4")
    assert in_chunks(tmp_path / "source.mp4", target).found == 0
    assert list(tmp_path.glob(".framebridge-*")) == []


def test_a_chunk_that_was_spoilt_is_not_used(films: Path, tmp_path: Path) -> None:
    target = _left_half_way(films, tmp_path)
    spoilt = _chunks(tmp_path)[0]
    spoilt.write_bytes(spoilt.read_bytes()[: spoilt.stat().st_size // 2])
    outcome = in_chunks(tmp_path / "source.mp4", target)
    assert outcome.found < outcome.chunks
    _same(target, whole(tmp_path / "source.mp4", tmp_path / "whole.mp4"))


def test_a_source_that_changes_meanwhile_is_noticed(films: Path, tmp_path: Path) -> None:
    source = tmp_path / "source.mp4"
    source.write_bytes(film(films, "closed.mp4").read_bytes())

    def change(progress: Progress) -> None:
        os.utime(source, ns=(0, progress.frames + 1))

    with pytest.raises(CorruptMedia, match="no more, the film"):
        in_chunks(source, tmp_path / "film.mp4", how=How(workers=1), report=change)
    assert not (tmp_path / "film.mp4").exists()


def test_one_target_is_made_by_one_at_a_time(films: Path, tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    with Folder(str(target)), pytest.raises(OutputFailed, match="by another process"):
        in_chunks(film(films, "closed.mp4"), target)
    assert list(tmp_path.iterdir()) == []


# Progress, cancel, errors


def test_a_folder_that_nobody_waits_for_goes_when_it_is_empty(tmp_path: Path) -> None:
    with Folder(str(tmp_path / "film.mp4")) as folder:
        leave_folder(folder.path)
        assert folder.path.is_dir()
        (folder.path / "00000-key.nut").touch()
    leave_folder(folder.path)
    assert folder.path.is_dir()
    (folder.path / "00000-key.nut").unlink()
    leave_folder(folder.path)
    assert list(tmp_path.iterdir()) == []
    leave_folder(folder.path)


def test_progress_is_of_the_whole(films: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    in_chunks(film(films, "closed.mp4"), tmp_path / "a.mp4", report=seen.append)
    counts = [progress.frames for progress in seen]
    assert counts == sorted(counts)
    assert (counts[-1], seen[-1].total_frames, seen[-1].stage) == (72, 72, "join")
    assert seen[-1].total_seconds == pytest.approx(3, abs=0.05)


def test_cancel_stops_the_children_at_once(films: Path, tmp_path: Path) -> None:
    stop, begun = Stop(), threading.Event()

    def look(progress: Progress) -> None:
        if progress.frames:
            begun.set()

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(
            in_chunks, film(films, "closed.mp4"), tmp_path / "a.mp4", filters=["realtime=speed=0.1"], report=look,
            how=How(workers=2, stop=stop),
        )  # fmt: skip
        assert begun.wait(20)
        before = time.monotonic()
        stop.set()
        with pytest.raises(JobCancelled):
            running.result(20)
        assert time.monotonic() - before < 2
    assert list(tmp_path.iterdir()) == []


def test_poison_fails_at_once_in_the_programs_own_words(
    films: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    def counted(spec: dict[str, Any]) -> dict[str, Any]:
        calls.append(spec["number"])
        return piece.work(spec)

    monkeypatch.setattr("bridge.jobs.chunks.work", counted)
    video = ("-c:v", "libx264", "-qp", "nonsense")
    with pytest.raises(ChildProcessError, match="nonsense"):
        in_chunks(film(films, "closed.mp4"), tmp_path / "a.mp4", video=video, how=How(workers=1))
    assert len(calls) <= 2
    assert list(tmp_path.iterdir()) == []


# What is no file


@pytest.fixture(scope="module")
def long(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("long") / "long.mkv"
    sources = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=12", "-f", "lavfi", "-i", "sine=d=12")
    run(*sources, "-c:v", "libx264", "-preset", "ultrafast", "-g", "20", "-c:a", "aac", path)
    return path


@pytest.fixture
def store() -> Iterator[Any]:
    files = fsspec.filesystem("memory")
    yield files
    files.rm("/jobs", recursive=True)


def test_bytes_become_bytes(long: Path, tmp_path: Path) -> None:
    wishes: dict[str, Any] = {"video_codec": "ffv1", "workers": 2, "container": "MKV"}
    made = bridge.transcode(long.read_bytes(), "<bytes>", **wishes)
    assert len(made.commands) == 3
    (tmp_path / "chunks.mkv").write_bytes(made.data or b"")
    _same(tmp_path / "chunks.mkv", long)
    with ProcessPoolExecutor(1) as others, pytest.raises(BadJob, match="no name by which other processes"):
        bridge.transcode(long.read_bytes(), tmp_path / "a.mkv", **wishes, executor=others)
    with ProcessPoolExecutor(1) as others, pytest.raises(BadJob, match="a folder that all workers see"):
        bridge.transcode(long, "<bytes>", **wishes, executor=others)


def test_the_same_bytes_in_two_jobs_at_once(long: Path) -> None:
    content = long.read_bytes()
    wishes: dict[str, Any] = {"video_codec": "ffv1", "workers": 2, "container": "MKV"}
    with ThreadPoolExecutor(2) as pool:
        jobs = [pool.submit(bridge.transcode, content, "<bytes>", **wishes) for _ in range(2)]
        sizes = [job.result().frames for job in jobs]
    assert sizes == [120, 120]


def test_a_member_of_an_archive_is_known_elsewhere(long: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "films.zip", "w") as archive:
        archive.write(long, "long.mkv")
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as others:
        made = bridge.transcode(
            tmp_path / "films.zip" / "long.mkv", tmp_path / "chunks.mkv", video_codec="ffv1", executor=others, workers=2
        )
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined] # there is no public way
    assert len(made.commands) == 3
    _same(tmp_path / "chunks.mkv", long)


def test_a_store_to_a_store_goes_on_where_it_was(store: Any, long: Path, tmp_path: Path) -> None:
    store.pipe("/jobs/in.mkv", long.read_bytes())
    stop = Stop()
    wishes: dict[str, Any] = {"video_codec": "ffv1", "workers": 1, "executor": ThreadPoolExecutor(1)}

    def look(_: Progress) -> None:
        if list(cache_folder().glob("chunks/*/*.nut")):
            stop.set()

    addresses = ("memory://jobs/in.mkv", "memory://jobs/out.mkv")
    with pytest.raises(JobCancelled):
        bridge.transcode(*addresses, **wishes, progress=look, cancel=stop)
    made = bridge.transcode(*addresses, **wishes)
    assert len(made.commands) == 2  # the other chunk, and the one that joins
    (tmp_path / "chunks.mkv").write_bytes(store.cat("/jobs/out.mkv"))
    _same(tmp_path / "chunks.mkv", long)
    assert list(cache_folder().glob("chunks/*")) == []


def test_of_what_nobody_goes_on_with_the_newest_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBRIDGE_CACHE", str(tmp_path))
    for number in range(20):
        (tmp_path / "chunks" / f"{number:02}").mkdir(parents=True)
        os.utime(tmp_path / "chunks" / f"{number:02}", (number, number))
    with Folder("held", tmp_path / "chunks" / "00"), Request("<bytes>", writing=True) as out, folder_of(out):
        assert {"00", "04", "19"} < {path.name for path in (tmp_path / "chunks").iterdir()}
        assert not (tmp_path / "chunks" / "03").exists()
