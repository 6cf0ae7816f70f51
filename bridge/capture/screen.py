"""Screens as a Format: ``imread("<screen>")`` gives a picture that was taken after the call, a reader many of them."""

from __future__ import annotations

import operator
import sys
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.capture.argv import CHANNELS, screen_input
from bridge.capture.camera import LiveReader, lacks_input
from bridge.capture.display import no_display, variables, wayland_only, x11
from bridge.capture.hosts import screen_host
from bridge.capture.x11 import place_of, screen_sizes
from bridge.core.format import Format
from bridge.core.keywords import switch
from bridge.core.uri import Device
from bridge.errors import DeviceMissing, MissingCodec
from bridge.media.info import MediaInfo, VideoStream
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.core.format import Found
    from bridge.core.request import Request

__all__ = ["ScreenFormat", "ScreenReader"]

_WAYLAND = (
    "<screen>: this is a Wayland session without an X server, and ffmpeg cannot grab it. What would work: a session "
    "with Xwayland (set DISPLAY; it shows the windows of X programs only), an X11 session, or the desktop's own tool: "
    "`grim` (sway and others), `gnome-screenshot -f FILE`, `spectacle -bno FILE`, and imread of that file"
)


class ScreenReader(LiveReader):
    """Reads the screen: each picture is taken after it was asked for, and has the exact pixels.

    Parameters
    ----------
    region : tuple of int
        The part that is wanted: left, top, width and height.
    display : str or int
        Another screen than the session's own: the name of an X display, ``":1"`` or ``":0.1"``; on macOS and Windows
        its number.
    cursor : bool
        Draw the pointer; False by default.
    fps : float
        At most so many pictures a second: a picture is waited for until its time has come.

    Notes
    -----
    The first picture starts a worker, which then stays ready, for a minute after the last picture. ``captured`` in the
    metadata of a picture is when it was taken, in seconds since 1970.
    """

    def _open(
        self,
        *,
        region: Sequence[int] | None = None,
        display: str | int | None = None,
        cursor: bool = False,
        fps: float | None = None,
        **kwargs: Any,
    ) -> None:
        super()._open(**kwargs)
        if fps is not None and not fps > 0:
            raise ValueError(f"fps is a number above 0, not {fps!r}")
        self._period = 1 / fps if fps else 0.0
        self._due = 0.0
        self._begun: float | None = None
        part = _read_region(region)
        waits = [self.request.limits.first_frame, self.request.limits.stall]
        self._grab = {**_input(display, part), "region": part, "cursor": switch("cursor", cursor), "waits": waits}

    def _next_picture(self) -> Found:
        if self._period:
            time.sleep(max(0.0, self._due - time.monotonic()))
        reply = screen_host().grab(self._grab, self.request.limits)
        assert reply.array is not None  # noqa: S101 - the worker answers with a picture
        self._due = reply.body["captured"] / 1e9 + self._period
        captured = (reply.body["captured"] + time.time_ns() - time.monotonic_ns()) / 1e9
        self._begun = captured if self._begun is None else self._begun
        self._source = str(reply.body["source"])
        return _in_order(reply.array, reply.pixels), {"captured": captured, "time": captured - self._begun}

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is not None:
            return self._data(index)[1]
        image = self._data(max(0, self._position - 1))[0]
        facts: dict[str, Any] = {"plugin": "ffmpeg", "format": self._grab["system"], "device": self._grab["display"]}
        return facts | {"size": (image.shape[1], image.shape[0]), "source": self._source}

    def _info(self) -> MediaInfo:
        meta = self._meta(None)
        width, height = meta["size"]
        rate = Fraction(1 / self._period).limit_denominator(1001) if self._period else None
        video = VideoStream(index=0, codec="rawvideo", width=width, height=height, pixel_format="rgb24", fps=rate)
        return MediaInfo(uri=self.request.name, format=meta["format"], streams=(video,), source=meta["source"])

    def _close(self) -> None:
        self._last = None


def _in_order(pixels: np.ndarray[Any, Any], name: str) -> np.ndarray[Any, Any]:
    """Give red, green and blue, in an array of its own: one channel after the other, which numpy is quick at."""
    _, channels = CHANNELS[name]
    image = np.empty((*pixels.shape[:2], 3), np.uint8)
    for target, channel in enumerate(channels):
        image[..., target] = pixels[..., channel]
    return image


def _read_region(region: Sequence[int] | None) -> tuple[int, int, int, int] | None:
    if region is None:
        return None
    try:
        left, top, width, height = map(operator.index, region)
    except (TypeError, ValueError):
        left = top = width = height = -1
    if min(left, top) < 0 or min(width, height) < 1:
        raise ValueError(f"region is (left, top, width, height) in pixels, not {region!r}")
    return left, top, width, height


def _input(display: str | int | None, region: tuple[int, int, int, int] | None) -> dict[str, Any]:
    """Tell by which input which screen is grabbed, and what it needs to be found.

    Raises
    ------
    DeviceMissing, MissingCodec
        If there is no screen, or no way to grab it.
    ValueError
        If the region is not on it.
    """
    tool = toolbox().find("ffmpeg")
    system = _system()
    if not system:
        raise MissingCodec(f"<screen>: {tool} is built without an input device for the screen of this system")
    if system != "x11grab":
        return {"system": system, "display": _number(display, system), "variables": {}}
    name = _x_display(display)
    place = place_of(name)
    if region is not None:
        _check_region(region, screen_sizes(place), place.screen)
    return {"system": system, "display": place.name, "variables": variables(name)}


def _system() -> str:
    abilities = toolbox().abilities("ffmpeg")
    return screen_input(sys.platform, abilities.devices, abilities.filters)


def _x_display(display: str | int | None) -> str:
    name = f":{display}" if isinstance(display, int) else display or x11()
    if not isinstance(name, str):
        raise ValueError(f"display is the name of an X display, as ':0' or ':1.0', not {display!r}")  # noqa: TRY004 - a value of the user's
    if name:
        return name
    if wayland_only():
        raise DeviceMissing(_WAYLAND)
    raise no_display("<screen>")


def _number(display: str | int | None, system: str) -> str:
    """Give what the inputs of macOS and Windows call a screen."""
    from bridge.capture.inventory import screens

    if system != "avfoundation":
        return "desktop" if display is None else str(display)
    found = screens()
    wanted = int(display or 0)
    if wanted >= len(found):
        raise DeviceMissing(f"<screen>: there are {len(found)} screens, and none with the number {wanted}")
    return found[wanted].path


def _check_region(region: tuple[int, int, int, int], sizes: list[tuple[int, int]], number: int) -> None:
    if number >= len(sizes):
        raise DeviceMissing(f"<screen>: the X server has {len(sizes)} screens, and none with the number {number}")
    (left, top, width, height), (most_wide, most_high) = region, sizes[number]
    if left + width > most_wide or top + height > most_high:
        raise ValueError(f"the region {region} is not on the screen, which has {most_wide}x{most_high} pixels")


class ScreenFormat(Format):
    """The screen: ``imread("<screen>")``, ``get_reader("<screen>")``."""

    name = "SCREEN"
    description = "what is on the screen"
    modes = "iI"
    program = "ffmpeg"
    animated = True
    reader = ScreenReader

    def can_read(self, request: Request) -> bool:
        """Take the screen."""
        return request.resource == Device(name="screen")

    def can_write(self, request: Request) -> bool:
        """Take nothing."""
        del request
        return False

    def missing(self, *, writing: bool = False) -> str:
        """Tell what this machine lacks for it; whether there is a display shows when it is read."""
        del writing
        return lacks_input("" if toolbox().get("ffmpeg") is None else _system())
