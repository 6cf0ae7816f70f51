"""The headers of OpenEXR, QOI, SGI, DDS, JPEG 2000 and JPEG XL. Pure."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

from bridge.errors import CorruptMedia, UnsupportedPixels
from bridge.media.head import PictureHead, sampled
from bridge.media.jxl import jxl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bridge.media.head import Window

__all__ = ["HEADS", "exr_attributes", "plain_dds"]


_EXR_LARGEST = 1 << 20  # bytes that hold every header
_EXR_UINT = 0
_EXR_DEEP, _EXR_PARTS = 0x800, 0x1000


def _exr(data: Window) -> PictureHead:
    head = data(0, _EXR_LARGEST)
    flags = struct.unpack_from("<I", head, 4)[0]
    if flags & (_EXR_DEEP | _EXR_PARTS):
        raise UnsupportedPixels("this EXR has several parts or deep pixels; split it into plain EXR files")
    _, attributes = exr_attributes(head)
    try:
        left, top, right, bottom = struct.unpack("<4i", attributes["displayWindow"])
        first, upper, last, lower = struct.unpack("<4i", attributes["dataWindow"])
        kinds = dict(_exr_channels(attributes["channels"]))
    except KeyError as error:
        raise CorruptMedia(f"the EXR header has no {error}") from error
    channels = _EXR_SETS.get(frozenset(kinds))
    if channels is None:
        raise UnsupportedPixels(f"this EXR has the channels {', '.join(sorted(kinds))}; R G B, R G B A or Y are read")
    if _EXR_UINT in kinds.values():
        raise UnsupportedPixels("this EXR has samples of 32-bit integers, which would be cut to 16")
    return PictureHead(
        width=right - left + 1,
        height=bottom - top + 1,
        channels=channels,
        depth=32,
        largest=(max(0, last - first + 1), max(0, lower - upper + 1)),
    )


_EXR_SETS = {frozenset("Y"): 1, frozenset("RGB"): 3, frozenset("RGBA"): 4}


def exr_attributes(head: bytes) -> tuple[int, dict[str, bytes]]:
    """Read the attributes (a name, a type, a size, and as many bytes); tell where they end."""
    found: dict[str, bytes] = {}
    at = 8
    while name := _text(head, at):
        at += len(name) + 1
        at += len(_text(head, at)) + 1
        size = struct.unpack_from("<I", head, at)[0]
        found[name.decode("latin-1")] = head[at + 4 : at + 4 + size]
        at += 4 + size
    return at + 1, found


def _exr_channels(listed: bytes) -> Iterator[tuple[str, int]]:
    """Give the name of each channel and the type of its samples."""
    at = 0
    while listed[at]:
        end = listed.index(b"\0", at)
        yield listed[at:end].decode("latin-1"), struct.unpack_from("<i", listed, end + 1)[0]
        at = end + 17


def _text(head: bytes, at: int) -> bytes:
    text, zero, _ = head[at : at + 256].partition(b"\0")
    if not zero:
        raise CorruptMedia("the EXR header ends early")
    return text


def _qoi(data: Window) -> PictureHead:
    width, height, channels = struct.unpack(">IIB", data(4, 9))
    if channels not in (3, 4):
        raise CorruptMedia(f"the QOI header says {channels} channels")
    return PictureHead(width=width, height=height, channels=channels)


def _sgi(data: Window) -> PictureHead:
    size, axes, width, height, planes = struct.unpack(">BHHHH", data(3, 9))
    channels = planes if axes == 3 else 1
    if channels not in (1, 3, 4):
        raise UnsupportedPixels(f"this SGI picture has {channels} channels; 1, 3 or 4 are read")
    return PictureHead(width=width, height=1 if axes == 1 else height, channels=channels, depth=8 * size)


_DDS_ALPHA, _DDS_FOURCC, _DDS_PALETTE, _DDS_GRAY = 0x1, 0x4, 0x20, 0x20000
_DDS_CODES = {b"DXT1": 4, b"DXT2": 4, b"DXT3": 4, b"DXT4": 4, b"DXT5": 4, b"ATI1": 1, b"BC4U": 1, b"ATI2": 3,
              b"BC5U": 3}  # fmt: skip
# DXGI's numbers of 8-bit and block formats -> channels
_DDS_DXGI = {28: 4, 29: 4, 71: 4, 72: 4, 74: 4, 75: 4, 77: 4, 78: 4, 80: 1, 83: 3, 87: 4, 91: 4}
_DDS_MASKS = {  # what the pixels are, bits of each -> red, green, blue, alpha
    (_DDS_GRAY, 8): (0xFF, 0, 0, 0),
    (_DDS_GRAY, 16): (0xFFFF, 0, 0, 0),
    (_DDS_GRAY | _DDS_ALPHA, 16): (0xFF, 0, 0, 0xFF00),
}


def _dds(data: Window) -> PictureHead:
    height, width = struct.unpack("<II", data(12, 8))
    flags, code = struct.unpack("<I4s", data(80, 8))
    if flags & _DDS_FOURCC:
        channels = _DDS_DXGI.get(data.number("<I", 128)) if code == b"DX10" else _DDS_CODES.get(code)
        if channels is None:
            raise UnsupportedPixels(f"this DDS has pixels of the kind {code.decode('latin-1')!r}, which is not read")
    else:
        alpha = bool(flags & (_DDS_ALPHA | _DDS_PALETTE))
        channels = (1 if flags & _DDS_GRAY else 3) + alpha
    deep = flags & _DDS_GRAY and channels == 1 and data.number("<I", 88) == 16
    return PictureHead(width=width, height=height, channels=channels, depth=16 if deep else 8)


def plain_dds(head: bytes) -> bytes:
    """Give the first 128 bytes of a DDS with the masks of gray as ffmpeg knows them: some say them for each colour.

    Examples
    --------
    >>> plain_dds(bytes(128)) == bytes(128)
    True
    """
    flags, _, bits = struct.unpack_from("<3I", head, 80)
    masks = _DDS_MASKS.get((flags & (_DDS_GRAY | _DDS_ALPHA), bits))
    return head[:92] + struct.pack("<4I", *masks) + head[108:128] if masks else head[:128]


def _j2k(data: Window, at: int = 0) -> PictureHead:
    right, bottom, left, top = struct.unpack(">4I", data(at + 8, 16))
    count = data.number(">H", at + 40)
    if not 1 <= count <= 4:
        raise UnsupportedPixels(f"this JPEG 2000 picture has {count} channels; 1 to 4 are read")
    depths = {(data.byte(at + 42 + 3 * index) & 0x7F) + 1 for index in range(count)}
    samples = sampled(depths.pop() if len(depths) == 1 else 16 if max(depths) > 8 else 8)
    return PictureHead(width=right - left, height=bottom - top, channels=count, **samples)


_JP2_CMYK = 12
_BOXES = 1000  # before the pixels


def _jp2(data: Window) -> PictureHead:
    """Read the boxes before the codestream; a palette there multiplies its channels."""
    facts: dict[bytes, int] = {}
    inside = dict(_boxes(data, 0, None))
    if b"jp2c" not in inside:
        raise CorruptMedia("the JP2 ends before its pixels")
    head = _j2k(data, inside[b"jp2c"][0])
    facts = {name: at for name, (at, _) in _boxes(data, *inside.get(b"jp2h", (0, 0)))}
    if b"pclr" in facts:
        head = replace(head, channels=data.byte(facts[b"pclr"] + 2), maxval=0)
    colour = facts.get(b"colr")
    cmyk = colour is not None and data.byte(colour) == 1 and data.number(">I", colour + 3) == _JP2_CMYK
    if not 1 <= head.channels <= 4:
        raise UnsupportedPixels(f"this JPEG 2000 picture has {head.channels} channels; 1 to 4 are read")
    return replace(head, cmyk=cmyk)


def _boxes(data: Window, at: int, end: int | None) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """Walk over boxes; give the name of each, and where its content begins and ends; the pixels are the last."""
    for _ in range(_BOXES):
        name = data(at + 4, 4)
        if (end is not None and at >= end) or len(name) < 4:
            return
        size, start = data.number(">I", at), at + 8
        if size == 1:
            size, start = data.number(">Q", at + 8), at + 16
        if size and size < start - at:
            raise CorruptMedia(f"the JP2 box {name!r} has {size} bytes")
        yield name, (start, at + size)
        if name == b"jp2c" or not size:
            return
        at += size


HEADS: dict[str, Callable[[Window], PictureHead]] = {
    "exr": _exr,
    "qoi": _qoi,
    "sgi": _sgi,
    "dds": _dds,
    "j2k": _j2k,
    "jp2": _jp2,
    "jxl": jxl,
}
