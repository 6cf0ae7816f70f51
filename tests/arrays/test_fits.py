"""FITS against astropy, both ways; and such as lie."""

from __future__ import annotations

import contextlib
import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from astropy.io import fits

import bridge
from bridge import errors

if TYPE_CHECKING:
    from pathlib import Path

    Pixels = np.ndarray[Any, Any]

DTYPES = ("uint8", "int8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
SHAPES = ((10, 12), (3, 10, 12), (10, 12, 3), (2, 3, 5, 7), (9,))


def samples(dtype: str, shape: tuple[int, ...] = (10, 12)) -> Pixels:
    random = np.random.default_rng(0)
    if dtype.startswith("float"):
        return random.normal(0, 1e3, shape).astype(dtype)
    facts = np.iinfo(dtype)
    found: Pixels = random.integers(facts.min, facts.max, shape, dtype=dtype, endpoint=True)
    return found


def written(*units: Any) -> bytes:
    file = io.BytesIO()
    fits.HDUList(list(units)).writeto(file)
    return file.getvalue()


def by_astropy(data: bytes, unit: int = 0) -> Pixels:
    with fits.open(io.BytesIO(data)) as opened:
        array: Pixels = opened[unit].data
        return array.astype(array.dtype.newbyteorder("="))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_what_astropy_writes_is_read(dtype: str, shape: tuple[int, ...]) -> None:
    array = samples(dtype, shape)
    data = written(fits.PrimaryHDU(array))
    for read in (bridge.imread, bridge.volread):
        image = read(data)
        assert image.dtype == dtype
        assert np.array_equal(image, array)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES[:4])
def test_astropy_reads_what_is_written(dtype: str, shape: tuple[int, ...]) -> None:
    array = samples(dtype, shape)
    write = bridge.imwrite if len(shape) < 4 else bridge.volwrite
    data = write("<bytes>", array, format="fits")
    assert data
    back = by_astropy(data)
    assert back.dtype == dtype
    assert np.array_equal(back, array)
    with fits.open(io.BytesIO(data)) as opened:
        opened.verify("exception")
    assert np.array_equal(bridge.volread(data), array)


@pytest.mark.parametrize(("write", "shape"), [(bridge.mimwrite, (10, 12)), (bridge.mvolwrite, (2, 10, 12))])
def test_several_arrays(write: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    arrays = [samples("int16", shape), samples("float32", (*shape[:-2], 4, 5)), samples("uint16", shape)]
    path = tmp_path / "several.fits"
    write(path, arrays)
    for number, array in enumerate(arrays):
        assert np.array_equal(by_astropy(path.read_bytes(), number), array)
    for read in (bridge.mimread, bridge.mvolread):
        back = read(path)
        assert [one.shape for one in back] == [one.shape for one in arrays]
        assert all(np.array_equal(*pair) for pair in zip(back, arrays, strict=True))


def test_tables_and_empty_arrays_are_passed_over() -> None:
    column = fits.Column(name="a", format="J", array=np.arange(5))
    data = written(fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column]), fits.ImageHDU(samples("int16")))
    assert np.array_equal(bridge.imread(data), samples("int16"))
    with bridge.get_reader(data) as reader:
        assert len(reader) == 1
    for unit in (fits.BinTableHDU.from_columns([column]), fits.CompImageHDU(samples("int16", (64, 64)))):
        with pytest.raises(errors.UnsupportedPixels, match="BINTABLE"):
            bridge.imread(written(fits.PrimaryHDU(), unit))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize(("scale", "zero"), [(0.5, 10), (1, 100), (2, 0), (1, 32768), (-1, 0.25)])
def test_scaled_samples_are_what_they_stand_for(dtype: str, scale: float, zero: float) -> None:
    unit = fits.PrimaryHDU(samples(dtype))
    data = written(unit)
    at = data.index(b"END ".ljust(80))
    cards = f"BSCALE  = {scale:20}".ljust(80) + f"BZERO   = {zero:20}".ljust(80) + "END".ljust(80)
    data = data[:at] + cards.encode() + data[at + 240 :]
    wanted = by_astropy(data)
    image = bridge.imread(data)
    assert image.dtype == wanted.dtype
    assert np.allclose(image, wanted, rtol=1e-6)


def test_blank_is_no_number() -> None:
    array = samples("int16")
    array[2, 3] = -999
    unit = fits.PrimaryHDU(array)
    unit.header["BLANK"] = -999
    data = written(unit)
    wanted = by_astropy(data)
    assert np.isnan(bridge.imread(data)[2, 3])
    assert np.array_equal(bridge.imread(data), wanted, equal_nan=True)


def test_cards_are_typed() -> None:
    unit = fits.PrimaryHDU(samples("int16"))
    unit.header["OBJECT"] = "it's M 31 / Andromeda"
    unit.header["EXPTIME"] = (1.5e-3, "seconds")
    unit.header["COUNT"] = 12
    unit.header["GOOD"] = True
    cards = bridge.imread(written(unit)).meta["FITS"]
    assert {name: cards[name] for name in ("OBJECT", "EXPTIME", "COUNT", "GOOD")} == {
        "OBJECT": "it's M 31 / Andromeda", "EXPTIME": 1.5e-3, "COUNT": 12, "GOOD": True,
    }  # fmt: skip


@pytest.mark.parametrize("dtype", ["bool", "float16", "complex64"])
def test_what_it_cannot_hold_is_refused(dtype: str, tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedPixels):
        bridge.imwrite(tmp_path / "a.fits", np.ones((4, 5), dtype))
    assert list(tmp_path.iterdir()) == []


# Such as lie


def _changed(name: bytes, value: int) -> bytes:
    data = written(fits.PrimaryHDU(samples("int16")))
    at = data.index(name.ljust(8) + b"= ") + 10
    return data[:at] + str(value).rjust(20).encode() + data[at + 20 :]


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        (b"NAXIS1", 10**9, errors.TruncatedMedia),
        (b"NAXIS1", 10**18, errors.TruncatedMedia),
        (b"NAXIS2", -3, errors.CorruptMedia),
        (b"NAXIS", 900, errors.CorruptMedia),
        (b"NAXIS", 3, errors.CorruptMedia),
        (b"BITPIX", 12, errors.CorruptMedia),
        (b"NAXIS1", 0, errors.TruncatedMedia),
    ],
)
def test_a_head_that_lies(name: bytes, value: int, error: type[Exception], tmp_path: Path) -> None:
    path = tmp_path / "lie.fits"
    path.write_bytes(_changed(name, value))
    for read in (bridge.imread, bridge.mvolread):
        with pytest.raises(error, match=r"lie\.fits"):
            read(path)


def test_a_head_without_an_end() -> None:
    with pytest.raises(errors.TruncatedMedia):
        bridge.imread(b"SIMPLE  =                    T".ljust(80) * 100)
    with pytest.raises(errors.CorruptMedia, match="blocks"):
        bridge.imread(b"SIMPLE  =                    T".ljust(80) * 36 * 5000)


def test_damage_is_an_error_of_ours_or_other_pixels() -> None:
    whole = written(fits.PrimaryHDU(samples("int16")), fits.ImageHDU(samples("float32")))
    random = np.random.default_rng(0)
    for _ in range(500):
        data = bytearray(whole)
        for at in random.integers(30, len(data), 8):
            data[at] = random.integers(256)
        with contextlib.suppress(errors.BridgeError):
            bridge.mvolread(bytes(data[: random.integers(100, len(data) + 1)]))
