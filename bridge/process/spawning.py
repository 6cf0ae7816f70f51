"""Our side of the spawner: starting it, giving it jobs, and the line to each child."""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import select
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.process import isolation
from bridge.process.seccomp import filter_for
from bridge.process.spawner import LONG, QUIT, SHORT, packed

if TYPE_CHECKING:
    from bridge.process.launch import _Order

__all__ = ["Line", "begin", "over", "spawn", "spawner_pid"]

_ANSWER = 10.0  # seconds that starting a child may take, on a busy machine
_PAUSE = 10.0  # seconds before it is tried again, after it has failed twice
_END = 1.0  # seconds that ending all children may keep us waiting
_NUMBERS = struct.Struct("=id")
_PROGRAM = Path(__file__).with_name("spawner.py")


class Line:
    """The line to one child of the spawner: its signals go there, its end comes from there."""

    def __init__(self, end: socket.socket, pid: int) -> None:
        self._socket = end
        self.pid = pid

    def fileno(self) -> int:
        """Give a descriptor that is readable once the child has ended."""
        return self._socket.fileno()

    def signal(self, number: int) -> None:
        """Have the child's group signalled, if it has not ended."""
        with contextlib.suppress(OSError):
            self._socket.send(bytes([number]))

    def end(self, seconds: float) -> tuple[int | None, float]:
        """Give how it ended, negative for a signal, as `subprocess` does; None if that is not known in time.

        Beside it stands the CPU time that it took.
        """
        kind, status, used = _answer(self._socket, 0 if _spawner.over else seconds)
        if kind == b"X":
            return os.waitstatus_to_exitcode(status), used
        if kind == b"" and not _spawner.over:
            return None, 0.0
        return -signal.SIGKILL, 0.0  # the spawner itself has ended, and all with it

    def close(self) -> None:
        """Let go; a child that still runs is ended."""
        self._socket.close()


def _answer(line: socket.socket, seconds: float) -> tuple[bytes, int, float]:
    """Read one message; its kind is empty if none comes in time, and ``?`` if none can come any more."""
    poller = select.poll()
    poller.register(line, select.POLLIN)
    if not poller.poll(max(0.0, seconds) * 1000):
        return b"", 0, 0.0
    try:
        data = line.recv(64)
    except OSError:
        data = b""
    return (data[:1], *_NUMBERS.unpack(data[1:])) if len(data) == 1 + _NUMBERS.size else (b"?", 0, 0.0)


class _Spawner:
    """The process, once it is there. One for each process of ours; a fork starts its own."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._control: socket.socket | None = None
        self._popen: subprocess.Popen[bytes] | None = None
        self._idle_until = 0.0 if _possible() else math.inf
        self.over = False  # nothing is started any more

    @property
    def pid(self) -> int | None:
        """Give its process id, if it runs."""
        return self._popen.pid if self._popen is not None else None

    def start(self, order: _Order) -> Line | None:
        """Start a child; None where there is no spawner.

        Raises
        ------
        OSError
            What the program could not be started for.
        """
        for _ in range(2):  # it may have been killed since it was last used
            control = self.begin()
            if control is None:
                return None
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            try:
                with theirs:
                    _send(control, order, theirs)
                kind, number, _ = _answer(ours, _ANSWER)
            except (BrokenPipeError, ConnectionError):
                kind, number = b"?", 0
            except BaseException:
                ours.close()
                raise
            if kind == b"P":
                return Line(ours, number)
            ours.close()
            if kind == b"E":
                raise OSError(number, os.strerror(number))
            self._forget(control)
        self._idle_until = time.monotonic() + _PAUSE
        return None

    def begin(self) -> socket.socket | None:
        """Start it, if it does not run; give its control socket, None if it cannot be had."""
        with self._lock:
            if self._control is None and time.monotonic() >= self._idle_until:
                try:
                    self._control = self._started()
                except (FileNotFoundError, PermissionError):
                    self._idle_until = math.inf
            return self._control

    def _started(self) -> socket.socket:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._popen = subprocess.Popen(
                (sys.executable, "-I", "-S", str(_PROGRAM), _temporary()),
                stdin=theirs.fileno(),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={"LC_ALL": "C.UTF-8", "PATH": os.defpath},
                cwd="/",
                start_new_session=True,
            )
        return ours

    def _forget(self, control: socket.socket) -> None:
        """Let go of a spawner that does not answer; the next one is another process."""
        with self._lock:
            if self._control is control:
                self._control = None
                self._end(control)

    def _end(self, control: socket.socket) -> None:
        with contextlib.suppress(OSError):
            control.send(QUIT)
        control.close()
        popen, self._popen = self._popen, None
        if popen is None:
            return
        try:
            popen.wait(_END)
        except subprocess.TimeoutExpired:
            if self.over:  # it is at it: ending very many takes its time, and nobody has to wait for that
                popen.returncode = 0
            else:
                popen.kill()
                popen.wait()

    def stop(self) -> None:
        """End it, and all children. Called at interpreter exit."""
        with self._lock:
            control, self._control = self._control, None
            self._idle_until = math.inf
            self.over = True
            if control is not None:
                self._end(control)

    def disown(self) -> None:
        """Let go of it: in a fork of the process that it belongs to."""
        self._lock = threading.Lock()
        self.over = False
        if self._control is not None:
            self._control.close()
            self._control = None
        if self._popen is not None:
            self._popen.returncode = 0
            self._popen = None


def _possible() -> bool:
    """Tell whether this system has what the spawner is made of, a Python that runs a file among it."""
    python = "py" in Path(sys.executable or "").name and not getattr(sys, "frozen", False)
    return sys.platform.startswith("linux") and python and hasattr(os, "pidfd_open") and _PROGRAM.is_file()


def _temporary() -> str:
    try:
        return tempfile.gettempdir()
    except OSError:  # there is none that can be written to
        return "/nonexistent"


def _here() -> str:
    try:
        return str(Path.cwd())
    except OSError:  # it was removed
        return "/"


def _send(control: socket.socket, order: _Order, line: socket.socket) -> None:
    box, scratch = order.box, order.scratch.path if order.scratch else ""
    sealed = box.sealed and isolation.sandbox().whole
    job = packed(
        order.argv,
        [f"{name}={value}" for name, value in order.environment.items()],
        [scratch or "/" if sealed or order.moved else _here(), scratch, order.part],
        [*map(str, range(3)), *map(str, order.pass_fds)],
        isolation.numbered(box),
        isolation.places(order.argv[0], hardware=box.hardware) if sealed else (),
        ["box"] if sealed else [],
        [filter_for(os.uname().machine).hex() if sealed else ""],
    )
    descriptors = [line.fileno(), *order.streams, *order.pass_fds]
    if len(job) <= SHORT:
        socket.send_fds(control, [job], descriptors)
        return
    with open(os.memfd_create("framebridge-job", os.MFD_CLOEXEC), "wb") as memory:  # noqa: PTH123 - it has no path
        memory.write(job)
        memory.flush()
        socket.send_fds(control, [LONG], [memory.fileno(), *descriptors])


_spawner = _Spawner()
spawn = _spawner.start


def begin() -> None:
    """Start the spawner now, rather than with the first child."""
    _spawner.begin()


def over() -> bool:
    """Tell whether the interpreter is ending, and with it every child."""
    return _spawner.over


def spawner_pid() -> int | None:
    """Give the process id of the spawner, if it runs."""
    return _spawner.pid


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_spawner.disown)
# What is registered last is called first: all children end at once, and their finalizers have nothing to wait for.
weakref.finalize(_spawner, int)
atexit.register(_spawner.stop)
