"""Command lines of ffmpeg, by platform and by what a build has; nothing is run here."""

from __future__ import annotations

from fractions import Fraction

import pytest

from bridge.capture.argv import CAMERAS, CHANNELS, Grab, Wish, camera, screen, screen_input

_OLD, _NEW = (4, 4), (9, 0)
_WISH = Wish(size=(640, 480), fps=Fraction(30000, 1001), pixelformat="mjpeg", input_params=("-rtbufsize", "64M"))


def _has(command: tuple[str, ...], *options: str) -> bool:
    """Tell whether these stand there one behind the other."""
    return any(command[at : at + len(options)] == options for at in range(len(command)))


@pytest.mark.parametrize("system", sorted(CAMERAS))
@pytest.mark.parametrize("release", [_OLD, _NEW], ids=str)
def test_every_camera_gives_rgb_with_times_and_each_frame_once(system: str, release: tuple[int, int]) -> None:
    command = camera("/bin/ffmpeg", release, system, "device", Wish())
    assert command[0] == "/bin/ffmpeg"
    assert command[-1] == "pipe:1"
    for options in (("-pix_fmt", "rgb24"), ("-f", "nut"), ("-map", "0:v:0"), ("-copyts",), ("-nostdin",)):
        assert _has(command, *options)
    once = ("-vsync", "passthrough") if release == _OLD else ("-fps_mode", "passthrough")
    assert _has(command, *once)
    assert not _has(command, "-video_size")
    assert not _has(command, "-framerate")


def test_v4l2() -> None:
    command = camera("/bin/ffmpeg", _NEW, "v4l2", "/dev/video2", _WISH)
    assert _has(command, "-f", "v4l2", "-timestamps", "abs", "-input_format", "mjpeg", "-video_size", "640x480")
    assert _has(command, "-framerate", "30000/1001", "-rtbufsize", "64M", "-i", "/dev/video2")


def test_dshow_tells_codecs_from_pixels() -> None:
    command = camera("/bin/ffmpeg", _NEW, "dshow", "@device_pnp_a", _WISH)
    assert _has(command, "-vcodec", "mjpeg")
    assert _has(command, "-i", "video=@device_pnp_a")
    assert _has(camera("/bin/ffmpeg", _NEW, "dshow", "a", Wish(pixelformat="nv12")), "-pixel_format", "nv12")


def test_avfoundation_takes_no_sound() -> None:
    command = camera("/bin/ffmpeg", _NEW, "avfoundation", "1", Wish(pixelformat="uyvy422"))
    assert _has(command, "-pixel_format", "uyvy422")
    assert _has(command, "-i", "1:none")


def test_the_stand_in_comes_in_its_own_time() -> None:
    command = camera("/bin/ffmpeg", _NEW, "lavfi", "testsrc2=s=320x240", Wish(size=(64, 48), fps=Fraction(10)))
    assert _has(command, "-re", "-f", "lavfi", "-i", "testsrc2=s=320x240,scale=64:48,fps=10")


def test_x11grab() -> None:
    command = screen("/bin/ffmpeg", _OLD, "x11grab", Grab(display=":0.0"))
    assert _has(command, "-f", "x11grab", "-draw_mouse", "0")
    assert _has(command, "-i", ":0.0+0,0")
    assert _has(command, "-c:v", "copy")
    assert not _has(command, "-video_size")
    command = screen("/bin/ffmpeg", _NEW, "x11grab", Grab(display=":1.0", region=(3, 4, 50, 60), cursor=True))
    assert _has(command, "-draw_mouse", "1")
    assert _has(command, "-video_size", "50x60", "-i", ":1.0+3,4")
    assert _has(screen("/bin/ffmpeg", _OLD, "x11grab", Grab(display=":0.0"), converted=True), "-pix_fmt", "rgb24")


def test_a_meter_is_a_second_output() -> None:
    command = screen("/bin/ffmpeg", _OLD, "x11grab", Grab(display=":0.0"), meter=7)
    assert command[-1] == "pipe:7"
    assert _has(command, "pipe:1", "-map", "0:v:0")


def test_queues_are_short_where_they_can_be() -> None:
    """Each frame in a queue is one that was grabbed before it was asked for."""
    assert not _has(screen("/bin/ffmpeg", (5, 1), "x11grab", Grab(display=":0.0")), "-thread_queue_size", "1")
    assert _has(screen("/bin/ffmpeg", (6, 0), "x11grab", Grab(display=":0.0")), "-thread_queue_size", "1")


def test_screens_of_windows() -> None:
    command = screen("/bin/ffmpeg", _NEW, "gdigrab", Grab(display="desktop", region=(3, 4, 50, 60)))
    assert _has(command, "-offset_x", "3", "-offset_y", "4", "-video_size", "50x60", "-i", "desktop")
    graph = (
        "ddagrab=output_idx=1:draw_mouse=0:framerate=60:offset_x=3:offset_y=4:video_size=50x60,hwdownload,format=bgra"
    )
    command = screen("/bin/ffmpeg", _NEW, "ddagrab", Grab(display="1", region=(3, 4, 50, 60)))
    assert _has(command, "-f", "lavfi", "-i", graph)
    assert _has(command, "-pix_fmt", "rgb24")


def test_screens_of_macos() -> None:
    command = screen("/bin/ffmpeg", _NEW, "avfoundation", Grab(display="2", region=(3, 4, 50, 60)))
    assert _has(command, "-i", "2:none")
    assert _has(command, "-vf", "crop=50:60:3:4", "-pix_fmt", "rgb24")


@pytest.mark.parametrize(
    ("platform", "devices", "filters", "chosen"),
    [
        ("linux", {"x11grab", "kmsgrab"}, (), "x11grab"),
        ("linux", {"v4l2"}, (), ""),
        ("freebsd14", {"x11grab"}, (), "x11grab"),
        ("darwin", {"avfoundation"}, (), "avfoundation"),
        ("win32", {"gdigrab", "dshow"}, {"ddagrab", "scale"}, "ddagrab"),
        ("win32", {"gdigrab", "dshow"}, {"scale"}, "gdigrab"),
        ("win32", {"dshow"}, (), ""),
    ],
)
def test_a_screen_is_grabbed_by_what_the_build_has(
    platform: str, devices: set[str], filters: set[str], chosen: str
) -> None:
    assert screen_input(platform, devices, filters) == chosen


def test_orders_of_channels_lose_none() -> None:
    for name, (depth, channels) in CHANNELS.items():
        assert len(set(channels)) == 3
        assert max(channels) < depth == (3 if name.endswith("24") else 4)
        letters = name.removesuffix("24")
        assert "".join(letters[channel] for channel in channels) == "rgb"
