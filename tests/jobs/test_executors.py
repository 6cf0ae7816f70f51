"""The seam to engines: retries, lost workers, cancel and progress are ours, whatever the engine does."""

from __future__ import annotations

import concurrent.futures
import contextlib
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bridge.errors import JobCancelled, LimitExceeded, OutputFailed, ToolTimeout, UriError, WorkerLost
from bridge.jobs import executors
from bridge.jobs.executors import failed, gather, raised
from bridge.jobs.links import Board, linked
from bridge.jobs.runner import Stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Spec = dict[str, Any]


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "_PAUSE", 0.01)


def _results(function: Callable[[Spec], Spec], specs: list[Spec], **how: Any) -> dict[int, Spec]:
    events = gather(function, specs, **{"workers": 2, "stop": Stop(), **how})
    return {event.position: event.result for event in events if event.result is not None}


def _doubled(spec: Spec) -> Spec:
    return {"twice": 2 * spec["n"], "pid": os.getpid()}


def _error(spec: Spec) -> Spec:
    return failed(OutputFailed("no room") if spec["again"] else UriError("no name"))


class _Breaks(concurrent.futures.Executor):
    """An engine of which workers die: it loses the first `lost` tasks, and takes no more after `most`."""

    def __init__(self, lost: int = 0, most: int = 1000) -> None:
        self._lost, self._most = lost, most
        self.given: list[Spec] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        if len(self.given) >= self._most:
            raise BrokenExecutor("a child process terminated abruptly")
        self.given.append(args[0])
        future: Future[Any] = Future()
        if len(self.given) <= self._lost:
            future.set_exception(BrokenExecutor("a worker has died"))
        else:
            future.set_result(fn(*args))
        return future


def test_results_come_with_their_positions() -> None:
    assert {at: result["twice"] for at, result in _results(_doubled, [{"n": n} for n in range(5)]).items()} == {
        n: 2 * n for n in range(5)
    }


def test_only_a_function_of_a_module_and_plain_values_are_given_out() -> None:
    engine = _Breaks()
    _results(_doubled, [{"n": 1}], executor=engine)
    assert set(engine.given[0]) == {"n", "run"}
    plain = (str, int, float, bool, type(None), dict, list)
    assert all(isinstance(value, plain) for value in engine.given[0]["run"].values())


def test_what_a_worker_took_along_is_given_out_again() -> None:
    engine = _Breaks(lost=3)
    assert len(_results(_doubled, [{"n": n} for n in range(3)], executor=engine)) == 3
    assert len(engine.given) == 6


def test_an_engine_that_loses_it_always_is_an_error_in_the_end() -> None:
    engine = _Breaks(lost=100)
    with pytest.raises(WorkerLost, match=r"lost 4 times .*a worker has died"):
        _results(_doubled, [{"n": 1}], executor=engine)


def test_a_broken_engine_is_replaced_by_threads(caplog: pytest.LogCaptureFixture) -> None:
    engine = _Breaks(most=2)
    assert len(_results(_doubled, [{"n": n} for n in range(5)], executor=engine)) == 5
    assert "takes no more work" in caplog.text


def test_an_error_that_stays_is_raised_at_once_and_one_that_may_pass_later() -> None:
    engine = _Breaks()
    with pytest.raises(UriError, match="no name"):
        _results(_error, [{"again": False}], executor=engine)
    assert len(engine.given) == 1
    with pytest.raises(OutputFailed, match="no room"):
        _results(_error, [{"again": True}], executor=engine)
    assert len(engine.given) == 1 + executors.ATTEMPTS


def test_a_mistake_is_not_tried_again() -> None:
    engine = _Breaks()

    def mistaken(_: Spec) -> Spec:
        raise KeyError("frames")

    pool = ThreadPoolExecutor(1)
    with pool, pytest.raises(WorkerLost, match="lost 1 times"):
        _results(mistaken, [{}], executor=pool)
    assert engine.given == []


def test_errors_cross_as_plain_values() -> None:
    error = raised(failed(LimitExceeded("too large", command=("ffmpeg", "-i"), last_words="ouch")))
    assert isinstance(error, LimitExceeded)
    assert (error.message, error.command, error.last_words) == ("too large", ("ffmpeg", "-i"), "ouch")


class _Mute(concurrent.futures.Executor):
    """An engine of which the first worker begins, and is never heard of again."""

    def __init__(self) -> None:
        self.given: list[Spec] = []
        self._entered: list[Any] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **_: Any) -> Future[Any]:
        self.given.append(args[0])
        future: Future[Any] = Future()
        if len(self.given) > 1:
            future.set_result(fn(*args))
            return future
        run = args[0]["run"]
        with linked(run, lambda: None) as report:
            report({"position": run["position"], "attempt": run["attempt"], "frames": 1})
        return future


def test_a_worker_that_does_not_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "_LATE", 0.1)
    monkeypatch.setattr(executors, "_END", 0.1)
    engine = _Mute()
    assert len(_results(_doubled, [{"n": 1}], executor=engine, seconds=0.1)) == 1
    assert len(engine.given) == 2
    monkeypatch.setattr(executors, "ATTEMPTS", 1)
    with pytest.raises(ToolTimeout, match="was not done"):
        _results(_doubled, [{"n": 1}], executor=_Mute(), seconds=0.1)


# Other processes


def _slow(spec: Spec) -> Spec:
    """Report, and work until stopped."""
    stopped = threading.Event()
    with linked(spec["run"], stopped.set) as report:
        report(
            {"position": spec["run"]["position"], "attempt": spec["run"]["attempt"], "frames": 7, "pid": os.getpid()}
        )
        return failed(JobCancelled("stopped")) if stopped.wait(20) else {}


def _dies_once(spec: Spec) -> Spec:
    if spec["run"]["attempt"] == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return {"pid": os.getpid()}


@pytest.fixture(scope="module")
def pools() -> Iterator[Callable[[], ProcessPoolExecutor]]:
    """What makes pools of one process; the process that Python keeps beside them is there from the first one on."""

    def pool() -> ProcessPoolExecutor:
        return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2])])  # theirs is made of it
        with pool() as first:
            first.submit(os.getpid).result(20)
        yield pool
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined] # there is no other way


@pytest.fixture
def pool(pools: Callable[[], ProcessPoolExecutor]) -> Iterator[ProcessPoolExecutor]:
    with pools() as pool:
        yield pool


def test_progress_and_cancel_reach_other_processes(pool: ProcessPoolExecutor) -> None:
    stop = Stop()
    begun = time.monotonic()
    events = gather(_slow, [{}], workers=1, executor=pool, stop=stop)
    first = next(events)
    assert first.report is not None
    assert (first.report["frames"], first.report["pid"] != os.getpid()) == (7, True)
    stop.set()
    with pytest.raises(JobCancelled):
        next(events)
    assert time.monotonic() - begun < 10
    assert pool.submit(os.getpid).result(5) == first.report["pid"]  # the worker is free again


def test_a_pool_whose_process_is_killed_is_replaced(pool: ProcessPoolExecutor) -> None:
    results = _results(_dies_once, [{}], executor=pool)
    assert results[0]["pid"] == os.getpid()


def test_strangers_are_not_heard() -> None:
    heard: list[Spec] = []
    with Board(heard.append, address="127.0.0.1") as board:
        for said in (b'{"token": "0"}\n{"frames": 1}\n', b"\n", b"x" * 200_000, b"[]\n"):
            with socket.create_connection(tuple(board.entry["address"])) as stranger:
                stranger.settimeout(5)
                stranger.sendall(said)
                with contextlib.suppress(ConnectionResetError):
                    assert stranger.recv(1) == b""
        with linked({"token": "0", "address": board.entry["address"]}, lambda: None) as report:
            report({"frames": 2})
    assert heard == []


def test_work_that_nobody_waits_for_any_more_is_stopped() -> None:
    stopped = threading.Event()
    board = Board(lambda _: None, address="127.0.0.1")
    with linked({"token": "another", "address": board.entry["address"]}, stopped.set):
        with board:
            pass
        assert stopped.wait(5)


def test_an_address_where_nobody_is_does_not_stop_work(tmp_path: Path) -> None:
    del tmp_path
    with linked({"token": "t", "address": ["127.0.0.1", 1]}, lambda: None) as report:
        report({"frames": 1})
