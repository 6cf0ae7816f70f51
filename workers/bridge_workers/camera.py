"""The camera worker: one camera at a time, its newest frames for as many readers as there are."""

from __future__ import annotations

import threading
import time
from collections import deque
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.capture import argv
from bridge.capture.live import Live, captured_at
from bridge.errors import DeviceLost
from bridge.limits import Limits
from bridge.process.tools import toolbox
from bridge.remote.wire import Layout, Stamp

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

__all__ = ["Camera", "CameraFeed", "add_arguments", "make"]

_AGAIN, _WITHIN = 3, 60.0  # so often in so many seconds ffmpeg is started again, where somebody has killed it
_FRAMES_WERE_LOST = 1


class CameraFeed:
    """A camera that runs.

    Parameters
    ----------
    options : mapping
        ``system path subject waits``, and the wishes ``size fps pixelformat input_params``.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options = options
        self._over = threading.Event()
        self._starts: deque[float] = deque(maxlen=_AGAIN)
        self._live = self._started()
        width, height = self._live.mode.size
        self.layout = Layout(dtype=np.dtype("u1"), shape=(height, width, 3), pixels="rgb24")

    @property
    def description(self) -> dict[str, Any]:
        """The mode that is really in force, and who reads it."""
        mode = self._live.mode
        return {
            "size": list(mode.size),
            "fps": mode.fps,
            "pixelformat": mode.pixelformat,
            "source": str(toolbox().find("ffmpeg")),
            "asked": {name: self._options.get(name) for name in ("size", "fps", "pixelformat")},
        }

    def _started(self) -> Live:
        tool = toolbox().find("ffmpeg")
        options = self._options
        toolbox().abilities("ffmpeg").need("devices", options["system"], tool)
        size = options.get("size")
        wish = argv.Wish(
            size=(size[0], size[1]) if size else None,
            fps=Fraction(options["fps"]) if options.get("fps") else None,
            pixelformat=options.get("pixelformat") or "",
            input_params=tuple(options.get("input_params") or ()),
        )
        command = argv.camera(tool.path, tool.release, options["system"], options["path"], wish)
        waits = dict(zip(("first_frame", "stall"), options["waits"], strict=True))
        return Live(command, subject=options["subject"], limits=Limits(**waits))

    def fill(self, memory: memoryview) -> Stamp | None:
        """Wait for the next frame."""
        flags = 0
        while True:
            try:
                head = self._live.next()
                self._live.fill(head, memory)
            except DeviceLost:
                if self._over.is_set():
                    return None
                self._again()
                flags = _FRAMES_WERE_LOST
                continue
            base = head.time_base or Fraction(0)
            return Stamp(captured=captured_at(head), pts=head.pts, time_base=base, flags=flags)

    def _again(self) -> None:
        """Start ffmpeg again, where it was killed; what ended by itself has lost the camera, which is raised again."""
        now = time.monotonic()
        often = len(self._starts) == _AGAIN and now - self._starts[0] < _WITHIN
        if not self._live.killed or often:
            raise  # noqa: PLE0704 - called while the loss is handled
        self._starts.append(now)
        before = self._live.mode.size
        self._live = self._started()
        if self._live.mode.size != before:
            raise DeviceLost(
                f"{self._options['subject']}: it has another size than before, after its program was killed"
            )

    def close(self) -> None:
        """End it."""
        self._over.set()
        self._live.close()


class Camera:
    """The source of frames that `serve` runs."""

    def describe(self) -> Mapping[str, Any]:
        """Tell which systems' cameras it reads."""
        return {"systems": sorted(argv.CAMERAS)}

    def share(self, options: Mapping[str, Any]) -> str:
        """Have all readers of a camera share it; who wants it in another mode sees in which it is."""
        return f"{options['system']}:{options['path']}"

    def open(self, options: Mapping[str, Any]) -> CameraFeed:
        """Start a camera."""
        return CameraFeed(options)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Have none: readers say which camera they want."""
    del parser


def make(options: argparse.Namespace) -> Camera:
    """Make the worker's source. Called by the command line."""
    del options
    return Camera()
