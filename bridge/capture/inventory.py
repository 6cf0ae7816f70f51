"""Which cameras and screens this machine has; each system is asked in its own way."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from bridge.capture import asked, v4l2, x11
from bridge.errors import DeviceMissing

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.capture.devices import CaptureDevice

__all__ = ["camera", "cameras", "devices", "screens"]


def devices() -> list[CaptureDevice]:
    """List all, cameras first."""
    return [*cameras(), *screens()]


def cameras() -> list[CaptureDevice]:
    """List the cameras."""
    return _WAYS.get(sys.platform, _WAYS["linux"])[0]()


def screens() -> list[CaptureDevice]:
    """List the screens; none where no display can be reached."""
    return _WAYS.get(sys.platform, _WAYS["linux"])[1]()


def camera(number: int) -> CaptureDevice:
    """Find a camera by its number.

    Raises
    ------
    DeviceMissing
        If there are not as many.
    """
    found = cameras()
    if number < len(found):
        return found[number]
    names = ", ".join(f"{device.uri} is {device.name}" for device in found) or "there is none on this machine"
    raise DeviceMissing(f"<video{number}>: there is no such camera: {names} (`framebridge devices` lists them)")


_WAYS: dict[str, tuple[Callable[[], list[CaptureDevice]], Callable[[], list[CaptureDevice]]]] = {
    "linux": (v4l2.cameras, x11.screens),
    "darwin": (asked.macos_cameras, asked.macos_screens),
    "win32": (asked.windows_cameras, asked.windows_screens),
}
