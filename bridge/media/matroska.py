"""How large the films in a Matroska or WebM file are, by its own description. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.media.complete import element

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.head import ReadAt

__all__ = ["film_sizes"]

_STEPS = 1000  # elements of one parent; the description comes among the first
_SEGMENT, _CLUSTER, _TRACKS, _TRACK, _VIDEO, _WIDTH, _HEIGHT = (
    0x18538067,
    0x1F43B675,
    0x1654AE6B,
    0xAE,
    0xE0,
    0xB0,
    0xBA,
)


def film_sizes(read_at: ReadAt, size: int) -> Iterator[tuple[int, int]]:
    """Give width and height of each video track, RFC 9559."""
    _, body, length = element(read_at, 0)
    for segment in _inside(read_at, (body + (length or 0), size), _SEGMENT):
        for tracks in _inside(read_at, segment, _TRACKS):
            for track in _inside(read_at, tracks, _TRACK):
                for video in _inside(read_at, track, _VIDEO):
                    yield _number(read_at, video, _WIDTH), _number(read_at, video, _HEIGHT)
            return


def _inside(read_at: ReadAt, place: tuple[int, int], name: int) -> Iterator[tuple[int, int]]:
    """Give where the contents of the elements of that name begin and end, up to the film's data."""
    at, end = place
    for _ in range(_STEPS):
        if at >= end or not read_at(at, 1):
            return
        found, body, length = element(read_at, at)
        if found in (0, _CLUSTER):
            return
        stop = end if length is None else min(end, body + length)
        if found == name:
            yield body, stop
        at = stop


def _number(read_at: ReadAt, place: tuple[int, int], name: int) -> int:
    begin, end = next(_inside(read_at, place, name), (0, 0))
    return int.from_bytes(read_at(begin, min(end - begin, 8)), "big")
