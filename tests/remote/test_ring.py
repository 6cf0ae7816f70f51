"""Shared memory: nobody overwrites what somebody holds, nobody is left with memory that has shrunk, nothing remains."""

from __future__ import annotations

import contextlib
import fcntl
import gc
import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bridge.errors import WireError, WorkerLost
from bridge.media.pixels import memory_of
from bridge.remote import ring as rings
from bridge.remote.memory import segment
from bridge.remote.ring import GIVEN, NOTE, TOKEN, Line, Ring
from bridge.remote.window import Window
from bridge.remote.wire import Layout

if TYPE_CHECKING:
    from collections.abc import Iterator

LAYOUT = Layout(dtype=np.dtype("u1"), shape=(40, 50, 3), pixels="rgb24")


class Pair:
    """A ring, a line, and the window at its other end."""

    def __init__(self, folder: Path, **options: Any) -> None:
        place = str(folder / "memory")
        self.ring = Ring(**options)
        with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as listener:
            listener.bind(place)
            listener.listen()
            self.window = Window(place, b"t" * TOKEN, 5)
            end, _ = listener.accept()
        assert end.recv(100) == b"t" * TOKEN
        self.line = Line(end)

    def shown(self, value: int, layout: Layout = LAYOUT) -> np.ndarray[Any, Any]:
        """Have the worker fill a slot and the reader look at it."""
        slot = self.ring.take(layout.nbytes)
        slot.view[: layout.nbytes] = bytes([value]) * layout.nbytes
        self.ring.hold(slot, self.line)
        self.ring.give_back(slot)
        return self.window.array(slot.number, layout, 5)

    def hear(self) -> bool:
        """Have the worker hear what the reader has done with; False at its end."""
        return self.ring.hear(self.line)


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path, slots=4)
    yield made
    made.window.close()
    made.line.close()
    made.ring.close()


def test_an_array_is_a_view_that_nobody_can_write_to(pair: Pair) -> None:
    array = pair.shown(7)
    assert array.shape == LAYOUT.shape
    assert not array.flags.writeable
    assert not array.flags.owndata
    with pytest.raises(ValueError, match=r"read-only|WRITEABLE"):
        array.setflags(write=True)
    assert (array == 7).all()


def test_a_slot_is_used_again_once_the_array_is_gone(pair: Pair) -> None:
    numbers = set()
    for value in range(50):
        array = pair.shown(value)
        assert (array == value).all()
        del array
        assert pair.hear()
        numbers |= set(pair.ring._slots)
    assert len(numbers) == 1


def test_every_view_keeps_the_slot(pair: Pair) -> None:
    array = pair.shown(1)
    views = [array[3:5], array.reshape(-1)[::7], array.view("i1"), memory_of(array), np.asarray(array).T]
    del array
    while views:
        pair.hear()
        assert not next(iter(pair.ring._slots.values())).free
        for value in (2, 3, 4):
            pair.shown(value)
            pair.hear()
        assert (np.asarray(views[-1]) == 1).all()
        views.pop()
        gc.collect()
    pair.hear()
    assert all(slot.free for slot in pair.ring._slots.values())


def test_who_keeps_more_than_the_ring_has_keeps_it_and_the_ring_stays_small(pair: Pair) -> None:
    arrays = [pair.shown(value) for value in range(40)]
    assert len(pair.ring) <= 4
    assert [int(array.max()) for array in arrays] == [*range(40)]
    assert [int(array.min()) for array in arrays] == [*range(40)]
    before = len(pair.window._maps)
    del arrays
    pair.hear()
    pair.shown(1)
    pair.window.look()
    assert len(pair.window._maps) <= 5 < before + 5


def test_memory_of_arrays_that_were_kept_is_freed_with_them(pair: Pair) -> None:
    def maps() -> int:
        return Path("/proc/self/maps").read_text().count("framebridge-frames")

    arrays = [pair.shown(value) for value in range(40)]
    assert maps() >= 40
    pair.window.look()
    del arrays
    gc.collect()
    assert maps() <= 2 * 4


def test_a_thousand_arrays_take_no_descriptors(pair: Pair) -> None:
    before = sum(1 for _ in Path("/proc/self/fd").iterdir())
    arrays = [pair.shown(value % 256) for value in range(1000)]
    assert sum(1 for _ in Path("/proc/self/fd").iterdir()) <= before + 4
    assert all((array == value % 256).all() for value, array in enumerate(arrays))


def test_arrays_outlive_the_window_and_are_not_overwritten(pair: Pair) -> None:
    array = pair.shown(9)
    pair.window.close()
    assert not pair.hear()
    pair.ring.drop(pair.line)
    for _ in range(5):
        slot = pair.ring.take(LAYOUT.nbytes)
        slot.view[:] = bytes(len(slot.view))
        pair.ring.give_back(slot)
    assert (array == 9).all()


def test_a_slot_fits_what_goes_into_it(pair: Pair) -> None:
    small, large = 1000, 40 << 20
    for size in (small, large, small, large):
        slot = pair.ring.take(size)
        assert size <= len(slot.view) <= max(2 * size, size + (1 << 20))
        pair.ring.give_back(slot)
    assert len(pair.ring) == 2


def test_free_slots_do_not_take_more_memory_than_they_may() -> None:
    ring = Ring(8, 10 << 20)
    for size in range(1, 9):
        ring.give_back(ring.take(size << 20))
        assert ring.nbytes <= 10 << 20
    ring.close()


def test_a_segment_can_neither_shrink_nor_grow() -> None:
    descriptor = segment(8192)
    try:
        for size in (0, 4096, 16384):
            with pytest.raises(PermissionError):
                os.ftruncate(descriptor, size)
        with pytest.raises(PermissionError):
            fcntl.fcntl(descriptor, 1033, 0x0002)
    finally:
        os.close(descriptor)


@pytest.mark.parametrize("fault", ["not sealed", "too small", "no descriptor"])
def test_a_segment_that_could_end_us_is_not_mapped(fault: str, pair: Pair) -> None:
    """Fault 45: reading beyond the end of a mapped file is a signal, not an error."""
    descriptor = os.memfd_create("x") if fault == "not sealed" else segment(4096)
    try:
        os.ftruncate(descriptor, 4096)
        size = 8192 if fault == "too small" else 4096
        sent = [] if fault == "no descriptor" else [descriptor]
        socket.send_fds(pair.line._socket, [NOTE.pack(GIVEN, 77, size)], sent)
        with pytest.raises(WireError):
            pair.window.look()
    finally:
        os.close(descriptor)


def test_an_array_that_is_not_in_its_slot_is_refused(pair: Pair) -> None:
    slot = pair.ring.take(100)
    pair.ring.hold(slot, pair.line)
    pair.ring.give_back(slot)
    with pytest.raises(WireError, match="not in a slot"):
        pair.window.array(slot.number, LAYOUT, 5)
    with pytest.raises(WorkerLost, match="did not come"):
        pair.window.array(slot.number + 1, LAYOUT, 0.05)


@pytest.mark.parametrize("note", [b"", b"x", bytes(100), NOTE.pack(9, 1, 1), NOTE.pack(1, 1, 1)])
def test_garbage_from_a_reader_is_its_end(note: bytes, pair: Pair) -> None:
    pair.window._socket.send(note)
    assert not pair.hear()


def test_what_a_reader_does_not_hold_it_cannot_release(pair: Pair) -> None:
    slot = pair.ring.take(100)
    for _ in range(3):
        pair.window._socket.send(NOTE.pack(3, slot.number, 0))
    pair.window._socket.send(NOTE.pack(3, 12345, 0))
    assert pair.hear()
    assert slot.own == 1


def test_a_reader_of_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        rings.check_peer(ours)
        monkeypatch.setattr(os, "geteuid", lambda: 4711)
        with pytest.raises(PermissionError, match="belongs to user"):
            rings.check_peer(ours)


_DIES = """
import os, sys
from bridge.remote.memory import segment
descriptor = segment(1 << 20)
assert not any(name.startswith("framebridge-") for name in os.listdir("/dev/shm")), os.listdir("/dev/shm")
print("up", flush=True)
os.kill(os.getpid(), 9)
"""


@pytest.mark.parametrize("memfd", [True, False])
def test_nothing_is_left_of_who_is_killed(memfd: bool) -> None:
    """Also where memfd is missing: the segment has lost its name by then, and no tracker runs."""
    body = _DIES if memfd else "import os; del os.memfd_create" + _DIES
    ended = subprocess.run([sys.executable, "-c", body], check=False, capture_output=True, text=True, timeout=30)
    assert (ended.stdout.strip(), ended.returncode, ended.stderr) == ("up", -9, "")
    assert not any(path.name.startswith("framebridge-") for path in Path("/dev/shm").iterdir())  # noqa: S108 - where the system keeps them


def test_without_memfd_arrays_travel_all_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    made = Pair(tmp_path, slots=2)
    arrays = [made.shown(value) for value in range(5)]
    assert [int(array.max()) for array in arrays] == [*range(5)]
    made.window.close()
    made.line.close()
    made.ring.close()
