"""What is written reads back equal, for every format that claims to lose nothing; what cannot be held is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import bridge
from bridge import errors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.program

SHAPES = {1: (7, 9), 2: (7, 9, 2), 3: (7, 9, 3), 4: (7, 9, 4)}
LOSSLESS = {
    ".png": {(channels, depth) for channels in (1, 2, 3, 4) for depth in (8, 16)},
    ".pam": {(channels, depth) for channels in (1, 2, 3, 4) for depth in (8, 16)},
    ".tif": {(channels, depth) for channels in (1, 2, 3, 4) for depth in (8, 16)},
    ".npy": {(channels, depth) for channels in (1, 2, 3, 4) for depth in (8, 16)},
    ".npz": {(channels, depth) for channels in (1, 2, 3, 4) for depth in (8, 16)},
    ".ppm": {(1, 8), (3, 8), (1, 16), (3, 16)},
    ".bmp": {(1, 8), (3, 8)},
    ".tga": {(3, 8), (4, 8)},
}
LOSSY = {".jpg": {(1, 8), (3, 8)}, ".webp": {(3, 8), (4, 8)}}
CASES = [
    (ending, channels, depth) for ending in sorted(LOSSLESS | LOSSY) for channels in (1, 2, 3, 4) for depth in (8, 16)
]


def noise(channels: int, depth: int, shape: tuple[int, ...] | None = None) -> np.ndarray[Any, Any]:
    dtype = np.uint8 if depth == 8 else np.uint16
    return np.random.default_rng(channels).integers(0, 1 << depth, shape or SHAPES[channels], dtype)


@pytest.mark.needs("magick", "ffmpeg")
@pytest.mark.parametrize(("ending", "channels", "depth"), CASES)
def test_written_and_read_back(ending: str, channels: int, depth: int, tmp_path: Path) -> None:
    image, target = noise(channels, depth), tmp_path / f"picture{ending}"
    if (channels, depth) not in (LOSSLESS | LOSSY)[ending]:
        with pytest.raises(errors.UnsupportedPixels, match="formats that can"):
            bridge.imwrite(target, image)
        assert not list(tmp_path.iterdir())
        return
    bridge.imwrite(target, image)
    back = bridge.imread(target)
    assert (back.shape, back.dtype) == (image.shape, image.dtype)
    if ending in LOSSLESS:
        assert np.array_equal(back, image)


@pytest.mark.needs("magick", "ffmpeg")
@pytest.mark.parametrize("format", ["WEBP", "WEBP-FFMPEG"])
@pytest.mark.parametrize("channels", [3, 4])
def test_webp_without_loss(channels: int, format: str, tmp_path: Path) -> None:
    image = noise(channels, 8)
    if channels == 4 and format == "WEBP-FFMPEG":
        image[..., 3] |= 1  # ffmpeg does not ask libwebp to keep the colours of what cannot be seen
    bridge.imwrite(tmp_path / "a.webp", image, format, lossless=True)
    with Image.open(tmp_path / "a.webp") as theirs:
        assert np.array_equal(np.asarray(theirs), image)
    assert np.array_equal(bridge.imread(tmp_path / "a.webp"), image)
    for other in ("JPEG", "JPEG-FFMPEG", "PNG"):
        with pytest.raises(ValueError, match="lossless"):
            bridge.imwrite(tmp_path / "a.png", noise(3, 8), other, lossless=True)


@pytest.mark.needs("magick")
@pytest.mark.parametrize("values", ["all 65536", "all below 256", "gray in colour", "black"])
def test_the_values_never_choose_the_depth_or_the_channels(values: str, tmp_path: Path) -> None:
    images: dict[str, np.ndarray[Any, Any]] = {
        "all 65536": np.arange(65536, dtype=np.uint16).reshape(256, 256),
        "all below 256": np.arange(256, dtype=np.uint16).reshape(16, 16),
        "gray in colour": np.repeat(np.arange(256, dtype=np.uint8).reshape(16, 16, 1), 3, axis=2),
        "black": np.zeros((5, 5, 4), np.uint16),
    }
    bridge.imwrite(tmp_path / "picture.png", images[values])
    back = bridge.imread(tmp_path / "picture.png")
    assert (back.shape, back.dtype) == (images[values].shape, images[values].dtype)
    assert np.array_equal(back, images[values])


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize(("channels", "depth"), sorted(LOSSLESS[".png"]))
def test_png_without_imagemagick(channels: int, depth: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBRIDGE_MAGICK", "none")
    image = noise(channels, depth)
    bridge.imwrite(tmp_path / "picture.png", image)
    back = bridge.imread(tmp_path / "picture.png")
    assert back.dtype == image.dtype
    assert np.array_equal(back, image)


@pytest.mark.needs("magick")
def test_what_is_written_is_what_pillow_reads(tmp_path: Path) -> None:
    for channels in (1, 2, 3, 4):
        image = noise(channels, 8)
        bridge.imwrite(tmp_path / "picture.png", image)
        with Image.open(tmp_path / "picture.png") as picture:
            assert np.array_equal(np.asarray(picture), image)
    smooth = np.add.outer(np.arange(64), np.arange(64)).astype(np.uint8)
    bridge.imwrite(tmp_path / "picture.jpg", smooth, quality=95)
    with Image.open(tmp_path / "picture.jpg") as picture:
        assert np.abs(np.asarray(picture).astype(int) - smooth).max() <= 4


@pytest.mark.needs("magick")
@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_pillows_png_modes(mode: str, tmp_path: Path) -> None:
    colours = noise(3, 8, (16, 16, 3))
    picture = Image.fromarray(colours).convert(mode.replace("I;16", "L"))
    if mode == "I;16":
        picture = Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 257)
    picture.save(tmp_path / "picture.png")
    wanted = np.asarray(picture.convert({"1": "L", "P": "RGB"}.get(mode, mode)) if mode != "I;16" else picture)
    got = bridge.imread(tmp_path / "picture.png")
    assert (got.shape, np.array_equal(got, wanted)) == (wanted.shape, True)


@pytest.mark.needs("magick")
def test_transparent_palette_comes_with_alpha(tmp_path: Path) -> None:
    picture = Image.fromarray(noise(3, 8, (16, 16, 3))).convert("P")
    picture.save(tmp_path / "picture.png", transparency=0)
    with Image.open(tmp_path / "picture.png") as saved:
        assert np.array_equal(bridge.imread(tmp_path / "picture.png"), np.asarray(saved.convert("RGBA")))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint32", "float32", "float64", "bool"])
@pytest.mark.parametrize("ending", [".tif", ".npy", ".npz"])
def test_arrays_of_any_depth(dtype: str, ending: str, tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 2, (6, 5)).astype(dtype)
    bridge.imwrite(tmp_path / f"array{ending}", image)
    back = bridge.imread(tmp_path / f"array{ending}")
    assert back.dtype == image.dtype
    assert np.array_equal(back, image)


@pytest.mark.parametrize("ending", [".tif", ".npz"])
def test_stacks(ending: str, tmp_path: Path) -> None:
    pages = list(np.random.default_rng(0).integers(0, 65536, (5, 8, 6), np.uint16))
    bridge.mimwrite(tmp_path / f"stack{ending}", pages)
    back = bridge.mimread(tmp_path / f"stack{ending}")
    assert len(back) == 5
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(pages, back, strict=True))


@pytest.mark.needs("magick")
def test_tiff_that_tifffile_alone_cannot_decode(tmp_path: Path) -> None:
    image = noise(3, 8, (32, 32, 3))
    Image.fromarray(image).save(tmp_path / "lzw.tif", compression="tiff_lzw")
    assert np.array_equal(bridge.imread(tmp_path / "lzw.tif"), image)


def test_a_second_picture_is_refused(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedPixels, match="one picture"):
        bridge.mimwrite(tmp_path / "picture.png", [noise(3, 8)] * 2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("quality", [0, 101, -5])
def test_quality_has_a_range(quality: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="quality"):
        bridge.imwrite(tmp_path / "picture.jpg", noise(3, 8), quality=quality)
