"""Volumes as others write them: ImageJ, OME, several in one file, FITS and DICOM; and such as lie."""

from __future__ import annotations

import struct
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


# What comes through ImageMagick, where it can


def fits(array: Pixels) -> bytes:
    """A FITS file: cards of 80 characters, blocks of 2880 bytes, big-endian, the bottom row first."""
    bits = {"uint8": 8, "int16": 16, "float32": -32}[array.dtype.name]
    cards = ["SIMPLE  =                    T", f"BITPIX  = {bits:20d}", f"NAXIS   = {array.ndim:20d}"]
    cards += [f"NAXIS{number}  = {side:20d}" for number, side in enumerate(reversed(array.shape), 1)]
    head = "".join(card.ljust(80) for card in [*cards, "END"]).encode()
    data = array.astype(array.dtype.newbyteorder(">")).tobytes()
    return head.ljust(-len(head) // 2880 * -2880) + data.ljust(-len(data) // 2880 * -2880, b"\0")


def dicom(array: Pixels) -> bytes:
    """A DICOM file, explicit and little-endian, as short as the format lets it be."""

    def element(group: int, number: int, kind: bytes, value: bytes) -> bytes:
        value += (b"\0" if kind in (b"UI", b"OB") else b" ") * (len(value) % 2)
        length = b"\0\0" + struct.pack("<I", len(value)) if kind in (b"OB", b"OW") else struct.pack("<H", len(value))
        return struct.pack("<HH", group, number) + kind + length + value

    def short(number: int, value: int) -> bytes:
        return element(0x28, number, b"US", struct.pack("<H", value))

    meta = element(2, 0x10, b"UI", b"1.2.840.10008.1.2.1")
    frames, (height, width) = (array.shape[0] if array.ndim == 3 else 1), array.shape[-2:]
    bits = 8 * array.itemsize
    body = short(2, 1) + element(0x28, 4, b"CS", b"MONOCHROME2") + element(0x28, 8, b"IS", str(frames).encode())
    body += short(0x10, height) + short(0x11, width)
    body += short(0x100, bits) + short(0x101, bits) + short(0x102, bits - 1) + short(0x103, 0)
    body += element(0x7FE0, 0x10, b"OB" if bits == 8 else b"OW", array.tobytes())
    return bytes(128) + b"DICM" + element(2, 0, b"UL", struct.pack("<I", len(meta))) + meta + body


@pytest.mark.program
@pytest.mark.needs("magick")
@pytest.mark.parametrize(("name", "make"), [("picture.fits", fits), ("picture.dcm", dicom)])
@pytest.mark.parametrize("given", ["file", "bytes"])
def test_fits_and_dicom_where_imagemagick_can(name: str, make: Any, given: str, tmp_path: Path) -> None:
    """They are read right, or with an error that says why not: never wrong in silence. A FITS begins at the bottom."""
    array = 2 * np.arange(120, dtype=np.uint8).reshape(10, 12)
    array[0, 0], array[-1, -1] = 0, 255
    (tmp_path / name).write_bytes(make(array))
    try:
        image = bridge.imread(tmp_path / name if given == "file" else (tmp_path / name).read_bytes())
    except errors.BridgeError as error:
        assert len(str(error)) > 20  # noqa: PT017 - either way is right
        return
    assert image.shape == array.shape
    assert np.array_equal(image, array) or np.array_equal(image, array[::-1])


@pytest.mark.program
@pytest.mark.needs("magick")
@pytest.mark.parametrize(("name", "make"), [("stack.fits", fits), ("stack.dcm", dicom)])
def test_stacks_of_fits_and_dicom(name: str, make: Any, tmp_path: Path) -> None:
    array = np.arange(240, dtype=np.uint8).reshape(2, 10, 12)
    array[0, 0, 0], array[-1, -1, -1] = 0, 255
    (tmp_path / name).write_bytes(make(array))
    try:
        back = bridge.volread(tmp_path / name)
    except errors.BridgeError as error:
        assert len(str(error)) > 20  # noqa: PT017 - either way is right
        return
    assert back.shape == array.shape
    assert np.array_equal(back, array) or np.array_equal(back, array[:, ::-1])


@pytest.mark.program
@pytest.mark.parametrize(("name", "make"), [("depth.fits", fits), ("depth.dcm", dicom)])
def test_what_imagemagick_cannot_is_said(name: str, make: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBRIDGE_MAGICK", "none")
    (tmp_path / name).write_bytes(make(volume("uint8", (10, 12))))
    with pytest.raises(errors.ToolMissing, match="ImageMagick"):
        bridge.volread(tmp_path / name)
