"""What HEIC and AVIF say of their transparency and depth, which ImageMagick 6 leaves out, and of themselves. Pure."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.head import ReadAt

__all__ = ["Heif", "Texts", "heif", "picture_sizes", "texts"]

_LARGEST = 1 << 20  # bytes of the box `meta` that we look at
_BOXES = 1000  # before it


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Texts:
    """Where a file has its metadata: first byte and length of EXIF and of XMP; the profile itself."""

    exif: tuple[int, int] = (0, 0)
    xmp: tuple[int, int] = (0, 0)
    icc: bytes = b""


def heif(read_at: ReadAt) -> Heif:
    """Look at the boxes of a HEIC or AVIF; damage finds nothing."""
    try:
        meta, place = _meta(read_at)
        return _items(meta, place) if meta else Heif()
    except (struct.error, IndexError, KeyError, ValueError):
        return Heif()


def texts(read_at: ReadAt) -> Texts:
    """Find the metadata of a HEIC or AVIF; damage finds nothing."""
    try:
        meta, place = _meta(read_at)
        return _texts(meta, place) if meta else Texts()
    except (struct.error, IndexError, KeyError, ValueError):
        return Texts()


def picture_sizes(read_at: ReadAt) -> Iterator[tuple[int, int]]:
    """Give width and height of each picture: of what is put together of tiles as well as of these.

    Raises
    ------
    struct.error, IndexError, KeyError, ValueError
        For damage.
    """
    meta, _ = _meta(read_at)
    if meta:
        boxes = {name: (begin, end) for name, begin, end in _boxes(meta, 12, len(meta))}
        for name, content in _properties(meta, *boxes[b"iprp"]):
            if name == b"ispe":
                width, height = struct.unpack_from(">2I", content, 4)
                yield width, height


def _meta(read_at: ReadAt) -> tuple[bytes, int]:
    at = 0
    for _ in range(_BOXES):
        head = read_at(at, 8)
        if len(head) < 8:
            break
        size, name = struct.unpack(">I4s", head)
        if name == b"meta":
            return read_at(at, min(size, _LARGEST)), at
        if size < 8:
            break
        at += size
    return b"", 0


def _texts(meta: bytes, place: int) -> Texts:
    """ISO/IEC 23008-12, annex A: items of the kinds ``Exif`` and ``mime``; the profile is a property."""
    boxes = {name: (begin, end) for name, begin, end in _boxes(meta, 12, len(meta))}
    kinds = dict(_kinds(meta, *boxes[b"iinf"]))
    found = {}
    for item, inside, at, size in _extents(meta, boxes[b"iloc"][0]):
        kind = kinds.get(item)
        if kind is not None:
            found[kind] = (at + place + boxes[b"idat"][0] if inside else at, size)
    properties = _properties(meta, *boxes[b"iprp"]) if b"iprp" in boxes else ()
    icc = next((data[4:] for name, data in properties if name == b"colr" and data[:4] in (b"prof", b"rICC")), b"")
    return Texts(exif=found.get("exif", (0, 0)), xmp=found.get("xmp", (0, 0)), icc=icc)


def _kinds(meta: bytes, begin: int, end: int) -> Iterator[tuple[int, str]]:
    """Give the items that are metadata, and what they are."""
    for name, at, stop in _boxes(meta, begin + (8 if meta[begin] else 6), end):
        if name != b"infe" or meta[at] < 2:
            continue
        wide = 4 if meta[at] == 3 else 2
        item, kind = int.from_bytes(meta[at + 4 : at + 4 + wide], "big"), meta[at + 6 + wide : at + 10 + wide]
        if kind == b"Exif":
            yield item, "exif"
        elif kind == b"mime" and b"application/rdf+xml" in meta[at:stop]:
            yield item, "xmp"


def _extents(meta: bytes, at: int) -> Iterator[tuple[int, bool, int, int]]:
    """Give where the items lie that are of one piece: their number, whether in the box ``idat``, first byte, length."""
    version = meta[at]
    sizes = meta[at + 4] >> 4, meta[at + 4] & 15, meta[at + 5] >> 4, meta[at + 5] & 15 if version else 0
    wide = 4 if version == 2 else 2
    count = int.from_bytes(meta[at + 6 : at + 6 + wide], "big")
    at += 6 + wide

    def number(size: int) -> int:
        nonlocal at
        at += size
        if at > len(meta):
            raise ValueError("the box ends early")
        return int.from_bytes(meta[at - size : at], "big")

    for _ in range(count):
        item = number(wide)
        inside = bool(version) and number(2) & 15 == 1
        number(2)
        base, pieces = number(sizes[2]), number(2)
        if pieces == 1:
            number(sizes[3])
            yield item, inside, base + number(sizes[0]), number(sizes[1])
        else:
            number(pieces * (sizes[3] + sizes[0] + sizes[1]))


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
    for name, at, stop in _boxes(meta, begin + 4, end):
        count = min(struct.unpack_from(">H", meta, at + wide)[0], (stop - at) // wide)
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
    for name, at, stop in _boxes(meta, begin, end):
        if name == b"ipma":
            found |= {item for item, number in _associations(meta[at:stop], 0) if number in numbers}
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
