"""Samples keep their rate and place; a WAV file holds them as they are."""

from __future__ import annotations

import copy
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bridge.core.samples import Samples
from bridge.errors import UnsupportedPixels
from bridge.media import sound
from bridge.media.sound import wav

if TYPE_CHECKING:
    from collections.abc import Callable

shapes = st.tuples(st.integers(1, 40), st.integers(1, 8))
rates = st.integers(1, 768_000)


def chunks(data: bytes) -> dict[bytes, bytes]:
    """A RIFF file's chunks by their names."""
    assert (data[:4], data[8:12]) == (b"RIFF", b"WAVE")
    assert struct.unpack("<I", data[4:8]) == (len(data) - 8,)
    found, at = {}, 12
    while at < len(data):
        name, size = struct.unpack("<4sI", data[at : at + 8])
        found[name] = data[at + 8 : at + 8 + size]
        assert len(found[name]) == size
        at += 8 + size + size % 2
    return found


def read(data: bytes) -> tuple[np.ndarray[Any, Any], int]:
    """A WAV file's samples and rate."""
    found = chunks(data)
    form, channels, rate, speed, block, bits, extension = struct.unpack("<HHIIHHH", found[b"fmt "])
    assert (form, bits, extension) == (3, 32, 0)
    assert (block, speed) == (4 * channels, 4 * channels * rate)
    samples = np.frombuffer(found[b"data"], "<f4").reshape(-1, channels)
    assert struct.unpack("<I", found[b"fact"]) == (len(samples),)
    return samples, rate


@given(arrays.arrays(st.sampled_from(["<f4", ">f4"]), shapes), rates)
def test_floats_come_back_as_they_are(samples: np.ndarray[Any, Any], rate: int) -> None:
    again, of = read(wav(samples, rate))
    assert of == rate
    np.testing.assert_array_equal(again, samples)


@given(arrays.arrays(st.sampled_from([np.float16, np.float64]), shapes, elements={"min_value": -1, "max_value": 1}))
def test_other_floats_are_rounded(samples: np.ndarray[Any, Any]) -> None:
    np.testing.assert_array_equal(read(wav(samples, 8000))[0], samples.astype(np.float32))


@given(arrays.arrays(arrays.integer_dtypes() | arrays.unsigned_integer_dtypes(), shapes))
def test_integers_are_brought_to_one(samples: np.ndarray[Any, Any]) -> None:
    info = np.iinfo(samples.dtype)
    middle, half = (int(info.min) + int(info.max) + 1) // 2, 1 << info.bits - 1
    wanted = [[(value - middle) / half for value in row] for row in samples.tolist()]
    again = read(wav(samples, 44100))[0]
    np.testing.assert_allclose(again, wanted, rtol=1e-6, atol=1e-6)
    assert np.all(abs(again) <= 1)


@pytest.mark.parametrize(
    ("dtype", "values", "floats"),
    [
        (np.uint8, [0, 128, 192, 255], [-1, 0, 0.5, 127 / 128]),
        (np.int8, [-128, 0, 64, 127], [-1, 0, 0.5, 127 / 128]),
        (np.int16, [-(1 << 15), 0, 1 << 14], [-1, 0, 0.5]),
        (np.uint16, [0, 1 << 15, 3 << 14], [-1, 0, 0.5]),
        (np.int32, [-(1 << 31), 0, 1 << 30], [-1, 0, 0.5]),
        (np.int64, [-(1 << 63), 0, 1 << 62], [-1, 0, 0.5]),
        (np.uint64, [0, 1 << 63, 3 << 62], [-1, 0, 0.5]),
    ],
)
def test_the_scale_of_integers(dtype: type[np.integer[Any]], values: list[int], floats: list[float]) -> None:
    assert read(wav(np.array(values, dtype), 8000))[0][:, 0].tolist() == floats


def test_one_axis_is_one_channel() -> None:
    samples = np.linspace(-1, 1, 7, dtype=np.float32)
    assert wav(samples, 8000) == wav(samples[:, None], 8000)


def test_any_strides_will_do() -> None:
    samples = np.arange(24, dtype=np.float32).reshape(2, 12).T[::-2] / 24
    np.testing.assert_array_equal(read(wav(samples, 8000))[0], samples)


def test_samples_are_an_array_like_any_other() -> None:
    samples = Samples(np.ones((3, 2), np.float32), {"rate": 8000})
    assert wav(samples, samples.rate) == wav(np.ones((3, 2), np.float32), 8000)


@pytest.mark.parametrize(
    "samples",
    [
        pytest.param(np.zeros((0, 2), np.float32), id="no samples"),
        pytest.param(np.zeros((4, 0), np.float32), id="no channels"),
        pytest.param(np.float32(1), id="a number"),
        pytest.param(np.zeros((2, 3, 4)), id="three axes"),
        pytest.param(np.zeros((2, 65)), id="too many channels"),
        pytest.param(np.zeros(4, np.bool_), id="truths"),
        pytest.param(np.zeros(4, np.complex64), id="complex"),
        pytest.param(np.array(["a", "b"]), id="text"),
        pytest.param(np.array([None, 1]), id="objects"),
    ],
)
def test_what_is_no_sound_is_refused(samples: Any) -> None:
    with pytest.raises(UnsupportedPixels, match=r"sound is an array \(n, channels\)"):
        wav(samples, 8000)


@pytest.mark.parametrize("rate", [0, -1, 0.5, 44100.5, 768_001, float("nan"), "8000"])
def test_what_is_no_rate_is_refused(rate: Any) -> None:
    with pytest.raises(ValueError, match=r"rate|NaN"):
        wav(np.zeros(4), rate)


@pytest.mark.parametrize("rate", [1, 44100.0, np.int64(48000), 768_000])
def test_any_whole_number_is_a_rate(rate: Any) -> None:
    assert read(wav(np.zeros(4), rate))[1] == rate


def test_too_much_for_one_file_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sound, "_MOST", 4 * 100)
    wav(np.zeros((50, 2)), 8000)
    with pytest.raises(UnsupportedPixels, match="408 bytes of sound are too many"):
        wav(np.zeros((51, 2)), 8000)


# Samples

_META = {"rate": 48000, "start": -0.02}


def _made() -> dict[str, Callable[[Samples], Any]]:
    return {
        "slice": lambda s: s[2:],
        "channel": lambda s: s[:, 0],
        "arithmetic": lambda s: s * 2,
        "copy": lambda s: s.copy(),
        "copy.deepcopy": copy.deepcopy,
        "astype": lambda s: s.astype(np.float64),
        "one axis": lambda s: s.mean(axis=1),
    }


@pytest.mark.parametrize("make", _made().values(), ids=_made())
def test_rate_and_start_go_along(make: Callable[[Samples], Any]) -> None:
    samples = Samples(np.zeros((6, 2), np.float32), _META)
    made = make(samples)
    assert isinstance(made, Samples)
    assert (made.rate, made.start, made.meta) == (48000, -0.02, _META)
    assert made.meta is not samples.meta


def test_no_sample_is_copied_and_the_caller_keeps_his_dict() -> None:
    mine, pcm = dict(_META), np.zeros((6, 2), np.float32)
    samples = Samples(pcm, mine)
    samples.meta["rate"] = 1
    assert mine == _META
    assert np.shares_memory(samples, pcm)
    assert Samples(pcm, {"rate": 8000.0}).start == 0.0
