"""Picture files -> the blocks of metadata in them, and what only the file itself says; JPEG, PNG, WebP, GIF, TIFF.

What the blocks mean is not known here, only where they are and how they are put together.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import struct
import zlib
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from bridge.media.exif import ICC, IPTC, MOST_TAGS, RESOURCES, XMP, Exif
from bridge.media.head import Window
from bridge.media.heif import texts
from bridge.media.sniff import _colour_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.media.head import ReadAt

__all__ = ["DAMAGE", "MOST_PROFILE", "MOST_TEXT", "Found", "find"]

MOST_TEXT = 1 << 20  # characters and bytes of one group
MOST_PROFILE = 1 << 22  # bytes of an ICC profile
_MOST_READ = 1 << 25  # bytes of all blocks of one file
_MOST_INFLATED = 1 << 24  # bytes of all compressed blocks of one file, also of those that are refused then
_MOST_STEPS = 1 << 23  # what all blocks of one file may weigh, those between the metadata included
_MOST_PIECES = 1 << 15  # sub-blocks of one extension of a GIF

# What a damaged block raises; the ParseError of XML is a SyntaxError.
DAMAGE = (struct.error, LookupError, ValueError, OverflowError, SyntaxError, zlib.error)

# What steers a terminal or turns the direction of its text, and halves of characters that cannot be printed.
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _clean(value: Any) -> Any:
    """Escape what steers a terminal, in texts and lists of texts."""
    if isinstance(value, list):
        return [_clean(item) for item in value]
    if not isinstance(value, str):
        return value
    lines = value.replace("\r\n", "\n").replace("\r", "\n")
    return _STEERING.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), lines)


def _cost(value: Any) -> int:
    if isinstance(value, list | tuple):
        return sum(_cost(item) for item in value)
    return len(value) if isinstance(value, str | bytes) else 8


class Found:
    """The groups and blocks of one file, within bounds."""

    def __init__(self) -> None:
        self.groups: dict[str, dict[str, Any]] = {}
        self.exif = self.xmp = self.icc = self.iptc = self.resources = b""
        self.extended: dict[bytes, dict[int, bytes]] = {}  # of XMP: id -> offset -> part
        self.parts: dict[int, tuple[int, bytes]] = {}  # of an ICC profile in a JPEG: number -> how many, part
        self.tiff: Exif | None = None
        self.left_out: dict[str, None] = {}  # what was too large, in words, once each
        self._left: dict[str, int] = {"ICC": MOST_PROFILE + MOST_TEXT}
        self._tags, self._read, self._inflated, self._steps = MOST_TAGS, _MOST_READ, _MOST_INFLATED, _MOST_STEPS

    def put(self, group: str, name: str, value: Any, *, several: bool = False) -> None:
        """Add a value unless the name is taken or the group is full; `several` of one name make a list."""
        left = self._left.get(group, MOST_TEXT)
        if not self._tags or _cost(value) > left:
            self.leave_out(group)
            return
        name, value = _clean(name), _clean(value)
        cost = _cost(value) + len(name)  # now that all is escaped
        taken = name in self.groups.get(group, ())
        if cost > left:
            self.leave_out(group)
        if cost > left or (taken and not several):
            return
        self._left[group] = left - cost
        self._tags -= 1
        if taken:
            before = self.groups[group][name]
            if not isinstance(before, list):
                before = self.groups[group][name] = [before]
            before += value if isinstance(value, list) else [value]
        else:
            self.groups.setdefault(group, {})[name] = value

    def put_durations(self, group: str, durations: list[float]) -> None:
        """Add the seconds of all frames, which no bound may cut short: it is one for each, or none."""
        if durations:
            self.groups.setdefault(group, {})["durations"] = durations

    def leave_out(self, what: str) -> None:
        """Remember that there was too much of something."""
        self.left_out[f"metadata of {what} is left out: it is too large"] = None

    def step(self, weight: int = 8) -> None:
        """Count one block of the file; the sub-blocks of a GIF are small, and weigh less."""
        self._steps -= weight
        if self._steps < 0:
            raise ValueError("the file has too many blocks")

    def take(self, data: Window, at: int, size: int) -> bytes:
        """Read a block whole; none if it is too large or cut off."""
        if size > min(MOST_PROFILE + 1024, self._read):
            self.leave_out(f"{size} bytes")
            return b""
        self._read -= size
        block = data(at, size)
        return block if len(block) == size else b""

    def inflate(self, packed: bytes, most: int) -> bytes:
        """Unpack a block; ValueError if it gives more than `most` bytes, or has no end."""
        most = min(most, self._inflated)
        stream = zlib.decompressobj()
        block = stream.decompress(packed, most + 1)
        self._inflated -= min(len(block), most)
        if len(block) > most:
            self.leave_out("a packed block")
        if len(block) > most or not stream.eof:
            raise ValueError("the compressed block is too large or cut off")
        return block


def find(kind: str, read_at: ReadAt) -> Found:
    """Gather the blocks of a file of that kind; one that is cut or damaged ends the walk, never in an error."""
    found, data = Found(), _within(read_at)
    with contextlib.suppress(*DAMAGE):
        if kind in ("tiff", "raw"):  # most camera RAW is TIFF
            _tiff(data, found)
        elif kind in _WALKERS:
            _WALKERS[kind](Window(data), found)
    return found


def _within(read_at: ReadAt) -> ReadAt:
    """Give nothing for offsets that no file has, which would overflow there."""
    return lambda at, count: read_at(at, count) if 0 <= at < 1 << 62 else b""


# JPEG


def _jpeg(data: Window, found: Found) -> None:
    at = 2
    with contextlib.suppress(struct.error, IndexError):
        while data.byte(at) == 0xFF and (marker := data.byte(at + 1)) not in (0xDA, 0xD9):
            found.step()
            if marker in (0xFF, 1) or 0xD0 <= marker <= 0xD8:
                at += 1 if marker == 0xFF else 2
                continue
            size = data.number(">H", at + 2)
            if marker == 0xFE or 0xE0 <= marker <= 0xEF:
                _jpeg_segment(marker, found.take(data, at + 4, max(size - 2, 0)), found)
            at += 2 + max(size, 2)
    parts = sorted(found.parts.items())
    if [(number, count) for number, (count, _) in parts] == [(n + 1, len(parts)) for n in range(len(parts))]:
        found.icc = b"".join(part for _, (_, part) in parts)


_PACKET = b"http://ns.adobe.com/xap/1.0/\0"


def _jpeg_segment(marker: int, block: bytes, found: Found) -> None:
    for its_marker, start, tell in _JPEG_SEGMENTS:
        if marker == its_marker and block.startswith(start):
            with contextlib.suppress(*DAMAGE):
                tell(block[len(start) :], found)


def _jpeg_comment(block: bytes, found: Found) -> None:
    found.put("COMMENT", "Comment", block.decode("utf-8", "replace").rstrip("\0"), several=True)


def _jpeg_jfif(block: bytes, found: Found) -> None:
    major, minor, units, *density = struct.unpack_from(">BBBHH", block)
    for name, value in (("version", (major, minor)), ("units", units), ("density", tuple(density))):
        found.put("JFIF", name, value)


def _jpeg_adobe(block: bytes, found: Found) -> None:
    names = ("version", "flags0", "flags1", "transform")
    for name, value in zip(names, struct.unpack_from(">HHHB", block), strict=True):
        found.put("ADOBE", name, value)


def _jpeg_exif(block: bytes, found: Found) -> None:
    found.exif += block[1:]  # one that is longer than a segment goes on in the next


def _jpeg_xmp(block: bytes, found: Found) -> None:
    found.xmp = found.xmp or block


def _jpeg_more_xmp(block: bytes, found: Found) -> None:
    (offset,) = struct.unpack_from(">L", block, 36)
    found.extended.setdefault(block[:32], {})[offset] = block[40:]


def _jpeg_profile(block: bytes, found: Found) -> None:
    found.parts.setdefault(block[0], (block[1], block[2:]))


def _jpeg_photoshop(block: bytes, found: Found) -> None:
    found.resources += block


_JPEG_SEGMENTS: tuple[tuple[int, bytes, Callable[[bytes, Found], None]], ...] = (
    (0xFE, b"", _jpeg_comment),
    (0xE0, b"JFIF\0", _jpeg_jfif),
    (0xE1, b"Exif\0", _jpeg_exif),
    (0xE1, _PACKET, _jpeg_xmp),
    (0xE1, b"http://ns.adobe.com/xmp/extension/\0", _jpeg_more_xmp),
    (0xE2, b"ICC_PROFILE\0", _jpeg_profile),
    (0xED, b"Photoshop 3.0\0", _jpeg_photoshop),
    (0xEE, b"Adobe", _jpeg_adobe),
)


# PNG


def _png(data: Window, found: Found) -> None:
    at, durations = 8, list[float]()
    with contextlib.suppress(struct.error):
        while (name := data(at + 4, 4)) != b"IEND":
            found.step()
            size = data.number(">L", at)
            if name in _PNG_CHUNKS:
                block = found.take(data, at + 4, size + 8)
                if block and zlib.crc32(block[:-4]) == int.from_bytes(block[-4:], "big"):
                    with contextlib.suppress(*DAMAGE):
                        _PNG_CHUNKS[name](block[4:-4], found)
            if name == b"fcTL" and size == 26:
                above, below = struct.unpack(">HH", data(at + 28, 4))
                durations.append(above / (below or 100))
            at += 12 + size
    found.put_durations("PNG", durations)


def _png_text(block: bytes, found: Found) -> None:
    keyword, _, text = block.partition(b"\0")
    _png_say(keyword, text.decode("latin-1"), found)


def _png_packed_text(block: bytes, found: Found) -> None:
    keyword, _, packed = block.partition(b"\0")
    _png_say(keyword, found.inflate(packed[1:], MOST_TEXT).decode("latin-1"), found)


def _png_unicode_text(block: bytes, found: Found) -> None:
    keyword, _, rest = block.partition(b"\0")
    _language, _, rest_of_it = rest[2:].partition(b"\0")
    _translated, _, text = rest_of_it.partition(b"\0")
    if rest[0]:
        text = found.inflate(text, MOST_TEXT)
    if keyword == b"XML:com.adobe.xmp":
        found.xmp = found.xmp or text
    else:
        _png_say(keyword, text.decode("utf-8", "replace"), found)


def _png_say(keyword: bytes, text: str, found: Found) -> None:
    """Take a text, or the profile in it: ImageMagick writes some as text, in hexadecimal."""
    if not keyword.lower().startswith(b"raw profile type "):
        found.put("COMMENT", keyword.decode("latin-1"), text, several=True)
        return
    _name, _size, digits = text.split(None, 2)
    block, name = bytes.fromhex(digits), keyword[17:].lower()
    if name in (b"exif", b"app1") and not block.startswith(b"http:"):
        found.exif = found.exif or block.removeprefix(b"Exif\0\0")
    elif name in (b"xmp", b"app1"):
        found.xmp = found.xmp or block.removeprefix(_PACKET)
    elif name in (b"iptc", b"8bim"):
        found.resources = found.resources or block.removeprefix(b"Photoshop 3.0\0")
    elif name in (b"icc", b"icm"):
        found.icc = found.icc or block


def _png_profile(block: bytes, found: Found) -> None:
    found.icc = found.inflate(block.partition(b"\0")[2][1:], MOST_PROFILE)


def _png_exif(block: bytes, found: Found) -> None:
    found.exif = block.removeprefix(b"Exif\0\0")


def _png_time(block: bytes, found: Found) -> None:
    found.put("PNG", "tIME", datetime(*struct.unpack(">H5B", block)))  # noqa: DTZ001 - it should be UTC, and seldom is


def _png_numbers(name: str, form: str, scale: int = 0) -> Callable[[bytes, Found], None]:
    def tell(block: bytes, found: Found) -> None:
        values = struct.unpack(form, block)
        numbers = tuple(Fraction(value, scale) for value in values) if scale else values
        found.put("PNG", name, numbers if len(numbers) > 1 else numbers[0])

    return tell


def _png_animation(block: bytes, found: Found) -> None:
    found.put("PNG", "loop", struct.unpack(">LL", block)[1])


_PNG_CHUNKS: dict[bytes, Callable[[bytes, Found], None]] = {
    b"tEXt": _png_text,
    b"zTXt": _png_packed_text,
    b"iTXt": _png_unicode_text,
    b"eXIf": _png_exif,
    b"iCCP": _png_profile,
    b"tIME": _png_time,
    b"acTL": _png_animation,
    b"pHYs": _png_numbers("pHYs", ">LLB"),
    b"gAMA": _png_numbers("gAMA", ">L", 100_000),
    b"cHRM": _png_numbers("cHRM", ">8L", 100_000),
    b"sRGB": _png_numbers("sRGB", ">B"),
    b"cICP": _png_numbers("cICP", ">4B"),
}


# WebP


def _webp(data: Window, found: Found) -> None:
    at, durations = 12, list[float]()
    with contextlib.suppress(struct.error):
        while name := data(at, 4):
            found.step()
            size = data.number("<L", at + 4)
            if name == b"EXIF":
                found.exif = found.take(data, at + 8, size).removeprefix(b"Exif\0\0")
            elif name == b"XMP ":
                found.xmp = found.take(data, at + 8, size)
            elif name == b"ICCP":
                found.icc = found.take(data, at + 8, size)
            elif name == b"ANIM":
                found.put("WEBP", "loop", data.number("<H", at + 12))
            elif name == b"ANMF":
                durations.append((data.number("<L", at + 20) & 0xFFFFFF) / 1000)
            at += 8 + (size + 1 & ~1)
    found.put_durations("WEBP", durations)


# GIF


def _gif(data: Window, found: Found) -> None:
    durations: list[float] = []
    with contextlib.suppress(struct.error, IndexError):
        if (version := data(3, 3)) in (b"87a", b"89a"):
            found.put("GIF", "version", version.decode())
        _gif_blocks(data, found, durations)
    found.put_durations("GIF", durations)


def _gif_blocks(data: Window, found: Found, durations: list[float]) -> None:
    at, delay = 13 + _colour_table(data.byte(10)), 0
    while (mark := data(at, 1)) in (b"!", b","):
        found.step()
        if mark == b",":
            at += 11 + _colour_table(data.byte(at + 9))
            durations.append(delay / 100)
            delay = 0
        else:
            if (label := data.byte(at + 1)) == 0xF9:
                delay = data.number("<H", at + 4)
            pieces = [*itertools.islice(_sub_blocks(data, at + 2, found), _MOST_PIECES)]
            if pieces and len(pieces) < _MOST_PIECES:
                _gif_extension(label, data, pieces, found)
            at = sum(pieces[-1]) if pieces else at + 2
        while size := data.byte(at):
            found.step(1)
            at += 1 + size
        at += 1


def _sub_blocks(data: Window, at: int, found: Found) -> Iterator[tuple[int, int]]:
    """Give where each sub-block is and its size; the one without ends them."""
    while size := data.byte(at):
        found.step(1)
        yield at + 1, size
        at += 1 + size


def _gif_extension(label: int, data: Window, pieces: list[tuple[int, int]], found: Found) -> None:
    if label == 0xFE:
        text = b"".join(found.take(data, *piece) for piece in pieces)
        found.put("COMMENT", "Comment", text.decode("utf-8", "replace").rstrip("\0"), several=True)
    if label != 0xFF or len(pieces) < 2:
        return
    application, (at, size), end = data(*pieces[0]), pieces[1], sum(pieces[-1])
    if application in (b"NETSCAPE2.0", b"ANIMEXTS1.0") and size == 3 and data.byte(at) == 1:
        found.put("GIF", "loop", data.number("<H", at + 1))
    elif application == b"ICCRGBG1012":
        found.icc = b"".join(found.take(data, *piece) for piece in pieces[1:])
    elif application == b"XMP DataXMP":  # one run of bytes, made to look like sub-blocks by what follows it
        found.xmp = found.take(data, at - 1, end - at + 1).partition(b"\x01\xff\xfe")[0]


# TIFF


def _tiff(read_at: ReadAt, found: Found) -> None:
    exif = found.tiff = Exif.read(read_at)
    found.xmp, found.iptc, found.icc, found.resources = (exif.blob(tag) for tag in (XMP, IPTC, ICC, RESOURCES))


def _heif(data: Window, found: Found) -> None:
    """HEIC and AVIF are turned by their decoders: what EXIF says besides of their orientation is no longer so."""
    where = texts(data)
    block = found.take(data, *where.exif)
    if len(block) > 4:
        found.exif = block[4 + int.from_bytes(block[:4], "big") :]
        found.put("EXIF", "Orientation", 1)
    found.xmp = found.take(data, *where.xmp)
    found.icc = where.icc


_WALKERS: dict[str, Callable[[Window, Found], None]] = {
    "jpeg": _jpeg,
    "png": _png,
    "apng": _png,
    "webp": _webp,
    "gif": _gif,
    "heic": _heif,
    "avif": _heif,
}
