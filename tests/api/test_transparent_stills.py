"""Transparency that the programs leave out: AVIF, TGA of gray and alpha; and palettes with a hole."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import bridge
from bridge import errors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.program


def slopes(channels: int) -> np.ndarray[Any, Any]:
    rows, columns = np.mgrid[0:37, 0:53]
    return np.stack([columns * 4, rows * 6, (rows + columns) * 2, 255 - columns * 3][:channels], -1).astype(np.uint8)


def saved(image: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


@pytest.mark.needs("magick")
@pytest.mark.parametrize("channels", [3, 4])
def test_avif_with_and_without_transparency(channels: int) -> None:
    data = saved(Image.fromarray(slopes(channels)), "AVIF", quality=100, subsampling="4:4:4")
    wanted = np.array(Image.open(io.BytesIO(data)))
    with bridge.get_reader(data) as reader:
        got = reader.get_data(0)
        assert reader.info.pages[0].shape == got.shape == wanted.shape == (37, 53, channels)
    assert got.dtype == np.uint8
    assert np.abs(got[..., :3].astype(int) - wanted[..., :3]).max() <= 6
    assert np.array_equal(got[..., 3:], wanted[..., 3:])


@pytest.mark.needs("magick")
def test_avif_cut_short() -> None:
    data = saved(Image.fromarray(slopes(4)), "AVIF", quality=90)
    for left in (30, 150, 300, len(data) // 2):
        with pytest.raises((errors.CorruptMedia, errors.TruncatedMedia)):
            bridge.imread(data[:left])


@pytest.mark.parametrize("compression", [None, "tga_rle"])
@pytest.mark.parametrize("orientation", [-1, 1])
def test_tga_of_gray_and_alpha(compression: str | None, orientation: int) -> None:
    image = slopes(2)
    image[5:9, 3:30] = 7
    data = saved(Image.fromarray(image, "LA"), "TGA", compression=compression, orientation=orientation)
    got = bridge.imread(data, format="TGA-GRAY")
    assert np.array_equal(got, image)
    with pytest.raises(errors.TruncatedMedia):
        bridge.imread(data[: len(data) // 2], format="TGA-GRAY")


def test_tga_is_known_by_its_name(tmp_path: Any) -> None:
    Image.fromarray(slopes(2), "LA").save(tmp_path / "picture.tga")
    assert np.array_equal(bridge.imread(tmp_path / "picture.tga"), slopes(2))


@pytest.mark.needs("magick")
@pytest.mark.parametrize("colours", [2, 16, 256])
def test_gif_of_a_palette_with_a_hole(colours: int) -> None:
    data = saved(Image.fromarray(slopes(3)).quantize(colours), "GIF", transparency=1)
    wanted = np.array(Image.open(io.BytesIO(data)).convert("RGBA"))
    got = bridge.imread(data)
    assert got.shape == (37, 53, 4)
    assert np.array_equal(got[..., 3], wanted[..., 3])
    assert np.array_equal(got[wanted[..., 3] > 0], wanted[wanted[..., 3] > 0])


@pytest.mark.needs("magick")
@pytest.mark.parametrize("extension", ["avif", "heic"])
def test_avif_and_heic_are_written(extension: str, tmp_path: Path) -> None:
    y, x = np.mgrid[0:48, 0:64]
    picture = np.stack([x * 4, y * 5, x + y], -1).astype(np.uint8)
    off = {}
    if bridge.formats[extension.upper()].missing(writing=True):
        with pytest.raises(errors.MissingCodec, match=f"cannot write {extension.upper()}"):
            bridge.imwrite(tmp_path / f"a.{extension}", picture)
        return
    for quality in (20, 95):
        target = tmp_path / f"{quality}.{extension}"
        bridge.imwrite(target, picture, quality=quality)
        off[quality] = np.abs(bridge.imread(target).astype(int) - picture).mean()
    assert off[95] < 2
    assert off[95] < off[20]
    if extension == "avif":  # Pillow has no HEIC
        with Image.open(tmp_path / "95.avif") as theirs:
            assert np.abs(np.asarray(theirs.convert("RGB")).astype(int) - picture).mean() < 2
    with pytest.raises(errors.UnsupportedPixels):
        bridge.imwrite(tmp_path / f"no.{extension}", np.dstack([picture, picture[..., 0]]))
