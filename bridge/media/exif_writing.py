"""The typed groups EXIF and GPS -> the tags of a TIFF structure, each of the standard's type.

What cannot be a tag is left out and told, whatever it is.
"""

from __future__ import annotations

import math
import struct
from datetime import datetime
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import TYPE_CHECKING, Any

from bridge.media.exif import MOST_ITEMS, MOST_OPAQUE, MOST_TAGS, Entry, Exif, directory_of, tag_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["encode_exif"]

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED, _SLONG, _SRATIONAL, _DOUBLE = 1, 2, 3, 4, 5, 7, 9, 10, 12

# The types of EXIF 3.0 and TIFF 6, by name.
_TABLE = {
    _BYTE: "GPSVersionID GPSAltitudeRef DNGVersion TIFFEPStandardID XPTitle XPComment XPAuthor XPKeywords XPSubject",
    _ASCII: """
        DocumentName ImageDescription Make Model PageName Software DateTime Artist HostComputer Copyright
        SpectralSensitivity DateTimeOriginal DateTimeDigitized OffsetTime OffsetTimeOriginal OffsetTimeDigitized
        SubSecTime SubSecTimeOriginal SubSecTimeDigitized RelatedSoundFile ImageUniqueID CameraOwnerName
        BodySerialNumber LensMake LensModel LensSerialNumber UniqueCameraModel CameraSerialNumber
        InteroperabilityIndex ProcessingSoftware GPSLatitudeRef GPSLongitudeRef GPSSatellites GPSStatus GPSMeasureMode
        GPSSpeedRef GPSTrackRef GPSImgDirectionRef GPSMapDatum GPSDestLatitudeRef GPSDestLongitudeRef
        GPSDestBearingRef GPSDestDistanceRef GPSDateStamp""",
    _SHORT: """
        Orientation ResolutionUnit Rating RatingPercent ExposureProgram ISOSpeedRatings SensitivityType
        MeteringMode LightSource Flash ColorSpace PixelXDimension PixelYDimension FocalPlaneResolutionUnit
        SubjectLocation SensingMethod CustomRendered ExposureMode WhiteBalance FocalLengthIn35mmFilm
        SceneCaptureType GainControl Contrast Saturation Sharpness SubjectDistanceRange CompositeImage
        CompositeImageCount GPSDifferential""",
    _LONG: """
        StandardOutputSensitivity RecommendedExposureIndex ISOSpeed ISOSpeedLatitudeyyy ISOSpeedLatitudezzz""",
    _RATIONAL: """
        XResolution YResolution ExposureTime FNumber CompressedBitsPerPixel ApertureValue MaxApertureValue
        SubjectDistance FocalLength FlashEnergy FocalPlaneXResolution FocalPlaneYResolution ExposureIndex
        DigitalZoomRatio LensSpecification LensInfo Gamma Humidity Pressure Acceleration GPSLatitude GPSLongitude
        GPSAltitude GPSTimeStamp GPSDOP GPSSpeed GPSTrack GPSImgDirection GPSDestLatitude GPSDestLongitude
        GPSDestBearing GPSDestDistance GPSHPositioningError""",
    _SRATIONAL: """
        ShutterSpeedValue BrightnessValue ExposureBiasValue AmbientTemperature WaterDepth CameraElevationAngle""",
    _UNDEFINED: """
        ExifVersion FlashPixVersion InteroperabilityVersion UserComment GPSProcessingMethod GPSAreaInformation
        ComponentsConfiguration FileSource SceneType CFAPattern MakerNote OECF SpatialFrequencyResponse
        DeviceSettingDescription CompositeImageExposureTimes""",
}  # fmt: skip
_KINDS = {name: kind for kind, names in _TABLE.items() for name in names.split()}

_INTEGERS = ((_SHORT, "H", 0, 1 << 16), (_LONG, "L", 0, 1 << 32), (_SLONG, "l", -(1 << 31), 1 << 31))
_FINEST = 1_000_000  # the largest denominator of what was given as a float


def encode_exif(groups: Mapping[str, Any]) -> tuple[Exif, list[tuple[str, str, str]]]:
    """Write the groups ``EXIF`` and ``GPS`` of a picture's metadata as tags, little-endian.

    Parameters
    ----------
    groups : mapping
        As `bridge.media.metadata.read_groups` gives them: int, float, `fractions.Fraction` (None for 0/0), str,
        `datetime.datetime`, bytes, and tuples of numbers. A float is written as the nearest short fraction where
        the standard wants one.

    Returns
    -------
    Exif
        The directories.
    list of tuple
        Group, name and reason for all that is left out; tags about the layout of a TIFF's pixels are left out without
        a word.
    """
    exif, left_out = Exif(order="<"), list[tuple[str, str, str]]()
    for group in ("EXIF", "GPS"):
        for number, (name, value) in enumerate(groups.get(group, {}).items()):
            try:
                if number >= MOST_TAGS:
                    raise ValueError("there are too many tags")  # noqa: TRY301 - one way out for all
                tag = tag_of(group, name)
                directory = directory_of(group, tag)
                if directory:
                    exif.directories.setdefault(directory, {})[tag] = _entry(exif.order, tag, name, value)
            except (ValueError, TypeError, OverflowError, struct.error) as error:
                left_out.append((group, str(name), _reason(error)))
    return exif, left_out


def _reason(error: Exception) -> str:
    return "it cannot be encoded" if isinstance(error, UnicodeError | struct.error) else str(error)


def _entry(order: str, tag: int, name: str, value: Any) -> Entry:
    kind = _KINDS.get(name)
    if isinstance(value, datetime):
        day, rest = value.isoformat(" ").split(" ")
        value = f"{day.replace('-', ':')} {rest}"
    if isinstance(value, bytes):
        kind, count, raw = _UNDEFINED, len(value), value
    elif isinstance(value, str):
        kind, count, raw = _text(order, name, kind, value)
    else:
        numbers = tuple(value) if isinstance(value, list | tuple) else (value,)
        kind, count, raw = _numbers(order, kind, numbers)
    if not raw:
        raise ValueError("it is empty")
    if kind == _UNDEFINED and len(raw) > MOST_OPAQUE:
        raise ValueError("it is too long")
    return Entry(tag, kind, count, raw)


def _text(order: str, name: str, kind: int | None, text: str) -> tuple[int, int, bytes]:
    """Write a text in the way that belongs to its tag."""
    if "\0" in text:
        raise ValueError("there is a NUL in it")
    if name.startswith("XP"):  # Windows
        raw = text.encode("utf-16-le") + b"\0\0"
    elif name.endswith("Version") and kind == _UNDEFINED:
        raw = text.encode("ascii")
    elif name in ("UserComment", "GPSProcessingMethod", "GPSAreaInformation"):
        wide = "utf-16-le" if order == "<" else "utf-16-be"
        raw = b"ASCII\0\0\0" + text.encode() if text.isascii() else b"UNICODE\0" + text.encode(wide)
    elif kind in (None, _ASCII):
        raw = text.encode() + b"\0"
    else:
        raise ValueError("a text is no value of it")
    return kind or _ASCII, len(raw), raw


def _numbers(order: str, kind: int | None, numbers: Sequence[Any]) -> tuple[int, int, bytes]:
    """Write numbers as the type that belongs to their tag, or as a wider one of its family."""
    if len(numbers) > MOST_ITEMS:
        raise ValueError("it has too many numbers")
    if not all(number is None or isinstance(number, Real) for number in numbers):
        raise TypeError(f"a {type(numbers[0]).__name__} is no value of it")
    return _WRITERS[_family(numbers) if kind is None else kind](order, numbers)


def _family(numbers: Sequence[Any]) -> int:
    if all(isinstance(number, Integral) for number in numbers):
        return _SHORT
    return _RATIONAL if all(number is None or isinstance(number, Rational) for number in numbers) else _DOUBLE


def _bytes(kind: int) -> Callable[[str, Sequence[Any]], tuple[int, int, bytes]]:
    return lambda _order, numbers: (kind, len(numbers), bytes(_whole(numbers)))


def _whole(numbers: Sequence[Any]) -> list[int]:
    if any(number is None or number != int(number) for number in numbers):
        raise ValueError("it is no whole number")
    return [int(number) for number in numbers]


def _integers(order: str, numbers: Sequence[Any]) -> tuple[int, int, bytes]:
    whole = _whole(numbers)
    for kind, form, least, end in _INTEGERS:
        if all(least <= number < end for number in whole):
            return kind, len(whole), struct.pack(f"{order}{len(whole)}{form}", *whole)
    raise ValueError("it does not fit 32 bits")


def _long(order: str, numbers: Sequence[Any]) -> tuple[int, int, bytes]:
    return _LONG, len(numbers), struct.pack(f"{order}{len(numbers)}L", *_whole(numbers))


def _rationals(kind: int) -> Callable[[str, Sequence[Any]], tuple[int, int, bytes]]:
    def write(order: str, numbers: Sequence[Any]) -> tuple[int, int, bytes]:
        pairs = [_pair(number) for number in numbers]
        signed = kind == _SRATIONAL or any(above < 0 for above, _ in pairs)
        end = 1 << (31 if signed else 32)
        if any(abs(above) >= end or below >= end for above, below in pairs):
            raise ValueError("it does not fit two numbers of 32 bits")
        parts = [part for pair in pairs for part in pair]
        form = f"{order}{len(parts)}{'l' if signed else 'L'}"
        return _SRATIONAL if signed else _RATIONAL, len(pairs), struct.pack(form, *parts)

    return write


def _pair(number: Any) -> tuple[int, int]:
    """Give numerator and denominator."""
    if number is None:
        return 0, 0
    if not isinstance(number, Rational) and not math.isfinite(number):
        raise ValueError("it is no finite number")
    exact = isinstance(number, Rational)
    fraction = Fraction(number) if exact else Fraction(float(number)).limit_denominator(_FINEST)
    return int(fraction.numerator), int(fraction.denominator)


def _doubles(order: str, numbers: Sequence[Any]) -> tuple[int, int, bytes]:
    return _DOUBLE, len(numbers), struct.pack(f"{order}{len(numbers)}d", *numbers)


def _no_number(_order: str, _numbers: Sequence[Any]) -> tuple[int, int, bytes]:
    raise ValueError("a number is no value of it")


_WRITERS: dict[int, Callable[[str, Sequence[Any]], tuple[int, int, bytes]]] = {
    _BYTE: _bytes(_BYTE),
    _ASCII: _no_number,
    _SHORT: _integers,
    _LONG: _long,
    _RATIONAL: _rationals(_RATIONAL),
    _UNDEFINED: _bytes(_UNDEFINED),
    _SRATIONAL: _rationals(_SRATIONAL),
    _DOUBLE: _doubles,
}
