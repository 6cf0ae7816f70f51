"""First bytes -> kind of media; headers of common pictures -> size, depth, frames. No program, no file.

What is needed is asked of a `ReadAt`, a function that gives bytes at an offset, so that a header far into
a file costs no more than itself.
"""

from __future__ import annotations

import re
import struct
from typing import TYPE_CHECKING, Any, cast

from bridge.errors import CorruptMedia, UnsupportedPixels
from bridge.media.complete import ts_layout
from bridge.media.gif import colour_table
from bridge.media.head import PictureHead, Window, sampled
from bridge.media.heads import HEADS
from bridge.media.layers import BACKGROUND, KEEP, Layer, transparent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.media.head import ReadAt

__all__ = ["HEAD", "PictureHead", "layers_of", "picture_head", "sniff"]

HEAD = 4096  # bytes that `sniff` wants to see

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (128, b"DICM", "dicom"),  # what comes before it is free, and often the head of a TIFF
    (0, b"\x89PNG\r\n\x1a\n", "png"),
    (0, b"\xff\xd8\xff", "jpeg"),
    (0, b"GIF87a", "gif"),
    (0, b"GIF89a", "gif"),
    (0, b"BM", "bmp"),
    (0, b"II*\0", "tiff"),
    (0, b"MM\0*", "tiff"),
    (0, b"II+\0", "tiff"),
    (0, b"MM\0+", "tiff"),
    (0, b"IIU\0", "raw"),
    (0, b"IIRO", "raw"),
    (0, b"IIRS", "raw"),
    (0, b"MMOR", "raw"),
    (0, b"FUJIFILMCCD-RAW", "raw"),
    (0, b"\x93NUMPY", "npy"),
    (0, b"PK\x03\x04", "zip"),
    (0, b"PK\x05\x06", "zip"),
    (0, b"\x1aE\xdf\xa3", "matroska"),
    (0, b"FLV\x01", "flv"),
    (0, b"OggS", "ogg"),
    (0, b"0&\xb2u\x8ef\xcf\x11", "asf"),
    (0, b"YUV4MPEG2 ", "y4m"),
    (0, b"fLaC", "flac"),
    (0, b"ID3", "mp3"),
    (0, b"\xff\xfb", "mp3"),
    (0, b"\xff\xf3", "mp3"),
    (0, b"\xff\xf2", "mp3"),
    (0, b"\xff\xf1", "aac"),
    (0, b"\xff\xf9", "aac"),
    (8, b"AIFF", "aiff"),
    (0, b"\0\0\x01\xba", "mpegps"),
    (0, b"\0\0\x01\xb3", "mpegvideo"),
    (0, b"nut/multimedia container\0", "nut"),
    (0, b"8BPS", "psd"),
    (0, b"v/1\x01", "exr"),
    (0, b"#?RADIANCE", "hdr"),
    (0, b"#?RGBE", "hdr"),
    (0, b"\0\0\x01\0", "ico"),
    (0, b"\0\0\0\x0cjP  \r\n\x87\n", "jp2"),
    (0, b"\xffO\xffQ", "j2k"),
    (0, b"\0\0\0\x0cJXL \r\n\x87\n", "jxl"),
    (0, b"\xff\x0a", "jxl"),
    (0, b"qoif", "qoi"),
    (0, b"DDS |\0\0\0", "dds"),
    (0, b"SDPX", "dpx"),
    (0, b"XPDS", "dpx"),
    (0, b"SIMPLE  =", "fits"),
    (0, b"\x06\x0e+4\x02\x05\x01\x01\r\x01\x02", "mxf"),
    (0, b"%PDF-", "pdf"),
    (0, b"%!PS", "postscript"),
    (0, b"\xc5\xd0\xd3\xc6", "postscript"),
)

_BRANDS = {b"avif": "avif", b"avis": "avis", b"heic": "heic", b"heix": "heic", b"mif1": "heic", b"msf1": "heic",
           b"heim": "heic", b"heis": "heic", b"hevc": "heic", b"hevx": "heic", b"crx ": "raw"}  # fmt: skip
_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"moof")
_RIFF = {b"AVI ": "avi", b"WEBP": "webp", b"WAVE": "wav"}


def sniff(head: bytes) -> str | None:
    """Tell what kind of media begins with these bytes.

    Parameters
    ----------
    head : bytes
        The first `HEAD` bytes of the content, or all of it if there are fewer.

    Returns
    -------
    str or None
        A short name (``"png"``, ``"mp4"``, ``"matroska"``, …); None if nothing is recognised.

    Examples
    --------
    >>> sniff(b"GIF89a" + bytes(20))
    'gif'
    """
    for offset, magic, kind in _MAGIC:
        if head.startswith(magic, offset):
            special = _WITHIN.get(kind)
            return special[1] if special and special[0](head) else kind
    if head[4:8] == b"ftyp":
        return _BRANDS.get(head[8:12], "mp4")
    if head[4:8] in _ATOMS:
        return "mp4"
    if head[:4] == b"RIFF":
        return _RIFF.get(head[8:12])
    return _less_certain(head)


def _is_apng(head: bytes) -> bool:
    """Tell an animated PNG, which says so before its pixels."""
    control, pixels = head.find(b"acTL"), head.find(b"IDAT")
    return control > 0 and (pixels < 0 or control < pixels)


_PCX = re.compile(rb"\x0a[\x00\x02-\x05]\x01[\x01\x02\x04\x08]")


def _less_certain(head: bytes) -> str | None:  # noqa: PLR0911 - a list of cases
    """Recognise what has a weak signature or none at a fixed place."""
    if head[:1] == b"P" and head[1:2] in b"1234567Ff" and head[2:3] in (b" ", b"\n", b"\r", b"\t"):
        return "pfm" if head[1:2] in b"Ff" else "pnm"
    if _PCX.match(head):
        return "pcx"
    if head[:2] == b"\x01\xda" and head[2:3] in b"\0\x01" and head[3:4] in b"\x01\x02":
        return "sgi"
    layout = ts_layout(head)
    if layout and len(head) > 2 * layout.length:
        return "mpegts"
    if head.startswith((b"\0\0\0\x01", b"\0\0\x01")) and len(head) > 5:
        return _elementary(head)
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:1024].lower()
    if text.startswith((b"<svg", b"<?xml", b"<!doctype svg")) and b"<svg" in head.lower():
        return "svg"
    return None


def _is_camera_raw(head: bytes) -> bool:
    """Tell whether a TIFF holds what a camera's sensor saw: its first picture is but a small preview of that.

    DNG has a tag of its own, CR2 a mark behind the header; NEF, ARW and their like begin with a reduced picture and
    have the others in directories below it.
    """
    if head[8:10] == b"CR":
        return True
    order = "<" if head[:2] == b"II" else ">"
    try:
        (at,) = struct.unpack_from(f"{order}L", head, 4)
        (count,) = struct.unpack_from(f"{order}H", head, at)
        rows = [struct.unpack_from(f"{order}HHLL", head, at + 2 + 12 * row) for row in range(min(count, _RAW_TAGS))]
    except struct.error:
        return False
    tags = {tag: value for tag, _, _, value in rows}
    return _DNG in tags or (_SUB_DIRECTORIES in tags and bool(tags.get(_REDUCED, 0) & 1))


def _is_jpeg_ls(head: bytes) -> bool:
    """Tell a JPEG-LS by the frame header, which its encoders write behind few segments or none."""
    at = 2
    while head[at : at + 1] == b"\xff" and len(head) > at + 3:
        if head[at + 1] == _JPEG_LS:
            return True
        at += 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return False


_JPEG_LS = 0xF7
_DNG, _SUB_DIRECTORIES, _REDUCED = 0xC612, 0x14A, 0xFE
_RAW_TAGS = 256
_WITHIN: dict[str, tuple[Callable[[bytes], bool], str]] = {
    "jpeg": (_is_jpeg_ls, "jls"),
    "png": (_is_apng, "apng"),
    "tiff": (_is_camera_raw, "raw"),
}


def _elementary(head: bytes) -> str | None:
    """Tell a raw H.264 from a raw HEVC stream by its first unit: parameter sets come first."""
    unit = head[head.index(b"\x01") + 1]
    if unit & 0x80:
        return None
    if unit & 0x1F in (7, 9) or unit == 6:  # also where a message of the encoder comes first
        return "h264"
    return "hevc" if unit >> 1 & 0x3F in (32, 33, 35) else None


def picture_head(kind: str, read_at: ReadAt, known: dict[str, Any] | None = None) -> PictureHead | None:
    """Read the header of a picture: a PNG, JPEG, GIF, BMP, WebP, or one of `bridge.media.heads`.

    Parameters
    ----------
    kind : str
        As `sniff` gives it.
    read_at : callable
        ``read_at(offset, count)`` gives up to `count` bytes.
    known : dict, optional
        Keeps what was found, for the next time: the frames of an animation are counted one by one.

    Returns
    -------
    PictureHead or None
        None for kinds that are not read here.

    Raises
    ------
    CorruptMedia
        If the header ends early or contradicts itself.
    UnsupportedPixels
        If it promises samples that no array of ours holds.
    """
    reader = _READERS.get(kind)
    if reader is None:
        return None
    if known and (found := known.get(_KNOWN_AS)):
        return cast("PictureHead", found)
    try:
        head = reader(Window(read_at))
    except (struct.error, IndexError) as error:
        raise CorruptMedia(f"the {kind.upper()} header is damaged or ends early") from error
    if min(head.width, head.height, head.frames) < 1:
        raise CorruptMedia(f"the {kind.upper()} holds {head.frames} pictures of {head.width}x{head.height}")
    if known is not None:
        known[_KNOWN_AS] = head
    return head


_KNOWN_AS = "picture_head"


_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}


def _png(data: Window) -> PictureHead:
    width, height, depth, colour = struct.unpack(">IIBB", data(16, 10))
    channels, frames, at = _PNG_CHANNELS.get(colour, 0), 1, 8
    if not channels or not width or not height:
        message = f"the PNG header says {width}x{height}, colour type {colour}"
        raise CorruptMedia(message)
    for _ in range(_MOST_CHUNKS):
        name = data(at + 4, 4)
        if name in (b"IDAT", b"IEND"):
            break
        if len(name) < 4:
            message = "the PNG ends before its pixels"
            raise CorruptMedia(message)
        if name == b"tRNS" and channels in (1, 3):
            channels += 1
        if name == b"acTL":
            frames = data.number(">I", at + 8)
        at += 12 + data.number(">I", at)
    else:
        raise CorruptMedia("the PNG has too many chunks before its pixels")
    return PictureHead(width=width, height=height, channels=channels, depth=16 if depth == 16 else 8, frames=frames)


_MOST_CHUNKS = 100_000  # before the pixels; also of a JPEG, bytes that fill the space between them included


_SOF = frozenset({*range(0xC0, 0xD0), _JPEG_LS} - {0xC4, 0xC8, 0xCC})
_LOSSLESS = 0xC3


def _jpeg(data: Window) -> PictureHead:
    at, marker = _segment(data, 2, _SOF)
    depth, height, width, channels = struct.unpack(">BHHB", data(at + 4, 6))
    if not 1 <= channels <= 4:
        raise UnsupportedPixels(f"this JPEG has {channels} channels; 1 to 4 are read")
    rare = marker == _LOSSLESS or depth > 8
    if rare and (depth, channels) == (9, 3):  # as FFmpeg writes differences of colours, of 8 bits each
        depth = 8
    return PictureHead(width=width, height=height, channels=channels, cmyk=channels == 4, rare=rare, **sampled(depth))


def _segment(data: Window, at: int, wanted: frozenset[int]) -> tuple[int, int]:
    """Find the next segment of a JPEG that has one of the markers; tell where, and which."""
    for _ in range(_MOST_CHUNKS):
        marker = data.byte(at + 1)
        if data.byte(at) != 0xFF:
            message = "the JPEG has no frame header"
            raise CorruptMedia(message)
        if marker in wanted:
            return at, marker
        at += 1 if marker == 0xFF else 2 if 0xD0 <= marker <= 0xD8 or marker == 1 else 2 + data.number(">H", at + 2)
    raise CorruptMedia("the JPEG has too much before its frame header")


_SCAN = frozenset({0xDA})
_BY_SAMPLE = 2


def _jls(data: Window) -> PictureHead:
    """Read the header of a JPEG-LS; refuse what FFmpeg, which alone decodes it, gives with wrong pixels or not."""
    head = _jpeg(data)
    frame, _ = _segment(data, 2, frozenset({_JPEG_LS}))
    scan, _ = _segment(data, frame, _SCAN)
    interleaved = data.byte(scan + 6 + 2 * data.byte(scan + 4))
    if head.channels > 1 and (interleaved == _BY_SAMPLE or head.depth > 8 or head.channels != 3):
        how = " interleaved by sample" if interleaved == _BY_SAMPLE else ""
        raise UnsupportedPixels(
            f"this JPEG-LS has {head.channels} channels of {head.maxval.bit_length() or head.depth} bits{how}; gray, "
            "and three channels of 8 bits by line or plane, are read"
        )
    return head


def _gif(data: Window) -> PictureHead:
    width, height = struct.unpack("<HH", data(6, 4))
    return _animated(_gif_layers(data), width, height)


def _animated(layers: Iterator[Layer], width: int, height: int) -> PictureHead:
    """Count layers, of which there may be very many, while it is told whether they let something through."""
    frames, largest = 0, (0, 0)

    def counted() -> Iterator[Layer]:
        nonlocal frames, largest
        for layer in layers:
            frames += 1
            if frames > _MOST_LAYERS:
                raise CorruptMedia(f"the animation has more than {_MOST_LAYERS} frames")
            if layer.box[2] * layer.box[3] > largest[0] * largest[1]:
                largest = layer.box[2:]
            yield layer

    walk = counted()
    channels = 4 if transparent(walk, width, height) else 3
    for _ in walk:  # those that it did not have to look at
        pass
    return PictureHead(width=width, height=height, channels=channels, frames=frames, largest=largest)


_MOST_LAYERS = 1 << 20


_EXTENSION, _CONTROL = 0x21, 0xF9


def _gif_layers(data: Window) -> Iterator[Layer]:
    """Walk over the blocks of a GIF; a file that is cut ends the walk."""
    at, control = 13 + colour_table(data.byte(10)), 0
    while (block := data(at, 10))[:1] in (b"!", b","):
        if block[0] == _EXTENSION:
            if block[1] == _CONTROL:
                control = block[3]
            at += 2
        else:
            box = struct.unpack_from("<4H", block, 1)
            at += 11 + colour_table(block[9])
            yield Layer(box=box, alpha=bool(control & 1), disposal=control >> 2 & 7)
            control = 0
        at = data.past_blocks(at)


def _bmp(data: Window) -> PictureHead:
    size = data.number("<I", 14)
    if size == 12:
        width, height, bits = data.number("<H", 18), data.number("<H", 20), data.number("<H", 24)
        return PictureHead(width=width, height=height, channels=3 if bits > 1 else 1)
    width, height, bits = data.number("<i", 18), abs(data.number("<i", 22)), data.number("<H", 28)
    if bits <= 8:
        colours = data.number("<I", 46) or 1 << bits
        palette = data(14 + size, 4 * colours)
        ramp = bits in (1, 8) and colours == 1 << bits
        ramp = ramp and all(palette[4 * i : 4 * i + 3] == bytes([i * 255 // (colours - 1)] * 3) for i in range(colours))
        return PictureHead(width=width, height=height, channels=1 if ramp else 3)
    alpha = bits == 32 and size >= 56 and data.number("<I", 66) != 0
    return PictureHead(width=width, height=height, channels=4 if alpha else 3)


def _webp(data: Window) -> PictureHead:
    form = data(12, 4)
    if form == b"VP8 ":
        width, height = data.number("<H", 26) & 0x3FFF, data.number("<H", 28) & 0x3FFF
        return PictureHead(width=width, height=height, channels=3)
    if form == b"VP8L":
        bits = data.number("<I", 21)
        channels = 4 if bits >> 28 & 1 else 3
        return PictureHead(width=(bits & 0x3FFF) + 1, height=(bits >> 14 & 0x3FFF) + 1, channels=channels)
    flags = data.byte(20)
    width, height = (data.little(at, 3) + 1 for at in (24, 27))
    if not flags & _ANIMATED:
        return PictureHead(width=width, height=height, channels=4 if flags & _ALPHA else 3)
    return _animated(_webp_layers(data), width, height)


_ANIMATED, _ALPHA = 2, 16


def _webp_layers(data: Window) -> Iterator[Layer]:
    """Walk over the chunks of an animated WebP; a still one has none of these. What is no whole head ends the walk."""
    at, others = 12, 0
    while len(head := data(at, 8)) == 8 and others < _MOST_CHUNKS:
        name, size = struct.unpack("<4sI", head)
        others += name != b"ANMF"
        if name == b"ANMF":
            left, top, width, height = (data.little(at + place, 3) for place in (8, 11, 14, 17))
            lossless = data(at + 24, 4) == b"VP8L"
            alpha = bool(data.byte(at + 36) & 0x10) if lossless else data(at + 24, 4) == b"ALPH"
            yield Layer(
                box=(2 * left, 2 * top, width + 1, height + 1),
                alpha=alpha,
                over=not data.byte(at + 23) & 2,
                disposal=BACKGROUND if data.byte(at + 23) & 1 else KEEP,
            )
        at += 8 + (size + 1 & ~1)


def layers_of(kind: str, read_at: ReadAt) -> Iterator[Layer]:
    """Give the layers of an animated GIF or WebP, one after the other; none for other files.

    Raises
    ------
    CorruptMedia
        If the file ends within what describes a layer.
    """
    try:
        yield from _LAYERS[kind](Window(read_at)) if kind in _LAYERS else ()
    except (struct.error, IndexError) as error:
        raise CorruptMedia(f"the {kind.upper()} ends within the head of a frame") from error


_LAYERS: dict[str, Callable[[Window], Iterator[Layer]]] = {"gif": _gif_layers, "webp": _webp_layers}

_READERS: dict[str, Callable[[Window], PictureHead]] = {
    "png": _png,
    "apng": _png,
    "jpeg": _jpeg,
    "jls": _jls,
    "gif": _gif,
    "bmp": _bmp,
    "webp": _webp,
    **HEADS,
}
