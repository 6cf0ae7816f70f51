"""DICOM: the pixels that a data set describes; what is coded as a picture format is found for a decoder. Pure."""

from __future__ import annotations

import itertools
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.errors import CorruptMedia, TruncatedMedia, UnsupportedPixels
from bridge.media.dicom import frame_bits
from bridge.media.head import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.dicom import DicomHead

__all__ = ["by_palette", "coded_frame", "frame_codes", "plain_frames", "readable_code", "run_length_frame", "to_rgb"]

_ITEM, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_OPEN = 0xFFFFFFFF  # a length that is not told
_MOST_FRAGMENTS = 1 << 20

# Pixels that are stored plain


def plain_frames(head: DicomHead, first: int, count: int) -> np.ndarray[Any, Any]:
    """Read pictures that are stored plain, as ``(count, height, width)`` or with channels behind."""
    if head.allocated == 1:
        return _bits(head, first, count)
    size = frame_bits(head) // 8
    raw = head.data(head.begin + first * size, count * size + 1)
    if len(raw) < count * size:
        raise TruncatedMedia(f"the pixels of this DICOM end {count * size - len(raw)} bytes early", got=0)
    if head.allocated == 8 and head.words and head.coding.order == ">":  # bytes in words, and these turned round
        return _swapped(head, first, count)
    order = head.coding.order
    flat = np.frombuffer(raw, head.dtype.newbyteorder(order), count * size // head.dtype.itemsize)
    return _shaped(head, flat.astype(head.dtype), count)


def _swapped(head: DicomHead, first: int, count: int) -> np.ndarray[Any, Any]:
    size = frame_bits(head) // 8
    begin = first * size // 2 * 2
    raw = head.data(head.begin + begin, first * size + count * size - begin + 1)
    raw += b"\0" * (len(raw) % 2)
    samples = np.frombuffer(raw, np.uint8).reshape(-1, 2)[:, ::-1].ravel()[first * size - begin :][: count * size]
    return _shaped(head, samples.view(head.dtype), count)


def _bits(head: DicomHead, first: int, count: int) -> np.ndarray[Any, Any]:
    """Read samples of one bit, the lowest of a byte first; pictures follow each other without a gap."""
    size = head.width * head.height * head.channels
    begin, end = first * size // 8, -(-(first + count) * size // 8)
    raw = head.data(head.begin + begin, end - begin)
    if head.words and head.coding.order == ">":
        begin, end = begin // 2 * 2, -(-end // 2) * 2
        raw = np.frombuffer(head.data(head.begin + begin, end - begin), ">u2").astype("<u2").tobytes()
    samples = np.unpackbits(np.frombuffer(raw, np.uint8), bitorder="little")[first * size - 8 * begin :]
    return _shaped(head, samples[: count * size], count)


def _shaped(head: DicomHead, samples: np.ndarray[Any, Any], count: int) -> np.ndarray[Any, Any]:
    """Put samples into pictures, and take away the bits that do not belong to them."""
    samples = _meant(head, samples)
    if head.halved:
        pairs = samples.reshape(count, head.height, head.width // 2, 4)
        luma = pairs[..., :2].reshape(count, head.height, head.width)
        return np.stack([luma, *(np.repeat(pairs[..., plane], 2, axis=2) for plane in (2, 3))], axis=3)
    if head.channels > 1 and head.planar:
        return np.ascontiguousarray(
            samples.reshape(count, head.channels, head.height, head.width).transpose(0, 2, 3, 1)
        )
    return samples.reshape(count, *head.shape)


def _meant(head: DicomHead, samples: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give samples of as many bits as are stored, with their sign."""
    left = head.allocated - 1 - head.high
    right = head.allocated - head.stored
    if head.floating or head.allocated == 1 or not (left or right):
        return samples
    return (samples << left) >> right  # of signed ones the sign comes along


# Pixels that are coded


def frame_codes(head: DicomHead) -> list[list[tuple[int, int]]]:
    """Find the fragments of each coded picture: where each begins, and its bytes (PS3.5, A.4)."""
    data = Window(head.data)
    items = list(_items(data, head.begin))
    fragments = items[1:]
    if not fragments:
        raise TruncatedMedia("the coded pixels of this DICOM are missing", got=0)
    if head.frames == 1:
        return [fragments]
    if len(fragments) == head.frames:
        return [[fragment] for fragment in fragments]
    starts = _starts(head.data(*items[0]), fragments, data)
    begins = [number for number, (at, _) in enumerate(fragments) if at in starts]
    if len(begins) != head.frames or begins[0]:
        raise CorruptMedia(f"this DICOM has {len(begins)} coded pictures, its data set says {head.frames}")
    return [fragments[begin:end] for begin, end in itertools.pairwise([*begins, len(fragments)])]


def _starts(table: bytes, fragments: list[tuple[int, int]], data: Window) -> set[int]:
    """Tell where pictures begin: by the table of offsets, or by the mark that begins their code."""
    if table:
        return {fragments[0][0] + offset for (offset,) in struct.iter_unpack("<I", table[: len(table) // 4 * 4])}
    marks = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")
    return {at for at, _ in fragments if data(at, 8).startswith(marks)}


def _items(data: Window, at: int) -> Iterator[tuple[int, int]]:
    for _ in range(_MOST_FRAGMENTS):
        head = data(at, 8)
        if len(head) < 8:
            raise TruncatedMedia("the coded pixels of this DICOM end early", got=0)
        group, element, size = struct.unpack("<HHI", head)
        if (group, element) == _SEQUENCE_END:
            return
        if (group, element) != _ITEM or size == _OPEN:
            raise CorruptMedia("the coded pixels of this DICOM are damaged")
        if size and not data(at + 8 + size - 1, 1):
            raise TruncatedMedia("the coded pixels of this DICOM end early", got=0)
        yield at + 8, size
        at += 8 + size
    raise CorruptMedia(f"this DICOM has more than {_MOST_FRAGMENTS} pieces of coded pixels")


def readable_code(head: DicomHead, code: bytes) -> bytes:
    """Give the code of a picture as decoders understand it.

    Of a JPEG that does not say what its colours are, decoders think that they are luma and chroma; where the data set
    says RGB, it is told so.
    """
    if head.coding.pixels == "jpeg" and head.photometric == "RGB" and code[:2] == b"\xff\xd8":
        segments = code[: code.find(b"\xff\xda")]
        if b"\xff\xee\0\x0eAdobe" not in segments and b"JFIF\0" not in segments:
            return code[:2] + _ADOBE_RGB + code[2:]
    return code


_ADOBE_RGB = b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\0"


def coded_frame(head: DicomHead, code: bytes, image: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give what a decoder made of the code of one picture as the data set means its samples.

    Parameters
    ----------
    image : numpy.ndarray
        uint8 or uint16, at the scale of the code; of signed samples with half of their range added.

    Raises
    ------
    CorruptMedia
        If the picture is of another shape than the data set says, or has more bits.
    UnsupportedPixels
        If the code has samples of more than 16 bits, which no decoder gives whole.
    """
    if image.shape != head.shape or image.dtype.itemsize > head.dtype.itemsize:
        raise CorruptMedia(
            f"a picture of this DICOM is {image.shape} of {image.dtype}, its data set says {head.shape} of {head.dtype}"
        )
    samples = image.astype(head.dtype.str.replace("i", "u"))
    bits, signed = _wavelet_samples(code) if head.coding.pixels == "j2k" else (0, False)
    if bits > 16:
        raise UnsupportedPixels(f"a picture of this DICOM is JPEG 2000 of {bits} bits a sample; up to 16 are read")
    if 0 < bits < 8:  # decoders give these the full scale of 8 bits
        samples >>= 8 - bits
    if signed:
        samples -= samples.dtype.type(1 << (bits - 1))
    lost = head.allocated - head.stored
    meant: np.ndarray[Any, Any] = (samples.view(head.dtype) << lost) >> lost
    return meant


def _wavelet_samples(code: bytes) -> tuple[int, bool]:
    """Tell the bits of a sample of a JPEG 2000, and whether they are signed; 0 if it has no head."""
    at = code.find(b"\xff\x4f\xff\x51", 0, 4096)
    described = code[at + 42 : at + 43] if at >= 0 else b""
    return ((described[0] & 0x7F) + 1, described[0] > 0x7F) if described else (0, False)


def run_length_frame(head: DicomHead, code: bytes) -> np.ndarray[Any, Any]:
    """Decode one picture: a plane for each byte of each sample, the highest first (PS3.5, annex G)."""
    size = head.allocated // 8
    pixels = head.width * head.height
    if len(code) < 64 or head.allocated == 1:
        raise CorruptMedia("a run-length coded picture of this DICOM has no table")
    count, *begins = struct.unpack_from("<16I", code)
    if count != head.channels * size:
        raise CorruptMedia(f"a run-length coded picture of this DICOM has {count} planes for {head.channels} samples")
    ends = [*begins[1:count], len(code)]
    planes = [
        np.frombuffer(_unpacked(code[begin:end], pixels), np.uint8)
        for begin, end in zip(begins[:count], ends, strict=True)
    ]
    samples = np.empty((pixels, head.channels, size), np.uint8)
    for channel, place in itertools.product(range(head.channels), range(size)):
        samples[:, channel, size - 1 - place] = planes[channel * size + place]
    flat = samples.reshape(-1).view(head.dtype.newbyteorder("<")).astype(head.dtype)
    return _meant(head, flat).reshape(head.shape)


def _unpacked(code: bytes, wanted: int) -> bytes:
    """Undo PackBits, up to so many bytes."""
    made = bytearray()
    at, end = 0, len(code)
    while len(made) < wanted and at < end:
        count = code[at]
        if count < 128:
            made += code[at + 1 : at + 2 + count]
            at += 2 + count
        elif count > 128:
            made += code[at + 1 : at + 2] * (257 - count)
            at += 2
        else:
            at += 1
    if len(made) < wanted:
        raise TruncatedMedia("a run-length coded picture of this DICOM ends early", got=0)
    return bytes(made[:wanted])


# Colours


def by_palette(head: DicomHead, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give the colours that a palette has for each value: uint8, or uint16 if it has those (PS3.3, C.7.6.3.1.5).

    Raises
    ------
    CorruptMedia
        If the palette is not whole.
    """
    planes = []
    for colour in ("red", "green", "blue"):
        about, raw = [*head.palette.get(colour, []), b"", b""][:2]
        if len(about) < 6:
            raise CorruptMedia("this DICOM has no palette for its pixels, or one that is not whole")
        count, first, bits = struct.unpack_from(f"{head.coding.order}HhH", about)
        count = count or 1 << 16
        wide = 2 if bits > 8 or len(raw) >= 2 * count else 1  # tables of 8 bits come in bytes, or one in each word
        if len(raw) < count * wide:
            raise CorruptMedia("the palette of this DICOM ends early")
        table = np.frombuffer(raw, f"{head.coding.order}u{wide}", count)
        places = np.clip(images.astype(np.int64) - first, 0, count - 1)
        planes.append(table[places].astype(np.uint16 if bits > 8 else np.uint8))
    return np.stack(planes, axis=-1)


def to_rgb(head: DicomHead, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Give RGB for luma and chroma of full range, as BT.601 (PS3.3, C.7.6.3.1.2)."""
    if not head.photometric.startswith("YBR_FULL") or head.dtype != np.uint8 or head.channels != 3:
        return images
    luma, blue, red = (images[..., plane].astype(np.float32) for plane in range(3))
    blue, red = blue - 128, red - 128
    made = np.stack([luma + 1.402 * red, luma - 0.344136 * blue - 0.714136 * red, luma + 1.772 * blue], axis=-1)
    rgb: np.ndarray[Any, Any] = np.clip(np.rint(made), 0, 255).astype(np.uint8)
    return rgb
