"""Executors: the one seam to whatever runs work, on threads here or on a cluster.

Of an engine nothing is asked but ``submit(function, plain_dict)`` with a function of a module, and a future with the
plain dict that this returns. Retry, cancel, progress and deadlines are ours, on every engine.
"""

from __future__ import annotations

import concurrent.futures
import contextlib
import logging
import queue
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from bridge import errors
from bridge.errors import BridgeError, JobCancelled, OutputFailed, ToolFailed, ToolMissing, ToolTimeout, WorkerLost
from bridge.jobs.links import Board

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from bridge.jobs.runner import Stop

__all__ = ["ATTEMPTS", "Event", "failed", "gather", "raised"]

log = logging.getLogger("bridge")

ATTEMPTS = 4
_PAUSE = 0.5  # seconds before the second attempt, doubled before each further one
_LATE = 30.0  # seconds behind its deadline after which work is given to somebody else
_LOOK = 3600.0
_CONNECT = 10.0
_END = 15.0  # seconds that stopped work may take to end

Spec = dict[str, Any]


# Errors as plain dicts, since not every engine brings an exception home whole


def failed(error: BridgeError) -> Spec:
    """Give an error as a plain dict."""
    return {
        "error": type(error).__name__,
        "message": error.message,
        "command": list(error.command),
        "last_words": error.last_words,
        "again": _may_pass(error),
    }


def raised(result: Mapping[str, Any]) -> BridgeError:
    """Make the error again that `failed` has told of."""
    kind = getattr(errors, str(result["error"]), None)
    if not (isinstance(kind, type) and issubclass(kind, BridgeError)):  # of a later version
        kind = BridgeError
    return kind(str(result["message"]), command=tuple(result["command"]), last_words=str(result["last_words"]))


def _may_pass(error: BridgeError) -> bool:
    """Tell whether an error may be gone at the next attempt: a full disk, a killed or a stalled child."""
    if isinstance(error, ToolFailed):
        return error.exit is not None and error.exit.signal is not None
    return isinstance(error, OutputFailed | ToolTimeout | JobCancelled | ToolMissing)


# Who does the work


class _Team:
    """An engine for as long as it is used: ours, or what the caller has given. A context manager."""

    def __init__(self, engine: Any, workers: int) -> None:
        self._workers = workers
        self._owned = contextlib.ExitStack()
        self.client: Any = None
        self.address: str | None = None
        if engine is None:
            self._engine: Any = self._own()
        elif isinstance(engine, str) or hasattr(engine, "get_executor"):
            self.client = self._dask(engine) if isinstance(engine, str) else engine
            self._engine = self.client.get_executor(pure=False)
        else:
            self._engine = engine
            if type(engine).__module__.startswith("distributed."):
                self.client = engine._client  # noqa: SLF001 - it has no other name
            elif not isinstance(engine, concurrent.futures.ThreadPoolExecutor):
                self.address = "127.0.0.1"

    def __enter__(self) -> Self:
        """Give the team itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what is ours."""
        self._owned.close()

    def submit(self, function: Callable[[Spec], Spec], spec: Spec) -> Any:
        """Give work to the engine; where that has broken, to threads of ours."""
        try:
            return self._engine.submit(function, spec)
        except RuntimeError as error:  # which a broken pool, or one that was shut down, raises
            log.warning("%s takes no more work (%s): what is left is done here", type(self._engine).__name__, error)
            self._engine = self._own()
            return self._engine.submit(function, spec)

    def _own(self) -> concurrent.futures.ThreadPoolExecutor:
        pool = concurrent.futures.ThreadPoolExecutor(self._workers, "framebridge-chunk")
        self._owned.callback(pool.shutdown, cancel_futures=True)
        return pool

    def _dask(self, address: str) -> Any:
        try:
            from distributed import Client
        except ImportError:
            raise errors.ToolMissing(
                "Dask is not installed here: `pip install 'framebridge[cluster]'` brings it"
            ) from None
        try:
            client = Client(address, set_as_default=False, timeout=_CONNECT)  # type: ignore[no-untyped-call] # dask has no types there
        except (OSError, ValueError) as error:
            raise errors.OutputFailed(f"no Dask scheduler answers at {address}: {error}") from error
        self._owned.callback(client.close)
        return client


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What has come of one piece of work: a report on the way, or its result."""

    position: int
    report: Spec | None = None
    result: Spec | None = None


@dataclass(slots=True)
class _Work:
    """One piece of work, and how it goes."""

    position: int
    spec: Spec
    attempt: int = 0
    future: Any = None
    started: float | None = None  # when the first report of this attempt came


class _Gathering:
    """The loop of one `gather`: it waits for futures, for the times of retries, and for being stopped."""

    def __init__(self, function: Callable[[Spec], Spec], specs: Sequence[Spec], seconds: float | None) -> None:
        self._function = function
        self._seconds = seconds
        self._left = {position: _Work(position, spec) for position, spec in enumerate(specs)}
        self._later: list[tuple[float, _Work]] = []
        self._came: queue.SimpleQueue[tuple[_Work, Any] | Spec | None] = queue.SimpleQueue()
        self.attempts = ATTEMPTS

    def abort(self, _: str = "") -> None:
        """Wake up; called by a `Stop`."""
        self._came.put(None)

    def take(self, report: Spec) -> None:
        """Hear of progress, from any thread."""
        self._came.put(report)

    def events(self, team: _Team, board: Board, stop: Stop) -> Iterator[Event]:
        """Give reports and results, as they come."""
        for work in list(self._left.values()):
            self._submit(work, team, board)
        while self._left:
            stop.check("chunks")
            with contextlib.suppress(queue.Empty):
                came = self._came.get(timeout=self._patience())
                if isinstance(came, dict):
                    yield from self._heard(came)
                elif came is not None and came[1] is came[0].future and came[0].position in self._left:
                    yield from self._judged(*came)
            self._look_at_the_clock(team, board)

    def end(self, board: Board) -> None:
        """Stop what is still at work, and wait for that: some engines call a future cancelled that runs on."""
        left = [work for work in self._left.values() if work.future is not None]
        running = [work.future for work in left if work.started is not None or not work.future.cancel()]
        if left:
            board.stop()
        concurrent.futures.wait(running, _END)

    def _submit(self, work: _Work, team: _Team, board: Board) -> None:
        work.attempt += 1
        work.started = None
        told = {"position": work.position, "attempt": work.attempt, "seconds": self._seconds, **board.entry}
        work.future = future = team.submit(self._function, {**work.spec, "run": told})
        future.add_done_callback(lambda done: self._came.put((work, done)))

    def _heard(self, report: Spec) -> Iterator[Event]:
        """Take a report; what an abandoned attempt says counts no more."""
        work = self._left.get(report.get("position", -1))
        if work is not None and report.get("attempt") == work.attempt:
            work.started = work.started or time.monotonic()
            yield Event(position=work.position, report=report)

    def _judged(self, work: _Work, future: Any) -> Iterator[Event]:
        """Take a finished future: a result, or a reason to try again, or an error."""
        try:
            result = future.result()
        except (Exception, concurrent.futures.CancelledError) as error:
            if isinstance(error, _OURS) or work.attempt >= self.attempts:
                raise _lost(work, error) from error
            self._again(work, str(error) or type(error).__name__)
            return
        if "error" not in result:
            del self._left[work.position]
            yield Event(position=work.position, result=result)
        elif result["again"] and work.attempt < self.attempts:
            self._again(work, result["message"])
        else:
            raise raised(result)

    def _again(self, work: _Work, why: str) -> None:
        pause = _PAUSE * 2 ** (work.attempt - 1)
        log.warning("chunk %d is tried again in %g s: %s", work.position, pause, why)
        work.future = None
        self._later.append((time.monotonic() + pause, work))

    def _patience(self) -> float:
        times = [when for when, _ in self._later]
        times += [end for work in self._left.values() if (end := self._end_of(work)) is not None]
        return max(0.0, min(times, default=time.monotonic() + _LOOK) - time.monotonic())

    def _end_of(self, work: _Work) -> float | None:
        if self._seconds is None or work.started is None or work.future is None:
            return None
        return work.started + self._seconds + _LATE

    def _look_at_the_clock(self, team: _Team, board: Board) -> None:
        now = time.monotonic()
        for work in self._left.values():
            if (end := self._end_of(work)) is not None and now >= end:
                if work.attempt >= self.attempts:
                    raise ToolTimeout(
                        f"chunk {work.position} was not done in {self._seconds:g} s, {work.attempt} times"
                    )
                self._again(work, "its worker does not answer")
        due = [work for when, work in self._later if when <= now]
        self._later = [row for row in self._later if row[0] > now]
        for work in due:
            self._submit(work, team, board)


_OURS = (TypeError, AttributeError, NameError, KeyError, ImportError)  # mistakes, which no second attempt mends


def _lost(work: _Work, error: BaseException) -> BridgeError:
    said = str(error) or type(error).__name__
    return WorkerLost(f"chunk {work.position} was lost {work.attempt} times with whoever worked on it: {said}")


def gather(
    function: Callable[[Spec], Spec],
    specs: Sequence[Spec],
    *,
    executor: Any = None,
    workers: int,
    stop: Stop,
    seconds: float | None = None,
) -> Iterator[Event]:
    """Have work done by an engine; give reports and results as they come.

    Parameters
    ----------
    function : callable
        Of a module. It gets a spec with an entry ``"run"``, in which it is `linked`, and returns a plain dict, that of
        `failed` for an error.
    specs : sequence of dict
        Plain values; the first is given out first.
    executor
        A `concurrent.futures.Executor`, a Dask client, or the address of a Dask scheduler; None takes threads of ours.
    workers : int
        How many threads these are.
    stop : Stop
        Ends it; running work is stopped, wherever it is.
    seconds : float or None
        What each attempt may take.

    Raises
    ------
    JobCancelled
        If it was stopped.
    BridgeError
        What work has failed with, after as many attempts as may help.
    """
    gathering = _Gathering(function, specs, seconds)
    with _Team(executor, workers) as team, Board(gathering.take, client=team.client, address=team.address) as board:
        try:
            with stop.over(gathering):  # type: ignore[arg-type] # it can be aborted, which is all that is asked
                yield from gathering.events(team, board, stop)
        finally:
            gathering.end(board)
