"""Cameras and screens as they are published: what a reader of theirs gives, on the machine that has them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge import get_reader
from bridge.errors import DeviceLost, UnsupportedPixels
from bridge.remote.wire import Layout, Stamp

if TYPE_CHECKING:
    import argparse
    from collections.abc import Hashable, Mapping

    from bridge.core.format import Reader

__all__ = ["LiveFeed", "LiveSource", "add_arguments", "make"]

_SCREEN = "<screen>"
_RATE = 25.0  # of a screen, which has none of its own
_FRAMES_WERE_LOST = 1
_OPTIONS = {
    "size": "WIDTHxHEIGHT of a camera's frames",
    "pixelformat": "what a camera shall send, as ffmpeg calls it",
    "display": "of a screen, as X calls it",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare what the command line has for choosing what is published."""
    parser.add_argument("--device", help="<video0>, <video1>, ...: which camera; by default the first")
    parser.add_argument("--fps", type=float, help="pictures a second")
    parser.add_argument("--region", help="LEFT,TOP,WIDTH,HEIGHT of a screen")
    for name, text in _OPTIONS.items():
        parser.add_argument(f"--{name}", help=text)


def make(options: argparse.Namespace) -> LiveSource:
    """Make the source of a command line."""
    given = {name: getattr(options, name) for name in (*_OPTIONS, "fps") if getattr(options, name) is not None}
    if options.region is not None:
        given["region"] = tuple(map(int, options.region.split(",")))
    if options.kind == "screen":
        given.setdefault("fps", _RATE)
        return LiveSource(_SCREEN, given)
    return LiveSource(options.device or "<video0>", given)


class LiveSource:
    """A camera or a screen of this machine; all readers share it.

    Parameters
    ----------
    uri : str
        As `bridge.get_reader` takes it.
    options : mapping
        Keywords of its reader.
    """

    def __init__(self, uri: str, options: Mapping[str, Any]) -> None:
        self._uri, self._options = uri, dict(options)

    def describe(self) -> Mapping[str, Any]:
        """Tell what it is."""
        return {"frames": True, "uri": self._uri}

    def share(self, options: Mapping[str, Any]) -> Hashable:
        """Give the one key."""
        del options
        return self._uri

    def open(self, options: Mapping[str, Any]) -> LiveFeed:
        """Open its reader."""
        del options
        return LiveFeed(get_reader(self._uri, **self._options))


class LiveFeed:
    """A reader at work.

    Parameters
    ----------
    reader : Reader
        Of a camera or a screen; it is the feed's from here on.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        try:
            self._next: np.ndarray[Any, Any] | None = reader.get_next_data()
            image = np.asarray(self._next)
            self.layout = Layout(dtype=image.dtype, shape=image.shape, pixels=_pixels(image))
            told = reader.get_meta_data()
        except BaseException:
            reader.close()
            raise
        self.description = {"size": [image.shape[1], image.shape[0]], "fps": told.get("fps"), "name": told.get("name")}

    def fill(self, memory: memoryview) -> Stamp | None:
        """Wait for a frame, and copy it into memory."""
        image, self._next = self._next, None
        frame: Any = self._reader.get_next_data() if image is None else image
        if frame.shape != self.layout.shape or frame.dtype != self.layout.dtype:
            raise DeviceLost(f"{self._reader.request.name} has changed its size, from {self.layout.shape[:2]}")
        np.frombuffer(memory, frame.dtype).reshape(frame.shape)[...] = frame
        lost = frame.meta.get("lost") or frame.meta.get("missed")
        captured = round(frame.meta["captured"] * 1e9) - (time.time_ns() - time.monotonic_ns())
        return Stamp(captured=captured, flags=_FRAMES_WERE_LOST if lost else 0)

    def close(self) -> None:
        """End it."""
        self._reader.close()


def _pixels(image: np.ndarray[Any, Any]) -> str:
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3:
        raise UnsupportedPixels(f"frames of {image.dtype} {image.shape} are not published")
    return "rgb24"
