"""What content may say of itself before any of it is decoded: its size and number against the limits. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bridge.limits import Limits

__all__ = [
    "check_area",
    "check_count",
    "check_file",
    "check_gathered",
    "check_memory",
    "check_pictures",
    "check_size",
    "check_sizes",
]

# Kinds of content (`bridge.media.sniff`) whose files are no still pictures.
_NO_STILLS = frozenset({
    None, "npy", "zip", "mp4", "matroska", "avi", "flv", "ogg", "asf", "y4m", "mpegps", "mpegts", "mpegvideo", "nut",
    "mxf", "h264", "hevc", "flac", "mp3", "aac", "aiff", "wav",
})  # fmt: skip


def check_size(limits: Limits, name: str, width: int, height: int, *, what: str = "") -> None:
    """Refuse a picture, or a part of one that has to be decoded, that is too large.

    Parameters
    ----------
    limits : Limits
        Those of the call.
    name : str
        What the user calls the content.
    width, height : int
        Pixels that are decoded.
    what : str
        Which part that is, for the message; empty for the picture.

    Raises
    ------
    LimitExceeded

    Examples
    --------
    >>> from bridge.limits import Limits
    >>> check_size(Limits(pixels=100), "a.png", 20, 10)
    Traceback (most recent call last):
    bridge.errors.LimitExceeded: a.png has 20x10 pixels, more than the limit pixels=100 allows; raise it with \
limits=bridge.Limits(pixels=...)
    """
    has = f"{name} has {f'{what} of ' if what else ''}{width}x{height} pixels"
    _check(limits, "pixels", width * height, has)
    _check(limits, "side", max(width, height), has)


def check_area(limits: Limits, name: str, pixels: int) -> None:
    """Refuse to decode so many pixels for a part of a picture."""
    _check(limits, "pixels", pixels, f"{name} has {pixels} pixels in the tiles of that part")


def check_sizes(limits: Limits, name: str, sizes: Iterable[tuple[int, int]], *, what: str = "") -> None:
    """Refuse content of which one of the parts is too large."""
    for width, height in sizes:
        check_size(limits, name, width, height, what=what)


def check_count(limits: Limits, name: str, frames: int | None) -> None:
    """Refuse content that has more frames, by its own header, than are given one after the other."""
    _check(limits, "frames", frames, f"{name} has {frames} frames")


def check_gathered(limits: Limits, name: str, frames: int | None) -> None:
    """Refuse to gather more pictures than is allowed."""
    _check(limits, "frames_at_once", frames, f"{name} has {frames} images to be read all at once")


def check_pictures(limits: Limits, name: str, pictures: int) -> None:
    """Refuse a file of more pictures than ImageMagick may hold, which reads them all before it gives any."""
    _check(limits, "magick_pictures", pictures, f"{name} has {pictures} pictures for ImageMagick to hold")


def check_file(limits: Limits, name: str, kind: str | None, size: int) -> None:
    """Refuse the file of a still picture that is too large."""
    if kind not in _NO_STILLS:
        _check(limits, "still_content", size, f"{name} has {size} bytes for a {str(kind).upper()} picture")


def check_memory(limits: Limits, name: str, nbytes: int, file_size: int) -> None:
    """Refuse a stack that takes far more memory than its file can hold in good faith.

    What strangers send takes at most `volumes_memory`; else that, or as much as packed content of that size may.
    """
    most = limits.volumes_memory
    if limits.trust != "untrusted":
        most = max(most, limits.archive_ratio * file_size)
    if limits.trust != "trusted" and nbytes > most:
        raise LimitExceeded(
            f"{name} would take {nbytes / 1e6:.1f} MB, more than the limit volumes_memory={limits.volumes_memory} "
            f"allows for a file of {file_size} bytes; {_how(limits, 'volumes_memory')}"
        )


def _check(limits: Limits, limit: str, reached: int | None, has: str) -> None:
    most = getattr(limits, limit)
    if reached is not None and most is not None and reached > most:
        raise LimitExceeded(f"{has}, more than the limit {limit}={most} allows; {_how(limits, limit)}")


def _how(limits: Limits, limit: str) -> str:
    trust = "" if limits.trust == "normal" else f"trust={limits.trust!r}, "
    return f"raise it with limits=bridge.Limits({trust}{limit}=...)"
