"""Parts of film: a region, a size, each so-many-th frame, the planes as a codec gives them."""

from __future__ import annotations

import itertools
import pickle
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge import errors
from bridge.ffmpeg.planes import Planes
from bridge.media.pixels import PIXEL_FORMATS
from tests.fakes.films import turned_film

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clips

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

SOURCE = "testsrc2=s=162x118:r=25:d=1.2"
H264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "10", "-bf", "2")


@pytest.fixture
def film(lavfi: Clips) -> Path:
    return lavfi("film.mp4", SOURCE, *H264)


# Regions


@pytest.mark.parametrize(
    "part", [(0, 0, 162, 118), (16, 8, 64, 32), (3, 5, 51, 27), (161, 117, 1, 1), (1, 0, 160, 118)]
)
@pytest.mark.parametrize("keyword", ["crop", "region"])
def test_a_part_is_a_slice_of_the_whole(keyword: str, part: tuple[int, ...], film: Path) -> None:
    left, top, width, height = part
    whole = bridge.mimread(film)
    wanted: dict[str, Any] = {keyword: part}
    with bridge.get_reader(film, **wanted) as reader:
        assert reader.get_meta_data()["size"] == (width, height)
        for index, frame in enumerate(reader):
            assert np.array_equal(frame, whole[index][top : top + height, left : left + width])
        assert np.array_equal(reader[17], whole[17][top : top + height, left : left + width])
        batch = reader.get_batch([20, 3])
        assert np.array_equal(batch[1], whole[3][top : top + height, left : left + width])


@pytest.mark.parametrize("part", [(0, 0, 163, 10), (0, 100, 10, 19), (162, 0, 1, 1)], ids=str)
def test_a_part_that_is_not_inside_is_refused_and_the_size_told(part: Any, film: Path) -> None:
    with pytest.raises(errors.UnsupportedPixels, match=r"film.mp4 is 162x118"):
        bridge.get_reader(film, crop=part)


@pytest.mark.parametrize("part", [(-1, 0, 5, 5), (0, 0, 0, 5), (0, 0, 5), "all", (0.5, 0, 5, 5)], ids=str)
def test_what_is_no_part_is_refused(part: Any, film: Path) -> None:
    with pytest.raises(ValueError, match=r"crop is \(x, y, width, height\)"):
        bridge.get_reader(film, region=part)


def test_a_part_of_subsampled_planes_begins_at_a_sample(film: Path) -> None:
    whole: Any = bridge.mimread(film, pixelformat="native")[4]
    part: Any = bridge.mimread(film, pixelformat="native", crop=(8, 6, 32, 16))[4]
    assert np.array_equal(part.y, whole.y[6:22, 8:40])
    assert np.array_equal(part.v, whole.v[3:11, 4:20])
    for bad in ((1, 0, 8, 8), (0, 1, 8, 8), (0, 0, 7, 8)):
        with pytest.raises(errors.UnsupportedPixels, match="multiples of 2"):
            bridge.get_reader(film, pixelformat="yuv420p", crop=bad)


def test_a_part_is_scaled_after_it_is_cut(film: Path) -> None:
    with bridge.get_reader(film, crop=(0, 0, 80, 60), size=(40, 30)) as reader:
        assert reader[0].shape == (30, 40, 3)
        assert reader.get_meta_data()["size"] == (40, 30)
        whole = bridge.imread(film)[:60, :80].reshape(30, 2, 40, 2, 3).mean((1, 3))
        assert np.abs(reader[0] - whole).mean() < 6


def test_a_part_of_a_turned_film_is_one_of_what_is_shown(film: Path, tmp_path: Path) -> None:
    turned = turned_film(film, tmp_path)
    whole = bridge.mimread(turned)[2]
    assert whole.shape == (162, 118, 3)
    assert np.array_equal(bridge.mimread(turned, crop=(10, 120, 50, 40))[2], whole[120:160, 10:60])
    coded = bridge.mimread(turned, rotate=False)[2]
    assert np.array_equal(bridge.mimread(turned, rotate=False, crop=(120, 10, 40, 50))[2], coded[10:60, 120:160])


# Each so-many-th


@pytest.mark.parametrize(
    ("name", "every"),
    [(name, every) for name in ("film.mp4", "film.mkv", "film.ts", "film.h264") for every in (2, 29)]
    + [("film.mp4", every) for every in (7, 30, 1000)],
)
def test_each_so_manyth_frame(name: str, every: int, lavfi: Clips) -> None:
    film = lavfi(name, SOURCE, *H264)
    with bridge.get_reader(film) as reader:
        whole, times = list(reader), reader.timestamps
    with bridge.get_reader(film, every=every) as reader:
        frames = list(reader)
        assert len(reader) == len(frames) == -(-30 // every)
        assert [frame.meta["index"] for frame in frames] == list(range(len(frames)))
        assert [frame.meta["frame"] for frame in frames] == list(range(0, 30, every))
        assert all(map(np.array_equal, frames, whole[::every]))
        assert np.array_equal(reader.timestamps, times[::every])
        assert reader.durations.sum() == pytest.approx(sum(frame.meta["duration"] for frame in whole))
        for index in (len(frames) - 1, 0, -1):
            found = reader[index]
            assert np.array_equal(found, frames[index])
            assert found.meta == reader.get_meta_data(index)
        assert np.array_equal(reader.get_batch([0, -1, 0]), np.stack([frames[0], frames[-1], frames[0]]))
        with pytest.raises(errors.NoSuchFrame):
            reader.get_data(len(frames))


def test_each_so_manyth_frame_of_a_damaged_film(film: Path, tmp_path: Path) -> None:
    whole = bridge.mimread(film)
    damaged = tmp_path / "damaged.mp4"
    data = film.read_bytes()
    damaged.write_bytes(data[: len(data) // 2] + bytes(2000) + data[len(data) // 2 + 2000 :])
    frames: list[Any] = []
    with pytest.raises((errors.TruncatedMedia, errors.CorruptMedia)), bridge.get_reader(damaged, every=3) as reader:
        frames.extend(reader)
    assert 2 <= len(frames) < 10
    assert all(map(np.array_equal, frames, whole[::3]))


@pytest.mark.parametrize("keywords", [{"every": 0}, {"every": -2}, {"every": 2, "fps": 5}, {"every": 2, "loop": True}])
def test_what_is_no_number_of_frames_is_refused(keywords: dict[str, Any], film: Path) -> None:
    with pytest.raises(ValueError, match=r"every is a number from 1|every= goes with none of"):
        bridge.get_reader(film, **keywords)


# As coded

CODED = {
    "yuv420p": "libx264", "yuv422p": "libx264", "yuv444p": "libx264", "yuvj420p": "mjpeg", "yuv420p10le": "libx265",
    "yuv422p10le": "prores_ks", "yuv410p": "ffv1", "yuv411p": "ffv1", "yuv440p": "ffv1", "yuva420p": "ffv1",
    "yuv444p16le": "ffv1", "yuva444p10le": "ffv1", "yuv420p9le": "ffv1", "gray": "ffv1", "gray10le": "ffv1",
    "gray16le": "ffv1", "gbrp": "libx264rgb", "gbrp12le": "ffv1", "gbrap": "ffv1", "argb": "qtrle", "rgb24": "png",
    "rgb48be": "png", "gbrp14le": "ffv1", "yuva422p": "ffv1",
}  # fmt: skip


@pytest.mark.parametrize(("pixels", "codec"), CODED.items())
def test_native_is_what_the_codec_gives(pixels: str, codec: str, lavfi: Clips, ffmpeg: str) -> None:
    given = {"libx264rgb": "rgb24", "qtrle": "argb"}.get(codec, pixels)
    name = "film.mov" if codec == "qtrle" else "film.mkv"
    film = lavfi(name, SOURCE, "-c:v", codec, "-frames:v", "3", "-pix_fmt", given)
    with bridge.get_reader(film, pixelformat="native") as reader:
        native = reader.get_meta_data()["pix_fmt"].replace("be", "le")
        frames = list(reader)
    command = [ffmpeg, "-v", "error", "-i", str(film), "-pix_fmt", native, "-f", "rawvideo", "-"]
    sent = subprocess.run(command, capture_output=True, check=True).stdout
    row = PIXEL_FORMATS[native]
    size = row.nbytes(162, 118)
    assert len(sent) == 3 * size
    for frame, at in zip(frames, itertools.count(0, size), strict=False):
        memory = np.frombuffer(sent[at : at + size], row.dtype)
        if isinstance(frame, Planes):
            assert frame.pixelformat == native
            assert np.array_equal(np.asarray(frame).reshape(-1), memory)
            wanted = [plane.shape(162, 118) for plane in row.planes]
            assert [plane.shape for plane in (frame.y, frame.u, frame.v)] == wanted[:3]
            assert np.array_equal(frame.v.reshape(-1), memory[frame.y.size + frame.u.size :][: frame.v.size])
            assert np.shares_memory(frame.y, frame)
        else:
            assert np.array_equal(frame, row.view(memory.reshape(row.empty(162, 118).shape)))
    assert isinstance(frames[0], Planes) == native.startswith("yuv")


def test_planes_know_what_they_are(lavfi: Clips) -> None:
    film = lavfi("film.mkv", SOURCE, "-c:v", "ffv1", "-pix_fmt", "yuva420p", "-frames:v", "2")
    frame: Any = bridge.imread(film, pixelformat="native")
    assert frame.meta["index"] == 0
    assert (frame.y.shape, frame.u.shape, frame.a.shape) == ((118, 162), (59, 81), (118, 162))
    assert frame.a.min() == 255
    opaque: Any = bridge.imread(film, pixelformat="yuv420p")
    assert np.array_equal(opaque.y, frame.y)
    with pytest.raises(errors.UnsupportedPixels, match="no such plane"):
        _ = opaque.a
    with pytest.raises(errors.UnsupportedPixels, match="whole frame"):
        _ = frame[:4].y
    semi: Any = bridge.imread(film, pixelformat="nv12")
    assert np.array_equal(semi.v, frame.v)
    assert np.array_equal(semi.u, frame.u)


@pytest.mark.parametrize(
    "keywords",
    [{}, {"rotate": False}, {"every": 2}, {"crop": (8, 6, 34, 18)}, {"size": (40, 31)}, {"fps": 20}],
)
def test_planes_come_in_batches_too(keywords: dict[str, Any], lavfi: Clips, tmp_path: Path) -> None:
    plain = lavfi("film.mp4", SOURCE, "-c:v", "libx264", "-pix_fmt", "yuv420p", "-frames:v", "6")
    film = turned_film(plain, tmp_path)
    with bridge.get_reader(film, pixelformat="native", **keywords) as reader:
        alone: list[Any] = [reader[number] for number in range(3)]
        batch = reader.get_batch([2, 0, 2])
        for frame, number in zip(batch, (2, 0, 2), strict=True):
            assert isinstance(frame, Planes)
            assert frame.meta["index"] == number
            for name in "yuv":
                assert np.array_equal(getattr(frame, name), getattr(alone[number], name))
        some: Any = reader[1:3]
        assert np.array_equal(some[1:][0].v, alone[2].v)
        again = pickle.loads(pickle.dumps(some))[-1]  # noqa: S301 - our own
        assert np.array_equal(again.u, alone[2].u)
        assert not isinstance(some[:, :4][0], Planes)
        assert not isinstance(some[[0, 1]], Planes)


def test_native_of_what_has_no_array_says_so(lavfi: Clips) -> None:
    palette = lavfi("film.avi", f"{SOURCE},format=rgb24", "-c:v", "rawvideo", "-pix_fmt", "rgb555le", "-frames:v", "1")
    with pytest.raises(errors.UnsupportedPixels, match="rgb555le"):
        bridge.imread(palette, pixelformat="native")
