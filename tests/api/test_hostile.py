"""What somebody tried who wished us ill: each of these once went wrong."""

from __future__ import annotations

import copy
import io
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image, ImageSequence

import bridge
from bridge import errors
from bridge.media.sniff import sniff

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clips

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg", "magick")]

Pixels = np.ndarray[Any, Any]


@pytest.fixture
def film(lavfi: Clips) -> Path:
    return lavfi("film.mp4", "testsrc2=s=96x64:r=25:d=0.4", "-c:v", "libx264", "-pix_fmt", "yuv420p")


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("extension", [".jpg", ".ppm", ".pnm", ".tga", ".png", ".webp", ".bmp", ".avif", ".pcx"])
def test_colours_that_are_gray_stay_three_channels(extension: str, depth: int, tmp_path: Path) -> None:
    gray: Pixels = np.full((16, 18, 3), 100, np.uint8 if depth == 8 else np.uint16)
    if depth == 16 and extension not in (".ppm", ".pnm", ".png"):
        with pytest.raises(errors.UnsupportedPixels):
            bridge.imwrite(tmp_path / f"a{extension}", gray)
        return
    bridge.imwrite(tmp_path / f"a{extension}", gray)
    assert bridge.imread(tmp_path / f"a{extension}").shape == (16, 18, 3)
    if depth == 8:
        with Image.open(tmp_path / f"a{extension}") as theirs:
            assert theirs.mode == "RGB"


@pytest.mark.parametrize("lossless", [True, False])
@pytest.mark.parametrize("channels", [3, 4])
def test_an_animated_webp_of_frames_that_are_all_alike(channels: int, lossless: bool) -> None:
    frame = np.full((13, 9, channels), 90, np.uint8)
    data = bridge.mimwrite("<bytes>", [frame] * 3, format=".webp", duration=[0.1, 0.2, 0.3], lossless=lossless, loop=2)
    with Image.open(io.BytesIO(data or b"")) as theirs:
        shown = [(np.asarray(page.convert("RGBA")), page.info["duration"]) for page in ImageSequence.Iterator(theirs)]
        assert theirs.info["loop"] == 2
    assert [duration for _, duration in shown] == [100, 200, 300]
    assert all(
        np.abs(pixels[..., :channels].astype(int) - frame).max() <= (0 if lossless else 6) for pixels, _ in shown
    )


def test_tiff_of_one_channel_or_of_no_picture(tmp_path: Path) -> None:
    one = np.arange(72, dtype=np.uint8).reshape(8, 9, 1)
    bridge.mimwrite(tmp_path / "a.tif", [one, one + 1])
    assert [page.shape for page in bridge.mimread(tmp_path / "a.tif")] == [(8, 9), (8, 9)]
    writer = bridge.get_writer(tmp_path / "b.tif", mode="I")
    with writer, pytest.raises(errors.UnsupportedPixels, match="holds pictures"):
        writer.append_data(np.array([3]))


@pytest.mark.parametrize("format", ["WEBP", "WEBP-FFMPEG", "WEBP-FILM"])
def test_colours_that_cannot_be_seen_and_are_lost_are_told(format: str, tmp_path: Path) -> None:
    frame = np.full((8, 8, 4), 200, np.uint8)
    for hole, told in ((False, 0), (True, 1)):
        frame[:4, :, 3] = 0 if hole else 255
        with bridge.get_writer(tmp_path / "a.webp", format, mode="I", lossless=True) as writer:
            writer.append_data(frame)
        assert sum("wholly transparent" in change for change in writer.changes) == told
    with bridge.get_writer(tmp_path / "a.png") as writer:
        writer.append_data(frame)
    assert writer.changes == []  # PNG keeps them


def test_utvideo_keeps_alpha(tmp_path: Path) -> None:
    frames = np.random.default_rng(1).integers(0, 256, (3, 32, 48, 4), np.uint8)
    bridge.mimwrite(tmp_path / "a.avi", frames, fps=5, codec="utvideo")
    assert np.array_equal(np.stack(bridge.mimread(tmp_path / "a.avi")), frames)


def test_copies_of_planes_are_planes(film: Path) -> None:
    frame: Any = bridge.imread(film, pixelformat="native")
    for same in (frame.copy(), copy.copy(frame), copy.deepcopy(frame), pickle.loads(pickle.dumps(frame)), frame[:]):  # noqa: S301 - our own
        assert np.array_equal(same.v, frame.v)
        assert same.meta == frame.meta
    for part in (frame[::-1], frame[:, :8], frame[::-1].copy(), frame.T):
        with pytest.raises(errors.UnsupportedPixels, match="whole frame"):
            _ = part.v


def test_planes_are_not_written_as_a_picture(film: Path, tmp_path: Path) -> None:
    frame: Any = bridge.imread(film, pixelformat="native")
    for name in ("a.png", "a.mp4", "a.jpg"):
        with pytest.raises(errors.UnsupportedPixels, match="no picture"):
            bridge.mimwrite(tmp_path / name, [frame]) if name == "a.mp4" else bridge.imwrite(tmp_path / name, frame)
        assert not (tmp_path / name).exists()
    bridge.imwrite(tmp_path / "y.png", frame.y)
    assert np.array_equal(bridge.imread(tmp_path / "y.png"), frame.y)
    bridge.imwrite(tmp_path / "all.npy", frame)
    assert np.array_equal(bridge.imread(tmp_path / "all.npy"), np.asarray(frame))


@pytest.mark.parametrize(
    "keywords",
    [
        {"pixelformat": "native", "dtype": "uint16"}, {"pixelformat": "gray", "dtype": "uint16"}, {"stream": -1},
        {"stream": "a"}, {"every": 1.5}, {"every": "2"}, {"every": True}, {"size": (2.5, 3)}, {"size": (True, "3")},
        {"size": (10**9, 10**9)}, {"size": "0x5"}, {"every": 2, "fps": 5},
    ],
    ids=str,
)  # fmt: skip
def test_values_that_make_no_sense(keywords: dict[str, Any], film: Path) -> None:
    with pytest.raises(ValueError, match=r"dtype|pixelformat|stream|every|size"):
        bridge.imread(film, **keywords)


def test_a_dtype_that_is_none(film: Path) -> None:
    with pytest.raises(errors.UnsupportedPixels, match="dtype is 'uint8' or 'uint16', not 'zzz'"):
        bridge.imread(film, dtype="zzz")


def test_bytes_are_known_for_what_they_are(tmp_path: Path) -> None:
    picture = np.random.default_rng(2).integers(0, 256, (9, 11, 3), np.uint8)
    bridge.imwrite(tmp_path / "a.pcx", picture)
    data = (tmp_path / "a.pcx").read_bytes()
    assert sniff(data) == "pcx"
    assert np.array_equal(bridge.imread(data), picture)
    volume = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)
    assert np.array_equal(bridge.volread(bridge.volwrite("<bytes>", volume, format=".npz")), volume)


def test_what_is_only_read_is_said_to_be() -> None:
    with pytest.raises(errors.UnknownFormat, match=r"format='\.ico' is only read"):
        bridge.imwrite("<bytes>", np.zeros((4, 4, 3), np.uint8), format=".ico")


@pytest.mark.parametrize("extension", [".exr", ".hdr", ".pfm"])
def test_floats_of_either_byte_order(extension: str) -> None:
    picture = np.random.default_rng(3).random((5, 6, 3)).astype(">f4")
    back = bridge.imread(bridge.imwrite("<bytes>", picture, format=extension), extension)
    assert np.allclose(back, picture, rtol=0, atol=1 / 128)
