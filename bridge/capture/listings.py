"""What ffmpeg prints of cameras and screens on macOS and Windows, and of the mode that a camera is in. Pure.

The lists of macOS and Windows are tested on recorded texts only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from bridge.capture.devices import CaptureDevice, Mode

__all__ = ["Running", "avfoundation", "dshow", "dshow_modes", "running"]

_INDENTED = re.compile(r"^\[[^\]]*\] ?", re.MULTILINE)  # [dshow @ 0x55d0]
_APPLE = re.compile(r"^\[(\d+)\] (.*?)\s*$", re.MULTILINE)
_QUOTED = re.compile(r'^\s*"(.*)"(?: \((\w+(?:, \w+)*)\))?\s*$')
_OTHER_NAME = re.compile(r'^\s*Alternative name "(.*)"\s*$')
_DSHOW_MODE = re.compile(
    r"(?:pixel_format|vcodec)=(\S+)\s+min s=(\d+)x(\d+) fps=([\d.]+)\s+max s=(\d+)x(\d+) fps=([\d.]+)"
)
_STREAM = re.compile(
    r"Stream #0:\d+.*?: Video: (?P<codec>\w+)(?: \([^,]*\))*, (?P<pixels>\w+)(?:\([^)]*\))?, (?P<w>\d+)x(?P<h>\d+)"
    r"(?P<rest>[^\n]*)"
)
_RATE = re.compile(r"([\d.]+)(k?) (fps|tbr)")


def avfoundation(text: str) -> tuple[list[CaptureDevice], list[CaptureDevice]]:
    """Read ``ffmpeg -f avfoundation -list_devices true -i ""``: cameras and screens."""
    plain = _INDENTED.sub("", text).partition("AVFoundation audio devices")[0].partition("video devices")[2]
    cameras: list[CaptureDevice] = []
    screens: list[CaptureDevice] = []
    for number, name in _APPLE.findall(plain):
        if name.startswith("Capture screen"):
            note = "" if not screens else f"read it with display={len(screens)}"
            facts = {"name": name, "path": number, "system": "avfoundation", "note": note}
            screens.append(CaptureDevice(kind="screen", uri="<screen>", **facts))
        else:
            uri, system = f"<video{len(cameras)}>", "avfoundation"
            cameras.append(CaptureDevice(kind="camera", uri=uri, name=name, path=number, system=system))
    return cameras, screens


def dshow(text: str) -> list[CaptureDevice]:
    """Read ``ffmpeg -f dshow -list_devices true -i dummy``; names may be equal, so the other name is the path."""
    cameras: list[CaptureDevice] = []
    kind = name = ""
    for line in _INDENTED.sub("", text).splitlines():
        if "DirectShow video devices" in line or "DirectShow audio devices" in line:
            kind = "video" if "video" in line else "audio"
        elif other := _OTHER_NAME.match(line):
            if name:
                uri = f"<video{len(cameras)}>"
                cameras.append(CaptureDevice(kind="camera", uri=uri, name=name, path=other[1], system="dshow"))
            name = ""
        elif quoted := _QUOTED.match(line):
            name = quoted[1] if "video" in (quoted[2] or kind) else ""
    return cameras


def dshow_modes(text: str) -> tuple[Mode, ...]:
    """Read ``ffmpeg -f dshow -list_options true -i video=NAME``."""
    modes = []
    for name, low_width, low_height, low_fps, width, height, fps in _DSHOW_MODE.findall(text):
        size, least = (int(width), int(height)), (int(low_width), int(low_height))
        rates = tuple(sorted({float(fps), float(low_fps)}, reverse=True))
        modes.append(Mode(pixelformat=name, size=size, fps=rates, smallest=None if least == size else least))
    return tuple(dict.fromkeys(modes))


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """The mode that a device is really in, as ffmpeg tells it before the first frame.

    Attributes
    ----------
    pixelformat : str
        As a camera's modes have it: the pixel format, or the codec of compressed frames.
    pixels : str
        The pixel format that the decoder gives.
    size : tuple of int
        Width and height.
    fps : float or None
        The rate that the device says it has.
    """

    pixelformat: str
    pixels: str
    size: tuple[int, int]
    fps: float | None


def running(text: str) -> Running | None:
    """Read the line that ffmpeg prints of its input; None if it is not there yet."""
    match = _STREAM.search(text)
    if not match:
        return None
    rates = {kind: float(number) * (1000 if kilo else 1) for number, kilo, kind in _RATE.findall(match["rest"])}
    return Running(
        pixelformat=match["pixels"] if match["codec"] == "rawvideo" else match["codec"],
        pixels=match["pixels"],
        size=(int(match["w"]), int(match["h"])),
        fps=rates.get("fps", rates.get("tbr")),
    )
