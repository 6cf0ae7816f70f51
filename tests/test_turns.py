"""Turns: so many at once and no more, in the order in which they came, and nobody waits for himself."""

from __future__ import annotations

import os
import threading
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from bridge.errors import LimitExceeded
from bridge.limits import Limits
from bridge.turns import turn

if TYPE_CHECKING:
    from collections.abc import Callable


class _Work:
    """Counts who is at work, and keeps each until `go`."""

    def __init__(self, processes: int) -> None:
        self.limits = Limits(processes=processes)
        self.lock = threading.Lock()
        self.busy = self.most = 0
        self.order: list[int] = []
        self.go = threading.Event()

    def __call__(self, number: int) -> None:
        with turn(self.limits):
            with self.lock:
                self.busy += 1
                self.most = max(self.most, self.busy)
                self.order.append(number)
            self.go.wait(10)
            with self.lock:
                self.busy -= 1


def _until(condition: Callable[[], bool], seconds: float = 5) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


@pytest.mark.parametrize("processes", [1, 2, 3])
def test_no_more_than_so_many_work_at_once(processes: int) -> None:
    from bridge.turns import _turns

    work = _Work(processes)
    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for number, thread in enumerate(threads):
        thread.start()
        _until(partial(lambda came: len(work.order) + len(_turns._queue) == came, number + 1))
    assert work.order == list(range(processes))
    work.go.set()
    for thread in threads:
        thread.join(10)
    assert work.most == processes
    assert sorted(work.order) == list(range(8))
    assert processes > 1 or work.order == list(range(8))  # first come, first served
    assert _turns._busy == 0


def test_a_turn_within_a_turn_waits_for_nobody() -> None:
    with turn(Limits(processes=1)), turn(Limits(processes=1)):
        pass


def test_whoever_waits_too_long_is_told_which_limit_that_is() -> None:
    caught: list[BaseException] = []

    def late() -> None:
        try:
            with turn(Limits(processes=1, finish=0.1)):
                pass
        except LimitExceeded as error:
            caught.append(error)

    with turn(Limits(processes=1)):
        thread = threading.Thread(target=late)
        thread.start()
        thread.join(5)
    assert "processes" in str(caught[0])
    with turn(Limits(processes=1, finish=0.1)):  # the turn came back
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_fork_does_not_wait_for_the_turns_of_its_parent() -> None:
    inside, done = threading.Event(), threading.Event()

    def work() -> None:
        with turn(Limits(processes=1)):
            inside.set()
            done.wait(10)

    thread = threading.Thread(target=work)
    thread.start()
    assert inside.wait(5)
    pid = os.fork()
    if not pid:
        with turn(Limits(processes=1, finish=2)):
            os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7
    done.set()
    thread.join(5)
