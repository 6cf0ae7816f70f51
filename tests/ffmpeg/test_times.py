"""Times, rates and sizes of what is written: as they were given, or refused."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

import bridge
from bridge.errors import BridgeError, UnsupportedPixels

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

Image: TypeAlias = np.ndarray[Any, Any]


def frames(count: int, height: int = 48, width: int = 64) -> list[Image]:
    """Make frames whose brightness tells which one it is."""
    slope = np.add.outer(np.arange(height), np.arange(width))[..., None] * np.array([1, 2, 3]) // 16 % 8
    return [(slope + 20 * number % 240).astype(np.uint8) for number in range(count)]


def film(path: Path, **keywords: Any) -> Any:
    return bridge.get_reader(path, "GIF-FFMPEG" if path.suffix == ".gif" else None, **keywords)


def write(path: Path, images: Sequence[Image], **keywords: Any) -> None:
    if path.suffix == ".gif":
        keywords["format"] = "GIF-FFMPEG"
    bridge.mimwrite(path, images, **keywords)


# The time of each frame

TIMES: dict[str, list[float]] = {
    "a constant rate": [0, 0.04, 0.08, 0.12, 0.16],
    "a pause": [0, 0.04, 0.08, 2.0, 2.04, 2.08],
    "tenths": [0, 0.1, 0.5, 1.5],
    "ever slower": [0, 0.02, 0.06, 0.14, 0.3, 0.62, 1.26],
    "ever faster": [0, 0.64, 0.96, 1.12, 1.2, 1.24, 1.26],
    "later than zero": [0.5, 0.6, 0.8],
    "two": [0, 0.25],
    "many": [round(0.05 * number + (number % 3) * 0.01, 2) for number in range(60)],
}


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm", "gif"])
@pytest.mark.parametrize("case", TIMES)
def test_frames_have_the_times_that_were_given(case: str, extension: str, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    given = np.array(TIMES[case])
    write(target, frames(len(given)), timestamps=list(given))
    with film(target) as reader:
        assert len(reader) == len(given)
        assert reader.timestamps - reader.timestamps[0] == pytest.approx(given - given[0], abs=1e-6)
        assert reader.durations == pytest.approx([*np.diff(given), given[-1] - given[-2]], abs=1e-6)
        back = list(reader)
    assert [frame.meta["index"] for frame in back] == list(range(len(given)))
    for number, frame in enumerate(back):
        assert abs(float(frame.mean()) - float(frames(number + 1)[number].mean())) < 10


def test_hundredths_are_kept_by_gif(tmp_path: Path) -> None:
    given = [0, 0.01, 0.03, 0.04, 0.14]
    write(tmp_path / "film.gif", frames(5), timestamps=given)
    with film(tmp_path / "film.gif") as reader:
        assert list(reader.timestamps) == pytest.approx(given, abs=1e-9)


@pytest.mark.parametrize("extension", ["mp4", "mov"])
def test_fractions_are_kept_to_the_tick(extension: str, tmp_path: Path) -> None:
    given = [Fraction(1001 * number, 30000) + Fraction(number % 2, 70) for number in range(12)]
    bridge.mimwrite(tmp_path / f"film.{extension}", frames(12), timestamps=given)
    with film(tmp_path / f"film.{extension}") as reader:
        assert list(reader.timestamps) == [float(time) for time in given]


def test_milliseconds_are_kept_by_matroska(tmp_path: Path) -> None:
    given = [0, 0.001, 0.017, 0.333, 0.334, 5.999]
    bridge.mimwrite(tmp_path / "film.mkv", frames(6), timestamps=given)
    with film(tmp_path / "film.mkv") as reader:
        assert list(reader.timestamps) == pytest.approx(given, abs=1e-9)


def test_one_frame_may_have_a_time(tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "film.mp4", frames(1), timestamps=[0])
    assert len(bridge.mimread(tmp_path / "film.mp4")) == 1


def test_times_of_a_film_make_a_film_with_the_same_times(lavfi: Any, tmp_path: Path) -> None:
    odd = "select='not(mod(n,3))+not(mod(n,7))'"
    source = lavfi("vfr.mkv", "testsrc2=s=64x48:r=25:d=2", "-vf", odd, "-fps_mode", "passthrough")
    with film(source) as reader:
        times, images = reader.timestamps, list(reader)
    bridge.mimwrite(tmp_path / "film.mp4", images, timestamps=times)
    with film(tmp_path / "film.mp4") as reader:
        assert reader.timestamps == pytest.approx(times, abs=1e-6)


def test_times_may_come_from_an_iterator(tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "film.mp4", frames(3), timestamps=(time for time in (0, 0.5, 0.6)))
    with film(tmp_path / "film.mp4") as reader:
        assert list(reader.timestamps) == pytest.approx([0, 0.5, 0.6])


@pytest.mark.parametrize("keywords", [{}, {"crash_safe": True}, {"pad": 16}], ids=["plain", "crash_safe", "pad"])
@pytest.mark.parametrize("extension", ["mp4", "mkv"])
def test_times_go_with_other_keywords(extension: str, keywords: dict[str, Any], tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    given = [0, 0.1, 0.15, 0.4, 0.9]
    bridge.mimwrite(target, frames(5, 50, 70), timestamps=given, **keywords)
    with film(target) as reader:
        assert list(reader.timestamps) == pytest.approx(given, abs=1e-6)
        assert len(list(reader)) == 5


WRONG: dict[str, list[Any]] = {
    "too few": [0, 0.1, 0.2],
    "too many": [0, 0.1, 0.2, 0.3, 0.4],
    "falling": [0, 0.2, 0.1, 0.3],
    "equal": [0, 0.1, 0.1, 0.2],
    "negative": [-0.1, 0, 0.1, 0.2],
    "none": [],
    "too close": [0, 1e-9, 2e-9, 3e-9],
    "no numbers": [0, "soon", 0.2, 0.3],
    "not a number": [0, float("nan"), 0.2, 0.3],
    "endless": [0, 0.1, 0.2, float("inf")],
}


@pytest.mark.parametrize("existing", [False, True])
@pytest.mark.parametrize("extension", ["mp4", "mkv", "gif"])
@pytest.mark.parametrize("case", WRONG)
def test_wrong_times_are_refused_and_leave_no_trace(case: str, extension: str, existing: bool, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    if existing:
        target.write_bytes(b"what was there before")
    with pytest.raises(ValueError, match="timestamp"):
        write(target, frames(4), timestamps=WRONG[case])
    assert [path.name for path in tmp_path.iterdir()] == ([target.name] if existing else [])
    assert not existing or target.read_bytes() == b"what was there before"


# Rates


@pytest.mark.parametrize("extension", ["mp4", "mov", "ts", "avi", "mkv", "ogv"])
@pytest.mark.parametrize(
    ("fps", "exact"),
    [
        (23.976, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (25, Fraction(25)),
        (Fraction(24000, 1001), Fraction(24000, 1001)),
    ],
)
def test_a_rate_is_written_exactly(fps: float, exact: Fraction, extension: str, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    bridge.mimwrite(target, frames(24, 96, 128), fps=fps)
    video = bridge.probe(target).video
    assert video is not None
    assert video.fps == exact
    if extension in ("mp4", "mov", "avi"):  # the others' clocks are coarser
        with film(target) as reader:
            assert list(reader.timestamps) == pytest.approx([float(n / exact) for n in range(24)], abs=1e-9)


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm", "avi", "ts", "mpg", "flv", "wmv", "nut"])
def test_frames_that_are_all_alike_are_all_kept(extension: str, tmp_path: Path) -> None:
    target = tmp_path / f"still.{extension}"
    bridge.mimwrite(target, 30 * [np.full((96, 128, 3), 90, np.uint8)], fps=25)
    assert len(bridge.mimread(target)) == 30


# Sizes

LOSSLESS: dict[str, Any] = {"codec": "ffv1", "pixelformat": "gbrp"}


def noise(height: int, width: int) -> Image:
    return np.random.default_rng(height * width).integers(1, 256, (height, width, 3), np.uint8)


def fitted(folder: Path, image: Image, keyword: str, number: int, shape: tuple[int, int]) -> list[Any]:
    """Write it three times with pad= or crop=; give what is read back, of that shape, and told to be."""
    height, width = image.shape[:2]
    keywords: dict[str, Any] = {keyword: number, **LOSSLESS}
    with bridge.get_writer(folder / "film.mkv", **keywords) as writer:
        for _ in range(3):
            writer.append_data(image)
    sizes = (f"{width}x{height}", f"{shape[1]}x{shape[0]}", keyword)
    assert bool(writer.changes) is (shape != (height, width))
    assert all(size in change for change in writer.changes for size in sizes)
    frames = bridge.mimread(folder / "film.mkv")
    assert [frame.shape for frame in frames] == 3 * [(*shape, 3)]
    return frames


@pytest.mark.parametrize(
    ("pad", "shape"), [(True, (34, 48)), (2, (34, 48)), (16, (48, 48)), (1, (33, 47)), (0, (33, 47)), (5, (35, 50))]
)
def test_padding_adds_black_at_the_right_and_at_the_bottom(pad: int, shape: tuple[int, int], tmp_path: Path) -> None:
    image = noise(33, 47)
    for frame in fitted(tmp_path, image, "pad", pad, shape):
        assert np.array_equal(frame[:33, :47], image)
        assert not frame[33:].any()
        assert not frame[:, 47:].any()


@pytest.mark.parametrize(
    ("crop", "shape"), [(True, (32, 46)), (2, (32, 46)), (16, (32, 32)), (1, (33, 47)), (0, (33, 47)), (5, (30, 45))]
)
def test_cropping_cuts_at_the_right_and_at_the_bottom(crop: int, shape: tuple[int, int], tmp_path: Path) -> None:
    image = noise(33, 47)
    for frame in fitted(tmp_path, image, "crop", crop, shape):
        assert np.array_equal(frame, image[: shape[0], : shape[1]])


@pytest.mark.parametrize("keywords", [{"pad": True}, {"crop": True}], ids=["pad", "crop"])
@pytest.mark.parametrize("extension", ["mp4", "mkv", "webm", "ts"])
def test_odd_sizes_go_into_usual_films(extension: str, keywords: dict[str, Any], tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / f"film.{extension}", frames(5, 99, 131), **keywords)
    shape = (100, 132, 3) if "pad" in keywords else (98, 130, 3)
    back = bridge.mimread(tmp_path / f"film.{extension}")
    assert [frame.shape for frame in back] == 5 * [shape]
    assert abs(float(back[3][:90, :120].mean()) - float(frames(4, 99, 131)[3][:90, :120].mean())) < 8


@pytest.mark.parametrize("keywords", [{"pad": True}, {"crop": True}, {"pad": 16}], ids=str)
def test_even_sizes_stay_as_they_are(keywords: dict[str, Any], tmp_path: Path) -> None:
    with bridge.get_writer(tmp_path / "film.mp4", **keywords) as writer:
        writer.append_data(frames(1)[0])
    assert writer.changes == []
    assert bridge.mimread(tmp_path / "film.mp4")[0].shape == (48, 64, 3)


def test_the_refusal_of_an_odd_size_offers_both(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedPixels) as caught:
        bridge.mimwrite(tmp_path / "film.mp4", frames(5, 47, 63))
    for words in ("63x47", "pad=True", "crop=True", str(tmp_path / "film.mp4")):
        assert words in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "keywords",
    [{"pad": True, "crop": True}, {"pad": 16, "crop": 2}, {"pad": True, "macro_block_size": 16}],
    ids=str,
)
def test_two_ways_to_fit_exclude_each_other(keywords: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="exclude"):
        bridge.get_writer(tmp_path / "film.mp4", **keywords)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("keyword", ["pad", "crop"])
def test_a_negative_multiple_is_refused(keyword: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="pad"):
        bridge.get_writer(tmp_path / "film.mp4", **{keyword: -2})  # type: ignore[arg-type] # any keyword
    assert not list(tmp_path.iterdir())


def test_cropping_away_everything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BridgeError):
        bridge.mimwrite(tmp_path / "film.mkv", frames(2, 8, 8), crop=16, **LOSSLESS)
    assert not list(tmp_path.iterdir())
