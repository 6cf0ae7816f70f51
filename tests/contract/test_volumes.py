"""Volumes as others write them: ImageJ, OME, several in one file; and such as lie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

import bridge
from bridge import errors

if TYPE_CHECKING:
    from pathlib import Path

    Pixels = np.ndarray[Any, Any]

DTYPES = ("uint8", "uint16", "int16", "uint32", "float32", "float64")


def volume(dtype: str, shape: tuple[int, ...] = (4, 5, 6)) -> Pixels:
    return np.random.default_rng(0).integers(0, 200, shape).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_tifffile_reads_what_is_written(dtype: str, tmp_path: Path) -> None:
    bridge.volwrite(tmp_path / "volume.tif", volume(dtype))
    back = tifffile.imread(tmp_path / "volume.tif")
    assert back.dtype == dtype
    assert np.array_equal(back, volume(dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_tifffile_wrote_is_read(dtype: str, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "volume.tif", volume(dtype), photometric="minisblack")
    for read in (bridge.volread, bridge.imread):
        back = read(tmp_path / "volume.tif")
        assert back.dtype == dtype
        assert np.array_equal(back, volume(dtype))
    pages = bridge.mimread(tmp_path / "volume.tif")
    assert len(pages) == 4
    assert all(np.array_equal(page, wanted) for page, wanted in zip(pages, volume(dtype), strict=True))


@pytest.mark.parametrize("axes", ["ZYX", "TZYX", "CYX", "TYX", "ZCYX", "TZCYXS"])
@pytest.mark.parametrize("kind", ["imagej", "ome"])
def test_axes_of_imagej_and_ome(kind: str, axes: str, tmp_path: Path) -> None:
    if kind == "imagej" and axes != "TZCYXS" and axes not in "TZCYX":
        axes = {"TYX": "TYX", "ZCYX": "ZCYX"}.get(axes, axes)
    sides = {"T": 2, "Z": 3, "C": 2, "Y": 5, "X": 6, "S": 3}
    array = volume("uint8", tuple(sides[axis] for axis in axes))
    photometric = "rgb" if "S" in axes else "minisblack"
    path = tmp_path / ("volume.ome.tif" if kind == "ome" else "volume.tif")
    tifffile.imwrite(path, array, metadata={"axes": axes}, photometric=photometric, **{kind: True})  # type: ignore[arg-type] # any keyword
    wanted = tifffile.imread(path)
    back = bridge.volread(path)
    assert back.shape == wanted.shape
    assert np.array_equal(back, wanted)
    pages = bridge.mimread(path)
    picture = 3 if "S" in axes else 2
    assert np.array_equal(np.stack(pages), wanted.reshape(-1, *wanted.shape[-picture:]))


@pytest.mark.parametrize("shapes", [[(3, 4, 5), (3, 4, 5)], [(3, 4, 5), (2, 6, 7)], [(3, 4, 5, 3), (2, 6, 7)]])
@pytest.mark.parametrize("name", ["volumes.tif", "volumes.npz"])
def test_several_volumes_in_one_file(name: str, shapes: list[tuple[int, ...]], tmp_path: Path) -> None:
    volumes = [volume("uint16", shape) + number for number, shape in enumerate(shapes)]
    bridge.mvolwrite(tmp_path / name, volumes)
    back = bridge.mvolread(tmp_path / name)
    assert [array.shape for array in back] == shapes
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(volumes, back, strict=True))
    assert np.array_equal(bridge.volread(tmp_path / name), volumes[0])


def test_object_arrays_are_never_unpickled(tmp_path: Path) -> None:
    array = np.array([[{"a": 1}]], dtype=object)
    np.save(tmp_path / "array.npy", array, allow_pickle=True)
    np.savez(tmp_path / "arrays.npz", array)
    for name in ("array.npy", "arrays.npz"):
        for read in (bridge.imread, bridge.mimread, bridge.volread, bridge.mvolread):
            with pytest.raises(errors.UnsupportedPixels, match="unpickle"):
                read(tmp_path / name)


def test_headers_that_promise_more_than_there_is(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (999999, 99999, 9999), }".ljust(117) + b"\n"
    lie = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header
    (tmp_path / "array.npy").write_bytes(lie)
    import zipfile

    with zipfile.ZipFile(tmp_path / "arrays.npz", "w") as archive:
        archive.writestr("a.npy", lie)
    for name in ("array.npy", "arrays.npz"):
        with pytest.raises(errors.TruncatedMedia, match="promises"):
            bridge.imread(tmp_path / name)
        with pytest.raises(errors.TruncatedMedia, match="promises"):
            bridge.mvolread(tmp_path / name, memtest=False)
