"""Every picture and array of the scikit-image wheel reads as Pillow, tifffile or numpy read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import bridge

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Media

pytestmark = pytest.mark.program

# 16 bits a sample, which Pillow reduces to 8: its own values are the high bytes of the file's.
SIXTEEN_BITS = {"chessboard_RGB.png"}


def pillow(path: Path) -> np.ndarray[Any, Any]:
    with Image.open(path) as picture:
        return np.asarray(picture)


@pytest.mark.needs("magick")
def test_every_png_is_equal_in_every_pixel(media: Media) -> None:
    paths = media.all(".png")
    assert len(paths) >= 20
    for path in paths:
        got, wanted = bridge.imread(path), pillow(path)
        assert got.dtype == (np.uint16 if path.name in SIXTEEN_BITS else np.uint8), path.name
        if path.name in SIXTEEN_BITS:
            got = got >> 8  # type: ignore[assignment] # no Array any more
        assert np.array_equal(got, wanted), path.name


@pytest.mark.needs("magick")
def test_every_jpeg_is_within_two_levels(media: Media) -> None:
    paths = media.all(".jpg")
    assert len(paths) >= 3
    for path in paths:
        got, wanted = bridge.imread(path), pillow(path)
        assert got.shape == wanted.shape
        assert got.dtype == wanted.dtype
        assert np.abs(got.astype(int) - wanted.astype(int)).max() <= 2, path.name


def test_every_gif_is_equal_in_every_frame(media: Media) -> None:
    for path in media.all(".gif"):
        frames = bridge.mimread(path)
        with Image.open(path) as picture:
            assert len(frames) == getattr(picture, "n_frames", 1)
            for index, frame in enumerate(frames):
                picture.seek(index)
                assert np.array_equal(frame, np.asarray(picture.convert("RGB"))), (path.name, index)


def test_every_tiff_is_equal(media: Media) -> None:
    paths = media.all(".tif", ".tiff")
    assert len(paths) >= 2
    for path in paths:
        wanted = tifffile.imread(path)
        got = bridge.imread(path)
        assert (got.shape, got.dtype) == (wanted.shape, wanted.dtype)
        assert np.array_equal(got, wanted)
        assert len(bridge.mimread(path)) == wanted.shape[0]


def test_every_npy_and_npz_is_equal(media: Media) -> None:
    for path in media.all(".npy"):
        wanted = np.load(path)
        got = bridge.imread(path)
        assert got.dtype == wanted.dtype
        assert np.array_equal(got, wanted)
    for path in media.all(".npz"):
        stored = np.load(path)
        for got, name in zip(bridge.mimread(path), stored.files, strict=True):
            assert np.array_equal(got, stored[name], equal_nan=True)
            assert got.meta["name"] == name


@pytest.mark.needs("ffmpeg")
def test_png_and_gif_read_the_same_without_imagemagick(media: Media, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBRIDGE_MAGICK", "none")
    for path in media.all(".png"):
        got, wanted = bridge.imread(path), pillow(path)
        if path.name in SIXTEEN_BITS:
            got = got >> 8  # type: ignore[assignment] # no Array any more
        assert np.array_equal(got, wanted), path.name
    for path in media.all(".gif"):
        with Image.open(path) as picture:
            for index, frame in enumerate(bridge.mimread(path)):
                picture.seek(index)
                assert np.array_equal(frame, np.asarray(picture.convert("RGB"))), (path.name, index)
    for path in media.all(".jpg"):
        assert bridge.imread(path).shape == pillow(path).shape


def test_content_decides_and_not_the_name(media: Media, tmp_path: Path) -> None:
    for name in ("picture.jpg", "picture", "picture.mp4", "picture.tif"):
        (tmp_path / name).write_bytes(media("chelsea.png").read_bytes())
        assert np.array_equal(bridge.imread(tmp_path / name), pillow(media("chelsea.png")))


@pytest.mark.needs("magick")
def test_probe_tells_pages_and_streams(media: Media) -> None:
    assert bridge.probe(media("camera.png")).pages[0].shape == (512, 512)
    assert bridge.probe(media("chessboard_RGB.png")).pages[0].dtype == "uint16"
    assert len(bridge.probe(media("no_time_for_that_tiny.gif")).pages) == 24
    assert [page.shape for page in bridge.probe(media("multipage.tif")).pages] == [(15, 10), (15, 10)]
    info: Any = bridge.probe(media("bigbuckbunny.mp4"))
    assert (info.video.codec, info.video.width, info.audio.codec) == ("h264", 1280, "aac")
