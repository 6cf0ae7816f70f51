"""Cameras without a camera: a generated film that comes in its own time stands in for one.

It is honest for the worker, its protocol and its pacing. What is true of devices only (modes, busy, unplugging) is in
`test_camera`, which scripts/test-camera runs against a real one of the kernel's.
"""

from __future__ import annotations

import math
import os
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

import bridge
from bridge import errors
from bridge.capture import camera, hosts
from bridge.capture.devices import CaptureDevice

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

# The number of each frame stands in it, in 12 bits of 8x8 pixels.
_NUMBERED = "color=c=black:s=96x8:r={rate}{ends},format=gray,geq=lum='if(mod(floor(N/pow(2,floor(X/8))),2),235,16)'"


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``stand_in()`` has ``<video0>`` be a generated film; so many frames a second, for so long."""

    def begin(rate: int = 50, ends: float | None = None) -> None:
        graph = _NUMBERED.format(rate=rate, ends=f":d={ends}" if ends else "")
        device = CaptureDevice(kind="camera", uri="<video0>", name="stand-in", path=graph, system="lavfi")
        monkeypatch.setattr(camera, "camera", lambda _number: device)

    return begin


def _number(frame: np.ndarray[Any, Any]) -> int:
    return sum(1 << bit for bit in range(12) if frame[4, 8 * bit + 4, 0] > 128)


def _workers(name: str) -> list[psutil.Process]:
    found = [child for child in psutil.Process().children(recursive=True) if name in child.cmdline()]
    return sorted(found, key=lambda child: child.pid)


def test_frames_one_after_the_other(stand_in: Callable[..., None]) -> None:
    stand_in()
    with bridge.get_reader("<video0>") as reader:
        assert reader.get_length() == math.inf
        frames = [frame for frame, _ in zip(reader, range(6), strict=False)]
        assert [frame.meta["index"] for frame in frames] == list(range(6))
        assert all(frame.shape == (8, 96, 3) and frame.dtype == np.uint8 and frame.flags.writeable for frame in frames)
        numbers = [_number(frame) for frame in frames]
        assert numbers == sorted(set(numbers))
        for frame, before in zip(frames[1:], numbers[:-1], strict=True):
            assert _number(frame) - before == frame.meta["missed"] + 1
        times = [frame.meta["time"] for frame in frames]
        assert times == sorted(times)
        assert abs(frames[0].meta["captured"] - time.time_ns() / 1e9) < 30
        told = reader.get_meta_data()
        assert (told["size"], told["fps"], told["name"], told["nframes"]) == ((96, 8), 50.0, "stand-in", math.inf)
        assert reader.info.video.width == 96


def test_a_slow_reader_gets_the_newest_and_is_told_what_it_missed(stand_in: Callable[..., None]) -> None:
    stand_in(rate=100)
    with bridge.get_reader("<video0>") as reader:
        first = reader.get_next_data()
        time.sleep(0.5)
        second = reader.get_next_data()
        assert second.meta["missed"] >= 20
        assert _number(second) - _number(first) == second.meta["missed"] + 1
        assert (first.meta["index"], second.meta["index"]) == (0, 1)


def test_what_has_passed_is_not_given_again(stand_in: Callable[..., None]) -> None:
    stand_in()
    with bridge.get_reader("<video0>") as reader:
        third = reader.get_data(2)
        assert third.meta["index"] == 2
        assert np.array_equal(reader.get_data(2), third)
        with pytest.raises(errors.NoSuchFrame, match="live"):
            reader.get_data(0)
        assert reader.get_next_data().meta["index"] == 3


def test_one_picture(stand_in: Callable[..., None]) -> None:
    stand_in()
    assert bridge.imread("<video0>").shape == (8, 96, 3)
    assert not _workers("camera")


def test_options_reach_the_camera(stand_in: Callable[..., None]) -> None:
    stand_in()
    with bridge.get_reader("<video0>", size="64x32", fps=10, pixelformat="yuv420p") as reader:
        told = reader.get_meta_data()
        assert (told["size"], told["fps"]) == ((64, 32), 10.0)
        assert told["pixelformat"] in ("yuv420p", "wrapped_avframe")  # as builds before and from 6.0 call it
        assert reader.get_next_data().shape == (32, 64, 3)


def test_two_readers_share_one_camera(stand_in: Callable[..., None]) -> None:
    stand_in()
    with bridge.get_reader("<video0>") as one:
        one.get_next_data()
        with bridge.get_reader("<video0>", size=(96, 8)) as other:
            assert len(_workers("camera")) == 1
            assert len(_workers("lavfi")) == 1
            numbers = [_number(reader.get_next_data()) for reader in (one, other, one, other)]
            assert numbers[2] > numbers[0]
            assert numbers[3] > numbers[1]
        assert one.get_next_data().shape == (8, 96, 3)
        with pytest.raises(errors.DeviceBusy, match=r"open already, with size .96, 8."):
            bridge.get_reader("<video0>", size=(32, 8))
        assert one.get_next_data().shape == (8, 96, 3)
    assert not _workers("camera")


def test_a_film_that_ends_was_a_camera_that_is_lost(stand_in: Callable[..., None]) -> None:
    stand_in(rate=15, ends=2)
    seen = 0
    with bridge.get_reader("<video0>") as reader:
        with pytest.raises(errors.DeviceLost, match="<video0>: it gives no more frames") as caught:
            for _ in reader:
                seen += 1
        assert isinstance(caught.value, ConnectionError)
        assert 1 <= seen <= 30
        with pytest.raises(errors.DeviceLost):
            reader.get_next_data()


def test_a_killed_ffmpeg_is_started_again(stand_in: Callable[..., None]) -> None:
    stand_in()
    with bridge.get_reader("<video0>") as reader:
        reader.get_next_data()
        (program,) = _workers("lavfi")
        program.kill()
        frames = [reader.get_next_data() for _ in range(4)]
        assert any(frame.meta.get("lost") for frame in frames)
        assert _workers("lavfi")[0].pid != program.pid


def test_a_killed_worker_is_started_again_within_a_limit(stand_in: Callable[..., None]) -> None:
    stand_in()
    with bridge.get_reader("<video0>") as reader:
        reader.get_next_data()
        (host,) = hosts._hosts.cameras.values()
        host.supervisor._restarts = 2
        for _ in range(2):
            os.kill(_pid(), signal.SIGKILL)
            assert reader.get_next_data().shape == (8, 96, 3)
        os.kill(_pid(), signal.SIGKILL)
        with pytest.raises(errors.WorkerLost, match="died"):
            reader.get_next_data()


def _pid() -> int:
    (host,) = hosts._hosts.cameras.values()
    assert host.supervisor.pid
    return host.supervisor.pid


def test_closing_ends_whoever_waits(stand_in: Callable[..., None]) -> None:
    stand_in(rate=1)
    reader = bridge.get_reader("<video0>")
    reader.get_next_data()
    caught: list[BaseException] = []

    def wait() -> None:
        try:
            for _ in range(20):
                reader.get_next_data()
        except BaseException as error:  # noqa: BLE001 - handed over to the test
            caught.append(error)

    thread = threading.Thread(target=wait)
    thread.start()
    reader.close()
    thread.join(10)
    assert not thread.is_alive()
    assert isinstance(caught[0], errors.Closed)


def test_no_such_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.capture import inventory

    monkeypatch.setattr(inventory, "cameras", list)
    with pytest.raises(errors.DeviceMissing, match="<video3>: there is no such camera"):
        bridge.get_reader("<video3>")


@pytest.mark.parametrize(
    "options", [{"size": "large"}, {"fps": -1}, {"fps": "quick"}, {"pixelformat": "-i"}, {"loop": 3}], ids=str
)
def test_what_makes_no_sense(options: dict[str, Any], stand_in: Callable[..., None]) -> None:
    stand_in()
    with pytest.raises(ValueError, match=next(iter(options))):
        bridge.get_reader("<video0>", **options)


def test_a_camera_that_does_not_open(stand_in: Callable[..., None], monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in()
    device = CaptureDevice(kind="camera", uri="<video0>", name="none", path="nonsense=x", system="lavfi")
    monkeypatch.setattr(camera, "camera", lambda _number: device)
    with pytest.raises(errors.BridgeError, match=r"<video0>: .*nonsense"):
        bridge.get_reader("<video0>")
    assert not _workers("camera")


def test_opening_and_closing_leaves_nothing(stand_in: Callable[..., None]) -> None:
    """Here a few times; a thousand times it was done by hand."""
    stand_in()
    with bridge.get_reader("<video0>") as held:
        held.get_next_data()
        before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - as cheap as can be
        for _ in range(20):
            with bridge.get_reader("<video0>") as reader:
                reader.get_next_data()
        assert len(os.listdir("/proc/self/fd")) <= before + 1  # noqa: PTH208 - as cheap as can be
        assert len(_workers("lavfi")) == 1
