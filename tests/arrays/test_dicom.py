"""DICOM against pydicom: its own files, and such as it writes; and such as lie."""

from __future__ import annotations

import contextlib
import io
import logging
import struct
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pydicom
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

import bridge
from bridge import errors

if TYPE_CHECKING:
    from collections.abc import Callable

    Pixels = np.ndarray[Any, Any]

pytestmark = pytest.mark.filterwarnings("ignore")  # pydicom's, about its own files

SYNTAXES = {
    "implicit": ImplicitVRLittleEndian,
    "explicit": ExplicitVRLittleEndian,
    "big-endian": ExplicitVRBigEndian,
    "deflated": DeflatedExplicitVRLittleEndian,
}


def theirs(name: str) -> Path:
    found = get_testdata_file(name, download=False)
    assert isinstance(found, str), f"pydicom has no {name} any more"
    return Path(found)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    logging.getLogger("pydicom").setLevel(logging.CRITICAL)


# Files of pydicom. Those that it decodes with what the tests install, and how far lossy decoders may be apart.
PLAIN = (
    "CT_small.dcm", "MR_small.dcm", "MR_small_bigendian.dcm", "MR_small_expb.dcm", "MR_small_implicit.dcm",
    "MR_small_padded.dcm", "MR_small_RLE.dcm", "ExplVR_BigEnd.dcm", "SC_rgb_small_odd.dcm",
    "SC_rgb_small_odd_big_endian.dcm", "SC_rgb_rle.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_rle_16bit_2frame.dcm",
    "SC_rgb_rle_32bit.dcm", "SC_rgb_rle_32bit_2frame.dcm", "SC_rgb_jpeg_dcmd.dcm", "SC_ybr_full_422_uncompressed.dcm",
    "image_dfl.dcm", "liver_1frame.dcm", "liver_expb_1frame.dcm", "rtdose.dcm", "rtdose_expb.dcm", "rtdose_rle.dcm",
    "rtdose_1frame.dcm", "examples_palette.dcm", "examples_overlay.dcm", "examples_rgb_color.dcm",
)  # fmt: skip
CODED = {
    "SC_rgb_dcmtk_+eb+cr.dcm": 2, "SC_rgb_dcmtk_+eb+cy+n1.dcm": 3, "SC_rgb_dcmtk_+eb+cy+np.dcm": 3,
    "SC_rgb_dcmtk_+eb+cy+s4.dcm": 3, "SC_rgb_jpeg_dcmtk.dcm": 3, "SC_rgb_jpeg_lossy_gdcm.dcm": 3,
    "SC_rgb_small_odd_jpeg.dcm": 3, "SC_jpeg_no_color_transform.dcm": 2, "SC_jpeg_no_color_transform_2.dcm": 2,
    "SC_rgb_jpeg_app14_dcmd.dcm": 2, "SC_rgb_jpeg.dcm": 2, "examples_ybr_color.dcm": 4, "SC_rgb_gdcm_KY.dcm": 0,
    "examples_jpeg2k.dcm": 0, "MR_small_jp2klossless.dcm": 0, "JPEG2000.dcm": 1,
    "693_J2KI.dcm": 1, "J2K_pixelrep_mismatch.dcm": 0,
}  # fmt: skip
# Without loss, but in codes that only others decode -> a file with the same picture.
SAME = {"MR_small_jpeg_ls_lossless.dcm": "MR_small.dcm", "SC_rgb_jpeg_gdcm.dcm": "SC_rgb_rle.dcm"}


def compare(name: str, off: int) -> None:
    data = pydicom.dcmread(theirs(name))
    wanted = data.pixel_array.astype(data.pixel_array.dtype.newbyteorder("="))
    frames = wanted if int(data.get("NumberOfFrames") or 1) > 1 else wanted[None]
    whole = bridge.volread(theirs(name))
    assert (whole.shape, whole.dtype) == (frames.shape, frames.dtype)
    assert np.abs(whole.astype(np.int64) - frames.astype(np.int64)).max() <= off
    assert np.array_equal(bridge.imread(theirs(name)), whole[0])
    with bridge.get_reader(theirs(name)) as reader:
        assert len(reader) == len(frames)
        assert np.array_equal(reader.get_data(-1), whole[-1])
        assert reader.info.pages[0].shape == frames.shape[1:]


@pytest.mark.parametrize("name", PLAIN)
def test_real_files_are_read_as_pydicom_reads_them(name: str) -> None:
    compare(name, 0)


@pytest.mark.program
@pytest.mark.needs("magick")
@pytest.mark.parametrize("name", CODED)
def test_coded_files_are_read_as_pydicom_reads_them(name: str) -> None:
    compare(name, CODED[name])


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("name", SAME)
def test_lossless_codes_have_the_picture_of_the_plain_file(name: str) -> None:
    assert np.array_equal(bridge.imread(theirs(name)), bridge.imread(theirs(SAME[name])))


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_what_no_program_decodes_right_is_refused() -> None:
    with pytest.raises(errors.UnsupportedPixels, match="interleaved by sample"):
        bridge.imread(theirs("SC_rgb_jls_lossy_sample.dcm"))


# Files that pydicom writes


def made(array: Pixels, syntax: Any = ExplicitVRLittleEndian, **facts: Any) -> bytes:
    """A file of one picture, or of several with ``NumberOfFrames``."""
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3")
    meta.TransferSyntaxUID = syntax
    data = FileDataset(
        "a.dcm", {}, file_meta=meta, preamble=bytes(128),
        is_implicit_VR=syntax == ImplicitVRLittleEndian, is_little_endian=syntax != ExplicitVRBigEndian,
    )  # fmt: skip
    data.SOPClassUID, data.SOPInstanceUID = SecondaryCaptureImageStorage, "1.2.3"
    coloured = array.shape[-1] == 3
    sides = array.shape[:-1] if coloured else array.shape
    data.Rows, data.Columns = sides[-2:]
    if len(sides) == 3:
        data.NumberOfFrames = sides[0]
    data.SamplesPerPixel = 3 if coloured else 1
    data.PhotometricInterpretation = "RGB" if coloured else "MONOCHROME2"
    if coloured:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = 8 * array.itemsize
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(array.dtype.kind == "i")
    for name, value in facts.items():
        setattr(data, name, value)
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data["PixelData"] = pydicom.DataElement(
        0x7FE00010, "OB" if array.itemsize == 1 else "OW", array.astype(array.dtype.newbyteorder(order)).tobytes()
    )
    if len(data.PixelData) % 2:
        data.PixelData += b"\0"
    file = io.BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


def samples(dtype: str, shape: tuple[int, ...]) -> Pixels:
    facts = np.iinfo(dtype)
    made: Pixels = np.random.default_rng(0).integers(facts.min, facts.max, shape, dtype=dtype, endpoint=True)
    return made


@pytest.mark.parametrize("syntax", SYNTAXES)
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32"])
@pytest.mark.parametrize("shape", [(10, 12), (3, 10, 12), (9, 7, 3), (2, 9, 7, 3)])
def test_what_pydicom_writes_is_read(syntax: str, dtype: str, shape: tuple[int, ...]) -> None:
    array = samples(dtype, shape)
    several = len(shape) - (shape[-1] == 3) == 3
    data = made(array, SYNTAXES[syntax])
    whole = bridge.volread(data)
    assert whole.dtype == dtype
    assert np.array_equal(whole, array if several else array[None])
    assert np.array_equal(np.stack(bridge.mimread(data)), array if several else array[None])
    assert np.array_equal(bridge.imread(data), array[0] if several else array)


@pytest.mark.parametrize("signed", [0, 1])
def test_bits_that_are_not_stored_are_left_out(signed: int) -> None:
    """Overlays were kept there once; the sign is the highest of those that are stored."""
    raw = samples("uint16", (10, 12))
    data = made(raw, BitsStored=12, HighBit=11, PixelRepresentation=signed)
    wanted = (raw << 4).view("int16") >> 4 if signed else raw & 0xFFF
    assert np.array_equal(bridge.imread(data), wanted)
    high = made(raw, BitsStored=12, HighBit=15)
    assert np.array_equal(bridge.imread(high), raw >> 4)


def test_channels_in_planes() -> None:
    array = samples("uint8", (3, 9, 8))
    data = made(np.ascontiguousarray(array.transpose(1, 2, 0)), PlanarConfiguration=1)
    at = data.rindex(array.transpose(1, 2, 0).tobytes())
    planar = data[:at] + array.tobytes() + data[at + array.size :]
    assert np.array_equal(bridge.imread(planar), array.transpose(1, 2, 0))


def test_floats_as_they_are() -> None:
    array = np.linspace(-1, 1, 120, dtype=np.float32).reshape(10, 12)
    data = made(np.zeros((10, 12), np.uint8))
    at = data.index(struct.pack("<HH2s", 0x7FE0, 0x10, b"OB"))
    data = data[:at] + struct.pack("<HH2sHI", 0x7FE0, 8, b"OF", 0, array.nbytes) + array.tobytes()
    assert np.array_equal(bridge.imread(data), array)


def test_colours_of_a_palette_where_they_are_asked_for() -> None:
    path = theirs("examples_palette.dcm")
    data = pydicom.dcmread(path)
    wanted = apply_color_lut(data.pixel_array, data)
    coloured = bridge.imread(path, colorspace="srgb")
    assert (coloured.dtype, coloured.shape) == (wanted.dtype, wanted.shape)
    assert np.array_equal(coloured, wanted)


def test_metadata_is_typed() -> None:
    meta = bridge.get_reader(theirs("CT_small.dcm")).get_meta_data()
    assert meta["DICOM"]["Modality"] == "CT"
    assert meta["DICOM"]["RescaleSlope"] == 1.0
    assert meta["DICOM"]["RescaleIntercept"] == -1024.0
    assert meta["DICOM"]["PixelSpacing"] == (0.661468, 0.661468)
    assert meta["DICOM"]["Rows"] == 128
    assert meta["FILE"]["nframes"] == 1


def test_characters_of_other_alphabets_and_steering_ones() -> None:
    named = made(samples("uint8", (4, 4)), SpecificCharacterSet="ISO_IR 192", PatientName="Käthe\x1b[31m^Ü")
    said = bridge.imread(named).meta["DICOM"]["PatientName"]
    assert said.startswith("Käthe")
    assert "\x1b" not in said


# Such as lie


def _without(data: bytes, count: int) -> bytes:
    return data[:-count]


def _said(name: str, value: int) -> Callable[[bytes], bytes]:
    numbers = {"Rows": (0x28, 0x10), "Columns": (0x28, 0x11), "BitsAllocated": (0x28, 0x100), "HighBit": (0x28, 0x102)}

    def changed(data: bytes) -> bytes:
        at = data.index(struct.pack("<HH2sH", *numbers[name], b"US", 2)) + 8
        return data[:at] + struct.pack("<H", value) + data[at + 2 :]

    return changed


LIES: dict[str, tuple[Callable[[bytes], bytes], type[Exception]]] = {
    "a pixel too few": (lambda data: _without(data, 2), errors.TruncatedMedia),
    "only its preamble": (lambda data: data[:140], errors.BridgeError),
    "more rows than pixels": (_said("Rows", 60000), errors.TruncatedMedia),
    "no columns": (_said("Columns", 0), errors.CorruptMedia),
    "12 bits a sample": (_said("BitsAllocated", 12), errors.UnsupportedPixels),
    "a bit that is not there": (_said("HighBit", 200), errors.CorruptMedia),
    "an unknown syntax": (lambda data: data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0"),
                          errors.UnsupportedPixels),
    "coded pixels that are plain": (lambda data: data.replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.5\0"),
                                    errors.CorruptMedia),
}  # fmt: skip


@pytest.mark.parametrize("lie", LIES)
def test_a_file_that_lies(lie: str, tmp_path: Path) -> None:
    change, error = LIES[lie]
    path = tmp_path / "lie.dcm"
    path.write_bytes(change(made(samples("uint8", (10, 12)))))
    for read in (bridge.imread, bridge.volread):
        with pytest.raises(error, match=r"lie\.dcm"):
            read(path)


def test_nested_without_end() -> None:
    data = made(samples("uint8", (4, 4)))
    at = data.index(struct.pack("<HH2s", 8, 0x16, b"UI"))
    nested = struct.pack("<HH2sHI", 8, 0x1140, b"SQ", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    with pytest.raises(errors.CorruptMedia, match="nested"):
        bridge.imread(data[:at] + nested * 100_000 + data[at:])
    with pytest.raises(errors.CorruptMedia):
        bridge.imread(data[:at] + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0) + data[at:])


def test_sequences_before_the_pixels_are_passed_over() -> None:
    inner = pydicom.Dataset()
    inner.Rows, inner.PixelData = 9999, bytes(8)
    inner["PixelData"].VR = "OB"
    for undefined in (False, True):
        data = made(samples("uint8", (4, 4)), IconImageSequence=pydicom.Sequence([inner]))
        if undefined:
            whole = pydicom.dcmread(io.BytesIO(data))
            whole["IconImageSequence"].is_undefined_length = True
            file = io.BytesIO()
            whole.save_as(file)
            data = file.getvalue()
        assert np.array_equal(bridge.imread(data), samples("uint8", (4, 4)))


def test_a_deflated_bomb_is_not_inflated() -> None:
    data = made(samples("uint8", (4, 4)), DeflatedExplicitVRLittleEndian)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    begin = data.index(b"1.2.840.10008.1.2.1.99") + 22
    bomb = packer.compress(struct.pack("<HH2sHI", 9, 9, b"OB", 0, 1 << 31) + bytes(1 << 28)) + packer.flush()
    with pytest.raises(errors.LimitExceeded, match="volumes_memory"):
        bridge.imread(data[:begin] + bomb, limits=bridge.Limits(volumes_memory=1 << 24))


def test_floats_are_not_coded() -> None:
    data = theirs("SC_rgb_small_odd_jpeg.dcm").read_bytes()
    at = data.rindex(struct.pack("<HH2s", 0x7FE0, 0x10, b"OB"))
    with pytest.raises(errors.CorruptMedia, match="transfer syntax"):
        bridge.imread(data[:at] + struct.pack("<HH2s", 0x7FE0, 8, b"OF") + data[at + 6 :])


@pytest.mark.program
@pytest.mark.needs("magick")
@pytest.mark.parametrize("bits", [17, 20, 31, 38, 128])
def test_more_bits_than_a_decoder_gives(bits: int) -> None:
    data = bytearray(theirs("MR_small_jp2klossless.dcm").read_bytes())
    data[data.index(b"\xff\x4f\xff\x51") + 42] = 0x80 | (bits - 1)
    with pytest.raises((errors.UnsupportedPixels, errors.CorruptMedia)):
        bridge.imread(bytes(data))


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "rtdose_rle_1frame.dcm"])
def test_the_limit_of_memory(name: str) -> None:
    data = bytearray(theirs(name).read_bytes())
    for number in (0x10, 0x11):
        at = data.index(struct.pack("<HH2sH", 0x28, number, b"US", 2)) + 8
        data[at : at + 2] = struct.pack("<H", 8000)
    for read in (bridge.imread, bridge.mimread, bridge.volread):
        with pytest.raises(errors.LimitExceeded, match="volumes_memory"):
            read(bytes(data), limits=bridge.Limits(volumes_memory=10_000_000))


def test_the_limit_of_pixels() -> None:
    with pytest.raises(errors.LimitExceeded, match="pixels=100"):
        bridge.imread(made(samples("uint8", (10, 12))), limits=bridge.Limits(pixels=100))
    with pytest.raises(errors.ForbiddenFormat):
        bridge.imread(made(samples("uint8", (10, 12))), trust="untrusted")


@pytest.mark.parametrize("name", ["MR_small_RLE.dcm", "SC_rgb_rle_2frame.dcm", "MR_small_implicit.dcm", "rtdose.dcm"])
def test_damage_is_an_error_of_ours_or_other_pixels(name: str) -> None:
    whole = theirs(name).read_bytes()
    random = np.random.default_rng(0)
    for _ in range(300):
        data = bytearray(whole)
        for at in random.integers(128, len(data), 6):
            data[at] = random.integers(256)
        cut = random.integers(140, len(data)) if random.random() < 0.3 else len(data)
        with contextlib.suppress(errors.BridgeError):
            bridge.volread(bytes(data[:cut]))
