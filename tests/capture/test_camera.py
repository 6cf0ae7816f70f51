"""A real camera, as the kernel has it: its driver `vivid` in a virtual machine that scripts/test-camera makes.

There, ``/dev/video0`` is a device for output, and the camera is ``/dev/video1``. Time is not that of a real machine:
what is looked at is order and content, never a rate.
"""

from __future__ import annotations

import re
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge import errors

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.camera, pytest.mark.timeout(900)]

_NODE = "/dev/video1"
_DRIVER = Path("/sys/bus/platform/drivers/vivid")
_PATIENCE = 300


@pytest.fixture(autouse=True)
def _patient() -> Iterator[None]:
    """An emulated machine is slow."""
    bridge.configure(first_frame=_PATIENCE, stall=_PATIENCE, zmq_lost=60, zmq_handshake=60)
    yield
    bridge.configure()


def _ffmpeg(ffmpeg: str, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    command = [ffmpeg, "-nostdin", "-hide_banner", "-f", "v4l2", *arguments]
    return subprocess.run(command, check=False, capture_output=True, timeout=_PATIENCE)


def test_it_is_listed(ffmpeg: str) -> None:
    (camera,) = [device for device in bridge.devices() if device.kind == "camera"]
    assert (camera.uri, camera.path, camera.name, camera.system) == ("<video0>", _NODE, "vivid", "v4l2")
    said = _ffmpeg(ffmpeg, "-list_formats", "all", "-i", _NODE).stderr.decode()
    listed = {
        (match[1], tuple(map(int, size.split("x"))))
        for match in re.finditer(r"(?:Raw|Compressed) *: +(\w+) : .* : ([\dx ]+)$", said, re.MULTILINE)
        for size in match[2].split()
        if match[1] != "Unsupported"
    }
    assert listed
    assert listed <= {(mode.pixelformat, mode.size) for mode in camera.modes}
    assert all(mode.fps and max(mode.fps) <= 120 for mode in camera.modes)


def test_frames_are_those_of_the_camera(ffmpeg: str) -> None:
    with bridge.get_reader("<video0>", size=(320, 180), pixelformat="yuyv422") as reader:
        told = reader.get_meta_data()
        frames = [reader.get_next_data() for _ in range(4)]
    assert (told["size"], told["pixelformat"], told["device"], told["name"]) == ((320, 180), "yuyv422", _NODE, "vivid")
    assert all(frame.shape == (180, 320, 3) for frame in frames)
    assert len({frame.tobytes() for frame in frames}) == 4  # the driver writes the time into each
    sequence = [frame.meta["sequence"] for frame in frames]
    assert sequence == sorted(set(sequence))
    mode = ("-input_format", "yuyv422", "-video_size", "320x180", "-i", _NODE)
    said = _ffmpeg(ffmpeg, *mode, "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-")
    other = np.frombuffer(said.stdout, np.uint8).reshape(180, 320, 3)
    same = (np.abs(frames[0].astype(int) - other.astype(int)) <= 1).all(axis=2)
    assert same[120:].mean() > 0.99  # below its words, the same bars


def test_the_mode_in_force_is_told_not_the_one_asked_for() -> None:
    """At this size the driver has its own rates, and takes the nearest."""
    (camera,) = [device for device in bridge.devices() if device.kind == "camera"]
    rates = {mode.fps for mode in camera.modes if (mode.pixelformat, mode.size) == ("yuyv422", (320, 180))}
    (rates_here,) = rates
    with bridge.get_reader("<video0>", size="320x180", fps=max(rates_here) + 100, pixelformat="yuyv422") as reader:
        fps = reader.get_meta_data()["fps"]
        assert any(abs(fps - rate) < 0.01 * rate for rate in rates_here)


def test_two_readers_on_one_camera_and_a_third_in_another_mode() -> None:
    with bridge.get_reader("<video0>", size=(320, 180)) as one, bridge.get_reader("<video0>") as other:
        for _ in range(2):
            assert one.get_next_data().shape == (180, 320, 3)
            assert other.get_next_data().shape == (180, 320, 3)
        with pytest.raises(errors.DeviceBusy, match="open already"):
            bridge.get_reader("<video0>", size=(640, 360))
        time.sleep(3)
        assert one.get_next_data().meta["missed"] > 0  # the newest, however long nobody looked


def test_another_program_has_it(ffmpeg: str) -> None:
    command = [ffmpeg, "-nostdin", "-v", "error", "-f", "v4l2", "-i", _NODE, "-f", "rawvideo", "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as holder:
        assert holder.stdout
        holder.stdout.read(1)
        with pytest.raises(errors.DeviceBusy, match="busy") as caught:
            bridge.get_reader("<video0>")
        assert isinstance(caught.value, OSError)
        holder.kill()
    assert bridge.imread("<video0>").shape[2] == 3


def test_there_is_no_second_one() -> None:
    with pytest.raises(errors.DeviceMissing, match="<video0> is vivid"):
        bridge.get_reader("<video1>")


def _plugged(what: str, device: str = "vivid.0") -> None:
    (_DRIVER / what).write_text(device)


def test_unplugged_and_plugged_in_again() -> None:
    with bridge.get_reader("<video0>", size=(320, 180)) as reader:
        reader.get_next_data()
        _plugged("unbind")
        try:
            with pytest.raises(errors.DeviceLost, match="<video0>") as caught:
                for _ in range(10_000):
                    reader.get_next_data()
            assert isinstance(caught.value, ConnectionError)
            assert [device.kind for device in bridge.devices() if device.kind == "camera"] == []
            with pytest.raises(errors.DeviceMissing):
                bridge.get_reader("<video0>")
        finally:
            _plugged("bind")
    with bridge.get_reader("<video0>", size=(320, 180)) as reader:
        assert reader.get_next_data().shape == (180, 320, 3)


def test_what_it_has_not_is_an_error() -> None:
    """A pixel format that no driver knows is refused by ffmpeg in its own words."""
    with pytest.raises(errors.BridgeError, match="<video0>"):
        bridge.get_reader("<video0>", pixelformat="nonsense")


def test_opened_and_closed_often() -> None:
    for _ in range(3):
        image: Any = bridge.imread("<video0>", size=(320, 180))
        assert image.any()
