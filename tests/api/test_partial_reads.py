"""Parts of pictures and smaller ones: exactly those of the whole, and no more is decoded than must be."""

from __future__ import annotations

import io
import struct
import zlib
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

import bridge
from bridge.media.orientation import stored_box, upright
from bridge.media.portion import Portion, portion_of

if TYPE_CHECKING:
    from pathlib import Path

_BOX = (31, 7, 25, 18)  # odd, so that colours stored at half the size do not fit it
_SAVED: dict[str, dict[str, Any]] = {
    "png": {},
    "jpg": {"quality": 90, "subsampling": 2},
    "webp": {"lossless": False, "quality": 90},
    "gif": {},
    "bmp": {},
    "tif": {"compression": "tiff_lzw"},
}
_BY_FFMPEG = {"png": "PNG-FFMPEG", "jpg": "JPEG-FFMPEG", "webp": "WEBP-FFMPEG", "bmp": "BMP-FFMPEG"}
_READ_BY = [(extension, None) for extension in _SAVED] + list(_BY_FFMPEG.items())
_programs = pytest.mark.needs("ffmpeg", "magick")


def slope(height: int = 60, width: int = 90, shift: int = 0) -> np.ndarray[Any, Any]:
    """Give a picture of which each place is different."""
    rows, columns = np.mgrid[:height, :width]
    return np.dstack([2 * columns + shift, 3 * rows, 255 - columns - rows]).astype(np.uint8)


def saved(folder: Path, extension: str, **more: Any) -> Path:
    target = folder / f"picture.{extension}"
    Pillow.fromarray(slope()).save(target, **_SAVED[extension], **more)
    return target


def sliced(image: np.ndarray[Any, Any], box: tuple[int, int, int, int] = _BOX) -> np.ndarray[Any, Any]:
    x, y, width, height = box
    return image[..., y : y + height, x : x + width, :]


@pytest.mark.program
@_programs
@pytest.mark.parametrize(("extension", "format"), _READ_BY)
def test_a_part_has_the_pixels_of_the_whole(extension: str, format: str | None, tmp_path: Path) -> None:
    path = saved(tmp_path, extension)
    part = bridge.imread(path, format, region=_BOX)
    assert np.array_equal(part, sliced(bridge.imread(path, format)))
    assert part.meta["FILE"]["size"] == (25, 18)
    assert part.meta["FILE"]["source_size"] == (90, 60)


@pytest.mark.program
@_programs
@pytest.mark.parametrize(("extension", "format"), _READ_BY)
def test_a_size_is_what_comes(extension: str, format: str | None, tmp_path: Path) -> None:
    path = saved(tmp_path, extension)
    small = bridge.imread(path, format, size=(30, 20))
    assert small.shape == (20, 30, 3)
    assert small.meta["FILE"]["size"] == (30, 20)
    whole = bridge.imread(path, format)
    means = whole.reshape(20, 3, 30, 3, 3).mean(axis=(1, 3))
    assert np.abs(small - means)[2:-2, 2:-2].max() < 12
    assert np.array_equal(bridge.imread(path, format, size="30x20"), small)


@pytest.mark.program
@_programs
@pytest.mark.parametrize("format", ["PNG", "PNG-FFMPEG"])
def test_a_part_is_cut_before_it_is_scaled(format: str, tmp_path: Path) -> None:
    image = np.zeros((40, 40, 3), np.uint8)
    image[10:20, 10:20] = 200
    Pillow.fromarray(image).save(tmp_path / "a.png")
    assert (bridge.imread(tmp_path / "a.png", format, crop=(10, 10, 10, 10), size=(30, 5)) == 200).all()


@pytest.mark.program
@_programs
def test_frames_and_pages_are_cut_one_by_one(tmp_path: Path) -> None:
    frames = [Pillow.fromarray(slope(shift=8 * number)) for number in range(3)]
    for name, options in (("a.gif", {"duration": 50}), ("a.tif", {"compression": "tiff_lzw"})):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], **options)
    tifffile.imwrite(tmp_path / "b.tif", np.stack([slope(shift=8 * n) for n in range(3)]), compression="zlib")
    for name in ("a.gif", "a.tif", "b.tif"):
        wholes = bridge.mimread(tmp_path / name)
        parts = bridge.mimread(tmp_path / name, crop=_BOX)
        assert len(parts) == 3
        assert all(np.array_equal(part, sliced(whole)) for part, whole in zip(parts, wholes, strict=True))
    stack = bridge.imread(tmp_path / "b.tif", crop=_BOX)
    assert np.array_equal(stack, np.stack([sliced(slope(shift=8 * n)) for n in range(3)]))


@pytest.mark.program
@_programs
def test_where_a_file_lays_its_picture_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Pillow.fromarray(slope()).save(path)
    content = path.read_bytes()
    chunk = b"oFFs" + struct.pack(">IIB", 20, 11, 0)
    path.write_bytes(content[:33] + struct.pack(">I", 9) + chunk + struct.pack(">I", zlib.crc32(chunk)) + content[33:])
    assert np.array_equal(bridge.imread(path, crop=_BOX), sliced(slope()))


@pytest.mark.program
@_programs
@pytest.mark.parametrize(("extension", "format"), [*_READ_BY, ("tif", "TIFF")])
def test_a_part_outside_is_refused_before_a_program_decodes(
    extension: str, format: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path, extension)
    if format == "TIFF":
        tifffile.imwrite(path, slope())
    for room in ("magick", "ffmpeg"):
        monkeypatch.delattr(f"bridge.{room}.image.Child")
    for box in ((0, 0, 91, 1), (0, 60, 1, 1), (90, 0, 1, 1), (89, 59, 2, 1)):
        with pytest.raises(bridge.errors.UnsupportedPixels, match="90x60"):
            bridge.imread(path, format, crop=box)


@pytest.mark.parametrize(
    "wish",
    [
        {"crop": (1, 2, 3)},
        {"crop": "1x2"},
        {"crop": (-1, 0, 2, 2)},
        {"crop": (0, 0, 0, 2)},
        {"crop": (0.5, 0, 2, 2)},
        {"crop": (0, 0, 1, 1), "region": (0, 0, 1, 1)},
        {"size": (0, 2)},
        {"size": "10"},
    ],
)
def test_what_is_no_part_is_a_value_error(wish: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"crop|size"):
        portion_of((90, 60), "a.png", **wish)


@given(st.integers(1, 8), st.data())
def test_a_part_of_a_turned_picture_is_found_in_what_is_stored(orientation: int, data: st.DataObject) -> None:
    stored = np.arange(35).reshape(5, 7)
    turned = upright(stored, orientation)
    x = data.draw(st.integers(0, turned.shape[1] - 1))
    y = data.draw(st.integers(0, turned.shape[0] - 1))
    width = data.draw(st.integers(1, turned.shape[1] - x))
    height = data.draw(st.integers(1, turned.shape[0] - y))
    left, top, wide, high = stored_box((x, y, width, height), orientation, (7, 5))
    part = upright(stored[top : top + high, left : left + wide], orientation)
    assert np.array_equal(part, turned[y : y + height, x : x + width])


@pytest.mark.program
@_programs
@pytest.mark.parametrize("format", ["PNG", "PNG-FFMPEG"])
@pytest.mark.parametrize("orientation", [3, 6, 7])
def test_part_and_size_are_those_of_the_picture_as_it_is_seen(orientation: int, format: str, tmp_path: Path) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    path = saved(tmp_path, "png", exif=exif)
    whole = bridge.imread(path, format, rotate=True)
    part = bridge.imread(path, format, rotate=True, crop=(2, 31, 25, 18))
    assert np.array_equal(part, sliced(whole, (2, 31, 25, 18)))
    small = bridge.imread(path, format, rotate=True, size=(20, 10))
    assert small.shape == (10, 20, 3)
    assert small.meta["FILE"]["size"] == (20, 10)
    assert small.meta["FILE"]["source_size"] == whole.shape[1::-1]


@pytest.mark.program
@_programs
def test_a_small_jpeg_is_never_decoded_at_full_size(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    Pillow.fromarray(slope(480, 640)).save(path)
    limits = bridge.Limits(pixels=80 * 60)
    small = bridge.imread(path, "JPEG", size=(80, 60), limits=limits)
    with Pillow.open(path) as image:
        image.draft("RGB", (80, 60))  # libjpeg at an eighth
        assert np.abs(small.astype(int) - np.asarray(image)).max() <= 2
    for too_much in ({"size": (81, 60)}, {"crop": (0, 0, 10, 10)}, {}):
        with pytest.raises(bridge.errors.LimitExceeded):
            bridge.imread(path, "JPEG", limits=limits, **too_much)


def test_what_is_decoded_of_a_jpeg() -> None:
    wish = Portion(size=(90, 60))
    assert wish.decoded(1000, 700, reducible=True) == (125, 88)
    assert wish.decoded(1000, 700, reducible=False) == (1000, 700)
    assert Portion(size=(2000, 10)).decoded(1000, 700, reducible=True) == (1000, 700)


@pytest.mark.program
@_programs
@pytest.mark.parametrize("compression", ["tiff_lzw", "jpeg"])
def test_of_pages_only_the_first_is_decoded(compression: str) -> None:
    frames = [Pillow.fromarray(slope(shift=8 * number)) for number in range(3)]
    made = io.BytesIO()
    frames[0].save(made, "TIFF", save_all=True, append_images=frames[1:], compression=compression)
    content = bytearray(made.getvalue())
    made.seek(0)
    with tifffile.TiffFile(made) as tiff:
        for page in list(tiff.pages)[1:]:
            for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
                content[offset : offset + size] = b"\xff" * size
    whole = bridge.imread(made.getvalue())
    assert np.array_equal(bridge.imread(bytes(content)), whole)
    assert bridge.imread(bytes(content)).meta["FILE"]["nframes"] == 3
    with pytest.raises(bridge.errors.BridgeError):
        bridge.mimread(bytes(content))


_LAYOUTS: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
    "tiles": ((256, 320, 3), {"tile": (64, 64), "photometric": "rgb"}),
    "planar tiles": ((3, 256, 320), {"tile": (64, 64), "photometric": "rgb", "planarconfig": "separate"}),
    "strips": ((256, 320, 3), {"rowsperstrip": 16, "photometric": "rgb"}),
    "gray tiles": ((256, 320), {"tile": (64, 64), "predictor": True}),
    "planar strips": ((3, 256, 320), {"rowsperstrip": 16, "photometric": "rgb", "planarconfig": "separate"}),
}
_PART = (70, 65, 60, 120)  # columns 1 to 2 and rows 1 to 2 of the tiles; strips 4 to 11


@pytest.mark.parametrize("dtype", ["uint8", ">u2"])
@pytest.mark.parametrize("layout", _LAYOUTS)
def test_only_the_tiles_that_a_part_touches_are_read(layout: str, dtype: str, tmp_path: Path) -> None:
    shape, options = _LAYOUTS[layout]
    image = np.random.default_rng(5).integers(0, 255, shape).astype(dtype)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, image, compression="zlib", byteorder=">", **options)
    content = bytearray(path.read_bytes())
    planes, down, across = (3 if "planar" in layout else 1, 16, 1) if "strips" in layout else (
        3 if "planar" in layout else 1, 4, 5)  # fmt: skip
    rows, columns = (range(4, 12), range(1)) if "strips" in layout else (range(1, 3), range(1, 3))
    needed = {(p * down + r) * across + c for p in range(planes) for r in rows for c in columns}
    with tifffile.TiffFile(path) as tiff:
        page: Any = tiff.pages[0]
        assert len(page.dataoffsets) == planes * down * across
        for number, (offset, size) in enumerate(zip(page.dataoffsets, page.databytecounts, strict=True)):
            if number not in needed:
                content[offset : offset + size] = b"\xff" * size
    x, y, width, height = _PART
    planar = "planar" in layout
    want = image[..., y : y + height, x : x + width] if planar else image[y : y + height, x : x + width]
    part = bridge.imread(bytes(content), crop=_PART)
    assert np.array_equal(part, want)
    assert part.dtype == image.dtype.newbyteorder("=")
    with pytest.raises(bridge.errors.CorruptMedia):
        bridge.imread(bytes(content))


def test_the_limit_counts_what_is_decoded_of_a_tiff(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, slope(256, 320), tile=(64, 64), compression="zlib", photometric="rgb")
    limits = bridge.Limits(pixels=64 * 64 * 4)
    assert bridge.imread(path, crop=(60, 60, 68, 68), limits=limits).shape == (68, 68, 3)
    with pytest.raises(bridge.errors.LimitExceeded):
        bridge.imread(path, crop=(60, 60, 69, 68), limits=limits)


def test_a_part_of_an_uncompressed_tiff(tmp_path: Path) -> None:
    for name, image in (("a", slope()), ("b", slope().astype(">u2") * 257), ("c", slope()[..., 0].astype("f4"))):
        tifffile.imwrite(tmp_path / f"{name}.tif", image, byteorder=">" if name == "b" else "<")
        part = bridge.imread(tmp_path / f"{name}.tif", crop=_BOX)
        assert np.array_equal(part, image[7:25, 31:56])
        assert part.flags.writeable


def test_a_part_of_a_stack_that_is_one_page(tmp_path: Path) -> None:
    stack = np.arange(4 * 20 * 30, dtype=np.uint16).reshape(4, 20, 30)
    tifffile.imwrite(tmp_path / "a.tif", stack, imagej=True)
    assert np.array_equal(bridge.imread(tmp_path / "a.tif", crop=(3, 4, 5, 6)), stack[:, 4:10, 3:8])
    parts = bridge.mimread(tmp_path / "a.tif", crop=(3, 4, 5, 6))
    assert all(np.array_equal(part, plane[4:10, 3:8]) for part, plane in zip(parts, stack, strict=True))


@pytest.mark.program
@_programs
def test_samples_that_imagemagick_would_clip_are_not_scaled(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.ones((20, 30), np.float32))
    with pytest.raises(bridge.errors.MissingCodec, match="8 or 16 bits"):
        bridge.imread(tmp_path / "a.tif", size=(3, 2))
    tifffile.imwrite(tmp_path / "b.tif", np.full((20, 30), 999, np.uint16))
    assert (bridge.imread(tmp_path / "b.tif", size=(3, 2)) == np.full((2, 3), 999, np.uint16)).all()
