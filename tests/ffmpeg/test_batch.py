"""Batches: how the frames that are wanted are divided among decoders."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bridge.ffmpeg.batch import pieces, stretches
from bridge.media.index import Entry, FrameIndex, Packet

HD = 1920 * 1080


def film(frames: int, keys: list[int], pixels: int = HD) -> FrameIndex:
    """Make the index of a film of which the keys are entries."""
    entries = tuple(Entry(key, None, None) for key in keys)
    rows = [Packet(at, key=at in keys) for at in range(frames)]
    return replace(FrameIndex.from_frames(rows, Fraction(1, 25), entries), pixels=pixels)


def decoded(index: FrameIndex, group: list[int]) -> range:
    return range(index.start(group[0]), group[-1] + 1)


@st.composite
def wishes(draw: st.DrawFn) -> tuple[FrameIndex, list[int]]:
    frames = draw(st.integers(1, 400))
    keys = sorted({0, *draw(st.lists(st.integers(0, frames - 1), max_size=12))})
    wanted = draw(st.sets(st.integers(0, frames - 1), min_size=1, max_size=60))
    return film(frames, keys, draw(st.sampled_from([0, 300, HD, 4 * HD]))), sorted(wanted)


@given(wishes(), st.integers(1, 8))
def test_each_frame_is_in_one_piece_and_none_is_decoded_twice(wish: tuple[FrameIndex, list[int]], workers: int) -> None:
    index, wanted = wish
    found = pieces(index, wanted, workers)
    assert sorted(position for piece in found for position in piece) == wanted
    assert all(piece == sorted(piece) for piece in found)
    inside = [n for piece in found for n in decoded(index, piece)]
    assert len(inside) == len(set(inside))
    lengths = [len(decoded(index, piece)) for piece in found]
    assert lengths == sorted(lengths, reverse=True)
    assert len(found) >= len(stretches(index, wanted))


def test_a_long_stretch_is_divided_at_its_key_frames() -> None:
    index = film(1800, list(range(0, 1800, 250)))
    found = pieces(index, list(range(5, 1800, 18)), 2)
    assert len(found) == 8
    assert {index.start(piece[0]) % 250 for piece in found} == {0}


def test_a_film_with_one_key_frame_is_not_divided() -> None:
    assert len(pieces(film(1800, [0]), list(range(0, 1800, 18)), 2)) == 1


def test_far_frames_of_large_pictures_are_decoded_apart_and_of_small_ones_together() -> None:
    keys, wanted = list(range(0, 1000, 50)), [10, 110, 510]
    assert stretches(film(1000, keys), wanted) == [[10], [110], [510]]
    assert stretches(film(1000, keys, 64 * 48), wanted) == [wanted]
