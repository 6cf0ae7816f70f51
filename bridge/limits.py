"""Limits: what a call may cost and whom it trusts; values only, applied elsewhere."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

__all__ = ["TRUST", "Limits", "configure", "in_force", "of_call"]

TRUST = ("trusted", "normal", "untrusted")


class _OfTheLevel:
    """Stands for a number that is not given."""

    def __repr__(self) -> str:
        return "..."


_LEVEL: Any = _OfTheLevel()
_GIB = 1 << 30
_CORES = os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a call may cost, and whom it trusts.

    Numbers that are not given are those of the level of trust. All times are seconds on the monotonic clock, all
    sizes bytes; None is no limit.

    Attributes
    ----------
    trust : {"normal", "trusted", "untrusted"}
        ``"trusted"`` is for your own files and your own options: everything that the programs can read, SVG and PDF
        included, and no box. ``"normal"`` reads pictures and films by their content alone, in a boxed child where
        the system has such boxes. ``"untrusted"`` is for what strangers upload: a short list of formats, smaller
        numbers, a box or nothing, public addresses only.
    sandbox : {"off", "best-effort", "required"}
        Whether children are boxed (Landlock and seccomp), and whether nothing is read where that is not possible.
    pixels, side : int
        Most pixels in one frame (normally twice Pillow's warning level), and in one row or column.
    frames : int or None
        Most frames that are given one after the other.
    frames_at_once : int or None
        Most pictures that `mimread` gathers.
    images_memory, volumes_memory : int
        Most bytes that `mimread` and `mvolread` gather (``memtest=True``).
    content : int
        Most bytes taken from a file object, raw bytes, or a member of an archive.
    still_content : int or None
        Most bytes of the file of a still picture.
    archive_ratio, archive_entries : int
        How many times larger than packed a member may be, and how many members there may be.
    first_frame : float
        How long a program may take to its first frame, its start included.
    stall : float
        How long a program may take from one sign of life to the next while we wait for it.
    still : float
        How long reading or writing one picture, or one probe, may take in all.
    finish : float
        How long an encoder may take to end a file after its last frame: generous, since a slow disk or
        a busy machine must not cut a file short; when it is reached that is an error, never a short file.
    cpu, still_cpu : int or None
        CPU time of a child that reads a film, and of one that reads a picture.
    memory, magick_space : int or None
        Address space of a child that reads: of ffmpeg, and of ImageMagick.
    job_memory : int or None
        The same of an ffmpeg that reads and writes film: encoders take much of it.
    magick_memory : int
        What ImageMagick may keep pixels in: 8 bytes a pixel, and nothing of it on disk.
    magick_pictures : int
        Most pictures in one file that ImageMagick reads.
    file_size : int or None
        Largest file that a child may write.
    open_files : int or None
        Most files that a child may have open.
    processes : int
        How many calls may have children at work at once.
    http_connect, http_stall, http_total : float
        How long a server may take to answer, from one piece to the next, and in all.
    http_bytes : int
        Most bytes of a download.
    http_redirects : int
        How many redirects are followed.
    http_rate : int or None
        Bytes a second that a server must keep up.
    http_public : bool
        Whether only public addresses are asked.
    zmq_message : int
        Largest message between a worker and its readers; pictures in shared memory are none.
    zmq_queue : int
        Frames that may be on their way to a reader that wants all of them, and most messages that wait in a socket.
    zmq_beat, zmq_lost : float
        How often a worker and its reader show that they live, and how long none of them may be silent.
    zmq_handshake : float
        How long introducing themselves may take.
    zmq_linger : float
        How long a closed connection tries to deliver what it has not sent yet.

    Examples
    --------
    >>> Limits(trust="untrusted").pixels
    50000000
    >>> Limits(trust="untrusted", pixels=10**8).side
    16384
    """

    trust: str = "normal"
    sandbox: str = _LEVEL
    pixels: int = _LEVEL
    side: int = _LEVEL
    frames: int | None = _LEVEL
    frames_at_once: int | None = _LEVEL
    images_memory: int = _LEVEL
    volumes_memory: int = _LEVEL
    content: int = _LEVEL
    still_content: int | None = _LEVEL
    archive_ratio: int = _LEVEL
    archive_entries: int = _LEVEL
    first_frame: float = _LEVEL
    stall: float = _LEVEL
    still: float = _LEVEL
    finish: float = _LEVEL
    cpu: int | None = _LEVEL
    still_cpu: int | None = _LEVEL
    memory: int | None = _LEVEL
    magick_space: int | None = _LEVEL
    job_memory: int | None = _LEVEL
    magick_memory: int = _LEVEL
    magick_pictures: int = _LEVEL
    file_size: int | None = _LEVEL
    open_files: int | None = _LEVEL
    processes: int = _LEVEL
    http_connect: float = _LEVEL
    http_stall: float = _LEVEL
    http_total: float = _LEVEL
    http_bytes: int = _LEVEL
    http_redirects: int = _LEVEL
    http_rate: int | None = _LEVEL
    http_public: bool = _LEVEL
    zmq_message: int = _LEVEL
    zmq_queue: int = _LEVEL
    zmq_beat: float = _LEVEL
    zmq_lost: float = _LEVEL
    zmq_handshake: float = _LEVEL
    zmq_linger: float = _LEVEL

    def __post_init__(self) -> None:
        """Fill in the level's numbers, and refuse what is no number."""
        if self.trust not in TRUST:
            raise ValueError(f"trust must be one of {', '.join(map(repr, TRUST))}, not {self.trust!r}")
        column = TRUST.index(self.trust)
        for name, row in _NUMBERS.items():
            given = getattr(self, name)
            if given is _LEVEL:
                object.__setattr__(self, name, row[column])
            elif not ((given is None and None in row) or (isinstance(given, int | float) and given >= 0)):
                raise ValueError(f"the limit {name} must be a number of at least 0, not {given!r}")
        if self.sandbox is _LEVEL:
            object.__setattr__(self, "sandbox", _SANDBOX[self.trust])
        elif self.sandbox not in _SANDBOX.values():
            raise ValueError(f"sandbox must be one of {', '.join(map(repr, _SANDBOX.values()))}, not {self.sandbox!r}")


_SANDBOX = {"trusted": "off", "normal": "best-effort", "untrusted": "required"}

_NUMBERS: dict[str, tuple[Any, Any, Any]] = {
    # name: trusted, normal, untrusted
    "pixels": (178_956_970, 178_956_970, 50_000_000),
    "side": (1 << 31, 65_535, 16_384),
    "frames": (None, None, 100_000),
    "frames_at_once": (None, None, 1000),
    "images_memory": (256_000_000, 256_000_000, 256_000_000),
    "volumes_memory": (1_000_000_000, 1_000_000_000, 1_000_000_000),
    "content": (_GIB, _GIB, 512 << 20),
    "still_content": (None, None, 64 << 20),
    "archive_ratio": (1000, 1000, 200),
    "archive_entries": (65_535, 65_535, 4096),
    "first_frame": (15.0, 15.0, 10.0),
    "stall": (30.0, 30.0, 10.0),
    "still": (60.0, 60.0, 20.0),
    "finish": (600.0, 600.0, 600.0),
    "cpu": (None, None, 60),
    "still_cpu": (None, 60, 20),
    "memory": (None, 4 * _GIB, 2 * _GIB),
    "magick_space": (None, 4 * _GIB, 1536 << 20),
    "job_memory": (None, None, 4 * _GIB),
    "magick_memory": (1536 << 20, 1536 << 20, 512 << 20),
    "magick_pictures": (1 << 31, 1024, 256),
    "file_size": (None, 64 * _GIB, _GIB),
    "open_files": (None, 64, 64),
    "processes": (max(2, _CORES), max(2, _CORES), max(2, _CORES // 2)),
    "http_connect": (5.0, 5.0, 5.0),
    "http_stall": (10.0, 10.0, 10.0),
    "http_total": (60.0, 60.0, 60.0),
    "http_bytes": (_GIB, _GIB, 512 << 20),
    "http_redirects": (5, 5, 3),
    "http_rate": (None, None, 1024),
    "http_public": (False, False, True),
    "zmq_message": (256 << 20, 256 << 20, 256 << 20),
    "zmq_queue": (4, 4, 4),
    "zmq_beat": (1.0, 1.0, 1.0),
    "zmq_lost": (3.0, 3.0, 3.0),
    "zmq_handshake": (3.0, 3.0, 3.0),
    "zmq_linger": (1.0, 1.0, 1.0),
}


class _Configured:
    """The limits of calls that name none."""

    limits = Limits()


def configure(limits: Limits | None = None, **numbers: Any) -> Limits:
    """Set the limits of every later call of this process that names none.

    Parameters
    ----------
    limits : Limits, optional
        All of them.
    **numbers
        Attributes of `Limits`: ``trust="untrusted"``, ``pixels=10**9``. What is not named is the level's.

    Returns
    -------
    Limits
        Those that are in force now.

    Raises
    ------
    ValueError
        For a level or a number that makes no sense.
    TypeError
        For a name that is no limit, or for both at once.

    Examples
    --------
    >>> configure(trust="untrusted", pixels=100_000_000).side
    16384
    >>> configure().trust
    'normal'
    """
    if limits is not None and numbers:
        raise TypeError("give either limits or numbers")
    if limits is not None and not isinstance(limits, Limits):
        raise TypeError(f"limits must be a bridge.Limits, not {limits!r}")
    _Configured.limits = limits or Limits(**numbers)
    return _Configured.limits


def in_force() -> Limits:
    """Give the limits of calls that name none."""
    return _Configured.limits


def of_call(limits: Limits | None, trust: str | None) -> Limits:
    """Give the limits of a call: those that it names, those of the level that it names, or those in force.

    Raises
    ------
    ValueError
        If it names two that do not agree.
    TypeError
        If `limits` are none.
    """
    if limits is not None:
        if not isinstance(limits, Limits):
            raise TypeError(f"limits must be a bridge.Limits, not {limits!r}")
        if trust not in (None, limits.trust):
            raise ValueError(f"limits say trust={limits.trust!r}, the call says trust={trust!r}: name it once")
        return limits
    if trust in (None, _Configured.limits.trust):
        return _Configured.limits
    return Limits(trust=trust or "normal")
