"""Whether a file holds all that its own structure promises: what a cut or overwritten file gives away. Pure.

Programs often read what is left of a file and end with success, so the structure is looked at as well.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bridge.media.checksum import crc32_msb_first

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.media.head import ReadAt

__all__ = ["TS_HEAD", "element", "ends_early", "first_fault", "overwritten", "ts_layout"]

_STEPS = 1_000_000  # more boxes or chunks than these are no file of ours
_WHOLE = 1 << 26  # GIF is walked in memory, up to this size


def ends_early(kind: str, read_at: ReadAt, size: int) -> str:
    """Tell what is missing of a file, in words; empty if nothing is, or if its format does not tell.

    Parameters
    ----------
    kind : str
        What `bridge.media.sniff` calls the content.
    read_at : callable
        ``read_at(offset, count)`` gives up to `count` bytes.
    size : int
        Bytes of the file.
    """
    look = _LOOKS.get(kind)
    if look is None:
        return ""
    try:
        return look(read_at, size)
    except (struct.error, IndexError):  # it ends inside a head
        return "it ends inside a header"


def first_fault(kind: str, read_at: ReadAt, size: int) -> int | None:
    """Give the byte from which on a file is not what its structure should be; None for whole and other files.

    Known are Matroska, Ogg, FLV and AVI, in which programs look for the next thing that they can read.
    """
    walk = _WALKS.get(kind)
    try:
        found = walk(read_at, size) if walk else None
    except (struct.error, IndexError):
        return None
    return found[0] if found else None


def _past(what: str, end: int, size: int) -> str:
    return f"{what} ends at byte {end}, the file at byte {size}"


def _mp4(read_at: ReadAt, size: int) -> str:
    """ISO/IEC 14496-12: a row of boxes."""
    at, movie, name = 0, False, b""
    for _ in range(_STEPS):
        if at == size:
            break
        length, name = struct.unpack(">I4s", read_at(at, 8))
        if length == 1:
            (length,) = struct.unpack(">Q", read_at(at + 8, 8))
        length = length or size - at
        movie = movie or name == b"moov"
        if length < 8 or not (name.isascii() and name.decode().isprintable()):
            break  # not a box: whatever follows the film
        if at + length > size:
            return _past(f"its box {name.decode()!r}", at + length, size)
        at += length
    if name == b"moof":
        return "its last fragment has no content"
    return "" if movie else "it has no index (box 'moov')"


def _matroska(read_at: ReadAt, size: int) -> str:
    _, body, length = element(read_at, 0)
    _, at, whole = element(read_at, body + (length or 0))
    if whole is not None and at + whole > size:
        return _past("its segment", at + whole, size)
    found = _elements(read_at, size)
    return found[1] if found else ""


def _elements(read_at: ReadAt, size: int) -> tuple[int, str] | None:
    """RFC 8794 and 9559: an EBML head, then a segment of clusters and other elements. Give where they end, and why."""
    _, body, length = element(read_at, 0)
    _, at, whole = element(read_at, body + (length or 0))
    size = size if whole is None else min(size, at + whole)  # what follows is not of the film
    for _ in range(_STEPS):
        if at >= size:
            return None
        name, body, length = element(read_at, at)
        if name not in _SEGMENT and name not in _CLUSTER:
            return at, f"byte {at} should begin an element, and does not"
        if name == _CLUSTER_ID or length is None:  # its children follow, as long as they are such
            at = body
        elif body + length > size:
            return at, _past("an element", body + length, size)
        else:
            at = body + length
    return None


_CLUSTER_ID = 0x1F43B675
_CLUSTER = frozenset({0xE7, 0xA3, 0xA0, 0xAB, 0xA7, 0x5854, 0xEC, 0xBF})
_SEGMENT = frozenset({_CLUSTER_ID, 0x114D9B74, 0x1549A966, 0x1654AE6B, 0x1C53BB6B, 0x1941A469, 0x1043A770, 0x1254C367})


def element(read_at: ReadAt, at: int) -> tuple[int, int, int | None]:
    """Give the id of an element of EBML, where its body begins, and how long that is; None is unknown."""
    head = read_at(at, 12)
    wide = 9 - head[0].bit_length()
    if not 1 <= wide <= 4:
        return 0, at, None
    first = head[wide]
    count = 9 - first.bit_length()
    if first == 0 or len(head) < wide + count:
        return 0, at, None
    value = int.from_bytes(head[wide : wide + count], "big") & ((1 << 7 * count) - 1)
    unknown = value == (1 << 7 * count) - 1
    return int.from_bytes(head[:wide], "big"), at + wide + count, None if unknown else value


def _riff(read_at: ReadAt, size: int) -> str:
    """AVI and WebP: chunks ``RIFF`` with their sizes, zero where the writer did not come back to fill it in."""
    at = 0
    for _ in range(_STEPS):
        if at + 8 > size or read_at(at, 4) != b"RIFF":
            return ""
        (length,) = struct.unpack("<I", read_at(at + 4, 4))
        if length == 0xFFFFFFFF:  # written to a pipe
            return ""
        if at + 8 + length > size:
            return _past("its RIFF chunk", at + 8 + length, size)
        at += 8 + length + length % 2
    return ""


def _avi(read_at: ReadAt, size: int) -> str:
    found = _chunks(read_at, size)
    return _riff(read_at, size) or (found[1] if found else "")


def _chunks(read_at: ReadAt, size: int) -> tuple[int, str] | None:
    """Walk the chunks of the lists ``movi`` and ``rec``, each of a stream. Give where they end, and why."""
    at, streams, end = 0, False, size
    for _ in range(_STEPS):
        if streams and at >= end:
            streams = False  # what follows the film's data
        if at + 8 > size:
            return None
        name, length = struct.unpack("<4sI", read_at(at, 8))
        if name in (b"RIFF", b"LIST"):
            inner = read_at(at + 8, 4)
            if inner == b"movi":
                streams, end = True, at + 8 + length if 0 < length < size - at else size
            at += 12 if inner in (b"AVI ", b"AVIX", b"movi", b"rec ") else 8 + length + length % 2
            continue
        if streams and not _CHUNK.fullmatch(name):
            return at, f"byte {at} should begin a chunk, and does not"
        at += 8 + length + length % 2
    return None


# The number of a stream and two characters of its kind, with DV's ``00__``, or one of what may lie between.
_CHUNK = re.compile(rb"[0-9A-Fa-f]{2}[ -~]{2}|ix\d\d|JUNK|idx1")


def _flv(read_at: ReadAt, size: int) -> str:
    found = _tags(read_at, size)
    return found[1] if found else ""


def _tags(read_at: ReadAt, size: int) -> tuple[int, str] | None:
    """Adobe FLV 10.1: tags, each followed by its size. Give where they end, and why."""
    at = int.from_bytes(read_at(5, 4), "big") + 4
    for _ in range(_STEPS):
        if at >= size:
            return None
        head = read_at(at, 4)
        length = 11 + int.from_bytes(head[1:], "big")
        if head[0] & 0xDF not in _FLV_TAGS:
            return at, f"byte {at} should begin a tag, and does not"
        if at + length + 4 > size:
            return at, _past("its last tag", at + length + 4, size)
        told = int.from_bytes(read_at(at + length, 4), "big")
        if told not in (length, length - 11, 0):  # not all writers count alike
            return at, f"the tag at byte {at} does not fit its size"
        at += length + 4
    return None


_FLV_TAGS = (8, 9, 18)  # sound, picture, script


def _png(read_at: ReadAt, size: int) -> str:
    """PNG and APNG: chunks up to ``IEND``."""
    at = 8
    for _ in range(_STEPS):
        if at + 12 > size:
            break
        length, name = struct.unpack(">I4s", read_at(at, 8))
        if name == b"IEND":
            return ""
        at += 12 + length
        if at > size:
            return _past(f"its chunk {name.decode('latin-1')!r}", at, size)
    return "its last chunk (IEND) is missing"


def _gif(read_at: ReadAt, size: int) -> str:
    """GIF89a: blocks up to the trailer."""
    data = read_at(0, min(size, _WHOLE))
    at = 13 + _colours(data[10])
    for _ in range(_STEPS):
        if at >= len(data):
            break
        kind = data[at]
        if kind == 0x3B:
            return ""
        if kind == 0x21:
            at = _sub_blocks(data, at + 2)
        elif kind == 0x2C:
            at = _sub_blocks(data, at + 11 + _colours(data[at + 9]))
        else:
            break
    else:
        return ""
    return "" if size > _WHOLE else "its end mark is missing"


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _sub_blocks(data: bytes, at: int) -> int:
    while data[at]:
        at += data[at] + 1
    return at + 1


def _ogg(read_at: ReadAt, size: int) -> str:
    found = _pages(read_at, size)
    return found[1] if found else ""


def _pages(read_at: ReadAt, size: int) -> tuple[int, str] | None:
    """RFC 3533: pages, each with a checksum; FFmpeg leaves out what does not fit it. Give where they end, and why."""
    at = 0
    for _ in range(_STEPS):
        if at >= size:
            return None
        head = read_at(at, 282)
        if head[:4] != b"OggS":
            return at, f"byte {at} should begin a page, and does not"
        body = 27 + head[26]
        length = body + sum(head[27:body])
        if at + length > size:
            return at, _past("its last page", at + length, size)
        page = read_at(at, length)
        if crc32_msb_first(page[:22] + bytes(4) + page[26:]) != page[25:21:-1]:
            return at, f"the page at byte {at} does not fit its checksum"
        at += length
    return None


def _mpegts(read_at: ReadAt, size: int) -> str:
    """ISO/IEC 13818-1: packets of one size, each with its sync byte."""
    layout = ts_layout(read_at(0, TS_HEAD))
    if layout is None:
        return ""
    bad = overwritten(read_at, 0, size)
    if bad is not None:
        return f"the packet at byte {bad} is overwritten"
    rest = (size - layout.first) % layout.length
    return _past("its last packet", size - rest + layout.length, size) if rest else ""


class TsLayout(NamedTuple):
    """How the packets of a transport stream lie: their size, where the first begins, what is in front of its sync."""

    length: int
    first: int
    front: int


def ts_layout(head: bytes) -> TsLayout | None:
    """Find the packets of a transport stream by its first `TS_HEAD` bytes; None where it is none.

    Packets of 192 bytes have a time code in front, those of 204 parity behind. A recording may begin inside a packet.
    """
    for length, front in _TS_PACKETS:
        syncs = head[front : 5 * length : length]
        if syncs and set(syncs) == {_SYNC}:
            return TsLayout(length, 0, front)
    for length, front in _TS_PACKETS:
        for first in range(1, length):
            syncs = head[first + front :: length]
            if len(syncs) >= _SURE and set(syncs) == {_SYNC}:
                return TsLayout(length, first, front)
    return None


TS_HEAD = 4096
_SYNC = ord("G")
_TS_PACKETS = ((188, 0), (192, 4), (204, 0))
_SURE = 10  # sync bytes that far apart are no chance


def overwritten(read_at: ReadAt, begin: int, end: int, of: int | None = None) -> int | None:
    """Give where a transport stream is damaged first, between two bytes; None where it is not.

    Parameters
    ----------
    begin, end : int
        Bytes.
    of : int or None
        Where a packet of the film begins: the packets of its stream are counted then, as well as their sync bytes
        looked at. A gap in front of a key frame is no damage: so is where recordings were joined.
    """
    layout = ts_layout(read_at(0, min(end, TS_HEAD)))
    if layout is None:
        return None
    length, first, front = layout
    begin = max(begin, first)
    begin -= (begin - first) % length
    end -= (end - first) % length
    head = read_at(of - (of - first) % length + front, 4) if of is not None else b""
    stream = int.from_bytes(head[1:3], "big") & 0x1FFF if len(head) == 4 else None
    count = None
    step = length << 13
    for at in range(begin, end, step):
        block = np.frombuffer(read_at(at, min(step, end - at)), np.uint8)
        packets = block[: len(block) - len(block) % length].reshape(-1, length)[:, front:]
        bad = np.flatnonzero(packets[:, 0] != _SYNC)
        last = int(bad[0]) if len(bad) else len(packets)
        if stream is not None:
            gap, count = _gap(packets[:last], stream, count)
            if gap is not None:
                return at + gap * length
        if len(bad):
            return at + last * length
    return None


def _gap(packets: np.ndarray[Any, Any], stream: int, count: int | None) -> tuple[int | None, int | None]:
    """Give which packet of a stream does not follow the one before, and the count to go on with."""
    pids = (packets[:, 1].astype(np.int32) & 0x1F) << 8 | packets[:, 2]
    places = np.flatnonzero((pids == stream) & (packets[:, 3] & 0x10 != 0))
    if not len(places):
        return None, count
    counts = packets[places, 3].astype(np.int32) & 0x0F
    steps = np.diff(counts, prepend=counts[0] - 1 if count is None else count) & 0x0F
    jumps = np.flatnonzero(steps > 1)  # none may be sent twice
    flags = packets[places[jumps], 5]
    told = (packets[places[jumps], 3] & 0x20 != 0) & (packets[places[jumps], 4] > 0) & (flags & 0xC0 != 0)
    found = places[jumps[~told]]
    return (int(found[0]) if len(found) else None), int(counts[-1])


_WALKS: dict[str, Callable[[ReadAt, int], tuple[int, str] | None]] = {
    "matroska": _elements,
    "ogg": _pages,
    "avi": _chunks,
    "flv": _tags,
}
_LOOKS: dict[str, Callable[[ReadAt, int], str]] = {
    "mp4": _mp4,
    "matroska": _matroska,
    "avi": _avi,
    "flv": _flv,
    "webp": _riff,
    "png": _png,
    "apng": _png,
    "gif": _gif,
    "ogg": _ogg,
    "mpegts": _mpegts,
}
