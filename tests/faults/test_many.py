"""Faults 15, 21 and 48: many at once."""

from __future__ import annotations

import contextlib
import gc
import random
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

import bridge
from bridge.limits import Limits

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]


class _Census(threading.Thread):
    """Counts the decoders below us, again and again."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.most = 0
        self.over = threading.Event()

    def run(self) -> None:
        me = psutil.Process()
        while not self.over.is_set():
            count = 0
            for child in me.children(recursive=True):
                with contextlib.suppress(psutil.Error):
                    # Between fork and exec a program still has the name of who starts it.
                    named = child.name().startswith(("ffmpeg", "convert", "magick"))
                    lists = "framecrc" in child.cmdline()  # the packets of a film, beside its decoder
                    count += named and not lists and child.status() != psutil.STATUS_ZOMBIE
            self.most = max(self.most, count)
            self.over.wait(0.005)


@pytest.mark.parametrize("processes", [1, 2])
def test_sixty_four_reads_at_once(processes: int, small_film: Path) -> None:
    pictures = [bridge.imwrite("<bytes>", np.full((40, 50, 3), n, np.uint8), ".png") for n in range(32)]
    begun: list[float] = []
    seconds: list[float] = []
    limits = Limits(processes=processes)
    everybody = threading.Barrier(64)

    def read(number: int) -> bool:
        everybody.wait(20)
        start = time.monotonic()
        if number % 2:
            right = bool(bridge.imread(small_film, limits=limits).shape == (48, 64, 3))
        else:
            picture = np.full((40, 50, 3), number // 2, np.uint8)
            right = np.array_equal(bridge.imread(pictures[number // 2], limits=limits), picture)
        seconds.append(time.monotonic() - start)
        begun.append(start)
        return right

    census = _Census()
    census.start()
    with ThreadPoolExecutor(64) as pool:
        results = [*pool.map(read, range(64))]
    census.over.set()
    census.join()
    assert all(results)
    assert census.most <= processes


def test_who_comes_first_is_served_first(small_film: Path) -> None:
    """One after the other in the queue, but for those who come at nearly the same moment."""
    order: list[int] = []
    limits = Limits(processes=1)
    bridge.imread(small_film, limits=limits)
    started = []

    def read(number: int) -> None:
        bridge.imread(small_film, limits=limits)
        order.append(number)

    for number in range(16):
        thread = threading.Thread(target=read, args=(number,))
        thread.start()
        started.append(thread)
        time.sleep(0.02)
    for thread in started:
        thread.join(30)
    late = [abs(place - number) for place, number in enumerate(order)]
    assert len(order) == 16
    assert max(late) <= 4, order


def test_a_reader_that_waits_holds_nobody_up_for_ever(small_film: Path) -> None:
    """A thread that has as many readers open as there may be children, and opens one more, is told so or served."""
    limits = Limits(processes=2, first_frame=3.0, stall=3.0, still=3.0)
    done = threading.Event()
    ended: list[Any] = []

    def work() -> None:
        with contextlib.ExitStack() as stack:
            try:
                for _ in range(4):
                    reader = stack.enter_context(bridge.get_reader(small_film, limits=limits))
                    reader.get_data(1)
                ended.append("read")
            except bridge.BridgeError as error:
                ended.append(error)
        done.set()

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert done.wait(20), "it waits for itself"
    thread.join()
    assert ended == ["read"] or "processes" in str(ended[0])


@pytest.mark.parametrize("seed", range(3))
def test_two_threads_on_one_reader(seed: int, small_film: Path) -> None:
    sound = [np.asarray(frame).copy() for frame in bridge.mimread(small_film)]
    wrong: list[object] = []
    with bridge.get_reader(small_film) as reader:

        def work(number: int) -> None:
            chance = random.Random(seed * 10 + number)  # noqa: S311 - places, not secrets
            for _ in range(25):
                index = chance.randrange(10)
                try:
                    if not np.array_equal(np.asarray(reader.get_data(index)), sound[index]):
                        wrong.append(index)
                except bridge.BridgeError:  # one wins: the other is told
                    continue
                except BaseException as error:  # noqa: BLE001 - told to the test
                    wrong.append(error)

        threads = [threading.Thread(target=work, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
    assert wrong == []


def test_readers_that_are_opened_and_dropped(small_film: Path) -> None:
    """The look of conftest for what is left counts all; here that each is told."""
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        for _ in range(60):
            reader = bridge.get_reader(small_film)
            reader.get_data(0)
            del reader
        gc.collect()
    assert sum(issubclass(warning.category, ResourceWarning) for warning in told) == 60
