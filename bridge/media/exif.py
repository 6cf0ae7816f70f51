"""A TIFF structure, as EXIF and TIFF files have it -> its tags, typed and named; and back to bytes to carry along.

Nothing here raises for what the bytes say once the first directory was found: what is damaged is left out.
"""

from __future__ import annotations

import contextlib
import re
import struct
from dataclasses import dataclass, field
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.media.head import ReadAt

__all__ = [
    "ICC",
    "IPTC",
    "MOST_ITEMS",
    "MOST_OPAQUE",
    "MOST_TAGS",
    "RESOURCES",
    "XMP",
    "Entry",
    "Exif",
    "directory_of",
    "tag_of",
]

MOST_TAGS = 10_000  # in all directories of one file
MOST_ITEMS = 1_024  # of a value that is several numbers
_MOST_BYTES = 1 << 20  # of all values of one directory
MOST_OPAQUE = 1 << 16  # of one value that is only bytes
_MOST_BLOB = 1 << 22  # of a profile or packet that a TIFF holds whole

XMP, IPTC, RESOURCES, ICC = 0x02BC, 0x83BB, 0x8649, 0x8773
_BLOBS = frozenset({XMP, IPTC, RESOURCES, ICC})
_POINTERS = {0x8769: "Exif", 0x8825: "GPS", 0xA005: "Interop"}

# The standard names of TIFF 6, EXIF 3.0, and a few of DNG and Windows, by number.
_TABLE = """
0001:InteroperabilityIndex 0002:InteroperabilityVersion 000b:ProcessingSoftware 00fe:NewSubfileType 00ff:SubfileType
0100:ImageWidth 0101:ImageLength 0102:BitsPerSample 0103:Compression 0106:PhotometricInterpretation 010a:FillOrder
010d:DocumentName 010e:ImageDescription 010f:Make 0110:Model 0112:Orientation 0115:SamplesPerPixel 0116:RowsPerStrip
0107:Thresholding 0118:MinSampleValue 0119:MaxSampleValue 011a:XResolution 011b:YResolution
011c:PlanarConfiguration 011d:PageName 0128:ResolutionUnit 0129:PageNumber
012d:TransferFunction 0131:Software 0132:DateTime 013b:Artist 013c:HostComputer
013d:Predictor 013e:WhitePoint 013f:PrimaryChromaticities 0140:ColorMap 0142:TileWidth 0143:TileLength 014c:InkSet
014d:InkNames 014e:NumberOfInks 0152:ExtraSamples 0153:SampleFormat 0154:SMinSampleValue 0155:SMaxSampleValue
0156:TransferRange 0211:YCbCrCoefficients 0212:YCbCrSubSampling 0213:YCbCrPositioning 0214:ReferenceBlackWhite
4746:Rating 4749:RatingPercent 8298:Copyright 829a:ExposureTime 829d:FNumber 8822:ExposureProgram
8824:SpectralSensitivity 8827:ISOSpeedRatings 8828:OECF 8830:SensitivityType 8831:StandardOutputSensitivity
8832:RecommendedExposureIndex 8833:ISOSpeed 8834:ISOSpeedLatitudeyyy 8835:ISOSpeedLatitudezzz 9000:ExifVersion
9003:DateTimeOriginal 9004:DateTimeDigitized 9010:OffsetTime 9011:OffsetTimeOriginal 9012:OffsetTimeDigitized
9101:ComponentsConfiguration 9102:CompressedBitsPerPixel 9201:ShutterSpeedValue 9202:ApertureValue
9203:BrightnessValue 9204:ExposureBiasValue 9205:MaxApertureValue 9206:SubjectDistance 9207:MeteringMode
9208:LightSource 9209:Flash 920a:FocalLength 9216:TIFFEPStandardID 927c:MakerNote 9286:UserComment 9290:SubSecTime
9291:SubSecTimeOriginal 9292:SubSecTimeDigitized 9400:AmbientTemperature 9401:Humidity 9402:Pressure 9403:WaterDepth
9404:Acceleration 9405:CameraElevationAngle 9c9b:XPTitle 9c9c:XPComment 9c9d:XPAuthor 9c9e:XPKeywords 9c9f:XPSubject
a000:FlashPixVersion a001:ColorSpace a002:PixelXDimension a003:PixelYDimension a004:RelatedSoundFile
a20b:FlashEnergy a20c:SpatialFrequencyResponse a20e:FocalPlaneXResolution a20f:FocalPlaneYResolution
a210:FocalPlaneResolutionUnit a214:SubjectLocation a215:ExposureIndex a217:SensingMethod a300:FileSource
a301:SceneType a302:CFAPattern a401:CustomRendered a402:ExposureMode a403:WhiteBalance a404:DigitalZoomRatio
a405:FocalLengthIn35mmFilm a406:SceneCaptureType a407:GainControl a408:Contrast a409:Saturation a40a:Sharpness
a40b:DeviceSettingDescription a40c:SubjectDistanceRange a420:ImageUniqueID a430:CameraOwnerName
a431:BodySerialNumber a432:LensSpecification a433:LensMake a434:LensModel a435:LensSerialNumber a460:CompositeImage
a461:CompositeImageCount a462:CompositeImageExposureTimes a500:Gamma c612:DNGVersion c614:UniqueCameraModel
c62f:CameraSerialNumber c630:LensInfo c65d:RawDataUniqueID c68b:OriginalRawFileName
"""
_GPS_TABLE = """
VersionID LatitudeRef Latitude LongitudeRef Longitude AltitudeRef Altitude TimeStamp Satellites Status
MeasureMode DOP SpeedRef Speed TrackRef Track ImgDirectionRef ImgDirection MapDatum DestLatitudeRef
DestLatitude DestLongitudeRef DestLongitude DestBearingRef DestBearing DestDistanceRef DestDistance
ProcessingMethod AreaInformation DateStamp Differential HPositioningError
"""
_NAMES = {int(row[:4], 16): row[5:] for row in _TABLE.split()}
_GPS_NAMES = {number: f"GPS{name}" for number, name in enumerate(_GPS_TABLE.split())}

# Where the pixels lie and how to unpack them: of no use apart from the file.
_LAYOUT = frozenset({0x111, 0x117, 0x120, 0x121, 0x144, 0x145, 0x14A, 0x15B, *range(0x200, 0x20A)})
# What of a TIFF's first directory is about the picture and not about its bytes.
_CARRIED = frozenset({0x10D, 0x10E, 0x10F, 0x110, 0x112, 0x11A, 0x11B, 0x11D, 0x128, 0x131, 0x132, 0x13B, 0x13C,
                      0x4746, 0x4749})  # fmt: skip

# Of these the first directory is the place in an EXIF block too; of all others the directory Exif.
_FIRST = frozenset({*_CARRIED, 0x8298, 0x9216, *range(0x9C9B, 0x9CA0)})
_INTEROP = frozenset({1, 2})
_CODING = frozenset(tag for tag in _NAMES if 0xFE <= tag < 0x8298) - _FIRST
_NUMBERS = {
    group: {name: tag for tag, name in names.items()} for group, names in (("EXIF", _NAMES), ("GPS", _GPS_NAMES))
}

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8, 129: 1}
_FORMS = {1: "B", 3: "H", 4: "L", 5: "L", 6: "b", 7: "B", 8: "h", 9: "l", 10: "l", 11: "f", 12: "d", 13: "L",
          16: "Q", 17: "q", 18: "Q"}  # fmt: skip
_BYTE, _UNDEFINED = 1, 7
_TEXTS = frozenset({2, 129})  # ASCII, and UTF-8 of EXIF 3.0
_RATIONALS = frozenset({5, 10})
_OPAQUE = frozenset({_BYTE, _UNDEFINED})
_BIG = frozenset({16, 17, 18})  # types that only a BigTIFF has

_DATES = frozenset({"DateTime", "DateTimeOriginal", "DateTimeDigitized"})
_DATE = re.compile(r"(\d{4})[:-](\d\d)[:-](\d\d)([ T]\d\d:\d\d:\d\d.*)", re.ASCII)
_PARTS = frozenset({"Copyright", "InkNames"})  # several texts, a NUL between them
_VERSIONS = frozenset({"ExifVersion", "FlashPixVersion", "InteroperabilityVersion"})
_COMMENTS = frozenset({"UserComment", "GPSProcessingMethod", "GPSAreaInformation"})
_TUPLES = frozenset({"GPSVersionID", "DNGVersion", "ComponentsConfiguration", "TIFFEPStandardID"})
_CODES = {b"ASCII\0\0\0": "utf-8", b"JIS\0\0\0\0\0": "iso2022_jp", bytes(8): "utf-8"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One tag as it stands in its directory, its bytes in the file's order."""

    tag: int
    kind: int
    count: int
    raw: bytes


@dataclass(slots=True, kw_only=True)
class Exif:
    """The directories of one TIFF structure: ``IFD0`` and, where they are, ``Exif``, ``GPS`` and ``Interop``.

    Attributes
    ----------
    order : str
        ``"<"`` or ``">"``, for `struct`.
    directories : dict
        Name -> tag number -> `Entry`, without what was damaged or too long.
    """

    order: str
    directories: dict[str, dict[int, Entry]] = field(default_factory=dict)

    @classmethod
    def read(cls, read_at: ReadAt) -> Exif:
        """Read a TIFF, a BigTIFF, or the inside of an EXIF block.

        Raises
        ------
        ValueError, struct.error
            If this is no such structure.
        """
        directories = _Directories(read_at)
        exif = cls(order=directories.order)
        waiting, seen = [("IFD0", directories.first)], set()
        while waiting:
            name, at = waiting.pop(0)
            if at in seen or name in exif.directories:
                continue
            seen.add(at)
            entries = exif.directories[name] = directories.read(at, blobs=name == "IFD0")
            waiting += [(_POINTERS[tag], exif.number(entries[tag])) for tag in _POINTERS.keys() & entries.keys()]
        return exif

    def number(self, entry: Entry) -> int:
        """Give the first number of a value; 0, where no directory can be, if it is none."""
        if entry.kind not in (4, *_BIG, 13):
            return 0
        number: int = struct.unpack_from(self.order + _FORMS[entry.kind], entry.raw)[0]
        return number

    def blob(self, tag: int) -> bytes:
        """Give a packet that the file keeps in a tag of its first directory; empty if there is none."""
        entry = self.directories.get("IFD0", {}).get(tag)
        return entry.raw if entry else b""

    def named(self) -> Iterator[tuple[str, str, Any]]:
        """Give group, name and value of each tag, but not where pixels lie, and no blobs."""
        for directory, entries in self.directories.items():
            group, names = ("GPS", _GPS_NAMES) if directory == "GPS" else ("EXIF", _NAMES)
            for tag, entry in entries.items():
                if tag not in _BLOBS and tag not in _POINTERS and tag not in _LAYOUT:
                    name = names.get(tag, f"0x{tag:04x}")
                    value = _value(self.order, name, entry)
                    if value is not _LEFT_OUT:
                        yield group, name, value

    def pack(self) -> bytes | None:
        """Write what is about the picture as an EXIF block of its own; None if that is nothing.

        The layout of a TIFF's pixels, unknown tags of its first directory, and types of BigTIFF stay behind.
        """
        kept = {name: _classic(entries) for name, entries in self.directories.items()}
        kept["IFD0"] = {tag: entry for tag, entry in kept.get("IFD0", {}).items() if _is_carried(tag)}
        if not any(kept.values()):
            return None
        parents = {"Exif": (0x8769, "IFD0"), "GPS": (0x8825, "IFD0"), "Interop": (0xA005, "Exif")}
        for name in ("Interop", "Exif", "GPS"):  # the innermost first: it needs a parent to hang on
            tag, parent = parents[name]
            if kept.get(name):
                kept.setdefault(parent, {})[tag] = Entry(tag, 4, 1, bytes(4))
        at = {}
        end = 8
        for name, entries in kept.items():
            at[name], end = end, end + _packed_size(entries)
        for name, (tag, parent) in parents.items():
            if kept.get(name):
                kept[parent][tag] = Entry(tag, 4, 1, struct.pack(self.order + "L", at[name]))
        mark = b"II" if self.order == "<" else b"MM"
        head = mark + struct.pack(self.order + "HL", 42, at["IFD0"])
        return head + b"".join(_packed(self.order, kept[name], at[name]) for name in kept)


class _Directories:
    """Reads directories, within what all of them together may cost."""

    def __init__(self, read_at: ReadAt) -> None:
        self._read_at = read_at
        self._tags = MOST_TAGS
        head = read_at(0, 16)
        self.order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        (magic,) = struct.unpack_from(self.order + "H", head, 2)
        if not self.order or magic not in (42, 43):
            raise ValueError("no TIFF structure")
        self._big = magic == 43
        # How many entries there are, and one entry: tag, type, count, value or where it is.
        self._count, self._entry = ("Q", "HHQ8s") if self._big else ("H", "HHL4s")
        self._pointer = "Q" if self._big else "L"
        (self.first,) = struct.unpack_from(self.order + self._pointer, head, 8 if self._big else 4)

    def read(self, at: int, *, blobs: bool) -> dict[int, Entry]:
        """Read the directory at `at`; of a tag that comes twice, the first counts."""
        count = self.order + self._count
        head = self._read_at(at, struct.calcsize(count)) if at else b""
        if len(head) < struct.calcsize(count):
            return {}
        number = min(struct.unpack(count, head)[0], self._tags)
        if not number:
            return {}
        self._tags -= number
        row = struct.Struct(self.order + self._entry)
        table = self._read_at(at + len(head), number * row.size)
        entries: dict[int, Entry] = {}
        left = _MOST_BYTES
        for tag, kind, items, inline in row.iter_unpack(table[: len(table) // row.size * row.size]):
            blob = blobs and tag in _BLOBS
            size = _SIZES.get(kind, 0) * items
            if tag in entries or not self._fits(tag, kind, items, _MOST_BLOB if blob else left):
                continue
            raw = inline[:size] if size <= len(inline) else self._outside(inline, size)
            if len(raw) == size:
                entries[tag] = Entry(tag, kind, items, raw)
                left -= 0 if blob else size
        return entries

    def _outside(self, inline: bytes, size: int) -> bytes:
        return self._read_at(struct.unpack(self.order + self._pointer, inline)[0], size)

    @staticmethod
    def _fits(tag: int, kind: int, items: int, most: int) -> bool:
        """Tell whether a value is there and short enough to be read."""
        several = kind not in _TEXTS and kind not in _OPAQUE and tag not in _BLOBS
        return kind in _SIZES and 0 < items * _SIZES[kind] <= most and not (several and items > MOST_ITEMS)


# Names


def tag_of(group: str, name: str) -> int:
    """Give the number of a tag by its name in the group ``EXIF`` or ``GPS``, or by ``"0x1234"``.

    Raises
    ------
    ValueError
        If there is no such tag, or if it is where another part of the structure lies.
    """
    tag = _NUMBERS[group].get(name)
    if tag is None:
        if not re.fullmatch("0x[0-9a-f]{4}", str(name)):
            raise ValueError("there is no tag of that name")
        tag = int(name, 16)
    if group != "GPS" and (tag in _POINTERS or tag in _BLOBS or tag in _LAYOUT):
        raise ValueError("it tells where something else lies")
    return tag


def directory_of(group: str, tag: int) -> str:
    """Give the directory of an EXIF block that a tag belongs to; empty for what is about a TIFF's own pixels."""
    if group == "GPS":
        return "GPS"
    if tag in _CODING:
        return ""
    return "IFD0" if tag in _FIRST else "Interop" if tag in _INTEROP else "Exif"


# Values

_LEFT_OUT = object()


def _value(order: str, name: str, entry: Entry) -> Any:
    """Give a value as Python has it, or `_LEFT_OUT` if it is too long to be shown."""
    if entry.kind in _TEXTS:
        return _text(name, entry.raw)
    if entry.kind in _OPAQUE and (entry.count > 1 or name == "MakerNote") and name not in _TUPLES:
        return _opaque(order, name, entry.raw)
    form = f"{order}{len(entry.raw) // struct.calcsize(order + _FORMS[entry.kind])}{_FORMS[entry.kind]}"
    numbers: tuple[Any, ...] = struct.unpack(form, entry.raw)
    if entry.kind in _RATIONALS:
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        numbers = tuple(Fraction(above, below) if below else None for above, below in pairs)
    if len(numbers) > MOST_ITEMS:
        return _LEFT_OUT
    return numbers if len(numbers) > 1 or name in _TUPLES else numbers[0]


def _text(name: str, raw: bytes) -> str | datetime:
    """Read a text up to its NUL; a date is a datetime if it is one."""
    parts = raw.decode("utf-8", "replace").split("\0")
    text = "; ".join(part.strip() for part in parts if part.strip()) if name in _PARTS else parts[0]
    return (_date(text.strip()) if name in _DATES else None) or text


def _date(text: str) -> datetime | None:
    """Read a date as EXIF has it, or as XMP does, which some programs write there."""
    match = _DATE.fullmatch(text)
    with contextlib.suppress(ValueError):
        return datetime.fromisoformat("{}-{}-{}{}".format(*match.groups())) if match else None
    return None


def _opaque(order: str, name: str, raw: bytes) -> Any:
    """Read what is bytes to TIFF, and by its name perhaps text all the same."""
    if name.startswith("XP"):  # Windows
        return raw.decode("utf-16-le", "replace").split("\0")[0]
    if name in _VERSIONS:
        return raw.decode("ascii", "replace").rstrip("\0")
    if name in _COMMENTS:
        codes = {**_CODES, b"UNICODE\0": "utf-16-le" if order == "<" else "utf-16-be"}
        if raw[:8] in codes:
            marked = raw[:8] == b"UNICODE\0" and raw[8:10] in (b"\xff\xfe", b"\xfe\xff")
            return raw[8:].decode("utf-16" if marked else codes[raw[:8]], "replace").rstrip("\0")
    return raw if len(raw) <= MOST_OPAQUE else _LEFT_OUT


# Back to bytes


def _is_carried(tag: int) -> bool:
    """Tell whether a tag of the first directory is about the picture, wherever that is stored."""
    exposure = 0x8298 <= tag < 0xC4A5 and tag in _NAMES
    return tag in _CARRIED or exposure


def _classic(entries: dict[int, Entry]) -> dict[int, Entry]:
    """Keep what a plain TIFF structure can hold; its pointers are made anew."""
    return {tag: entry for tag, entry in entries.items() if entry.kind not in _BIG and tag not in _POINTERS}


def _packed_size(entries: dict[int, Entry]) -> int:
    outside = sum(len(entry.raw) + 1 & ~1 for entry in entries.values() if len(entry.raw) > 4)
    return 2 + 12 * len(entries) + 4 + outside


def _packed(order: str, entries: dict[int, Entry], at: int) -> bytes:
    """Write a directory that will stand at `at`, its longer values right behind it."""
    table, outside = struct.pack(order + "H", len(entries)), b""
    behind = at + 2 + 12 * len(entries) + 4
    for tag, entry in sorted(entries.items()):
        table += struct.pack(order + "HHL", tag, entry.kind, entry.count)
        if len(entry.raw) > 4:
            table += struct.pack(order + "L", behind + len(outside))
            outside += entry.raw + bytes(len(entry.raw) % 2)
        else:
            table += entry.raw.ljust(4, b"\0")
    return table + bytes(4) + outside
