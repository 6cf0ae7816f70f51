"""Cameras and screens as values: what each is called, and in which ways it gives pictures."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CaptureDevice", "Mode"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """One way in which a camera gives pictures.

    Attributes
    ----------
    pixelformat : str
        FFmpeg's name of the pixel format, or of the codec: ``"yuyv422"``, ``"mjpeg"``.
    size : tuple of int
        Width and height; of a range, the largest.
    fps : tuple of float
        The rates at that size, the highest first; empty where the system does not tell.
    smallest : tuple of int or None
        Of a range of sizes, the smallest.
    """

    pixelformat: str
    size: tuple[int, int]
    fps: tuple[float, ...] = ()
    smallest: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureDevice:
    """A camera or a screen of this machine.

    Attributes
    ----------
    kind : {"camera", "screen"}
        What it is.
    uri : str
        What `get_reader` takes: ``"<video0>"``, ``"<screen>"``.
    name : str
        As the system calls it.
    path : str
        What the program that reads it is given: ``"/dev/video0"``, a name, ``":0.0"``.
    system : str
        FFmpeg's name of the input that reads it: ``"v4l2"``, ``"x11grab"``.
    size : tuple of int or None
        Of a screen.
    modes : tuple of Mode
        Of a camera.
    note : str
        Why it tells no more than that.
    """

    kind: str
    uri: str
    name: str
    path: str
    system: str
    size: tuple[int, int] | None = None
    modes: tuple[Mode, ...] = ()
    note: str = ""
