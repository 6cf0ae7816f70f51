"""Colours of film: what is written red reads back red, here and elsewhere, and what a file declares is believed."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any, TypeAlias

import av
import numpy as np
import pytest

import bridge
from bridge.media.colour import colour_of, usual_matrix
from bridge.media.info import VideoStream
from tests.fakes.films import turned_film

if TYPE_CHECKING:
    from pathlib import Path

Image: TypeAlias = np.ndarray[Any, Any]

PATCHES = [
    (255, 0, 0),
    (0, 255, 0),
    (0, 0, 255),
    (255, 255, 0),
    (255, 255, 255),
    (0, 0, 0),
    (128, 64, 200),
    (20, 90, 60),
]
SD, HD, FULL_HD = (320, 240), (1280, 720), (1920, 1080)


def chart(width: int, height: int) -> Image:
    """Make eight upright stripes of one colour each."""
    stripes = np.repeat(np.array(PATCHES, np.uint8), width // len(PATCHES), axis=0)
    return np.ascontiguousarray(np.broadcast_to(stripes, (height, *stripes.shape)))


def patches(frame: Image) -> Image:
    """Give the colour in the middle of each stripe."""
    step = frame.shape[1] // len(PATCHES)
    return np.asarray(frame)[frame.shape[0] // 2, step // 2 :: step, :3].astype(int)


def off(frame: Image) -> int:
    return int(np.abs(patches(frame) - np.array(PATCHES)).max())


def tags(path: Path) -> tuple[str | None, ...]:
    shown = "stream=color_range,color_space,color_primaries,color_transfer"
    command = ["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", shown, "-of", "json", str(path)]
    said = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["streams"][0]
    return tuple(said.get(f"color_{name}") for name in ("range", "space", "primaries", "transfer"))


# Pure


@pytest.mark.parametrize(
    ("size", "matrix"),
    [((720, 576), "smpte170m"), ((720, 480), "smpte170m"), ((1280, 720), "bt709"), ((608, 1080), "bt709")],
)
def test_the_usual_matrix_goes_by_size(size: tuple[int, int], matrix: str) -> None:
    assert usual_matrix(*size) == matrix


def stream(**facts: Any) -> VideoStream:
    return VideoStream(**{"index": 0, "codec": "h264", "width": 640, "height": 480, "pixel_format": "yuv420p", **facts})


@pytest.mark.parametrize(
    ("facts", "matrix", "limits", "assumed"),
    [
        ({}, "smpte170m", "tv", ("matrix", "range")),
        ({"color_space": "bt709"}, "bt709", "tv", ("range",)),
        ({"color_space": "smpte170m", "color_range": "pc"}, "smpte170m", "pc", ()),
        ({"color_space": "bt2020nc", "pixel_format": "yuv420p10le"}, "bt2020nc", "tv", ("range",)),
        ({"pixel_format": "yuvj420p"}, "smpte170m", "pc", ("matrix",)),
        ({"pixel_format": "nv12", "color_space": "a word of a later FFmpeg"}, "smpte170m", "tv", ("matrix", "range")),
        ({"pixel_format": "gbrp"}, None, None, ()),
        ({"pixel_format": None}, None, None, ()),
        ({"width": 1920, "height": 1080}, "bt709", "tv", ("matrix", "range")),
        ({"width": 1080, "height": 1920}, "bt709", "tv", ("matrix", "range")),
        ({"width": 1280, "height": 720}, "smpte170m", "tv", ("matrix", "range")),
        ({"width": 1920, "height": 1080, "color_space": "smpte170m"}, "smpte170m", "tv", ("range",)),
    ],
)
def test_what_is_declared_is_told_from_what_is_assumed(
    facts: dict[str, Any], matrix: str | None, limits: str | None, assumed: tuple[str, ...]
) -> None:
    found = colour_of(stream(**facts))
    assert (found.matrix, found.range, found.assumed) == (matrix, limits, assumed)


# Written


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm", "avi", "ts", "mpg", "ogv"])
@pytest.mark.parametrize("size", [SD, HD])
def test_red_reads_back_red(size: tuple[int, int], extension: str, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    bridge.mimwrite(target, [chart(*size) // (1 + n) for n in range(3)], fps=25, quality=9)
    with bridge.get_reader(target) as reader:
        assert off(reader[0]) <= 8  # codecs lose some
        told = extension in ("mp4", "mov", "mkv", "webm", "ts", "mpg")
        assert reader.get_meta_data()["color"]["matrix"] == (usual_matrix(*size) if told else "smpte170m")


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "ffv1"])
@pytest.mark.parametrize("size", [SD, HD])
def test_full_chroma_comes_back_within_two_levels(size: tuple[int, int], codec: str, tmp_path: Path) -> None:
    target = tmp_path / "film.mkv"
    best = {"h264": ["-qp", "0"], "hevc": ["-x265-params", "lossless=1:log-level=0"], "vp9": ["-lossless", "1"]}
    keywords: dict[str, Any] = {
        "codec": codec,
        "pixelformat": "yuv444p",
        "quality": None,
        "output_params": best.get(codec, []),
    }
    bridge.mimwrite(target, [chart(*size)] * 2, fps=25, **keywords)
    assert off(bridge.mimread(target)[1]) <= 2


@pytest.mark.program
@pytest.mark.needs("ffmpeg", "ffprobe")
@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv"])
@pytest.mark.parametrize("size", [SD, HD])
def test_the_file_says_how_its_colours_are_coded(size: tuple[int, int], extension: str, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    bridge.mimwrite(target, [chart(*size)] * 2, fps=25)
    assert tags(target) == ("tv", usual_matrix(*size), "bt709", "bt709")
    with bridge.get_reader(target) as reader:
        found = reader.get_meta_data()["color"]
    assert found == {
        "matrix": usual_matrix(*size),
        "range": "tv",
        "primaries": "bt709",
        "transfer": "bt709",
        "assumed": (),
    }


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("size", [SD, HD])
def test_another_reader_sees_the_same_red(size: tuple[int, int], tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    bridge.mimwrite(target, [chart(*size)] * 2, fps=25, quality=10)
    with av.open(str(target)) as container:
        frame = next(container.decode(video=0))
        assert frame.colorspace == (1 if size == HD else 6)  # AVCOL_SPC_BT709, AVCOL_SPC_SMPTE170M
        assert off(frame.to_ndarray(format="rgb24")) <= 8


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_gray_is_not_stretched(tmp_path: Path) -> None:
    ramp = np.ascontiguousarray(np.broadcast_to(np.arange(256, dtype=np.uint8), (64, 256)))
    bridge.mimwrite(tmp_path / "film.mp4", [ramp] * 2, fps=25, quality=10)
    back = bridge.mimread(tmp_path / "film.mp4")[0][..., 0].astype(int)
    assert np.abs(back - ramp).max() <= 3


# Read


def coded(ffmpeg: str, target: Path, *, size: tuple[int, int], matrix: str, limits: str, told: bool) -> Path:
    """Write a film with the plain program: with a matrix and range, which it says or keeps to itself."""
    names = {"smpte170m": "bt601", "bt470bg": "bt601", "bt2020nc": "bt2020"}
    scale = f"scale=out_color_matrix={names.get(matrix, matrix)}:out_range={limits},format=yuv444p"
    say = f"setparams=colorspace={matrix if told else 'unknown'}:range={limits if told else 'unknown'}"
    command = [ffmpeg, "-v", "error", "-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-i", "-"]
    command += ["-vf", f"{scale},{say}", "-c:v", "libx264", "-qp", "0"]
    command += ["-colorspace", matrix, "-color_range", limits] if told else []
    subprocess.run([*command, str(target)], input=chart(*size).tobytes(), check=True)
    return target


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("limits", ["tv", "pc"])
@pytest.mark.parametrize("matrix", ["bt709", "smpte170m", "bt470bg", "bt2020nc"])
@pytest.mark.parametrize("size", [SD, HD])
def test_a_declared_matrix_is_believed(
    size: tuple[int, int], matrix: str, limits: str, ffmpeg: str, tmp_path: Path
) -> None:
    film = coded(ffmpeg, tmp_path / "film.mkv", size=size, matrix=matrix, limits=limits, told=True)
    with bridge.get_reader(film) as reader:
        assert off(reader[0]) <= 3
        assert off(reader.get_batch([0])[0]) <= 3
        assert off(reader.get_data(0)) <= 3


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("container", ["mkv", "mp4"])
@pytest.mark.parametrize("size", [SD, HD, FULL_HD])
def test_of_a_film_that_says_nothing_the_usual_is_assumed_and_told(
    size: tuple[int, int], container: str, ffmpeg: str, tmp_path: Path
) -> None:
    usual, other = ("bt709", "smpte170m") if size == FULL_HD else ("smpte170m", "bt709")
    film = coded(ffmpeg, tmp_path / f"film.{container}", size=size, matrix=usual, limits="tv", told=False)
    with bridge.get_reader(film) as reader:
        assert off(reader[0]) <= 3
        assert off(reader.get_batch([0])[0]) <= 3
        color = reader.get_meta_data()["color"]
        assert (color["matrix"], "matrix" in color["assumed"]) == (usual, True)
    with bridge.get_reader(film) as reader:
        assert off(reader.get_batch([0])[0]) <= 3
    for keywords in ({"size": (160, 120)}, {"crop": (0, 0, size[0], 32)}, {"dtype": "uint16"}, {"fps": 25}):
        frame = bridge.mimread(film, **keywords)[0]
        assert off(frame // 257 if frame.dtype == np.uint16 else frame) <= 4
    wrong = coded(ffmpeg, tmp_path / f"wrong.{container}", size=size, matrix=other, limits="tv", told=False)
    assert off(bridge.mimread(wrong)[0]) > 10


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_planes_are_given_as_they_are_coded(ffmpeg: str, tmp_path: Path) -> None:
    film = coded(ffmpeg, tmp_path / "film.mkv", size=HD, matrix="bt709", limits="tv", told=True)
    planes = bridge.mimread(film, pixelformat="yuv444p")[0]
    command = [ffmpeg, "-v", "error", "-i", str(film), "-pix_fmt", "yuv444p", "-f", "rawvideo", "-"]
    assert np.asarray(planes).tobytes() == subprocess.run(command, capture_output=True, check=True).stdout


# As coded, or as shown


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_a_turned_film_is_turned_once_or_not_at_all(lavfi: Any, tmp_path: Path) -> None:
    plain = lavfi("plain.mp4", "testsrc2=s=96x64:r=25:d=0.4", "-c:v", "libx264", "-pix_fmt", "yuv420p")
    turned = turned_film(plain, tmp_path)
    upright = bridge.mimread(plain)
    with bridge.get_reader(turned) as reader:
        meta = reader.get_meta_data()
        assert (meta["size"], meta["source_size"], abs(meta["rotate"])) == ((64, 96), (96, 64), 90)
        assert np.array_equal(reader[3], np.rot90(upright[3], -1))
        assert np.array_equal(reader.get_batch([5])[0], np.rot90(upright[5], -1))
    with bridge.get_reader(turned, rotate=False) as reader:
        assert reader.get_meta_data()["size"] == (96, 64)
        assert np.array_equal(reader[3], upright[3])
        assert np.array_equal(reader.get_batch([5])[0], upright[5])
