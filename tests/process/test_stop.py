"""The end of a Child: polite, at once, from anywhere, by neglect; nobody is left and nothing hangs."""

from __future__ import annotations

import contextlib
import gc
import os
import signal
import subprocess
import sys
import threading
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest

from bridge.errors import BridgeError
from bridge.process.child import Child, run
from tests.process.machine import gone, python, state

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.programs import FakeMaker


def _first_word(child: Child) -> bytes:
    view = memoryview(bytearray(100))
    return bytes(view[: child.read_into(view, 20)])


def _quick(action: Callable[[], object], seconds: float) -> None:
    begun = time.monotonic()
    action()
    assert time.monotonic() - begun < seconds


def test_one_that_has_ended_is_closed_at_once(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="fails"))], subject="a")
    gone(child.pid, within=10, zombie=True)
    _quick(child.close, 0.5)
    assert child.exit is not None
    assert (child.exit.code, child.exit.stopped) == (1, "")


def test_one_that_sends_is_ended_by_a_closed_pipe() -> None:
    child = Child(python("import os\nwhile True: os.write(1, bytes(65536))"), subject="a")
    _first_word(child)
    _quick(child.close, 0.9)
    assert child.exit is not None
    assert child.exit.stopped == ""
    assert gone(child.pid)


def test_one_that_hangs_is_asked_to_end(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="hang", frames=[b"up"]))], subject="a")
    _first_word(child)
    _quick(child.close, 2)
    assert child.exit is not None
    assert (child.exit.signal, child.exit.stopped) == (signal.SIGTERM, "closed")
    assert gone(child.pid)


def test_one_that_is_deaf_is_ended_anyway(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="deaf"))], subject="a")
    assert _first_word(child) == b"deaf\n"
    _quick(child.close, 3.5)
    assert child.exit is not None
    assert child.exit.signal == signal.SIGKILL
    assert gone(child.pid)


def test_one_that_is_deaf_and_never_stops_talking_is_ended_anyway(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="shout"))], subject="a")
    assert _first_word(child) == b"shout\n"
    killer = threading.Timer(8, lambda: os.kill(child.pid, signal.SIGKILL))  # so that a hang is a failure
    killer.start()
    try:
        _quick(child.close, 6)
    finally:
        killer.cancel()
        killer.join()
    assert gone(child.pid)


@pytest.mark.parametrize("behaviour", ["hang", "deaf", "shout"])
def test_abort_is_at_once(fake: FakeMaker, behaviour: str) -> None:
    child = Child([str(fake(behaviour=behaviour, frames=[b"up"]))], subject="a")
    _first_word(child)
    _quick(child.abort, 1)
    assert child.exit is not None
    assert (child.exit.signal, child.exit.stopped) == (signal.SIGKILL, "aborted")
    assert gone(child.pid)


def test_closing_again_changes_nothing(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="hang"))], subject="a")
    first = child.abort()
    assert child.close() is first
    assert child.abort() is first
    assert child.wait(1) is first
    child.end_input()


def test_leaving_closes_after_success_and_aborts_after_an_exception(fake: FakeMaker) -> None:
    with Child([str(fake(behaviour="works"))], subject="a") as child:
        pass
    assert child.exit is not None
    with pytest.raises(KeyboardInterrupt), Child([str(fake(behaviour="deaf"))], subject="a") as child:
        raise KeyboardInterrupt
    assert child.exit is not None
    assert child.exit.signal == signal.SIGKILL


@pytest.mark.parametrize("end", [Child.close, Child.abort])
def test_it_can_be_ended_from_another_thread_while_one_reads(fake: FakeMaker, end: Callable[[Child], object]) -> None:
    child = Child([str(fake(behaviour="hang"))], subject="a")
    outcome: list[object] = []

    def read() -> None:
        try:
            outcome.append(child.read_into(memoryview(bytearray(10)), 60))
        except BridgeError as error:
            outcome.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    time.sleep(0.2)
    _quick(lambda: end(child), 3)
    thread.join(5)
    assert not thread.is_alive()
    assert outcome
    assert outcome[0] == 0 or isinstance(outcome[0], BridgeError)
    assert gone(child.pid)


def test_many_threads_may_close_at_once(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="hang"))], subject="a")
    exits: list[object] = []
    threads = [threading.Thread(target=lambda: exits.append(child.close())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert len(exits) == 8
    assert all(end is child.exit for end in exits)


# Those whom it has started


@pytest.mark.parametrize("end", [Child.close, Child.abort])
@pytest.mark.parametrize("stay", [True, False], ids=["parent stays", "parent ends"])
def test_grandchildren_are_ended_too(
    fake: FakeMaker, tmp_path: Path, end: Callable[[Child], object], stay: bool
) -> None:
    note = tmp_path / "grandchild"
    child = Child([str(fake(behaviour="parent", note=note, stay=stay, frames=[b"up"]))], subject="a")
    assert _first_word(child) == b"up"
    grandchild = int(note.read_text())
    if not stay:
        gone(child.pid, within=10, zombie=True)
    _quick(lambda: end(child), 4)
    assert gone(grandchild, within=2, zombie=True)


def test_a_grandchild_that_never_stops_talking_holds_nobody_up(fake: FakeMaker, tmp_path: Path) -> None:
    note = tmp_path / "grandchild"
    child = Child([str(fake(behaviour="parent", note=note, loud=True, frames=[b"up"]))], subject="a")
    assert _first_word(child) == b"up"
    grandchild = int(note.read_text())
    killer = threading.Timer(8, lambda: os.kill(grandchild, signal.SIGKILL))  # so that a hang is a failure
    killer.start()
    try:
        _quick(child.close, 6)
    finally:
        killer.cancel()
        killer.join()
    assert gone(grandchild, within=2, zombie=True)


def test_run_does_not_wait_for_a_grandchild_beyond_its_deadline(fake: FakeMaker, tmp_path: Path) -> None:
    note = tmp_path / "grandchild"

    def attempt() -> None:
        with contextlib.suppress(BridgeError):
            run([str(fake(behaviour="parent", note=note))], subject="a", seconds=1)

    _quick(attempt, 5)
    assert gone(int(note.read_text()), within=2, zombie=True)


# Neglect


def test_one_that_is_dropped_is_gone_without_a_word(fake: FakeMaker) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        child = Child([str(fake(behaviour="deaf"))], subject="a")
        _first_word(child)
        pid = child.pid
        del child
        gc.collect()
    assert gone(pid)


def test_three_hundred_that_are_dropped_half_read_leave_nothing() -> None:
    before = (
        len(list(Path("/proc/self/fd").iterdir())),
        threading.active_count(),
        len(psutil.Process().children(recursive=True)),
    )
    sender = ["/bin/sh", "-c", "while :; do echo 0123456789; done"]
    pids = []
    for _ in range(300):
        child = Child(sender, subject="a")
        _first_word(child)
        pids.append(child.pid)
    del child
    gc.collect()
    assert all(map(gone, pids))
    after = (
        len(list(Path("/proc/self/fd").iterdir())),
        threading.active_count(),
        len(psutil.Process().children(recursive=True)),
    )
    assert after == before


def _interpreter(body: str, *arguments: str, timeout: float = 30) -> subprocess.CompletedProcess[str]:
    """Run an interpreter that has our bridge, and see that nothing of it is left."""
    return subprocess.run(
        [sys.executable, "-c", body, *arguments], check=False, capture_output=True, text=True, timeout=timeout
    )


_OPEN = """
import os, sys
from bridge.process.child import Child
children = [Child([sys.argv[1]], subject="a") for _ in range(3)]
for child in children:
    child.read_into(memoryview(bytearray(10)), 20)
print(*(child.pid for child in children), flush=True)
"""


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise RuntimeError", "del children"])
def test_the_interpreters_end_is_theirs(fake: FakeMaker, ending: str) -> None:
    begun = time.monotonic()
    ended = _interpreter(_OPEN + ending, str(fake(behaviour="deaf")))
    assert time.monotonic() - begun < 10
    pids = [int(pid) for pid in ended.stdout.split()]
    assert len(pids) == 3, ended.stderr
    assert all(gone(pid, within=2, zombie=True) for pid in pids)
    assert "Exception ignored" not in ended.stderr
    assert "ResourceWarning" not in ended.stderr


def test_a_fork_that_ends_does_not_end_the_originals_child(fake: FakeMaker) -> None:
    body = (
        _OPEN
        + """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)
fork = os.fork()
if not fork:
    sys.exit(0)  # with all finalizers
os.waitpid(fork, 0)
fork = os.fork()
if not fork:
    import gc
    del children, child
    gc.collect()
    os._exit(0)
os.waitpid(fork, 0)
states = [open(f"/proc/{child.pid}/stat").read().rpartition(")")[2].split()[0] for child in children]
print(*states)
print(*(child.abort().signal for child in children))
"""
    )
    ended = _interpreter(body, str(fake(behaviour="hang", frames=[b"up"])))
    assert ended.returncode == 0, ended.stderr
    pids, states, signals = ended.stdout.splitlines()
    assert set(states.split()) <= {"S", "R", "D"}, ended.stdout
    assert signals.split() == ["9"] * 3
    assert all(gone(int(pid), within=2, zombie=True) for pid in pids.split())


def test_a_signal_for_our_group_does_not_reach_it(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="hang", frames=[b"up"]))], subject="a")
    _first_word(child)
    assert os.getpgid(child.pid) != os.getpgid(0)
    assert state(child.pid) in "SR"
    child.abort()


_ASKED = """
import os, signal, sys, time
def end(*_):
    time.sleep(0.2)
    os.write(1, b"bye")
    sys.exit(7)
signal.signal(signal.SIGTERM, end)
os.write(1, b"up")
time.sleep(60)
"""


def test_one_that_is_asked_to_stop_has_time_for_it() -> None:
    child = Child(python(_ASKED), subject="a")
    assert _first_word(child) == b"up"
    ended = child.stop(20)
    assert (ended.code, ended.stopped) == (7, "stopped")
    assert child.stop(1) is ended


def test_one_that_takes_longer_is_ended() -> None:
    child = Child(python(_ASKED.replace("0.2", "60")), subject="a")
    _first_word(child)
    _quick(lambda: child.stop(0.3), 2)
    assert child.exit is not None
    assert child.exit.signal == signal.SIGKILL
    assert gone(child.pid)


def test_one_that_runs_or_has_ended_by_itself() -> None:
    child = Child(
        python("import os; os.write(2, bytes(3 << 20)); os.write(1, b'up'); os.read(0, 1)"), subject="a", feed=True
    )
    deadline = time.monotonic() + 20
    while child.said() < 3 << 20 and time.monotonic() < deadline:
        assert child.running  # looking takes what it says, which else would hold it up
    assert _first_word(child) == b"up"
    child.end_input()
    while child.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert child.wait(5).ok
    assert not child.running


def test_variables_and_the_private_folder() -> None:
    body = "import os; print(os.environ['DISPLAY'], os.environ['TMPDIR'], os.environ.get('OURS'), end='')"
    with Child(python(body), subject="a", scratch=True, variables={"DISPLAY": ":7"}) as child:
        assert Path(child.folder).stat().st_mode & 0o777 == 0o700
        assert _first_word(child).decode() == f":7 {child.folder} None"
    assert not Path(child.folder).exists()
    with Child(python("print('up')"), subject="a") as child:
        assert child.folder == ""
