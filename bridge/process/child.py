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
import signal
import socket
import threading
import time
import weakref
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from bridge.errors import BridgeError, Closed, LimitExceeded, ToolFailed, ToolTimeout
from bridge.printing import printable
from bridge.process.isolation import OPEN, Box
from bridge.process.launch import REAP, launch, no_room
from bridge.process.pipes import Tail

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

__all__ = ["Child", "Exit", "Output", "run", "words"]

_GRACE = 1.0  # seconds from one rung of the stop ladder to the next
_CHUNK = 1 << 16
_DRAINED_AT_ONCE = 16  # chunks
_LAST_WORDS = 2000
_ADDRESS = re.compile(r"\[[\w#:,/ -]+ @ 0x[0-9a-f]+\] ?")


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
    cpu : float
        Seconds of CPU time that it took; 0 where that is not known.
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
    cpu: float = 0.0

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
    box : Box
        What it may take.
    stdin : int or None
        A descriptor to give as standard input. None gives an empty one; it is never inherited.
    feed : bool
        Make a pipe to standard input instead, for `write`.
    stdout : int or None
        A descriptor to give as standard output; None makes a pipe for `read_into`.
    pass_fds : sequence of int
        Further descriptors that the child keeps under the same numbers. In a folder among them it may write,
        whatever its box.
    scratch : bool
        Give it a folder of its own for temporary files, which is removed with it.
    files : mapping of str to bytes
        Small files to lay into that folder, where it then works, so that it finds them by their names.
    part : str or Path
        An unfinished output, file or folder, which is removed if this process dies before it is in its place.
    variables : mapping of str to str
        What its environment has besides: for programs that must find the screen, or are our own.
    """

    def __init__(
        self,
        argv: Sequence[str],
        *,
        subject: str,
        box: Box = OPEN,
        stdin: int | None = None,
        feed: bool = False,
        stdout: int | None = None,
        pass_fds: Sequence[int] = (),
        scratch: bool = False,
        files: Mapping[str, bytes] | None = None,
        part: str | Path = "",
        variables: Mapping[str, str] | None = None,
    ) -> None:
        self.argv = tuple(argv)
        self.subject = subject
        self.box = box
        self.exit: Exit | None = None
        self._tail = Tail()
        self._stopped = ""
        self._lock = threading.RLock()
        self._started = time.monotonic()
        self._process = launch(
            self.argv,
            subject=subject,
            box=box,
            stdin=stdin,
            feed=feed,
            stdout=stdout,
            pass_fds=pass_fds,
            scratch=scratch,
            files=files or {},
            part=str(part),
            variables=variables or {},
        )
        self._folder = self._process.scratch.path if self._process.scratch else ""
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
    def room(self) -> int:
        """How many bytes of its output may be on their way to us, in all."""
        stdout = self._open_end(self._process.stdout)
        return sum(stdout.getsockopt(socket.SOL_SOCKET, option) for option in (socket.SO_SNDBUF, socket.SO_RCVBUF))

    @property
    def sends(self) -> bool:
        """Tell whether some of its output, or the end of it, is there to be read."""
        poller = select.poll()
        poller.register(self._open_end(self._process.stdout), select.POLLIN)
        return bool(poller.poll(0))

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def folder(self) -> str:
        """Its private folder for temporary files, which goes with it; empty if it has none."""
        return self._folder

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

    def arrives(self, seconds: float) -> bool:
        """Wait until there is something to read, or the stream has ended; False if neither came in that time."""
        deadline = time.monotonic() + seconds
        with self._lock:
            stdout = self._open_end(self._process.stdout).fileno()
            stderr = self._process.stderr
            poller = select.poll()
            for descriptor in (stdout, stderr):
                if descriptor >= 0:
                    poller.register(descriptor, select.POLLIN)
            while ready := poller.poll(max(0.0, deadline - time.monotonic()) * 1000):
                if any(descriptor == stdout for descriptor, _ in ready):
                    return True
                self._drain()
                if self._process.stderr < 0:
                    poller.unregister(stderr)
        return False

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

    def heard(self) -> str:
        """Give what it has written to its error stream so far, its beginning and its end."""
        with self._lock:
            self._drain()
            return str(self._tail)

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

    @property
    def running(self) -> bool:
        """Tell whether it has not ended yet; what it has said meanwhile is taken, so that it can go on."""
        with self._lock:
            return self.exit is None and not self._end_seen(0)

    def stop(self, seconds: float) -> Exit:
        """Ask it to end, by SIGTERM, and give it some time for that."""
        with self._alone():
            if self.exit is None:
                self._stopped = self._stopped or "stopped"
                self._process.signal_group(signal.SIGTERM)
                self._end_seen(seconds)
            return self.abort("stopped")

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
                self._end_seen(REAP)
            return self._ended()

    def abort(self, why: str = "aborted") -> Exit:
        """End it at once, and all that it started."""
        self._stopped = self._stopped or why
        self._process.signal_group(signal.SIGKILL)
        with self._alone():
            if self.exit is None:
                self._end_seen(REAP)
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
        if limit := _limit_reached(self.box, end, self.argv, self.subject):
            return limit
        if self._folder and self._folder in end.stderr and os.strerror(errno.ENOSPC) in end.stderr:
            return no_room(self.subject, self._folder)
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
        for descriptor in (process.stderr, process.end_fd):
            if descriptor >= 0:
                poller.register(descriptor, select.POLLIN)
        while process.stderr >= 0:  # without pidfd the end of the error stream is the sign to go by
            ready = [name for name, _ in poller.poll(max(0.0, deadline - time.monotonic()) * 1000)]
            if not ready:
                return False
            if process.end_fd in ready:
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

    def stalled(self, seconds: float) -> ToolTimeout:
        """Stop it and make the error for work that lives, but does not move."""
        return self._timeout(seconds, "made no progress")

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
                code = self._process.returncode
                self.exit = Exit(
                    code=code if code is None or code >= 0 else None,
                    signal=-code if code is not None and code < 0 else None,
                    seconds=time.monotonic() - self._started,
                    stderr=str(self._tail),
                    stopped=self._stopped,
                    cpu=self._process.cpu,
                )
            return self.exit


def _limit_reached(box: Box, end: Exit, argv: Sequence[str], subject: str) -> LimitExceeded | None:
    """Make the error for the limit that made a child end so, if one did."""
    name = "" if end.ok else box.reached(end.signal or end.code, end.stderr, end.cpu)
    if not name:
        return None
    message = (
        f"{subject}: {Path(argv[0]).name} reached the limit {name}, which is {getattr(box.limits, name)}; "
        f"raise it with limits=bridge.Limits({name}=...)"
    )
    return LimitExceeded(message, command=tuple(argv), exit=end, last_words=words(end.stderr))


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
    return printable(text)[-_LAST_WORDS:]


def run(
    argv: Sequence[str],
    *,
    subject: str,
    seconds: float,
    box: Box = OPEN,
    stdin: int | None = None,
    most: int = 1 << 28,
    pass_fds: Sequence[int] = (),
    scratch: bool = False,
    files: Mapping[str, bytes] | None = None,
    variables: Mapping[str, str] | None = None,
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
    box : Box
        What it may take.
    stdin : int or None
        A descriptor to give as standard input.
    most : int
        Bytes of output after which it is stopped.
    pass_fds : sequence of int
        Further descriptors that the child keeps under the same numbers.
    scratch : bool
        Give it a folder of its own for temporary files, which is removed with it.
    files : mapping of str to bytes
        Small files to lay into that folder.
    variables : mapping of str to str
        What its environment has besides.

    Raises
    ------
    ToolTimeout, ToolMissing, LimitExceeded
        A bad exit status is not raised: the caller knows what it means.
    """
    pieces: list[bytes] = []
    view = memoryview(bytearray(_CHUNK))
    total = 0
    deadline = time.monotonic() + seconds
    given: dict[str, Any] = {"stdin": stdin, "pass_fds": pass_fds, "scratch": scratch, "files": files}
    with Child(argv, subject=subject, box=box, variables=variables, **given) as child:
        while count := child.read_into(view, max(0.0, deadline - time.monotonic())):
            pieces.append(bytes(view[:count]))
            total += count
            if time.monotonic() > deadline:
                raise child.too_slow(seconds)
            if total > most:
                message = f"{subject}: {child!r} wrote more than {most} bytes"
                raise LimitExceeded(message, command=child.argv)
        ended = child.wait(max(0.0, deadline - time.monotonic()))
    if limit := _limit_reached(box, ended, argv, subject):
        raise limit
    return Output(stdout=b"".join(pieces), exit=ended)
