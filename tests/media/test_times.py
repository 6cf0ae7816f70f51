"""Times: what a user means by a list of seconds, as ticks of one clock."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.times import Times

rising = st.lists(st.integers(0, 10**6), min_size=1, max_size=30, unique=True).map(sorted)


def of(times: Times) -> list[Fraction]:
    return [times.tick(n) * times.time_base for n in range(len(times))]


@pytest.mark.parametrize("clock", [Fraction(1, 25), Fraction(1001, 30000), Fraction(1, 90000), Fraction(1, 1000)])
@given(ticks=rising)
def test_rounded_seconds_are_the_ticks_that_are_meant(clock: Fraction, ticks: list[int]) -> None:
    exact = [tick * clock for tick in ticks]
    assert of(Times([float(time) for time in exact])) == exact
    assert of(Times(exact)) == exact


@given(st.lists(st.fractions(0, 10**6, max_denominator=10**6), min_size=1, max_size=20, unique=True).map(sorted))
def test_no_time_is_off_by_more_than_half_a_tick(exact: list[Fraction]) -> None:
    try:
        times = Times(exact)
    except ValueError:
        assert min(later - time for time, later in itertools.pairwise(exact)) < Fraction(1, 10**6)
        return
    assert all(abs(got - time) <= times.time_base / 2 for got, time in zip(of(times), exact, strict=True))
    assert times.time_base >= Fraction(1, 10**6)
    common = math.lcm(*(time.denominator for time in exact))
    assert times.time_base == Fraction(1, min(common, 10**6))


@given(rising)
def test_the_last_frame_is_shown_as_long_as_the_one_before(ticks: list[int]) -> None:
    times = Times([Fraction(tick, 1000) for tick in ticks])
    shown = ticks[-1] - ticks[-2] if len(ticks) > 1 else 0
    assert times.last * times.time_base == Fraction(shown, 1000)
    assert times.seconds == Fraction(ticks[-1] + shown, 1000)


def test_each_time_has_its_frame() -> None:
    times = Times([0, 0.5, 2])
    assert (len(times), times.time_base, times.seconds) == (3, Fraction(1, 2), Fraction(7, 2))
    assert [times.tick(n) for n in range(3)] == [0, 1, 4]
    times.end(3)
    with pytest.raises(ValueError, match="timestamps for 3 frames, and more"):
        times.tick(3)
    with pytest.raises(ValueError, match="timestamps for 3 frames, and only 2 frames"):
        times.end(2)


def test_an_iterator_will_do() -> None:
    assert of(Times(Fraction(n, 3) for n in range(3))) == [0, Fraction(1, 3), Fraction(2, 3)]


@pytest.mark.parametrize(
    "seconds",
    [
        pytest.param([], id="none"),
        pytest.param([-1], id="negative"),
        pytest.param([-0.04, 0], id="negative first"),
        pytest.param([0, 0], id="equal"),
        pytest.param([0, 2, 1], id="falling"),
        pytest.param([Fraction(0), Fraction(1, 10**7)], id="too close"),
        pytest.param([0, math.nan], id="no number"),
        pytest.param([0, math.inf], id="endless"),
        pytest.param([0, None], id="nothing"),
        pytest.param([0, "soon"], id="words"),
        pytest.param([0, 10**400], id="too large for a float"),
    ],
)
def test_what_is_no_list_of_times_is_refused(seconds: list[Any]) -> None:
    with pytest.raises(ValueError, match="timestamp"):
        Times(seconds)
