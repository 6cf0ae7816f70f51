"""Cameras and screens of macOS and Windows, of which ffmpeg has to be asked. Its output is read in `listings`."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bridge.capture.listings import avfoundation, dshow, dshow_modes
from bridge.process.child import run
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from bridge.capture.devices import CaptureDevice

__all__ = ["macos_cameras", "macos_screens", "windows_cameras", "windows_screens"]

_PATIENCE = 20.0  # seconds to open all drivers of cameras


def _said(*options: str) -> str:
    """Give what ffmpeg says; that it ends with an error is its way to list devices."""
    command = [toolbox().find("ffmpeg").path, "-nostdin", "-hide_banner", *options]
    return run(command, subject="listing cameras and screens", seconds=_PATIENCE).exit.stderr


def _apple() -> tuple[list[CaptureDevice], list[CaptureDevice]]:
    return avfoundation(_said("-f", "avfoundation", "-list_devices", "true", "-i", ""))


def macos_cameras() -> list[CaptureDevice]:
    """List the cameras of macOS; it tells no modes without starting them."""
    return _apple()[0]


def macos_screens() -> list[CaptureDevice]:
    """List the screens of macOS."""
    return _apple()[1]


def windows_cameras() -> list[CaptureDevice]:
    """List the cameras of Windows, each asked for its modes."""
    found = dshow(_said("-f", "dshow", "-list_devices", "true", "-i", "dummy"))
    options = ("-f", "dshow", "-list_options", "true", "-i")
    return [replace(device, modes=dshow_modes(_said(*options, f"video={device.path}"))) for device in found]


def windows_screens() -> list[CaptureDevice]:
    """Give the desktop, which is all screens of Windows together."""
    from bridge.capture.devices import CaptureDevice

    return [CaptureDevice(kind="screen", uri="<screen>", name="desktop", path="desktop", system="gdigrab")]
