"""Profiles that are made and recognised, against littlecms."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageCms

from bridge.media.icc import is_plain_gray, is_srgb, lab_to_srgb, matrix_profile, srgb_profile

if TYPE_CHECKING:
    from collections.abc import Callable

_ADOBE = ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
_P3 = ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
_PROPHOTO = ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001))


def gamma(power: float) -> Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]:
    return lambda values: values**power


def opened(profile: bytes) -> ImageCms.ImageCmsProfile:
    return ImageCms.ImageCmsProfile(io.BytesIO(profile))


def littlecms_srgb() -> bytes:
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def colours() -> np.ndarray[Any, Any]:
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    return np.stack(np.meshgrid(steps, steps, steps), axis=-1).reshape(27, 27, 3)


def test_the_profile_is_the_srgb_of_littlecms() -> None:
    profile = opened(srgb_profile())
    assert ImageCms.getProfileName(profile).strip() == "sRGB"
    assert profile.profile.is_matrix_shaper
    image = Pillow.fromarray(colours())
    for one, other in ((profile, opened(littlecms_srgb())), (opened(littlecms_srgb()), profile)):
        converted = np.asarray(ImageCms.profileToProfile(image, one, other))
        assert np.abs(converted.astype(int) - colours()).max() <= 1


def test_primaries_come_out_as_littlecms_reads_them() -> None:
    read: Any = opened(matrix_profile("wide", _ADOBE, curve=gamma(2.2))).profile
    found = {"red": read.red_colorant, "green": read.green_colorant, "blue": read.blue_colorant}
    published = {"red": (0.60974, 0.31111, 0.01947), "green": (0.20528, 0.62567, 0.06087),
                 "blue": (0.14919, 0.06322, 0.74457)}  # fmt: skip
    for name, xyz in published.items():  # Adobe RGB (1998), annex of its specification, adapted to D50
        assert np.allclose(found[name][0], xyz, atol=0.0005), name


def test_what_is_srgb_and_what_is_not() -> None:
    assert is_srgb(srgb_profile())
    assert is_srgb(littlecms_srgb())
    srgb = ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
    others = [
        matrix_profile("sRGB", _ADOBE),
        matrix_profile("sRGB", _P3),
        matrix_profile("sRGB", srgb, curve=gamma(1.8)),
        matrix_profile("sRGB", srgb, curve=gamma(2.2)),
        matrix_profile("sRGB", srgb, (0.3457, 0.3585)),
        b"",
        srgb_profile()[:200],
    ]
    assert not any(map(is_srgb, others))


def gray(curve: bytes) -> bytes:
    """Make a profile with one tag, the curve of gray."""
    return bytes(128) + struct.pack(">L4s2L", 1, b"kTRC", 144, len(curve)) + curve


def parametric(kind: int, *numbers: float) -> bytes:
    return struct.pack(f">4s4xHxx{len(numbers)}l", b"para", kind, *(round(65536 * number) for number in numbers))


@pytest.mark.parametrize(
    ("curve", "plain"),
    [
        (struct.pack(">4s4xLH", b"curv", 1, round(2.2 * 256)), True),
        (struct.pack(">4s4xLH", b"curv", 1, round(1.8 * 256)), False),
        (struct.pack(">4s4xL", b"curv", 0), False),
        (struct.pack(">4s4xL2H", b"curv", 2, 0, 65535), False),
        (struct.pack(">4s4xLH", b"curv", 4096, 0), False),
        (parametric(0, 2.2), True),
        (parametric(0, 1.0), False),
        (parametric(1, 2.2, 1.0, 0.0), True),
        (parametric(2, 2.2, 1.0, 0.0, 0.0), True),
        (parametric(2, 2.2, 1.0, 0.0, 0.2), False),
        (parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045), True),
        (parametric(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.0, 0.0), True),
        (parametric(4, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045, 0.1, 0.1), False),
        (parametric(9, 2.2), False),
        (b"text", False),
    ],
)
def test_what_gray_is_plain(curve: bytes, plain: bool) -> None:
    assert is_plain_gray(gray(curve)) == plain


@given(st.binary(max_size=300))
def test_no_bytes_are_too_odd_to_be_looked_at(tail: bytes) -> None:
    assert not is_srgb(srgb_profile()[:140] + tail)
    assert not is_plain_gray(bytes(128) + tail) or b"kTRC" in tail


def test_lab_becomes_srgb_as_littlecms_does_it() -> None:
    image = Pillow.fromarray(colours())
    lab = ImageCms.profileToProfile(image, opened(littlecms_srgb()), ImageCms.createProfile("LAB"), outputMode="LAB")
    assert lab is not None
    signed = np.asarray(lab)
    assert np.abs(lab_to_srgb(signed).astype(int) - _back(lab)).max() <= 1
    offset = signed ^ np.array([0, 128, 128], np.uint8)
    assert np.array_equal(lab_to_srgb(offset, offset=True), lab_to_srgb(signed))
    with_alpha = np.dstack([signed, signed[..., 0]])
    assert np.array_equal(lab_to_srgb(with_alpha)[..., 3], signed[..., 0])


def _back(lab: Pillow.Image) -> np.ndarray[Any, Any]:
    exact = ImageCms.Flags.NOOPTIMIZE  # else by a table that is too coarse at saturated colours
    made = ImageCms.profileToProfile(
        lab, ImageCms.createProfile("LAB"), opened(littlecms_srgb()), outputMode="RGB", flags=exact
    )
    return np.asarray(made).astype(int)


def test_lab_of_sixteen_bits() -> None:
    eight = np.array([[[255, 0, 0], [128, 200, 60], [20, 5, 250]]], np.uint16)
    signed = np.stack([eight[..., 0] * 257, eight[..., 1] * 256, eight[..., 2] * 256], axis=-1)
    found = lab_to_srgb(signed)
    assert found.dtype == np.uint16
    assert np.abs(found / 257 - lab_to_srgb(eight.astype(np.uint8))).max() <= 0.51
    offset = np.stack([eight[..., 0] * 256, *((eight[..., n] ^ 128) * 256 for n in (1, 2))], axis=-1)
    assert np.abs(lab_to_srgb(offset, offset=True).astype(int) - found).max() <= 1
