"""PixelFormat: the table says what FFmpeg sends, and nothing is lost between a picture and its memory."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import UnsupportedPixels
from bridge.media.pixels import _ALIASES, PIXEL_FORMATS, PixelFormat, for_array, pixel_format
from bridge.process.tools import toolbox
from tests.strategies import formats, pictures, sizes

if TYPE_CHECKING:
    from pathlib import Path

PROMISED = (
    "gray", "gray16", "rgb24", "rgb48", "rgba", "rgba64", "ya8", "ya16", "yuv420p", "yuv422p", "yuv444p",
    "yuv420p10", "yuv422p10", "yuv444p10", "nv12", "bgr24", "grayf32", "gbrpf32",
)  # fmt: skip
_COLOURS = [row for row in PIXEL_FORMATS.values() if len(row.order) >= 3]


@pytest.mark.parametrize("name", PROMISED)
def test_the_table_holds_what_is_promised(name: str) -> None:
    assert pixel_format(name).name in (name, f"{name}le")


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UnsupportedPixels, match="rgb24"):
        pixel_format("rbg24")


@given(formats, sizes)
def test_empty_has_the_bytes_of_a_frame(pixels: PixelFormat, size: tuple[int, int]) -> None:
    frame = pixels.empty(*size)
    assert frame.nbytes == pixels.nbytes(*size)
    assert frame.dtype == pixels.dtype
    assert frame.flags.c_contiguous
    frame.data.cast("B")  # a pipe can be read into it


@given(st.sampled_from([row for row in PIXEL_FORMATS.values() if not row.subsampled]), st.data())
def test_view_is_the_inverse_of_memory(pixels: PixelFormat, data: st.DataObject) -> None:
    if not pixels.packed and not pixels.order:
        return  # planar YUV is given as it lies
    image = data.draw(pictures(pixels))
    memory = pixels.memory(image)
    height, width = image.shape[:2]
    assert memory.nbytes == pixels.nbytes(width, height)
    assert memory.shape == pixels.empty(width, height).shape
    assert memory.flags.c_contiguous
    np.testing.assert_array_equal(pixels.view(memory), image)


@given(formats, sizes)
def test_memory_is_the_inverse_of_view(pixels: PixelFormat, size: tuple[int, int]) -> None:
    frame = pixels.empty(*size)
    frame.reshape(-1)[:] = np.arange(frame.size)
    np.testing.assert_array_equal(pixels.memory(pixels.view(frame)), frame)


@pytest.mark.parametrize("name", ["gray", "rgb24", "rgba", "rgb48le"])
def test_pictures_that_lie_right_are_not_copied(name: str) -> None:
    pixels = pixel_format(name)
    frame = pixels.empty(4, 3)
    assert np.shares_memory(pixels.view(frame), frame)
    assert np.shares_memory(pixels.memory(pixels.view(frame)), frame)


def test_odd_sizes_round_up_as_ffmpeg_does() -> None:
    assert pixel_format("yuv420p").nbytes(3, 3) == 9 + 2 * 4
    assert pixel_format("nv12").nbytes(3, 3) == 9 + 8
    assert pixel_format("yuv422p10").nbytes(3, 1) == 2 * (3 + 2 + 2)


@pytest.mark.parametrize("name", [row.name for row in PIXEL_FORMATS.values()])
def test_huge_frames_do_not_overflow(name: str) -> None:
    assert pixel_format(name).nbytes(1 << 20, 1 << 20) >= 1 << 40


# for_array

_DTYPES = {"uint8": (1, 2, 3, 4), "uint16": (1, 2, 3, 4), "float32": (1, 3, 4)}


@given(st.sampled_from(sorted(_DTYPES)), st.integers(0, 5), sizes)
def test_an_array_is_held_as_it_is_or_refused(dtype: str, channels: int, size: tuple[int, int]) -> None:
    image = np.zeros((*size, channels) if channels else size, dtype)
    if channels and channels not in _DTYPES[dtype]:
        with pytest.raises(UnsupportedPixels):
            for_array(image)
        return
    pixels = for_array(image)
    assert pixels.dtype == image.dtype
    assert pixels.nbytes(size[1], size[0]) == image.nbytes
    assert pixels.memory(image).nbytes == image.nbytes


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((2, 3), bool),
        np.zeros((2, 3), np.int16),
        np.zeros((2, 3), np.uint32),
        np.zeros((2, 3), np.float64),
        np.zeros((2, 3), np.float16),
        np.zeros((2, 3), complex),
        np.zeros(5, np.uint8),
        np.zeros((2, 3, 3, 3), np.uint8),
        np.zeros((0, 3), np.uint8),
        np.array(["a"]),
    ],
    ids=lambda image: f"{image.dtype}{image.shape}",
)
def test_what_no_format_holds_is_refused(image: np.ndarray[Any, Any]) -> None:
    with pytest.raises(UnsupportedPixels):
        for_array(image)


@pytest.mark.parametrize("dtype", [">u2", ">f4"])
def test_the_other_byte_order_is_taken_and_put_right(dtype: str) -> None:
    image = np.arange(6).reshape(2, 3).astype(dtype)
    memory = for_array(image).memory(image)
    np.testing.assert_array_equal(memory, image)
    assert memory.dtype.newbyteorder("=") == memory.dtype


_LAID_OTHERWISE = {
    "every second column": lambda a: a[:, ::2],
    "upside down": lambda a: a[::-1],
    "on its side": lambda a: a.transpose(1, 0, 2),
    "by columns": np.asfortranarray,
}


@pytest.mark.parametrize("make", _LAID_OTHERWISE.values(), ids=_LAID_OTHERWISE)
def test_arrays_that_lie_otherwise_come_out_right(make: Any) -> None:
    image = make(np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3))
    memory = for_array(image).memory(image)
    assert memory.flags.c_contiguous
    np.testing.assert_array_equal(memory, image)


# Against ffmpeg


def _rows(ffmpeg: str) -> list[PixelFormat]:
    """Give the rows that the ffmpeg under test knows: 4.4 lacks some."""
    known = toolbox().abilities("ffmpeg").pix_fmts
    assert ffmpeg
    return [row for row in PIXEL_FORMATS.values() if row.name in known]


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_ffmpeg_knows_the_table(ffmpeg: str) -> None:
    assert len(_rows(ffmpeg)) == len(PIXEL_FORMATS)
    assert set(_ALIASES.values()) <= set(PIXEL_FORMATS)


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize(
    "size", [(16, 16), (1, 1), (3, 5), (2, 1), (17, 9), (1, 4)], ids=lambda size: f"{size[0]}x{size[1]}"
)
def test_nbytes_is_what_ffmpeg_sends(ffmpeg: str, tmp_path: Path, size: tuple[int, int]) -> None:
    rows = _rows(ffmpeg)
    width, height = size
    command = [ffmpeg, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-i", "-"]
    for row in rows:
        command += ["-f", "rawvideo", "-pix_fmt", row.name, str(tmp_path / row.name)]
    subprocess.run(command, input=bytes(width * height * 3), check=True, timeout=60)
    sent = {row.name: (tmp_path / row.name).stat().st_size for row in rows}
    assert sent == {row.name: row.nbytes(*size) for row in rows}


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_channels_are_where_ffmpeg_puts_them(ffmpeg: str, tmp_path: Path) -> None:
    colours = np.array([[[250, 10, 60], [10, 200, 90]], [[30, 40, 250], [255, 0, 128]]], np.uint8)
    raw = ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "2x2", "-i", "-")
    rows = [row for row in _rows(ffmpeg) if row in _COLOURS]
    command = [ffmpeg, "-v", "error", *raw]
    for row in rows:
        command += ["-f", "rawvideo", "-pix_fmt", row.name, str(tmp_path / row.name)]
    subprocess.run(command, input=colours.tobytes(), check=True, timeout=60)
    for row in rows:
        frame = np.fromfile(tmp_path / row.name, row.dtype).reshape(row.empty(2, 2).shape)
        seen = row.view(frame) * (255 / (1 if row.dtype.kind == "f" else 2**row.depth - 1))
        np.testing.assert_allclose(seen[..., :3], colours, atol=1, err_msg=row.name)
        if row.channels == 4:
            np.testing.assert_allclose(seen[..., 3], 255, atol=1, err_msg=row.name)
