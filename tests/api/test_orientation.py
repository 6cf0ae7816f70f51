"""Pictures are turned when that is asked for, once, as Pillow turns them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageOps

import bridge
from bridge.media.orientation import told_upright, upright

if TYPE_CHECKING:
    from pathlib import Path

_ORIENTATION = 0x0112
_SAVED: dict[str, dict[str, Any]] = {"png": {}, "jpg": {"quality": 95, "subsampling": 0}, "webp": {"lossless": True}}
_BY_FFMPEG = {"png": "PNG-FFMPEG", "jpg": "JPEG-FFMPEG", "webp": "WEBP-FFMPEG"}


def picture(folder: Path, extension: str, orientation: int | None, mode: str = "RGB") -> Path:
    """Save a picture of which each corner is different."""
    slope = np.add.outer(3 * np.arange(24), 4 * np.arange(40)).astype(np.uint8)
    channels = [slope, 255 - slope, np.full_like(slope, 90)]
    image = Pillow.fromarray(np.dstack(channels) if mode == "RGB" else slope)
    exif = Pillow.Exif()
    if orientation is not None:
        exif[_ORIENTATION] = orientation
    target = folder / f"picture.{extension}"
    image.save(target, exif=exif, **_SAVED[extension])
    return target


def expected(path: Path) -> Any:
    with Pillow.open(path) as image:
        return np.asarray(ImageOps.exif_transpose(image))


@pytest.mark.program
@pytest.mark.needs("ffmpeg", "magick")
@pytest.mark.parametrize("by_ffmpeg", [False, True])
@pytest.mark.parametrize("extension", _SAVED)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_pillow_turns_it(
    orientation: int, extension: str, by_ffmpeg: bool, tmp_path: Path
) -> None:
    path = picture(tmp_path, extension, orientation)
    format = _BY_FFMPEG[extension] if by_ffmpeg else None
    stored = bridge.imread(path, format)
    turned = bridge.imread(path, format, rotate=True)
    assert stored.shape == (24, 40, 3)
    assert stored.meta["EXIF"]["Orientation"] == orientation
    assert turned.shape == expected(path).shape
    assert np.abs(turned.astype(int) - expected(path)).max() <= (3 if extension == "jpg" else 0)
    assert turned.meta["EXIF"]["Orientation"] == 1
    assert turned.meta["FILE"]["orientation"] == orientation
    assert turned.meta["FILE"]["size"] == turned.shape[1::-1]
    assert turned.flags.c_contiguous


@pytest.mark.program
@pytest.mark.needs("ffmpeg", "magick")
@pytest.mark.parametrize("orientation", [None, 0, 9, 77])
def test_an_orientation_that_makes_no_sense_turns_nothing(orientation: int | None, tmp_path: Path) -> None:
    path = picture(tmp_path, "jpg", orientation)
    assert np.array_equal(bridge.imread(path, rotate=True), bridge.imread(path))


@pytest.mark.program
@pytest.mark.needs("ffmpeg", "magick")
@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM", "QOI"])
def test_rotate_is_true_or_false(form: str, tmp_path: Path) -> None:
    if form == "QOI":
        data = b"qoif" + bytes([0, 0, 0, 1, 0, 0, 0, 1, 3, 0, 0xFE, 1, 2, 3, 0, 0, 0, 0, 0, 0, 0, 1])
    else:
        Pillow.new("RGB", (3, 2)).save(tmp_path / "picture", form)
        data = (tmp_path / "picture").read_bytes()
    with pytest.raises(ValueError, match="rotate is True or False, not 90"):
        bridge.imread(data, rotate=90)
    assert bridge.imread(data, rotate=True).ndim == 3


def test_gray_is_turned_too(tmp_path: Path) -> None:
    path = picture(tmp_path, "png", 6, mode="L")
    assert np.array_equal(bridge.imread(path, rotate=True), expected(path))


@given(st.integers(1, 8), st.integers(1, 5), st.integers(1, 5))
def test_turning_loses_nothing(orientation: int, height: int, width: int) -> None:
    image = np.arange(height * width).reshape(height, width)
    back = {6: 8, 8: 6}.get(orientation, orientation)
    assert np.array_equal(upright(upright(image, orientation), back), image)


def test_what_was_told_stays_as_it_was() -> None:
    groups: dict[str, dict[str, Any]] = {"FILE": {"size": (40, 24)}, "XMP": {"tiff:Orientation": "6"}}
    told = told_upright(groups, 6)
    assert told == {"FILE": {"size": (24, 40), "orientation": 6}, "XMP": {"tiff:Orientation": "1"}}
    assert groups == {"FILE": {"size": (40, 24)}, "XMP": {"tiff:Orientation": "6"}}


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("layout", ["gray", "rgb", "planar", "stack"])
def test_tiff_is_turned_too(layout: str, number: int, tmp_path: Path) -> None:
    shape = {"gray": (20, 30), "rgb": (20, 30, 3), "planar": (3, 20, 30), "stack": (4, 20, 30)}[layout]
    stored = np.random.default_rng(number).integers(0, 256, shape, np.uint8)
    options: dict[str, Any] = {"photometric": "rgb" if layout in ("rgb", "planar") else "minisblack"}
    options |= {"planarconfig": "separate"} if layout == "planar" else {}
    tifffile.imwrite(tmp_path / "a.tif", stored, extratags=[(274, "H", 1, number, True)], **options)
    channels_last = np.moveaxis(stored, 0, -1) if layout in ("planar", "stack") else stored
    want = upright(channels_last, number)
    want = np.moveaxis(want, -1, 0) if layout in ("planar", "stack") else want
    assert np.array_equal(bridge.imread(tmp_path / "a.tif"), stored)
    got = bridge.imread(tmp_path / "a.tif", rotate=True)
    assert np.array_equal(got, want)
    assert got.meta["EXIF"]["Orientation"] == 1
    assert got.meta["FILE"]["orientation"] == number
    part = bridge.imread(tmp_path / "a.tif", rotate=True, crop=(2, 3, 10, 8))
    rows = (slice(None), slice(3, 11), slice(2, 12)) if layout in ("planar", "stack") else (slice(3, 11), slice(2, 12))
    assert np.array_equal(part, want[rows])
    if layout == "stack":
        pages = bridge.mimread(tmp_path / "a.tif", rotate=True)
        assert all(map(np.array_equal, pages, want))
