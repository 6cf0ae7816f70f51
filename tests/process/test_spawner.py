"""The spawner: what a boxed child can reach, what holds it, and who ends with whom."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import struct
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import LimitExceeded, SandboxMissing, ToolMissing
from bridge.limits import Limits
from bridge.process import isolation, spawning
from bridge.process.child import Child, run
from bridge.process.isolation import OPEN, Sandbox, box_for, places, sandbox
from bridge.process.launch import alive
from bridge.process.seccomp import filter_for
from bridge.process.spawner import FOLDER, packed, sweep, unpacked
from tests.process.machine import gone, python

SEALED = box_for(Limits(), "picture")
sealed_here = pytest.mark.skipif(not sandbox().whole, reason="this system has no sandbox")
spawned_here = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the spawner is for Linux")


def bash(line: str, *, stdin: int | None = None, scratch: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a line in a sealed bash, which may start nothing else."""
    said = run(["/bin/bash", "-c", line], subject="x", seconds=10, box=SEALED, stdin=stdin, scratch=scratch)
    return subprocess.CompletedProcess(line, said.exit.code or 0, said.stdout.decode(), said.exit.stderr)


# What it can reach


@sealed_here
@pytest.mark.parametrize("place", ["/etc/passwd", "/proc/1/environ", "/proc/self/environ", __file__])
def test_a_sealed_child_opens_no_file_that_it_was_not_given(place: str) -> None:
    said = bash(f"read -r line < {place}")
    assert said.returncode
    assert "Permission denied" in said.stderr


@sealed_here
def test_a_sealed_child_writes_nowhere_but_in_its_own_folder(tmp_path: Path) -> None:
    assert "Permission denied" in bash(f"echo x > {tmp_path}/new", scratch=True).stderr
    assert list(tmp_path.iterdir()) == []
    assert bash('echo x > "$TMPDIR/new"; read -r y < "$TMPDIR/new"; echo $y', scratch=True).stdout == "x\n"


@sealed_here
def test_a_sealed_child_starts_no_other_program() -> None:
    assert "Permission denied" in bash("/bin/true").stderr


@sealed_here
def test_a_sealed_child_has_no_network() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        said = bash(f"exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]}")
        assert "not permitted" in said.stderr
        with pytest.raises(TimeoutError):
            server.accept()


@sealed_here
def test_a_sealed_child_reads_what_it_is_given_again_and_nothing_beside_it(tmp_path: Path) -> None:
    given_one, other = tmp_path / "given", tmp_path / "other"
    given_one.write_text("mine\n")
    other.write_text("secret\n")
    with given_one.open() as file:
        said = bash(f"read -r a < /proc/self/fd/0; echo $a; read -r b < {other}; echo $b", stdin=file.fileno())
    assert said.stdout == "mine\n\n"


@sealed_here
def test_what_is_given_for_writing_can_be_opened_again_for_that(tmp_path: Path) -> None:
    target = tmp_path / "out"
    descriptor = os.open(target, os.O_RDWR | os.O_CREAT)
    try:
        with Child(
            ["/bin/bash", "-c", "echo made > /proc/self/fd/1"], subject="x", box=SEALED, stdout=descriptor
        ) as child:
            assert child.wait(5).ok
    finally:
        os.close(descriptor)
    assert target.read_text() == "made\n"


@sealed_here
def test_untrusted_content_is_refused_where_there_is_no_box(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(isolation, "sandbox", Sandbox)
    with pytest.raises(SandboxMissing, match="best-effort"):
        run(["/bin/true"], subject="x", seconds=5, box=box_for(Limits(trust="untrusted"), "film"))
    careless = Limits(trust="untrusted", sandbox="best-effort")
    assert run(["/bin/true"], subject="x", seconds=5, box=box_for(careless, "film")).exit.ok


def test_an_open_child_sees_what_we_see() -> None:
    assert run(["/bin/cat", "/etc/passwd"], subject="x", seconds=5, box=OPEN).stdout


# Limits of the system

_GREEDY = "try:\n bytearray(1 << 29)\nexcept MemoryError: sys.exit('Cannot allocate memory')"


@spawned_here
@pytest.mark.parametrize(
    ("limits", "body", "name"),
    [
        (Limits(still_cpu=1), "while True: pass", "still_cpu"),
        (
            Limits(memory=1 << 28),
            "try:\n bytearray(1 << 29)\nexcept MemoryError: sys.exit('Cannot allocate memory')",
            "memory",
        ),
        (
            Limits(file_size=1000),
            "a = open(os.environ['TMPDIR'] + '/x', 'wb', 0); [a.write(bytes(800)) for _ in 'xxx']",
            "file_size",
        ),
        (Limits(open_files=8), "a = [open('/dev/null') for _ in range(20)]", "open_files"),
    ],
)
def test_a_limit_that_is_reached_is_named(limits: Limits, body: str, name: str) -> None:
    with pytest.raises(LimitExceeded, match=f"limit {name}, which is .*bridge.Limits\\({name}="):
        run(python("import os, sys\n" + body), subject="x", seconds=20, box=_unsealed(limits), scratch=True)


def _unsealed(limits: Limits) -> isolation.Box:
    """A Python needs more files than a decoder."""
    from dataclasses import replace

    return replace(box_for(limits, "picture"), sealed=False)


def test_a_limit_of_our_own_is_not_taken_for_one_of_the_call() -> None:
    text = """
        import resource
        from bridge.errors import LimitExceeded
        from bridge.limits import Limits
        from bridge.process.child import run
        from bridge.process.isolation import box_for
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))
        box = box_for(Limits(), "picture")
        print(run(["/bin/bash", "-c", 'echo 12345678901234567890 > $TMPDIR/x'], subject="x", seconds=5, box=box,
                  scratch=True).exit.signal)
    """
    said = subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, check=True)
    assert said.stdout == f"{int(signal.SIGXFSZ)}\n"


# Who ends with whom


PARENT = """
import os, sys, threading, time
from bridge.process.child import Child
grandchild = (
    "import os, time; os.setsid(); open({note!r} + '.grandchild', 'w').write(str(os.getpid())); time.sleep(60)"
)
begin = "import os, subprocess, sys, time; subprocess.Popen([sys.executable, '-ISc', "
body = begin + repr(grandchild) + "]); time.sleep(60)"
child = Child([sys.executable, "-ISc", body], subject="x", scratch=True)
while not os.path.exists({note!r} + ".grandchild") or not open({note!r} + ".grandchild").read():
    time.sleep(0.01)
open({note!r}, "w").write(f"{{child.pid}} {{child._process.scratch.path}}")
time.sleep(60)
"""


@spawned_here
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
def test_no_child_or_grandchild_outlives_us(number: signal.Signals, tmp_path: Path) -> None:
    note = str(tmp_path / "note")
    parent = subprocess.Popen([sys.executable, "-c", PARENT.format(note=note)])
    try:
        deadline = time.monotonic() + 20
        while not os.path.exists(note) or " " not in Path(note).read_text():  # noqa: PTH110 - a str
            assert time.monotonic() < deadline
            time.sleep(0.01)
        pid, folder = Path(note).read_text().split(" ", 1)
        parent.send_signal(number)
        parent.wait(5)
    finally:
        parent.kill()
        parent.wait()
    assert gone(int(pid), within=2)
    assert gone(int(Path(note + ".grandchild").read_text()), within=2)
    deadline = time.monotonic() + 3
    while os.path.exists(folder) and time.monotonic() < deadline:  # noqa: PTH110 - a str
        time.sleep(0.02)
    assert not os.path.exists(folder)  # noqa: PTH110 - a str


def test_a_child_lives_on_when_the_thread_that_started_it_has_ended() -> None:
    children: list[Child] = []
    thread = threading.Thread(
        target=lambda: children.append(Child(["/bin/sh", "-c", "sleep 0.3; echo done"], subject="x"))
    )
    thread.start()
    thread.join()
    view = memoryview(bytearray(10))
    with children[0] as child:
        assert bytes(view[: child.fill(view, 5)]) == b"done\n"
        assert child.wait(5).ok


@spawned_here
def test_a_spawner_that_was_killed_takes_its_children_along_and_the_next_one_serves() -> None:
    text = """
        import os, signal
        from bridge.process import spawning
        from bridge.process.child import Child, run
        child = Child(["/bin/sleep", "60"], subject="x")
        first = spawning.spawner_pid()
        os.kill(first, signal.SIGKILL)
        print(child.wait(5).signal, run(["/bin/true"], subject="x", seconds=5).exit.code)
        print(spawning.spawner_pid() not in (None, first), child.pid)
    """
    said = subprocess.run([sys.executable, "-c", textwrap.dedent(text)], capture_output=True, text=True, check=True)
    killed, new = said.stdout.splitlines()
    assert (killed, new.split()[0]) == ("9 0", "True")
    assert gone(int(new.split()[1]), within=2)


@spawned_here
def test_a_fork_has_a_spawner_of_its_own_and_leaves_ours_alone() -> None:
    with Child(["/bin/sleep", "60"], subject="x") as child:
        pid = os.fork()
        if not pid:
            with contextlib.suppress(BaseException):
                code = 0 if run(["/bin/true"], subject="x", seconds=5).exit.ok else 1
                spawning._spawner.stop()
                os._exit(code)
            os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert child.exit is None
        assert run(["/bin/true"], subject="x", seconds=5).exit.ok
        child.abort()


def test_many_at_once_from_many_threads() -> None:
    wrong: list[object] = []

    def work(number: int) -> None:
        for _ in range(10):
            said = run(["/bin/echo", str(number)], subject="x", seconds=20, box=SEALED)
            if said.stdout != f"{number}\n".encode():
                wrong.append(said)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert alive() == (0, 0)


def test_a_descriptor_keeps_its_number_however_high() -> None:
    read, write = os.pipe()
    high = 300
    os.dup2(write, high)
    os.close(write)
    try:
        with Child(["/bin/bash", "-c", f"echo here >&{high}"], subject="x", pass_fds=[high], box=SEALED) as child:
            assert child.wait(5).ok
        assert os.read(read, 10) == b"here\n"
    finally:
        os.close(read)
        os.close(high)


@sealed_here
def test_a_program_that_stands_in_a_home_does_not_open_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", f"{tmp_path}/bin:{os.environ['PATH']}")
    (tmp_path / "secret").write_text("mine")
    other, script = tmp_path / "other", tmp_path / "script"
    other.write_text("#!/bin/sh\necho started\n")
    script.write_text(f"#!/bin/sh\n{other}\ncat {tmp_path}/secret\n")
    for program in (other, script):
        program.chmod(0o755)
    said = run([str(script)], subject="x", seconds=10, box=SEALED)
    assert said.stdout == b"started\n"
    assert "ermission denied" in said.exit.stderr


def test_what_cannot_be_started_says_so() -> None:
    with pytest.raises(ToolMissing, match="No such file"):
        run(["/bin/nothing-of-that-name"], subject="x", seconds=5)
    with pytest.raises(ToolMissing, match="ermission"):
        run(["/etc/passwd"], subject="x", seconds=5)


@spawned_here
def test_a_job_that_makes_no_sense_ends_nobody_else() -> None:
    with Child(["/bin/sleep", "60"], subject="x") as child:
        pid = spawning.spawner_pid()
        control = spawning._spawner.begin()
        assert control is not None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with ours, theirs:
            socket.send_fds(control, [b"nonsense"], [theirs.fileno()])
            ours.settimeout(5)
            assert ours.recv(16)[:1] == b"E"
        with pytest.raises(ValueError, match="null"):
            run(["/bin/echo", "a\0b"], subject="x", seconds=5)
        assert spawning.spawner_pid() == pid
        assert child.exit is None
        child.abort()


def test_a_command_line_of_a_hundred_kilobytes_arrives() -> None:
    long = "x" * 100_000
    assert run(["/bin/echo", long], subject="x", seconds=5, box=SEALED).stdout == long.encode() + b"\n"


@sealed_here
def test_a_program_that_was_upgraded_is_started_as_before(tmp_path: Path) -> None:
    program = tmp_path / "program"
    for body in ("/bin/true", "/bin/echo"):
        new = tmp_path / "new"
        new.write_bytes(Path(body).read_bytes())
        new.chmod(0o755)
        new.replace(program)
        assert run([str(program)], subject="x", seconds=5, box=SEALED).exit.ok


# Folders


def test_folders_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path: Path) -> None:
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    left = tmp_path / f"{FOLDER}{dead.pid}-abc"
    (left / "inside").mkdir(parents=True)
    mine = tmp_path / f"{FOLDER}{os.getpid()}-abc"
    mine.mkdir()
    foreign = tmp_path / f"{FOLDER}cache-abc"
    foreign.mkdir()
    link = tmp_path / f"{FOLDER}{dead.pid}-link"
    link.symlink_to(mine)
    sweep(str(tmp_path))
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([mine.name, foreign.name, link.name])


def test_the_private_folder_is_ours_alone_and_goes_with_the_child() -> None:
    with Child(["/bin/sleep", "60"], subject="x", scratch=True, files={"a": b"12345"}) as child:
        scratch = child._process.scratch
        assert scratch is not None
        assert os.stat(scratch.path).st_mode & 0o777 == 0o700  # noqa: PTH116 - a str
        assert alive() == (1, 5)
        child.abort()
    assert not os.path.exists(scratch.path)  # noqa: PTH110 - a str


# Pure


@given(st.lists(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))), min_size=1))
def test_lists_arrive_as_they_were(lists: list[list[str]]) -> None:
    assert unpacked(packed(*lists)) == [[text.encode() for text in texts] for texts in lists]


def _judged(machine: str, number: int, flags: int = 0, arch: int | None = None) -> int:
    """Run the filter as the kernel does."""
    program = filter_for(machine)
    lines = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    arch = arch or {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}[machine]
    data = struct.pack("=iIQQ", number, arch, 0, flags)
    value = at = 0
    while True:
        code, yes, no, operand = lines[at]
        at += 1
        if code == 0x20:
            value = struct.unpack_from("=I", data, operand)[0]
        elif code == 0x06:
            return int(operand)
        else:
            truth = {0x15: value == operand, 0x35: value >= operand, 0x45: bool(value & operand)}[code]
            at += yes if truth else no


@pytest.mark.parametrize(
    ("machine", "socket_number", "read", "clone"), [("x86_64", 41, 0, 56), ("aarch64", 198, 63, 220)]
)
def test_the_filter_refuses_sockets_and_namespaces_and_lets_work_go_on(
    machine: str, socket_number: int, read: int, clone: int
) -> None:
    allowed, refused = 0x7FFF0000, 0x00050001
    assert _judged(machine, read) == _judged(machine, clone, flags=0x11) == allowed
    assert _judged(machine, socket_number) == _judged(machine, clone, flags=0x10000000) == refused
    assert _judged(machine, 425) == refused  # io_uring
    assert _judged(machine, 435) == 0x00050026  # clone3: not there
    assert _judged(machine, read, arch=0x40000003) == 0x80000000  # 32 bits
    assert filter_for("pdp11") == b""


def test_a_program_may_look_at_its_own_libraries_wherever_they_are(tmp_path: Path) -> None:
    """As a conda environment lays them out."""
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "ffmpeg"
    program.write_bytes(Path("/bin/true").read_bytes())
    program.chmod(0o755)
    found = dict(place.split(":", 1)[::-1] for place in places(str(program)))
    assert f"{tmp_path}/lib" in found
    assert str(tmp_path) not in found
    assert run([str(program)], subject="x", seconds=5, box=SEALED).exit.ok
