"""Pictures of 9 to 15 bits: their samples come as they are in the file, by whichever program."""

from __future__ import annotations

import io
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from PIL import Image

import bridge
from bridge import errors
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Pixels = np.ndarray[Any, Any]

BITS = (10, 12)


def samples(bits: int, channels: int = 3) -> Pixels:
    shape = (48, 64, 3) if channels == 3 else (48, 64)
    found: Pixels = np.random.default_rng(bits).integers(0, 1 << bits, shape, dtype=np.uint16)
    found.flat[:2] = 0, (1 << bits) - 1
    return found


def by_ffmpeg(image: Pixels, bits: int, *options: str) -> bytes:
    """Have ffmpeg encode it, from planes of so many bits."""
    planes = image if image.ndim == 2 else image[..., [1, 2, 0]].transpose(2, 0, 1)
    form = f"gray{bits}le" if image.ndim == 2 else f"gbrp{bits}le"
    size = f"{image.shape[1]}x{image.shape[0]}"
    raw = ("-f", "rawvideo", "-pix_fmt", form, "-s", size, "-i", "pipe:0")
    command = [toolbox().find("ffmpeg").path, "-v", "error", *raw, "-frames:v", "1", *options, "-f", "image2pipe", "-"]
    data = np.ascontiguousarray(planes, "<u2").tobytes()
    return subprocess.run(command, input=data, capture_output=True, check=True, timeout=60).stdout


def anymap(image: Pixels, white: int) -> bytes:
    kind = "P6" if image.ndim == 3 else "P5"
    return f"{kind}\n# ours\n{image.shape[1]} {image.shape[0]}\n{white}\n".encode() + image.astype(">u2").tobytes()


def pam(image: Pixels, white: int) -> bytes:
    channels, kind = (3, "RGB") if image.ndim == 3 else (1, "GRAYSCALE")
    head = f"P7\nWIDTH {image.shape[1]}\nHEIGHT {image.shape[0]}\nDEPTH {channels}\nMAXVAL {white}\nTUPLTYPE {kind}\n"
    return f"{head}ENDHDR\n".encode() + image.astype(">u2").tobytes()


def tiff(image: Pixels, bits: int, *, deflate: bool = False) -> bytes:
    """A TIFF of packed samples, which tifffile writes as bytes that are no picture."""
    rows = [np.unpackbits(row.astype(">u2").view("u1").reshape(-1, 2), axis=1)[:, -bits:] for row in image]
    packed = np.stack([np.packbits(row) for row in rows])
    file = io.BytesIO()
    tifffile.imwrite(
        file, packed, compression="zlib" if deflate else None, byteorder="<", rowsperstrip=len(image), metadata=None
    )
    data = bytearray(file.getvalue())
    file.seek(0)
    with tifffile.TiffFile(file) as opened:
        tags = opened.pages.first.tags
        for name, value in ((256, image.shape[1]), (258, bits)):
            at = tags[name].valueoffset
            data[at : at + 2] = value.to_bytes(2, "little")
    return bytes(data)


def codestream(image: Pixels, bits: int) -> bytes:
    form = f"gray{bits}le" if image.ndim == 2 else f"gbrp{bits}le"
    return by_ffmpeg(image, bits, "-c:v", "libopenjpeg", "-pix_fmt", form, "-format:v", "j2k")


def boxed(image: Pixels, bits: int) -> bytes:
    form = f"gray{bits}le" if image.ndim == 2 else f"gbrp{bits}le"
    return by_ffmpeg(image, bits, "-c:v", "libopenjpeg", "-pix_fmt", form, "-format:v", "jp2")


def film_scan(image: Pixels, bits: int) -> bytes:
    form = f"gray{bits}be" if image.ndim == 2 else f"gbrp{bits}be"
    return by_ffmpeg(image, bits, "-c:v", "dpx", "-pix_fmt", form)


MAKERS: dict[str, Callable[[Pixels, int], bytes]] = {
    "pnm": lambda image, bits: anymap(image, (1 << bits) - 1),
    "pam": lambda image, bits: pam(image, (1 << bits) - 1),
    "j2k": codestream,
    "jp2": boxed,
}


def check(data: bytes | Path, image: Pixels, white: int) -> None:
    read = bridge.imread(data)
    assert (read.dtype, read.shape) == (image.dtype, image.shape)
    assert np.array_equal(read, image)
    assert read.meta["FILE"]["maxval"] == white


@pytest.mark.program
@pytest.mark.needs("magick", "ffmpeg")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("way", ["none", "always"])
def test_samples_come_as_they_are(
    kind: str, bits: int, channels: int, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRAMEBRIDGE_WARM", way)
    image = samples(bits, channels)
    check(MAKERS[kind](image, bits), image, (1 << bits) - 1)


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("bits", BITS)
@pytest.mark.parametrize("kind", ["j2k", "jp2"])
def test_by_ffmpeg_alone(kind: str, bits: int, channels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    image = samples(bits, channels)
    data = MAKERS[kind](image, bits)
    monkeypatch.setenv("FRAMEBRIDGE_MAGICK", "none")
    check(data, image, (1 << bits) - 1)


@pytest.mark.program
@pytest.mark.needs("magick", "ffmpeg")
@pytest.mark.parametrize("bits", BITS)
def test_film_scans(bits: int) -> None:
    image = samples(bits)
    check(film_scan(image, bits), image, (1 << bits) - 1)


@pytest.mark.program
@pytest.mark.needs("magick")
@pytest.mark.parametrize("bits", [9, 10, 11, 12, 13, 14, 15])
@pytest.mark.parametrize("deflate", [False, True])
def test_packed_tiff(bits: int, deflate: bool) -> None:
    image = samples(bits, 1)
    check(tiff(image, bits, deflate=deflate), image, (1 << bits) - 1)


@pytest.mark.program
@pytest.mark.needs("magick")
@pytest.mark.parametrize("bits", [2, 4])
@pytest.mark.parametrize("deflate", [False, True])
def test_few_bits_are_read_as_pillow_reads_them(bits: int, deflate: bool) -> None:
    data = tiff(samples(bits, 1), bits, deflate=deflate)
    with Image.open(io.BytesIO(data)) as opened:
        wanted = np.asarray(opened)
    assert wanted.max() == 255
    assert np.array_equal(bridge.imread(data), wanted)


@pytest.mark.program
@pytest.mark.needs("magick")
@pytest.mark.parametrize("white", [256, 1000, 4095, 40000, 65534])
def test_whatever_is_white(white: int) -> None:
    image = samples(16, 1) % (white + 1)
    check(anymap(image, white), image, white)


@pytest.mark.program
@pytest.mark.needs("magick")
def test_full_scale_stays(tmp_path: Path) -> None:
    image = samples(16)
    for name in ("a.png", "a.pam", "a.jp2"):
        bridge.imwrite(tmp_path / name, image)
        read = bridge.imread(tmp_path / name)
        assert np.array_equal(read, image)
        assert "maxval" not in read.meta["FILE"]


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_the_many_and_the_few_are_alike(tmp_path: Path) -> None:
    image = samples(12)
    paths = [tmp_path / f"{number}.jp2" for number in range(5)]
    for path in paths:
        path.write_bytes(boxed(image, 12))
    assert all(np.array_equal(read, image) for read in bridge.imread_many(paths))


@pytest.mark.program
@pytest.mark.needs("magick", "ffmpeg")
def test_a_part_at_another_size_has_the_same_scale() -> None:
    image = np.full((16, 16), 2000, np.uint16)
    data = anymap(image, 4095)
    assert np.array_equal(bridge.imread(data, crop=(2, 3, 8, 4)), image[3:7, 2:10])
    assert np.array_equal(bridge.imread(data, size=(8, 8)), image[:8, :8])


@pytest.mark.program
@pytest.mark.needs("magick", "ffmpeg")
def test_writing_tells_that_white_is_another_now(tmp_path: Path) -> None:
    image = bridge.imread(anymap(samples(10), 1023))
    with bridge.get_writer(tmp_path / "a.png") as writer:
        writer.append_data(image)
    assert writer.changes == ["samples are written as they are, of which 1023 was white"]
    assert np.array_equal(bridge.imread(tmp_path / "a.png"), samples(10))


# JPEG that libjpeg does not decode


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("array", [samples(8).astype("u1"), samples(8, 1).astype("u1"), samples(16, 1)])
def test_jpeg_ls_loses_nothing(array: Pixels, tmp_path: Path) -> None:
    bridge.imwrite(tmp_path / "a.jls", array)
    assert np.array_equal(bridge.imread(tmp_path / "a.jls"), array)
    assert bridge.imread((tmp_path / "a.jls").read_bytes()).dtype == array.dtype


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_jpeg_ls_of_more_than_it_holds(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedPixels, match="rgb48le"):
        bridge.imwrite(tmp_path / "a.jls", samples(16))


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_a_lossless_jpeg_is_read_by_ffmpeg(tmp_path: Path) -> None:
    image = samples(8).astype("u1")
    raw = ("-f", "rawvideo", "-pix_fmt", "bgr24", "-s", "64x48", "-i", "pipe:0")
    command = [toolbox().find("ffmpeg").path, "-v", "error", *raw, "-frames:v", "1", "-c:v", "ljpeg", "-f", "image2"]
    path = tmp_path / "a.jpg"
    data = np.ascontiguousarray(image[..., ::-1]).tobytes()
    subprocess.run([*command, "-update", "1", path], input=data, check=True, timeout=60)
    assert np.array_equal(bridge.imread(path), image)
    for left in (len(path.read_bytes()) // 2, -2):
        with pytest.raises((errors.CorruptMedia, errors.TruncatedMedia)):
            bridge.imread(path.read_bytes()[:left])
