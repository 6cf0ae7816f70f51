"""One command of ffmpeg: its progress, its end however it comes, and its outputs, whole or not at all."""

from __future__ import annotations

import os
import signal
import threading
import time
from typing import TYPE_CHECKING

import psutil
import pytest

from bridge.errors import JobCancelled, ToolFailed, ToolTimeout
from bridge.jobs.runner import Runner, Stop, run_step
from bridge.jobs.step import Progress, Step, made, source

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]


def _endless(target: Path, *, paced: bool = True) -> Step:
    """Write a film that does not end."""
    pace = ("-re",) if paced else ()
    return Step(
        subject="endless",
        arguments=(*pace, "-f", "lavfi", "-i", "testsrc2=size=64x64", "-c:v", "rawvideo", "-f", "nut", "-y", made(0)),
        outputs=(str(target),),
    )


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _writer() -> int:
    """Give the process that writes the output."""
    children = psutil.Process().children(recursive=True)
    return next(child.pid for child in children if "testsrc2=size=64x64" in " ".join(child.cmdline()))


def test_a_step_runs_from_names_to_names_and_says_how_far_it_is(tmp_path: Path) -> None:
    target = tmp_path / "a %d: -b\n.mkv"
    step = Step(
        subject="film",
        arguments=("-f", "lavfi", "-i", "testsrc2=size=64x64:rate=25:duration=2", "-c:v", "ffv1", "-f", "matroska",
                   "-y", made(0)),
        outputs=(str(target),),
        frames=50,
        seconds=2.0,
    )  # fmt: skip
    said: list[Progress] = []
    done = run_step(step, report=said.append)
    assert target.stat().st_size > 1000
    assert done.progress.frames == 50 == said[-1].frames
    assert said[-1].fraction == 1.0
    assert done.progress.seconds == pytest.approx(2.0, abs=0.05)
    assert str(target) in done.command
    copy = Step(
        subject="copy", arguments=("-i", source(0), "-c", "copy", "-f", "matroska", "-y", made(0)),
        inputs=(str(target),), outputs=(str(tmp_path / "-copy.mkv"),),
    )  # fmt: skip
    assert run_step(Step.from_dict(copy.to_dict())).progress.frames == 50
    assert _names(tmp_path) == ["-copy.mkv", "a %d: -b\n.mkv"]


def test_cancel_from_another_thread_takes_a_tenth_of_a_second(tmp_path: Path) -> None:
    stop = Stop()
    begun = threading.Event()
    ended: list[object] = []

    def work() -> None:
        try:
            run_step(_endless(tmp_path / "a.nut"), stop=stop, report=lambda _: begun.set())
        except JobCancelled as error:
            ended.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(20)
    before = time.monotonic()
    stop.set()
    took = time.monotonic() - before
    thread.join(10)
    assert len(ended) == 1
    assert took < 0.1
    assert _names(tmp_path) == []
    with pytest.raises(JobCancelled):
        run_step(_endless(tmp_path / "b.nut"), stop=stop)


def test_leaving_the_iterator_ends_the_child(tmp_path: Path) -> None:
    step = _endless(tmp_path / "a.nut")
    with (tmp_path / "out").open("wb") as out, Runner(step, outputs=[out.fileno()]) as runner:
        assert next(iter(runner)).elapsed > 0
        pid = _writer()
    assert not psutil.pid_exists(pid)


def test_a_child_that_stands_still_is_stopped(tmp_path: Path) -> None:
    step = _endless(tmp_path / "a.nut")
    halted: list[int] = []

    def halt(_progress: Progress) -> None:
        if not halted:
            halted.append(_writer())
            os.kill(halted[0], signal.SIGSTOP)

    with pytest.raises(ToolTimeout, match="made no progress for 1 s"):
        run_step(step, stall=1.0, report=halt)
    assert not psutil.pid_exists(halted[0])
    assert _names(tmp_path) == []


def test_a_child_that_lives_but_makes_no_frames_is_stopped(tmp_path: Path) -> None:
    # Nothing passes the filter, for ever: reports come, frames do not.
    step = Step(
        subject="nothing",
        arguments=("-re", "-f", "lavfi", "-i", "testsrc2=size=64x64", "-vf", "select=0", "-f", "nut", "-y", made(0)),
        outputs=(str(tmp_path / "a.nut"),),
    )
    with pytest.raises(ToolTimeout, match="made no progress for 1 s"):
        run_step(step, stall=1.0)
    assert _names(tmp_path) == []


def test_the_deadline_holds_while_frames_come(tmp_path: Path) -> None:
    with pytest.raises(ToolTimeout, match=r"was not done for 1\.2 s"):
        run_step(_endless(tmp_path / "a.nut"), deadline=1.2)
    assert _names(tmp_path) == []


def test_a_child_that_is_killed_is_told_so(tmp_path: Path) -> None:
    step = _endless(tmp_path / "a.nut")
    with pytest.raises(ToolFailed, match="SIGKILL"):
        run_step(step, report=lambda _: os.kill(_writer(), signal.SIGKILL))
    assert _names(tmp_path) == []


def test_what_failed_is_told_with_the_names_of_files(tmp_path: Path) -> None:
    (tmp_path / "a.mov").write_bytes(b"no film at all" * 100)
    step = Step(
        subject="a.mov", arguments=("-f", "mov", "-i", source(0), "-f", "nut", "-y", made(0)),
        inputs=(str(tmp_path / "a.mov"),), outputs=(str(tmp_path / "b.nut"),),
    )  # fmt: skip
    with pytest.raises(ToolFailed, match=r"a\.mov: .*Invalid data") as caught:
        run_step(step)
    assert "/proc/self" not in str(caught.value)
    assert _names(tmp_path) == ["a.mov"]
