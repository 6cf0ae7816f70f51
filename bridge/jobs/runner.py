"""Runner: one ffmpeg command with progress, cancel, deadline and a watch for stalls; its outputs appear by rename."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self

from bridge.core.request import Request
from bridge.errors import BridgeError, JobCancelled, OutputFailed
from bridge.jobs.step import Progress, Step
from bridge.limits import Limits, in_force
from bridge.process.child import Child, words
from bridge.process.isolation import box_for
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bridge.process.child import Exit

__all__ = ["STALL", "Done", "Runner", "Stop", "run_step", "settle"]

STALL = 120.0  # seconds without a frame: encoders look far ahead on slow machines
_COMMON = (
    "-nostdin",
    "-hide_banner",
    "-v",
    "repeat+level+error",
    "-nostats",
    "-progress",
    "pipe:1",
    "-stats_period",
    "0.5",
)
_BUFFER = 1 << 14
_LEVEL = re.compile(r"\[(error|fatal|panic)\] ")
_PLACES = re.compile(r"file:/proc/self/fd/(\d+)")


class Stop:
    """Stops what it was given to, from any thread, at once; what begins later does not begin.

    Examples
    --------
    >>> stop = Stop()
    >>> stop.set()
    >>> stop.is_set()
    True
    """

    def __init__(self) -> None:
        self._set = threading.Event()
        self._lock = threading.Lock()
        self._children: list[Child] = []

    def set(self) -> None:
        """Stop all."""
        self._set.set()
        with self._lock:
            children = list(self._children)
        for child in children:
            child.abort("cancelled")

    def is_set(self) -> bool:
        """Tell whether it was set."""
        return self._set.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait until it is set, but no longer than that; tell whether it is."""
        return self._set.wait(seconds)

    def check(self, subject: str) -> None:
        """Raise `JobCancelled` once it was set."""
        if self._set.is_set():
            raise JobCancelled(f"{subject}: the job was cancelled; nothing was put in place")

    @contextlib.contextmanager
    def over(self, child: Child) -> Iterator[None]:
        """Have it stop a child for as long as that is at work."""
        with self._lock:
            self._children.append(child)
        try:
            if self._set.is_set():
                child.abort("cancelled")
            yield
        finally:
            with self._lock:
                self._children.remove(child)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a command has done.

    Attributes
    ----------
    command : tuple of str
        As people read it.
    exit : Exit
        How it ended; its `stderr` holds all that was said.
    progress : Progress
        The last.
    """

    command: tuple[str, ...]
    exit: Exit
    progress: Progress


class Runner:
    """One command at work. A context manager, and an iterator of `Progress`; leaving it half way ends the child.

    Parameters
    ----------
    step : Step
        What is run.
    inputs, outputs, folders : sequence of int
        Descriptors for the step's places, held open by the caller until the runner is entered.
    limits : Limits, optional
        What it may take.
    part : str or Path
        An unfinished output, which is removed if this process dies.
    deadline, stall : float or None
        Seconds that it may take in all, and from one frame to the next.
    stop : Stop, optional
        Stops it from elsewhere.
    """

    def __init__(
        self,
        step: Step,
        *,
        inputs: Sequence[int] = (),
        outputs: Sequence[int] = (),
        folders: Sequence[int] = (),
        limits: Limits | None = None,
        part: str | Path = "",
        deadline: float | None = None,
        stall: float | None = STALL,
        stop: Stop | None = None,
    ) -> None:
        self.step = step
        self.progress = Progress(total_frames=step.frames, total_seconds=step.seconds)
        self._stop = stop or Stop()
        self._stop.check(step.subject)
        self._deadline, self._stall = deadline, stall
        self._begun = self._moved = time.monotonic()
        self._sign: object = None
        self._names = dict(zip((*inputs, *outputs), (*step.inputs, *step.outputs), strict=False))
        tool = toolbox().find("ffmpeg")
        self._child = Child(
            (tool.path, *_COMMON, *step.filled(inputs, outputs, folders)),
            subject=step.subject,
            box=box_for(limits or in_force(), "job", sealed=step.sealed),
            pass_fds=(*inputs, *outputs, *folders),
            files=step.texts(inputs, outputs),
            part=part,
        )

    def __repr__(self) -> str:
        """Tell the child and its state."""
        return f"<Runner {self._child!r}>"

    def __enter__(self) -> Self:
        """Give the runner itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the child."""
        self.cancel()

    def cancel(self) -> None:
        """End the child at once; may be called again, and from any thread."""
        self._child.abort("cancelled")

    def __iter__(self) -> Iterator[Progress]:
        """Give what ffmpeg says of its progress, until it has ended well.

        Raises
        ------
        ToolTimeout
            If it stalls, or is too slow in all.
        JobCancelled, OutputFailed, LimitExceeded, ToolFailed
            If it was stopped, there was no room, a limit was reached, or it failed for another reason.
        """
        with self._stop.over(self._child):
            try:
                yield from self._reports()
                ended = self._child.wait(_AT_ONCE)
            except BridgeError:
                self._stop.check(self.step.subject)
                raise
        self._stop.check(self.step.subject)
        if not ended.ok:
            raise self._failure(ended)

    def _reports(self) -> Iterator[Progress]:
        """Give reports up to the end of their stream."""
        view, rest = memoryview(bytearray(_BUFFER)), b""
        while True:
            if not self._child.arrives(self._patience()):
                self._watch()
                continue
            count = self._child.read_into(view, _AT_ONCE)
            if not count:
                return
            *lines, rest = (rest + bytes(view[:count])).split(b"\n")
            if self._take(lines):
                yield self.progress
            self._watch()

    def done(self) -> Done:
        """Tell what was done; once iterating has ended."""
        ended = self._child.wait(0.0)
        return Done(command=self.step.shown(self._child.argv[0]), exit=ended, progress=self.progress)

    def _take(self, lines: Sequence[bytes]) -> bool:
        """Read what came; tell whether it completed a report."""
        found: dict[str, object] = {}
        whole = False
        for line in lines:
            name, _, value = line.decode("utf-8", "replace").partition("=")
            if name in _READS and (number := _READS[name](value.strip())) is not None:
                found[_NAMES[name]] = number
            whole = whole or name == "progress"
        self.progress = replace(self.progress, elapsed=time.monotonic() - self._begun, **found)  # type: ignore[arg-type] # by _READS
        return whole

    def _patience(self) -> float:
        """Give how long one may wait before one looks at the clock again."""
        ends = [self._begun + self._deadline] if self._deadline is not None else []
        ends += [self._moved + self._stall] if self._stall is not None else []
        return max(0.0, min(ends, default=_EVER) - time.monotonic())

    def _watch(self) -> None:
        """End it where it is too slow, or does not move."""
        now = time.monotonic()
        if self._deadline is not None and now >= self._begun + self._deadline:
            raise self._child.too_slow(self._deadline)
        sign = _cpu(self._child.pid) if self.step.silent else (self.progress.frames, self.progress.seconds)
        if sign != self._sign:
            self._sign, self._moved = sign, now
        elif self._stall is not None and now >= self._moved + self._stall:
            raise self._child.stalled(self._stall)

    def _failure(self, ended: Exit) -> BridgeError:
        """Make the error of what went wrong, with the names of files in the place of descriptors."""
        if os.strerror(errno.ENOSPC) in ended.stderr or os.strerror(errno.EDQUOT) in ended.stderr:
            said = words(ended.stderr)
            where = ", ".join(self.step.outputs) or self.step.subject
            return OutputFailed(
                f"{where}: there is no room left for it; nothing was put in place ({self._named(said)})",
                command=self._child.argv, exit=ended, last_words=said,
            )  # fmt: skip
        error = self._child.failure()
        error.message = self._named(error.message)
        return error

    def _named(self, text: str) -> str:
        return _LEVEL.sub("", _PLACES.sub(lambda place: self._names.get(int(place[1]), place[0]), text))


_EVER = 1e6  # seconds, as far as the system's clocks of waiting reach
_AT_ONCE = 10.0  # seconds for what is there, or follows at once


def _cpu(pid: int) -> int | None:
    """Give the CPU time that a process has taken, in ticks; None where the system does not tell."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        words = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(words[11]) + int(words[12])
    return None


def _whole(text: str) -> int | None:
    return int(text) if text.isdigit() else None


def _microseconds(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        return int(text) / 1e6
    return None


def _times(text: str) -> float | None:
    with contextlib.suppress(ValueError):
        return float(text.removesuffix("x"))
    return None


_READS: dict[str, Callable[[str], float | None]] = {"frame": _whole, "out_time_us": _microseconds, "speed": _times}
_NAMES = {"frame": "frames", "out_time_us": "seconds", "speed": "speed"}


def run_step(
    step: Step,
    *,
    limits: Limits | None = None,
    deadline: float | None = None,
    stall: float | None = STALL,
    stop: Stop | None = None,
    report: Callable[[Progress], object] | None = None,
) -> Done:
    """Run one command, from the names of its files to finished outputs in their places.

    Parameters
    ----------
    step : Step
        What is run; each output appears whole, by rename, once all are made.
    limits, deadline, stall, stop
        As of `Runner`.
    report : callable, optional
        Is given each `Progress`.

    Raises
    ------
    BridgeError
        What opening the files, the command, or putting its outputs in place meets.
    """
    with contextlib.ExitStack() as files:
        inputs = [files.enter_context(Request(name, limits=limits)) for name in step.inputs]
        outputs = [files.enter_context(Request(name, writing=True, limits=limits)) for name in step.outputs]
        with contextlib.ExitStack() as opened:
            runner = opened.enter_context(
                Runner(
                    step,
                    inputs=[opened.enter_context(request.input()) for request in inputs],
                    outputs=(descriptors := [opened.enter_context(request.output()) for request in outputs]),
                    limits=limits,
                    part=outputs[0].part() if outputs else "",
                    deadline=deadline,
                    stall=stall,
                    stop=stop,
                )
            )
            for progress in runner:
                if report is not None:
                    report(progress)
            done = runner.done()
            settle(descriptors)
        for request in outputs:
            request.commit()
    return done


def settle(descriptors: Sequence[int]) -> None:
    """Have what was written reach the disk before it gets its name: after a power cut a name stands for whole files."""
    for descriptor in descriptors:
        with contextlib.suppress(OSError):
            os.fsync(descriptor)
