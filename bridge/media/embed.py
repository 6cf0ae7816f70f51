"""Blocks of metadata -> into a finished JPEG, PNG, WebP or TIFF, in place of those of the same sort in it.

What the blocks say is not known here, only where each kind of file has them.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.media.exif import ICC, IPTC, XMP, Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.media.exif import Exif
    from bridge.media.head import ReadAt

__all__ = ["MOST_SEGMENT", "Blocks", "amend_tiff", "embed"]

MOST_SEGMENT = 65_533  # bytes that a segment of a JPEG holds

_EXIF = b"Exif\0\0"
_PACKET = b"http://ns.adobe.com/xap/1.0/\0"
_MORE = b"http://ns.adobe.com/xmp/extension/\0"
_PROFILE = b"ICC_PROFILE\0"
_RESOURCES = b"Photoshop 3.0\0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """What is to be put into a file; empty is what it shall not have anew.

    Attributes
    ----------
    exif : Exif or None
        Its directories.
    xmp, icc : bytes
        A packet, a profile.
    iptc : bytes
        A record, in the resources of Photoshop.
    comments : tuple
        Keyword and text of each.
    """

    exif: Exif | None = None
    xmp: bytes = b""
    icc: bytes = b""
    iptc: bytes = b""
    comments: tuple[tuple[str, str], ...] = ()

    def __bool__(self) -> bool:
        """Tell whether there is anything."""
        return bool((self.exif and self.exif.pack()) or self.xmp or self.icc or self.iptc or self.comments)


def embed(kind: str, content: bytes, blocks: Blocks) -> bytes:
    """Put blocks into a picture file.

    Parameters
    ----------
    kind : str
        ``"jpeg"``, ``"png"`` or ``"webp"``.
    content : bytes
        The file, whole.
    blocks : Blocks
        Each small enough for that kind of file.

    Returns
    -------
    bytes
        The new file: its pixels are those bytes that they were.

    Raises
    ------
    ValueError, struct.error
        If that is no such file.
    """
    return b"".join(_EMBEDDERS[kind](content, blocks))


# JPEG


def _jpeg(content: bytes, blocks: Blocks) -> Iterator[bytes]:
    if not content.startswith(b"\xff\xd8"):
        raise ValueError("it is no JPEG")
    doomed = tuple(_jpeg_doomed(blocks))
    heads, others, at = [b"\xff\xd8"], list[bytes](), 2
    while (marker := content[at + 1]) not in (0xDA, 0xD9):
        (size,) = struct.unpack_from(">H", content, at + 2)
        segment = content[at : at + 2 + size]
        if content[at] != 0xFF or size < 2:
            raise ValueError("it is a damaged JPEG")
        if marker == 0xE0 and not others:
            heads.append(segment)
        elif not any(marker == its and segment.startswith(start, 4) for its, start in doomed):
            others.append(segment)
        at += 2 + size
    yield from heads
    yield from _jpeg_segments(blocks)
    yield from others
    yield content[at:]


def _jpeg_doomed(blocks: Blocks) -> Iterator[tuple[int, bytes]]:
    """Give marker and beginning of the segments that are replaced."""
    if blocks.exif:
        yield 0xE1, b"Exif\0"
    if blocks.xmp:
        yield 0xE1, _PACKET
        yield 0xE1, _MORE
    if blocks.icc:
        yield 0xE2, _PROFILE
    if blocks.iptc:
        yield 0xED, _RESOURCES
    if blocks.comments:
        yield 0xFE, b""


def _jpeg_segments(blocks: Blocks) -> Iterator[bytes]:
    if blocks.exif and (packed := blocks.exif.pack()):
        yield _segment(0xE1, _EXIF + packed)
    if blocks.xmp:
        yield from _jpeg_xmp(blocks.xmp)
    step = MOST_SEGMENT - len(_PROFILE) - 2
    parts = [blocks.icc[at : at + step] for at in range(0, len(blocks.icc), step)]
    for number, part in enumerate(parts, 1):
        yield _segment(0xE2, _PROFILE + bytes((number, len(parts))) + part)
    if blocks.iptc:
        yield _segment(0xED, _RESOURCES + blocks.iptc)
    for _, text in blocks.comments:
        yield _segment(0xFE, text.encode())


def _jpeg_xmp(packet: bytes) -> Iterator[bytes]:
    """Write a packet; one that is too long for a segment as an extension, to which a short one points."""
    if len(_PACKET) + len(packet) <= MOST_SEGMENT:
        yield _segment(0xE1, _PACKET + packet)
        return
    name = hashlib.md5(packet, usedforsecurity=False).hexdigest().upper()
    yield _segment(0xE1, _PACKET + _POINTER.format(name).encode())
    step = MOST_SEGMENT - len(_MORE) - 40
    for at in range(0, len(packet), step):
        head = _MORE + name.encode() + struct.pack(">LL", len(packet), at)
        yield _segment(0xE1, head + packet[at : at + step])


_POINTER = (
    '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
    '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" '
    'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="{}"/></rdf:RDF></x:xmpmeta>'
    '<?xpacket end="w"?>'
)


def _segment(marker: int, block: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(block) + 2) + block


# PNG

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")


def _png(content: bytes, blocks: Blocks) -> Iterator[bytes]:
    if not content.startswith(_SIGNATURE + b"\0\0\0\rIHDR"):
        raise ValueError("it is no PNG")
    yield content[:33]
    yield from _png_chunks(blocks)
    at = 33
    while at < len(content):
        size, name = struct.unpack_from(">L4s", content, at)
        if not _png_doomed(name, content[at + 8 : at + 8 + min(size, 80)], blocks):
            yield content[at : at + 12 + size]
        at += 12 + size


def _png_doomed(name: bytes, begin: bytes, blocks: Blocks) -> bool:
    """Tell whether a chunk is replaced; a profile stands for all that is said about colour."""
    if name in _TEXTS:
        return bool(blocks.xmp if begin.startswith(_XMP_KEYWORD) else blocks.comments)
    if name == b"eXIf":
        return blocks.exif is not None
    return name in (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP") and bool(blocks.icc)


def _png_chunks(blocks: Blocks) -> Iterator[bytes]:
    if blocks.icc:  # before the palette, as all of them may be
        yield _chunk(b"iCCP", b"ICC profile\0\0" + zlib.compress(blocks.icc))
    if blocks.exif and (packed := blocks.exif.pack()):
        yield _chunk(b"eXIf", packed)
    if blocks.xmp:
        yield _chunk(b"iTXt", _XMP_KEYWORD + bytes(4) + blocks.xmp)
    for keyword, text in blocks.comments:
        try:
            yield _chunk(b"tEXt", keyword.encode("latin-1") + b"\0" + text.encode("latin-1"))
        except UnicodeEncodeError:
            yield _chunk(b"iTXt", keyword.encode("latin-1") + bytes(5) + text.encode())


def _chunk(name: bytes, block: bytes) -> bytes:
    body = name + block
    return struct.pack(">L", len(block)) + body + struct.pack(">L", zlib.crc32(body))


# WebP

_ICC_FLAG, _ALPHA_FLAG, _EXIF_FLAG, _XMP_FLAG = 0x20, 0x10, 0x08, 0x04


def _webp(content: bytes, blocks: Blocks) -> Iterator[bytes]:
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP":
        raise ValueError("it is no WebP")
    kept = [*_webp_chunks(content)]
    head = bytearray(kept.pop(0)[1] if kept[0][0] == b"VP8X" else _webp_head(*kept[0]))
    exif = blocks.exif.pack() or b"" if blocks.exif else b""
    given = ((b"ICCP", blocks.icc, _ICC_FLAG), (b"EXIF", exif, _EXIF_FLAG), (b"XMP ", blocks.xmp, _XMP_FLAG))
    for name, block, flag in given:
        if block:
            head[0] |= flag
            kept = [row for row in kept if row[0] != name]
            kept.insert(0 if name == b"ICCP" else len(kept), (name, block))
    body = b"WEBP" + b"".join(_riff(name, block) for name, block in [(b"VP8X", bytes(head)), *kept])
    yield struct.pack("<4sL", b"RIFF", len(body)) + body


def _webp_chunks(content: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 12
    while at + 8 <= len(content):
        name, size = struct.unpack_from("<4sL", content, at)
        yield name, content[at + 8 : at + 8 + size]
        at += 8 + (size + 1 & ~1)


def _webp_head(name: bytes, block: bytes) -> bytes:
    """Give what VP8X says of a file that has only pixels: the size, and whether they are transparent."""
    if name == b"VP8L":
        (bits,) = struct.unpack_from("<L", block, 1)
        width, height, alpha = bits & 0x3FFF, bits >> 14 & 0x3FFF, bits >> 28 & 1
    else:
        across, down = struct.unpack_from("<HH", block, 6)
        width, height, alpha = (across & 0x3FFF) - 1, (down & 0x3FFF) - 1, 0
    head: bytes = struct.pack("<L", _ALPHA_FLAG if alpha else 0) + struct.pack("<L", width)[:3]
    return head + struct.pack("<L", height)[:3]


def _riff(name: bytes, block: bytes) -> bytes:
    return struct.pack("<4sL", name, len(block)) + block + bytes(len(block) % 2)


# TIFF

_X_RESOLUTION, _Y_RESOLUTION, _RESOLUTION_UNIT = 0x11A, 0x11B, 0x128


def amend_tiff(read_at: ReadAt, size: int, blocks: Blocks) -> list[tuple[int, bytes]]:
    """Tell how to put blocks into a little-endian TIFF: its first directory is written anew at the end.

    Parameters
    ----------
    read_at : callable
        ``read_at(offset, count)`` gives bytes of the file.
    size : int
        How many it has.
    blocks : Blocks
        What the new directory has beside the entries of the old one, or in place of them.

    Returns
    -------
    list of tuple
        Where to write, and what: first behind the end, then where the file points to its first directory.

    Raises
    ------
    ValueError, struct.error
        If that is no such file, or if it grows too large for its kind.
    """
    magic = read_at(0, 4)
    if magic not in (b"II*\0", b"II+\0"):
        raise ValueError("it is no little-endian TIFF")
    tail = _Tail(big=magic[2:3] == b"+", start=size)
    where = 8 if tail.big else 4
    (first,) = struct.unpack(tail.pointer, read_at(where, struct.calcsize(tail.pointer)))
    rows, following = tail.rows(read_at, first)
    own = _first_directory(tail, blocks)
    if own.keys() & {_X_RESOLUTION, _Y_RESOLUTION}:
        rows.pop(_RESOLUTION_UNIT, None)  # that of what is replaced; by default inches
    at = tail.put(own, rows, following)
    return [(size, bytes(tail.data)), (where, struct.pack(tail.pointer, at))]


def _first_directory(tail: _Tail, blocks: Blocks) -> dict[int, Entry]:
    """Give the new entries; the directories to which they point are written."""
    directories = {name: dict(entries) for name, entries in (blocks.exif.directories if blocks.exif else {}).items()}
    own = directories.get("IFD0", {})
    if directories.get("Interop"):
        directories.setdefault("Exif", {})[0xA005] = tail.pointing(0xA005, directories["Interop"])
    for tag, name in ((0x8769, "Exif"), (0x8825, "GPS")):
        if directories.get(name):
            own[tag] = tail.pointing(tag, directories[name])
    own |= {tag: Entry(tag, 7, len(raw), raw) for tag, raw in ((XMP, blocks.xmp), (ICC, blocks.icc)) if raw}
    if blocks.iptc:
        size = int.from_bytes(blocks.iptc[8:12], "big")
        own[IPTC] = Entry(IPTC, 7, size, blocks.iptc[12 : 12 + size])
    return own


class _Tail:
    """What is written behind a TIFF: values and directories, each at its place in the whole file."""

    def __init__(self, *, big: bool, start: int) -> None:
        self.big, self.pointer = big, "<Q" if big else "<L"
        self.data = bytearray(start % 2)
        self._start = start
        self._count, self._head, self._inline = ("<Q", "<HHQ", 8) if big else ("<H", "<HHL", 4)

    def rows(self, read_at: ReadAt, at: int) -> tuple[dict[int, bytes], int]:
        """Read a directory: its entries as they are, and where the next directory is."""
        (count,) = struct.unpack(self._count, read_at(at, struct.calcsize(self._count)))
        at += struct.calcsize(self._count)
        size = struct.calcsize(self._head) + self._inline
        table = read_at(at, count * size)
        (following,) = struct.unpack(self.pointer, read_at(at + count * size, struct.calcsize(self.pointer)))
        rows = [table[each : each + size] for each in range(0, count * size, size)]
        return {struct.unpack_from("<H", row)[0]: row for row in rows}, following

    def pointing(self, tag: int, entries: dict[int, Entry]) -> Entry:
        """Write a directory; give the entry that points to it."""
        return Entry(tag, 16 if self.big else 4, 1, struct.pack(self.pointer, self.put(entries)))

    def put(self, entries: dict[int, Entry], rows: dict[int, bytes] | None = None, following: int = 0) -> int:
        """Write a directory, with older rows that no entry replaces; give where it is."""
        made = dict(rows or {})
        for tag, entry in entries.items():
            head = struct.pack(self._head, tag, entry.kind, entry.count)
            if len(entry.raw) > self._inline:
                made[tag] = head + struct.pack(self.pointer, self._append(entry.raw))
            else:
                made[tag] = head + entry.raw.ljust(self._inline, b"\0")
        count, end = struct.pack(self._count, len(made)), struct.pack(self.pointer, following)
        return self._append(count + b"".join(made[tag] for tag in sorted(made)) + end)

    def _append(self, raw: bytes) -> int:
        at = self._start + len(self.data)
        self.data += raw + bytes(len(raw) % 2)
        return at


_EMBEDDERS: dict[str, Callable[[bytes, Blocks], Iterator[bytes]]] = {"jpeg": _jpeg, "png": _png, "webp": _webp}
