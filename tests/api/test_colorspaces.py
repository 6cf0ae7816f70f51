"""Pixels come as the file holds them, or as sRGB where that is asked for, as littlecms makes it of them."""

from __future__ import annotations

import io
import itertools
import struct
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from PIL import ImageCms

import bridge
from bridge.media.icc import matrix_profile, srgb_profile
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg", "magick")]

_ADOBE = matrix_profile("Wide", ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06)), curve=lambda v: v ** (563 / 256))
_P3 = matrix_profile("Screen", ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06)))
_PROPHOTO = matrix_profile(
    "Photo", ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001)), (0.3457, 0.3585), lambda v: v**1.8
)
_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def profile(kind: bytes, space: bytes, connection: bytes, **tags: bytes) -> bytes:
    """Lay out an ICC profile of version 2."""
    white = struct.pack(">3l", 63190, 65536, 54061)
    blocks = {
        "desc": b"desc\0\0\0\0" + struct.pack(">L", 5) + b"test\0" + bytes(78),
        "cprt": b"text\0\0\0\0free\0",
        "wtpt": b"XYZ \0\0\0\0" + white,
        **tags,
    }
    at = 132 + 12 * len(blocks)
    table, body = struct.pack(">L", len(blocks)), b""
    for name, block in blocks.items():
        table += struct.pack(">4s2L", name.encode(), at + len(body), len(block))
        body += block + bytes(-len(block) % 4)
    head = struct.pack(">L4xL4s4s4s12x4s", at + len(body), 0x02100000, kind, space, connection, b"acsp")
    return head + bytes(68 - len(head)) + white + bytes(48) + table + body


def gray_profile(gamma: float) -> bytes:
    return profile(b"mntr", b"GRAY", b"XYZ ", kTRC=struct.pack(">4s4xLH", b"curv", 1, round(gamma * 256)) + b"\0\0")


def ink_profile() -> bytes:
    """Make a press of which three states of each ink were measured; sRGB can show nearly all that it prints.

    Where it could not, littlecms inside ImageMagick interpolates what was clipped, and is 3 levels off.
    """
    ramp = bytes(range(256))
    cells = bytearray()
    for c, m, y, k in itertools.product((0, 0.5, 1), repeat=4):
        light = (1 - k) * (1 - 0.35 * c - 0.45 * m - 0.08 * y)
        a, b = (1 - k) * (45 * m - 25 * c + 3 * y), (1 - k) * (42 * y - 30 * c - 8 * m)
        cells += bytes([round(255 * light * 0.95 + 6), round(a + 128), round(b + 128)])
    identity = struct.pack(">9l", *(65536 * (n % 4 == 0) for n in range(9)))
    table = b"mft1\0\0\0\0" + bytes([4, 3, 3, 0]) + identity + 4 * ramp + bytes(cells) + 3 * ramp
    return profile(b"prtr", b"CMYK", b"Lab ", A2B0=table)


def colours(channels: int = 3) -> np.ndarray[Any, Any]:
    """Give smooth colours, which no compression changes much."""
    rows, columns = np.mgrid[:48, :64]
    found = [4 * columns, 5 * rows, 255 - 2 * (rows + columns), 2 * rows]
    return np.dstack(found[:channels]).squeeze().astype(np.uint8)


_SAVED: dict[str, dict[str, Any]] = {
    "png": {"format": "PNG"},
    "jpeg": {"format": "JPEG", "quality": 100, "subsampling": 0},
    "webp": {"format": "WEBP", "lossless": True},
    "tiff": {"format": "TIFF"},
    "tiff, lzw": {"format": "TIFF", "compression": "tiff_lzw"},
    "tiff, deflate": {"format": "TIFF", "compression": "tiff_adobe_deflate"},
}


def saved(image: np.ndarray[Any, Any], kind: str, mode: str | None = None, icc: bytes | None = None) -> bytes:
    made = io.BytesIO()
    Pillow.fromarray(image, mode).save(made, **_SAVED[kind] | ({"icc_profile": icc} if icc else {}))
    return made.getvalue()


def by_pillow(content: bytes) -> np.ndarray[Any, Any]:
    with Pillow.open(io.BytesIO(content)) as image:
        return np.asarray(image)


def by_littlecms(content: bytes, icc: Any) -> np.ndarray[Any, Any]:
    source = ImageCms.ImageCmsProfile(io.BytesIO(icc) if isinstance(icc, bytes) else icc)
    with Pillow.open(io.BytesIO(content)) as image:
        exact = ImageCms.Flags.NOOPTIMIZE
        made = ImageCms.profileToProfile(image, source, _SRGB, outputMode="RGB", flags=exact)
    return np.asarray(made)


def apart(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> int:
    assert one.shape == other.shape
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.mark.parametrize(
    ("mode", "channels", "kind"),
    [
        *(("CMYK", 4, kind) for kind in ("jpeg", "tiff", "tiff, lzw", "tiff, deflate")),
        *(("LAB", 3, kind) for kind in ("tiff", "tiff, lzw", "tiff, deflate")),
        ("LA", 2, "png"),
        ("L", 1, "jpeg"),
        ("RGBA", 4, "png"),
    ],
)
def test_pixels_come_as_the_file_holds_them(mode: str, channels: int, kind: str) -> None:
    content = saved(colours(channels), kind, mode)
    assert np.array_equal(bridge.imread(content), by_pillow(content))
    assert np.array_equal(bridge.imread(content, crop=(3, 5, 20, 10)), by_pillow(content)[5:15, 3:23])


def test_the_values_of_lab_are_all_told_apart() -> None:
    every = np.arange(256, dtype=np.uint8).reshape(16, 16)
    image = np.dstack([every, every, every])
    assert np.array_equal(bridge.imread(saved(image, "tiff, lzw", "LAB")), image)


@pytest.mark.parametrize("icc", [_ADOBE, _P3, _PROPHOTO], ids=["Adobe", "P3", "ProPhoto"])
@pytest.mark.parametrize("kind", _SAVED)
def test_a_profile_is_followed(kind: str, icc: bytes) -> None:
    content = saved(colours(), kind, icc=icc)
    stored = bridge.imread(content)
    assert np.array_equal(stored, by_pillow(content)) or (kind == "jpeg" and apart(stored, by_pillow(content)) <= 2)
    assert stored.meta["ICC"]["profile"] == icc
    converted = bridge.imread(content, colorspace="srgb")
    assert apart(converted, by_littlecms(content, icc)) <= 2
    assert converted.dtype == np.uint8
    assert "ICC" not in converted.meta
    assert converted.meta["FILE"]["color_space"] == "sRGB"
    assert converted.meta["FILE"]["source_color_space"].startswith("RGB (")
    part = bridge.imread(content, colorspace="srgb", crop=(3, 5, 20, 10))
    assert apart(part, converted[5:15, 3:23]) == 0


def test_transparency_stays(tmp_path: Path) -> None:
    content = saved(colours(4), "png", icc=_P3)
    converted = bridge.imread(content, colorspace="srgb")
    (tmp_path / "a.png").write_bytes(content)
    assert np.array_equal(converted[..., 3], colours(4)[..., 3])
    assert apart(converted[..., :3], by_littlecms(saved(colours(), "png", icc=_P3), _P3)) <= 2


def test_sixteen_bits_stay() -> None:
    deep = colours().astype(np.uint16) * 257
    made = io.BytesIO()
    tifffile.imwrite(made, deep, photometric="rgb", iccprofile=_P3)
    converted = bridge.imread(made.getvalue(), colorspace="srgb")
    assert converted.dtype == np.uint16
    assert len(np.unique(converted)) > 256
    assert np.abs(converted / 257 - by_littlecms(saved(colours(), "png"), _P3)).max() <= 2


@pytest.mark.parametrize("kind", ["jpeg", "tiff", "tiff, lzw"])
def test_inks_become_srgb(kind: str) -> None:
    content = saved(colours(4), kind, "CMYK", ink_profile())
    converted = bridge.imread(content, colorspace="srgb")
    assert apart(converted, by_littlecms(content, ink_profile())) <= 2
    assert converted.meta["FILE"]["source_color_space"] == "CMYK (test)"
    assert bridge.imread(content).shape == (48, 64, 4)
    for icc in (None, _P3):  # one of other channels is not its own
        content = saved(colours(4), kind, "CMYK", icc)
        with Pillow.open(io.BytesIO(content)) as image:
            assert apart(bridge.imread(content, colorspace="srgb"), np.asarray(image.convert("RGB"))) <= 2


@pytest.mark.parametrize("kind", ["tiff", "tiff, lzw", "tiff, deflate"])
def test_lab_becomes_srgb(kind: str) -> None:
    lab = ImageCms.profileToProfile(Pillow.fromarray(colours()), _SRGB, ImageCms.createProfile("LAB"), outputMode="LAB")
    content = saved(np.asarray(lab), kind, "LAB")
    converted = bridge.imread(content, colorspace="srgb")
    assert apart(converted, by_littlecms(content, ImageCms.createProfile("LAB"))) <= 2
    assert converted.meta["FILE"]["source_color_space"] == "CIELab"
    with pytest.raises(bridge.errors.UnsupportedPixels, match="signed"):
        bridge.imread(content, size=(3, 3))


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_gray_stays_gray_unless_its_profile_says_more(kind: str) -> None:
    for icc in (None, gray_profile(2.2), _P3):
        content = saved(colours(1), kind, icc=icc)
        same = bridge.imread(content, colorspace="srgb")
        assert np.array_equal(same, bridge.imread(content))
        assert same.meta["FILE"]["color_space"] == "gray"
    content = saved(colours(1), kind, icc=gray_profile(1.0))
    converted = bridge.imread(content, colorspace="srgb")
    assert apart(converted, by_littlecms(content, gray_profile(1.0))) <= 2


@pytest.mark.parametrize("format", ["PNG", "PNG-FFMPEG"])
@pytest.mark.parametrize("icc", [None, srgb_profile(), _SRGB.tobytes()], ids=["none", "ours", "littlecms"])
def test_what_is_srgb_is_not_touched(icc: bytes | None, format: str) -> None:
    found = bridge.imread(saved(colours(), "png", icc=icc), format, colorspace="srgb")
    assert np.array_equal(found, colours())
    assert found.meta["FILE"]["color_space"] == "sRGB"
    assert ("ICC" in found.meta) == (icc is not None)


def test_what_cannot_be_converted_here_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = saved(colours(), "png", icc=_P3)
    with pytest.raises(bridge.errors.MissingCodec, match="install"):
        bridge.imread(wide, "PNG-FFMPEG", colorspace="srgb")
    abilities = toolbox().abilities("magick")
    without = replace(abilities, delegates=abilities.delegates - {"lcms"})
    with monkeypatch.context() as patch:
        patch.setitem(toolbox()._abilities, "magick", without)
        with pytest.raises(bridge.errors.MissingCodec, match=r"lcms.*install"):
            bridge.imread(wide, colorspace="srgb")
        assert bridge.imread(saved(colours(4), "jpeg", "CMYK"), colorspace="srgb").shape == (48, 64, 3)
    monkeypatch.setenv("FRAMEBRIDGE_MAGICK", "none")
    for kind, mode in (("png", "RGB"), ("tiff", "RGB"), ("jpeg", "CMYK")):
        content = saved(colours(len(mode)), kind, mode, _P3)
        with pytest.raises(bridge.errors.MissingCodec, match="install"):
            bridge.imread(content, colorspace="srgb")


@pytest.mark.parametrize("kind", ["png", "jpeg"])
def test_a_damaged_profile_is_not_left_out_in_silence(kind: str) -> None:
    content = saved(colours(), kind, icc=_P3[:300])
    assert bridge.imread(content).shape == (48, 64, 3)
    with pytest.raises(bridge.errors.CorruptMedia, match="profile"):
        bridge.imread(content, colorspace="srgb")


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_other_colour_spaces_are_a_value_error(kind: str) -> None:
    for format in (None, "PNG-FFMPEG") if kind == "png" else (None, "TIFF"):
        with pytest.raises(ValueError, match="'srgb'"):
            bridge.imread(saved(colours(), kind), format, colorspace="adobe")
