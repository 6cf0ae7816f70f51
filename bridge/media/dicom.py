"""DICOM: the data set of a medical picture. `bridge.media.dicom_pixels` reads its pixels. Pure."""

from __future__ import annotations

import re
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from bridge.errors import CorruptMedia, LimitExceeded, TruncatedMedia, UnsupportedPixels
from bridge.media.head import Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.head import ReadAt

__all__ = ["Coding", "DicomHead", "dicom_head", "frame_bits"]


class Coding(NamedTuple):
    """What a transfer syntax says (PS3.5, annex A)."""

    explicit: bool = True  # each element names its type
    order: Literal["<", ">"] = "<"
    pixels: str = "plain"  # or "rle", or the kind of media that each frame is
    deflated: bool = False


_UIDS = "1.2.840.10008.1.2"
_SYNTAXES: dict[str, Coding] = {
    _UIDS: Coding(explicit=False),
    f"{_UIDS}.1": Coding(),
    f"{_UIDS}.1.99": Coding(deflated=True),
    f"{_UIDS}.2": Coding(order=">"),
    f"{_UIDS}.5": Coding(pixels="rle"),
    **{f"{_UIDS}.4.{number}": Coding(pixels="jpeg") for number in (50, 51, 57, 70)},
    **{f"{_UIDS}.4.{number}": Coding(pixels="jls") for number in (80, 81)},
    **{f"{_UIDS}.4.{number}": Coding(pixels="j2k") for number in (90, 91)},
    **{f"{_UIDS}.4.{number}": Coding(pixels="jxl") for number in (110, 111, 112)},
}

# The elements that are told or needed (PS3.6) -> keyword and type; types are written down only in some files.
_ELEMENTS: dict[tuple[int, int], tuple[str, str]] = {
    (0x0008, 0x0005): ("SpecificCharacterSet", "CS"),
    (0x0008, 0x0008): ("ImageType", "CS"),
    (0x0008, 0x0016): ("SOPClassUID", "UI"),
    (0x0008, 0x0018): ("SOPInstanceUID", "UI"),
    (0x0008, 0x0020): ("StudyDate", "DA"),
    (0x0008, 0x0021): ("SeriesDate", "DA"),
    (0x0008, 0x0022): ("AcquisitionDate", "DA"),
    (0x0008, 0x0023): ("ContentDate", "DA"),
    (0x0008, 0x0030): ("StudyTime", "TM"),
    (0x0008, 0x0031): ("SeriesTime", "TM"),
    (0x0008, 0x0032): ("AcquisitionTime", "TM"),
    (0x0008, 0x0033): ("ContentTime", "TM"),
    (0x0008, 0x0060): ("Modality", "CS"),
    (0x0008, 0x0070): ("Manufacturer", "LO"),
    (0x0008, 0x0080): ("InstitutionName", "LO"),
    (0x0008, 0x1030): ("StudyDescription", "LO"),
    (0x0008, 0x103E): ("SeriesDescription", "LO"),
    (0x0008, 0x1090): ("ManufacturerModelName", "LO"),
    (0x0010, 0x0010): ("PatientName", "PN"),
    (0x0010, 0x0020): ("PatientID", "LO"),
    (0x0010, 0x0030): ("PatientBirthDate", "DA"),
    (0x0010, 0x0040): ("PatientSex", "CS"),
    (0x0010, 0x1010): ("PatientAge", "AS"),
    (0x0010, 0x1030): ("PatientWeight", "DS"),
    (0x0018, 0x0015): ("BodyPartExamined", "CS"),
    (0x0018, 0x0040): ("CineRate", "IS"),
    (0x0018, 0x0050): ("SliceThickness", "DS"),
    (0x0018, 0x0060): ("KVP", "DS"),
    (0x0018, 0x0088): ("SpacingBetweenSlices", "DS"),
    (0x0018, 0x1063): ("FrameTime", "DS"),
    (0x0020, 0x000D): ("StudyInstanceUID", "UI"),
    (0x0020, 0x000E): ("SeriesInstanceUID", "UI"),
    (0x0020, 0x0011): ("SeriesNumber", "IS"),
    (0x0020, 0x0012): ("AcquisitionNumber", "IS"),
    (0x0020, 0x0013): ("InstanceNumber", "IS"),
    (0x0020, 0x0032): ("ImagePositionPatient", "DS"),
    (0x0020, 0x0037): ("ImageOrientationPatient", "DS"),
    (0x0020, 0x1041): ("SliceLocation", "DS"),
    (0x0028, 0x0002): ("SamplesPerPixel", "US"),
    (0x0028, 0x0004): ("PhotometricInterpretation", "CS"),
    (0x0028, 0x0006): ("PlanarConfiguration", "US"),
    (0x0028, 0x0008): ("NumberOfFrames", "IS"),
    (0x0028, 0x0010): ("Rows", "US"),
    (0x0028, 0x0011): ("Columns", "US"),
    (0x0028, 0x0030): ("PixelSpacing", "DS"),
    (0x0028, 0x0034): ("PixelAspectRatio", "IS"),
    (0x0028, 0x0100): ("BitsAllocated", "US"),
    (0x0028, 0x0101): ("BitsStored", "US"),
    (0x0028, 0x0102): ("HighBit", "US"),
    (0x0028, 0x0103): ("PixelRepresentation", "US"),
    (0x0028, 0x1050): ("WindowCenter", "DS"),
    (0x0028, 0x1051): ("WindowWidth", "DS"),
    (0x0028, 0x1052): ("RescaleIntercept", "DS"),
    (0x0028, 0x1053): ("RescaleSlope", "DS"),
    (0x0028, 0x1054): ("RescaleType", "LO"),
    (0x0028, 0x2110): ("LossyImageCompression", "CS"),
}
_TABLES = {  # of a palette: what it is like, and its values, for each colour
    (0x0028, 0x1101): "red", (0x0028, 0x1102): "green", (0x0028, 0x1103): "blue",
    (0x0028, 0x1201): "red", (0x0028, 0x1202): "green", (0x0028, 0x1203): "blue",
}  # fmt: skip
_PIXELS = {(0x7FE0, 0x0008): "f4", (0x7FE0, 0x0009): "f8", (0x7FE0, 0x0010): ""}
_ITEM, _ITEM_END, _SEQUENCE_END = (0xFFFE, 0xE000), (0xFFFE, 0xE00D), (0xFFFE, 0xE0DD)
_LONG = frozenset({b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"})
_OPEN = 0xFFFFFFFF  # a length: up to a mark of its own
_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}

_MOST_ELEMENTS = 200_000  # each takes a microsecond or two
_DEEPEST = 64
_MOST_VALUE = 4096  # bytes of one that is told
_MOST_TABLE = 1 << 17

_CHARACTERS = {"ISO_IR 192": "utf-8", "GB18030": "gb18030", "GBK": "gbk", "ISO_IR 13": "shift_jis",
               "ISO_IR 166": "iso8859_11", "ISO_IR 100": "latin-1", "ISO_IR 101": "iso8859_2",
               "ISO_IR 109": "iso8859_3", "ISO_IR 110": "iso8859_4", "ISO_IR 144": "iso8859_5",
               "ISO_IR 127": "iso8859_6", "ISO_IR 126": "iso8859_7", "ISO_IR 138": "iso8859_8",
               "ISO_IR 148": "iso8859_9"}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomHead:
    """What the data set says of its pixels.

    Attributes
    ----------
    width, height, channels, frames : int
        Of the pictures.
    allocated, stored, high : int
        Bits of a sample in the file, those of them that carry it, and the highest of these, counted from 0.
    signed, floating : bool
        What the samples are.
    planar : bool
        The channels of a picture follow each other, where they are stored plain.
    photometric : str
        What they mean: ``"MONOCHROME2"``, ``"RGB"``, ``"PALETTE COLOR"``, …
    coding : Coding
        How they are written.
    words : bool
        Samples are written as words of 16 bits, even those of 8.
    begin, size : int
        Where in `data` they are; of what is coded, where its fragments begin, and 0.
    values : dict
        The elements that are known, by their keywords, typed.
    palette : dict
        For each colour what describes its table (number of values, first pixel value, bits), and the table.
    data : callable
        Gives bytes of the data set, deflated or not.
    """

    width: int
    height: int
    channels: int
    frames: int
    allocated: int
    stored: int
    high: int
    signed: bool
    floating: bool
    planar: bool
    photometric: str
    coding: Coding
    words: bool
    begin: int
    size: int
    values: dict[str, Any]
    palette: dict[str, list[bytes]]
    data: ReadAt

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of the array's samples."""
        kind = "f" if self.floating else "i" if self.signed else "u"
        return np.dtype(f"{kind}{max(8, self.allocated) // 8}")

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one picture."""
        return (self.height, self.width) + ((self.channels,) if self.channels > 1 else ())

    @property
    def halved(self) -> bool:
        """Whether two pixels share their chroma."""
        return self.photometric == "YBR_FULL_422" and self.coding.pixels == "plain"


class _Element(NamedTuple):
    tag: tuple[int, int]
    kind: bytes  # the type that it names, if it does
    begin: int
    size: int


def dicom_head(read_at: ReadAt, size: int, most: int) -> DicomHead:
    """Read the data set up to its pixels.

    Parameters
    ----------
    read_at : callable
        ``read_at(offset, count)`` gives up to `count` bytes.
    size : int
        Bytes of the file.
    most : int
        Bytes that a deflated data set may have.

    Raises
    ------
    CorruptMedia, LimitExceeded, TruncatedMedia, UnsupportedPixels
    """
    try:
        coding, at = _meta(Window(read_at))
        if coding.deflated:
            inflated = _inflated(read_at(at, size - at), most)
            read_at, at, size = _reading(inflated), 0, len(inflated)
        if coding.explicit and not _is_type(read_at(at + 4, 2)):  # it says so, and some encoders do otherwise
            coding = coding._replace(explicit=False)
        return _head(_elements(Window(read_at), at, coding), coding, read_at, size)
    except (struct.error, IndexError) as error:
        raise CorruptMedia("the DICOM data set is damaged or ends early") from error


def _meta(data: Window) -> tuple[Coding, int]:
    """Read the group behind the preamble, which says how the rest is written, and where that begins."""
    name, end = _UIDS, 132
    while data(end, 2) == b"\x02\0":
        element = _element(data(end, 12), end, "<", explicit=True)
        end = element.begin + element.size
        if element.tag == (2, 0x10):
            name = data(element.begin, min(element.size, 64)).rstrip(b"\0 ").decode("ascii", "replace")
    coding = _SYNTAXES.get(name)
    if coding is None:
        shown = name if re.fullmatch(r"[0-9.]+", name) else repr(name)
        raise UnsupportedPixels(f"this DICOM has the transfer syntax {shown}, which is not read")
    return coding, end


def _inflated(packed: bytes, most: int) -> bytes:
    stream = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = stream.decompress(packed, most)
    except zlib.error as error:
        raise CorruptMedia(f"the deflated DICOM data set is damaged: {error}") from error
    if not stream.eof and not stream.unconsumed_tail:
        raise TruncatedMedia("the deflated DICOM data set ends early", got=0)
    if not stream.eof:
        raise LimitExceeded(
            f"the deflated DICOM data set has more bytes than the limit volumes_memory={most} allows; raise it with "
            "limits=bridge.Limits(volumes_memory=...)"
        )
    return data


def _reading(data: bytes) -> ReadAt:
    return lambda at, count: data[at : at + count]


def _elements(data: Window, at: int, coding: Coding) -> Iterator[_Element]:
    """Walk over the elements of the data set itself, and past what is nested in them, up to the pixels."""
    inside: list[bool] = []  # of each open sequence or item: whether its elements name their types
    for _ in range(_MOST_ELEMENTS):
        explicit = inside[-1] if inside else coding.explicit
        head = data(at, 12)
        if not head:
            return
        element = _element(head, at, coding.order, explicit=explicit)
        at = element.begin
        if element.tag in (_ITEM_END, _SEQUENCE_END):
            inside.pop()  # an IndexError, if it has not begun one
            continue
        if not inside and element.tag != _ITEM:
            yield element
            if element.tag in _PIXELS:
                return
        if element.size == _OPEN:
            inside.append(explicit and element.kind != b"UN")  # what is unknown is nested without types
        else:
            at += element.size
        if len(inside) > _DEEPEST:
            raise CorruptMedia(f"the DICOM data set is nested more than {_DEEPEST} deep")
    raise CorruptMedia(f"the DICOM data set has more than {_MOST_ELEMENTS} elements before its pixels")


def _is_type(kind: bytes) -> bool:
    return kind.isalpha() and kind.isupper()


def _element(head: bytes, at: int, order: str, *, explicit: bool) -> _Element:
    """Read the tag, type and length of an element that begins at `at`; items and their ends name no type."""
    tag = struct.unpack_from(f"{order}HH", head)
    if tag[0] == _ITEM[0] or not explicit:
        return _Element(tag, b"", at + 8, struct.unpack_from(f"{order}I", head, 4)[0])
    kind = head[4:6]
    if not _is_type(kind):
        raise CorruptMedia(f"the DICOM data set has an element of the type {kind!r}")
    if kind in _LONG:
        return _Element(tag, kind, at + 12, struct.unpack_from(f"{order}I", head, 8)[0])
    return _Element(tag, kind, at + 8, struct.unpack_from(f"{order}H", head, 6)[0])


def _collect(
    elements: Iterator[_Element],
    read_at: ReadAt,
    order: str,
    values: dict[str, Any],
    palette: dict[str, list[bytes]],
) -> _Element:
    """Read what is told or needed into `values` and `palette`; give the element that holds the pixels."""
    for element in elements:
        if element.tag in _PIXELS:
            return element
        if element.tag in _TABLES:
            table = read_at(element.begin, min(element.size, _MOST_TABLE))
            palette.setdefault(_TABLES[element.tag], []).append(table)
        elif element.tag in _ELEMENTS:
            name, kind = _ELEMENTS[element.tag]
            raw = read_at(element.begin, min(element.size, _MOST_VALUE))
            values[name] = _value(raw, kind, order, values.get("SpecificCharacterSet"))
    raise UnsupportedPixels("this DICOM holds no picture")


def _head(elements: Iterator[_Element], coding: Coding, read_at: ReadAt, size: int) -> DicomHead:
    values: dict[str, Any] = {}
    palette: dict[str, list[bytes]] = {}
    found = _collect(elements, read_at, coding.order, values, palette)
    coded, floats = coding.pixels != "plain", _PIXELS[found.tag]
    if coded is not (found.size == _OPEN) or (coded and floats):
        raise CorruptMedia("the pixels of this DICOM are not written as its transfer syntax says")
    if not coded and found.begin + found.size > size:
        missing = found.begin + found.size - size
        raise TruncatedMedia(f"the pixels of this DICOM end {missing} bytes early", got=0)
    allocated = 8 * int(floats[1]) if floats else _number(values, "BitsAllocated")
    bits = allocated if floats else _number(values, "BitsStored", allocated)
    head = DicomHead(
        width=_number(values, "Columns"),
        height=_number(values, "Rows"),
        channels=_number(values, "SamplesPerPixel", 1),
        frames=_number(values, "NumberOfFrames", 1),
        allocated=allocated,
        stored=bits,
        high=bits - 1 if floats else _number(values, "HighBit", bits - 1),
        signed=not floats and _number(values, "PixelRepresentation", 0) == 1,
        floating=bool(floats),
        planar=_number(values, "PlanarConfiguration", 0) == 1,
        photometric=str(values.get("PhotometricInterpretation", "")),
        coding=coding,
        words=found.kind == b"OW" or not coding.explicit,
        begin=found.begin,
        size=0 if coded else found.size,
        values=values,
        palette=palette,
        data=read_at,
    )
    _check(head)
    return head


def _check(head: DicomHead) -> None:
    """Refuse what contradicts itself, and what no array of ours holds."""
    if min(head.width, head.height, head.frames) < 1:
        raise CorruptMedia(f"this DICOM has {head.frames} pictures of {head.width}x{head.height} pixels")
    if head.allocated not in (1, 8, 16, 32, 64) or head.channels not in (1, 3, 4):
        raise UnsupportedPixels(f"this DICOM has {head.channels} samples of {head.allocated} bits a pixel")
    if not (0 < head.stored <= head.allocated and head.stored - 1 <= head.high < head.allocated):
        raise CorruptMedia(f"this DICOM has {head.stored} of {head.allocated} bits, up to bit {head.high}")
    if head.halved and (head.channels, head.allocated, head.width % 2) != (3, 8, 0):
        raise UnsupportedPixels("this DICOM has pixels that share their chroma, but not 8 bits or not an even width")
    wanted = -(-head.frames * frame_bits(head) // 8)
    if head.coding.pixels == "plain" and head.size < wanted:
        raise TruncatedMedia(f"this DICOM has {head.size} bytes of pixels, {wanted} are those of its pictures", got=0)


def frame_bits(head: DicomHead) -> int:
    """Count the bits of one picture that is stored plain."""
    return head.width * head.height * (2 if head.halved else head.channels) * head.allocated


def _number(values: dict[str, Any], name: str, otherwise: int | None = None) -> int:
    value = values.get(name, otherwise)
    if value is None or value == "":
        value = otherwise
    if isinstance(value, tuple):
        value = value[0]
    if not isinstance(value, int):
        raise CorruptMedia(f"this DICOM has no {name}" if value is None else f"{name} of this DICOM is no number")
    return value


_DECIMAL = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?")
_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def _value(raw: bytes, kind: str, order: str, characters: Any) -> Any:
    """Read a value: one, or a tuple of several."""
    if form := _NUMBERS.get(kind):
        size = struct.calcsize(form)
        found: list[Any] = list(struct.unpack(f"{order}{len(raw) // size}{form}", raw[: len(raw) // size * size]))
    else:
        name = characters[-1] if isinstance(characters, tuple) and characters else characters
        text = raw.decode(_CHARACTERS.get(str(name).replace("2022 IR", "IR"), "ascii"), "replace").rstrip("\0 ")
        found = [_typed(part.strip(), kind) for part in text.split("\\")]
    return found[0] if len(found) == 1 else tuple(found)


def _typed(text: str, kind: str) -> Any:
    if kind == "IS" and re.fullmatch(r"[-+]?\d{1,12}", text):
        return int(text)
    if kind == "DS" and _DECIMAL.fullmatch(text):
        return float(text)
    return _STEERING.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
