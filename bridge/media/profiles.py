"""ICC profiles, IPTC records and the resources of Photoshop -> names and values.

What is damaged raises `struct.error`, `ValueError` or `LookupError` where it is met; what came before stays.
"""

from __future__ import annotations

import re
import struct
from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["read_icc", "read_iptc", "read_resources", "write_iptc"]

_MOST_RECORDS = 1_000  # of a profile's table, and of its languages


def read_icc(profile: bytes) -> Iterator[tuple[str, Any]]:
    """Give ``size``, ``color_space``, ``profile`` and, if it can be read, ``description``; nothing if it is none."""
    if len(profile) < 132 or profile[36:40] != b"acsp":
        return
    yield "size", len(profile)
    yield "color_space", profile[16:20].decode("ascii", "replace")
    yield "profile", profile
    yield "description", _icc_description(profile)


def _icc_description(profile: bytes) -> str:
    (count,) = struct.unpack_from(">L", profile, 128)
    rows = (struct.unpack_from(">4sLL", profile, 132 + 12 * number) for number in range(min(count, _MOST_RECORDS)))
    at = {name: at for name, at, _ in rows}[b"desc"]
    (length,) = struct.unpack_from(">L", profile, at + 8)
    if profile[at : at + 4] == b"desc":
        return profile[at + 12 : at + 12 + length].decode("utf-8", "replace").split("\0")[0]
    texts: dict[bytes, tuple[int, int]] = {}  # mluc: in several languages
    for number in range(min(length, _MOST_RECORDS)):
        language, size, start = struct.unpack_from(">2s2xLL", profile, at + 16 + 12 * number)
        texts.setdefault(language, (at + start, at + start + size))
    begin, end = texts.get(b"en") or min(texts.values())
    return profile[begin:end].decode("utf-16-be", "replace").rstrip("\0")


# Dataset -> name, for those of the second record ("application"), and which of them may be repeated.
_IPTC = {
    3: "ObjectTypeReference", 4: "ObjectAttributeReference", 5: "ObjectName", 7: "EditStatus", 8: "EditorialUpdate",
    10: "Urgency", 12: "SubjectReference", 15: "Category", 20: "SupplementalCategories", 22: "FixtureIdentifier",
    25: "Keywords", 26: "ContentLocationCode", 27: "ContentLocationName", 30: "ReleaseDate", 35: "ReleaseTime",
    37: "ExpirationDate", 38: "ExpirationTime", 40: "SpecialInstructions", 42: "ActionAdvised", 55: "DateCreated",
    60: "TimeCreated", 62: "DigitalCreationDate", 63: "DigitalCreationTime", 65: "OriginatingProgram",
    70: "ProgramVersion", 75: "ObjectCycle", 80: "By-line", 85: "By-lineTitle", 90: "City", 92: "Sub-location",
    95: "Province-State", 100: "Country-PrimaryLocationCode", 101: "Country-PrimaryLocationName",
    103: "OriginalTransmissionReference", 105: "Headline", 110: "Credit", 115: "Source", 116: "CopyrightNotice",
    118: "Contact", 120: "Caption-Abstract", 122: "Writer-Editor", 130: "ImageType", 131: "ImageOrientation",
    135: "LanguageIdentifier",
}  # fmt: skip
_REPEATED = frozenset({4, 12, 20, 26, 27, 80, 85, 118, 122, 25})


def read_iptc(block: bytes) -> Iterator[tuple[str, str | list[str]]]:
    """Give the application record of IPTC by name: a text, or for what may be repeated a list of one text."""
    rows = [*_iptc_rows(block)]
    utf8 = (1, 90, b"\x1b%G") in rows
    for record, dataset, raw in rows:
        if record == 2 and dataset:  # 0 is the version of the record
            text = _iptc_text(raw, utf8=utf8)
            yield _IPTC.get(dataset, f"2:{dataset:03}"), [text] if dataset in _REPEATED else text


_IPTC_NUMBERS = {name: number for number, name in _IPTC.items()}
_IPTC_NAME = re.compile(r"2:(\d{3})", re.ASCII)


def write_iptc(values: Mapping[str, Any]) -> tuple[bytes, list[tuple[str, str]]]:
    """Write an application record of IPTC, in UTF-8, in the resources of Photoshop.

    Parameters
    ----------
    values : mapping
        As `read_iptc` names them: str, or a list of str for what may be repeated.

    Returns
    -------
    bytes
        Empty if there is nothing to write.
    list of tuple
        Name and reason for what is left out.
    """
    rows, left_out = b"", list[tuple[str, str]]()
    for name, value in values.items():
        try:
            texts = [value] if isinstance(value, str) else value
            if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
                raise TypeError("it is no text and no list of texts")  # noqa: TRY301 - one way out for all
            rows += b"".join(_iptc_row(2, _iptc_number(name), text.encode()) for text in texts)
        except (ValueError, TypeError) as error:
            left_out.append((str(name), "it cannot be encoded" if isinstance(error, UnicodeError) else str(error)))
    if not rows:
        return b"", left_out
    record = _iptc_row(1, 90, b"\x1b%G") + _iptc_row(2, 0, b"\0\4") + rows
    return struct.pack(">4sHHL", b"8BIM", 0x0404, 0, len(record)) + record + bytes(len(record) % 2), left_out


def _iptc_number(name: str) -> int:
    found = _IPTC_NAME.fullmatch(str(name))
    number = _IPTC_NUMBERS.get(name) or (int(found[1]) if found else 0)
    if not 0 < number < 256:
        raise ValueError("there is nothing of that name")
    return number


def _iptc_row(record: int, dataset: int, raw: bytes) -> bytes:
    if len(raw) > 0x7FFF:
        raise ValueError("it is too long")
    return struct.pack(">BBBH", 0x1C, record, dataset, len(raw)) + raw


def _iptc_rows(block: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while block[at : at + 1] == b"\x1c" and at + 5 <= len(block):
        record, dataset, size = struct.unpack_from(">BBH", block, at + 1)
        at += 5
        if size & 0x8000:  # then it is how many bytes the size itself has
            wide = min(size & 0x7FFF, 8)
            size, at = int.from_bytes(block[at : at + wide], "big"), at + wide
        if at + size > len(block):
            return
        yield record, dataset, block[at : at + size]
        at += size


def _iptc_text(raw: bytes, *, utf8: bool) -> str:
    """Decode as declared; undeclared text is UTF-8 if it can be, else most often Latin-1."""
    try:
        return raw.decode("utf-8").rstrip("\0")
    except UnicodeDecodeError:
        return raw.decode("utf-8" if utf8 else "latin-1", "replace").rstrip("\0")


def read_resources(block: bytes) -> Iterator[tuple[str, Any]]:
    """Give ``resolution``, ``copyrighted``, ``url`` and, as bytes, ``IPTC`` out of the resources of Photoshop."""
    at = 0
    while block[at : at + 4] == b"8BIM":
        number, length = struct.unpack_from(">HB", block, at + 4)
        at += 6 + (length + 2 & ~1)
        (size,) = struct.unpack_from(">L", block, at)
        raw = block[at + 4 : at + 4 + size]
        if len(raw) < size:
            return
        at += 4 + (size + 1 & ~1)
        if number == 0x0404:
            yield "IPTC", raw
        elif number == 0x03ED and size >= 16:
            across, down = struct.unpack_from(">L4xL", raw)
            yield "resolution", (Fraction(across, 65536), Fraction(down, 65536))
        elif number == 0x040A and size:
            yield "copyrighted", bool(raw[0])
        elif number == 0x040B:
            yield "url", raw.decode("utf-8", "replace")
