"""read_groups: what Pillow, tifffile and real pictures say; and bombs, loops and damage, which cost little."""

from __future__ import annotations

import functools
import io
import math
import struct
import time
import tracemalloc
import zlib
from datetime import UTC, datetime, timedelta, timezone
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import ExifTags, Image, ImageCms, IptcImagePlugin, PngImagePlugin
from PIL.TiffImagePlugin import IFDRational

from bridge.media.exif import Exif
from bridge.media.metadata import exif_block, orientation, read_groups
from bridge.media.sniff import HEAD, sniff
from bridge.media.xmp import read_xmp
from tests.strategies import gif_bytes, gifs, mutated

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import Media

_KINDS = ("jpeg", "png", "apng", "webp", "gif", "tiff")
_FORMS = ("JPEG", "PNG", "WEBP", "TIFF")
_BASE, _EXIF_IFD, _GPS_IFD = ExifTags.Base, 0x8769, 0x8825


def _reader(data: bytes) -> Callable[[int, int], bytes]:
    """A `ReadAt` as strict as a file: offsets that the system cannot seek to are an error."""

    def read_at(at: int, count: int) -> bytes:
        assert 0 <= at < 1 << 63
        assert 0 < count <= 1 << 25
        return data[at : at + count]

    return read_at


def _groups(data: bytes, kind: str | None = None) -> dict[str, dict[str, Any]]:
    return read_groups(kind or str(sniff(data[:HEAD])), _reader(data))


def _block(data: bytes, kind: str | None = None) -> bytes | None:
    return exif_block(kind or str(sniff(data[:HEAD])), _reader(data))


def _saved(form: str, *, mode: str = "RGB", **options: Any) -> bytes:
    out = io.BytesIO()
    if form == "TIFF" and isinstance(exif := options.get("exif"), Image.Exif):
        options["exif"] = exif.tobytes()
    Image.new(mode, (9, 6)).save(out, form, **options)
    return out.getvalue()


# EXIF against Pillow

_OTHER_NAMES = {
    "ExifImageWidth": "PixelXDimension",
    "ExifImageHeight": "PixelYDimension",
    "SubsecTime": "SubSecTime",
    "SubsecTimeOriginal": "SubSecTimeOriginal",
    "SubsecTimeDigitized": "SubSecTimeDigitized",
    "TIFF/EPStandardID": "TIFFEPStandardID",
}
_NOT_SHOWN = {_EXIF_IFD, _GPS_IFD, 0xA005, 700, 33723, 34377, 34675, 273, 279, 288, 289, 324, 325, 330, 347}


def _as_here(value: Any) -> Any:
    """Pillow's value as ours."""
    if isinstance(value, tuple):
        return tuple(_as_here(item) for item in value)
    if isinstance(value, IFDRational):
        return Fraction(int(value.numerator), value.denominator) if value.denominator else None
    return value


def _pillow_exif(exif: Image.Exif) -> dict[str, dict[str, Any]]:
    """The groups EXIF and GPS as Pillow's reader finds them."""
    own, gps = {**exif, **exif.get_ifd(_EXIF_IFD)}, exif.get_ifd(_GPS_IFD)
    names = {tag: ExifTags.TAGS.get(tag, f"0x{tag:04x}") for tag in own if tag not in _NOT_SHOWN}
    groups = {
        "EXIF": {_OTHER_NAMES.get(name, name): _as_here(own[tag]) for tag, name in names.items()},
        "GPS": {ExifTags.GPSTAGS[tag]: _as_here(value) for tag, value in gps.items()},
    }
    return {name: group for name, group in groups.items() if group}


def _like_pillow(data: bytes) -> dict[str, dict[str, Any]]:
    """Assert that our EXIF and GPS are Pillow's, where the type is the same question; give our groups."""
    groups = _groups(data)
    with Image.open(io.BytesIO(data)) as picture:
        expected = _pillow_exif(picture.getexif())
    assert {name: set(group) for name, group in groups.items() if name in ("EXIF", "GPS")} == {
        name: set(group) for name, group in expected.items()
    }
    for group, values in expected.items():
        for name, value in values.items():
            ours = groups[group][name]
            if isinstance(ours, datetime):
                ours = f"{ours:%Y:%m:%d %H:%M:%S}"
            if isinstance(value, bytes) and not isinstance(ours, bytes):
                continue  # text, versions and codes that Pillow leaves as bytes: tested below
            if isinstance(value, str):
                value = value.split("\0")[0]  # noqa: PLW2901 - cleaned
            assert ours == value, name
    return groups


def _camera(*, big_endian: bool = False) -> Image.Exif:
    """What a camera writes."""
    exif = Image.Exif()
    exif.endian = ">" if big_endian else "<"
    exif[_BASE.Make] = "Maker"
    exif[_BASE.Model] = "Model 1"
    exif[_BASE.Orientation] = 6
    exif[_BASE.XResolution] = IFDRational(72, 1)
    exif[_BASE.DateTime] = "2024:02:29 23:59:58"
    exif[_BASE.Copyright] = "Me"
    own = exif.get_ifd(_EXIF_IFD)
    own[_BASE.ExposureTime] = IFDRational(1, 250)
    own[_BASE.FNumber] = IFDRational(28, 10)
    own[_BASE.ISOSpeedRatings] = 400
    own[_BASE.ExposureBiasValue] = IFDRational(-2, 3)
    own[_BASE.DateTimeOriginal] = "2024:02:29 23:59:58"
    own[_BASE.DateTimeDigitized] = "0000:00:00 00:00:00"
    own[_BASE.ExifVersion] = b"0232"
    own[_BASE.ComponentsConfiguration] = b"\1\2\3\0"
    own[_BASE.FileSource] = b"\3"
    own[_BASE.MakerNote] = b"secret\0" * 9
    own[_BASE.UserComment] = b"ASCII\0\0\0a comment"
    own[_BASE.LensSpecification] = (IFDRational(24), IFDRational(70), IFDRational(0, 0), IFDRational(28, 10))
    own[_BASE.ExifImageWidth] = 9
    gps = exif.get_ifd(_GPS_IFD)
    gps[0] = b"\2\3\0\0"
    gps[1], gps[2] = "N", (IFDRational(48), IFDRational(51), IFDRational(2999, 100))
    gps[3], gps[4] = "E", (IFDRational(2), IFDRational(17), IFDRational(4012, 100))
    gps[29] = "2024:02:29"
    return exif


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("form", _FORMS)
def test_what_a_camera_says(form: str, big_endian: bool) -> None:
    groups = _like_pillow(_saved(form, exif=_camera(big_endian=big_endian)))
    exif, gps = groups["EXIF"], groups["GPS"]
    assert exif["ExposureTime"] == Fraction(1, 250)
    assert exif["ExposureBiasValue"] == Fraction(-2, 3)
    assert exif["DateTime"] == exif["DateTimeOriginal"] == datetime(2024, 2, 29, 23, 59, 58)  # noqa: DTZ001 - files have no zone
    assert exif["DateTimeDigitized"] == "0000:00:00 00:00:00"
    assert exif["LensSpecification"] == (24, 70, None, Fraction(14, 5))
    assert (exif["ExifVersion"], exif["ComponentsConfiguration"], exif["FileSource"]) == ("0232", (1, 2, 3, 0), 3)
    assert (exif["UserComment"], exif["MakerNote"], exif["Model"]) == ("a comment", b"secret\0" * 9, "Model 1")
    assert gps["GPSVersionID"] == (2, 3, 0, 0)
    assert gps["GPSLatitude"] == (48, 51, Fraction(2999, 100))
    assert orientation(groups) == 6


_texts = st.text(st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_categories=["Cc", "Cs"]), max_size=30)
_rationals = st.builds(IFDRational, st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))


@given(
    own=st.dictionaries(
        st.sampled_from([_BASE.ImageDescription, _BASE.Make, _BASE.Software, _BASE.Artist, _BASE.HostComputer]), _texts
    ),
    exposure=st.dictionaries(
        st.sampled_from([_BASE.ExposureTime, _BASE.FNumber, _BASE.SubjectDistance, _BASE.DigitalZoomRatio]), _rationals
    ),
    strange=st.dictionaries(st.integers(0xE000, 0xE00F), st.integers(0, 65535) | st.tuples(*[st.integers(0, 99)] * 3)),
    form=st.sampled_from(_FORMS),
    big_endian=st.booleans(),
)
def test_any_exif_is_read_as_pillow_reads_it(
    own: dict[int, str], exposure: dict[int, IFDRational], strange: dict[int, Any], form: str, big_endian: bool
) -> None:
    exif = Image.Exif()
    exif.endian = ">" if big_endian else "<"
    exif.update({**own, **strange})
    exif.get_ifd(_EXIF_IFD).update(exposure)
    data = _saved(form, exif=exif)
    groups = _like_pillow(data)
    for tag, value in strange.items():
        assert groups["EXIF"][f"0x{tag:04x}"] == value


@pytest.mark.parametrize("name", ["hubble_deep_field.jpg", "rocket.jpg", "retina.jpg", "chelsea.png", "multipage.tif"])
def test_real_pictures_are_read_as_pillow_reads_them(real: Media, name: str) -> None:
    data = real(name).read_bytes()
    groups = _groups(data)
    with Image.open(io.BytesIO(data)) as picture:
        info, expected = picture.info, _pillow_exif(picture.getexif())
        if name != "chelsea.png":  # there Pillow takes the orientation of XMP for EXIF
            assert set(groups.get("EXIF", ())) == set(expected.get("EXIF", ()))
        assert orientation(groups) == picture.getexif().get(_BASE.Orientation, 1)
        assert groups.get("ICC", {}).get("profile") == info.get("icc_profile")
        assert ("XMP" in groups) == ("xmp" in info)
        assert groups.get("JFIF", {}).get("density") == info.get("jfif_density")
        assert groups.get("COMMENT", {}).get("Comment", "").encode() == info.get("comment", b"").rstrip(b"\0")
        assert ("PHOTOSHOP" in groups) == bool(info.get("photoshop"))


def test_what_hubble_says(real: Media) -> None:
    groups = _groups(real("hubble_deep_field.jpg").read_bytes())
    summer = timezone(timedelta(hours=-4))
    assert groups["EXIF"]["DateTime"] == datetime(2012, 9, 17, 15, 53, 45, tzinfo=summer)
    assert groups["EXIF"]["XResolution"] == 300
    assert groups["XMP"]["dc:format"] == "image/jpeg"
    assert groups["ADOBE"]["transform"] == 1
    assert groups["ICC"]["description"] == "sRGB IEC61966-2.1"
    _sound(groups)


def test_every_real_picture_is_sound_and_quick(real: Media) -> None:
    for path in real.all(".png", ".jpg", ".gif", ".tif"):
        data, began = path.read_bytes(), time.process_time()
        _sound(_groups(data))
        assert time.process_time() - began < 1, path.name


# One entry after another, made by hand


def _tiff(*entries: tuple[int, int, int, bytes], order: str = "<", chain: int = 0) -> bytes:
    """A TIFF of one directory; values that are longer than four bytes stand behind it."""
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "LH", 8, len(entries))
    table, behind, at = b"", b"", 8 + 2 + 12 * len(entries) + 4
    for tag, kind, count, raw in entries:
        value = raw.ljust(4, b"\0") if len(raw) <= 4 else struct.pack(order + "L", at + len(behind))
        behind += raw if len(raw) > 4 else b""
        table += struct.pack(order + "HHL", tag, kind, count) + value
    return head + table + struct.pack(order + "L", chain) + behind


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("kind", "form", "value"),
    [
        (1, "B", 200),
        (3, "H", 60000),
        (4, "L", 2**32 - 1),
        (6, "b", -3),
        (7, "B", 9),
        (8, "h", -300),
        (9, "l", -70000),
        (11, "f", 0.5),
        (12, "d", math.pi),
        (13, "L", 77),
        (3, "3H", (1, 2, 3)),
        (9, "2l", (-1, 1)),
        (11, "2f", (0.5, -2.0)),
    ],
)
def test_every_type_of_number(order: str, kind: int, form: str, value: Any) -> None:
    values = value if isinstance(value, tuple) else (value,)
    data = _tiff((0xEEEE, kind, len(values), struct.pack(order + form, *values)), order=order)
    assert _groups(data) == {"EXIF": {"0xeeee": value}}


@pytest.mark.parametrize(
    ("tag", "kind", "raw", "name", "value"),
    [
        (0x10E, 2, b"text\0", "ImageDescription", "text"),
        (0x10E, 2, b"text\0garbage\xff", "ImageDescription", "text"),
        (0x10E, 129, "größer\0".encode(), "ImageDescription", "größer"),
        (0x10E, 2, b"\xff\xfe", "ImageDescription", "\ufffd\ufffd"),
        (0x10E, 2, b"a\x1b[31m\x07b\r\nc\td\0", "ImageDescription", "a\\x1b[31m\\x07b\nc\td"),
        (0x10E, 2, "\u202eevil\u2066\x9b\0".encode(), "ImageDescription", "\\u202eevil\\u2066\\x9b"),
        (0x8298, 2, b"photographer\0editor\0", "Copyright", "photographer; editor"),
        (0x132, 2, b"2024:13:01 00:00:00\0", "DateTime", "2024:13:01 00:00:00"),
        (0x132, 2, b"2024-12-01T01:02:03Z\0", "DateTime", datetime(2024, 12, 1, 1, 2, 3, tzinfo=UTC)),
        (0x132, 2, b"    :  :     :  :  \0", "DateTime", "    :  :     :  :  "),
        (0x9C9B, 1, "Titel ä\0".encode("utf-16-le"), "XPTitle", "Titel ä"),
        (0x9286, 7, b"UNICODE\0" + "日本".encode("utf-16-le"), "UserComment", "日本"),
        (0x9286, 7, b"UNICODE\0" + "日本".encode("utf-16"), "UserComment", "日本"),
        (0x9286, 7, b"JIS\0\0\0\0\0" + "日本".encode("iso2022_jp"), "UserComment", "日本"),
        (0x9286, 7, bytes(8) + b"plain\0\0", "UserComment", "plain"),
        (0x9286, 7, b"no such code", "UserComment", b"no such code"),
        (0xC612, 1, b"\1\4\0\0", "DNGVersion", (1, 4, 0, 0)),
        (0xEEEE, 7, b"opaque bytes", "0xeeee", b"opaque bytes"),
        (0x927C, 7, b"x", "MakerNote", b"x"),
        (0x112, 3, b"\7\0", "Orientation", 7),
    ],
)
def test_every_kind_of_text_and_bytes(tag: int, kind: int, raw: bytes, name: str, value: Any) -> None:
    count = len(raw) // 2 if kind == 3 else len(raw)
    assert _groups(_tiff((tag, kind, count, raw))) == {"EXIF": {name: value}}


@pytest.mark.parametrize(
    "entry",
    [
        (0xEEEE, 3, 0, b""),  # no items
        (0xEEEE, 99, 1, b"\0"),  # no such type
        (0xEEEE, 4, 2**32 - 1, b""),  # gigabytes
        (0xEEEE, 5, 2, bytes(8)),  # behind the end of the file
        (0xEEEE, 3, 1025, bytes(2050)),  # more numbers than anybody reads
        (0xEEEE, 7, 70_000, bytes(70_000)),  # more bytes than that
        (0x927C, 7, 1 << 21, bytes(1 << 21)),
        (0x111, 4, 1, bytes(4)),  # where pixels lie
    ],
)
def test_what_is_damaged_or_too_long_is_left_out_alone(entry: tuple[int, int, int, bytes]) -> None:
    assert _groups(_tiff((0x10F, 2, 3, b"ok\0"), entry)) == {"EXIF": {"Make": "ok"}}


@pytest.mark.parametrize("order", ["<", ">"])
def test_a_big_tiff(order: Any) -> None:
    out = io.BytesIO()
    extra = [(0x10F, "s", 0, "a maker with a long name", True), (0xEEEE, "Q", 2, (2**40, 5), True)]
    with tifffile.TiffWriter(out, bigtiff=True, byteorder=order) as writer:
        writer.write(np.zeros((4, 5), np.uint16), extratags=extra, resolution=(100, 50), datetime="2024:01:02 03:04:05")
    exif = _groups(out.getvalue())["EXIF"]
    assert (exif["ImageWidth"], exif["ImageLength"], exif["BitsPerSample"]) == (5, 4, 16)
    assert (exif["Make"], exif["0xeeee"]) == ("a maker with a long name", (2**40, 5))
    assert (exif["XResolution"], exif["YResolution"]) == (100, 50)
    assert exif["DateTime"] == datetime(2024, 1, 2, 3, 4, 5)  # noqa: DTZ001 - files have no zone
    block = _block(out.getvalue())
    assert block is not None
    assert "Make" in _groups(block, "tiff")["EXIF"]
    assert "0xeeee" not in _groups(block, "tiff")["EXIF"]


@pytest.mark.parametrize(
    ("groups", "turned"),
    [
        ({}, 1),
        *(({"EXIF": {"Orientation": value}}, value) for value in range(1, 9)),
        *(({"EXIF": {"Orientation": value}}, 1) for value in (0, 9, -1, 2**40, "x", "", (6, 6), None, b"6", 6.0, "66")),
        ({"XMP": {"tiff:Orientation": "8"}}, 8),
        ({"XMP": {"tiff:Orientation": ["8"]}}, 1),
        ({"EXIF": {"Orientation": 3}, "XMP": {"tiff:Orientation": "8"}}, 3),
    ],
)
def test_orientation(groups: dict[str, dict[str, Any]], turned: int) -> None:
    assert orientation(groups) == turned


# To carry along


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("form", _FORMS)
def test_the_block_is_exif_for_any_other_file(form: str, big_endian: bool) -> None:
    data = _saved(form, exif=_camera(big_endian=big_endian))
    block, groups = _block(data), _groups(data)
    assert block is not None
    assert block[:2] == (b"MM" if big_endian and form != "TIFF" else b"II")
    for other in ("JPEG", "PNG", "WEBP"):
        again = _like_pillow(_saved(other, exif=b"Exif\0\0" + block))
        assert again["GPS"] == groups["GPS"]
        layout = {"ImageWidth", "ImageLength", "BitsPerSample", "Compression", "PhotometricInterpretation",
                  "SamplesPerPixel", "RowsPerStrip", "PlanarConfiguration"}  # fmt: skip
        kept = {name: value for name, value in groups["EXIF"].items() if form != "TIFF" or name not in layout}
        assert again["EXIF"] == kept


def test_a_packed_block_holds_what_was_read() -> None:
    exif = Exif.read(_reader(_camera().tobytes()[6:]))
    packed = exif.pack()
    assert packed is not None
    again = Exif.read(_reader(packed))
    assert sorted(map(repr, again.named())) == sorted(map(repr, exif.named()))
    assert again.pack() == packed


@pytest.mark.parametrize("kind", [*_KINDS, "bmp", "mp4", ""])
def test_there_is_no_block_where_there_is_none(kind: str) -> None:
    assert exif_block(kind, _reader(b"")) is None
    assert read_groups(kind, _reader(b"")) == {}


def test_a_plain_picture_has_no_block() -> None:
    assert [_block(_saved(form)) for form in ("JPEG", "PNG", "WEBP", "GIF", "TIFF")] == [None] * 5
    assert _block(_saved("JPEG", exif=b"Exif\0\0no structure")) is None


def test_an_unreadable_file_says_so_itself() -> None:
    def read_at(_at: int, _count: int) -> bytes:
        raise OSError("gone")

    for kind in _KINDS:
        with pytest.raises(OSError, match="gone"):
            read_groups(kind, read_at)


# XMP

_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"
 xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:ex="http://example.org/ns/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:odd="http://ns.adobe.com/tiff/1.0/">
<rdf:Description rdf:about="" xmp:Rating="4" odd:Orientation="3">
 <dc:title><rdf:Alt><rdf:li xml:lang="de">Titel</rdf:li><rdf:li xml:lang="x-default">Title</rdf:li></rdf:Alt></dc:title>
 <dc:subject><rdf:Bag><rdf:li>a</rdf:li><rdf:li>b &amp; c</rdf:li></rdf:Bag></dc:subject>
 <dc:creator><rdf:Seq/></dc:creator>
 <dc:format>image/jpeg</dc:format>
 <dc:source rdf:resource="http://example.org/x"/>
 <ex:struct rdf:parseType="Resource"><ex:inner>1</ex:inner></ex:struct>
 <ex:short ex:a="1" ex:b="2"/>
 <ex:history><rdf:Seq><rdf:li ex:action="saved"/><rdf:li rdf:parseType="Resource"><ex:action>cut</ex:action></rdf:li>
 </rdf:Seq></ex:history>
 <ex:qualified><rdf:Description><rdf:value>v</rdf:value><ex:by>me</ex:by></rdf:Description></ex:qualified>
 <ex:empty/>
</rdf:Description></rdf:RDF></x:xmpmeta>
<?xpacket end="w"?> and something behind it"""
_SAID = {
    "xmp:Rating": "4",
    "tiff:Orientation": "3",
    "dc:title": "Title",
    "dc:title[de]": "Titel",
    "dc:subject": ["a", "b & c"],
    "dc:creator": [],
    "dc:format": "image/jpeg",
    "dc:source": "http://example.org/x",
    "ex:struct/ex:inner": "1",
    "ex:short/ex:a": "1",
    "ex:short/ex:b": "2",
    "ex:history[1]/ex:action": "saved",
    "ex:history[2]/ex:action": "cut",
    "ex:qualified": "v",
    "ex:qualified/ex:by": "me",
    "ex:empty": "",
}


def _packet(inside: str, more: str = "") -> bytes:
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description xmlns:ex="http://example.org/ns/" {more}>{inside}</rdf:Description></rdf:RDF></x:xmpmeta>'
    ).encode()


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-16-le", "utf-32", "utf-32-be", "utf-32-le"]
)
def test_a_packet_in_any_encoding(encoding: str) -> None:
    assert dict(read_xmp(_PACKET.encode(encoding))) == _SAID


def _with_xmp(form: str, packet: bytes) -> bytes:
    if form == "PNG":
        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", packet.decode(), zip=len(packet) > 5000)
        return _saved(form, pnginfo=info)
    if form == "TIFF":
        return _saved(form, tiffinfo={700: packet})
    if form == "GIF":  # as Adobe has it: a run of bytes, then a slide into its end
        trailer = b"\1" + bytes(range(255, -1, -1)) + b"\0"
        return _saved(form, mode="P")[:-1] + b"!\xff\x0bXMP DataXMP" + packet + trailer + b";"
    return _saved(form, xmp=packet)


@pytest.mark.parametrize("form", [*_FORMS, "GIF"])
def test_xmp_is_found_in_every_file(form: str) -> None:
    data = _with_xmp(form, _PACKET.encode())
    assert _groups(data)["XMP"] == _SAID
    assert orientation(_groups(data)) == (1 if form == "TIFF" and "Orientation" in _groups(data)["EXIF"] else 3)
    with Image.open(io.BytesIO(data)) as picture:
        if form not in ("TIFF", "GIF"):
            assert picture.info["xmp"].startswith(_PACKET.encode()[:400])


def test_extended_xmp_is_put_together() -> None:
    note = 'xmlns:xmpNote="http://ns.adobe.com/xmp/note/" xmpNote:HasExtendedXMP="' + "A" * 32 + '"'
    more = _packet("<ex:long>" + "x" * 150_000 + "</ex:long><ex:a>not this</ex:a>")
    parts = [(at, more[at : at + 60_000]) for at in range(0, len(more), 60_000)]

    def segment(block: bytes) -> bytes:
        return b"\xff\xe1" + struct.pack(">H", len(block) + 2) + block

    def extension(at: int, part: bytes, name: bytes) -> bytes:
        return segment(b"http://ns.adobe.com/xmp/extension/\0" + name + struct.pack(">LL", len(more), at) + part)

    plain = _saved("JPEG")
    main = segment(b"http://ns.adobe.com/xap/1.0/\0" + _packet("<ex:a>this</ex:a>", note))
    shuffled = b"".join(extension(at, part, b"A" * 32) for at, part in parts[::-1])
    stranger = extension(0, _packet("<ex:stranger/>"), b"B" * 32)
    assert _groups(plain[:2] + main + stranger + shuffled + plain[2:])["XMP"] == {
        "ex:a": "this",
        "ex:long": "x" * 150_000,
    }
    gap = b"".join(extension(at, part, b"A" * 32) for at, part in parts[::2])
    assert _groups(plain[:2] + main + gap + plain[2:])["XMP"] == {"ex:a": "this"}


_LAUGHS = (
    '<!DOCTYPE lolz [<!ENTITY lol "lol">'
    + "".join(f'<!ENTITY lol{n + 1} "{f"&lol{n or str()};" * 10}">' for n in range(9))
    + "]>"
)


@pytest.mark.parametrize(
    "packet",
    [
        (_LAUGHS + _packet("<ex:a>&lol9;</ex:a>").decode()).encode(),
        (_LAUGHS + _packet("<ex:a>&lol9;</ex:a>").decode()).encode("utf-16"),
        (_LAUGHS + _packet("<ex:a>&lol9;</ex:a>").decode()).encode("utf-32-be"),
        b"<?xml version='1.0' encoding='cp037'?>" + (_LAUGHS + "<a>&lol9;</a>").encode("cp037"),
        b"<?xml version='1.0' encoding='utf-7'?>+ADwAIQ-DOCTYPE a [<+ACE-ENTITY b 'c'>]><a>&b;</a>",
        b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><a/>',
        _packet("<ex:a>&undefined;</ex:a>"),
        _packet("<ex:a>" * 60_000),
        _packet("<ex:a>" * 60_000 + "</ex:a>" * 60_000),
        _packet("<ex:a/>" * 100_000),
        _packet("", " ".join(f"ex:a{n}='1'" for n in range(50_000))),
        _packet("<ex:a>" + "x" * (1 << 20) + "</ex:a>"),
        _packet("<ex:a>\1</ex:a>"),
        b"",
        b"<",
        b"\xff\xfe",
        bytes(1000),
    ],
    ids=range(17),
)
def test_a_hostile_packet_is_left_out(packet: bytes) -> None:
    began = time.process_time()
    with pytest.raises((ValueError, SyntaxError)):
        list(read_xmp(packet))
    assert "XMP" not in _groups(_saved("WEBP", xmp=packet) if packet else _saved("WEBP"))
    assert time.process_time() - began < 2


def test_an_encoding_that_is_claimed_counts_for_nothing() -> None:
    assert dict(read_xmp(b"<?xml version='1.0' encoding='cp037'?>" + _packet("<ex:a>b</ex:a>"))) == {"ex:a": "b"}


def test_a_prefix_cannot_pose_as_another() -> None:
    packet = _packet("<dc:title>false</dc:title>", "xmlns:dc='http://evil.example/'")
    assert dict(read_xmp(packet)) == {"dc_:title": "false"}


def test_long_paths_do_not_multiply() -> None:
    name = "a" * 100_000
    deep = f"<ex:{name} rdf:parseType='Resource'>{'<ex:b>1</ex:b>' * 10_000}</ex:{name}>"
    assert list(read_xmp(_packet(deep + "<ex:c>2</ex:c>"))) == [("ex:c", "2")]


# ICC


@pytest.mark.parametrize("space", ["sRGB", "LAB", "XYZ"])
@pytest.mark.parametrize("form", _FORMS)
def test_a_profile_is_as_pillow_says(form: str, space: Any) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(space))
    raw = profile.tobytes()
    icc = _groups(_saved(form, icc_profile=raw))["ICC"]
    assert icc == {
        "description": ImageCms.getProfileDescription(profile).strip(),
        "size": len(raw),
        "color_space": profile.profile.xcolor_space,
        "profile": raw,
    }


def _profile(size: int) -> bytes:
    return (bytes(16) + b"RGB " + bytes(16) + b"acsp" + bytes(88)).ljust(size, b"\xa5")


def test_a_profile_is_put_together_from_the_segments_of_a_jpeg() -> None:
    raw = _profile(300_000)
    data = _saved("JPEG", icc_profile=raw)
    assert _groups(data)["ICC"]["profile"] == raw
    second = data.index(b"ICC_PROFILE\0\2")
    for lost in (b"X" + data[second + 1 :], data[second : second + 12] + b"\1" + data[second + 13 :]):
        assert "ICC" not in _groups(data[:second] + lost)


@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_a_profile_is_bounded(form: str) -> None:
    assert _groups(_saved(form, icc_profile=_profile(1 << 22)))["ICC"]["size"] == 1 << 22
    assert "ICC" not in _groups(_saved(form, icc_profile=_profile((1 << 22) + 1)))


def test_a_profile_that_is_none_is_left_out() -> None:
    assert _groups(_saved("WEBP", icc_profile=bytes(3000))) == {}


@given(mutated(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()[:400]))
def test_a_damaged_profile_is_read_or_not(profile: bytes) -> None:
    _sound(_groups(_saved("WEBP", icc_profile=profile or b"x")))


def test_a_profile_in_many_languages_costs_one() -> None:
    records = b"".join(struct.pack(">2s2sLL", n.to_bytes(2, "big"), b"XX", 1 << 21, 0) for n in range(60_000))
    desc = b"mluc\0\0\0\0" + struct.pack(">LL", 60_000, 12) + records
    profile = (_profile(128) + struct.pack(">L4sLL", 1, b"desc", 144, len(desc)) + desc).ljust(1 << 22, b"\0")
    with _Cheap():
        _sound(_groups(_saved("WEBP", icc_profile=profile)))


# IPTC and Photoshop


def _resources(*rows: tuple[int, bytes]) -> bytes:
    return b"".join(
        b"8BIM" + struct.pack(">H", number) + b"\0\0" + struct.pack(">L", len(raw)) + raw + bytes(len(raw) % 2)
        for number, raw in rows
    )


def _iptc(*rows: tuple[int, int, bytes]) -> bytes:
    return b"".join(struct.pack(">BBBH", 0x1C, record, number, len(raw)) + raw for record, number, raw in rows)


_RECORD = _iptc(
    (1, 90, b"\x1b%G"), (2, 0, b"\0\2"), (2, 5, "Über".encode()), (2, 25, b"one"), (2, 25, b"two"), (2, 80, b"me"),
    (2, 199, b"?"), (2, 90, b"Paris\0"),
)  # fmt: skip
_RECORD_SAYS = {"ObjectName": "Über", "Keywords": ["one", "two"], "By-line": ["me"], "2:199": "?", "City": "Paris"}


def _jpeg_with(*blocks: tuple[int, bytes]) -> bytes:
    plain = _saved("JPEG")
    segments = (b"\xff" + bytes([marker]) + struct.pack(">H", len(raw) + 2) + raw for marker, raw in blocks)
    return plain[:2] + b"".join(segments) + plain[2:]


def test_iptc_in_a_jpeg() -> None:
    whole = _resources(
        (0x03ED, struct.pack(">LHHLHH", 300 << 16, 1, 1, 150 << 16, 1, 1)),
        (0x0404, _RECORD),
        (0x040A, b"\1"),
        (0x040B, b"http://example.org/\x1b"),
        (0x2222, b"odd"),
    )
    data = _jpeg_with((0xED, b"Photoshop 3.0\0" + whole[:50]), (0xED, b"Photoshop 3.0\0" + whole[50:]))
    groups = _groups(data)
    assert groups["IPTC"] == _RECORD_SAYS
    assert groups["PHOTOSHOP"] == {"resolution": (300, 150), "copyrighted": True, "url": "http://example.org/\\x1b"}
    with Image.open(io.BytesIO(_jpeg_with((0xED, b"Photoshop 3.0\0" + whole)))) as picture:
        pillow = IptcImagePlugin.getiptcinfo(picture)
    assert pillow is not None
    assert pillow[2, 25] == [b"one", b"two"]
    assert pillow[2, 5] == "Über".encode()


def test_iptc_in_a_tiff_and_a_png() -> None:
    assert _groups(_tiff((33723, 1, len(_RECORD), _RECORD)))["IPTC"] == _RECORD_SAYS
    raw = _resources((0x0404, _RECORD))
    assert _groups(_tiff((34377, 1, len(raw), raw)))["IPTC"] == _RECORD_SAYS
    assert _groups(_tiff((33723, 7, 17, _RECORD[:17]), (34377, 1, len(raw), raw)))["IPTC"] == _RECORD_SAYS
    info = PngImagePlugin.PngInfo()
    info.add_text("Raw profile type iptc", f"\niptc\n{len(raw):8}\n{raw.hex()}\n", zip=True)
    info.add_text("Raw profile type exif", f"\nexif\n{9:8}\n{_camera().tobytes().hex()}\n", zip=True)
    groups = _groups(_saved("PNG", pnginfo=info))
    assert (groups["IPTC"], groups["EXIF"]["Make"]) == (_RECORD_SAYS, "Maker")


def test_iptc_without_a_declared_encoding_is_guessed_and_long_values_have_longer_sizes() -> None:
    assert _groups(_tiff((33723, 7, 9, _iptc((2, 5, b"\xdcber")))))["IPTC"] == {"ObjectName": "Über"}
    long = struct.pack(">BBBHL", 0x1C, 2, 120, 0x8004, 40_000) + b"x" * 40_000
    assert _groups(_tiff((33723, 7, len(long), long)))["IPTC"] == {"Caption-Abstract": "x" * 40_000}


@given(mutated(_resources((0x0404, _RECORD), (0x03ED, bytes(16)))))
def test_damaged_iptc_is_read_or_not(resources: bytes) -> None:
    _sound(_groups(_jpeg_with((0xED, b"Photoshop 3.0\0" + resources))))


# What only one kind of file says


def test_texts_and_numbers_of_a_png() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "Ünï")
    info.add_text("Comment", "one")
    info.add_text("Comment", "two", zip=True)
    info.add_itxt("Title", "日本", "ja", "題", zip=True)
    info.add_itxt("Evil\x1b", "\x1b]0;x\x07")
    info.add(b"gAMA", struct.pack(">L", 45455))
    info.add(b"cHRM", struct.pack(">8L", *range(8)))
    info.add(b"sRGB", b"\1")
    info.add(b"cICP", b"\x09\x10\0\1")
    info.add(b"tIME", struct.pack(">H5B", 2024, 2, 29, 1, 2, 3))
    groups = _groups(_saved("PNG", pnginfo=info, dpi=(254, 254)))
    assert groups["COMMENT"] == {
        "Author": "Ünï",
        "Comment": ["one", "two"],
        "Title": "日本",
        "Evil\\x1b": "\\x1b]0;x\\x07",
    }
    assert groups["PNG"] == {
        "pHYs": (10000, 10000, 1),
        "gAMA": Fraction(45455, 100000),
        "cHRM": tuple(Fraction(n, 100000) for n in range(8)),
        "sRGB": 1,
        "cICP": (9, 16, 0, 1),
        "tIME": datetime(2024, 2, 29, 1, 2, 3),  # noqa: DTZ001 - files have no zone
    }


def test_a_png_chunk_with_a_wrong_checksum_is_left_out() -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Author", "me")
    info.add_text("Title", "it")
    data = _saved("PNG", pnginfo=info)
    assert _groups(data.replace(b"Author\0me", b"Author\0MI"))["COMMENT"] == {"Title": "it"}


def test_texts_behind_the_pixels_of_a_png_are_found() -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b"tEXt", b"Author\0me", after_idat=True)
    assert _groups(_saved("PNG", pnginfo=info))["COMMENT"] == {"Author": "me"}


def test_what_a_jpeg_says_of_itself() -> None:
    groups = _groups(_jpeg_with((0xFE, b"first"), (0xFE, "zweiter ü".encode()), (0xE0, b"JFXX\0 no thumbnail")))
    assert groups["COMMENT"] == {"Comment": ["first", "zweiter ü"]}
    assert groups["JFIF"] == {"version": (1, 1), "units": 0, "density": (1, 1)}
    adobe = _groups(_saved("JPEG", mode="CMYK"))["ADOBE"]
    assert (adobe["version"], adobe["transform"]) == (100, 0)


def _animation(form: str, durations: list[int], **options: Any) -> bytes:
    rows = np.random.default_rng(2).integers(0, 256, (len(durations), 8, 8, 3), np.uint8)
    first, *others = [Image.fromarray(row) for row in rows]
    out = io.BytesIO()
    first.save(out, form, save_all=True, append_images=others, duration=durations, **options)
    return out.getvalue()


@pytest.mark.parametrize("loop", [0, 3])
@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_the_times_of_an_animation(form: str, loop: int) -> None:
    wanted = [40, 1000, 20, 655_350 if form == "GIF" else 65_000]
    data = _animation(form, wanted, loop=loop)
    group = _groups(data)[form]
    assert group["loop"] == loop
    assert group["durations"] == pytest.approx([duration / 1000 for duration in wanted])
    with Image.open(io.BytesIO(data)) as picture:
        for number, duration in enumerate(group["durations"]):
            picture.seek(number)
            picture.load()
            assert picture.info["duration"] == pytest.approx(duration * 1000)


def test_comments_and_profile_of_a_gif() -> None:
    raw = _profile(700)
    blocks = b"".join(bytes([len(raw[at : at + 255])]) + raw[at : at + 255] for at in range(0, len(raw), 255))
    data = _saved("GIF", mode="P", comment="größer".encode())[:-1] + b"!\xff\x0bICCRGBG1012" + blocks + b"\0"
    data += b"!\xfe\x03abc\x02de\0;"
    groups = _groups(data)
    assert groups["GIF"] == {"version": "89a", "durations": [0.0]}
    assert groups["COMMENT"] == {"Comment": ["größer", "abcde"]}
    assert groups["ICC"]["profile"] == raw


@given(gifs())
def test_a_gif_has_a_time_for_every_frame(gif: Any) -> None:
    expected = {"version": "89a", "loop": 0, "durations": [0.04] * len(gif.frames)}
    assert _groups(gif_bytes(gif)) == {"GIF": expected}


# Bounds


class _Cheap:
    """Fails if what is done inside takes long, or much memory."""

    def __init__(self, *, seconds: float = 15, mebibytes: int = 60) -> None:
        self._seconds, self._bytes = seconds, mebibytes << 20

    def __enter__(self) -> None:
        tracemalloc.start()
        self._began = time.process_time()

    def __exit__(self, *_: object) -> None:
        took, (_now, peak) = time.process_time() - self._began, tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert took < self._seconds
        assert peak < self._bytes


def _sound(groups: dict[str, dict[str, Any]]) -> None:
    """Assert every bound on what comes out."""
    assert sum(len(group) for group in groups.values()) <= 10_000 + 20
    for name, group in groups.items():
        assert name.isalpha()
        assert name.isupper()
        texts = [part for key, value in group.items() if key != "durations" for part in (key, *_leaves(value))]
        assert sum(len(text) for text in texts if isinstance(text, str | bytes)) <= (
            5 << 20 if name == "ICC" else 1 << 20
        )
        for text in texts:
            assert isinstance(text, str | bytes | int | float | Fraction | datetime | None)
            if isinstance(text, str):
                assert all(char in "\n\t" or not _steers(char) for char in text), ascii(text)


def _leaves(value: Any) -> list[Any]:
    if isinstance(value, tuple):
        assert len(value) <= 1024
    return [leaf for item in value for leaf in _leaves(item)] if isinstance(value, list | tuple) else [value]


def _steers(char: str) -> bool:
    import unicodedata

    return unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp") or char in "\u202a\u202b\u202d\u202e\u2066\u2067"


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    def chunk(name: bytes, raw: bytes) -> bytes:
        return struct.pack(">L", len(raw)) + name + raw + struct.pack(">L", zlib.crc32(name + raw))

    head = chunk(b"IHDR", struct.pack(">LLBBBBB", 1, 1, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + b"".join(chunk(*row) for row in chunks) + chunk(b"IEND", b"")


def _bomb(mebibytes: int) -> bytes:
    """So many MiB of zeros, compressed; each MiB stands for itself, so that one is made only once."""
    stream = zlib.compressobj(9)
    first = stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH)
    again = stream.compress(bytes(1 << 20)) + stream.flush(zlib.Z_FULL_FLUSH)
    return first + again * (mebibytes - 1) + stream.flush()


PACKED = "metadata that is packed is left out: it is too large"


def test_compressed_bombs_do_not_go_off() -> None:
    bomb = _bomb(1024)
    chunks = [(b"zTXt", b"a\0\0" + bomb), (b"iTXt", b"b\0\1\0\0\0" + bomb), (b"iCCP", b"c\0\0" + bomb)]
    packet = (b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + bomb)
    data = _png((b"tEXt", b"d\0still here"), *chunks, packet)
    with _Cheap():
        assert _groups(data) == {"COMMENT": {"d": "still here"}, "FILE": {"changes": [PACKED]}}


def test_many_small_bombs_do_not_add_up() -> None:
    row = (b"zTXt", b"a\0\0" + _bomb(2))
    with _Cheap():
        assert _groups(_png(*[row] * 5000)) == {"FILE": {"changes": [PACKED]}}


def test_texts_of_a_group_are_bounded_together() -> None:
    rows = [(b"tEXt", b"%d\0" % number + b"x" * 50_000) for number in range(100)]
    comments = _groups(_png(*rows))["COMMENT"]
    assert 15 < len(comments) <= 20
    assert all(value == "x" * 50_000 for value in comments.values())


def test_names_are_bounded_together() -> None:
    groups = _groups(_png(*[(b"tEXt", b"%d\0" % number) for number in range(20_000)]))
    assert len(groups["COMMENT"]) == 10_000
    repeated = _groups(_png(*[(b"tEXt", b"a\0b")] * 20_000))
    assert len(repeated["COMMENT"]["a"]) == 10_000


@pytest.mark.parametrize("order", ["<", ">"])
def test_directories_that_go_round_in_circles(order: str) -> None:
    def pointer(tag: int, at: int) -> tuple[int, int, int, bytes]:
        return tag, 4, 1, struct.pack(order + "L", at)

    make = (0x10F, 2, 3, b"me\0")
    data = _tiff(make, pointer(0x8769, 8), pointer(0x8825, 8), pointer(0xA005, 8), order=order, chain=8)
    assert _groups(data) == {"EXIF": {"Make": "me"}}
    block = _block(data)
    assert block is not None
    assert _groups(block, "tiff") == {"EXIF": {"Make": "me"}}


@pytest.mark.parametrize("kind", [2, 3, 4, 5, 7, 12, 99])
def test_a_directory_of_65535_entries(kind: int) -> None:
    def directory(count: int) -> bytes:
        rows = (struct.pack("<HHLL", tag, kind, count, 0) for tag in range(65_535))
        return b"II*\0\x08\0\0\0" + struct.pack("<H", 65_535) + b"".join(rows) + bytes(4)

    for count in (1, 4, 1024, 65_000, 1 << 20, 2**32 - 1):
        data = directory(count)
        with _Cheap():
            groups = _groups(data)
        _sound(groups)  # which costs more than the reading


def test_pointers_to_nowhere() -> None:
    far = b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 1)
    for at in (2**62 - 1, 2**62, 2**63, 2**64 - 1):
        assert _groups(far + struct.pack("<HHQQ", 0x8769, 18, 1, at)) == {}
        assert _groups(far + struct.pack("<HHQQ", 0x10F, 2, 99, at)) == {}
        assert _groups(far + struct.pack("<HHQQ", 0x10F, 2, at, 8)) == {}
        assert _groups(b"II+\0\x08\0\0\0" + struct.pack("<Q", at)) == {}
    assert _groups(b"II+\0\x08\0\0\0" + struct.pack("<QQ", 16, 2**64 - 1) + bytes(2000)) == {}


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("png", b"\x89PNG\r\n\x1a\n" + bytes(60 << 20)),
        ("jpeg", b"\xff" * (60 << 20)),
        ("jpeg", b"\xff\xd8" + b"\xff\xfe\0\2" * (8 << 20)),
        ("gif", b"GIF89a" + bytes(7) + b"!\xfe\1a" * (8 << 20)),
        ("gif", b"GIF89a" + bytes(7) + b",\0\0\0\0\0\0\0\0\0\2\0" * (5 << 20)),
        ("gif", b"GIF89a" + bytes(7) + b"!\xfe" + b"\1a" * (20 << 20)),
        ("webp", b"RIFF\0\0\0\0WEBP" + b"\0" * (60 << 20)),
    ],
)
def test_millions_of_blocks_come_to_an_end(kind: str, data: bytes) -> None:
    began = time.process_time()
    groups = _groups(data, kind)
    assert time.process_time() - began < 20
    _sound(groups)
    assert "durations" not in groups.get(kind.upper(), {})


# Damage

_SAMPLES: dict[str, Callable[[], bytes]] = {
    "jpeg": lambda: _saved(
        "JPEG",
        exif=_camera(),
        xmp=_PACKET.encode(),
        icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
        comment=b"hello",
    ),
    "png": lambda: _saved(
        "PNG", exif=_camera(), icc_profile=ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    ),
    "apng": lambda: _animation("PNG", [20, 30], exif=_camera()),
    "webp": lambda: _animation("WEBP", [20, 30], exif=_camera().tobytes(), xmp=_PACKET.encode()),
    "gif": lambda: _with_xmp("GIF", _PACKET.encode()),
    "tiff": lambda: _saved("TIFF", exif=_camera()),
}


def test_the_samples_say_much() -> None:
    for kind, sample in _SAMPLES.items():
        assert sniff(sample()) == kind
        assert _groups(sample()), kind


@pytest.mark.parametrize("kind", _SAMPLES)
def test_a_file_cut_anywhere_is_read_as_far_as_it_goes(kind: str) -> None:
    data = _SAMPLES[kind]()
    for cut in range(0, min(len(data), 6000), 3):
        _sound(_groups(data[:cut], kind))
        exif_block(kind, _reader(data[:cut]))


@functools.cache
def _sample(kind: str) -> bytes:
    """Give the same bytes each time: some samples hold the time at which they are made."""
    return _SAMPLES[kind]()


@pytest.mark.parametrize("kind", _SAMPLES)
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_damaged_file_is_read_or_not(kind: str, data: st.DataObject) -> None:
    broken = data.draw(mutated(_sample(kind)))
    began = time.process_time()
    _sound(_groups(broken, kind))
    block = exif_block(kind, _reader(broken))
    assert block is None or block[:2] in (b"II", b"MM")
    assert time.process_time() - began < 2


@settings(max_examples=300)
@given(data=mutated(_camera().tobytes()[6:]))
def test_a_damaged_exif_is_read_or_not(data: bytes) -> None:
    _sound(_groups(data, "tiff"))
    block = exif_block("tiff", _reader(data))
    if block is not None:
        _sound(_groups(block, "tiff"))
        Image.Exif().load(block)


@pytest.mark.parametrize("kind", _KINDS)
@given(data=st.binary(max_size=300))
@example(data=b"")
def test_garbage_is_read_or_not(kind: str, data: bytes) -> None:
    for head in (b"", _SAMPLES[kind]()[:16], _SAMPLES[kind]()[:64]):
        _sound(_groups(head + data, kind))
        exif_block(kind, _reader(head + data))


@given(data=st.binary(max_size=200))
def test_garbage_is_no_packet(data: bytes) -> None:
    for packet in (data, _packet("").replace(b"></rdf:D", b">" + data + b"</rdf:D")):
        _sound(_groups(_saved("WEBP", xmp=packet or b" ")))


_CHUNKS = (b"tEXt", b"zTXt", b"iTXt", b"eXIf", b"iCCP", b"tIME", b"acTL", b"fcTL", b"pHYs", b"gAMA", b"cHRM", b"cICP")
_WORDS = st.sampled_from(
    [b"Raw profile type iptc\0\niptc\n 4\n", b"XML:com.adobe.xmp\0\0\0\0\0", b"a\0\0", zlib.compress(b"x")]
)
_contents = st.lists(_WORDS | st.binary(max_size=40), max_size=4).map(b"".join)


@given(st.lists(st.tuples(st.sampled_from(_CHUNKS), _contents), max_size=5))
def test_a_png_of_strange_chunks_is_read_or_not(chunks: list[tuple[bytes, bytes]]) -> None:
    groups = _groups(_png(*chunks, (b"tEXt", b"last\0one")), "png")
    _sound(groups)
    assert "one" in groups["COMMENT"]["last"]  # what comes before does it no harm


_STARTS = [b"JFIF\0", b"Exif\0\0", b"Exif\0\0II*\0\x08\0\0\0", b"http://ns.adobe.com/xap/1.0/\0", b"ICC_PROFILE\0\1\1",
           b"http://ns.adobe.com/xmp/extension/\0", b"Photoshop 3.0\0", b"Photoshop 3.0\x008BIM\4\4\0\0", b"Adobe",
           b""]  # fmt: skip
_segments = st.tuples(
    st.sampled_from([*range(0xE0, 0xF7), *range(0xF8, 0xFF)]),  # 0xF7 makes it a JPEG-LS
    st.builds(bytes.__add__, st.sampled_from(_STARTS), st.binary(max_size=90)),
)


@given(st.lists(_segments, max_size=5))
def test_a_jpeg_of_strange_segments_is_read_or_not(segments: list[tuple[int, bytes]]) -> None:
    segments = [(marker, raw) for marker, raw in segments if marker not in (0xFF, 0xFE)]
    groups = _groups(_jpeg_with(*segments, (0xFE, b"last one")))
    _sound(groups)
    assert groups["COMMENT"] == {"Comment": "last one"}
