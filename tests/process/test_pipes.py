"""FrameSource and FrameSink: whole frames or an error, whatever the program at the other end does."""

from __future__ import annotations

import gc
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bridge.errors import BridgeError, CorruptMedia, ToolFailed, ToolTimeout, TruncatedMedia
from bridge.media.nut import NutFraming
from bridge.media.pnm import PnmFraming
from bridge.process import spawning
from bridge.process.child import Child
from bridge.process.pipes import FrameSink, FrameSource
from tests.fakes import nut
from tests.process.machine import gone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bridge.media.framing import FrameHead
    from tests.fakes.programs import FakeMaker

_SIZE = 64 * 48 * 3


def _stream(count: int) -> tuple[list[bytes], list[bytes]]:
    """Give a NUT stream in pieces of one frame each (the first with the headers), and the frames' pixels."""
    writer = nut.Writer(width=64, height=48, time_base=Fraction(1, 25))
    pixels = [bytes([number]) * _SIZE for number in range(1, count + 1)]
    pieces = [writer.frame(nut.Frame(pts=number, pixels=frame)) for number, frame in enumerate(pixels)]
    pieces[0] = writer.header() + writer.syncpoint(0) + pieces[0]
    return pieces, pixels


def _source(program: Path, framing: Any = None, *, first: float = 20, stall: float = 20) -> FrameSource[FrameHead]:
    child = Child([str(program)], subject="film.mp4")
    return FrameSource(child, framing or NutFraming(), first=first, stall=stall)


def _next(source: FrameSource[FrameHead]) -> bytes | None:
    head = source.head()
    if head is None:
        return None
    frame = bytearray(head.size)
    source.fill(head, memoryview(frame))
    return bytes(frame)


def test_frames_come_whole_and_in_order(fake: FakeMaker) -> None:
    pieces, pixels = _stream(5)
    source = _source(fake(frames=pieces))
    assert [_next(source) for _ in range(6)] == [*pixels, None]
    assert source.frames == 5
    assert source.child.wait(20).ok


def test_a_frame_goes_into_the_arrays_own_memory(fake: FakeMaker) -> None:
    pieces, pixels = _stream(1)
    source = _source(fake(frames=pieces))
    head = source.head()
    assert head is not None
    image = np.empty((48, 64, 3), np.uint8)
    source.fill(head, image.data.cast("B"))
    assert image.tobytes() == pixels[0]
    source.child.close()


@pytest.mark.parametrize("size", [_SIZE - 1, _SIZE + 1])
def test_memory_of_another_size_is_refused(fake: FakeMaker, size: int) -> None:
    source = _source(fake(frames=_stream(1)[0]))
    head = source.head()
    assert head is not None
    with pytest.raises(ValueError, match="does not fit"):
        source.fill(head, memoryview(bytearray(size)))
    source.child.abort()


def test_half_a_frame_is_an_error_and_tells_how_many_were_whole(fake: FakeMaker) -> None:
    pieces, pixels = _stream(2)
    source = _source(fake(behaviour="half", frames=pieces))
    assert _next(source) == pixels[0]
    with pytest.raises(TruncatedMedia) as caught:
        _next(source)
    assert caught.value.got == 1
    source.child.close()


@pytest.mark.parametrize("cut", [1, 10, 24, 26, 40, 90])
def test_half_a_head_is_an_error(fake: FakeMaker, cut: int) -> None:
    source = _source(fake(frames=[_stream(1)[0][0][:cut]]))
    with pytest.raises(TruncatedMedia) as caught:
        _next(source)
    assert caught.value.got == 0
    source.child.close()


def test_a_program_that_lies_about_the_size_is_caught(fake: FakeMaker) -> None:
    source = _source(fake(behaviour="lies", frames=_stream(1)[0]))
    with pytest.raises(TruncatedMedia):
        _next(source)
    source.child.close()


def test_no_output_is_no_frame(fake: FakeMaker) -> None:
    source = _source(fake(behaviour="silent"))
    assert _next(source) is None
    assert source.frames == 0
    assert source.child.wait(20).ok  # which proves little: the caller counts


@pytest.mark.parametrize("framing", [NutFraming, PnmFraming])
def test_chatter_is_no_frame(fake: FakeMaker, framing: Callable[[], Any]) -> None:
    source = _source(fake(behaviour="chatters"), framing())
    with pytest.raises(CorruptMedia, match="did not send"):
        _next(source)
    source.child.abort()


def test_a_failure_after_whole_frames_keeps_them(fake: FakeMaker) -> None:
    pieces, pixels = _stream(2)
    source = _source(fake(behaviour="fails", frames=pieces))
    assert [_next(source) for _ in range(3)] == [*pixels, None]
    assert source.child.wait(20).code == 1


@pytest.mark.parametrize("number", [9, 11, 6])
def test_a_violent_death_is_seen(fake: FakeMaker, number: int) -> None:
    pieces, pixels = _stream(1)
    source = _source(fake(behaviour="dies", frames=pieces, signal=number))
    assert _next(source) == pixels[0]
    assert _next(source) is None
    assert source.child.wait(20).signal == number


def test_megabytes_of_complaints_block_nobody(fake: FakeMaker) -> None:
    pieces, pixels = _stream(3)
    source = _source(fake(behaviour="flood", frames=pieces, pieces=64))
    assert [_next(source) for _ in range(4)] == [*pixels, None]
    end = source.child.wait(20)
    assert end.ok
    assert len(end.stderr) < 90 << 10
    assert "bytes left out" in end.stderr


def test_the_first_frame_and_the_next_have_deadlines_of_their_own(fake: FakeMaker) -> None:
    pieces, pixels = _stream(1)
    source = _source(fake(behaviour="hang", frames=pieces), first=20, stall=0.3)
    assert _next(source) == pixels[0]
    begun = time.monotonic()
    with pytest.raises(ToolTimeout):
        _next(source)
    assert time.monotonic() - begun < 3
    assert gone(source.child.pid)
    source = _source(fake(behaviour="hang"), first=0.3, stall=60)
    with pytest.raises(ToolTimeout, match=r"film\.mp4"):
        _next(source)
    assert gone(source.child.pid)


def test_a_hang_inside_a_frame_is_ended(fake: FakeMaker) -> None:
    pieces, _ = _stream(1)
    source = _source(fake(behaviour="hang", frames=[pieces[0][:-1]]), first=20, stall=20)
    head = source.head()
    assert head is not None
    source._patience = 0.3
    with pytest.raises(ToolTimeout):
        source.fill(head, memoryview(bytearray(head.size)))
    assert gone(source.child.pid)


def test_a_grandchild_that_keeps_the_pipe_open_is_not_waited_for_forever(fake: FakeMaker, tmp_path: Path) -> None:
    pieces, pixels = _stream(1)
    note = tmp_path / "grandchild"
    source = _source(fake(behaviour="parent", frames=pieces, note=note), stall=0.5)
    assert _next(source) == pixels[0]
    if spawning.spawner_pid():  # which ends what the program has left, and with it the pipe
        assert _next(source) is None
    else:
        with pytest.raises(ToolTimeout):
            _next(source)
    assert gone(int(note.read_text()), within=2, zombie=True)


def test_a_source_that_is_dropped_half_read_leaves_nobody(fake: FakeMaker) -> None:
    source = _source(fake(behaviour="hang", frames=_stream(1)[0]))
    _next(source)
    pid = source.child.pid
    del source
    gc.collect()
    assert gone(pid)


# FrameSink


def test_frames_go_out_of_the_arrays_own_memory(fake: FakeMaker) -> None:
    image = np.zeros((480, 640, 3), np.uint8)
    with Child([str(fake(behaviour="eats"))], subject="out.mp4", feed=True) as child:
        sink = FrameSink(child, stall=20)
        for _ in range(5):
            sink.put(image.data)
        child.end_input()
        view = memoryview(bytearray(20))
        assert bytes(view[: child.read_into(view, 20)]) == b"4608000"
        assert child.wait(20).ok
    assert sink.frames == 5


def test_a_sink_that_takes_nothing_is_ended(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="stuffed"))], subject="out.mp4", feed=True)
    sink = FrameSink(child, stall=0.3)
    with pytest.raises(ToolTimeout, match=r"out\.mp4: .* took nothing"):
        sink.put(memoryview(bytes(4 << 20)))
    assert sink.frames == 0
    assert gone(child.pid)


@pytest.mark.parametrize("behaviour", ["picky", "silent", "dies", "fails"])
def test_a_sink_that_ends_early_is_a_failure(fake: FakeMaker, behaviour: str) -> None:
    child = Child([str(fake(behaviour=behaviour))], subject="out.mp4", feed=True)
    sink = FrameSink(child, stall=20)
    with pytest.raises(ToolFailed, match=r"out\.mp4: ffmpeg ended with"):
        sink.put(memoryview(bytes(64 << 20)))
    assert gone(child.pid)


def test_a_sink_that_complains_by_the_megabyte_does_not_block(fake: FakeMaker) -> None:
    child = Child([str(fake(behaviour="flood"))], subject="out.mp4", feed=True)
    with pytest.raises(BridgeError):
        FrameSink(child, stall=20).put(memoryview(bytes(64 << 20)))
    assert gone(child.pid)
