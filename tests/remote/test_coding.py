"""Frames compressed for the way: one in, one out at once, and what the decoder is told is checked."""

from __future__ import annotations

import threading
from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from bridge import errors
from bridge.limits import Limits
from bridge.media.pixels import pixel_format
from bridge.remote.coding import ENCODINGS, Decoder
from bridge.remote.wire import NEEDS_OTHERS, Layout, Stamp
from bridge_workers.coded import CodedFeed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]


class Frames:
    """A feed whose frames a test hands over one by one."""

    def __init__(self, pixels: str, width: int, height: int) -> None:
        example = pixel_format(pixels).empty(width, height)
        self.layout = Layout(dtype=example.dtype, shape=example.shape, pixels=pixels)
        self.description: Mapping[str, Any] = {"size": [width, height]}
        self.closed = False
        self._frames: deque[np.ndarray[Any, Any] | Exception | None] = deque()
        self._come = threading.Semaphore(0)
        self._count = 0

    def put(self, frame: np.ndarray[Any, Any] | Exception | None) -> None:
        self._frames.append(frame)
        self._come.release()

    def fill(self, memory: memoryview) -> Stamp | None:
        if not self._come.acquire(timeout=30) or self.closed:
            return None
        frame = self._frames.popleft()
        if isinstance(frame, Exception):
            raise frame
        if frame is None:
            return None
        memory[:] = frame.tobytes()
        self._count += 1
        return Stamp(captured=1000 + self._count, pts=self._count, time_base=Fraction(1, 25))

    def close(self) -> None:
        self.closed = True
        self._come.release()


def pictures(pixels: str, width: int, height: int, count: int) -> Iterator[np.ndarray[Any, Any]]:
    """Smooth ones, which lossy codecs change little, each a little other than the one before."""
    format_ = pixel_format(pixels)
    y, x = np.mgrid[:height, :width]
    most = (1 << format_.depth) - 1
    for number in range(count):
        ramp = ((x + 2 * number) % width / width * 0.6 + y / height * 0.4) * most
        channels = [ramp, most - ramp, ramp[::-1], ramp][: format_.channels]
        image = np.stack(channels, -1) if len(channels) > 1 else ramp
        yield image.astype(format_.dtype)


def started(feed: Frames, name: str, first: np.ndarray[Any, Any]) -> CodedFeed:
    feed.put(first)
    return CodedFeed(feed, name)


@pytest.mark.parametrize(
    ("name", "pixels", "size", "most"),
    [
        ("mjpeg", "rgb24", (64, 48), 24),
        ("mjpeg", "gray", (35, 21), 12),
        ("h264", "rgb24", (64, 48), 24),
        ("h264", "rgb24", (65, 33), 24),
        ("ffv1", "rgb24", (65, 33), 0),
        ("ffv1", "rgba", (64, 48), 0),
        ("ffv1", "gray", (64, 48), 0),
        ("ffv1", "rgb48le", (64, 48), 0),
    ],
)
def test_each_frame_comes_out_before_the_next_goes_in(name: str, pixels: str, size: tuple[int, int], most: int) -> None:
    sent = list(pictures(pixels, *size, 12))
    feed = Frames(pixels, *size)
    coded = started(feed, name, sent[0])
    try:
        memory = memoryview(bytearray(coded.layout.nbytes))
        decoder = Decoder(coded.description, subject="a", limits=Limits())
        dependent = []
        for number, frame in enumerate(sent):
            if number:
                feed.put(frame)
            stamp = coded.fill(memory)
            assert stamp is not None
            assert (stamp.captured, stamp.pts) == (1001 + number, 1 + number)
            dependent.append(bool(stamp.flags & NEEDS_OTHERS))
            found = decoder.frame(memory[: coded.layout.nbytes])
            assert found.shape == frame.shape
            assert found.dtype == frame.dtype
            assert np.abs(found.astype(int) - frame).mean() <= most / 4
        decoder.close()
        assert not dependent[0]
        assert any(dependent) is ENCODINGS[name].dependent
        feed.put(None)
        assert coded.fill(memory) is None
    finally:
        coded.close()
    assert feed.closed


def test_the_error_of_the_source_comes_through() -> None:
    feed = Frames("rgb24", 32, 32)
    coded = started(feed, "mjpeg", next(pictures("rgb24", 32, 32, 1)))
    try:
        memory = memoryview(bytearray(coded.layout.nbytes))
        assert coded.fill(memory) is not None
        feed.put(errors.WorkerLost("the camera is gone"))
        with pytest.raises(errors.WorkerLost, match="the camera is gone"):
            coded.fill(memory)
    finally:
        coded.close()


@pytest.mark.parametrize("pixels", ["rgba", "rgb48le"])
def test_what_would_be_lost_is_refused(pixels: str) -> None:
    feed = Frames(pixels, 32, 32)
    with pytest.raises(errors.UnsupportedPixels, match="encode='ffv1' does not"):
        CodedFeed(feed, "h264")
    assert feed.closed


_TOLD = {"encode": "mjpeg", "config": "", "pixels": "rgb24", "size": [64, 48]}


@pytest.mark.parametrize(
    "change",
    [{"encode": "mp3"}, {"config": "xyz"}, {"pixels": "nothing"}, {"size": [64]}, {"size": [0, 4]}, {"size": None},
     {"size": [1 << 20, 1 << 20]}, {"size": ["a", "b"]}],
)  # fmt: skip
def test_a_description_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(errors.WireError):
        Decoder(_TOLD | change, subject="a", limits=Limits())


def test_a_packet_that_is_none_is_an_error_in_time() -> None:
    decoder = Decoder(_TOLD, subject="zmq+tcp://a:1", limits=Limits(first_frame=2.0, stall=2.0))
    with pytest.raises(errors.BridgeError, match=r"zmq\+tcp://a:1"):
        decoder.frame(b"nothing of the kind" * 20)
    decoder.close()
