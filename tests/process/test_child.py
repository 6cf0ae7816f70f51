"""Child and run: what a program is given, what comes back, and what its end means."""

from __future__ import annotations

import json
import os
import pickle
import resource
import signal
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bridge.errors import BridgeError, Closed, CorruptMedia, LimitExceeded, ToolFailed, ToolMissing, ToolTimeout
from bridge.process.child import Child, Exit, run
from tests.process.machine import gone, python, state

if TYPE_CHECKING:
    from tests.fakes.programs import FakeMaker


def _read(child: Child, count: int = 1 << 16, seconds: float = 10) -> bytes:
    view = memoryview(bytearray(count))
    return bytes(view[: child.read_into(view, seconds)])


# What a program is given


def _confessed(program: Path, *arguments: str, **options: Any) -> dict[str, Any]:
    out = run([str(program), *arguments], subject="a.mp4", seconds=20, **options)
    assert out.exit.ok, out.exit.stderr
    told: dict[str, Any] = json.loads(out.stdout)
    return told


def test_it_has_a_session_of_its_own_and_no_terminal(fake: FakeMaker) -> None:
    told = _confessed(fake(behaviour="confess"))
    assert told["session"]
    assert not told["terminal"]


def test_its_input_is_never_ours(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    read_end, write_end = os.pipe()
    os.write(write_end, b"a secret that was typed")
    kept = os.dup(0)
    try:
        os.dup2(read_end, 0)
        monkeypatch.setattr(sys, "stdin", None)
        assert _confessed(fake(behaviour="confess"))["stdin"] == ""
    finally:
        os.dup2(kept, 0)
        for descriptor in (kept, read_end, write_end):
            os.close(descriptor)


def test_it_knows_nothing_of_our_environment(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = ("AWS_SECRET_ACCESS_KEY", "FFREPORT", "HTTP_PROXY", "https_proxy", "MAGICK_CONFIGURE_PATH", "LD_PRELOAD",
               "PYTHONPATH", "DISPLAY", "XDG_CONFIG_HOME", "FFMPEG_DATADIR", "MAGICK_HOME", "LANG")  # fmt: skip
    for name in secrets:
        monkeypatch.setenv(name, "/canary")
    monkeypatch.setenv("HOME", "/canary")
    given = _confessed(fake(behaviour="confess"))["environ"]
    assert "/canary" not in json.dumps(given)
    assert given["LC_ALL"] == "C.UTF-8"
    assert given["PATH"] == os.environ["PATH"]


def test_it_gets_no_descriptor_but_those_that_are_given(fake: FakeMaker, tmp_path: Path) -> None:
    ours, theirs = (os.open(tmp_path / name, os.O_CREAT | os.O_RDWR) for name in ("ours", "theirs"))
    os.set_inheritable(ours, True)
    try:
        told = _confessed(fake(behaviour="confess"), pass_fds=[theirs])["descriptors"]
    finally:
        os.close(ours)
        os.close(theirs)
    assert told.pop(str(theirs)).endswith("/theirs")
    assert not any("/ours" in target for target in told.values())
    others = {number: target for number, target in told.items() if int(number) > 2}
    assert all(target.startswith("/proc/") or target.endswith("/confess") for target in others.values()), others


def test_arguments_arrive_as_they_are(fake: FakeMaker) -> None:
    arguments = ["a b", "*", "$HOME", "`id`", "ü\udcff", "-i", "", "%d"]
    told = _confessed(fake(behaviour="confess"), *arguments)
    assert told["argv"] == arguments


def test_content_can_be_given_by_descriptor(fake: FakeMaker, tmp_path: Path) -> None:
    (tmp_path / "content").write_bytes(b"x" * 1000)
    with (tmp_path / "content").open("rb") as content:
        out = run([str(fake(behaviour="eats"))], subject="a", seconds=20, stdin=content.fileno())
    assert out.stdout == b"1000"


# What comes back


def test_run_brings_output_and_exit() -> None:
    out = run(python("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)"), subject="a", seconds=20)
    assert out.stdout == b"out\n"
    assert (out.exit.code, out.exit.signal, out.exit.ok, out.exit.stopped) == (3, None, False, "")
    assert out.exit.stderr == "err\n"
    assert 0 < out.exit.seconds < 20


def test_run_takes_megabytes_on_both_streams() -> None:
    body = "import os\nfor i in range(64): os.write(1, bytes(1 << 16)); os.write(2, b'x' * (1 << 16))"
    out = run(python(body), subject="a", seconds=60)
    assert len(out.stdout) == 64 << 16
    assert len(out.exit.stderr) < 100_000


def test_run_stops_what_sends_too_much() -> None:
    with pytest.raises(LimitExceeded, match="more than 1000 bytes"):
        run(python("while True: print('x' * 1000)"), subject="a", seconds=20, most=1000)


def test_run_has_a_deadline() -> None:
    begun = time.monotonic()
    with pytest.raises(ToolTimeout, match=r"a\.mp4: .* and was stopped"):
        run(python("import time; time.sleep(60)"), subject="a.mp4", seconds=0.3)
    assert time.monotonic() - begun < 5


def test_the_deadline_of_run_holds_for_who_talks_without_end(fake: FakeMaker) -> None:
    begun = time.monotonic()
    with pytest.raises(ToolTimeout):
        run([str(fake(behaviour="nag"))], subject="a", seconds=1)
    assert time.monotonic() - begun < 10


@pytest.mark.timeout(20)
def test_the_deadline_of_run_holds_for_who_drips() -> None:
    begun = time.monotonic()
    body = "import os, time\nfor _ in range(500): os.write(1, b'x'); time.sleep(0.02)"
    with pytest.raises(ToolTimeout):
        run(python(body), subject="a", seconds=1)
    assert time.monotonic() - begun < 10


def test_a_child_can_be_fed() -> None:
    body = "import sys; data = sys.stdin.buffer.read(); print(len(data), data[:2])"
    with Child(python(body), subject="a", feed=True) as child:
        child.write(memoryview(b"ab" * (1 << 20)), 20)
        child.end_input()
        child.end_input()
        assert _read(child) == b"2097152 b'ab'\n"
        assert child.wait(20).ok


def test_reading_a_closed_child_is_refused(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="works"))], subject="a")
    child.close()
    with pytest.raises(Closed):
        _read(child)
    with pytest.raises(Closed):
        child.write(memoryview(b"x"), 1)


# Deadlines


def test_silence_is_ended_by_the_deadline(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="hang"))], subject="film.mp4")
    with pytest.raises(ToolTimeout, match=r"film\.mp4: ffmpeg sent nothing for 0\.3 s and was stopped") as caught:
        _read(child, seconds=0.3)
    assert gone(child.pid)
    assert caught.value.exit.signal == signal.SIGKILL
    assert "sent nothing" in caught.value.exit.stopped
    assert child.exit is not None


def test_a_child_that_is_suspended_is_ended_by_the_deadline(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="hang"))], subject="a")
    os.kill(child.pid, signal.SIGSTOP)
    with pytest.raises(ToolTimeout):
        _read(child, seconds=0.3)
    assert gone(child.pid)


def test_one_that_takes_no_input_is_ended_by_the_deadline(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="stuffed"))], subject="a", feed=True)
    with pytest.raises(ToolTimeout, match="took nothing"):
        child.write(memoryview(bytes(8 << 20)), 0.3)
    assert gone(child.pid)


def test_what_is_written_in_parts_is_whole_whatever_its_rows(fake: FakeMaker) -> None:
    picture = memoryview(bytes(8 << 20)).cast("B", (1024, 2048, 4))
    with Child([str(fake(behaviour="late"))], subject="a", feed=True) as child:
        child.write(picture, 20)
        child.end_input()
        assert _read(child) == str(picture.nbytes).encode()


def test_one_that_closes_its_input_is_quoted(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="picky"))], subject="out.mp4", feed=True)
    with pytest.raises(ToolFailed, match=r"out\.mp4: ffmpeg ended with exit status 1: I do not like this"):
        child.write(memoryview(bytes(8 << 20)), 20)
    assert gone(child.pid)


def test_one_that_does_not_end_is_ended_by_the_deadline(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="hang"))], subject="a")
    with pytest.raises(ToolTimeout, match="did not end"):
        child.wait(0.3)
    assert gone(child.pid)


# Launching


def test_a_program_that_is_not_there_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ToolMissing, match="framebridge doctor") as caught:
        Child([str(tmp_path / "ffmpeg")], subject="a")
    assert caught.value.command == (str(tmp_path / "ffmpeg"),)


@pytest.mark.parametrize("content", [b"", b"\x7fELFnonsense", b"#!/no/such/interpreter\n"])
def test_a_program_that_cannot_run_is_missing(tmp_path: Path, content: bytes) -> None:
    program = tmp_path / "ffmpeg"
    program.write_bytes(content)
    program.chmod(0o755)
    with pytest.raises(ToolMissing):
        Child([str(program)], subject="a", feed=True)
    program.chmod(0o644)
    with pytest.raises(ToolMissing):
        Child([str(program)], subject="a", feed=True)


def test_a_command_line_that_cannot_be_said_leaks_nothing() -> None:
    with pytest.raises((ValueError, BridgeError)):
        Child([sys.executable, "a\0b"], subject="a", feed=True)


@pytest.mark.parametrize("room", range(9))
def test_a_process_without_descriptors_fails_cleanly_and_recovers(room: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    used = max(int(link.name) for link in Path("/proc/self/fd").iterdir())
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 1, hard))
    filled = []
    try:
        while True:
            try:
                filled.append(os.open(os.devnull, os.O_RDONLY))
            except OSError:
                break
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(used, *filled) + 1 + room, hard))
        try:
            Child(python("pass"), subject="a", feed=True).close()
        except BridgeError as error:
            assert isinstance(error, ToolFailed)  # noqa: PT017 - with enough room there is none
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        for descriptor in filled:
            os.close(descriptor)
    assert run(python("print(1)"), subject="a", seconds=20).stdout == b"1\n"


def test_many_open_descriptors_do_no_harm() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 1500:
        pytest.skip("this system lets nobody open so many")
    resource.setrlimit(resource.RLIMIT_NOFILE, (1500, hard))
    filled = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:
        out = run(python("import sys; print(1); print('err', file=sys.stderr)"), subject="a", seconds=20)
        assert (out.stdout, out.exit.stderr) == (b"1\n", "err\n")
        with Child(python("import time; print(2, flush=True); time.sleep(60)"), subject="a") as child:
            assert _read(child) == b"2\n"
            child.abort()
    finally:
        for descriptor in filled:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_thread_that_starts_a_child_may_end(fake: FakeMaker) -> None:
    children: list[Child] = []
    thread = threading.Thread(target=lambda: children.append(Child([str(fake(behaviour="hang"))], subject="a")))
    thread.start()
    thread.join()
    time.sleep(0.1)
    assert state(children[0].pid) in "SRD"
    children[0].abort()


# From its end to an error


def test_an_exit_in_words() -> None:
    assert str(Exit(code=1, signal=None, seconds=1, stderr="")) == "exit status 1"
    assert str(Exit(code=None, signal=9, seconds=1, stderr="")) == "signal 9 (SIGKILL)"
    assert str(Exit(code=None, signal=63, seconds=1, stderr="")) == "signal 63"


def test_a_failure_says_who_failed_at_what_and_why(fake: FakeMaker) -> None:
    program = fake(behaviour="fails", words="[mov @ 0x55d0] moov atom not found\nfilm.mp4: Invalid data\n")
    with Child([str(program), "-i", "x"], subject="film.mp4") as child:
        assert _read(child) == b""
        child.wait(20)
    error = child.failure(got=3)
    assert type(error) is ToolFailed
    assert str(error) == "film.mp4: ffmpeg ended with exit status 1: moov atom not found; film.mp4: Invalid data"
    assert (error.command, error.exit, error.got) == ((str(program), "-i", "x"), child.exit, 3)
    assert error.last_words.startswith("moov atom")


def test_a_failure_means_what_the_caller_says_but_a_signal_never_does(fake: FakeMaker) -> None:
    with Child([str(fake(behaviour="fails"))], subject="a") as child:
        child.wait(20)
    assert type(child.failure(CorruptMedia)) is CorruptMedia
    with Child([str(fake(behaviour="dies"))], subject="a") as child:
        child.wait(20)
    assert type(child.failure(CorruptMedia)) is ToolFailed
    assert "signal 9 (SIGKILL): about to die" in str(child.failure())


def test_a_program_that_fails_without_a_word_is_said_to(fake: FakeMaker) -> None:
    with Child([str(fake(behaviour="fails", words=""))], subject="a") as child:
        child.wait(20)
    assert str(child.failure()) == "a: ffmpeg ended with exit status 1 and said nothing"


def test_what_it_says_cannot_drive_a_terminal(fake: FakeMaker) -> None:
    with Child([str(fake(behaviour="rude"))], subject="a") as child:
        child.wait(20)
    assert str(child.failure()).isprintable()
    assert "\\x1b" in str(child.failure())


def test_a_failure_crosses_processes_whole(fake: FakeMaker) -> None:
    with Child([str(fake(behaviour="fails"))], subject="a") as child:
        child.wait(20)
    error = child.failure(got=2)
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is type(error)
    assert (str(again), again.__dict__) == (str(error), error.__dict__)


def test_the_state_is_told(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="hang"))], subject="a")
    assert repr(child) == f"<Child ffmpeg pid {child.pid}: running>"
    child.abort()
    assert repr(child) == f"<Child ffmpeg pid {child.pid}: signal 9 (SIGKILL)>"
