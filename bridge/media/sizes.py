"""Width and height of all that a decoder would make of a file, as far as its own headers say. Pure.

Only for limits: what is damaged or not known gives nothing, and the decoder has the last word.
"""

from __future__ import annotations

import itertools
import re
import struct
from typing import TYPE_CHECKING, Any

from bridge.errors import BridgeError
from bridge.media.head import Window
from bridge.media.heif import picture_sizes
from bridge.media.matroska import film_sizes as matroska_sizes
from bridge.media.mp4 import film_sizes as mp4_sizes
from bridge.media.pages import Chain
from bridge.media.sniff import picture_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bridge.media.head import ReadAt

    Sizes = Iterable[tuple[int, int]]

__all__ = ["sizes"]


def sizes(kind: str, read_at: ReadAt, size: int, known: dict[str, Any] | None = None) -> Iterator[tuple[int, int]]:
    """Give width and height of each picture, layer, page or stream.

    Parameters
    ----------
    kind : str
        As `bridge.media.sniff.sniff` gives it; also ``"tga"``, which has no signature.
    read_at : callable
        ``read_at(offset, count)`` gives up to `count` bytes.
    size : int
        Bytes of the file.
    known : dict, optional
        As for `bridge.media.sniff.picture_head`.

    Examples
    --------
    >>> psd = b"8BPS" + bytes(10) + bytes([0, 0, 0, 2, 0, 0, 0, 3])
    >>> list(sizes("psd", lambda at, count: psd[at : at + count], len(psd)))
    [(3, 2)]
    """
    try:
        if kind in _FILMS:
            yield from _FILMS[kind](read_at, size)
        elif kind in _PICTURES:
            yield from _PICTURES[kind](Window(read_at))
        elif (head := picture_head(kind, read_at, known)) is not None:
            yield from ((head.width, head.height), head.largest)
    except (struct.error, LookupError, ValueError, BridgeError):
        return


def _fields(form: str, *places: int) -> Callable[[Window], Sizes]:
    """Read width and height at two places."""
    across, down = places

    def read(data: Window) -> Sizes:
        return [(data.number(form, across), data.number(form, down))]

    return read


_ICONS = 256


def _ico(data: Window) -> Sizes:
    for number in range(min(data.number("<H", 4), _ICONS)):
        at = data.number("<I", 6 + 16 * number + 12)
        if data(at, 4) == b"\x89PNG":
            yield data.number(">I", at + 16), data.number(">I", at + 20)
        else:  # a bitmap, and its mask in as many rows again
            yield abs(data.number("<i", at + 4)), abs(data.number("<i", at + 8)) // 2


def _pcx(data: Window) -> Sizes:
    left, top, right, bottom = struct.unpack("<4H", data(4, 8))
    return [(right - left + 1, bottom - top + 1)]


def _dpx(data: Window) -> Sizes:
    order = ">" if data(0, 4) == b"SDPX" else "<"
    return _fields(f"{order}I", 772, 776)(data)


_GAP = rb"(?:\s|#[^\n]*\n)+"
_PNM = re.compile(rb"P[1-6]" + _GAP + rb"(\d{1,18})" + _GAP + rb"(\d{1,18})\s")
_PAM = re.compile(rb"^(WIDTH|HEIGHT)\s+(\d{1,18})\s", re.MULTILINE)


def _pnm(data: Window) -> Sizes:
    head = data(0, 4096)
    if plain := _PNM.match(head):
        return [(int(plain[1]), int(plain[2]))]
    found = {name: int(value) for name, value in _PAM.findall(head.partition(b"ENDHDR")[0])}
    return [(found.get(b"WIDTH", 0), found.get(b"HEIGHT", 0))]


_STREAMS = 100


def _avi(read_at: ReadAt, size: int) -> Sizes:
    """Give what the headers of the video streams say: lists in a list, each with a ``strh`` and a ``strf``."""
    at, film = 12, False
    for _ in range(10 * _STREAMS):
        head = read_at(at, 12)
        if at + 8 > size or len(head) < 12:
            return
        name, length = struct.unpack("<4sI", head[:8])
        if name == b"LIST":
            if head[8:] not in (b"hdrl", b"strl"):
                return
            at += 12
            continue
        if name == b"strh":
            film = head[8:] == b"vids"
        elif name == b"strf" and film:
            width, height = struct.unpack("<ii", read_at(at + 12, 8))
            yield abs(width), abs(height)
        at += 8 + length + length % 2


def _tiff(read_at: ReadAt, size: int) -> Sizes:
    del size
    chain = Chain(read_at)
    return map(chain.size, itertools.islice(chain, _PAGES))


_PAGES = 1 << 16

_PICTURES: dict[str, Callable[[Window], Sizes]] = {
    "ico": _ico,
    "psd": _fields(">I", 18, 14),
    "pcx": _pcx,
    "dpx": _dpx,
    "pnm": _pnm,
    "pam": _pnm,
    "tga": _fields("<H", 12, 14),
    "heic": picture_sizes,
    "avif": picture_sizes,
}
_FILMS: dict[str, Callable[[ReadAt, int], Sizes]] = {
    "mp4": mp4_sizes,
    "matroska": matroska_sizes,
    "avi": _avi,
    "tiff": _tiff,
}
