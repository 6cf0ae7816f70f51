"""Contact sheets: where each frame stands, and that what is made smaller is the mean of what it was."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from bridge.errors import UnsupportedPixels
from bridge.views import contact_sheet, shrink

sides = st.integers(1, 40)
shapes = st.one_of(st.tuples(sides, sides), st.tuples(sides, sides, st.sampled_from([3, 4])))
frames = shapes.flatmap(lambda shape: arrays.arrays(np.uint8, shape))
colours = st.tuples(*[st.integers(0, 255)] * 3)
Picture = np.ndarray[Any, Any]


@st.composite
def shrunk(draw: st.DrawFn) -> tuple[Picture, tuple[int, int]]:
    """A frame, and a size that it can be shrunk to."""
    frame = draw(frames)
    return frame, (draw(st.integers(1, len(frame))), draw(st.integers(1, frame.shape[1])))


@given(shrunk())
def test_shrinking_keeps_the_mean_and_the_bounds(drawn: tuple[Picture, tuple[int, int]]) -> None:
    frame, size = drawn
    small = shrink(frame, size)
    assert small.dtype == np.uint8
    assert small.shape == (*size, *frame.shape[2:])
    assert frame.min() <= small.min() <= small.max() <= frame.max()
    np.testing.assert_allclose(small.mean((0, 1)), frame.mean((0, 1)), atol=0.51)


@given(frames, st.integers(1, 5), st.integers(1, 5))
def test_a_whole_factor_is_the_mean_of_blocks(frame: Picture, down: int, right: int) -> None:
    height, width = len(frame) // down, frame.shape[1] // right
    assume(height and width)
    frame = frame[: height * down, : width * right]
    exact = frame.reshape(height, down, width, right, *frame.shape[2:]).mean((1, 3))
    np.testing.assert_allclose(shrink(frame, (height, width)), exact, atol=0.501)


@given(shrunk())
def test_shrinking_is_what_pillow_calls_box(drawn: tuple[Picture, tuple[int, int]]) -> None:
    frame, size = drawn
    assume(frame.ndim == 2 or frame.shape[2] == 3)  # Pillow weighs colours by their alpha
    theirs = np.asarray(Image.fromarray(frame).resize(size[::-1], Image.Resampling.BOX, reducing_gap=None))
    ours = shrink(frame, size)
    if all(old % new == 0 for old, new in zip(frame.shape, size, strict=False)):  # else it counts whole pixels only
        np.testing.assert_allclose(ours.astype(int), theirs.astype(int), atol=1)
    assert ours.shape == theirs.shape


@given(frames)
def test_the_same_size_is_a_copy(frame: Picture) -> None:
    same = shrink(frame, (len(frame), frame.shape[1]))
    np.testing.assert_array_equal(same, frame)
    assert not np.shares_memory(same, frame)


def test_a_large_frame_keeps_its_values() -> None:
    assert (shrink(np.full((2160, 3840, 3), 201, np.uint8), (135, 239)) == 201).all()


@pytest.mark.parametrize(
    ("frame", "size"),
    [
        (np.zeros((4, 4), np.uint16), (2, 2)),
        (np.zeros((4,), np.uint8), (2, 2)),
        (np.zeros((0, 4), np.uint8), (1, 1)),
        (np.zeros((4, 4), np.uint8), (5, 4)),
        (np.zeros((4, 4), np.uint8), (0, 4)),
    ],
)
def test_what_cannot_be_shrunk_is_said(frame: Picture, size: tuple[int, int]) -> None:
    with pytest.raises(UnsupportedPixels):
        shrink(frame, size)


@given(
    st.lists(frames, min_size=1, max_size=7),
    st.one_of(st.none(), st.integers(1, 9)),
    st.integers(1, 50),
    st.integers(0, 5),
    colours,
)
def test_every_frame_stands_in_its_cell(
    shown: list[Picture], columns: int | None, width: int, gap: int, background: tuple[int, int, int]
) -> None:
    sheet = contact_sheet(iter(shown), columns=columns, width=width, gap=gap, background=background)
    across, down = sheet.meta["columns"], sheet.meta["rows"]
    assert across == (columns or math.ceil(math.sqrt(len(shown))))
    assert (down - 1) * across < len(shown) <= down * across
    cell = (len(sheet) - gap) // down - gap
    assert sheet.shape == (down * (cell + gap) + gap, across * (width + gap) + gap, 3)
    assert sheet.dtype == np.uint8
    for number in range(across * down):
        row, column = divmod(number, across)
        inside = sheet[gap + row * (cell + gap) :][:cell, gap + column * (width + gap) :][:, :width]
        if number >= len(shown):
            assert (inside == background).all()
        elif shown[number].ndim == 2 and shown[number].shape[1] <= width:
            frame = shown[number]
            top, left = (cell - len(frame)) // 2, (width - frame.shape[1]) // 2
            for channel in range(3):
                np.testing.assert_array_equal(inside[top:, left:, channel][: len(frame), : frame.shape[1]], frame)


@given(frames, colours)
def test_what_is_transparent_shows_the_background(frame: Picture, background: tuple[int, int, int]) -> None:
    assume(frame.ndim == 3)
    alpha = frame[..., 3:] if frame.shape[2] == 4 else np.full((*frame.shape[:2], 1), 255)
    exact = (frame[..., :3] * (alpha / 255)) + np.array(background) * (1 - alpha / 255)
    sheet = contact_sheet([frame], width=frame.shape[1], gap=0, background=background)
    np.testing.assert_allclose(sheet, exact, atol=0.501)


def test_gaps_have_the_background() -> None:
    sheet = contact_sheet(np.zeros((4, 3, 5), np.uint8), width=5, gap=2, background=(1, 2, 3))
    assert (sheet[:2] == (1, 2, 3)).all()
    assert (sheet[:, 7:9] == (1, 2, 3)).all()
    assert (sheet[2:5, 2:7] == 0).all()


def test_a_tall_frame_keeps_at_least_a_row() -> None:
    assert contact_sheet([np.zeros((1, 400), np.uint8)], width=10, gap=0).shape == (1, 10, 3)


@pytest.mark.parametrize(
    "shown",
    [[], [np.zeros((4, 4, 2), np.uint8)], [np.zeros((4, 4), np.float32)], [np.zeros((2, 2, 2, 3), np.uint8)]],
)
def test_what_cannot_be_laid_out_is_said(shown: list[Picture]) -> None:
    with pytest.raises(UnsupportedPixels):
        contact_sheet(shown)


def test_the_frames_may_share_memory() -> None:
    """A reader may give the same array again with other pixels in it."""
    buffer = np.zeros((2, 2), np.uint8)

    def reused() -> Any:
        for value in (10, 20):
            buffer[:] = value
            yield buffer

    sheet = contact_sheet(reused(), columns=2, width=2, gap=0)
    assert (sheet[:, :2] == 10).all()
    assert (sheet[:, 2:] == 20).all()
