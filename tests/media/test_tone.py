"""Tone mapping: known lights, gray stays gray, nothing is turned round; places as ISO 6709 writes them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.hdr import HLG, PQ, HighDynamicRange
from bridge.media.location import read_location
from bridge.media.tone import WHITE, ToneMap, hlg_scene, peak_of, pq_light, pq_signal

MAPS = [(PQ, 203.0), (PQ, 400.0), (PQ, 1000.0), (PQ, 4000.0), (PQ, 10_000.0), (HLG, 400.0), (HLG, 1000.0)]


def mapped(tone: ToneMap, *pixels: tuple[int, int, int]) -> list[list[int]]:
    found: list[list[int]] = tone(np.array([pixels], np.uint16))[0].tolist()
    return found


def ramp() -> np.ndarray[Any, Any]:
    return np.repeat(np.arange(1 << 16, dtype=np.uint16).reshape(64, 1024, 1), 3, axis=2)


@pytest.mark.parametrize(
    ("signal", "light"),
    [(0.0, 0.0), (0.5080784, 100.0), (520 / 1023, 100.2), (0.58068888, 203.0), (0.7518271, 1000.0), (1.0, 10_000.0)],
)
def test_pq_is_that_of_the_standard(signal: float, light: float) -> None:
    assert float(pq_light(signal)) == pytest.approx(light, rel=2e-3, abs=1e-6)
    assert float(pq_signal(light)) == pytest.approx(signal, abs=1e-3)


@pytest.mark.parametrize(("signal", "scene"), [(0.0, 0.0), (0.25, 1 / 48), (0.5, 1 / 12), (0.75, 0.26496), (1.0, 1.0)])
def test_hlg_is_that_of_the_standard(signal: float, scene: float) -> None:
    assert float(hlg_scene(signal)) == pytest.approx(scene, abs=1e-4)


@pytest.mark.parametrize(("transfer", "peak"), MAPS)
def test_gray_stays_gray_and_rises_from_black_to_white(transfer: str, peak: float) -> None:
    found = ToneMap(transfer, peak)(ramp()).reshape(-1, 3).astype(int)
    assert found.shape == (1 << 16, 3)
    assert (found == found[:, :1]).all()
    assert (np.diff(found[:, 0]) >= 0).all()
    assert (found[0, 0], found[-1, 0]) == (0, 255)


@pytest.mark.parametrize(("transfer", "peak"), [row for row in MAPS if row[1] > WHITE])
def test_diffuse_white_is_bright_and_what_is_below_the_knee_is_left_alone(transfer: str, peak: float) -> None:
    tone = ToneMap(transfer, peak)
    white = 0.75 if transfer == HLG else float(pq_signal(WHITE))
    assert 0.75 * 255 <= mapped(tone, 3 * (round(white * 65535),))[0][0] <= 0.96 * 255
    if transfer == PQ:
        for light in (0.1, 1, 5):  # cd/m2
            code = round(float(pq_signal(light)) * 65535)
            assert mapped(tone, (code, code, code))[0][0] == pytest.approx(255 * (light / WHITE) ** (1 / 2.4), abs=0.6)


def test_hlg_has_the_gamma_of_its_display() -> None:
    scene = float(hlg_scene(0.4))
    code = round(0.4 * 65535)
    expected = 255 * (1000 * scene**1.2 / WHITE) ** (1 / 2.4)  # below the knee
    assert mapped(ToneMap(HLG, 1000.0), (code, code, code))[0][0] == pytest.approx(expected, abs=0.6)


@pytest.mark.parametrize("transfer", [PQ, HLG])
def test_colours_that_the_display_cannot_show_are_its_purest(transfer: str) -> None:
    found = mapped(ToneMap(transfer, 1000.0), (65535, 0, 0), (0, 65535, 0), (0, 0, 65535))
    for channel, pixel in enumerate(found):
        assert pixel[channel] > 150
        assert [value for at, value in enumerate(pixel) if at != channel] == [0, 0]


def test_bt709_within_bt2020_comes_back() -> None:
    """A red of BT.709 put into BT.2020, by the matrix of ITU-R BT.2087, is that red again, and P3's is another."""
    light = 50 * np.array([0.6274, 0.0691, 0.0164])
    red = tuple(int(code) for code in np.rint(pq_signal(light) * 65535))
    pixel = mapped(ToneMap(PQ, 203.0), (red[0], red[1], red[2]))[0]
    assert pixel[0] == pytest.approx(255 * (50 / WHITE) ** (1 / 2.4), abs=1)
    assert max(pixel[1:]) <= 3
    assert mapped(ToneMap(PQ, 203.0, "smpte432"), (red[0], red[1], red[2]))[0] != pixel
    plain = mapped(ToneMap(PQ, 203.0, "bt709"), (30_000, 20_000, 10_000))[0]
    assert plain == np.rint(255 * (pq_light(np.array([30, 20, 10]) / 65.535) / WHITE) ** (1 / 2.4)).tolist()


def test_transparency_is_kept() -> None:
    frame = np.zeros((2, 3, 4), np.uint16)
    frame[..., 3] = [0, 32_896, 65_535]
    assert ToneMap(PQ, 1000.0)(frame)[0, :, 3].tolist() == [0, 128, 255]


@given(pixel=st.tuples(*3 * [st.integers(0, 65535)]), factor=st.sampled_from([PQ, HLG]))
def test_every_pixel_of_every_shape_has_its_place(pixel: tuple[int, int, int], factor: str) -> None:
    tone = _MAPPED[factor]
    frame = np.zeros((3, 40_000, 3), np.uint16)
    frame[2, 39_999] = pixel
    found = tone(frame[1:, ::-1])
    assert found.shape == (2, 40_000, 3)
    assert found[1, 0].tolist() == mapped(tone, pixel)[0]
    assert not found[0].any()


_MAPPED = {transfer: ToneMap(transfer, 1000.0) for transfer in (PQ, HLG)}


@pytest.mark.parametrize(
    ("transfer", "known", "peak"),
    [
        (PQ, None, 1000),
        (PQ, HighDynamicRange(), 1000),
        (PQ, HighDynamicRange(max_luminance=4000.0), 4000),
        (PQ, HighDynamicRange(max_luminance=4000.0, max_content=1600), 1600),
        (PQ, HighDynamicRange(max_content=100), 203),
        (PQ, HighDynamicRange(max_content=65535), 10_000),
        (HLG, HighDynamicRange(max_luminance=4000.0), 1000),
    ],
)
def test_the_peak_is_the_best_that_is_known(transfer: str, known: HighDynamicRange | None, peak: float) -> None:
    assert peak_of(transfer, known) == peak


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("+48.8577+002.2950+035.0/", (48.8577, 2.295, 35.0)),
        ("-33.8568+151.2153/", (-33.8568, 151.2153, None)),
        ("+27.5916+086.5640+8850CRSWGS_84/", (27.5916, 86.564, 8850.0)),
        ("+4012.22-07500.25/", (40 + 12.22 / 60, -75 - 0.25 / 60, None)),
        ("+401213.1-0750015.1+2.79/", (40 + 12 / 60 + 13.1 / 3600, -75 - 15.1 / 3600, 2.79)),
        ("+00-000", (0, 0, None)),
    ],
)
def test_places_are_read(text: str, place: tuple[float | None, ...]) -> None:
    found = read_location(text)
    assert found is not None
    assert list(found) == ["latitude", "longitude", "altitude"]
    for value, expected in zip(found.values(), place, strict=True):
        assert value == (expected if expected is None else pytest.approx(expected))


@pytest.mark.parametrize("text", ["", "Paris", "+91+000/", "+10+181/", "48.8+2.3", "+1+2", "+48.8577", "+48.8+002.2x"])
def test_what_is_no_place_is_none(text: str) -> None:
    assert read_location(text) is None
