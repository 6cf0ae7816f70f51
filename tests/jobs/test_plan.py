"""Where films are cut: every frame in one chunk, in order, by integer times."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from bridge.jobs.plan import make_plan, unsuited
from bridge.media.index import FrameIndex, Packet


def _index(steps: list[int], every: int, *, start: int = 0, base: Fraction = Fraction(1, 1000)) -> FrameIndex:
    times = [start]
    for step in steps:
        times.append(times[-1] + step)
    packets = [Packet(t, t, 1, 100 * n, n % every == 0, end=None) for n, t in enumerate(times)]
    index = FrameIndex.from_packets(packets, base)
    assert index is not None
    return index


@given(
    steps=st.lists(st.integers(1, 400), min_size=1, max_size=300),
    every=st.integers(1, 80),
    start=st.integers(-5000, 10**9),
    workers=st.integers(1, 8),
    least=st.floats(0.05, 5),
    overlap=st.tuples(st.integers(0, 3), st.integers(0, 3)),
)
def test_every_frame_is_in_one_chunk(
    *, steps: list[int], every: int, start: int, workers: int, least: float, overlap: tuple[int, int]
) -> None:
    index = _index(steps, every, start=start)
    plan = make_plan(index, workers, least=least, overlap=overlap)
    chunks, pts = plan.chunks, index.pts.tolist()
    assert [chunk.number for chunk in chunks] == list(range(len(chunks)))
    assert sum(chunk.frames for chunk in chunks) == len(pts)
    assert chunks[0].begin == pts[0]
    assert all(a.end == b.begin for a, b in pairwise(chunks))
    for chunk in chunks:
        inside = [time for time in pts if chunk.begin <= time < chunk.end]
        assert len(inside) == chunk.frames
        if chunk.wide:
            wide = [time for time in pts if chunk.wide[0] <= time < chunk.wide[1]]
            first, last = pts.index(inside[0]), pts.index(inside[-1])
            assert wide == pts[max(0, first - overlap[0]) : last + 1 + overlap[1]]
        assert chunk.seek.time is None or chunk.seek.time <= chunk.begin * index.time_base


@given(steps=st.lists(st.integers(1, 400), min_size=30, max_size=300), every=st.integers(2, 20))
def test_a_chunk_is_decoded_from_a_key_frame_before_the_one_it_begins_with(steps: list[int], every: int) -> None:
    index = _index(steps, every)
    keys = [entry.pts for entry in index.entries]
    for chunk in make_plan(index, 2, least=0.5, most=1.0).chunks:
        if chunk.seek.time is not None:
            before = [key for key in keys if key <= chunk.begin]
            assert chunk.seek.time == before[-2] * index.time_base


def test_lengths_do_not_add_up_rounding_errors() -> None:
    index = _index([1001] * 3000, 30, base=Fraction(1, 30_000))
    plan = make_plan(index, 2, least=1, most=1)
    for start, chunk in zip(plan.starts(), plan.chunks, strict=False):
        assert abs(Fraction(start, 1_000_000) - chunk.begin * index.time_base) <= Fraction(1, 2_000_000)


def test_no_worker_has_more_to_do_than_the_others() -> None:
    for seconds, workers, chunks in ((16, 2, 2), (24, 2, 4), (40, 2, 6), (12, 4, 2), (600, 2, 20), (33, 3, 6)):
        plan = make_plan(_index([40] * (25 * seconds - 1), 25), workers)
        assert len(plan.chunks) == chunks
        sizes = [chunk.frames for chunk in plan.chunks]
        assert max(sizes) - min(sizes) <= 50


def test_few_key_frames_do_not_make_one_chunk() -> None:
    index = _index([40] * 500, 10_000)
    plan = make_plan(index, 2, least=1, most=2)
    assert len(plan.chunks) > 5
    assert max(chunk.frames for chunk in plan.chunks) <= 80


def test_a_short_film_is_one_chunk() -> None:
    assert len(make_plan(_index([40] * 100, 25), 4).chunks) == 1


def test_what_cannot_be_cut_exactly_is_told() -> None:
    assert unsuited(_index([40] * 10, 5)) == ""
    ordinal = FrameIndex.from_frames([Packet(None), Packet(None)], Fraction(1, 25))
    assert "no times" in unsuited(ordinal)
    assert "finer" in unsuited(_index([40] * 10, 5, base=Fraction(1, 10_000_000)))
    assert "no frames" in unsuited(_index([], 1))
