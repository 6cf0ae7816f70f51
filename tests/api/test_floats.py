"""Radiance and PFM: bytes written by hand, as other programs write them; no program is needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge import errors
from bridge.media.rgbe import encode_radiance

if TYPE_CHECKING:
    from pathlib import Path

    Pixels = np.ndarray[Any, Any]


def radiance(coded: bytes, height: int, width: int, *, axes: str = "-Y {} +X {}", more: str = "") -> bytes:
    return f"#?RADIANCE\n{more}FORMAT=32-bit_rle_rgbe\n\n{axes.format(height, width)}\n".encode() + coded


def rgbe(*pixels: tuple[int, int, int, int]) -> bytes:
    return b"".join(map(bytes, pixels))


def test_mantissas_and_exponents() -> None:
    got = bridge.imread(radiance(rgbe((128, 64, 1, 129), (255, 255, 255, 136), (9, 9, 9, 0)), 1, 3))
    assert got.dtype == np.float32
    assert got.tolist() == [[[1.0, 0.5, 2.0**-7], [255.0, 255.0, 255.0], [0.0, 0.0, 0.0]]]


def test_old_runs() -> None:
    pixel = (10, 20, 30, 136)
    got = bridge.imread(radiance(rgbe(pixel, (1, 1, 1, 4), (1, 1, 1, 1), (7, 7, 7, 136)), 2, 131))
    assert (got.reshape(-1, 3)[:261] == (10, 20, 30)).all()
    assert got[-1, -1].tolist() == [7, 7, 7]


def test_new_runs() -> None:
    reds = bytes([128 + 10, 5])
    others = bytes([10, *range(10)]) + bytes([4, 1, 2, 3, 4, 128 + 6, 9]) + bytes([128 + 10, 136])
    got = bridge.imread(radiance((bytes([2, 2, 0, 10]) + reds + others) * 2, 2, 10))
    line = [[5, at, at + 1 if at < 4 else 9] for at in range(10)]
    assert got.tolist() == [line, line]


@pytest.mark.parametrize(
    ("axes", "wanted"),
    [
        ("-Y {} +X {}", [[1, 2, 3], [4, 5, 6]]),
        ("+Y {} +X {}", [[4, 5, 6], [1, 2, 3]]),
        ("-Y {} -X {}", [[3, 2, 1], [6, 5, 4]]),
        ("+X {} -Y {}", [[1, 4], [2, 5], [3, 6]]),
    ],
)
def test_orientations(axes: str, wanted: list[list[int]]) -> None:
    got = bridge.imread(radiance(rgbe(*((at, 0, 0, 136) for at in range(1, 7))), 2, 3, axes=axes))
    assert got[..., 0].tolist() == wanted


def test_the_exposure_is_told_and_not_applied() -> None:
    data = radiance(rgbe((128, 0, 0, 129)), 1, 1, more="EXPOSURE=2.5\n")
    with bridge.get_reader(data) as reader:
        assert reader.get_data(0).tolist() == [[[1, 0, 0]]]
        assert reader.get_meta_data()["RADIANCE"]["EXPOSURE"] == "2.5"


def test_radiance_comes_back_within_its_bound(tmp_path: Path) -> None:
    numbers = np.random.default_rng(3)
    image = (numbers.random((20, 30, 3)) * 10.0 ** numbers.integers(-20, 20, (20, 30, 3))).astype("f4")
    image[0, 0] = 0
    image[0, 1] = np.nextafter(np.float32(2), np.float32(0))  # its mantissa is rounded up to the next exponent
    with bridge.get_writer(tmp_path / "picture.hdr") as writer:
        writer.append_data(image)
        assert "1/128" in writer.changes[0]
    back = bridge.imread(tmp_path / "picture.hdr")
    assert (back.dtype, back.shape) == (image.dtype, image.shape)
    assert (np.abs(back - image).max(axis=2) <= image.max(axis=2) / 128).all()
    assert (np.abs(back - image).max(axis=2) <= image.max(axis=2) / 256).all()
    assert encode_radiance(np.asarray(back)) == (tmp_path / "picture.hdr").read_bytes()


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf, 3e38])
def test_what_radiance_cannot_hold(value: float) -> None:
    with pytest.raises(errors.UnsupportedPixels, match="EXR"):
        bridge.imwrite("<bytes>", np.full((2, 2, 3), value, "f4"), format="HDR")


@pytest.mark.parametrize(
    ("coded", "kind"),
    [
        (b"", errors.TruncatedMedia),
        (rgbe((1, 1, 1, 9)) * 20, errors.CorruptMedia),
        (rgbe((5, 5, 5, 9), (1, 1, 1, 255)), errors.CorruptMedia),
        (b"\2\2\0\x0a" + b"\x80", errors.TruncatedMedia),
        (b"\2\2\0\x0a" + b"\xff\x01", errors.CorruptMedia),
        (b"\2\2\0\x09" + b"\x80" * 60, errors.CorruptMedia),
    ],
)
def test_damaged_radiance(coded: bytes, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        bridge.imread(radiance(coded, 2, 10))


@pytest.mark.parametrize("size", ["-Y 0 +X 3", "-Y 2 +Y 3", "Y 2 X 3", "-Y 2"])
def test_damaged_radiance_headers(size: str) -> None:
    with pytest.raises(errors.CorruptMedia):
        bridge.imread(f"#?RADIANCE\n\n{size}\n".encode() + bytes(60))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("channels", [1, 3])
def test_pfm_of_either_byte_order(channels: int, order: str) -> None:
    image = np.random.default_rng(1).normal(0, 1e6, (2, 3, channels)).astype("f4")
    head = f"P{'F' if channels == 3 else 'f'}\n3 2\n{'-' if order == '<' else ''}2.5\n".encode()
    data = head + image[::-1].astype(f"{order}f4").tobytes()
    with bridge.get_reader(data) as reader:
        got = reader.get_data(0)
        assert reader.get_meta_data()["PFM"] == {"scale": 2.5}
    assert got.dtype == np.dtype("f4")
    assert np.array_equal(got, image if channels == 3 else image[..., 0])
    with pytest.raises(errors.TruncatedMedia):
        bridge.imread(data[:-1])


@pytest.mark.parametrize("head", [b"PF\n3\n", b"PF\n0 2\n-1\n", b"PF\n3 2\n0\n", b"PF\n3 x\n-1\n"])
def test_damaged_pfm_headers(head: bytes) -> None:
    with pytest.raises(errors.CorruptMedia):
        bridge.imread(head)
