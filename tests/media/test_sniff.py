"""sniff and picture_head: content is told from its bytes, as independent libraries tell it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from bridge.errors import CorruptMedia, UnsupportedPixels
from bridge.media.sniff import _ATOMS, _BRANDS, _MAGIC, _RIFF, HEAD, PictureHead, picture_head, sniff
from tests.strategies import Gif, GifFrame, gif_bytes, gifs, mutated

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Clips, Media

_CHANNELS = {"1": 1, "L": 1, "I;16": 1, "I": 1, "LA": 2, "P": 3, "RGB": 3, "RGBA": 4, "RGBX": 3, "CMYK": 4, "PA": 4}


def _head(data: bytes, kind: str | None = None) -> PictureHead | None:
    return picture_head(kind or str(sniff(data[:HEAD])), lambda at, count: data[at : at + count])


# sniff


@pytest.mark.parametrize(("offset", "magic", "kind"), _MAGIC)
@given(rest=st.binary(max_size=40))
def test_every_magic_is_known_whatever_follows(offset: int, magic: bytes, kind: str, rest: bytes) -> None:
    within = {"png": "apng", "jpeg": "jls"}
    assert sniff(bytes(offset) + magic + rest) in {kind, within.get(kind, kind)}


@pytest.mark.parametrize(("brand", "kind"), [*_BRANDS.items(), (b"isom", "mp4"), (b"qt  ", "mp4"), (b"M4V ", "mp4")])
def test_every_brand_is_known(brand: bytes, kind: str) -> None:
    assert sniff(b"\0\0\0\x18ftyp" + brand + bytes(8)) == kind


@pytest.mark.parametrize("atom", _ATOMS)
def test_old_quicktime_is_known(atom: bytes) -> None:
    assert sniff(b"\0\0\0\x08" + atom + bytes(8)) == "mp4"


@pytest.mark.parametrize(("form", "kind"), _RIFF.items())
def test_riff_is_told_by_its_form(form: bytes, kind: str) -> None:
    assert sniff(b"RIFF\x10\0\0\0" + form) == kind


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"P6\n1 1\n255\n", "pnm"),
        (b"P7\nWIDTH 1\n", "pnm"),
        (b"PF\n1 1\n-1\n", "pfm"),
        (b"\x01\xda\x01\x01\0\x03", "sgi"),
        (b"qoif\0\0\0\x01", "qoi"),
        (b"DDS |\0\0\0", "dds"),
        ((b"G" + bytes(187)) * 4, "mpegts"),
        ((bytes(4) + b"G" + bytes(187)) * 4, "mpegts"),
        (b"\0\0\0\x01\x67\x42\0\x1e", "h264"),
        (b"\0\0\0\x01\x40\x01\x0c\x01", "hevc"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'>", "svg"),
        (b"<?xml version='1.0'?>\n<svg>", "svg"),
        (b"\xef\xbb\xbf <?xml?><SVG>", "svg"),
        (b"RIFF\x10\0\0\0ACON", None),
        (b"", None),
        (b"P", None),
        (b"Hello, this is a text and no film", None),
        (b"P6", None),
        (b"G" * 20, None),
        (b"\0\0\x01", None),
        (bytes(HEAD), None),
        (b"<html><body>", None),
    ],
)
def test_what_has_no_fixed_signature(head: bytes, kind: str | None) -> None:
    assert sniff(head) == kind


@given(st.one_of(st.binary(max_size=300), st.sampled_from(_MAGIC).flatmap(lambda m: st.binary().map(m[1].__add__))))
def test_random_bytes_are_known_or_not_but_never_crash(data: bytes) -> None:
    kind = sniff(data)
    assert kind is None or kind.isalnum()
    _corrupt_or_read(data, kind or "png")


_CONTAINERS = {
    "a.mp4": "mp4", "a.mov": "mp4", "a.mkv": "matroska", "a.avi": "avi", "a.flv": "flv", "a.ogv": "ogg",
    "a.ts": "mpegts", "a.m2ts": "mpegts", "a.nut": "nut", "a.y4m": "y4m", "a.mpg": "mpegps", "a.asf": "asf",
    "a.mxf": "mxf", "a.m1v": "mpegvideo", "a.gif": "gif", "a.apng": "apng",
}  # fmt: skip
_ENCODERS = {"a.ogv": "libtheora", "a.mxf": "mpeg2video", "a.avi": "mpeg4", "a.apng": "apng"}


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize(("name", "kind"), _CONTAINERS.items())
def test_what_ffmpeg_writes_is_known(lavfi: Clips, name: str, kind: str) -> None:
    encoder = ("-c:v", _ENCODERS[name]) if name in _ENCODERS else ()
    clip = lavfi(name, "testsrc2=s=64x64:r=25:d=0.2", *encoder)
    assert sniff(clip.read_bytes()[:HEAD]) == kind


def test_real_files_are_known(media: Media) -> None:
    kinds = {
        ".png": {"png"},
        ".jpg": {"jpeg"},
        ".gif": {"gif"},
        ".tif": {"tiff"},
        ".npy": {"npy"},
        ".npz": {"zip"},
        ".mp4": {"mp4"},
    }
    found = media.all(*kinds)
    assert len(found) > 30
    for path in found:
        assert sniff(path.read_bytes()[:HEAD]) in kinds[path.suffix], path.name


# picture_head against Pillow


def _like_pillow(data: bytes) -> None:
    head = _head(data)
    with Image.open(io.BytesIO(data)) as picture:
        assert head is not None
        assert (head.width, head.height) == picture.size
        assert head.frames == getattr(picture, "n_frames", 1)
        holes = picture.mode == "P" and "transparency" in picture.info
        assert head.channels == _CHANNELS[picture.mode] + holes + (
            picture.mode in ("L", "RGB") and "transparency" in picture.info
        )
        assert head.cmyk == (picture.mode == "CMYK")
    deep = data[1:4] == b"PNG" and data[24] == 16  # Pillow has no mode for 16-bit colour
    assert head.depth == (16 if deep else 8)


def test_real_pictures(media: Media) -> None:
    found = media.all(".png", ".jpg")
    assert len(found) > 20
    for path in found:
        _like_pillow(path.read_bytes())


def _saved(form: str, mode: str, **options: Any) -> bytes:
    values = np.random.default_rng(1).integers(0, 256, (6, 9, 4), np.uint8)
    picture = Image.fromarray(values, "RGBA") if mode == "RGBA" else Image.fromarray(values[..., :3].copy())
    if mode == "I;16":
        picture = Image.fromarray(values[..., 0].astype(np.uint16) * 257)
    elif mode != "RGBA":
        picture = picture.convert(mode)
    out = io.BytesIO()
    picture.save(out, form, **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        *(("PNG", mode, {}) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16")),
        ("PNG", "P", {"transparency": 3}),
        ("PNG", "L", {"transparency": 7}),
        ("PNG", "RGB", {"transparency": (1, 2, 3)}),
        ("PNG", "P", {"bits": 2}),
        *(("JPEG", mode, {}) for mode in ("L", "RGB", "CMYK")),
        ("JPEG", "RGB", {"progressive": True, "exif": b"Exif\0\0" + bytes(3000)}),
        ("JPEG", "RGB", {"comment": b"x" * 65000, "icc_profile": bytes(200_000)}),
        *(("BMP", mode, {}) for mode in ("1", "L", "P", "RGB")),
        *(("WEBP", mode, {"lossless": lossless}) for mode in ("RGB", "RGBA") for lossless in (True, False)),
        ("WEBP", "RGB", {"exif": b"Exif\0\0" + bytes(99)}),
        *(("GIF", mode, {}) for mode in ("L", "P", "RGB")),
    ],
    ids=str,
)
def test_pictures_that_pillow_makes(form: str, mode: str, options: dict[str, Any]) -> None:
    data = _saved(form, mode, **options)
    if form == "GIF":  # a palette is colours, even where Pillow sees that they are gray
        head = _head(data)
        assert head is not None
        assert (head.width, head.height, head.channels, head.frames) == (9, 6, 3, 1)
    else:
        _like_pillow(data)


def test_an_rgba_bmp_has_alpha() -> None:
    head = _head(_saved("BMP", "RGBA"))
    assert head is not None
    assert head.channels in (3, 4)  # Pillow's own header does not say so; its pixels do


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
@pytest.mark.parametrize("count", [1, 2, 5])
def test_frames_are_counted(form: str, count: int) -> None:
    rows = np.random.default_rng(2).integers(0, 256, (count, 8, 8, 3), np.uint8)
    pictures = [Image.fromarray(row) for row in rows]
    out = io.BytesIO()
    pictures[0].save(out, form, save_all=True, append_images=pictures[1:], duration=40)
    head = _head(out.getvalue())
    with Image.open(io.BytesIO(out.getvalue())) as picture:
        assert head is not None
        assert head.frames == count == getattr(picture, "n_frames", 1)
        assert (head.width, head.height) == (8, 8)


@pytest.mark.program
@pytest.mark.needs("magick")
@pytest.mark.parametrize(
    "make",
    [
        ["-alpha", "set", "-channel", "A", "-evaluate", "set", "50%", "bmp:-"],
        ["bmp3:-"],
        ["-type", "Grayscale", "bmp:-"],
    ],
)
def test_bmp_headers_of_other_makers(make: list[str]) -> None:
    import subprocess

    from bridge.process.tools import toolbox

    command = [toolbox().find("magick").path, "-size", "5x4", "gradient:red-blue", *make]
    data = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    head = _head(data)
    with Image.open(io.BytesIO(data)) as picture:
        assert head is not None
        assert (head.width, head.height) == picture.size
        assert head.channels == _CHANNELS[picture.mode]


# The holes of a GIF


@settings(max_examples=300)
@given(gifs())
def test_a_gif_counts_its_frames_and_gives_alpha_for_every_hole(gif: Gif) -> None:
    head = _head(gif_bytes(gif))
    assert head is not None
    assert (head.width, head.height, head.frames) == (gif.width, gif.height, len(gif.frames))
    assert head.channels in (3, 4)
    if gif.holes:
        assert head.channels == 4
    if gif.plainly_opaque:
        assert head.channels == 3


def test_a_hole_that_is_gone_back_to_is_a_hole() -> None:
    def frame(number: int, disposal: int, transparent: int | None = None) -> GifFrame:
        pixels = np.full((2, 2), number, np.uint8)
        return GifFrame(left=0, top=0, pixels=pixels, transparent=transparent, disposal=disposal, local_palette=False)

    gif = Gif(width=2, height=2, frames=(frame(1, 2), frame(2, 3), frame(3, 0, transparent=3)))
    assert gif.holes
    head = _head(gif_bytes(gif))
    assert head is not None
    assert head.channels == 4


@given(gifs())
def test_pillow_reads_the_gifs_that_are_made_here(gif: Gif) -> None:
    with Image.open(io.BytesIO(gif_bytes(gif))) as picture:
        assert (picture.size, getattr(picture, "n_frames", 1)) == ((gif.width, gif.height), len(gif.frames))
        rows, columns = gif.frames[0].pixels.shape
        top, left = gif.frames[0].top, gif.frames[0].left
        seen = np.asarray(picture.convert("RGBA"))[top : top + rows, left : left + columns, 3]
        expected = gif.frames[0].pixels != gif.frames[0].transparent
        if gif.frames[0].transparent is not None:
            np.testing.assert_array_equal(seen == 255, expected)


def test_the_real_gif(real: Media) -> None:
    data = real("no_time_for_that_tiny.gif").read_bytes()
    head = _head(data)
    with Image.open(io.BytesIO(data)) as picture:
        assert head is not None
        assert (head.width, head.height) == picture.size
        assert head.frames == getattr(picture, "n_frames", 0)


# Damage


def _corrupt_or_read(data: bytes, kind: str) -> PictureHead | None:
    try:
        return _head(data, kind)
    except (CorruptMedia, UnsupportedPixels):
        return None


_SAMPLES: dict[str, Callable[[], bytes]] = {
    "png": lambda: _saved("PNG", "P", transparency=3),
    "jpeg": lambda: _saved("JPEG", "RGB"),
    "gif": lambda: _saved("GIF", "P"),
    "bmp": lambda: _saved("BMP", "L"),
    "webp": lambda: _saved("WEBP", "RGBA"),
}


@pytest.mark.parametrize("kind", _SAMPLES)
def test_a_header_cut_anywhere_is_corrupt_or_read(kind: str) -> None:
    data = _SAMPLES[kind]()
    whole = _head(data)
    assert whole is not None
    for cut in range(min(len(data), 2000)):
        head = _corrupt_or_read(data[:cut], kind)
        assert head is None or (head.width, head.height) == (whole.width, whole.height), cut


@pytest.mark.parametrize("kind", _SAMPLES)
@given(data=st.data())
def test_a_damaged_header_is_corrupt_or_read(kind: str, data: st.DataObject) -> None:
    head = _corrupt_or_read(data.draw(mutated(_SAMPLES[kind]()[:300])), kind)
    assert head is None or (head.width > 0 and head.height > 0 and head.frames > 0 and head.channels > 0)


@pytest.mark.parametrize("kind", _SAMPLES)
@given(data=st.binary(max_size=200))
def test_garbage_behind_the_magic_is_corrupt_or_read(kind: str, data: bytes) -> None:
    head = _corrupt_or_read(_SAMPLES[kind]()[:16] + data, kind)
    assert head is None or (head.width > 0 and head.height > 0 and head.frames > 0 and head.channels > 0)


def test_a_png_with_a_chunk_that_has_no_length_does_not_read_on_forever() -> None:
    png = _saved("PNG", "RGB")[:33]
    asked = 0

    def read_at(at: int, count: int) -> bytes:
        nonlocal asked
        asked += 1
        return (png + bytes(12) * 1000)[at : at + count]

    with pytest.raises(CorruptMedia):
        picture_head("png", read_at)
    assert asked < 100


def test_other_kinds_are_left_to_programs(tmp_path: Path) -> None:
    assert picture_head("tiff", lambda _at, _count: b"") is None
    assert not list(tmp_path.iterdir())
