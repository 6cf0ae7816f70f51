"""Command lines of ffmpeg for cameras and screens, by what the build can do (``-devices``, ``-filters``). Pure.

Frames come as NUT, whose times are those of the capture where the input tells them. What is tested against a real
device is ``v4l2`` and ``x11grab``; the command lines of other systems follow FFmpeg's documentation of its devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from fractions import Fraction

__all__ = ["CAMERAS", "CHANNELS", "Grab", "Wish", "camera", "screen", "screen_input"]

# Where the red, green and blue byte of a pixel stand in what screens give: these are put in order here, which is
# quicker than to have ffmpeg do it and to wait for two frames more in its queues.
CHANNELS = {
    "bgr0": (4, (2, 1, 0)), "bgra": (4, (2, 1, 0)), "rgb0": (4, (0, 1, 2)), "rgba": (4, (0, 1, 2)),
    "0rgb": (4, (1, 2, 3)), "argb": (4, (1, 2, 3)), "0bgr": (4, (3, 2, 1)), "abgr": (4, (3, 2, 1)),
    "rgb24": (3, (0, 1, 2)), "bgr24": (3, (2, 1, 0)),
}  # fmt: skip

# 4096 bytes for each frame, made of a corner of it, which costs nothing.
_METER = ("-map", "0:v:0", "-vf", "crop=min(iw\\,64):min(ih\\,64),scale=64:64:flags=neighbor,format=gray",
          "-c:v", "rawvideo", "-vsync", "passthrough", "-f", "rawvideo", "-flush_packets", "1")  # fmt: skip
_CODECS = frozenset(("mjpeg", "h264", "hevc", "mpeg4"))
_AT_ONCE = "1000"  # frames a second: a screen is grabbed when somebody asks, and the pipe holds ffmpeg up


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How a camera shall be.

    Attributes
    ----------
    size : tuple of int or None
        Width and height.
    fps : Fraction or None
        Frames a second.
    pixelformat : str
        FFmpeg's name of what the camera sends, a pixel format or a codec; empty for what it likes.
    input_params : tuple of str
        Further options of the input.
    """

    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    pixelformat: str = ""
    input_params: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Grab:
    """What of which screen.

    Attributes
    ----------
    display : str
        As the input names it: ``":0.0"``, ``"desktop"``, a number.
    region : tuple of int or None
        Left, top, width and height; None for all of it.
    cursor : bool
        Whether the pointer is drawn.
    """

    display: str
    region: tuple[int, int, int, int] | None = None
    cursor: bool = False


def camera(program: str, release: tuple[int, int], system: str, path: str, wish: Wish) -> tuple[str, ...]:
    """Give the command that reads a camera, as RGB.

    Parameters
    ----------
    program : str
        The path of ffmpeg.
    release : tuple of int
        Its release.
    system : str
        The input, one of `CAMERAS`.
    path : str
        What it calls the camera.
    wish : Wish
        How the camera shall be.
    """
    source = CAMERAS[system](path, wish)
    passing = ("-fps_mode", "passthrough") if release >= (5, 1) else ("-vsync", "passthrough")
    return (
        *_begin(program),
        *source,
        *("-map", "0:v:0", "-pix_fmt", "rgb24", "-c:v", "rawvideo", *passing),
        *_end(release),
    )


def screen(
    program: str,
    release: tuple[int, int],
    system: str,
    grab: Grab,
    *,
    converted: bool = False,
    meter: int | None = None,
) -> tuple[str, ...]:
    """Give the command that grabs a screen again and again, as its pixels are.

    Parameters
    ----------
    program, release
        As for `camera`.
    system : str
        The input, as `screen_input` chooses it.
    grab : Grab
        What of which screen.
    converted : bool
        Have ffmpeg make RGB of it: for pixels that are not of whole bytes.
    meter : int or None
        The descriptor of `bridge.capture.live.Meter` that gets a small picture for each frame.
    """
    source = _SCREENS[system](grab)
    crop = ("-vf", "crop={2}:{3}:{0}:{1}".format(*grab.region)) if grab.region and system == "avfoundation" else ()
    coded = ("-pix_fmt", "rgb24", "-c:v", "rawvideo") if converted or crop or system == "ddagrab" else ("-c:v", "copy")
    frames = (*_begin(program), "-probesize", "32", *source, "-map", "0:v:0", *crop, *coded, *_end(release))
    return frames if meter is None else (*frames, *_METER, f"pipe:{meter}")


def screen_input(platform: str, devices: Collection[str], filters: Collection[str]) -> str:
    """Choose how a build of ffmpeg grabs the screen on a platform; empty if it cannot.

    Parameters
    ----------
    platform : str
        As `sys.platform` has it.
    devices, filters : collection of str
        What the build has.
    """
    if platform == "win32":
        return next((name for name in ("ddagrab", "gdigrab") if name in (*devices, *filters)), "")
    wanted = "avfoundation" if platform == "darwin" else "x11grab"
    return wanted if wanted in devices else ""


def _begin(program: str) -> tuple[str, ...]:
    return (program, "-nostdin", "-hide_banner", "-nostats", "-loglevel", "info")


def _end(release: tuple[int, int]) -> tuple[str, ...]:
    short = ("-thread_queue_size", "1") if release >= (6, 0) else ()  # each frame in a queue is an older one
    return ("-copyts", *short, "-f", "nut", "-flush_packets", "1", "pipe:1")


def _sized(wish: Wish) -> tuple[str, ...]:
    size = ("-video_size", "{}x{}".format(*wish.size)) if wish.size else ()
    return (*size, *(("-framerate", str(wish.fps)) if wish.fps else ()), *wish.input_params)


def _v4l2(path: str, wish: Wish) -> tuple[str, ...]:
    sent = ("-input_format", wish.pixelformat) if wish.pixelformat else ()
    return ("-f", "v4l2", "-timestamps", "abs", *sent, *_sized(wish), "-i", path)


def _dshow(path: str, wish: Wish) -> tuple[str, ...]:
    option = "-vcodec" if wish.pixelformat in _CODECS else "-pixel_format"
    sent = (option, wish.pixelformat) if wish.pixelformat else ()
    return ("-f", "dshow", "-use_wallclock_as_timestamps", "1", *sent, *_sized(wish), "-i", f"video={path}")


def _avfoundation(path: str, wish: Wish) -> tuple[str, ...]:
    sent = ("-pixel_format", wish.pixelformat) if wish.pixelformat else ()
    wall = ("-use_wallclock_as_timestamps", "1")
    return ("-f", "avfoundation", *wall, *sent, *_sized(wish), "-i", f"{path}:none")


def _lavfi(path: str, wish: Wish) -> tuple[str, ...]:
    """Read a generated film as if it were a camera: a stand-in, for machines that have none."""
    size = ",scale={}:{}".format(*wish.size) if wish.size else ""
    rate = f",fps={wish.fps}" if wish.fps else ""
    pixels = f",format={wish.pixelformat}" if wish.pixelformat else ""
    return ("-re", "-f", "lavfi", *wish.input_params, "-i", path + size + rate + pixels)


def _x11grab(grab: Grab) -> tuple[str, ...]:
    left, top, *size = grab.region or (0, 0)
    sized = ("-video_size", "{}x{}".format(*size)) if size else ()
    pointer = ("-draw_mouse", str(int(grab.cursor)))
    return ("-f", "x11grab", *pointer, "-framerate", _AT_ONCE, *sized, "-i", f"{grab.display}+{left},{top}")


def _gdigrab(grab: Grab) -> tuple[str, ...]:
    left, top, *size = grab.region or (0, 0)
    place = ("-offset_x", str(left), "-offset_y", str(top), "-video_size", "{}x{}".format(*size)) if size else ()
    pointer = ("-draw_mouse", str(int(grab.cursor)))
    return ("-f", "gdigrab", *pointer, "-framerate", _AT_ONCE, *place, "-i", grab.display)


def _ddagrab(grab: Grab) -> tuple[str, ...]:
    left, top, *size = grab.region or (0, 0)
    place = ":offset_x={}:offset_y={}:video_size={}x{}".format(left, top, *size) if size else ""
    number = grab.display if grab.display.isdigit() else "0"
    graph = f"ddagrab=output_idx={number}:draw_mouse={int(grab.cursor)}:framerate=60{place},hwdownload,format=bgra"
    return ("-f", "lavfi", "-i", graph)


def _apple_screen(grab: Grab) -> tuple[str, ...]:
    pointer = ("-capture_cursor", str(int(grab.cursor)))
    wall = ("-use_wallclock_as_timestamps", "1")
    return ("-f", "avfoundation", *wall, *pointer, "-framerate", "60", "-i", f"{grab.display}:none")


CAMERAS: dict[str, Callable[[str, Wish], tuple[str, ...]]] = {
    "v4l2": _v4l2,
    "dshow": _dshow,
    "avfoundation": _avfoundation,
    "lavfi": _lavfi,
}
_SCREENS: dict[str, Callable[[Grab], tuple[str, ...]]] = {
    "x11grab": _x11grab,
    "gdigrab": _gdigrab,
    "ddagrab": _ddagrab,
    "avfoundation": _apple_screen,
}
