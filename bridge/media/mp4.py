"""The boxes of an MP4 or QuickTime file, and how many pictures it holds by its own index. Pure."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.head import ReadAt

__all__ = ["boxes", "film_size", "find_box", "handlers", "video_samples"]

_BOXES = 10_000  # more than these are no file of ours


def video_samples(read_at: ReadAt, size: int) -> int | None:
    """Count the samples of the first video track by the sample tables, ISO/IEC 14496-12.

    Parameters
    ----------
    read_at : callable
        ``read_at(offset, count)`` gives up to `count` bytes.
    size : int
        Bytes of the file.

    Returns
    -------
    int or None
        None where the tables do not tell: fragmented files, damaged ones, other formats.
    """
    try:
        return _counted(read_at, size)
    except struct.error:
        return None


def _counted(read_at: ReadAt, size: int) -> int | None:
    movie = find_box(read_at, (0, size), b"moov")
    if movie is None or find_box(read_at, movie, b"mvex") is not None:  # fragments follow
        return None
    place = _table(read_at, movie, b"stsz")
    if place is None:
        return None
    count: int = struct.unpack(">I", read_at(place[0] + 8, 4))[0]
    return count


def film_size(read_at: ReadAt, size: int) -> tuple[int, int] | None:
    """Give width and height of the first video track, as coded; None where the file does not tell."""
    try:
        movie = find_box(read_at, (0, size), b"moov")
        place = movie and _table(read_at, movie, b"stsd")
        if not place:
            return None
        width, height = struct.unpack(">2H", read_at(place[0] + 40, 4))  # behind the count and the head of the first
    except struct.error:
        return None
    return (width, height) if width and height else None


def _table(read_at: ReadAt, movie: tuple[int, int], name: bytes) -> tuple[int, int] | None:
    """Find a sample table of the first video track."""
    for track in boxes(read_at, movie, b"trak"):
        media = find_box(read_at, track, b"mdia")
        handler = media and find_box(read_at, media, b"hdlr")
        if media and handler and read_at(handler[0] + 8, 4) == b"vide":
            place: tuple[int, int] | None = media
            for part in (b"minf", b"stbl", name):
                place = place and find_box(read_at, place, part)
            return place
    return None


def handlers(read_at: ReadAt, size: int) -> list[bytes]:
    """Give what each track is for, in four letters, as the file has them."""
    movie = find_box(read_at, (0, size), b"moov")
    found = []
    for track in boxes(read_at, movie, b"trak") if movie else ():
        media = find_box(read_at, track, b"mdia")
        handler = media and find_box(read_at, media, b"hdlr")
        found.append(read_at(handler[0] + 8, 4) if handler else b"")
    return found


def find_box(read_at: ReadAt, inside: tuple[int, int], name: bytes) -> tuple[int, int] | None:
    """Give where the content of the first box of that name begins and ends."""
    return next(boxes(read_at, inside, name), None)


def boxes(read_at: ReadAt, inside: tuple[int, int], name: bytes) -> Iterator[tuple[int, int]]:
    """Give where the contents of the boxes of that name begin and end."""
    at, end = inside
    for _ in range(_BOXES):
        if at + 8 > end:
            return
        length, kind = struct.unpack(">I4s", read_at(at, 8))
        head = 8
        if length == 1:
            length, head = struct.unpack(">Q", read_at(at + 8, 8))[0], 16
        length = length or end - at
        if length < head:
            return
        if kind == name:
            yield at + head, min(at + length, end)
        at += length
