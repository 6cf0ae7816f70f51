"""The boxes of an MP4 or QuickTime file, and how many pictures it holds by its own index. Pure."""

from __future__ import annotations

import contextlib
import itertools
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.head import ReadAt

__all__ = ["boxes", "film_fault", "film_size", "film_sizes", "find_box", "handlers", "video_samples"]

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
    with contextlib.suppress(struct.error):
        width, height = next(film_sizes(read_at, size), (0, 0))
        return (width, height) if width and height else None
    return None


def film_sizes(read_at: ReadAt, size: int) -> Iterator[tuple[int, int]]:
    """Give width and height of each video track, as coded.

    Raises
    ------
    struct.error
        If the file ends inside its description.
    """
    movie = find_box(read_at, (0, size), b"moov")
    for tables, film in _tables(read_at, movie) if movie else ():
        place = film and find_box(read_at, tables, b"stsd")
        if place:
            width, height = struct.unpack(">2H", read_at(place[0] + 40, 4))  # behind the count and the head of one
            yield width, height


_ROWS = {b"stts": 8, b"ctts": 8, b"stsc": 12, b"stco": 4, b"co64": 8, b"stss": 4}  # bytes of a row
_SAMPLES_A_BYTE = 16  # of sound, of which a file that was cut may tell much more than it holds


def film_fault(read_at: ReadAt, size: int) -> str:
    """Tell which table says that it has more rows than fit in it, for which a decoder might make room; empty if none.

    Examples
    --------
    >>> film_fault(lambda at, count: b"", 0)
    ''
    """
    with contextlib.suppress(struct.error):
        movie = find_box(read_at, (0, size), b"moov")
        for tables, _ in _tables(read_at, movie) if movie else ():
            for name, wide in _ROWS.items():
                place = find_box(read_at, tables, name)
                if place and _rows(read_at, place[0] + 4) * wide > place[1] - place[0] - 8:
                    return f"its table {name.decode()!r} says that it has more rows than it holds"
            place = find_box(read_at, tables, b"stsz")
            if place:
                same, count = (_rows(read_at, place[0] + at) for at in (4, 8))
                room = _SAMPLES_A_BYTE * size if same else (place[1] - place[0] - 12) // 4
                if count > room:
                    return f"its table 'stsz' says that it has {count} samples, which it does not hold"
    return ""


def _rows(read_at: ReadAt, at: int) -> int:
    number: int = struct.unpack(">I", read_at(at, 4))[0]
    return number


_TRACKS = 1000
_PICTURES = (b"vide", b"pict")  # film, and animated AVIF


def _tables(read_at: ReadAt, movie: tuple[int, int]) -> Iterator[tuple[tuple[int, int], bool]]:
    """Give where the sample tables of each track are, and whether it is a film."""
    for track in itertools.islice(boxes(read_at, movie, b"trak"), _TRACKS):
        media = find_box(read_at, track, b"mdia")
        handler = media and find_box(read_at, media, b"hdlr")
        place = media
        for part in (b"minf", b"stbl"):
            place = place and find_box(read_at, place, part)
        if place:
            yield place, handler is not None and read_at(handler[0] + 8, 4) in _PICTURES


def _table(read_at: ReadAt, movie: tuple[int, int], name: bytes) -> tuple[int, int] | None:
    """Find a sample table of the first video track."""
    tables = next((place for place, film in _tables(read_at, movie) if film), None)
    return tables and find_box(read_at, tables, name)


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
