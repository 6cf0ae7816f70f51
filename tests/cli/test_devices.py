"""``framebridge devices``: what is listed, as a table and as JSON."""

from __future__ import annotations

import json

import pytest

from bridge.capture import inventory
from bridge.capture.devices import CaptureDevice, Mode
from bridge.cli import main

_CAMERA = CaptureDevice(
    kind="camera",
    uri="<video0>",
    name="Cam\x1b[31m",
    path="/dev/video2",
    system="v4l2",
    modes=(
        Mode(pixelformat="yuyv422", size=(640, 480), fps=(30.0, 7.5)),
        Mode(pixelformat="mjpeg", size=(1920, 1080), smallest=(160, 120)),
    ),
)
_SCREEN = CaptureDevice(
    kind="screen", uri="<screen>", name="X screen 0", path=":0.0", system="x11grab", size=(800, 600)
)


@pytest.fixture
def _there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "cameras", lambda: [_CAMERA])
    monkeypatch.setattr(inventory, "screens", lambda: [_SCREEN])


@pytest.mark.usefixtures("_there")
def test_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices"]) == 0
    printed = capsys.readouterr().out
    for word in ("<video0>", "/dev/video2", "yuyv422", "640x480", "30 7.5", "160x120 to 1920x1080", ":0.0", "800x600"):
        assert word in printed
    assert "\x1b" not in printed


@pytest.mark.usefixtures("_there")
def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["devices", "--json"]) == 0
    camera, screen = json.loads(capsys.readouterr().out)
    assert camera["modes"][0] == {"pixelformat": "yuyv422", "size": [640, 480], "fps": [30.0, 7.5], "smallest": None}
    assert screen["size"] == [800, 600]


def test_none(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inventory, "cameras", list)
    monkeypatch.setattr(inventory, "screens", list)
    assert main(["devices"]) == 0
    assert "no camera" in capsys.readouterr().out
