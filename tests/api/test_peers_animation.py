"""What other libraries and the plain command get wrong with animations (points 36 and 37), and bridge does not."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import imageio.v2 as imageio
import numpy as np
import pytest
from PIL import Image as Pillow

import bridge

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clips

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]


def frames(count: int) -> list[Any]:
    return [np.full((16, 16, 3), 200 * number // count, np.uint8) for number in range(count)]


def seconds(path: Path) -> float:
    """Give how long a GIF takes, as Pillow reads it."""
    total = 0
    with Pillow.open(path) as picture:
        for number in range(picture.n_frames):  # type: ignore[attr-defined] # animations have it
            picture.seek(number)
            total += picture.info["duration"]
    return total / 1000


@pytest.mark.parametrize("fps", [40, 60, 30])
def test_point_36_a_gif_takes_as_long_as_it_should(fps: int, tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.gif", tmp_path / "theirs.gif"
    bridge.mimwrite(ours, frames(2 * fps), fps=fps)
    assert seconds(ours) == pytest.approx(2, abs=0.0101)
    with bridge.get_reader(ours) as reader:
        assert reader.durations.sum() == pytest.approx(2, abs=0.0101)
    imageio.mimwrite(theirs, frames(2 * fps), duration=1000 / fps)
    assert abs(seconds(theirs) - 2) > 0.05


def test_point_36_each_frame_its_own_time(tmp_path: Path) -> None:
    ours, theirs = tmp_path / "ours.gif", tmp_path / "theirs.gif"
    delays = [0.016, 0.025, 0.033, 0.047] * 10
    bridge.mimwrite(ours, frames(40), duration=delays)
    assert seconds(ours) == pytest.approx(sum(delays), abs=0.0101)
    imageio.mimwrite(theirs, frames(40), duration=[1000 * delay for delay in delays])
    assert abs(seconds(theirs) - sum(delays)) > 0.05


@pytest.mark.parametrize("codec", ["libvpx-vp9", "libvpx"])
def test_point_37_alpha_of_webm_is_read(codec: str, lavfi: Clips, ffmpeg: str) -> None:
    source = (
        "color=red:s=64x48:r=5:d=1,format=yuva420p,geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='if(lt(X,32),40,255)'"
    )
    path = lavfi("film.webm", source, "-c:v", codec, "-pix_fmt", "yuva420p", "-auto-alt-ref", "0", "-b:v", "1M")
    frame = bridge.mimread(path)[0]
    assert frame.shape == (48, 64, 4)
    assert np.abs(frame[:, :28, 3].astype(int) - 40).max() < 10
    assert np.abs(frame[:, 36:, 3].astype(int) - 255).max() < 10
    plain = (ffmpeg, "-v", "error", "-i", f"file:{path}", "-frames:v", "1", "-pix_fmt", "rgba", "-f", "rawvideo", "-")
    naive = np.frombuffer(subprocess.run(plain, capture_output=True, check=True, timeout=60).stdout, np.uint8)
    assert set(naive.reshape(48, 64, 4)[..., 3].ravel()) == {255}
