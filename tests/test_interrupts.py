"""Interrupts wait for the end of a block, and come then; elsewhere than in the main thread nothing changes."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from bridge.interrupts import uninterrupted

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def noted() -> Iterator[list[int]]:
    """A handler of the user's own."""
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _: came.append(number))
    yield came
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_waits_for_the_end_of_the_block() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        signal.raise_signal(signal.SIGINT)
        with uninterrupted():
            done.append(1)
        done.append(2)
    assert done == [1, 2]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_in_the_block_comes_out_with_no_interrupt() -> None:
    with pytest.raises(KeyError), uninterrupted():
        raise KeyError
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_the_users_own_handler_is_called_and_kept(noted: list[int]) -> None:
    with uninterrupted():
        signal.raise_signal(signal.SIGINT)
        assert noted == []
    assert noted == [signal.SIGINT]


def test_the_systems_way_is_left_alone() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with uninterrupted():
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_other_threads_change_nothing(noted: list[int]) -> None:
    seen = []

    def work() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
    assert noted == []


@pytest.mark.parametrize("kept", [True, False])
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_one_that_comes_in_a_callback_comes_again(name: str, kept: bool) -> None:
    """A plain Python prints that it was ignored, and goes on."""
    text = """
import signal, sys, time, weakref
from bridge.interrupts import keep_interrupts
def end(number, frame): raise SystemExit(128 + number)
class Thing: pass
signal.signal(signal.SIGTERM, end)
if sys.argv[2] == "True": keep_interrupts()
thing = Thing()
ref = weakref.ref(thing, lambda _: signal.raise_signal(signal.Signals[sys.argv[1]]))
try:
    del thing
    time.sleep(2)
    print("went on")
except (KeyboardInterrupt, SystemExit):
    print("interrupted")
"""
    done = subprocess.run(
        [sys.executable, "-c", text, name, str(kept)], capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stdout == ("interrupted\n" if kept else "went on\n")
    assert ("ignored" in done.stderr) is not kept
