"""Every codec in the table: what is written comes back, exactly or within a bound, or is refused in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import numpy as np
import pytest

import bridge
from bridge import errors
from bridge.ffmpeg.containers import CODECS, CONTAINERS

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

Image: TypeAlias = np.ndarray[Any, Any]


class Row(NamedTuple):
    codec: str
    extension: str
    bound: float
    keeps: set[tuple[int, str]]


# Codec, container, mean difference of 8 bits, channels and dtypes that it keeps. DNxHR wants at least 256x120.
LOSSLESS = 0.0
ROWS = [Row(*row) for row in (
    ("h264", "mp4", 2.5, {(3, "u1"), (3, "u2")}),
    ("h264", "mkv", 2.5, {(3, "u1"), (3, "u2")}),
    ("hevc", "mp4", 2.5, {(3, "u1"), (3, "u2")}),
    ("av1", "mkv", 2.5, {(3, "u1"), (3, "u2")}),
    ("vp9", "webm", 2.5, {(3, "u1"), (4, "u1"), (3, "u2")}),
    ("vp8", "webm", 5, {(3, "u1"), (4, "u1")}),
    ("mpeg2", "mpg", 6, {(3, "u1")}),
    ("mpeg2", "mxf", 6, {(3, "u1")}),
    ("mpeg4", "avi", 6, {(3, "u1")}),
    ("theora", "ogv", 4, {(3, "u1")}),
    ("wmv2", "wmv", 6, {(3, "u1")}),
    ("mjpeg", "avi", 4, {(3, "u1")}),
    ("prores", "mov", 2, {(3, "u1"), (4, "u1"), (3, "u2"), (4, "u2")}),
    ("dnxhd", "mov", 2, {(3, "u1"), (3, "u2")}),
    ("ffv1", "mkv", LOSSLESS, {(3, "u1"), (4, "u1"), (3, "u2"), (4, "u2")}),
    ("png", "mov", LOSSLESS, {(3, "u1"), (4, "u1"), (3, "u2"), (4, "u2")}),
    ("qtrle", "mov", LOSSLESS, {(3, "u1"), (4, "u1")}),
    ("huffyuv", "avi", LOSSLESS, {(3, "u1"), (4, "u1")}),
    ("ffvhuff", "mkv", LOSSLESS, {(3, "u1"), (4, "u1")}),
    ("utvideo", "avi", LOSSLESS, {(3, "u1"), (4, "u1")}),
    ("rawvideo", "avi", LOSSLESS, {(3, "u1"), (4, "u1")}),
    ("rawvideo", "mov", LOSSLESS, {(3, "u1"), (4, "u1")}),
    ("rawvideo", "nut", LOSSLESS, {(3, "u1"), (4, "u1")}),
)]  # fmt: skip
KINDS = [(3, "u1"), (4, "u1"), (3, "u2"), (4, "u2")]


def test_the_rows_are_the_whole_table() -> None:
    elsewhere = {
        "openh264",
        "gif",
        "apng",
        "webp",
        "avif",
        "wrapped",
    }  # the same as h264 where that is missing; animations; Y4M
    assert {row.codec for row in ROWS} | elsewhere == set(CODECS)
    written = {codec for container in CONTAINERS for codec in container.video}
    assert written <= set(CODECS)


def frames(channels: int, dtype: str) -> list[Image]:
    y, x = np.mgrid[0:128, 0:256]
    made = []
    for number in range(4):
        planes = [x * 0.7 + 8 * number, y * 1.5 + 4 * number, (x + y) / 2, np.where(x > 128, 255, 90)][:channels]
        picture = np.stack(planes, -1).clip(0, 255)
        made.append((picture * 257).astype(np.uint16) if dtype == "u2" else picture.astype(np.uint8))
    return made


@pytest.mark.parametrize(("channels", "dtype"), KINDS)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.codec}.{row.extension}")
def test_what_is_written_comes_back(row: Row, channels: int, dtype: str, tmp_path: Path) -> None:
    codec, extension, bound, keeps = row
    target, given = tmp_path / f"film.{extension}", frames(channels, dtype)
    writer = bridge.get_writer(target, fps=25, codec=codec)
    if (channels, dtype) not in keeps:
        with writer, pytest.raises(errors.UnsupportedPixels, match="would drop"):
            writer.append_data(given[0])
        assert not target.exists()
        return
    with writer:
        for frame in given:
            writer.append_data(frame)
    assert bool(writer.changes) == (dtype == "u2" and bound != LOSSLESS)
    with bridge.get_reader(target, dtype="uint16" if dtype == "u2" else None) as reader:
        back = list(reader)
    assert [(frame.shape, frame.dtype.str[1:]) for frame in back] == [(frame.shape, dtype) for frame in given]
    scale = 257 if dtype == "u2" else 1
    assert max(np.abs(a.astype(float) - b).mean() / scale for a, b in zip(back, given, strict=True)) <= bound


def test_an_encoder_that_takes_other_pixels_than_were_wanted_is_told(tmp_path: Path) -> None:
    """Plain ffmpeg ends with success, and the film has 8 bits."""
    target = tmp_path / "film.ogv"
    with pytest.raises(errors.UnsupportedPixels, match=r"cannot write yuv420p10le and took yuv420p"):
        bridge.mimwrite(target, frames(3, "u2"), fps=25, codec="libtheora", pixelformat="yuv420p10le")
    assert list(tmp_path.iterdir()) == []


def test_ten_bits_are_more_than_eight(tmp_path: Path) -> None:
    ramp = np.broadcast_to(np.linspace(20000, 24000, 256).astype(np.uint16)[:, None], (256, 128)).T
    given = [np.ascontiguousarray(np.stack([ramp] * 3, -1))] * 3
    bridge.mimwrite(tmp_path / "film.mov", given, fps=25, codec="prores")
    with bridge.get_reader(tmp_path / "film.mov", dtype="uint16") as reader:
        back = reader[1][..., 1].astype(float)
    assert len(np.unique(back[64])) > 30  # 8 bits have 16 steps there
    assert np.abs(back - ramp).mean() < 100
