"""What others change behind the user's back: each test shows the plain command doing it, and us not."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

import bridge
from bridge import errors
from bridge.process.tools import toolbox
from tests.fakes.films import turned_film

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clips

pytestmark = pytest.mark.program

RED = np.broadcast_to(np.array([255, 0, 0], np.uint8), (1080, 1920, 3))


def raw(size: tuple[int, int]) -> tuple[str, ...]:
    return ("-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[0]}x{size[1]}", "-i", "-")


def middle(frames: bytes) -> list[int]:
    """Give the colour in the middle of the first Full HD frame."""
    pixels = np.frombuffer(frames, np.uint8).reshape(-1, 1080, 1920, 3)
    return [int(value) for value in pixels[0, 540, 960]]


@pytest.mark.needs("ffmpeg")
def test_32_frames_keep_their_size(ffmpeg: str, tmp_path: Path) -> None:
    frames = [np.full((118, 162, 3), 10 * number, np.uint8) for number in range(5)]
    naive, ours = tmp_path / "naive.mp4", tmp_path / "ours.mp4"
    blocks = "scale=ceil(iw/16)*16:ceil(ih/16)*16"  # as imageio-ffmpeg does it unless told otherwise
    command = [ffmpeg, "-v", "error", *raw((162, 118)), "-vf", blocks, "-pix_fmt", "yuv420p", str(naive)]
    subprocess.run(command, input=np.stack(frames).tobytes(), check=True, timeout=60)
    assert bridge.imread(naive).shape == (128, 176, 3)
    bridge.mimwrite(ours, frames, fps=25)
    assert bridge.imread(ours).shape == (118, 162, 3)
    with pytest.raises(errors.BridgeError, match=r"pad=True.*crop=True"):
        bridge.mimwrite(tmp_path / "odd.mp4", [np.zeros((117, 161, 3), np.uint8)], fps=25)
    assert not (tmp_path / "odd.mp4").exists()


@pytest.mark.needs("ffmpeg")
def test_33_red_stays_red_for_who_takes_full_hd_for_bt709(ffmpeg: str, tmp_path: Path) -> None:
    naive, ours = tmp_path / "naive.mp4", tmp_path / "ours.mp4"
    command = [ffmpeg, "-v", "error", *raw((1920, 1080)), "-pix_fmt", "yuv444p", "-qp", "0", str(naive)]
    subprocess.run(command, input=RED.tobytes(), check=True, timeout=60)
    bridge.mimwrite(ours, [RED] * 2, fps=25, pixelformat="yuv444p", output_params=["-qp", "0"])

    def as_bt709(film: Path) -> list[int]:
        told = ["-vf", "scale=in_color_matrix=bt709,format=rgb24", "-frames:v", "1", "-f", "rawvideo", "-"]
        return middle(
            subprocess.run([ffmpeg, "-v", "error", "-i", str(film), *told], capture_output=True, check=True).stdout
        )

    assert np.abs(np.subtract(as_bt709(naive), [255, 0, 0])).max() > 10
    assert np.abs(np.subtract(as_bt709(ours), [255, 0, 0])).max() <= 2
    assert np.abs(bridge.imread(ours)[540, 960].astype(int) - [255, 0, 0]).max() <= 2
    plain = [ffmpeg, "-v", "error", "-i", str(ours), "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    auto = middle(subprocess.run(plain, capture_output=True, check=True).stdout)
    assert np.abs(np.subtract(auto, [255, 0, 0])).max() <= 2  # it says how it is coded


@pytest.mark.needs("ffmpeg", "ffprobe")
def test_34_a_film_that_is_held_upright_is_read_upright(lavfi: Clips, ffmpeg: str, tmp_path: Path) -> None:
    flat = lavfi("flat.mp4", "testsrc2=s=96x64:r=25:d=0.2", "-c:v", "libx264", "-pix_fmt", "yuv420p")
    upright = turned_film(flat, tmp_path)
    want = np.rot90(bridge.imread(flat), -1)
    probe = [toolbox().find("ffprobe").path, "-v", "error", "-show_streams", "-of", "json", str(upright)]
    stream = json.loads(subprocess.run(probe, capture_output=True, check=True).stdout)["streams"][0]
    command = [ffmpeg, "-v", "error", "-i", str(upright), "-frames:v", "1", "-pix_fmt", "rgb24", "-f", "rawvideo", "-"]
    sent = subprocess.run(command, capture_output=True, check=True).stdout
    naive = np.frombuffer(sent, np.uint8).reshape(stream["height"], stream["width"], 3)  # as the header has it
    assert naive.shape != want.shape
    assert np.array_equal(bridge.imread(upright), want)
    with bridge.get_reader(upright) as reader:
        meta = reader.get_meta_data()
        assert (meta["size"], meta["source_size"], abs(meta["rotate"])) == ((64, 96), (96, 64), 90)


@pytest.mark.needs("magick")
@pytest.mark.parametrize("top", [1, 200, 255, 65535])
def test_35_the_dtype_decides_the_depth_never_the_values(top: int, tmp_path: Path) -> None:
    picture = np.linspace(0, top, 24 * 32).astype(np.uint16).reshape(24, 32)
    picture = np.where(picture < 256, picture, picture // 257) * np.uint16(257 if top > 255 else 1)
    bridge.imwrite(tmp_path / "ours.png", picture)
    with Image.open(tmp_path / "ours.png") as ours:
        assert ours.mode == "I;16"
        assert np.array_equal(np.asarray(ours), picture)
    back = bridge.imread(tmp_path / "ours.png")
    assert back.dtype == np.uint16
    assert np.array_equal(back, picture)


@pytest.mark.needs("magick")
def test_35_the_plain_command_looks_at_the_values(tmp_path: Path) -> None:
    picture: np.ndarray[Any, Any] = np.arange(256, dtype=">u2").reshape(16, 16) * 257
    command = [toolbox().find("magick").path, "pgm:-", str(tmp_path / "naive.png")]
    subprocess.run(command, input=b"P5 16 16 65535\n" + picture.tobytes(), check=True, timeout=60)
    with Image.open(tmp_path / "naive.png") as naive:
        assert naive.mode == "L"
    bridge.imwrite(tmp_path / "ours.png", picture.astype(np.uint16))
    with Image.open(tmp_path / "ours.png") as ours:
        assert ours.mode == "I;16"
