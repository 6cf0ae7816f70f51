"""The keywords of imageio's ffmpeg plug-in, one by one, with their meaning; ffprobe says what was written."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from tests.contract.samples import close_to, frame

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clips
    from tests.contract.conftest import Files

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]


def level(image: np.ndarray[Any, Any]) -> float:
    return float(np.median(image))


# For reading


@pytest.mark.parametrize("name", ["rotate", "tonemap", "loop", "print_info"])
@pytest.mark.parametrize("value", [1, 90, "no", None, np.ones(2)], ids=repr)
def test_what_is_true_or_false_is_nothing_else(name: str, value: Any, files: Files) -> None:
    given: dict[str, Any] = {name: value}
    off: dict[str, Any] = {name: np.False_}
    with pytest.raises(ValueError, match=f"{name} is True or False"):
        bridge.get_reader(files("MP4"), **given)
    bridge.get_reader(files("MP4"), **off).close()


@pytest.mark.parametrize(("fps", "count"), [(25, 6), (50, 12), (12.5, 3), (None, 6)])
def test_read_fps(fps: float | None, count: int, files: Files) -> None:
    with bridge.get_reader(files("MP4"), fps=fps) as reader:
        images = list(reader)
        assert abs(len(images) - count) <= (fps not in (None, 25))
        assert reader.get_length() == len(images)
        assert close_to(images[0], frame(0))


@pytest.mark.parametrize("size", [(32, 24), "32x24", [32, 24]])
def test_read_size(size: Any, files: Files) -> None:
    image = bridge.imread(files("MP4"), size=size)
    assert close_to(image, frame(0)[:24, :32])


@pytest.mark.parametrize("dtype", ["uint16", np.uint16, np.dtype("uint16")], ids=repr)
def test_read_dtype(dtype: Any, files: Files) -> None:
    image = bridge.mimread(files("MP4"), dtype=dtype)[2]
    assert image.dtype == np.uint16
    assert image.shape == (48, 64, 3)
    assert abs(level(image) / 257 - level(frame(2))) < 10
    assert bridge.imread(files("MP4"), dtype="uint8").dtype == np.uint8


@pytest.mark.parametrize(("pixelformat", "shape"), [("gray", (48, 64)), ("rgb24", (48, 64, 3)), ("rgba", (48, 64, 4))])
def test_read_pixelformat(pixelformat: str, shape: tuple[int, ...], files: Files) -> None:
    assert bridge.imread(files("MP4"), pixelformat=pixelformat).shape == shape


@pytest.mark.parametrize("format", ["FFMPEG", "ffmpeg"])
def test_the_name_of_the_plugin_is_a_format(format: str, files: Files, tmp_path: Path) -> None:
    """What imageio calls its plug-in for film stands in many scripts: ``imageio.get_reader(path, "ffmpeg")``."""
    with bridge.get_reader(files("MP4"), format) as reader:
        assert close_to(reader.get_data(1), frame(1))
    with bridge.get_writer(tmp_path / "film.mp4", format) as writer:
        writer.append_data(frame(0))
    assert len(bridge.mimread(tmp_path / "film.mp4")) == 1


def test_read_input_params(files: Files) -> None:
    images = bridge.mimread(files("MP4"), input_params=["-ss", "0.12"])
    assert [close_to(image, frame(index)) for index, image in enumerate(images, 3)] == [True] * 3


@pytest.mark.parametrize("keyword", ["output_params", "ffmpeg_params"])
def test_read_output_params(keyword: str, files: Files) -> None:
    given: dict[str, Any] = {keyword: ["-vf", "negate"]}
    image = bridge.imread(files("MP4"), **given)
    assert abs(level(image) - (255 - level(frame(0)))) < 10


def test_read_loop(files: Files) -> None:
    with bridge.get_reader(files("MP4"), loop=True) as reader:
        for index in range(14):
            assert close_to(reader.get_next_data(), frame(index % 6))
    with bridge.get_reader(files("MP4"), loop=False) as reader, pytest.raises(IndexError):
        reader.get_data(6)


def test_read_print_info(files: Files, capfd: pytest.CaptureFixture[str]) -> None:
    bridge.imread(files("MP4"), print_info=True)
    printed = "".join(capfd.readouterr())
    assert {"h264", "64", "48"} <= set(re.findall(r"\w+", printed.replace("x", " ")))
    bridge.imread(files("MP4"), print_info=False)
    assert not "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "wrong",
    [{"size": "large"}, {"size": (0, 5)}, {"fps": 0}, {"fps": -1}, {"dtype": "float32"}, {"pixelformat": "none such"}],
    ids=str,
)
def test_read_nonsense(wrong: dict[str, Any], files: Files) -> None:
    with pytest.raises((ValueError, TypeError)):
        bridge.imread(files("MP4"), **wrong)


# For writing


def probed(path: Path, what: str = "stream") -> dict[str, Any]:
    """Ask ffprobe for the film's stream, or its file."""
    program = shutil.which("ffprobe")
    if program is None:
        pytest.skip("no ffprobe to ask")
    select = ("-show_streams",) if what == "stream" else (f"-show_{what}",)
    done = subprocess.run(
        [program, "-v", "error", "-of", "json", *select, path], check=True, capture_output=True, timeout=60
    )
    found = json.loads(done.stdout)
    if what != "stream":
        return dict(found[what])
    return {stream["codec_type"]: stream for stream in found["streams"]}


def noise(count: int = 10, height: int = 96, width: int = 128) -> list[np.ndarray[Any, Any]]:
    return list(np.random.default_rng(0).integers(0, 256, (count, height, width, 3), np.uint8))


def flat(count: int = 4, height: int = 48, width: int = 64) -> list[np.ndarray[Any, Any]]:
    return [np.full((height, width, 3), 20 * index, np.uint8) for index in range(count)]


@pytest.mark.parametrize("fps", [5, 29.97, Fraction(24000, 1001)])
def test_write_fps(fps: Any, tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "film.mp4", flat(), fps=fps)
    rate = Fraction(probed(tmp_path / "film.mp4")["video"]["avg_frame_rate"])
    assert float(rate) == pytest.approx(float(Fraction(fps)), rel=1e-4)


@pytest.mark.parametrize(("codec", "name"), [("libx264", "h264"), ("mpeg4", "mpeg4"), ("h264", "h264")])
def test_write_codec(codec: str, name: str, tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "film.mp4", flat(), codec=codec)
    assert probed(tmp_path / "film.mp4")["video"]["codec_name"] == name


def test_write_bitrate(tmp_path: Path) -> None:
    sizes = []
    for bitrate in (60_000, "6M", 6_000_000):
        bridge.mimwrite(tmp_path / "film.mp4", noise(), bitrate=bitrate)
        sizes.append((tmp_path / "film.mp4").stat().st_size)
    assert sizes[0] < sizes[1] / 2
    assert abs(sizes[1] - sizes[2]) <= 64


def test_write_quality(tmp_path: Path) -> None:
    sizes = []
    for quality in (0, 2, 5, 8, 10, None):
        bridge.mimwrite(tmp_path / "film.mp4", noise(), quality=quality)
        sizes.append((tmp_path / "film.mp4").stat().st_size)
    assert sizes[:5] == sorted(sizes[:5])
    assert sizes[0] < sizes[4] / 2


def test_write_pixelformat(tmp_path: Path) -> None:
    for pixels in ("yuv444p", "yuv420p"):
        bridge.mimwrite(tmp_path / "film.mp4", flat(), pixelformat=pixels)
        assert probed(tmp_path / "film.mp4")["video"]["pix_fmt"] == pixels


@pytest.mark.parametrize(("block", "size"), [(None, (51, 31)), (1, (51, 31)), (2, (52, 32)), (16, (64, 32))])
def test_write_macro_block_size(block: int | None, size: tuple[int, int], tmp_path: Path) -> None:
    """No frame is scaled unless it is asked for: an odd size is kept, or refused."""
    given: dict[str, Any] = {} if block is None else {"macro_block_size": block}
    try:
        bridge.mimwrite(tmp_path / "film.mp4", flat(4, 31, 51), **given)
    except bridge.errors.UnsupportedPixels as error:
        assert "macro_block_size" in str(error)  # noqa: PT017 - either way is right
        assert size == (51, 31)
        assert not list(tmp_path.iterdir())
        return
    video = probed(tmp_path / "film.mp4")["video"]
    assert (video["width"], video["height"]) == size
    image = bridge.mimread(tmp_path / "film.mp4")[2]
    assert close_to(image, np.full((size[1], size[0], 3), 40, np.uint8))


@pytest.mark.parametrize("codec", [None, "aac", "copy"])
def test_write_audio(codec: str | None, lavfi: Clips, tmp_path: Path) -> None:
    sound = lavfi("sound.m4a", "sine=d=1", "-c:a", "aac")
    given: dict[str, Any] = {"audio_codec": codec} if codec else {}
    bridge.mimwrite(tmp_path / "film.mp4", flat(10), fps=10, audio_path=str(sound), **given)
    streams = probed(tmp_path / "film.mp4")
    assert streams["audio"]["codec_name"] == "aac"
    assert float(streams["audio"]["duration"]) == pytest.approx(1, abs=0.1)
    assert len(bridge.mimread(tmp_path / "film.mp4")) == 10


@pytest.mark.parametrize("keyword", ["output_params", "ffmpeg_params"])
def test_write_output_params(keyword: str, tmp_path: Path) -> None:
    given: dict[str, Any] = {keyword: ["-metadata", "title=a title"]}
    bridge.mimwrite(tmp_path / "film.mp4", flat(), **given)
    assert probed(tmp_path / "film.mp4", "format")["tags"]["title"] == "a title"


def test_write_input_params_and_log_level(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    both: list[dict[str, Any]] = [{"input_params": ["-thread_queue_size", "8"]}, {"ffmpeg_log_level": "error"}]
    for number, given in enumerate(both):
        bridge.mimwrite(tmp_path / f"{number}.mp4", flat(), **given)
        assert len(bridge.mimread(tmp_path / f"{number}.mp4")) == 4
    assert not "".join(capfd.readouterr())


@pytest.mark.parametrize(
    "wrong",
    [{"fps": 0}, {"fps": "fast"}, {"quality": 11}, {"quality": -1}, {"codec": "no such"}, {"pixelformat": "no such"},
     {"macro_block_size": 0}, {"bitrate": "much"}, {"audio_path": "no/such/file.wav"}],
    ids=str,
)  # fmt: skip
def test_write_nonsense(wrong: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises((ValueError, TypeError, bridge.BridgeError)):
        bridge.mimwrite(tmp_path / "film.mp4", flat(), **wrong)
    assert not list(tmp_path.iterdir())
