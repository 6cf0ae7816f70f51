"""Cameras as a Format: ``get_reader("<video0>")``, over a worker that all readers of a camera share."""

from __future__ import annotations

import contextlib
import math
import sys
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bridge.capture.hosts import CameraHost, camera_host, connected
from bridge.capture.inventory import camera
from bridge.core.format import Format, Reader
from bridge.core.keywords import switch
from bridge.core.uri import Device
from bridge.errors import BridgeError, DeviceBusy, DeviceLost, NoSuchFrame, WorkerLost
from bridge.media.info import MediaInfo, VideoStream
from bridge.media.portion import read_size
from bridge.process.tools import install_hint, toolbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.core.format import Found
    from bridge.core.request import Request
    from bridge.remote.client import Client
    from bridge.remote.stream import Picture, Stream

__all__ = ["CameraFormat", "CameraReader", "LiveReader"]


class LiveReader(Reader):
    """What cameras and screens have in common: pictures come in the order in which time passes."""

    _position = 0  # how many pictures were given
    _last: Found | None = None

    def _length(self) -> float:
        return math.inf

    def _data(self, index: int) -> Found:
        if self._last is not None and index == self._position - 1:
            return self._last
        if index < self._position:
            raise NoSuchFrame(
                f"{self.request.name} is live: picture {index} has passed, {self._position} is the next; "
                "keep pictures that are needed again"
            )
        while self._position <= index:
            image, meta = self._next_picture()
            self._last = image, {"index": self._position, **meta}
            self._position += 1
        assert self._last is not None  # noqa: S101 - it was just set
        return self._last

    def _next_picture(self) -> Found:
        """Wait for the next picture; give it and its metadata. Written by each of them."""
        raise NotImplementedError


class CameraReader(LiveReader):
    """Reads a camera: each picture is the newest that there is when it is asked for.

    Parameters
    ----------
    size : tuple of int or str
        Width and height, ``(640, 480)`` or ``"640x480"``; `bridge.devices` lists those that the camera has.
    fps : float
        Pictures a second.
    pixelformat : str
        FFmpeg's name of what the camera shall send: ``"yuyv422"``, ``"mjpeg"``, ... What comes out is RGB.
    input_params : sequence of str
        Further options of ffmpeg for the camera.
    loop, print_info : bool
        As imageio has them: a camera has no end to begin again from; what is in force can be printed.

    Notes
    -----
    Drivers may give another size or rate than is asked for: ``get_meta_data()`` has the ``size``, ``fps`` and
    ``pixelformat`` that are really in force. All readers of a camera in this process share it; who asks for another
    mode than the one that it is in meanwhile gets `DeviceBusy`.

    A reader that is slower than the camera misses pictures: the metadata of each has ``missed``, how many came between
    it and the one before. ``captured`` is when it was taken, in seconds since 1970, ``time`` in seconds since the first
    picture that this reader was given.

    When the camera is unplugged, or stops, that is a `DeviceLost`. When its worker dies, another one is started, and
    the next picture comes from that, up to three times a minute.
    """

    _host: CameraHost | None = None
    _client: Client | None = None
    _stream: Stream | None = None
    _error: BridgeError | None = None
    _begun: int | None = None

    def _open(
        self,
        *,
        size: Any = None,
        fps: float | Fraction | None = None,
        pixelformat: str | None = None,
        input_params: Sequence[str] | None = None,
        loop: bool = False,
        print_info: bool = False,
        **kwargs: Any,
    ) -> None:
        super()._open(**kwargs)
        switch("loop", loop)
        device = self.request.resource
        assert isinstance(device, Device)  # noqa: S101 - `can_read` has seen it
        wanted = read_size(size)
        self._wish: dict[str, Any] = {
            "size": list(wanted) if wanted else None,
            "fps": _rate(fps),
            "pixelformat": _word(pixelformat),
            "input_params": [str(option) for option in input_params or ()],
        }
        toolbox().find("ffmpeg")
        self._camera = camera(int(device.name.removeprefix("video")))
        self._host = camera_host(f"{self._camera.system}:{self._camera.path}")
        self._start()
        if switch("print_info", print_info):
            sys.stdout.write(f"{self._camera.name}: {self._meta(None)}\n")

    def _start(self) -> None:
        """Connect to the worker, which opens the camera if nobody has it open yet."""
        limits = self.request.limits
        options = {"system": self._camera.system, "path": self._camera.path, "subject": self.request.name, **self._wish}
        options["waits"] = [limits.first_frame, limits.stall]
        self._stream = self._opened(options, limits.first_frame + limits.stall)
        self._told = self._stream.description
        self._check_mode(self._told)

    def _opened(self, options: Mapping[str, Any], seconds: float) -> Stream:
        """Have the worker open the camera; once more where it dies meanwhile."""
        assert self._host is not None  # noqa: S101 - `_open` has joined it
        self._client = connected(self._host.supervisor)
        try:
            return self._client.open(options, copy=True, seconds=seconds)
        except WorkerLost:
            self._drop()
            self._client = connected(self._host.supervisor)
            return self._client.open(options, copy=True, seconds=seconds)

    def _check_mode(self, told: Mapping[str, Any]) -> None:
        """See that a camera which others had open before is in the mode that is wanted here."""
        for name, really in (("size", told["size"]), ("fps", _rate(told["fps"])), ("pixelformat", told["pixelformat"])):
            wish = self._wish[name]
            if wish and wish not in (told["asked"][name], really):
                raise DeviceBusy(
                    f"{self.request.name} is open already, with {name} {told[name]}, not {wish}: close its other "
                    "readers first, or leave that out"
                )

    def _next_picture(self) -> Found:
        while True:
            try:
                return self._found(self._received())
            except WorkerLost:
                self._drop()
                self._check_open()
                self._start()  # raises once it has died too often

    def _received(self) -> Picture:
        if self._error is not None:
            raise self._error
        assert self._stream is not None  # noqa: S101 - `_start` has opened it
        limits = self.request.limits
        try:
            picture = self._stream.read(limits.first_frame + limits.stall)
        except DeviceLost as error:
            self._error = error
            raise
        if picture is None:
            self._error = DeviceLost(f"{self.request.name}: its worker has ended the camera")
            raise self._error
        return picture

    def _found(self, picture: Picture) -> Found:
        assert self._client is not None  # noqa: S101 - there is a picture
        captured = picture.stamp.captured
        self._begun = captured if self._begun is None else self._begun
        wall = captured + self._client.facts["wall"]
        times = {"captured": wall / 1e9, "time": (captured - self._begun) / 1e9}
        lost = {"lost": True} if picture.stamp.flags & 1 else {}
        return picture.array, {"sequence": picture.sequence, "missed": picture.missed, **times, **lost}

    def _meta(self, index: int | None) -> dict[str, Any]:
        if index is not None:
            return self._data(index)[1]
        return {
            "plugin": "ffmpeg",
            "format": self._camera.system,
            "device": self._camera.path,
            "name": self._camera.name,
            "size": tuple(self._told["size"]),
            "source_size": tuple(self._told["size"]),
            "fps": self._told["fps"],
            "pixelformat": self._told["pixelformat"],
            "nframes": math.inf,
            "duration": None,
            "source": self._told["source"],
        }

    def _info(self) -> MediaInfo:
        meta = self._meta(None)
        width, height = meta["size"]
        rate = Fraction(meta["fps"]).limit_denominator(1001) if meta["fps"] else None
        video = VideoStream(
            index=0, codec="rawvideo", width=width, height=height, pixel_format=meta["pixelformat"], fps=rate
        )
        return MediaInfo(uri=self.request.name, format=self._camera.system, streams=(video,), source=meta["source"])

    def _drop(self) -> None:
        client, self._client, self._stream = self._client, None, None
        if client is not None:
            client.close()

    def _close(self) -> None:
        self._last = None
        try:
            self._drop()
        finally:
            host, self._host = self._host, None
            if host is not None:
                host.leave()


def _rate(fps: Any) -> str:
    """Read a rate; empty for none."""
    if fps is None:
        return ""
    with contextlib.suppress(TypeError, ValueError, ZeroDivisionError, OverflowError):
        rate = Fraction(fps).limit_denominator(1001)
        if rate > 0:
            return str(rate)
    raise ValueError(f"fps is a number above 0, not {fps!r}")


def _word(pixelformat: Any) -> str:
    """Read the name of a pixel format; empty for none."""
    if pixelformat is not None and not (isinstance(pixelformat, str) and pixelformat.replace("_", "").isalnum()):
        raise ValueError(f"pixelformat is FFmpeg's name of one, as 'yuyv422', not {pixelformat!r}")
    return str(pixelformat or "")


class CameraFormat(Format):
    """Cameras: ``get_reader("<video0>")`` for the first one, as `bridge.devices` lists them."""

    name = "CAMERA"
    description = "cameras, live"
    modes = "iI"
    program = "ffmpeg"
    animated = True
    reader = CameraReader

    def can_read(self, request: Request) -> bool:
        """Take cameras."""
        return isinstance(request.resource, Device) and request.resource.name.startswith("video")

    def can_write(self, request: Request) -> bool:
        """Take nothing."""
        del request
        return False

    def missing(self, *, writing: bool = False) -> str:
        """Tell what this machine lacks for cameras; whether there is one, `bridge.devices` tells."""
        del writing
        return lacks_input({"darwin": "avfoundation", "win32": "dshow"}.get(sys.platform, "v4l2"))


def lacks_input(name: str) -> str:
    """Tell why there is no ffmpeg with an input device of that name; empty if there is one."""
    if toolbox().get("ffmpeg") is None:
        return f"ffmpeg is not installed: {install_hint('ffmpeg')}"
    abilities = toolbox().abilities("ffmpeg")
    if name in abilities.devices or name in abilities.filters:
        return ""
    return f"this ffmpeg is built without the input device {name or 'for the screen'}"
