"""Which display this process may use, and what of the environment its programs need to find it."""

from __future__ import annotations

import os
from pathlib import Path

from bridge.errors import DeviceMissing

__all__ = ["no_display", "variables", "wayland_only", "x11"]

_NAMES = ("DISPLAY", "XAUTHORITY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")


def variables(display: str | None = None) -> dict[str, str]:
    """Give what programs need to find the display, their environment being empty of it.

    Parameters
    ----------
    display : str or None
        The X display, where it is another than the environment's.
    """
    found = {name: os.environ[name] for name in _NAMES if os.environ.get(name)}
    cookies = Path(os.environ.get("HOME", "/nonexistent"), ".Xauthority")
    if "XAUTHORITY" not in found and cookies.is_file():
        found["XAUTHORITY"] = str(cookies)
    return found | ({"DISPLAY": display} if display else {})


def x11() -> str:
    """Name the X display of this process; empty if it has none."""
    return os.environ.get("DISPLAY", "")


def wayland_only() -> bool:
    """Tell whether there is a Wayland display and no X server beside it."""
    return bool(os.environ.get("WAYLAND_DISPLAY")) and not x11()


def no_display(subject: str) -> DeviceMissing:
    """Make the error for a process without a display."""
    return DeviceMissing(
        f"{subject}: there is no display (neither DISPLAY nor WAYLAND_DISPLAY is set); run it in a desktop session, "
        "or start an X server such as Xvfb and set DISPLAY"
    )
