"""Inputs 54 to 84: little that would become much, and what has no end."""

from __future__ import annotations

import io
import os
import stat
import struct
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import bridge
from bridge.errors import (
    CorruptMedia,
    ForbiddenUri,
    LimitExceeded,
    UnsupportedPixels,
    UriError,
    UriIsDirectory,
)
from tests.hostile.case import Case, Expect, either, file, frames, made, mimread, refuse, same, shape, stream, whatever
from tests.hostile.forms import (
    PICTURE,
    apng,
    chunk,
    deflated_zeros,
    gif,
    movie,
    page,
    pillow,
    png,
    tiff,
    webp_animation,
    zero_png,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from bridge.limits import Limits
    from tests.hostile.case import Place

__all__ = ["CASES", "HEADS"]

_LIMIT = refuse(LimitExceeded)
_LIMIT_OR_DAMAGE = refuse(LimitExceeded, CorruptMedia, UnsupportedPixels)
_MANY = 100_000


# Pictures


def _jpeg(width: int, height: int, scans: int) -> bytes:
    """Give a progressive JPEG that says this size, and repeats its last scan."""
    data = pillow(PICTURE, "JPEG", progressive=True)
    at = data.index(b"\xff\xc2")
    data = data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + b"\xff\xd9"


def _mng(count: int) -> bytes:
    head = struct.pack(">7I", 1, 1, 25, count, count, count, 1)
    one = png(np.full((1, 1), 100, np.uint8))[8:]
    return b"\x8aMNG\r\n\x1a\n" + chunk(b"MHDR", head) + one * count + chunk(b"MEND")


def _strip(size: int) -> bytes:
    """Give a TIFF whose one strip is said to be that long."""
    return tiff([page(size=size)], bytes(108))


def _tags(count: int) -> bytes:
    """Give a TIFF with a tag that is said to have that many values."""
    return tiff([[*page(), (270, 2, count, 8)]], bytes(108))


def _tag_of_every_kind() -> bytes:
    return tiff([[*page(), *((1000 + number, 4, 0xFFFFFFFF, 8) for number in range(2000))]], bytes(108))


def _icon() -> bytes:
    """An icon that holds a PNG of 60000x60000."""
    inner = zero_png(60000, 60000, bits=1, colour=0, rows=1)
    return struct.pack("<HHHBBBBHHII", 0, 1, 1, 0, 0, 0, 0, 1, 32, len(inner), 22) + inner


def _photoshop() -> bytes:
    return b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, 290_000, 290_000, 8, 3) + bytes(12) + b"\0\1" + bytes(64)


def _exr() -> bytes:
    def attribute(name: bytes, kind: bytes, value: bytes) -> bytes:
        return name + b"\0" + kind + b"\0" + struct.pack("<I", len(value)) + value

    box = struct.pack("<4i", 0, 0, 1_000_000, 1_000_000)
    channels = b"R\0" + struct.pack("<IIII", 1, 0, 1, 1) + b"\0"
    facts = [(b"channels", b"chlist", channels), (b"compression", b"compression", b"\3"),
             (b"dataWindow", b"box2i", box), (b"displayWindow", b"box2i", box), (b"lineOrder", b"lineOrder", b"\0"),
             (b"pixelAspectRatio", b"float", struct.pack("<f", 1)), (b"screenWindowCenter", b"v2f", bytes(8)),
             (b"screenWindowWidth", b"float", struct.pack("<f", 1))]  # fmt: skip
    return b"v/1\x01" + struct.pack("<I", 2) + b"".join(attribute(*fact) for fact in facts) + b"\0" + bytes(64)


def _bmp(width: int, height: int) -> bytes:
    return b"BM" + struct.pack("<IIIIiiHHIIIIII", 54, 0, 54, 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)


def _packed_text(size: int) -> bytes:
    return png(PICTURE, chunk(b"zTXt", b"Comment\0\0" + deflated_zeros(size)))


def _packed_profile(size: int) -> bytes:
    return png(PICTURE, chunk(b"iCCP", b"x\0\0" + deflated_zeros(size)))


# Films


def _huge_table(place: Place) -> Path:
    return place.write("x.mov", movie([png()] * 2, count=0xFFFFFFFF))


def _huge_frame(place: Place) -> Path:
    return place.write("x.mov", movie([zero_png(16384, 16384)] * 2, (16384, 16384)))


def _element(name: bytes, body: bytes, *, unknown: bool = False) -> bytes:
    return name + (b"\x01" + b"\xff" * 7 if unknown else struct.pack(">Q", len(body) | 1 << 56)) + body


def _matroska_head() -> bytes:
    head = _element(
        b"\x1aE\xdf\xa3", _element(b"B\x82", b"matroska") + _element(b"B\x87", b"\4") + _element(b"B\x85", b"\2")
    )
    video = _element(b"\xe0", _element(b"\xb0", b"\x10") + _element(b"\xba", b"\x10"))
    track = _element(b"\xae", _element(b"\xd7", b"\1") + _element(b"s\xc5", b"\1") + _element(b"\x83", b"\1")
                     + _element(b"\x86", b"V_MJPEG") + video)  # fmt: skip
    return head + _element(b"\x18S\x80g", _element(b"\x16T\xaek", track), unknown=True)


class Endless(io.RawIOBase):
    """A head, and then the same bytes again and again."""

    def __init__(self, head: bytes, piece: bytes) -> None:
        self._next, self._piece = head, piece * (1 + (1 << 20) // len(piece))

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        while len(self._next) < count:
            self._next += self._piece
        count = len(self._next) if count < 0 else count
        given, self._next = self._next[:count], self._next[count:]
        return given


_CLUSTER = _element(b"\x1fC\xb6u", _element(b"\xe7", b"\0"), unknown=True)
_VOID = _element(b"\xec", bytes(4000))
_NULL_PACKET = b"\x47\x1f\xff\x10" + b"\xff" * 184


# What is no file


def _fifo(place: Place) -> Path:
    os.mkfifo(place.folder / "x.png")
    return place.folder / "x.png"


def _socket(place: Place) -> Path:
    os.mknod(place.folder / "x.png", stat.S_IFSOCK | 0o600)
    return place.folder / "x.png"


def _nested(depth: int) -> bytes:
    data = b"<svg xmlns='http://www.w3.org/2000/svg'/>"
    for _ in range(depth):
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        data = packer.compress(data + bytes(1000)) + packer.flush()
    return data


# Archives; each has a member m.png


def _archive(members: Iterable[tuple[str | zipfile.ZipInfo, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytearray:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return bytearray(made.getvalue())


def _zipped(make: Callable[[], bytes | bytearray], member: str = "m.png") -> Callable[[Place], str]:
    return lambda place: f"{place.write('x.zip', bytes(make()))}/{member}"


def _zip_bomb() -> bytearray:
    return _archive([("m.png", bytes(40 << 20))])


def _zip_overlap() -> bytes:
    made = _archive([(f"{number}.png" if number else "m.png", png()) for number in range(40)], zipfile.ZIP_STORED)
    at = made.index(b"PK\x01\x02")
    while made[at : at + 4] == b"PK\x01\x02":
        made[at + 42 : at + 46] = bytes(4)
        at += 46 + sum(struct.unpack_from("<HHH", made, at + 28))
    return bytes(made)


def _zip_lie() -> bytes:
    made = _archive([("m.png", png() + bytes(1 << 20))])
    for at in (22, made.index(b"PK\x01\x02") + 24):
        made[at : at + 4] = struct.pack("<I", 300)
    return bytes(made)


def _zip_twice() -> bytes:
    return bytes(_archive([("m.png", png()), ("n.png", png())])).replace(b"n.png", b"m.png")


def _zip_encrypted() -> bytes:
    made = _archive([("m.png", png())])
    made[6] |= 1
    made[made.index(b"PK\x01\x02") + 8] |= 1
    return bytes(made)


def _zip_link() -> bytearray:
    info = zipfile.ZipInfo("m.png")
    info.create_system, info.external_attr = 3, 0o120777 << 16
    return _archive([(info, b"/etc/passwd")])


def _zip_many() -> bytes:
    """60,000 members, of which the directory alone is worth reading."""
    one = _archive([("m.png", png())], zipfile.ZIP_STORED)
    at = one.index(b"PK\x01\x02")
    entry = bytes(one[at : one.index(b"PK\x05\x06")])
    local, directory, parts = bytes(one[:at]), [entry], [bytes(one[:at])]
    start = len(local)
    for number in range(59_999):
        name = b"%05d" % number
        parts.append(local[:30] + name + local[35:])
        directory.append(entry[:42] + struct.pack("<I", start) + name + entry[51:])
        start += len(local)
    table = b"".join(directory)
    end = struct.pack("<4sHHHHIIH", b"PK\5\6", 0, 0, 60_000, 60_000, len(table), start, 0)
    return b"".join(parts) + table + end


def _npy(shape: str, data: bytes = bytes(64)) -> bytes:
    head = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}, }}".encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(head)) + head + data


def _slip(member: str) -> Callable[[Place], str]:
    return _zipped(lambda: _archive([(member, png())]), member)


def _extract_nothing(uri: str, limits: Limits) -> Any:
    """Read a member that would like to be somewhere else; it is content, and never a file of that name."""
    try:
        return bridge.imread(uri, limits=limits)
    finally:
        assert not Path("../evil.png").exists()


HEADS: tuple[tuple[int, str, Callable[[], bytes]], ...] = (
    # What is refused by its head alone, so that no program ever starts; larger than any level takes.
    (55, "x.png", lambda: zero_png(16000, 16000)),
    (56, "x.png", lambda: zero_png(30000, 30000, bits=1, colour=0)),
    (57, "x.png", lambda: zero_png(0x7FFFFFFF, 0x7FFFFFFF, rows=0)),
    (58, "x.png", lambda: zero_png(20000, 20000, rows=20)),
    (59, "big.gif", lambda: gif(60000, 60000, 100)),
    (66, "x.jpg", lambda: _jpeg(65500, 65500, 3000)),
    (68, "x.bmp", lambda: _bmp(100_000, 100_000)),
    (68, "x.tif", lambda: tiff([page(200_000, 200_000, size=108)], bytes(108))),
)


def _content(limit: int) -> dict[str, Any]:
    return {"content": limit}


def _both(expect: Expect) -> dict[str, Any]:
    return {"expect": expect, "trusted": expect}


_ANY_SIZE = either(whatever)
CASES = (
    # Right at two levels: 363 MB, 2 s alone and 9 beside others.
    Case(54, "png-11k", made("x.png", lambda: zero_png(11000, 11000)), **_both(either(shape(11000, 11000))),
         untrusted=_LIMIT, seconds=20),
    *(Case(number, f"{name}-by-its-head", made(name, make), _LIMIT_OR_DAMAGE,
           untrusted=_LIMIT, trusted=_LIMIT_OR_DAMAGE, seconds=4) for number, name, make in HEADS),
    Case(59, "gif-10k-100", file("x.gif", gif(10000, 10000, 100)), either(shape(10000, 10000)), untrusted=_LIMIT,
         levels=("untrusted",), seconds=2),
    Case(59, "gif-10k-100-at-once", file("x.gif", gif(10000, 10000, 100)), _LIMIT, trusted=_LIMIT, read=mimread,
         seconds=4),
    Case(60, "gif-100k-frames-at-once", made("x.gif", lambda: gif(1, 1, _MANY)), _LIMIT, read=mimread,
         levels=("untrusted",)),
    Case(60, "gif-100k-frames-streamed", made("x.gif", lambda: gif(1, 1, _MANY)), either(shape(1, 1)), read=stream,
         levels=("normal", "untrusted"), seconds=8),
    Case(60, "gif-100k-frames-up-to-a-limit", made("x.gif", lambda: gif(1, 1, _MANY)), read=stream,
         trusted=_LIMIT, limits={"frames": 5000}, levels=("trusted",), seconds=8),
    Case(61, "webp-at-once", made("x.webp", lambda: webp_animation(_MANY)), _LIMIT, read=mimread,
         levels=("untrusted",)),
    Case(61, "webp-first", made("x.webp", lambda: webp_animation(_MANY)), either(shape(1, 1)), seconds=8,
         levels=("normal", "untrusted")),
    Case(61, "webp-first-in-time", made("x.webp", lambda: webp_animation(_MANY)), trusted=either(shape(1, 1)),
         limits={"first_frame": 3.0, "still": 3.0, "stall": 3.0}, levels=("trusted",), seconds=8),
    Case(61, "apng-at-once", made("x.png", lambda: apng(_MANY)), _LIMIT, read=mimread, levels=("untrusted",)),
    Case(61, "apng-first", made("x.png", lambda: apng(_MANY)), **_both(either(shape(1, 1))), seconds=8),
    Case(61, "mng", made("x.mng", lambda: _mng(_MANY)), **_both(_ANY_SIZE), seconds=8),
    Case(62, "tiff-ifd-loop", file("x.tif", tiff([page()] * 2, bytes(108), loop=True)), either(shape(9, 12)),
         trusted=either(shape(9, 12)), seconds=3),
    Case(62, "tiff-ifd-loop-at-once", file("x.tif", tiff([page()] * 2, bytes(108), loop=True)), either(frames(2)),
         trusted=either(frames(2)), read=mimread, seconds=3),
    Case(63, "tiff-100k-pages", made("x.tif", lambda: tiff([page()] * _MANY, bytes(108))), **_both(either(whatever)),
         seconds=8),
    Case(63, "tiff-100k-pages-at-once", made("x.tif", lambda: tiff([page()] * _MANY, bytes(108))), _LIMIT,
         read=mimread, seconds=8, levels=("untrusted",)),
    Case(64, "tiff-huge-strip", file("x.tif", _strip(0xFFFFFFF0)), **_both(either(shape(9, 12))), seconds=3),
    Case(64, "tiff-huge-rows", file("x.tif", tiff([page(40000, 40000, size=108)], bytes(108))),
         **_both(refuse(LimitExceeded, CorruptMedia)), seconds=3),
    Case(65, "tiff-tag-bomb", file("x.tif", _tags(0xFFFFFFFF)), **_both(either(shape(9, 12))), seconds=3),
    Case(65, "tiff-tag-bombs", file("x.tif", _tag_of_every_kind()), **_both(either(shape(9, 12))), seconds=5),
    Case(66, "jpeg-scans", made("x.jpg", lambda: _jpeg(8000, 6000, 2000)), either(shape(6000, 8000)),
         limits={"still": 2.0}),
    Case(67, "png-ztxt-bomb", made("x.png", lambda: _packed_text(1 << 30)), either(same()), levels=("untrusted",),
         seconds=20),
    Case(67, "png-ztxt-bomb-of-256-MB", made("x.png", lambda: _packed_text(1 << 28)), **_both(either(same()))),
    Case(67, "png-icc-bomb", made("x.png", lambda: _packed_profile(1 << 28)), **_both(either(same()))),
    Case(68, "ico-huge", file("x.ico", _icon()), **_both(refuse())),
    Case(68, "psd-huge", file("x.psd", _photoshop()), **_both(refuse())),
    Case(68, "exr-huge", file("x.exr", _exr()), **_both(refuse())),
    Case(69, "mp4-huge-table", _huge_table, either(same()), trusted=either(same())),
    Case(70, "mp4-16k", _huge_frame, **_both(refuse()), untrusted=_LIMIT, seconds=8),
    Case(71, "mkv-endless", lambda _: Endless(_matroska_head() + _CLUSTER, _VOID), **_both(refuse()),
         limits=_content(8 << 20)),
    Case(71, "mkv-without-end", lambda place: place.write("x.mkv", _matroska_head() + _CLUSTER + _VOID * 4000),
         **_both(refuse()),
         seconds=12),
    Case(72, "ts-endless", lambda _: Endless(b"", _NULL_PACKET), **_both(refuse()), limits=_content(8 << 20)),
    Case(72, "ts-without-a-stream", lambda place: place.write("x.ts", _NULL_PACKET * 60_000), **_both(refuse()),
         seconds=12),
    Case(73, "dev-zero", lambda _: "/dev/zero", **_both(refuse(UriError, ForbiddenUri)), seconds=2),
    Case(73, "fifo", _fifo, **_both(refuse(UriError, ForbiddenUri)), seconds=2),
    Case(73, "socket", _socket, **_both(refuse(UriError, ForbiddenUri)), seconds=2),
    Case(73, "folder", lambda place: place.folder, **_both(refuse(UriIsDirectory)), seconds=2),
    Case(73, "dev-zero-as-file-object", lambda _: Endless(b"", bytes(1 << 16)), **_both(_LIMIT),
         limits=_content(8 << 20)),
    Case(74, "svgz", made("x.svgz", lambda: _nested(1)), refuse()),
    Case(74, "gz-layers", made("x.png", lambda: _nested(8)), **_both(refuse())),
    Case(75, "zip-42", _zipped(_zip_bomb), **_both(refuse(LimitExceeded, CorruptMedia))),
    Case(76, "zip-overlap", _zipped(_zip_overlap), **_both(refuse(CorruptMedia)), seconds=2),
    Case(77, "zip-lying-size", _zipped(_zip_lie), **_both(refuse(CorruptMedia)), seconds=2),
    Case(78, "zip-60k-entries", _zipped(_zip_many), either(same()), untrusted=_LIMIT, trusted=either(same()),
         seconds=8),
    Case(79, "zip-dup-names", _zipped(_zip_twice), **_both(refuse(CorruptMedia)), seconds=2),
    *(Case(80, f"zip-slip-{number}", _slip(member),
           **_both(either(same())), read=_extract_nothing)
      for number, member in enumerate(("../evil.png", "a/../../evil.png", "..\\evil.png", "/evil.png"))),
    Case(81, "zip-encrypted", _zipped(_zip_encrypted), **_both(refuse(ForbiddenUri)), seconds=2),
    Case(82, "zip-in-zip", _zipped(lambda: _archive([("m.zip", bytes(_archive([("n.png", png())])))]), "m.zip/n.png"),
         **_both(refuse()), seconds=2),
    Case(82, "zip-in-zip-as-picture", _zipped(lambda: _archive([("m.png", bytes(_zip_bomb()))])), **_both(refuse())),
    Case(83, "zip-link", _zipped(_zip_link), **_both(refuse(ForbiddenUri, CorruptMedia)), seconds=2),
    Case(84, "npy-shape-bomb", file("x.npy", _npy("(1000000, 1000000, 12)")), **_both(refuse()), seconds=2),
    Case(84, "npy-negative-shape", file("x.npy", _npy("(-1, 8)")), **_both(refuse()), seconds=2),
    Case(84, "npy-dimensions", file("x.npy", _npy(str((1,) * 40), bytes(8))), **_both(either(whatever)), seconds=2),
    Case(84, "npy-overflowing-shape", file("x.npy", _npy("(4294967296, 4294967296)")), **_both(refuse()), seconds=2),
    Case(84, "npy-deep-header", file("x.npy", _npy("(" * 60 + "8" + ")" * 30)), **_both(refuse()), seconds=2),
)  # fmt: skip
