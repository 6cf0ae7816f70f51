"""What ffmpeg prints of cameras on other systems, as recorded texts: there is no macOS and no Windows here."""

from __future__ import annotations

import struct

import pytest

from bridge.capture.listings import avfoundation, dshow, dshow_modes, running
from bridge.capture.x11 import place_of, sizes

_APPLE = """\
[AVFoundation indev @ 0x7f8b0a704a80] AVFoundation video devices:
[AVFoundation indev @ 0x7f8b0a704a80] [0] FaceTime HD Camera
[AVFoundation indev @ 0x7f8b0a704a80] [1] USB [2] Camera
[AVFoundation indev @ 0x7f8b0a704a80] [2] Capture screen 0
[AVFoundation indev @ 0x7f8b0a704a80] [3] Capture screen 1
[AVFoundation indev @ 0x7f8b0a704a80] AVFoundation audio devices:
[AVFoundation indev @ 0x7f8b0a704a80] [0] MacBook Pro Microphone
: Input/output error
"""
_DSHOW_OLD = """\
[dshow @ 000001d7c1b7e9c0] DirectShow video devices (some may be both video and audio devices)
[dshow @ 000001d7c1b7e9c0]  "Integrated Camera"
[dshow @ 000001d7c1b7e9c0]     Alternative name "@device_pnp_\\\\?\\usb#vid_04f2&pid_b604&mi_00#global"
[dshow @ 000001d7c1b7e9c0]  "Integrated Camera"
[dshow @ 000001d7c1b7e9c0]     Alternative name "@device_pnp_\\\\?\\usb#vid_04f2&pid_b604&mi_02#global"
[dshow @ 000001d7c1b7e9c0] DirectShow audio devices
[dshow @ 000001d7c1b7e9c0]  "Microphone (Realtek Audio)"
[dshow @ 000001d7c1b7e9c0]     Alternative name "@device_cm_{33D9A762}\\wave_{1F}"
dummy: Immediate exit requested
"""
_DSHOW_NEW = """\
[dshow @ 0000020f4f2f9c40] "Integrated Camera" (video)
[dshow @ 0000020f4f2f9c40]   Alternative name "@device_pnp_a"
[dshow @ 0000020f4f2f9c40] "OBS Virtual Camera" (none)
[dshow @ 0000020f4f2f9c40]   Alternative name "@device_sw_b"
[dshow @ 0000020f4f2f9c40] "HDMI (capture)" (video, audio)
[dshow @ 0000020f4f2f9c40]   Alternative name "@device_pnp_c"
[dshow @ 0000020f4f2f9c40] "Microphone" (audio)
[dshow @ 0000020f4f2f9c40]   Alternative name "@device_cm_d"
"""
_DSHOW_MODES = """\
[dshow @ 0000] DirectShow video device options (from video devices)
[dshow @ 0000]  Pin "Capture" (alternative pin name "0")
[dshow @ 0000]   vcodec=mjpeg  min s=1280x720 fps=30 max s=1280x720 fps=30
[dshow @ 0000]   vcodec=mjpeg  min s=1280x720 fps=30 max s=1280x720 fps=30 (pc, bt470bg/bt709/unknown, center)
[dshow @ 0000]   pixel_format=yuyv422  min s=640x480 fps=5 max s=640x480 fps=30.0003
[dshow @ 0000]   pixel_format=nv12  min s=160x120 fps=30 max s=1920x1080 fps=30
"""


def test_macos() -> None:
    cameras, screens = avfoundation(_APPLE)
    assert [(device.uri, device.name, device.path) for device in cameras] == [
        ("<video0>", "FaceTime HD Camera", "0"),
        ("<video1>", "USB [2] Camera", "1"),
    ]
    assert [(device.name, device.path, device.note) for device in screens] == [
        ("Capture screen 0", "2", ""),
        ("Capture screen 1", "3", "read it with display=1"),
    ]
    assert avfoundation("") == ([], [])


def test_windows_where_names_may_be_equal() -> None:
    found = dshow(_DSHOW_OLD)
    assert [(device.uri, device.name) for device in found] == [
        ("<video0>", "Integrated Camera"),
        ("<video1>", "Integrated Camera"),
    ]
    assert found[0].path.startswith("@device_pnp_")
    assert "mi_00" in found[0].path
    assert found[1].path != found[0].path
    assert dshow("") == []


def test_windows_of_newer_builds() -> None:
    assert [(device.name, device.path) for device in dshow(_DSHOW_NEW)] == [
        ("Integrated Camera", "@device_pnp_a"),
        ("HDMI (capture)", "@device_pnp_c"),
    ]


def test_modes_on_windows() -> None:
    mjpeg, yuyv, nv12 = dshow_modes(_DSHOW_MODES)
    assert (mjpeg.pixelformat, mjpeg.size, mjpeg.fps, mjpeg.smallest) == ("mjpeg", (1280, 720), (30.0,), None)
    assert (yuyv.pixelformat, yuyv.fps) == ("yuyv422", (30.0003, 5.0))
    assert (nv12.size, nv12.smallest) == ((1920, 1080), (160, 120))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "  Stream #0:0: Video: rawvideo (YUY2 / 0x32595559), yuyv422, 640x480, 30 fps, 30 tbr, 1000k tbn",
            ("yuyv422", "yuyv422", (640, 480), 30.0),
        ),
        (
            "  Stream #0:0: Video: mjpeg (Baseline), yuvj422p(pc, bt470bg/unknown/unknown), 1280x720, 29.97 fps",
            ("mjpeg", "yuvj422p", (1280, 720), 29.97),
        ),
        (
            "  Stream #0:0: Video: rawvideo (BGR[0] / 0x0524742), bgr0, 1920x1080, q=2-31, 1000 fps, 1k tbr, 1000k tbn",
            ("bgr0", "bgr0", (1920, 1080), 1000.0),
        ),
        ("  Stream #0:0: Video: rawvideo, bgra(pc, gbr/bt709), 100x80, 60 tbr", ("bgra", "bgra", (100, 80), 60.0)),
        ("nothing", None),
    ],
)  # fmt: skip
def test_the_mode_in_force(line: str, expected: tuple[object, ...] | None) -> None:
    found = running(f"Input #0, x, from 'y':\n{line}\nOutput #0, nut:\n  Stream #0:0: Video: rawvideo, rgb24, 1x1\n")
    if expected is None:
        assert found is None or found.size == (1, 1)
    else:
        assert found
        assert (found.pixelformat, found.pixels, found.size, found.fps) == expected


@pytest.mark.parametrize(
    ("name", "place"),
    [(":0", ":0.0"), (":12.3", ":12.3"), ("unix:0", ":0.0"), ("host.example:1", "host.example:1.0")],
)
def test_names_of_displays(name: str, place: str) -> None:
    assert place_of(name).name == place


@pytest.mark.parametrize("name", ["", "0", ":", ":x", "-i:0", ":0;rm"])
def test_what_names_no_display(name: str) -> None:
    with pytest.raises(ValueError, match="display"):
        place_of(name)


def test_sizes_of_several_screens() -> None:
    """As the protocol has it: a vendor of 5 bytes, one pixmap format, two screens, the first of two depths."""
    visual = bytes(24)
    first = bytes(20) + struct.pack("<HH", 1920, 1080) + bytes(15) + b"\2"
    first += struct.pack("<BxHxxxx", 24, 1) + visual + struct.pack("<BxHxxxx", 1, 0)
    second = bytes(20) + struct.pack("<HH", 800, 600) + bytes(15) + b"\0"
    body = bytes(16) + struct.pack("<HHBB", 5, 0, 2, 1) + bytes(10) + b"Xorg!" + bytes(3) + bytes(8) + first + second
    assert sizes(body) == [(1920, 1080), (800, 600)]
