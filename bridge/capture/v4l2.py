"""Cameras of Linux, asked by the kernel's own calls (V4L2): no program is started, and no camera is either.

A device of the kernel is a camera here if it captures frames: cameras of USB have a second node for metadata, and other
nodes are for output, so that ``/dev/video1`` need not be the second camera.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.capture.devices import CaptureDevice, Mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["cameras"]

_NODES = Path("/sys/class/video4linux")
_QUERYCAP, _ENUM_FMT, _ENUM_SIZES, _ENUM_RATES = 0x80685600, 0xC0405602, 0xC02C564A, 0xC034564B
_CAPABILITY = struct.Struct("=16s32s32s3I12x")
_FORMAT = struct.Struct("=3I32s2I12x")
_SIZE = struct.Struct("=3I6I8x")
_RATE = struct.Struct("=5I6I8x")
_CAPTURE, _CAPTURE_PLANES, _STREAMING, _READ_WRITE, _HAS_OWN = 1, 0x1000, 0x4000000, 0x1000000, 0x80000000
_DISCRETE = 1
_MOST = 256  # entries of a list, for drivers that never end one

# The kernel's codes of pixel formats that FFmpeg takes from a camera -> FFmpeg's names (libavdevice/v4l2-common.c).
_NAMES = {
    "YUYV": "yuyv422", "UYVY": "uyvy422", "YU12": "yuv420p", "YV12": "yuv420p", "422P": "yuv422p", "411P": "yuv411p",
    "YUV9": "yuv410p", "NV12": "nv12", "RGB3": "rgb24", "BGR3": "bgr24", "BGR4": "bgr0", "XR24": "bgr0",
    "AR24": "bgra", "RGB4": "0rgb", "BX24": "0rgb", "BA24": "argb", "RGBP": "rgb565le", "RGBR": "rgb565be",
    "RGBO": "rgb555le", "RGBQ": "rgb555be", "GREY": "gray", "Y16 ": "gray16le", "MJPG": "mjpeg", "JPEG": "mjpeg",
    "H264": "h264", "MPG4": "mpeg4", "BA81": "bayer_bggr8", "GBRG": "bayer_gbrg8", "GRBG": "bayer_grbg8",
    "RGGB": "bayer_rggb8",
}  # fmt: skip


def cameras() -> list[CaptureDevice]:
    """List the devices that capture, in the order of their numbers."""
    nodes = sorted((int(match[1]), match[0]) for match in map(re.compile(r"video(\d+)").fullmatch, _names()) if match)
    found = [_camera(name) for _, name in nodes]
    return [_numbered(device, number) for number, device in enumerate(device for device in found if device)]


def _names() -> list[str]:
    with contextlib.suppress(OSError):
        return [path.name for path in _NODES.iterdir()]
    return []


def _numbered(device: CaptureDevice, number: int) -> CaptureDevice:
    from dataclasses import replace

    return replace(device, uri=f"<video{number}>")


def _camera(node: str) -> CaptureDevice | None:
    """Ask one node; None if it does not capture, or is gone."""
    path = f"/dev/{node}"
    name = _told(node, "name") or node
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EBUSY) or _told(node, "index") not in ("", "0"):
            return None
        note = f"it may not be opened: {os.strerror(error.errno)}; users of cameras are in the group video"
        return CaptureDevice(kind="camera", uri="", name=name, path=path, system="v4l2", note=note)
    try:
        card = _captures(descriptor)
        if card is None:
            return None
        modes = tuple(_modes(descriptor))
        return CaptureDevice(kind="camera", uri="", name=card or name, path=path, system="v4l2", modes=modes)
    finally:
        os.close(descriptor)


def _told(node: str, fact: str) -> str:
    with contextlib.suppress(OSError):
        return (_NODES / node / fact).read_text(errors="replace").strip()
    return ""


def _captures(descriptor: int) -> str | None:
    """Give the name of a device that captures frames."""
    told = _ask(descriptor, _QUERYCAP, bytes(_CAPABILITY.size))
    if told is None:
        return None
    _, card, _, _, whole, own = _CAPABILITY.unpack(told)
    can = own if whole & _HAS_OWN else whole
    if not can & (_CAPTURE | _CAPTURE_PLANES) or not can & (_STREAMING | _READ_WRITE):
        return None
    return str(card.split(b"\0")[0].decode("utf-8", "replace"))


def _modes(descriptor: int) -> Iterator[Mode]:
    for kind in (1, 9):  # of one plane and of several
        for told in _listed(descriptor, _ENUM_FMT, lambda at, kind=kind: _FORMAT.pack(at, kind, 0, b"", 0, 0)):  # type: ignore[misc] # mypy does not infer the default
            code = _FORMAT.unpack(told)[4]
            name = _NAMES.get(code.to_bytes(4, "little").decode("latin-1"))
            if name:
                yield from _sizes(descriptor, code, name)


def _sizes(descriptor: int, code: int, name: str) -> Iterator[Mode]:
    for told in _listed(descriptor, _ENUM_SIZES, lambda at: _SIZE.pack(at, code, *bytes(7))):
        _, _, kind, *sides = _SIZE.unpack(told)
        if kind == _DISCRETE:
            size = (sides[0], sides[1])
            yield Mode(pixelformat=name, size=size, fps=_rates(descriptor, code, size))
            continue
        size, least = (sides[1], sides[4]), (sides[0], sides[3])
        yield Mode(pixelformat=name, size=size, fps=_rates(descriptor, code, size), smallest=least)
        return  # a range has one entry


def _rates(descriptor: int, code: int, size: tuple[int, int]) -> tuple[float, ...]:
    """List the rates at a size: each, or the highest and the lowest of a range."""
    found: set[float] = set()
    for told in _listed(descriptor, _ENUM_RATES, lambda at: _RATE.pack(at, code, *size, *bytes(7))):
        _, _, _, _, kind, *times = _RATE.unpack(told)
        pairs = [times[:2]] if kind == _DISCRETE else [times[:2], times[2:4]]
        found |= {round(below / above, 3) for above, below in pairs if above}
        if kind != _DISCRETE:
            break
    return tuple(sorted(found, reverse=True))


def _listed(descriptor: int, call: int, question: Callable[[int], bytes]) -> Iterator[bytes]:
    """Ask for each entry of a list until there are no more."""
    for at in range(_MOST):
        told = _ask(descriptor, call, question(at))
        if told is None:
            return
        yield told


def _ask(descriptor: int, call: int, question: bytes) -> bytes | None:
    try:
        return fcntl.ioctl(descriptor, call, question)
    except OSError:
        return None
