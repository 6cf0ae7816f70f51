"""What HEIC and AVIF say of their transparency and depth, which ImageMagick 6 leaves out. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.head import ReadAt

__all__ = ["Heif", "heif"]

_LARGEST = 1 << 20  # bytes of the box `meta` that we look at


@dataclass(frozen=True, slots=True, kw_only=True)
class Heif:
    """What is found.

    Attributes
    ----------
    depth : int
        Most bits of a sample that a picture in the file has, as far as it says so; else 8.
    place : int
        Where the file names its first picture.
    alpha : bytes
        What to put there so that the transparency of that picture is the first; empty if it has none.
    """

    depth: int = 8
    place: int = 0
    alpha: bytes = b""


def heif(read_at: ReadAt) -> Heif:
    """Look at the boxes of a HEIC or AVIF; damage finds nothing."""
    try:
        return _meta(read_at)
    except (struct.error, IndexError, ValueError):
        return Heif()


def _meta(read_at: ReadAt) -> Heif:
    at = 0
    while len(head := read_at(at, 8)) == 8:
        size, name = struct.unpack(">I4s", head)
        if name == b"meta":
            return _items(read_at(at, min(size, _LARGEST)), at)
        if size < 8:
            break
        at += size
    return Heif()


def _items(meta: bytes, place: int) -> Heif:
    boxes = {name: (begin, end) for name, begin, end in _boxes(meta, 12, len(meta))}
    begin = boxes[b"pitm"][0]
    wide = meta[begin] > 0
    first = meta[begin + 4 : begin + (8 if wide else 6)]
    helpers = list(_helpers(meta, *boxes[b"iref"], first)) if b"iref" in boxes else []
    properties = list(_properties(meta, *boxes[b"iprp"]))
    alphas = _alphas(properties, meta, *boxes[b"iprp"]) if helpers else set()
    alpha = next((item for item in helpers if int.from_bytes(item, "big") in alphas), b"")
    depth = max((_depth(name, content) for name, content in properties), default=8)
    return Heif(depth=depth, place=place + begin + 4, alpha=alpha.rjust(len(first), b"\0") if alpha else b"")


def _boxes(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    while at + 8 <= end:
        size, name = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield name, at + 8, min(at + size, end)
        at += size


def _helpers(meta: bytes, begin: int, end: int, first: bytes) -> Iterator[bytes]:
    """Give the items that say that they help the first picture to something."""
    wide = 4 if meta[begin] else 2
    for name, at, _ in _boxes(meta, begin + 4, end):
        count = struct.unpack_from(">H", meta, at + wide)[0]
        helped = [meta[at + 2 + wide * place :][:wide] for place in range(1, count + 1)]
        if name == b"auxl" and int.from_bytes(first, "big") in [int.from_bytes(item, "big") for item in helped]:
            yield meta[at : at + wide]


def _properties(meta: bytes, begin: int, end: int) -> Iterator[tuple[bytes, bytes]]:
    """Give the properties in their order, from which they have their numbers."""
    for name, at, stop in _boxes(meta, begin, end):
        if name == b"ipco":
            for kind, first, last in _boxes(meta, at, stop):
                yield kind, meta[first:last]


def _alphas(properties: list[tuple[bytes, bytes]], meta: bytes, begin: int, end: int) -> set[int]:
    """Give the items that are said to be transparency."""
    numbers = {
        number
        for number, (name, content) in enumerate(properties, 1)
        if name == b"auxC" and (b":auxiliary:alpha" in content or b":hevc:2015:auxid:1" in content)
    }
    found = set()
    for name, at, _ in _boxes(meta, begin, end):
        if name == b"ipma":
            found |= {item for item, number in _associations(meta, at) if number in numbers}
    return found


def _associations(meta: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Give pairs of an item and the number of a property that it has."""
    wide, large = (4 if meta[at] else 2), (2 if meta[at + 3] & 1 else 1)
    count = struct.unpack_from(">I", meta, at + 4)[0]
    at += 8
    for _ in range(count):
        item, several = int.from_bytes(meta[at : at + wide], "big"), meta[at + wide]
        at += wide + 1
        for _ in range(several):
            yield item, int.from_bytes(meta[at : at + large], "big") & (0x7FFF if large == 2 else 0x7F)
            at += large


def _depth(name: bytes, content: bytes) -> int:
    if name == b"pixi":
        return max(content[5 : 5 + content[4]], default=8)
    if name == b"av1C":
        return 8 if not content[2] & 0x40 else 12 if content[2] & 0x20 else 10
    return 8 + (content[17] & 7) if name == b"hvcC" else 8
