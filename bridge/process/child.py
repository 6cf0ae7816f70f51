"""Child and run(): launch, deadline, stop, exit -> error. The one door to `subprocess`.

No thread is needed to keep the error stream from filling up: whoever waits, for data, for room or for the
end, takes what the error stream brings as well.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bridge.errors import BridgeError, Closed, LimitExceeded, ToolFailed, ToolMissing, ToolTimeout
from bridge.process import isolation
from bridge.process.pipes import Tail, pipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Child", "Exit", "Output", "run", "words"]

_GRACE = 1.0  # seconds from one rung of the stop ladder to the next
_REAP = 5.0  # seconds that SIGKILL may take, which is the kernel's time and not the program's
_CHUNK = 1 << 16
_DRAINED_AT_ONCE = 16  # chunks
_LAST_WORDS = 2000
_ADDRESS = re.compile(r"\[[\w#:,/ -]+ @ 0x[0-9a-f]+\] ?")

_BUFFER = 1 << 20  # what the kernel grants of it
_TICK = 50_000  # microseconds that the kernel may keep us waiting before we look around


@dataclass(frozen=True, slots=True, kw_only=True)
class Exit:
    """How a child ended.

    Attributes
    ----------
    code : int or None
        Its exit status; None if a signal ended it.
    signal : int or None
        The signal that ended it.
    seconds : float
        How long it ran.
    stderr : str
        The first 16 KiB and the last 64 KiB of what it said.
    stopped : str
        Why *we* ended it, empty if we did not.
    """

    code: int | None
    signal: int | None
    seconds: float
    stderr: str
    stopped: str = ""

    @property
    def ok(self) -> bool:
        """Tell whether the status was 0, which alone proves little."""
        return self.code == 0

    def __str__(self) -> str:
        """Say it in words: ``exit status 1``, ``signal 9 (SIGKILL)``."""
        if self.signal is None:
            return f"exit status {self.code}"
        with contextlib.suppress(ValueError):
            return f"signal {self.signal} ({signal.Signals(self.signal).name})"
        return f"signal {self.signal}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What `run` brings home."""

    stdout: bytes
    exit: Exit


class _Process:
    """What must be cleaned up even when nobody holds the Child any more: descriptors and the process."""

    def __init__(self, popen: subprocess.Popen[bytes], ends: _Ends, scratch: str | None) -> None:
        self.popen = popen
        self.scratch = scratch
        self.owner = os.getpid()
        self.stdin = ends.stdin
        self.stdout = ends.stdout
        self.stderr = ends.stderr
        self.pidfd = -1
        self._lock = threading.Lock()  # between a signal and the reaping, after which the id may be another's
        with contextlib.suppress(AttributeError, OSError):  # Linux 5.3 and newer
            self.pidfd = os.pidfd_open(popen.pid)

    def shut_stdin(self) -> None:
        """Tell the child that there is no more to come."""
        if self.stdin is not None:
            self.stdin.close()

    def shut_stdout(self) -> None:
        """Tell the child that nobody listens any more."""
        if self.stdout is not None:
            self.stdout.close()

    def shut_stderr(self) -> None:
        """Stop listening to what the child says."""
        if self.stderr >= 0:
            os.close(self.stderr)
            self.stderr = -1

    def shut_all(self) -> None:
        """Close whatever is open between us and the child."""
        self.shut_stdin()
        self.shut_stdout()
        self.shut_stderr()
        if self.pidfd >= 0:
            os.close(self.pidfd)
            self.pidfd = -1
        if self.scratch is not None and self.owner == os.getpid():
            shutil.rmtree(self.scratch, ignore_errors=True)
            self.scratch = None

    def signal_group(self, number: int) -> None:
        """Signal the child and all that it started; only while it is unreaped, so the id is still its own."""
        with self._lock:
            if self.popen.returncode is None and self.owner == os.getpid():
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.popen.pid, number)

    def ended(self, seconds: float) -> bool:
        """Wait for the end of the process without reaping it."""
        if self.popen.returncode is not None:
            return True
        if self.pidfd >= 0:
            poller = select.poll()
            poller.register(self.pidfd, select.POLLIN)
            return bool(poller.poll(max(0, seconds) * 1000))
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(max(0, seconds))
            return True
        return False

    def reap(self) -> None:
        """Collect an ended process, after ending whatever of its group is left."""
        self.signal_group(signal.SIGKILL)
        with self._lock, contextlib.suppress(subprocess.TimeoutExpired):
            self.popen.wait(_REAP)

    def abort(self) -> None:
        """End it at once. Called by `Child.abort`, by the garbage collector, and at interpreter exit."""
        if self.owner != os.getpid():  # a fork of us: the child belongs to the original
            self.popen.returncode = self.popen.returncode or 0
        elif self.popen.returncode is None:
            self.signal_group(signal.SIGKILL)
            self.ended(_REAP)
            self.reap()
        self.shut_all()


class Child:
    """One running program, in a session of its own, with no terminal and a clean environment.

    A context manager; leaving it closes. `close` is polite, `abort` is at once, both may be called
    again, from any thread. A Child that is dropped is aborted, and at interpreter exit all are.

    Parameters
    ----------
    argv : sequence of str
        The command line; the first is an absolute path.
    subject : str
        The user's name for what is being worked on; used in messages.
    stdin : int or None
        A descriptor to give as standard input. None gives an empty one; it is never inherited.
    feed : bool
        Make a pipe to standard input instead, for `write`.
    stdout : int or None
        A descriptor to give as standard output; None makes a pipe for `read_into`.
    pass_fds : sequence of int
        Further descriptors that the child keeps under the same numbers.
    scratch : bool
        Give it a folder of its own for temporary files, which is removed with it.
    files : mapping of str to bytes
        Small files to lay into that folder, where it then works, so that it finds them by their names.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        subject: str,
        stdin: int | None = None,
        feed: bool = False,
        stdout: int | None = None,
        pass_fds: Sequence[int] = (),
        scratch: bool = False,
        files: Mapping[str, bytes] | None = None,
    ) -> None:
        self.argv = tuple(argv)
        self.subject = subject
        self.exit: Exit | None = None
        self._tail = Tail()
        self._stopped = ""
        self._lock = threading.RLock()
        self._started = time.monotonic()
        self._process = _launch(
            self.argv, stdin=stdin, feed=feed, stdout=stdout, pass_fds=pass_fds, scratch=scratch, files=files or {}
        )
        self._finalizer = weakref.finalize(self, self._process.abort)

    def __repr__(self) -> str:
        """Tell the program, the process id and the state."""
        state = str(self.exit) if self.exit else "running"
        return f"<Child {Path(self.argv[0]).name} pid {self.pid}: {state}>"

    def __enter__(self) -> Self:
        """Give the child itself."""
        return self

    def __exit__(self, *exception: object) -> None:
        """Close after success, abort after an exception."""
        if exception[0] is None:
            self.close()
        else:
            self.abort()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.popen.pid

    def read_into(self, view: memoryview, seconds: float) -> int:
        """Read what is there, at least one byte; 0 at the end of the stream.

        Raises
        ------
        ToolTimeout
            If nothing comes for `seconds`; the child is gone then.
        """
        with self._lock:
            stdout = self._open_end(self._process.stdout)
            return self._transfer(stdout.recv_into, view, seconds, "sent nothing", enough=1)

    def fill(self, view: memoryview, seconds: float) -> int:
        """Read until `view` is full or the stream ends; give how much was read.

        Raises
        ------
        ToolTimeout
            If nothing comes for `seconds`; the child is gone then.
        """

        def receive(left: memoryview) -> int:
            return stdout.recv_into(left, len(left), socket.MSG_WAITALL)

        with self._lock:
            stdout = self._open_end(self._process.stdout)
            return self._transfer(receive, view, seconds, "sent nothing", enough=len(view))

    def write(self, data: memoryview, seconds: float) -> None:
        """Write all of it.

        Raises
        ------
        ToolFailed
            If the child has closed its input, with its last words.
        ToolTimeout
            If it takes nothing for `seconds`; it is gone then.
        """
        data = data.cast("B")  # else it has rows, and a part of it is counted in these
        with self._lock:
            stdin = self._open_end(self._process.stdin)
            try:
                self._transfer(stdin.send, data, seconds, "took nothing", enough=len(data))
            except (BrokenPipeError, ConnectionResetError):
                self.wait(seconds)
                raise self.failure() from None

    def said(self) -> int:
        """Tell how many bytes it has written to its error stream so far."""
        with self._lock:
            self._drain()
            return self._tail.total

    def end_input(self) -> None:
        """Tell the child that there is no more to come."""
        with self._lock:
            self._process.shut_stdin()

    def wait(self, seconds: float) -> Exit:
        """Wait for the end.

        Raises
        ------
        ToolTimeout
            After that; the child is gone then.
        """
        with self._lock:
            if self.exit is None and not self._end_seen(seconds):
                raise self._timeout(seconds, "did not end")
            return self._ended()

    def close(self) -> Exit:
        """End it politely: close our ends, wait, SIGTERM, wait, SIGKILL; reap the whole group."""
        with self._alone():
            if self.exit is None:
                self._process.shut_stdin()
                self._process.shut_stdout()
                for number in (signal.SIGTERM, signal.SIGKILL):
                    if self._end_seen(_GRACE):
                        break
                    self._stopped = self._stopped or "closed"
                    self._process.signal_group(number)
                self._end_seen(_REAP)
            return self._ended()

    def abort(self, why: str = "aborted") -> Exit:
        """End it at once, and all that it started."""
        self._stopped = self._stopped or why
        self._process.signal_group(signal.SIGKILL)
        with self._alone():
            if self.exit is None:
                self._end_seen(_REAP)
            return self._ended()

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        """Hold the lock; where another thread waits inside a read or write, end that wait by SIGKILL."""
        if not self._lock.acquire(blocking=False):
            self._stopped = self._stopped or "closed by another thread"
            self._process.signal_group(signal.SIGKILL)
            self._lock.acquire()
        try:
            yield
        finally:
            self._lock.release()

    def failure(self, kind: type[BridgeError] = ToolFailed, *, got: int | None = None) -> BridgeError:
        """Make the error that this child's end means: the one frontier between Exit and errors.

        Parameters
        ----------
        kind : type
            What a plain failure means to the caller (`CorruptMedia` to a reader, for instance). An end
            by a signal is always `ToolFailed`.
        got : int or None
            Whole frames that had been delivered.
        """
        end = self._ended()
        program = Path(self.argv[0]).name
        said = words(end.stderr)
        if end.signal is not None:
            kind = ToolFailed
        message = f"{self.subject}: {program} ended with {end}"
        message += f": {said}" if said else " and said nothing"
        return kind(message, command=self.argv, exit=end, last_words=said, got=got)

    def _open_end(self, end: socket.socket | None) -> socket.socket:
        if end is None or end.fileno() < 0:
            message = f"{self.subject}: {self!r} is closed"
            raise Closed(message)
        return end

    def _transfer(
        self, move: Callable[[memoryview], int], view: memoryview, seconds: float, complaint: str, *, enough: int
    ) -> int:
        """Move bytes until `enough` have gone or the stream has ended; give how many went.

        `move` waits in the kernel, which spares Python a wake-up for each of the hundreds of pieces that a
        frame comes in, but at most for a tick; between two ticks the error stream is taken care of.
        """
        at = 0
        deadline = time.monotonic() + seconds
        while at < enough:
            try:
                count = move(view[at:])
            except BlockingIOError:  # a tick has passed
                self._drain()
                if time.monotonic() > deadline:
                    raise self._timeout(seconds, complaint) from None
                continue
            if not count:
                break
            at += count
            if at < enough:
                self._drain()
                deadline = time.monotonic() + seconds
        return at

    def _end_seen(self, seconds: float) -> bool:
        """Wait for the end of the process without reaping it, and drain the error stream meanwhile."""
        process = self._process
        if process.owner != os.getpid():  # a fork of us: the child belongs to the original
            process.abort()
            return True
        deadline = time.monotonic() + seconds
        poller = select.poll()
        for descriptor in (process.stderr, process.pidfd):
            if descriptor >= 0:
                poller.register(descriptor, select.POLLIN)
        while process.stderr >= 0:  # without pidfd the end of the error stream is the sign to go by
            ready = [name for name, _ in poller.poll(max(0.0, deadline - time.monotonic()) * 1000)]
            if not ready:
                return False
            if process.pidfd in ready:
                return True
            poller.unregister(process.stderr)
            self._drain()
            if process.stderr >= 0:
                poller.register(process.stderr, select.POLLIN)
        return process.ended(deadline - time.monotonic())

    def _drain(self) -> None:
        """Take what the error stream has, without waiting; close it at its end."""
        stderr = self._process.stderr
        if stderr < 0:
            return
        poller = select.poll()
        poller.register(stderr, select.POLLIN)
        for _ in range(_DRAINED_AT_ONCE):  # somebody may write faster than we read
            if not poller.poll(0):
                return
            data = os.read(stderr, _CHUNK)
            self._tail.add(data)
            if not data:
                self._process.shut_stderr()
                return

    def too_slow(self, seconds: float) -> ToolTimeout:
        """Stop it and make the error for work that took longer than it may in all."""
        return self._timeout(seconds, "was not done")

    def _timeout(self, seconds: float, complaint: str) -> ToolTimeout:
        end = self.abort(f"{complaint} for {seconds:g} s")
        program = Path(self.argv[0]).name
        message = f"{self.subject}: {program} {complaint} for {seconds:g} s and was stopped"
        return ToolTimeout(message, command=self.argv, exit=end, last_words=words(end.stderr))

    def _ended(self) -> Exit:
        """Reap, close and remember how it ended; only once the process is known to have ended."""
        with self._lock:
            if self.exit is None:
                self._drain()
                self._process.reap()
                self._process.shut_all()
                self._finalizer.detach()
                code = self._process.popen.returncode
                self.exit = Exit(
                    code=code if code is None or code >= 0 else None,
                    signal=-code if code is not None and code < 0 else None,
                    seconds=time.monotonic() - self._started,
                    stderr=str(self._tail),
                    stopped=self._stopped,
                )
            return self.exit


def words(stderr: str) -> str:
    """Give the last words of a program as one printable line of at most 2,000 characters.

    Control characters, which a hostile file may carry into a message, come out escaped; the addresses
    that FFmpeg prints in front of its messages (``[mov @ 0x55d0]``) are left out.
    """
    lines = (_ADDRESS.sub("", line).strip() for line in stderr[-4 * _LAST_WORDS :].splitlines())
    said = list(dict.fromkeys(line for line in lines if line))
    if len(said) > 8:  # the first tell the reason, the last the consequences
        said = [*said[:5], "...", *said[-3:]]
    text = "; ".join(said)
    printable = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return printable[-_LAST_WORDS:]


def run(
    argv: Sequence[str],
    *,
    subject: str,
    seconds: float,
    stdin: int | None = None,
    most: int = 1 << 28,
    pass_fds: Sequence[int] = (),
    scratch: bool = False,
) -> Output:
    """Run a program to its end and give all that it wrote.

    Parameters
    ----------
    argv : sequence of str
        The command line; the first is an absolute path.
    subject : str
        The user's name for what is being worked on.
    seconds : float
        The deadline for the whole of it.
    stdin : int or None
        A descriptor to give as standard input.
    most : int
        Bytes of output after which it is stopped.
    pass_fds : sequence of int
        Further descriptors that the child keeps under the same numbers.
    scratch : bool
        Give it a folder of its own for temporary files, which is removed with it.

    Raises
    ------
    ToolTimeout, ToolMissing, LimitExceeded
        A bad exit status is not raised: the caller knows what it means.
    """
    pieces: list[bytes] = []
    view = memoryview(bytearray(_CHUNK))
    total = 0
    deadline = time.monotonic() + seconds
    with Child(argv, subject=subject, stdin=stdin, pass_fds=pass_fds, scratch=scratch) as child:
        while count := child.read_into(view, max(0.0, deadline - time.monotonic())):
            pieces.append(bytes(view[:count]))
            total += count
            if time.monotonic() > deadline:
                raise child.too_slow(seconds)
            if total > most:
                message = f"{subject}: {child!r} wrote more than {most} bytes"
                raise LimitExceeded(message, command=child.argv)
        ended = child.wait(max(0.0, deadline - time.monotonic()))
    return Output(stdout=b"".join(pieces), exit=ended)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Ends:
    """Our ends of a child's streams."""

    stdin: socket.socket | None
    stdout: socket.socket | None
    stderr: int


def _joint() -> tuple[socket.socket, socket.socket]:
    """Make two joined sockets, ours first.

    Not a pipe: one call moves a whole frame, where a pipe wakes us for every 32 KiB that ffmpeg writes.
    Measured on 1080p: 5 % less CPU than ``| cat`` in reading, 0.96 against 0.87 of the limit in writing.
    """
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        ours.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", 0, _TICK))
    return ours, theirs


def _launch(
    argv: tuple[str, ...],
    *,
    stdin: int | None,
    feed: bool,
    stdout: int | None,
    pass_fds: Sequence[int],
    scratch: bool,
    files: Mapping[str, bytes],
) -> _Process:
    """Start a program; every descriptor is closed again if that fails half way."""
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as theirs:

        def joint() -> tuple[socket.socket, int]:
            mine, other = _joint()
            ours.callback(mine.close)
            theirs.callback(other.close)
            return mine, other.fileno()

        try:
            in_ours, in_theirs = joint() if feed else (None, stdin)
            out_ours, out_theirs = joint() if stdout is None else (None, stdout)
            err_ours, err_theirs = pipe()
            ours.callback(os.close, err_ours)
            theirs.callback(os.close, err_theirs)
            folder = tempfile.mkdtemp(prefix="framebridge-") if scratch or files else None
            if folder is not None:
                ours.callback(shutil.rmtree, folder, ignore_errors=True)
                for name, content in files.items():
                    Path(folder, name).write_bytes(content)
            popen = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL if in_theirs is None else in_theirs,
                stdout=out_theirs,
                stderr=err_theirs,
                env=isolation.environment(argv[0], folder),
                cwd=folder if files else None,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        except OSError as error:
            raise _not_started(argv, error) from error
        ours.pop_all()
        return _Process(popen, _Ends(stdin=in_ours, stdout=out_ours, stderr=err_ours), folder)


def _not_started(argv: tuple[str, ...], error: OSError) -> BridgeError:
    """Tell a program that is not there any more from a system that has no room for it."""
    message = f"{argv[0]} could not be started: {error.strerror}"
    if isinstance(error, FileNotFoundError | PermissionError) or error.errno == errno.ENOEXEC:
        return ToolMissing(f"{message} (`framebridge doctor` tells what is found)", command=argv)
    return ToolFailed(message, command=argv)
