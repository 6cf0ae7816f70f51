"""Still formats beside the usual ones: read as others wrote them, written and read back, damaged, and far too large."""

from __future__ import annotations

import io
import itertools
import struct
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

import bridge
from bridge import errors
from bridge.catalogue import formats
from bridge.ffmpeg.image import STILLS, StillFormat
from tests.contract.samples import open_exr

if TYPE_CHECKING:
    from pathlib import Path

    Pixels = np.ndarray[Any, Any]

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

_ARRAYS = {"gray": (1, "u1"), "ya8": (2, "u1"), "rgb24": (3, "u1"), "rgba": (4, "u1"), "gray16le": (1, "u2"),
           "ya16le": (2, "u2"), "rgb48le": (3, "u2"), "rgba64le": (4, "u2")}  # fmt: skip
_LOSSLESS = ("JXL-FFMPEG", "JP2-FFMPEG", "J2K-FFMPEG", "QOI", "SGI", "JLS")
CLAIMS = [(row.extensions[0], *_ARRAYS[name]) for row in STILLS if row.name in _LOSSLESS for name in row.written]
CLAIMS += [(".exr", channels, "f4") for channels in (1, 3, 4)] + [(".pfm", channels, "f4") for channels in (1, 3)]


def noise(channels: int, dtype: str, height: int = 7, width: int = 9, *, seed: int = 0) -> Pixels:
    shape = (height, width) if channels == 1 else (height, width, channels)
    numbers = np.random.default_rng(seed)
    if dtype == "f4":
        return (numbers.normal(0, 1, shape) * 10.0 ** numbers.integers(-30, 30, shape)).astype("f4")
    return numbers.integers(0, np.iinfo(dtype).max, shape, dtype, endpoint=True)


def written_here(extension: str) -> bool:
    """Tell whether this machine writes it; where not, that is said."""
    return any(f.writer and not f.missing(writing=True) for f in formats if extension in f.extensions)


def same(left: Pixels, right: Pixels) -> bool:
    return (left.shape, left.dtype, left.tobytes()) == (right.shape, right.dtype, right.tobytes())


@pytest.mark.parametrize(("extension", "channels", "dtype"), CLAIMS)
def test_what_is_claimed_comes_back(extension: str, channels: int, dtype: str, tmp_path: Path) -> None:
    image, target = noise(channels, dtype), tmp_path / f"picture{extension}"
    if not written_here(extension):
        with pytest.raises(errors.MissingCodec, match="no encoder"):
            bridge.imwrite(target, image)
        return
    bridge.imwrite(target, image)
    assert same(np.asarray(bridge.imread(target)), image)
    assert bridge.probe(target).pages[0].dtype == str(image.dtype)


@given(claim=st.sampled_from(CLAIMS), height=st.integers(1, 17), width=st.integers(1, 17), seed=st.integers(0, 1 << 30))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_small_picture_comes_back(claim: tuple[str, int, str], height: int, width: int, seed: int) -> None:
    extension, channels, dtype = claim
    if written_here(extension):
        image = noise(channels, dtype, height, width, seed=seed)
        name = next(f.name for f in formats if extension in f.extensions and f.writer and not f.missing(writing=True))
        data = bridge.imwrite("<bytes>", image, format=name)
        assert same(np.asarray(bridge.imread(data)), image)


@pytest.mark.parametrize("extension", sorted({claim[0] for claim in CLAIMS}))
def test_cut_files_raise(extension: str, tmp_path: Path) -> None:
    target = tmp_path / f"picture{extension}"
    channels, dtype = next(claim[1:] for claim in reversed(CLAIMS) if claim[0] == extension)
    wanted: tuple[type[errors.BridgeError], ...] = (errors.CorruptMedia, errors.TruncatedMedia, errors.LimitExceeded)
    if written_here(extension):
        bridge.imwrite(target, noise(channels, dtype, 40, 50))
        whole = target.read_bytes()
    else:
        whole = HUGE[f"picture{extension}"]
        wanted = (*wanted, errors.MissingCodec)
    for left in (12, len(whole) // 2)[: 1 if extension == ".jxl" else 2]:  # ffmpeg 9 waits for ever for its end
        target.write_bytes(whole[:left])
        with pytest.raises(wanted):
            bridge.imread(target)


HUGE = {
    "picture.qoi": b"qoif" + struct.pack(">IIBB", 1 << 20, 1 << 20, 3, 0),
    "picture.sgi": struct.pack(">HBBHHHH", 474, 0, 1, 3, 65535, 65535, 3) + bytes(500),
    "picture.hdr": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 1000000 +X 1000000\n",
    "picture.pfm": b"PF\n1000000 1000000\n-1.0\n",
    "picture.dds": b"DDS " + struct.pack("<7I", 124, 0x1007, 1 << 20, 1 << 20, 0, 0, 0) + bytes(96),
    "picture.j2k": b"\xffO\xffQ" + struct.pack(">HH8IH", 41, 0, 1 << 20, 1 << 20, 0, 0, 1 << 20, 1 << 20, 0, 0, 1)
    + b"\7\1\1",
    "picture.jxl": b"\xff\x0a" + (0b110 | (1 << 30) - 1 << 3 | 0b11 << 36 | (1 << 30) - 1 << 38).to_bytes(12, "little"),
}  # fmt: skip


@pytest.mark.parametrize("name", HUGE)
def test_headers_that_promise_too_much(name: str) -> None:
    with pytest.raises((errors.LimitExceeded, errors.MissingCodec), match=r"limit pixels|cannot read|no decoder"):
        bridge.imread(HUGE[name])


def test_an_exr_that_promises_too_much() -> None:
    data = open_exr({name: np.zeros((3, 5), "f4") for name in "RGB"})
    window, far = struct.pack("<4i", 0, 0, 4, 2), struct.pack("<4i", 0, 0, 99999, 99999)
    with pytest.raises(errors.LimitExceeded):
        bridge.imread(data.replace(window, far))


@pytest.mark.parametrize("dtype", ["f4", "f2"])
@pytest.mark.parametrize("names", ["Y", "RGB", "RGBA"])
def test_linear_values_of_an_exr_come_as_they_are(names: str, dtype: str) -> None:
    image = np.abs(noise(len(names), "f4", 5, 6)) if dtype == "f4" else noise(len(names), "u1", 5, 6)
    image = image.astype(dtype)
    planes = {name: np.atleast_3d(image)[..., at] for at, name in enumerate(names)}
    assert same(np.asarray(bridge.imread(open_exr(planes))), image.astype("f4"))


def test_an_exr_of_whole_numbers_is_refused() -> None:
    with pytest.raises(errors.UnsupportedPixels, match="32-bit integers"):
        bridge.imread(open_exr({name: np.ones((2, 2), "u4") for name in "RGB"}))


@pytest.mark.parametrize(
    ("form", "mode"),
    [("DDS", "LA"), *((form, mode) for form in ("SGI", "DDS", "JPEG2000") for mode in ("L", "RGB", "RGBA"))],
)
def test_what_pillow_writes(form: str, mode: str, tmp_path: Path) -> None:
    image = noise(len(mode), "u1", 16, 20)
    options = {"no_jp2": mode != "RGBA"} if form == "JPEG2000" else {}
    Image.fromarray(image).save(tmp_path / "picture", form, **options)
    assert same(np.asarray(bridge.imread(tmp_path / "picture")), image)


def gray_dds(image: Pixels) -> bytes:
    """Gray, or gray and alpha, with the masks that the format's own tools write."""
    channels, bits = len(image.shape) - 1, 8 * image.itemsize * (image.shape[2] if image.ndim == 3 else 1)
    one = (1 << 8 * image.itemsize) - 1
    masks = (0x20000 | (channels > 1), 0, bits, one, 0, 0, one << 8 if channels > 1 else 0)
    size = (image.shape[0], image.shape[1])
    return b"".join(
        (b"DDS ", struct.pack("<7I", 124, 0x1007, *size, 0, 0, 0), bytes(44), struct.pack("<8I", 32, *masks),
         struct.pack("<5I", 0x1000, 0, 0, 0, 0), image.tobytes())
    )  # fmt: skip


@pytest.mark.parametrize(("channels", "dtype"), [(1, "u1"), (2, "u1"), (1, "u2")])
def test_gray_dds_of_other_tools(channels: int, dtype: str) -> None:
    image = noise(channels, dtype, 10, 14)
    data = gray_dds(image)
    if dtype == "u1":
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), image)
    assert same(np.asarray(bridge.imread(data)), image)


def tiled_exr(image: Pixels, side: int) -> bytes:
    """Write OpenEXR of float32 in tiles, not compressed."""
    listed = b"".join(name + b"\0" + struct.pack("<iB3xii", 2, 0, 1, 1) for name in (b"B", b"G", b"R")) + b"\0"
    height, width = image.shape[:2]
    corners = [(x, y) for y in range(0, height, side) for x in range(0, width, side)]
    tiles = [image[y : y + side, x : x + side, ::-1].transpose(0, 2, 1).astype("<f4").tobytes() for x, y in corners]
    window = struct.pack("<4i", 0, 0, width - 1, height - 1)
    attributes = {
        "channels chlist": listed,
        "compression compression": b"\0", "dataWindow box2i": window, "displayWindow box2i": window,
        "lineOrder lineOrder": b"\0", "pixelAspectRatio float": struct.pack("<f", 1),
        "screenWindowCenter v2f": bytes(8), "screenWindowWidth float": struct.pack("<f", 1),
        "tiles tiledesc": struct.pack("<IIB", side, side, 0),
    }  # fmt: skip
    head = b"v/1\x01" + struct.pack("<I", 2 | 0x200)
    for name, value in attributes.items():
        head += name.replace(" ", "\0").encode() + b"\0" + struct.pack("<I", len(value)) + value
    head += b"\0"
    blocks = [
        struct.pack("<5i", x // side, y // side, 0, 0, len(tile)) + tile
        for (x, y), tile in zip(corners, tiles, strict=True)
    ]
    places = itertools.accumulate(map(len, blocks[:-1]), initial=len(head) + 8 * len(blocks))
    return head + b"".join(struct.pack("<Q", place) for place in places) + b"".join(blocks)


def test_an_exr_in_tiles_is_read_whole_or_not_at_all() -> None:
    image = np.abs(noise(3, "f4", 21, 37))
    data = tiled_exr(image, 16)
    assert same(np.asarray(bridge.imread(data)), image)
    for left in (len(data) - 1, len(data) - 500, len(data) // 2, 420):
        with pytest.raises((errors.TruncatedMedia, errors.CorruptMedia)):
            bridge.imread(data[:left])


@pytest.mark.parametrize("extension", [".qoi", ".sgi", ".jp2"])
def test_what_pillow_reads(extension: str, tmp_path: Path) -> None:
    image = noise(3, "u1", 12, 9)
    bridge.imwrite(tmp_path / f"picture{extension}", image)
    assert np.array_equal(np.asarray(Image.open(tmp_path / f"picture{extension}")), image)


@pytest.mark.parametrize("extension", [".exr", ".pfm", ".hdr", ".qoi", ".sgi", ".j2k"])
def test_what_cannot_be_held_is_refused(extension: str, tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedPixels, match="formats that can"):
        bridge.imwrite(tmp_path / f"picture{extension}", noise(2, "u2"))
    assert not list(tmp_path.iterdir())


def test_what_no_program_here_reads_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBRIDGE_FFMPEG", "none")
    monkeypatch.setenv("FRAMEBRIDGE_MAGICK", "none")
    with pytest.raises(errors.ToolMissing, match="install"):
        bridge.imread(HUGE["picture.jxl"], limits=bridge.Limits(pixels=1 << 62, side=1 << 31))


def test_every_claim_is_tested() -> None:
    rows = {f.name for f in formats if isinstance(f, StillFormat) and f.writer and f.still.decoder}
    assert rows == set(_LOSSLESS)
