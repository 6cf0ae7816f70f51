"""Array: a picture that carries its metadata wherever it goes; and the guard of memory."""

from __future__ import annotations

import copy
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bridge.core.array import Array, MemoryGuard
from bridge.errors import LimitExceeded

if TYPE_CHECKING:
    from collections.abc import Callable

_META = {"index": 3, "time": 0.12}


@pytest.fixture
def picture() -> Array:
    return Array(np.arange(24, dtype=np.uint8).reshape(2, 4, 3), _META)


def _copies() -> dict[str, Callable[[Array], Any]]:
    return {
        "slice": lambda a: a[:1],
        "step": lambda a: a[::-1, ::2],
        "channel": lambda a: a[..., 0],
        "mask": lambda a: a[a > 3],
        "numbers": lambda a: a[[0, 1]],
        "view": lambda a: a.view(),
        "other dtype": lambda a: a.view(np.int8),
        "reshape": lambda a: a.reshape(-1),
        "transpose": lambda a: a.T,
        "copy": lambda a: a.copy(),
        "copy.copy": copy.copy,
        "copy.deepcopy": copy.deepcopy,
        "astype": lambda a: a.astype(float),
        "arithmetic": lambda a: a + 1,
        "both sides": lambda a: 255 - a,
        "pickle": lambda a: pickle.loads(pickle.dumps(a)),  # noqa: S301 - our own
        "old pickle": lambda a: pickle.loads(pickle.dumps(a, 2)),  # noqa: S301 - our own
        "buffers": lambda a: pickle.loads(pickle.dumps(a, 5)),  # noqa: S301 - our own
        "one axis": lambda a: a.mean(axis=0),
    }


@pytest.mark.parametrize("make", _copies().values(), ids=_copies())
def test_metadata_goes_along(picture: Array, make: Callable[[Array], Any]) -> None:
    made = make(picture)
    assert isinstance(made, Array)
    assert made.meta == _META
    assert made.meta is not picture.meta


@pytest.mark.parametrize("name", ["sum", "mean", "max", "min", "std", "any", "argmax", "prod"])
def test_a_reduction_is_a_plain_number(picture: Array, name: str) -> None:
    for reduced in (getattr(picture, name)(), getattr(np, name)(picture)):
        assert not isinstance(reduced, np.ndarray)
        assert reduced == getattr(np.asarray(picture), name)()


def test_an_element_is_a_plain_number(picture: Array) -> None:
    assert isinstance(picture[0, 0, 0], np.uint8)


def test_changing_one_does_not_change_another(picture: Array) -> None:
    part: Array = picture[:1]  # type: ignore[assignment] # numpy forgets the subclass
    part.meta["index"] = 9
    assert picture.meta["index"] == 3


def test_no_pixel_is_copied() -> None:
    pixels = np.zeros((2, 2))
    assert np.shares_memory(Array(pixels), pixels)
    assert Array(pixels).meta == {}


def test_it_is_still_the_array_that_it_was(picture: Array) -> None:
    assert type(np.asarray(picture)) is np.ndarray
    np.testing.assert_array_equal(picture, np.arange(24).reshape(2, 4, 3))
    out = np.empty_like(picture)
    np.add(picture, 1, out=out)
    assert int(out[0, 0, 0]) == 1


def test_the_caller_keeps_his_own_dict() -> None:
    mine = {"a": 1}
    Array(np.zeros(1), mine).meta["b"] = 2
    assert mine == {"a": 1}


@given(
    arrays.arrays(arrays.scalar_dtypes(), arrays.array_shapes(max_dims=4, max_side=4)),
    st.dictionaries(st.text(max_size=4), st.integers(), max_size=3),
)
def test_any_array_survives_a_pickle(pixels: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
    again = pickle.loads(pickle.dumps(Array(pixels, meta)))  # noqa: S301 - our own
    np.testing.assert_array_equal(again, pixels)
    plain = pickle.loads(pickle.dumps(pixels))  # noqa: S301 - numpy itself brings the bytes into native order
    assert (again.dtype, again.meta) == (plain.dtype, meta)


# MemoryGuard


@given(st.integers(0, 200), st.lists(st.integers(0, 60), max_size=8))
def test_the_guard_lets_through_what_fits_and_nothing_more(most: int, sizes: list[int]) -> None:
    guard, total = MemoryGuard(most, "mimread()"), 0
    for size in sizes:
        total += size
        if total > most:
            with pytest.raises(LimitExceeded, match=r"mimread\(\): .* has taken"):
                guard.add(np.zeros(size, np.uint8))
            return
        guard.add(np.zeros(size, np.uint8))


def test_no_limit_guards_nothing() -> None:
    guard = MemoryGuard(None, "mimread()")
    for _ in range(3):
        guard.add(np.lib.stride_tricks.as_strided(np.zeros(1), (1 << 40,), (0,)))
