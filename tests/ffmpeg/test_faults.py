"""Encoders and processes that die, and disks that are full: a whole film, or the folder as it was."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

import bridge
from bridge.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

TINY = [np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8) for number in range(30)]


def count(path: Path) -> int:
    """Count what can be decoded of a film, damaged or not."""
    reader: Any = bridge.get_reader(path, on_damage="ignore")
    with reader:
        return sum(1 for _ in reader)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Encoders that are killed


def write_and_kill(target: Path, chance: random.Random) -> int:
    """Write a film of which the encoder is killed at some moment; give how many frames it should have."""
    frames = chance.randrange(1, len(TINY))
    moment = chance.choice(("between frames", "before closing", "while closing"))
    last = chance.randrange(frames) if moment == "between frames" else frames - 1
    with bridge.get_writer(target, fps=25) as writer:
        for number in range(frames):
            writer.append_data(TINY[number])
            if number == 0:  # by its start time, too: its number may be somebody else's when we strike
                encoder = psutil.Process(writer._sink.child.pid)  # type: ignore[attr-defined] # a FilmWriter has it
            if number == last and moment != "while closing":
                time.sleep(chance.choice((0, 0.005, 0.03)))
                encoder.kill()
        if moment != "while closing":
            return frames
        killer = threading.Timer(chance.uniform(0, 0.06), kill, (encoder,))
        killer.start()
        try:
            writer.close()
        finally:
            killer.join()
    return frames


def kill(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        process.kill()


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_an_encoder_killed_at_any_moment_gives_a_whole_film_or_nothing(
    extension: str, seed: int, tmp_path: Path
) -> None:
    chance = random.Random(f"{extension} {seed}")  # noqa: S311 - moments, not secrets
    failed = 0
    for attempt in range(13):
        target = tmp_path / f"film.{extension}"
        older = b"what was there before" if attempt % 2 else None
        target.unlink(missing_ok=True)
        if older:
            target.write_bytes(older)
        try:
            frames = write_and_kill(target, chance)
        except BridgeError as error:
            assert str(target) in str(error)  # noqa: PT017 - either outcome is right
            failed += 1
            assert names(tmp_path) == ([target.name] if older else [])
            assert older is None or target.read_bytes() == older
        else:
            assert names(tmp_path) == [target.name]
            assert count(target) == frames
    assert failed


# Processes that are killed

SCRIPT = """
import sys, time
import numpy as np
import bridge

target, frames, pause = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
rng = np.random.default_rng(0)
writer = bridge.get_writer(target, fps=25, **eval(sys.argv[4]))
for _ in range(frames):
    writer.append_data(rng.integers(0, 256, (48, 64, 3), np.uint8))
    time.sleep(pause)
print("written", flush=True)
sys.stdin.readline()
writer.close()
print("closed", flush=True)
"""


class Other:
    """Another process, which writes frames and then waits for a line."""

    def __init__(self, target: Path, frames: int, pause: float = 0, **keywords: Any) -> None:
        arguments = [str(target), str(frames), str(pause), repr(keywords)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.pid = self._process.pid
        self.programs: list[psutil.Process] = []
        assert self.hear() == "written"
        self.programs = psutil.Process(self.pid).children(recursive=True)

    def hear(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def die(self, *, programs_first: bool = False) -> None:
        """Be killed, with or without the programs that it has started; return when all have ended."""
        if programs_first:
            for program in self.programs:
                kill(program)
        self._process.kill()
        self.end()
        _, alive = psutil.wait_procs(self.programs, timeout=10)
        assert not alive, f"{alive} outlived its owner"

    def end(self) -> None:
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()
        self._process.wait(20)


@contextlib.contextmanager
def other(target: Path, frames: int = 10, pause: float = 0, **keywords: Any) -> Iterator[Other]:
    process = Other(target, frames, pause, **keywords)
    try:
        yield process
    finally:
        process.die()


def dead_process() -> int:
    """Give the number of a process that was and is no more."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(20)
    return process.pid


def test_what_a_killed_process_was_writing_goes_with_it(tmp_path: Path) -> None:
    with other(tmp_path / "film.mp4") as process:
        assert len(names(tmp_path)) == 1
        process.die()
        deadline = time.monotonic() + 2
        while names(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert names(tmp_path) == []


def test_what_a_process_leaves_that_was_killed_with_all_its_own_is_removed_by_the_next_write(tmp_path: Path) -> None:
    with other(tmp_path / "film.mp4") as process:
        assert len(names(tmp_path)) == 1
        process.die(programs_first=True)
        left = names(tmp_path)
        assert len(left) <= 1
        assert all(name.startswith(f".framebridge-{process.pid}-") and name.endswith(".part") for name in left)
        assert left, "nothing was left, so this tests nothing"
        bridge.mimwrite(tmp_path / "mine.mp4", TINY[:3])
        assert names(tmp_path) == ["mine.mp4"]


def test_what_a_living_process_is_writing_stays(tmp_path: Path) -> None:
    with other(tmp_path / "film.mp4") as process:
        part = names(tmp_path)
        assert len(part) == 1
        bridge.mimwrite(tmp_path / "mine.mp4", TINY[:3])
        assert names(tmp_path) == sorted([*part, "mine.mp4"])
        process.go_on()
        assert process.hear() == "closed"
        assert names(tmp_path) == ["film.mp4", "mine.mp4"]
    assert count(tmp_path / "film.mp4") == 10


HOLDER = """
import fcntl, sys
file = open(sys.argv[1], "r+b")
fcntl.flock(file, fcntl.LOCK_EX)
print("locked", flush=True)
sys.stdin.readline()
"""


def test_what_somebody_has_locked_stays_though_its_owner_is_not_seen(tmp_path: Path) -> None:
    part = tmp_path / f".framebridge-{dead_process()}-0123456789ab.part"
    part.write_bytes(b"made in another container")
    command = [sys.executable, "-c", HOLDER, str(part)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "locked\n"
        bridge.mimwrite(tmp_path / "mine.mp4", TINY[:3])
        assert part.read_bytes() == b"made in another container"
        holder.communicate("\n", timeout=20)
    bridge.mimwrite(tmp_path / "mine.mp4", TINY[:3])
    assert names(tmp_path) == ["mine.mp4"]


@pytest.mark.parametrize(
    "name", [".framebridge-{}-0123.part", "framebridge-{}-0123456789ab.part", ".framebridge-{}-0123456789ab.part.txt"]
)
def test_what_only_resembles_a_part_stays(name: str, tmp_path: Path) -> None:
    file = tmp_path / name.format(dead_process())
    file.write_bytes(b"the user's")
    bridge.mimwrite(tmp_path / "mine.mp4", TINY[:3])
    assert file.read_bytes() == b"the user's"
    file.unlink()


def test_a_part_is_locked_as_long_as_it_is_written(tmp_path: Path) -> None:
    with bridge.get_writer(tmp_path / "film.mp4") as writer:
        writer.append_data(TINY[0])
        (part,) = tmp_path.iterdir()
        with part.open("r+b") as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


# Recordings that survive


@pytest.mark.parametrize("programs_first", [False, True])
@pytest.mark.parametrize("extension", ["mp4", "mkv", "ts"])
def test_a_recording_survives_the_death_of_its_process(extension: str, programs_first: bool, tmp_path: Path) -> None:
    with other(tmp_path / f"film.{extension}", 75, 0.01, crash_safe=True) as process:
        process.die(programs_first=programs_first)
        recording = tmp_path / f"film.recording-{process.pid}.{extension}"
        assert names(tmp_path) == [recording.name]
        assert count(recording) >= 75 // 2
        bridge.mimwrite(tmp_path / f"film.{extension}", TINY[:3])
        assert recording.exists()  # only its owner removes it, who is the user by now


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "ts"])
def test_a_recording_becomes_an_ordinary_film(extension: str, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    with bridge.get_writer(target, fps=25, crash_safe=True) as writer:
        for frame in TINY:
            writer.append_data(frame)
        assert names(tmp_path) == [f"film.recording-{os.getpid()}.{extension}"]
    assert names(tmp_path) == [target.name]
    assert len(bridge.mimread(target)) == len(TINY)
    assert b"moof" not in target.read_bytes()
    bridge.mimwrite(tmp_path / f"plain.{extension}", TINY, fps=25)
    theirs, ours = (bridge.probe(path).video for path in (tmp_path / f"plain.{extension}", target))
    assert ours is not None
    assert theirs is not None
    assert (ours.fps, ours.codec, ours.width, ours.height) == (theirs.fps, theirs.codec, theirs.width, theirs.height)


@pytest.mark.parametrize(("name", "format"), [("film.gif", "GIF-FFMPEG"), ("film.avi", None), ("film.ogv", None)])
def test_formats_that_cannot_survive_refuse(name: str, format: str | None, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="crash_safe"):
        bridge.get_writer(tmp_path / name, format, crash_safe=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("frames", [0, 1, 20])
def test_an_exception_leaves_no_recording(frames: int, tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), bridge.get_writer(tmp_path / "film.mp4", crash_safe=True) as writer:
        for frame in TINY[:frames]:
            writer.append_data(frame)
        1 / 0  # noqa: B018 - it is to fail
    assert not list(tmp_path.iterdir())


def test_a_recording_whose_encoder_dies_is_kept_and_named(tmp_path: Path) -> None:
    with (
        pytest.raises(BridgeError, match="recorded") as caught,
        bridge.get_writer(tmp_path / "film.mkv", fps=25, crash_safe=True) as writer,
    ):
        for number in range(2000):
            writer.append_data(TINY[number % len(TINY)])
            if number == 100:
                time.sleep(0.3)
                psutil.Process(writer._sink.child.pid).kill()  # type: ignore[attr-defined] # a FilmWriter has it
    (recording,) = tmp_path.iterdir()
    assert str(recording) in str(caught.value)
    assert count(recording) >= 50


# Full disks

FILLING = """
import resource, sys
import numpy as np
import bridge

if int(sys.argv[2]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), int(sys.argv[2])))
rng = np.random.default_rng(0)
try:
    with bridge.get_writer(sys.argv[1], fps=25, **eval(sys.argv[3])) as writer:
        for _ in range(60):
            writer.append_data(rng.integers(0, 256, (96, 128, 3), np.uint8))
except bridge.errors.BridgeError as error:
    print(type(error).__name__, sys.argv[1] in str(error))
else:
    print("no error")
"""
FULL = [
    ("mp4", {}),
    ("mkv", {}),
    ("ts", {}),
    ("avi", {}),
    ("gif", {"format": "GIF-FFMPEG"}),
    ("mp4", {"audio_trim": True}),
]

TOLD = ("ToolFailed True", "OutputFailed True", "TruncatedMedia True")  # and the name of the file


def fill(target: Path, most: int, keywords: dict[str, Any]) -> str:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", FILLING, str(target), str(most), repr(keywords)],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ran.stderr == ""
    return ran.stdout.strip()


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize(("extension", "keywords"), FULL)
def test_a_file_that_may_not_grow_leaves_no_trace(
    extension: str, keywords: dict[str, Any], existing: bool, tmp_path: Path
) -> None:
    target = tmp_path / f"film.{extension}"
    if existing:
        target.write_bytes(b"what was there before")
    assert fill(target, 50_000, keywords) in TOLD
    assert names(tmp_path) == ([target.name] if existing else [])
    assert not existing or target.read_bytes() == b"what was there before"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if os.geteuid() or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.parametrize(("extension", "keywords"), FULL)
def test_a_full_disk_leaves_no_trace(extension: str, keywords: dict[str, Any], small_disk: Path) -> None:
    target = small_disk / f"film.{extension}"
    assert fill(target, 0, keywords) in TOLD
    assert names(small_disk) == []
    bridge.mimwrite(small_disk / "small.mp4", TINY[:3])  # and there is room again
    assert names(small_disk) == ["small.mp4"]
