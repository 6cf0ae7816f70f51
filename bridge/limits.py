"""Limits: how much a child may take and how long anyone waits; values only, applied elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DEFAULT", "Limits"]


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
    images_memory, volumes_memory : int
        Most bytes that `mimread` and `mvolread` gather (``memtest=True``).
    content : int
        Most bytes taken from a file object, raw bytes, or a member of an archive.
    http_connect, http_stall, http_total : float
        How long a server may take to answer, from one piece to the next, and in all.
    http_bytes : int
        Most bytes of a download.
    http_redirects : int
        How many redirects are followed.
    """

    pixels: int = 178_956_970
    first_frame: float = 15.0
    stall: float = 30.0
    still: float = 60.0
    finish: float = 600.0
    images_memory: int = 256_000_000
    volumes_memory: int = 1_000_000_000
    content: int = 1 << 30
    http_connect: float = 5.0
    http_stall: float = 10.0
    http_total: float = 60.0
    http_bytes: int = 1 << 30
    http_redirects: int = 5


DEFAULT = Limits()
