"""Typed metadata -> blocks -> a file -> the same metadata; and what no file can hold is told, never an error."""

from __future__ import annotations

import io
import struct
import zlib
from datetime import UTC, datetime
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms

from bridge.media.carry import HELD, carried
from bridge.media.embed import Blocks, amend_tiff, embed
from bridge.media.exif import Exif
from bridge.media.exif_writing import _KINDS, encode_exif
from bridge.media.metadata import read_groups
from bridge.media.profiles import write_iptc
from bridge.media.xmp import read_xmp
from bridge.media.xmp_writing import write_xmp

if TYPE_CHECKING:
    from collections.abc import Callable

_BYTE, _ASCII, _SHORT, _LONG, _RATIONAL, _UNDEFINED, _SRATIONAL = 1, 2, 3, 4, 5, 7, 10
_FORMS = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP"}
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def _reader(data: bytes) -> Callable[[int, int], bytes]:
    return lambda at, count: data[at : at + count]


def _file(kind: str, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    slope = np.add.outer(3 * np.arange(24), 4 * np.arange(40)).astype(np.uint8)
    picture = Image.fromarray(slope).convert(mode)
    if mode == "RGBA":
        picture.putalpha(Image.fromarray(slope))
    picture.save(out, _FORMS[kind], **options)
    return out.getvalue()


def _through(kind: str, meta: dict[str, Any], content: bytes | None = None, **how: Any) -> tuple[bytes, list[str]]:
    blocks, changes = carried(meta, kind, **{"channels": 3, "size": (40, 24), **how})
    return embed(kind, content or _file(kind), blocks), changes


def _pixels(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as picture:
        return np.asarray(picture)


def _profile(space: bytes = b"RGB ", size: int = 200) -> bytes:
    return bytes(16) + space + bytes(16) + b"acsp" + bytes(size - 40)


# EXIF

_TEXT = st.text(st.characters(min_codepoint=32, exclude_categories=["C", "Z"]), max_size=20)
_32_BITS = st.integers(0, (1 << 32) - 1)
_SIGNED = st.integers(-(1 << 31), (1 << 31) - 1)
_FRACTIONS = st.builds(Fraction, st.integers(0, (1 << 32) - 1), st.integers(1, (1 << 32) - 1)) | st.none()
_SIGNED_FRACTIONS = st.builds(Fraction, _SIGNED, st.integers(1, (1 << 31) - 1)) | st.none()
_DATES = st.datetimes(min_value=datetime(1, 1, 1)) | st.datetimes(timezones=st.just(UTC))  # noqa: DTZ001 - EXIF has none
_VALUES = {
    _ASCII: _TEXT,
    _SHORT: _32_BITS | st.lists(_32_BITS, min_size=2, max_size=4).map(tuple),
    _LONG: _32_BITS,
    _RATIONAL: _FRACTIONS | st.lists(_FRACTIONS, min_size=2, max_size=4).map(tuple),
    _SRATIONAL: _SIGNED_FRACTIONS,
}
_OF_NAME: dict[str, Any] = {
    "DateTime": _DATES,
    "DateTimeOriginal": _DATES,
    "UserComment": _TEXT,
    "GPSProcessingMethod": _TEXT,
    "ExifVersion": st.text("0123456789", min_size=4, max_size=4),
    "MakerNote": st.binary(min_size=1, max_size=200),
    "FileSource": st.integers(0, 255),
    "ComponentsConfiguration": st.binary(min_size=4, max_size=4).map(tuple),
    "GPSVersionID": st.binary(min_size=4, max_size=4).map(tuple),
    "XPTitle": _TEXT,
    "0xabcd": st.binary(min_size=2, max_size=30) | _FRACTIONS | _SIGNED | _TEXT | st.floats(allow_nan=False),
}
_ALL = {name: _VALUES[kind] for name, kind in _KINDS.items() if kind in _VALUES} | _OF_NAME
_TAG = st.sampled_from([*_ALL]).flatmap(lambda name: st.tuples(st.just(name), _ALL[name]))


@settings(max_examples=150)
@given(st.lists(_TAG, max_size=5).map(dict))
def test_typed_exif_comes_back_as_it_was(tags: dict[str, Any]) -> None:
    groups: dict[str, dict[str, Any]] = {"EXIF": {}, "GPS": {}}
    for name, value in tags.items():
        groups["GPS" if name.startswith("GPS") else "EXIF"][name] = value
    made, left_out = encode_exif(groups)
    assert not left_out
    packed = made.pack()
    found = [*Exif.read(_reader(packed)).named()] if packed else []
    again: dict[str, dict[str, Any]] = {"EXIF": {}, "GPS": {}}
    for group, name, value in found:
        again[group][name] = value
    assert again == groups


def test_each_tag_has_its_own_type_and_directory() -> None:
    groups = {
        "EXIF": {
            "Orientation": 6, "ExposureTime": Fraction(1, 250), "FNumber": 2.8, "ExposureBiasValue": 0,
            "XResolution": 72, "DateTime": datetime.fromisoformat("2024-02-29 23:59:58"), "ExifVersion": "0232",
            "UserComment": "schön", "ISOSpeed": 7,
            "PixelXDimension": 70_000, "FileSource": 3, "InteroperabilityIndex": "R98",
        },
        "GPS": {"GPSAltitudeRef": 0, "GPSLatitude": (48, 51, 29.99)},
    }  # fmt: skip
    exif, left_out = encode_exif(groups)
    assert not left_out
    kinds = {(name, tag): row.kind for name, rows in exif.directories.items() for tag, row in rows.items()}
    assert kinds == {
        ("IFD0", 0x112): _SHORT, ("Exif", 0x829A): _RATIONAL, ("Exif", 0x829D): _RATIONAL, ("Exif", 0x9204): _SRATIONAL,
        ("IFD0", 0x11A): _RATIONAL, ("IFD0", 0x132): _ASCII, ("Exif", 0x9000): _UNDEFINED, ("Exif", 0x9286): _UNDEFINED,
        ("Exif", 0x8833): _LONG, ("Exif", 0xA002): _LONG, ("Exif", 0xA300): _UNDEFINED, ("Interop", 1): _ASCII,
        ("GPS", 5): _BYTE, ("GPS", 2): _RATIONAL,
    }  # fmt: skip
    assert exif.directories["IFD0"][0x132].raw == b"2024:02:29 23:59:58\0"
    assert exif.directories["GPS"][2].raw[16:] == struct.pack("<LL", 2999, 100)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NoSuchTag", "x"), ("Orientation", "up"), ("Orientation", -1 << 40), ("Make", 5), ("Make", "a\0b"),
        ("Make", "\ud800"), ("FNumber", float("nan")), ("FNumber", Fraction(1, 1 << 40)), ("ExposureTime", object()),
        ("MakerNote", b""), ("MakerNote", bytes(70_000)), ("ExifVersion", "ü"), ("SceneType", 300), ("Flash", 1.5),
        ("0x8769", 26), ("0x0111", 8), ("0xffffff", b"ab"), ("LensSpecification", (1, "a")), ("Make", None),
        (5, 5), ("OECF", [0] * 2000), ("Flash", {}),
    ],
)  # fmt: skip
def test_what_cannot_be_a_tag_is_told(name: Any, value: Any) -> None:
    meta = {"EXIF": {name: value, "Model": "whole"}}
    data, changes = _through("jpeg", meta)
    assert read_groups("jpeg", _reader(data))["EXIF"] == {"Model": "whole"}
    assert len(changes) == 1
    assert changes[0].startswith(f"EXIF {name} was not written: ")


# XMP and IPTC

_STEP = st.sampled_from(
    ["dc:title", "dc:subject", "xmp:Rating", "xmpMM:History", "exif:Flash", "tiff:Make", "mwg-rs:R"]
)
_WORDS = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff"), max_size=12)


@given(st.dictionaries(_STEP, _WORDS | st.lists(_WORDS, max_size=4)))
@example({"dc:title": " a < b & c > d ", "dc:subject": []})
@example({"dc:title": "\n\t "})
def test_texts_and_lists_of_xmp_come_back_as_they_were(values: dict[str, Any]) -> None:
    packet, left_out = write_xmp(values)
    assert not left_out
    assert (dict(read_xmp(packet)) if packet else {}) == values


def test_structures_and_languages_of_xmp_come_back_as_they_were() -> None:
    values = {
        "dc:title": "Title", "dc:title[de]": "Titel", "exif:Flash/exif:Fired": "True",
        "xmpMM:History[1]/stEvt:action": "saved", "xmpMM:History[3]/stEvt:action": "cut", "xmpMM:History": ["made"],
        "mwg-rs:Regions/mwg-rs:RegionList[1]/mwg-rs:Area/stArea:x": "0.5", "crs:ToneCurve": ["0, 0", "255, 255"],
        "xmpidq:Scheme": "v", "xmpidq:Scheme/xmp:Label": "me",
    }  # fmt: skip
    packet, left_out = write_xmp(values)
    assert not left_out
    assert dict(read_xmp(packet)) == values


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ex:inner", "1"), ("CreatorTool", "a pen"), ("dc:t itle", "x"), ("dc:title", "a\0b"), ("dc:title", b"x"),
        ("dc:title", [["x"]]), ("dc:a[9999999]", "x"), ("dc:title[de]", ["x"]), ("rdf:li", "x"),
        ("dc:a" + "/dc:a" * 30, "x"), ("dc:title", "x" * (1 << 21)), ("dc:a><b", "x"), ("dc:title", object()),
    ],
)  # fmt: skip
def test_what_cannot_be_xmp_is_told(name: Any, value: Any) -> None:
    packet, left_out = write_xmp({name: value, "dc:source": "whole"})
    assert dict(read_xmp(packet)) == {"dc:source": "whole"}
    assert [each for each, _ in left_out] == [str(name)]


def test_values_that_hide_each_other_are_told() -> None:
    packet, left_out = write_xmp({"dc:title": ["a"], "dc:title[de]": "b", "dc:subject": "a", "dc:subject[de]": "b"})
    assert {name for name, _ in left_out} == {"dc:title[de]"}
    assert dict(read_xmp(packet)) == {"dc:title": ["a"], "dc:subject": "a", "dc:subject[de]": "b"}


@pytest.mark.parametrize("length", [60_000, 70_000, 300_000])
def test_a_packet_of_any_length_fits_a_jpeg(length: int) -> None:
    said = {"dc:description": "long " * (length // 5), "dc:title": "t"}
    data, changes = _through("jpeg", {"XMP": said})
    assert not changes
    assert read_groups("jpeg", _reader(data))["XMP"] == said


def test_iptc_in_a_jpeg() -> None:
    said = {"Keywords": ["a", "schön"], "City": "Köln", "2:200": "own"}
    data, changes = _through("jpeg", {"IPTC": said | {"Nothing": "x", "Headline": 5}})
    assert read_groups("jpeg", _reader(data))["IPTC"] == said
    assert [change.split(" was")[0] for change in changes] == ["IPTC Nothing", "IPTC Headline"]
    with Image.open(io.BytesIO(data)) as picture:
        from PIL import IptcImagePlugin

        assert (IptcImagePlugin.getiptcinfo(picture) or {})[2, 25] == [b"a", "schön".encode()]
    assert write_iptc({}) == (b"", [])


# Profiles and comments


@pytest.mark.parametrize("kind", _FORMS)
@pytest.mark.parametrize("size", [200, 65_519, 65_520, 300_001])
def test_a_profile_of_any_size(kind: str, size: int) -> None:
    profile = _profile(size=size)
    data, changes = _through(kind, {"ICC": {"profile": profile}})
    assert not changes
    with Image.open(io.BytesIO(data)) as picture:
        assert picture.info["icc_profile"] == profile


@pytest.mark.parametrize(
    ("profile", "channels", "told"),
    [
        (_profile(b"CMYK"), 4, "'CMYK', and the pixels are RGB"), (_profile(), 1, "'RGB', and the pixels are GRAY"),
        (_profile(b"GRAY"), 3, "'GRAY'"), (_profile(b"Lab "), 0, "no colour space"), (b"none", 3, "no ICC profile"),
        (None, 3, "no ICC profile"), (_profile(size=5 << 20), 3, "too long"),
    ],
)  # fmt: skip
def test_a_profile_that_does_not_fit_is_told(profile: Any, channels: int, told: str) -> None:
    data, changes = _through("png", {"ICC": {"profile": profile}}, channels=channels)
    assert "ICC" not in read_groups("png", _reader(data))
    assert len(changes) == 1
    assert told in changes[0]


def test_comments_by_keyword() -> None:
    said = {"Comment": ["one", "zwei ☃"], "Title": "schön", "": "x", "XML:com.adobe.xmp": "x", "a" * 80: "x", "b": 5}
    data, changes = _through("png", {"COMMENT": said})
    assert read_groups("png", _reader(data))["COMMENT"] == {"Comment": ["one", "zwei ☃"], "Title": "schön"}
    assert len(changes) == 4
    data, changes = _through("jpeg", {"COMMENT": said})
    assert read_groups("jpeg", _reader(data))["COMMENT"] == {"Comment": ["one", "zwei ☃"]}
    assert len(changes) == 5


# Files

_META: dict[str, Any] = {
    "EXIF": {"Make": "Maker", "Orientation": 6, "ExposureTime": Fraction(1, 250), "PixelXDimension": 4000},
    "GPS": {"GPSLatitudeRef": "N", "GPSLatitude": (Fraction(48), Fraction(51), Fraction(2999, 100))},
    "XMP": {"dc:title": "Title", "tiff:ImageWidth": "4000"},
    "ICC": {"profile": _SRGB},
    "COMMENT": {"Comment": "a comment"},
    "IPTC": {"City": "Köln"},
    "FILE": {"format": "JPEG"},
}


@pytest.mark.parametrize(
    ("kind", "mode", "options"),
    [
        ("jpeg", "RGB", {}), ("jpeg", "RGB", {"exif": b"Exif\0\0old", "comment": b"old", "icc_profile": _profile()}),
        ("png", "RGB", {}), ("png", "RGBA", {"exif": b"Exif\0\0II*\0\0\0\0\0", "icc_profile": _profile()}),
        ("webp", "RGB", {}), ("webp", "RGBA", {"lossless": True}), ("webp", "RGB", {"lossless": True}),
        ("webp", "RGBA", {}), ("webp", "RGB", {"exif": b"Exif\0\0old", "xmp": b"old", "icc_profile": _profile()}),
    ],
)  # fmt: skip
def test_pillow_finds_all_of_it_and_the_same_pixels(kind: str, mode: str, options: dict[str, Any]) -> None:
    before = _file(kind, mode, **options)
    data, _ = _through(kind, _META, before)
    with Image.open(io.BytesIO(data)) as picture:
        picture.load()
        assert picture.mode == mode
        exif = picture.getexif()
        assert (exif[0x10F], exif[0x112]) == ("Maker", 6)
        assert exif.get_ifd(0x8769) == {0x829A: 1 / 250, 0xA002: 40}
        assert exif.get_ifd(0x8825) == {1: "N", 2: (48.0, 51.0, 29.99)}
        assert picture.info["icc_profile"] == _SRGB
        assert b"Title" in (picture.info.get("xmp") or picture.info["XML:com.adobe.xmp"].encode())
    assert np.array_equal(_pixels(data), _pixels(before))
    again, _ = _through(kind, _META, data)
    assert again == data  # all is replaced, nothing doubled
    groups = read_groups(kind, _reader(data))
    assert groups["XMP"] == {"dc:title": "Title", "tiff:ImageWidth": "40"}
    assert groups.get("COMMENT") == (None if kind == "webp" else _META["COMMENT"])


def test_checksums_of_a_png_are_right() -> None:
    data, _ = _through("png", _META, _file("png", "P"))
    at, names = 8, []
    while at < len(data):
        size, name = struct.unpack_from(">L4s", data, at)
        assert zlib.crc32(data[at + 4 : at + 8 + size]) == struct.unpack_from(">L", data, at + 8 + size)[0]
        names.append(name)
        at += 12 + size
    assert names[:5] == [b"IHDR", b"iCCP", b"eXIf", b"iTXt", b"tEXt"]
    assert names[-1] == b"IEND"


@pytest.mark.parametrize("big", [False, True])
def test_a_tiff_is_amended_in_place(big: bool) -> None:
    out = io.BytesIO()
    pages = np.arange(3 * 24 * 41, dtype=np.uint16).reshape(3, 24, 41)
    with tifffile.TiffWriter(out, bigtiff=big, byteorder="<") as writer:
        for page in pages:
            writer.write(page, contiguous=False, compression="zlib", metadata=None)
    data = bytearray(out.getvalue())
    blocks, _ = carried(_META, "tiff", channels=3, size=(41, 24))
    for at, piece in amend_tiff(_reader(bytes(data)), len(data), blocks):
        data[at : at + len(piece)] = piece
    with tifffile.TiffFile(io.BytesIO(data)) as tiff:
        assert [page.asarray().tolist() for page in tiff.pages] == pages.tolist()
        tags = tiff.pages.first.tags
        assert tags["Make"].value == "Maker"
        assert tags["ExifTag"].value["ExposureTime"] == (1, 250)
        assert tags["GPSTag"].value["GPSLatitudeRef"] == "N"
        assert tags["InterColorProfile"].value == _SRGB
    groups = read_groups("tiff", _reader(bytes(data)))
    assert groups["GPS"] == _META["GPS"]
    assert groups["IPTC"] == _META["IPTC"]
    assert groups["XMP"] == {"dc:title": "Title", "tiff:ImageWidth": "41"}
    assert groups["EXIF"]["PixelXDimension"] == 41


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"MM\0*"])
def test_what_is_no_such_file_is_refused(content: bytes) -> None:
    for kind in _FORMS:
        with pytest.raises((ValueError, struct.error)):
            embed(kind, content, Blocks())
    with pytest.raises((ValueError, struct.error)):
        amend_tiff(_reader(content), len(content), Blocks())


# What comes from hostile files, or from users

_ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.binary(max_size=9)
    | st.fractions() | st.datetimes() | st.just(object()),
    lambda inner: st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple)
    | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
_NAMES = st.sampled_from(
    [*_KINDS, "dc:title", "dc:title[1]", "dc:title/dc:a[x]", "profile", "Comment", "City", "0x1234"]
)


@settings(max_examples=100)
@given(
    st.sampled_from([*HELD]),
    st.dictionaries(
        st.sampled_from(["EXIF", "GPS", "XMP", "IPTC", "ICC", "COMMENT"]),
        st.dictionaries(_NAMES | st.text(max_size=6) | st.integers(), _ANY, max_size=5) | _ANY,
    ),
)
def test_no_metadata_is_an_error(kind: str, meta: dict[str, Any]) -> None:
    blocks, changes = carried(meta, kind, channels=3, size=(40, 24))
    assert all(isinstance(change, str) for change in changes)
    if kind != "tiff":
        data = embed(kind, _file(kind), blocks)
        read_groups(kind, _reader(data))
        assert np.array_equal(_pixels(data), _pixels(_file(kind)))


@pytest.mark.parametrize("kind", HELD)
def test_what_is_too_much_is_left_out_and_the_rest_written(kind: str) -> None:
    exif = {"Make": "Maker", "MakerNote": bytes(60_000), "0x9999": b"xy" * 29_000}
    meta = {"EXIF": exif, "IPTC": {"Keywords": ["x" * 30_000] * 5, "City": "Köln"}, "XMP": {"dc:a": "x" * (1 << 21)}}
    blocks, changes = carried(meta, kind, channels=3, size=(40, 24))
    assert blocks.exif is not None
    assert 0x10F in blocks.exif.directories["IFD0"]
    told = [change.split(" was")[0] for change in changes]
    assert "XMP dc:a" in told
    assert ("EXIF MakerNote" in told) is (kind == "jpeg")
