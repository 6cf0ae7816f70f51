"""Limits: how much a child may take and how long anyone waits; values only, applied elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT", "Limits"]

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a call may cost.

    All times are seconds on the monotonic clock, all sizes bytes.

    Attributes
    ----------
    pixels : int
        Most pixels in one frame (twice Pillow's warning level by default).
    first_frame : float
        How long a program may take to its first frame, its start included.
    stall : float
        How long a program may take from one sign of life to the next while we wait for it.
    still : float
        How long reading or writing one picture, or one probe, may take in all.
    finish : float
        How long an encoder may take to end a file after its last frame: generous, since a slow disk or
        a busy machine must not cut a file short; when it is reached that is an error, never a short file.
    images_memory : int
        Most bytes that `mimread` gathers (``memtest=True``).
    """

    pixels: int = 178_956_970
    first_frame: float = 15.0
    stall: float = 30.0
    still: float = 60.0
    finish: float = 600.0
    images_memory: int = 256 * MIB


DEFAULT = Limits()
