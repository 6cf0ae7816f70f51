"""Small builders of files, honest and lying, byte by byte: no program, nothing large ever in memory."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Picture = np.ndarray[Any, Any]

__all__ = [
    "PICTURE",
    "apng",
    "atom",
    "chunk",
    "deflated_zeros",
    "gif",
    "movie",
    "pillow",
    "png",
    "riff",
    "text_chunk",
    "tiff",
    "webp_animation",
    "zero_png",
]

# Twelve by nine, every value another one; none is near the colour of the canaries.
PICTURE = (np.arange(9 * 12 * 3, dtype=np.int64) * 37 % 200).astype(np.uint8).reshape(9, 12, 3)

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PIECE = 1 << 20


# PNG


def chunk(name: bytes, data: bytes = b"") -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def text_chunk(key: str, text: bytes) -> bytes:
    return chunk(b"tEXt", key.encode() + b"\0" + text)


def png(picture: Picture = PICTURE, *extra: bytes) -> bytes:
    """Make an 8-bit PNG of one or three channels, with further chunks before its pixels."""
    height, width = picture.shape[:2]
    rows = b"".join(b"\0" + row.tobytes() for row in picture)
    head = struct.pack(">IIBBBBB", width, height, 8, 2 if picture.ndim == 3 else 0, 0, 0, 0)
    return b"".join([_SIGNATURE, chunk(b"IHDR", head), *extra, chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND")])


def deflated_zeros(count: int) -> bytes:
    """Give a zlib stream of that many zeros: one piece is packed, and then stands there as often as needed."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(_PIECE)) + packer.flush(zlib.Z_FULL_FLUSH)
    last = zlib.compressobj(9, zlib.DEFLATED, -15)
    rest = last.compress(bytes(count % _PIECE)) + last.flush()
    adler = (count % 65521) << 16 | 1
    return b"\x78\xda" + piece * (count // _PIECE) + rest + struct.pack(">I", adler)


def zero_png(width: int, height: int, *, bits: int = 8, colour: int = 2, rows: int | None = None) -> bytes:
    """Make a black PNG of that size, as small as deflate can; of fewer `rows` than it says, if told so."""
    samples = {0: 1, 2: 3}[colour]
    row = 1 + (width * samples * bits + 7) // 8
    head = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    data = deflated_zeros(row * (height if rows is None else rows))
    return _SIGNATURE + chunk(b"IHDR", head) + chunk(b"IDAT", data) + chunk(b"IEND")


def apng(frames: int) -> bytes:
    """Make an animation of that many single pixels."""
    head = chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    pixels = zlib.compress(b"\0\x64")
    parts = [_SIGNATURE, head, chunk(b"acTL", struct.pack(">II", frames, 0))]
    for number in range(frames):
        at = 2 * number - 1 if number else 0  # each but the first has two numbered chunks
        parts.append(chunk(b"fcTL", struct.pack(">IIIIIHHBB", at, 1, 1, 0, 0, 1, 25, 0, 0)))
        parts.append(chunk(b"fdAT", struct.pack(">I", at + 1) + pixels) if number else chunk(b"IDAT", pixels))
    return b"".join([*parts, chunk(b"IEND")])


# GIF, WebP, TIFF


def gif(width: int, height: int, frames: int) -> bytes:
    """Make an animation of single pixels on a canvas of that size."""
    screen = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + bytes([10, 20, 30, 40, 50, 60])
    frame = b"!\xf9\x04\0\x0a\0\0\0" + b"," + struct.pack("<4HB", 0, 0, 1, 1, 0) + b"\x02\x02\x44\x01\0"
    return screen + frame * frames + b";"


def riff(form: bytes, *chunks: tuple[bytes, bytes]) -> bytes:
    body = form + b"".join(name + struct.pack("<I", len(data)) + data + bytes(len(data) % 2) for name, data in chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_animation(frames: int) -> bytes:
    """Make an animation of that many single pixels."""
    still = pillow(np.full((1, 1, 3), 90, np.uint8), "WEBP", lossless=True)
    pixels = still[12:]  # the one chunk of a still file
    frame = bytes(6) + bytes(6) + (40).to_bytes(3, "little") + b"\0" + pixels
    head = (b"VP8X", struct.pack("<I", 2) + bytes(6))
    return riff(b"WEBP", head, (b"ANIM", bytes(6)), *[(b"ANMF", frame)] * frames)


Tag = tuple[int, int, int, int]  # tag, type, count, value or offset


def tiff(pages: Sequence[Sequence[Tag]], data: bytes = b"", *, loop: bool = False) -> bytes:
    """Make a TIFF of these directories; `data` stands at offset 8. The last leads to the first, if told so."""
    at = 8 + len(data) + len(data) % 2
    parts = [b"II*\0" + struct.pack("<I", at), data + bytes(len(data) % 2)]
    first = at
    for number, tags in enumerate(pages):
        at += 6 + 12 * len(tags)
        following = at if number < len(pages) - 1 else first if loop else 0
        rows = b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags))
        parts.append(struct.pack("<H", len(tags)) + rows + struct.pack("<I", following))
    return b"".join(parts)


def page(width: int = 12, height: int = 9, *, size: int | None = None, at: int = 8) -> list[Tag]:
    """Give the tags of a gray page whose one strip stands at an offset."""
    facts = {256: width, 257: height, 258: 8, 259: 1, 262: 1, 273: at, 277: 1, 278: height,
             279: width * height if size is None else size}  # fmt: skip
    return [(tag, 4, 1, value) for tag, value in facts.items()]


def pillow(picture: Picture, format: str, **options: Any) -> bytes:
    """Give what Pillow writes."""
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format, **options)
    return file.getvalue()


# MP4


def atom(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return struct.pack(">I", 8 + len(body)) + name + body


def _full(name: bytes, *parts: bytes) -> bytes:
    return atom(name, bytes(4), *parts)


_MATRIX = struct.pack(">9I", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)


def movie(
    samples: Iterable[bytes],
    size: tuple[int, int] = (12, 9),
    *,
    codec: bytes = b"png ",
    scale: int = 25,
    delta: int = 1,
    count: int | None = None,
    shift: int = 0,
    reference: bytes = b"",
) -> bytes:
    """Make a QuickTime film whose frames are pictures.

    Parameters
    ----------
    samples : iterable of bytes
        PNG or JPEG files.
    size : tuple of int
        Width and height, as the film tells them.
    codec : bytes
        ``b"png "`` or ``b"jpeg"``.
    scale, delta : int
        Time units a second, and of each frame.
    count : int, optional
        How many frames it says it has.
    shift : int
        Composition offset of every frame; may be negative.
    reference : bytes
        A data reference to another file, in place of the film itself.
    """
    data = [*samples]
    told = len(data) if count is None else count
    head = atom(b"ftyp", b"qt  ", bytes(4), b"qt  ")
    start = len(head) + 8
    starts = [start + sum(map(len, data[:number])) for number in range(len(data))]
    width, height = size
    entry = atom(codec, bytes(6), struct.pack(">H", 1), bytes(16), struct.pack(">HH", *size),
                 struct.pack(">IIIH", 72 << 16, 72 << 16, 0, 1), bytes(32), struct.pack(">Hh", 24, -1))  # fmt: skip
    table = atom(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1), entry),
        _full(b"stts", struct.pack(">III", 1, told, delta)),
        *([atom(b"ctts", b"\1\0\0\0", struct.pack(">IIi", 1, told, shift))] if shift else ()),
        _full(b"stsc", struct.pack(">IIII", 1, 1, 1, 1)),
        _full(b"stsz", struct.pack(">II", 0, told), *(struct.pack(">I", len(item)) for item in data)),
        _full(b"stco", struct.pack(">I", len(starts)), *(struct.pack(">I", at) for at in starts)),
    )
    own = atom(b"url ", b"\0\0\0\1")
    information = atom(
        b"minf",
        atom(b"vmhd", b"\0\0\0\1", bytes(8)),
        atom(b"dinf", _full(b"dref", struct.pack(">I", 1), reference or own)),
        table,
    )
    length = min(told * delta, 0x7FFFFFFF)
    media = atom(
        b"mdia",
        _full(b"mdhd", struct.pack(">IIIIHH", 0, 0, scale, length, 0, 0)),
        _full(b"hdlr", b"mhlrvide", bytes(12), b"\0"),
        information,
    )
    facts = struct.pack(">IIIII", 0, 0, 1, 0, length) + bytes(16) + _MATRIX
    track = atom(
        b"trak",
        atom(b"tkhd", b"\0\0\0\3", facts, struct.pack(">II", min(width, 65535) << 16, min(height, 65535) << 16)),
        media,
    )
    header = struct.pack(">IIIIIH", 0, 0, scale, length, 1 << 16, 1 << 8) + bytes(10) + _MATRIX + bytes(24)
    return head + atom(b"mdat", *data) + atom(b"moov", _full(b"mvhd", header, struct.pack(">I", 2)), track)
