"""Faults 4 to 8, 16 to 20 and 22 to 24: who is killed, stopped, interrupted, forked, or ends."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

import bridge
from bridge.errors import BridgeError
from bridge.limits import Limits
from tests.faults.other import SIGNALS, Other, fully_gone, script, until

if TYPE_CHECKING:
    from tests.fakes.programs import FakeMaker

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

PNG = bridge.imwrite("<bytes>", np.full((8, 9, 3), 77, np.uint8), ".png") or b""

_HALF_READ = """
reader = bridge.get_reader(sys.argv[1])
reader.get_data(3)
writer = bridge.get_writer(sys.argv[2], fps=25)
for _ in range(3):
    writer.append_data(np.zeros((48, 64, 3), np.uint8))
say("ready")
sys.stdin.readline()
"""

_FAMILY = """
import pathlib
from bridge.process.child import Child
child = Child([sys.argv[1]], subject="a", scratch=True)
child.read_into(memoryview(bytearray(2)), 20)
say("ready")
sys.stdin.readline()
"""

# What a program may leave: one child as it comes, and one whose parent is gone, in a session of its own or not.
_PARENT = """#!{python} -IS
import os, sys, time
def note():
    with open({note!r}, "a") as out:
        out.write(str(os.getpid()) + "\\n")
if {banner}:
    pass
if not os.fork():
    note()
    time.sleep(600)
if not os.fork():
    {session}
    if os.fork():
        os._exit(0)
    note()
    time.sleep(600)
while open({note!r}).read().count("\\n") < 2:
    time.sleep(0.01)
os.write(1, b"up")
time.sleep(600)
"""


@pytest.mark.parametrize("number", SIGNALS, ids=lambda number: number.name)
def test_python_is_killed_while_it_reads_and_writes(number: int, film: Path, tmp_path: Path) -> None:
    with Other(_HALF_READ, film, tmp_path / "out.mp4") as other:
        assert other.hear() == "ready"
        family = other.look()
        assert family
        other.hurt(number)
        assert other.end() == -number
        assert fully_gone(family, 2) == []
    if number == signal.SIGKILL:  # nobody could put the unfinished film away, so the next one does
        bridge.imwrite(tmp_path / "next.png", np.zeros((4, 4), np.uint8))
        (tmp_path / "next.png").unlink()
    assert until(lambda: not [*tmp_path.iterdir()], 2), [*tmp_path.iterdir()]


@pytest.mark.parametrize("session", [False, True], ids=["same session", "own session"])
def test_python_is_killed_and_grandchildren_end(session: bool, tmp_path: Path) -> None:
    import sys

    note, program = tmp_path / "note", tmp_path / "program"
    note.touch()
    action = "os.setsid()" if session else "pass"
    program.write_text(_PARENT.format(python=sys.executable, note=str(note), session=action, banner="False"))
    program.chmod(0o755)
    (tmp_path / "temporary").mkdir()
    with Other(_FAMILY, program, TMPDIR=str(tmp_path / "temporary")) as other:
        assert other.hear() == "ready"
        family = other.look(*map(int, note.read_text().split()))
        assert len(family) >= 3
        other.hurt(signal.SIGKILL)
        other.end()
        assert fully_gone(family, 2) == []


def test_the_private_folder_of_a_killed_python_goes_at_the_next_start(fake: FakeMaker, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    program = fake(behaviour="hang", frames=[b"up"])
    with Other(_FAMILY, program, TMPDIR=str(temporary)) as other:
        assert other.hear() == "ready"
        assert [*temporary.iterdir()]
        other.look()
        other.hurt(signal.SIGKILL)
        other.end()
        assert fully_gone(other.family, 2) == []
    ended = script("bridge.imread(bytes.fromhex(sys.argv[1]))", PNG.hex(), env=os.environ | {"TMPDIR": str(temporary)})
    assert ended.returncode == 0, ended.stderr
    assert [*temporary.iterdir()] == []


def test_a_suspended_ffmpeg_is_a_stall(film: Path) -> None:
    limits = Limits(stall=0.5, first_frame=5.0)
    reader: Any = bridge.get_reader(film, limits=limits)
    frames = iter(reader)
    next(frames)
    (child,) = [process for process in psutil.Process().children(recursive=True) if "ffmpeg" in process.name()]
    child.suspend()
    begun = time.monotonic()
    with pytest.raises(BridgeError):
        for _ in frames:
            pass
    assert time.monotonic() - begun < 4
    assert fully_gone([child], 2) == []
    reader.close()


def test_a_program_that_ignores_sigterm_ends_a_second_later(
    fake: FakeMaker, film: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEBRIDGE_FFMPEG", str(fake("ffmpeg", "deaf")))
    monkeypatch.setenv("FRAMEBRIDGE_FFPROBE", str(fake("ffprobe", "deaf")))
    begun = time.monotonic()
    with pytest.raises(BridgeError):
        bridge.imread(film, limits=Limits(stall=0.5, first_frame=0.5, still=0.5))
    assert time.monotonic() - begun < 5
    assert not [child for child in psutil.Process().children(recursive=True) if "deaf" in " ".join(child.cmdline())]


_MANY = """
readers = []
for _ in range(60):
    reader = bridge.get_reader(sys.argv[1], limits=bridge.Limits(processes=10_000))
    reader.get_data(0)
    readers.append(reader)
say("ready")
sys.stdin.readline()
"""

_THOUSAND = """
from bridge.process.child import Child
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
children = []
for _ in range(1000):
    children.append(Child(["/bin/sh", "-c", "echo 0123456789; exec sleep 600"], subject="a"))
    children[-1].read_into(memoryview(bytearray(10)), 20)
say("ready")
sys.stdin.readline()
"""


def test_a_thousand_half_read_children_at_the_interpreters_end() -> None:
    """More films than a machine can hold at once, so each is a shell."""
    with Other(_THOUSAND) as other:
        assert other.hear() == "ready"
        family = other.look()
        assert len(family) >= 1000
        begun = time.monotonic()
        other.go_on()
        assert other.end() == 0
        assert time.monotonic() - begun < 2
        assert fully_gone(family, 0.5) == []


def test_sixty_half_read_readers_at_the_interpreters_end(small_film: Path) -> None:
    with Other(_MANY, small_film) as other:
        assert other.hear() == "ready"
        family = other.look()
        begun = time.monotonic()
        other.go_on()
        assert other.end() == 0
        assert time.monotonic() - begun < 2
        assert fully_gone(family, 0.5) == []


_INTERRUPTED = """
import random, pathlib, tempfile
from bridge.magick import warm
chance = random.Random(int(sys.argv[2]))
film, target, picture = sys.argv[1], sys.argv[3], bytes.fromhex(sys.argv[4])
zeros = np.zeros((16, 16, 3), np.uint8)

def imread():
    bridge.imread(picture)

def iterate():
    with bridge.get_reader(film) as reader:
        for _ in reader:
            pass

def append():
    with bridge.get_writer(target, fps=25) as writer:
        for _ in range(5):
            writer.append_data(zeros)

for work in (imread, iterate, append):
    work()
    if os.path.exists(target):
        os.unlink(target)

def left():
    import psutil
    below = {child.pid for child in psutil.Process().children(recursive=True)}
    return len(os.listdir("/proc/self/fd")), below, sorted(os.listdir(tempfile.gettempdir())), threading.active_count()

base = left()
wrong, hits = [], 0
for point in range(int(sys.argv[5])):
    work = (imread, iterate, append)[point % 3]
    timer = threading.Timer(chance.uniform(0, 0.06), os.kill, (os.getpid(), signal.SIGINT))
    try:
        try:
            timer.start()
            while timer.is_alive():
                work()
            timer.join()
            time.sleep(0.01)
        finally:
            timer.join()
    except KeyboardInterrupt:
        hits += 1
    except BaseException as error:
        wrong.append(f"{point} {work.__name__}: {error!r}")
    if work is append:
        names = os.listdir(os.path.dirname(target))
        if [name for name in names if name != os.path.basename(target)]:
            wrong.append(f"{point}: {names}")
        if os.path.exists(target):
            if bridge.get_reader(target).count_frames() != 5:
                wrong.append(f"{point}: a short film")
            os.unlink(target)
    gc.collect()
    warm.close()  # it lasts, and nothing else may
    until = time.monotonic() + 2
    while (now := left()) != base and time.monotonic() < until:
        time.sleep(0.02)
    if now != base:
        wrong.append(f"{point} {work.__name__}: {base} became {now}")
        base = now
say(hits)
for line in wrong:
    say(line)
"""


@pytest.mark.parametrize("part", range(4))
def test_ctrl_c_at_any_moment(part: int, small_film: Path, tmp_path: Path) -> None:
    """A hundred moments in four parts: an interrupt comes out as such, and nothing is left."""
    (tmp_path / "out").mkdir()
    (tmp_path / "tmp").mkdir()
    seed = 1000 + part
    target = tmp_path / "out" / "film.mp4"
    environment = os.environ | {"TMPDIR": str(tmp_path / "tmp")}
    ended = script(_INTERRUPTED, small_film, seed, target, PNG.hex(), 25, env=environment, timeout=90)
    lines = ended.stdout.splitlines()
    assert ended.returncode == 0, ended.stderr[-3000:]
    assert lines == ["25"], f"seed {seed}"


_FORKED = """
warnings.simplefilter("ignore", DeprecationWarning)
reader = bridge.get_reader(sys.argv[1])
first = reader.get_data(0)
frames = iter(reader)
next(frames)
fork = os.fork()
if not fork:
    try:
        reader.get_data(1)
        said = "read"
    except bridge.BridgeError as error:
        said = "refused"
    except BaseException as error:
        said = f"foreign {error!r}"
    say(said)
    del reader, frames
    gc.collect()
    os._exit(0)
os.waitpid(fork, 0)
say(sum(1 for _ in reader) if hasattr(reader, "__iter__") else 0)
reader.close()
fork = os.fork()
if not fork:
    say(bridge.imread(sys.argv[1]).shape[0])  # a fork may read for itself
    sys.exit(0)
os.waitpid(fork, 0)
say("end")
"""


def test_a_fork_with_an_open_reader(small_film: Path) -> None:
    ended = script(_FORKED, small_film)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.splitlines() == ["read", "10", "48", "end"], ended.stderr


@pytest.mark.parametrize("method", ["fork", "spawn"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pool_of_eight_reads_what_one_reads(method: str, small_film: Path) -> None:
    ended = script(
        """
import multiprocessing
sys.path.append(sys.argv[3])  # behind the library that is tested
from concurrent.futures import ProcessPoolExecutor
warnings.simplefilter("ignore", DeprecationWarning)
from tests.faults.work import sums
serial = sums(sys.argv[1])
if __name__ == "__main__":
    with ProcessPoolExecutor(8, mp_context=multiprocessing.get_context(sys.argv[2])) as pool:
        assert [*pool.map(sums, [sys.argv[1]] * 16)] == [serial] * 16
    say("same")
""",
        small_film,
        method,
        Path(__file__).parents[2],
        timeout=60,
    )
    assert ended.stdout.split() == ["same"], ended.stderr[-2000:]


def test_the_thread_that_opened_a_reader_ends(small_film: Path) -> None:
    made: list[Any] = []

    def work() -> None:
        reader: Any = bridge.get_reader(small_film)
        frames = iter(reader)
        made.extend((reader, frames, next(frames)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    reader, frames, _ = made
    time.sleep(0.2)
    assert sum(1 for _ in frames) == 9
    reader.close()


def test_the_first_thread_that_reads_ends() -> None:
    """Whatever lasts, once started, was started by a thread that is gone."""
    ended = script(
        """
data = bytes.fromhex(sys.argv[1])
def work():
    bridge.imread(data)
for _ in range(3):
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    time.sleep(0.2)
say(bridge.imread(data).shape)
""",
        PNG.hex(),
    )
    assert ended.stdout.strip() == "(8, 9, 3)", ended.stderr


@pytest.mark.parametrize("jump", [86400.0, -86400.0])
def test_the_wall_clock_jumps(jump: float, small_film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wall = time.time
    jumped = [0.0]
    monkeypatch.setattr(time, "time", lambda: wall() + jumped[0])
    with bridge.get_reader(small_film, limits=Limits(stall=5.0, first_frame=5.0)) as reader:
        count = 0
        for _ in reader:
            jumped[0] += jump
            count += 1
    assert count == 10
    assert bridge.imread(PNG).shape == (8, 9, 3)


def test_readers_are_collected_in_other_threads_and_at_the_end(small_film: Path) -> None:
    ended = script(
        """
def drop(reader):
    del reader
    gc.collect()
for _ in range(5):
    reader = bridge.get_reader(sys.argv[1])
    reader.get_data(1)
    thread = threading.Thread(target=drop, args=(reader,))
    del reader
    thread.start()
    thread.join(10)
    assert not thread.is_alive()
reader = bridge.get_reader(sys.argv[1])
reader.get_data(1)
loop = [reader]
loop.append(loop)
say("end")
""",
        small_film,
    )
    assert ended.stdout.strip() == "end"
    assert ended.returncode == 0
    assert ended.stderr == ""
