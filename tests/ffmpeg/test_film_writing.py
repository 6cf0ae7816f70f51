"""Film out: what was appended is what the file holds, with its rate and its sound; else there is no file."""

from __future__ import annotations

import os
import signal
import subprocess
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge import errors
from bridge.errors import BridgeError

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]


def numbered(count: int, height: int = 48, width: int = 64) -> list[np.ndarray[Any, Any]]:
    """Make frames whose brightness is their number, with some texture: flat ones are no test of a codec."""
    slope = np.add.outer(np.arange(height), np.arange(width))[..., None] * np.array([1, 2, 3]) // 16 % 8
    return [(slope + 7 * number % 240).astype(np.uint8) for number in range(count)]


def codec_of_sound(path: Path) -> str | None:
    audio = bridge.probe(path).audio
    return audio.codec if audio else None


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm", "avi", "ts", "mpg", "ogv", "flv", "wmv", "mxf"])
def test_every_container_holds_every_frame(extension: str, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    frames = numbered(30, 96, 128)
    bridge.mimwrite(target, frames, fps=25)
    back = bridge.mimread(target)
    assert len(back) == 30
    for ours, theirs in zip(frames, back, strict=True):
        assert abs(float(theirs.mean()) - float(ours.mean())) < 8


def test_lossless_film_is_equal_in_every_pixel(tmp_path: Path) -> None:
    frames = list(np.random.default_rng(0).integers(0, 256, (12, 33, 47, 3), np.uint8))
    bridge.mimwrite(tmp_path / "odd.mkv", frames, fps=25, codec="ffv1", pixelformat="gbrp")
    assert np.array_equal(np.stack(bridge.mimread(tmp_path / "odd.mkv")), np.stack(frames))


@pytest.mark.parametrize(
    ("fps", "exact"),
    [(23.976, Fraction(24000, 1001)), (29.97, Fraction(30000, 1001)), (12.5, Fraction(25, 2)), (Fraction(50, 3),) * 2],
)
def test_rates_are_exact(fps: float, exact: Fraction, tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "film.mp4", numbered(10), fps=fps)
    video = bridge.probe(tmp_path / "film.mp4").video
    assert video is not None
    assert video.fps == exact


def test_the_sources_sound_goes_along_unchanged(real: Any, ffmpeg: str, tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    bridge.mimwrite(target, numbered(132), fps=25, audio_path=real("bigbuckbunny.mp4"))

    def sound(path: Path) -> bytes:
        command = [ffmpeg, "-nostdin", "-v", "error", "-i", str(path), "-map", "0:a:0", "-c", "copy", "-f", "md5", "-"]
        return subprocess.run(command, capture_output=True, check=True).stdout

    assert sound(target) == sound(real("bigbuckbunny.mp4"))
    assert codec_of_sound(target) == "aac"


def test_sound_that_the_container_cannot_hold_is_encoded(real: Any, tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "film.webm", numbered(25, 96, 128), fps=25, audio_path=real("bigbuckbunny.mp4"))
    assert codec_of_sound(tmp_path / "film.webm") == "opus"


def test_a_film_without_sound_has_none_to_give(real: Any, tmp_path: Path) -> None:
    with pytest.raises(errors.UriError, match="no audio"):
        bridge.get_writer(tmp_path / "film.mp4", audio_path=real("bikes.mp4"))


def test_gif_keeps_count_and_rate(tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "film.gif", numbered(20), fps=20)
    back = bridge.mimread(tmp_path / "film.gif")
    assert len(back) == 20
    assert back[7].shape == (48, 64, 3)
    assert abs(float(back[7].mean()) - float(numbered(8)[7].mean())) <= 4


def test_equal_neighbours_stay_two_frames(tmp_path: Path) -> None:
    for extension in ("gif", "mp4", "mkv"):
        bridge.mimwrite(tmp_path / f"still.{extension}", [np.zeros((16, 16, 3), np.uint8)] * 5, fps=10)
        assert len(bridge.mimread(tmp_path / f"still.{extension}")) == 5


def test_gray_and_16_bit_go_in(tmp_path: Path) -> None:
    gray = list(np.random.default_rng(0).integers(0, 256, (4, 32, 32), np.uint8))
    bridge.mimwrite(tmp_path / "gray.mkv", gray, codec="ffv1", pixelformat="gray")
    assert np.array_equal(np.stack(bridge.mimread(tmp_path / "gray.mkv", pixelformat="gray")), np.stack(gray))
    deep = list(np.random.default_rng(0).integers(0, 65536, (4, 32, 32), np.uint16))
    bridge.mimwrite(tmp_path / "deep.mkv", deep, codec="ffv1", pixelformat="gray16le")
    assert np.array_equal(np.stack(bridge.mimread(tmp_path / "deep.mkv", pixelformat="gray16le")), np.stack(deep))


def test_arrays_that_are_not_contiguous_go_in(tmp_path: Path) -> None:
    frames = [frame[::2, ::-1] for frame in np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)]
    bridge.mimwrite(tmp_path / "film.mkv", frames, codec="ffv1", pixelformat="gbrp")
    assert np.array_equal(np.stack(bridge.mimread(tmp_path / "film.mkv")), np.stack(frames))


# What goes wrong leaves the target as it was


GOOD = np.zeros((48, 64, 3), np.uint8)
FAILING: dict[str, tuple[list[np.ndarray[Any, Any]], dict[str, Any]]] = {
    "other size": ([GOOD, GOOD[:20]], {}),
    "other dtype": ([GOOD, GOOD.astype(np.uint16)], {}),
    "other channels": ([GOOD, GOOD[..., 0]], {}),
    "float64": ([GOOD.astype(float)], {}),
    "odd size for yuv420p": ([GOOD[:47, :63]], {}),
    "no frames": ([], {}),
    "unknown codec": ([GOOD], {"codec": "libnothing"}),
    "bad option": ([GOOD] * 9, {"output_params": ["-no_such_option", "1"]}),
    "ended early by the encoder": ([GOOD] * 9, {"output_params": ["-frames:v", "3"]}),
}


@pytest.mark.parametrize("case", FAILING)
@pytest.mark.parametrize("existing", [False, True])
def test_a_failed_writing_leaves_no_trace(case: str, existing: bool, tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    if existing:
        target.write_bytes(b"what was there before")
    frames, keywords = FAILING[case]
    with pytest.raises(BridgeError) as caught:
        bridge.mimwrite(target, frames, **keywords)
    assert str(target) in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == (["film.mp4"] if existing else [])
    assert not existing or target.read_bytes() == b"what was there before"


@pytest.mark.parametrize("when", [1, 5])
def test_a_killed_encoder_leaves_no_trace(when: int, tmp_path: Path) -> None:
    target = tmp_path / "film.mp4"
    writer = bridge.get_writer(target)
    with pytest.raises(errors.ToolFailed, match="SIGKILL"), writer:
        for number, frame in enumerate(numbered(300, 480, 640)):
            writer.append_data(frame)
            if number == when:
                os.kill(writer._sink.child.pid, signal.SIGKILL)  # type: ignore[attr-defined] # a FilmWriter has it
    assert writer.closed
    assert not list(tmp_path.iterdir())


def test_an_exception_of_the_users_leaves_no_trace_and_comes_out(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), bridge.get_writer(tmp_path / "film.mp4") as writer:
        writer.append_data(numbered(1)[0])
        1 / 0  # noqa: B018 - it is to fail
    assert not list(tmp_path.iterdir())


def test_nothing_is_visible_before_close(tmp_path: Path) -> None:
    with bridge.get_writer(tmp_path / "film.mp4") as writer:
        writer.append_data(numbered(1)[0])
        assert not (tmp_path / "film.mp4").exists()
    assert len(bridge.mimread(tmp_path / "film.mp4")) == 1


def test_a_writer_without_frames_writes_nothing(tmp_path: Path) -> None:
    with bridge.get_writer(tmp_path / "film.mp4"):
        pass
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("fps", [0, -1, float("nan"), 1e9])
def test_impossible_rates_are_refused(fps: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="fps"):
        bridge.get_writer(tmp_path / "film.mp4", fps=fps)


def test_names_are_taken_literally(tmp_path: Path) -> None:
    for name in (
        "-y.mp4",
        "a%03d.mp4",
        "x:y.mp4",
        "[0].mp4",
        " lead.mp4",
        "new\nline.mp4",
        "q'uote\".mp4",
        "$HOME.mp4",
    ):
        bridge.mimwrite(tmp_path / name, numbered(3))
        assert len(bridge.mimread(tmp_path / name)) == 3
    assert len(list(tmp_path.iterdir())) == 8
