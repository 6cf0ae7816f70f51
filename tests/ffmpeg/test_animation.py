"""Animations: how long each frame is shown, and how often all of them, out and in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

import bridge
from bridge.errors import NoSuchFrame, UnsupportedPixels
from bridge.media.times import Times

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

Image: TypeAlias = np.ndarray[Any, Any]


def frames(count: int) -> list[Image]:
    """Make frames of which no two are alike."""
    return [np.full((40, 60, 3), 17 * number % 250, np.uint8) for number in range(count)]


def shown(path: Path) -> list[float]:
    """Give each frame's time as Pillow reads it, in seconds."""
    with Pillow.open(path) as picture:
        found = []
        for number in range(picture.n_frames):  # type: ignore[attr-defined] # animations have it
            picture.seek(number)
            found.append(picture.info["duration"] / 1000)
        return found


@pytest.mark.parametrize("extension", ["gif", "apng"])
@pytest.mark.parametrize(
    ("keywords", "expected"),
    [
        ({}, [0.1] * 6),
        ({"fps": 20}, [0.05] * 6),
        ({"duration": 0.25}, [0.25] * 6),
        ({"duration": 1}, [1.0] * 6),
        ({"duration": [0.1, 0.2, 0.3, 0.1, 0.1, 0.5]}, [0.1, 0.2, 0.3, 0.1, 0.1, 0.5]),
        ({"duration": np.array([0.5, 0.02, 0.02, 0.02, 0.02, 2.0])}, [0.5, 0.02, 0.02, 0.02, 0.02, 2.0]),
        ({"timestamps": (0, 0.1, 0.2, 0.5, 0.9, 1.5)}, [0.1, 0.1, 0.3, 0.4, 0.6, 0.6]),
    ],
)
def test_frames_are_shown_for_as_long_as_was_said(
    keywords: dict[str, Any], expected: list[float], extension: str, tmp_path: Path
) -> None:
    target = tmp_path / f"film.{extension}"
    bridge.mimwrite(target, frames(6), **keywords)
    assert shown(target) == pytest.approx(expected, abs=1e-3)
    with bridge.get_reader(target) as reader:
        back = list(reader)
    assert [frame.meta["duration"] for frame in back] == pytest.approx(expected, abs=1e-3)
    assert [frame.meta["time"] for frame in back] == pytest.approx([0, *np.cumsum(expected)[:-1]], abs=1e-3)


@pytest.mark.parametrize("extension", ["gif", "apng", pytest.param("webp", marks=pytest.mark.needs("magick"))])
def test_an_animation_is_read_by_time(extension: str, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    first, *others = (Pillow.fromarray(frame) for frame in frames(5))
    delays = [100, 300, 50, 200, 150]
    form = "PNG" if extension == "apng" else None
    first.save(target, form, save_all=True, append_images=others, duration=delays, lossless=True)
    begins = [0, 0.1, 0.4, 0.45, 0.65]
    with bridge.get_reader(target) as reader:
        assert reader.timestamps == pytest.approx(begins, abs=1e-6)
        assert reader.durations == pytest.approx([delay / 1000 for delay in delays], abs=1e-3)
        assert reader.key_frames[0] == 0
        for time, index in ((0, 0), (0.39, 1), (0.4, 2), (0.79, 4)):
            frame = reader.at(time)
            assert frame.meta["index"] == index
            assert np.array_equal(frame[..., :3], frames(5)[index])
        assert [frame.meta["index"] for frame in reader.frames_between(0.1, 0.45)] == [1, 2]
        meta = reader[3].meta
        assert set(meta) >= {"index", "pts", "time", "duration", "key_frame"}
        with pytest.raises(NoSuchFrame):
            reader.at(5)


@pytest.mark.parametrize(("fps", "delays"), [(60, {0.01, 0.02}), (40, {0.02, 0.03}), (30, {0.03, 0.04}), (100, {0.01})])
def test_the_steps_of_gif_are_filled_with_carry(fps: int, delays: set[float], tmp_path: Path) -> None:
    target = tmp_path / "film.gif"
    with bridge.get_writer(target, fps=fps) as writer:
        for frame in frames(2 * fps):
            writer.append_data(frame)
    assert set(shown(target)) == delays
    assert sum(shown(target)) == pytest.approx(2, abs=0.0101)  # the last one has no successor
    assert bool(writer.changes) is (fps != 100)
    assert all("0.01 s" in change for change in writer.changes)


def test_a_list_that_gif_cannot_hold_keeps_its_total(tmp_path: Path) -> None:
    target = tmp_path / "film.gif"
    with bridge.get_writer(target, duration=[0.333] * 9) as writer:
        for frame in frames(9):
            writer.append_data(frame)
    assert sum(shown(target)) == pytest.approx(3.0, abs=1e-9)
    assert set(shown(target)) == {0.33, 0.34}
    assert len(writer.changes) == 1


def test_an_iterator_will_do(tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "film.gif", frames(3), timestamps=(n / 4 for n in range(3)))
    bridge.mimwrite(tmp_path / "other.gif", frames(3), duration=iter([0.25] * 3))
    assert shown(tmp_path / "film.gif") == shown(tmp_path / "other.gif") == [0.25] * 3


@pytest.mark.parametrize("extension", ["gif", "apng"])
@pytest.mark.parametrize("loop", [0, 1, 7])
def test_how_often_it_is_repeated(loop: int, extension: str, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    bridge.mimwrite(target, frames(3), loop=loop)
    with Pillow.open(target) as picture:
        assert picture.info["loop"] == loop


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"duration": 0}, "positive"),
        ({"duration": -1.0}, "positive"),
        ({"duration": [0.1, 0, 0.1]}, "positive"),
        ({"duration": []}, "positive"),
        ({"duration": "fast"}, "seconds"),
        ({"duration": [0.1] * 2}, "2 frames"),
        ({"duration": [0.1] * 4}, "4 frames"),
        ({"duration": 0.1, "fps": 10}, "give one"),
        ({"duration": [0.1] * 3, "timestamps": [0, 1, 2]}, "give one"),
        ({"duration": 0.001}, "100 frames per second"),
        ({"fps": 200}, "100 frames per second"),
        ({"duration": [0.002] * 3}, "0.01 s"),
        ({"loop": -1}, "loop"),
        ({"loop": 1.5}, "loop"),
        ({"loop": 70000}, "loop"),
    ],
)
def test_what_makes_no_sense_is_refused(keywords: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=words):
        bridge.mimwrite(tmp_path / "film.gif", frames(3), **keywords)
    assert list(tmp_path.iterdir()) == []


@given(st.lists(st.integers(10, 5000), min_size=1, max_size=60))
def test_rounding_never_adds_up(milliseconds: list[int]) -> None:
    times = Times.of_durations([ms / 1000 for ms in milliseconds], clock=Times([0, 0.01]).time_base)
    ticks = [*(times.tick(number) for number in range(len(times))), times.tick(len(times) - 1) + times.last]
    exact = np.cumsum([0, *milliseconds]) / 10
    assert np.abs(np.array(ticks) - exact).max() <= 0.5
    assert times.rounded is any(ms % 10 for ms in np.cumsum(milliseconds).tolist())


@pytest.mark.parametrize("keywords", [{"fps": 5}, {"duration": [0.1, 0.2, 0.3, 0.1]}, {"duration": 0.25, "loop": 3}])
def test_animated_avif_is_written_with_its_times(keywords: dict[str, Any], tmp_path: Path) -> None:
    frames = [np.full((48, 64, 3), (number * 50, 100, 200 - number * 40), np.uint8) for number in range(4)]
    target = tmp_path / "a.avif"
    with bridge.get_writer(target, mode="I", **keywords) as writer:
        for frame in frames:
            writer.append_data(frame)
    assert bool(writer.changes) == isinstance(keywords.get("duration"), list)
    wanted = keywords.get("duration", 0.2)
    wanted = wanted[:-1] if isinstance(wanted, list) else [wanted] * 4
    with bridge.get_reader(target) as reader:
        assert len(reader) == 4
        assert [round(float(shown), 3) for shown in reader.durations][: len(wanted)] == wanted
        for ours, frame in zip(reader, frames, strict=True):
            assert np.abs(ours.astype(int) - frame).max() <= 3
    with Pillow.open(target) as theirs:
        assert getattr(theirs, "n_frames", 1) == 4
    with pytest.raises(UnsupportedPixels, match="transparency"):
        bridge.mimwrite(target, [np.zeros((48, 64, 4), np.uint8)] * 2)
