"""Film in: every frame is the one that ffmpeg's own command gives, in order, at random, and at its time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge import errors

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]


def decoded(ffmpeg: str, clip: Path, pixels: str = "rgb24") -> bytes:
    """Decode by an independent command; from 5.1 on the option that keeps frames has another name."""
    for option in ("-fps_mode", "-vsync"):
        command = [ffmpeg, "-nostdin", "-v", "error", "-i", str(clip), "-map", "0:v:0", option, "passthrough"]
        command += ["-f", "rawvideo", "-pix_fmt", pixels, "-"]
        ran = subprocess.run(command, capture_output=True, check=False)
        if ran.returncode == 0:
            return ran.stdout
    raise AssertionError(ran.stderr)


@pytest.mark.parametrize("name", ["bikes.mp4", "bigbuckbunny.mp4", "carphone_pristine.mp4", "carphone_distorted.mp4"])
def test_every_frame_equals_ffmpegs(name: str, real: Any, ffmpeg: str) -> None:
    wanted = decoded(ffmpeg, real(name))
    at = 0
    with bridge.get_reader(real(name)) as reader:
        for frame in reader:
            assert frame.tobytes() == wanted[at : at + frame.nbytes], f"frame {at // frame.nbytes} differs"
            at += frame.nbytes
    assert at == len(wanted)


@pytest.mark.parametrize("pixels", ["gray", "rgba", "bgr24", "rgb48le", "yuv420p", "yuv444p10le", "nv12", "gbrp"])
def test_other_pixel_formats_equal_ffmpegs(pixels: str, real: Any, ffmpeg: str) -> None:
    wanted = decoded(ffmpeg, real("carphone_pristine.mp4"), pixels)
    frames = bridge.mimread(real("carphone_pristine.mp4"), pixelformat=pixels)
    assert len(frames) == 120
    if pixels == "bgr24":  # the array is RGB whatever the order in memory
        frames = [frame[..., ::-1] for frame in frames]  # type: ignore[misc] # Arrays stay arrays
    if pixels == "gbrp":
        frames = [np.stack([frame[..., 1], frame[..., 2], frame[..., 0]]) for frame in frames]  # type: ignore[misc] # Arrays stay arrays
    assert b"".join(frame.tobytes() for frame in frames) == wanted


@pytest.mark.needs("ffprobe")
def test_variable_rate_gives_each_frame_once_with_its_time(lavfi: Any) -> None:
    clip = lavfi(
        "vfr.mkv",
        "testsrc2=s=64x48:r=30:d=2",
        "-vf",
        "select='not(mod(n,3))+not(mod(n,7))'",
        "-fps_mode",
        "passthrough",
    )
    listed = subprocess.run(
        ["ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "frame=pts_time", "-of", "csv=p=0", clip],
        capture_output=True,
        text=True,
        check=True,
    )
    times = [float(line.strip(",")) for line in listed.stdout.split()]
    with bridge.get_reader(clip) as reader:
        got = [frame.meta["time"] for frame in reader]
        assert len(reader) == len(times) == 26
    assert got == pytest.approx(times, abs=1e-6)
    assert [frame.meta["index"] for frame in bridge.mimread(clip)] == list(range(26))


def test_random_access_forward_and_back(real: Any) -> None:
    frames = bridge.mimread(real("carphone_pristine.mp4"))
    with bridge.get_reader(real("carphone_pristine.mp4")) as reader:
        for index in (5, 6, 40, 3, 0, np.int64(119), -1, -120):
            assert np.array_equal(reader.get_data(int(index)), frames[int(index)])
        reader.set_image_index(7)
        assert np.array_equal(reader.get_next_data(), frames[7])
        assert np.array_equal(reader[8], frames[8])
        assert reader.get_meta_data(9)["index"] == 9


def test_the_first_next_frame_is_the_first(real: Any) -> None:
    with bridge.get_reader(real("bikes.mp4")) as reader:
        assert reader.get_next_data().meta["index"] == 0
        assert reader.get_next_data().meta["index"] == 1


@pytest.mark.parametrize("index", [120, 10**9, -121])
def test_no_such_frame(index: int, real: Any) -> None:
    with bridge.get_reader(real("carphone_pristine.mp4")) as reader, pytest.raises(errors.NoSuchFrame, match="120"):
        reader.get_data(index)


@pytest.mark.parametrize("index", ["0", 1.0, None])
def test_an_index_is_an_integer(index: Any, real: Any) -> None:
    with bridge.get_reader(real("carphone_pristine.mp4")) as reader, pytest.raises(TypeError):
        reader.get_data(index)


def test_metadata_has_imageios_names(real: Any) -> None:
    with bridge.get_reader(real("bigbuckbunny.mp4")) as reader:
        meta = reader.get_meta_data()
    assert meta["fps"] == 25
    assert meta["size"] == meta["source_size"] == (1280, 720)
    assert meta["duration"] == pytest.approx(5.312, abs=0.05)
    assert (meta["codec"], meta["pix_fmt"], meta["audio_codec"]) == ("h264", "yuv420p", "aac")


def test_imread_of_a_film_gives_its_first_frame(real: Any) -> None:
    first = bridge.imread(real("bikes.mp4"))
    assert first.shape == (272, 640, 3)
    assert (first.meta["index"], first.meta["fps"]) == (0, 25)


def test_a_portrait_phone_clip_is_portrait(lavfi: Any, ffmpeg: str, tmp_path: Path) -> None:
    clip = lavfi("flat.mp4", "testsrc2=s=96x64:d=0.5")
    turned = tmp_path / "turned.mov"
    old = [ffmpeg, "-nostdin", "-v", "error", "-i", clip, "-c", "copy", "-metadata:s:v", "rotate=90", turned]
    new = [ffmpeg, "-nostdin", "-v", "error", "-y", "-display_rotation", "90", "-i", clip, "-c", "copy", turned]
    assert 0 in (subprocess.run(command, stderr=subprocess.DEVNULL, check=False).returncode for command in (old, new))
    video = bridge.probe(turned).video
    assert video is not None
    if video.rotation % 180 == 0:  # this ffmpeg writes one way, but reads the other
        subprocess.run(new, check=True)
    with bridge.get_reader(turned) as reader:
        assert reader.get_data(0).shape == (96, 64, 3)


def test_unknown_keyword_is_named(real: Any) -> None:
    with pytest.raises(TypeError, match="bogus"):
        bridge.get_reader(real("bikes.mp4"), bogus=1)


@pytest.mark.parametrize("cut", [0.3, 0.6, 0.9])
def test_a_cut_stream_is_never_longer_and_never_padded(cut: float, lavfi: Any, tmp_path: Path) -> None:
    clip = lavfi("whole.mkv", "testsrc2=s=160x120:d=1", "-c:v", "ffv1")
    frames = bridge.mimread(clip)
    part = tmp_path / "part.mkv"
    part.write_bytes(clip.read_bytes()[: int(clip.stat().st_size * cut)])
    got: list[np.ndarray[Any, Any]] = []
    with bridge.get_reader(part) as reader, contextlib.suppress(errors.TruncatedMedia):
        got.extend(frame for frame in reader)
    assert 0 < len(got) < len(frames)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(got[:-1], frames, strict=False))


def test_a_killed_decoder_is_told_with_the_frames_that_came(real: Any) -> None:
    with bridge.get_reader(real("bigbuckbunny.mp4")) as reader:
        reader.get_data(2)
        os.kill(reader._decoder.child.pid, signal.SIGKILL)  # type: ignore[attr-defined] # a FilmReader has it
        with pytest.raises(errors.ToolFailed, match="SIGKILL") as caught:
            for _ in range(200):
                reader.get_next_data()
    assert caught.value.got
    assert caught.value.exit.signal == signal.SIGKILL


def test_closed_reader_says_so(real: Any) -> None:
    reader = bridge.get_reader(real("bikes.mp4"))
    reader.close()
    reader.close()
    assert reader.closed
    for call in (reader.get_length, reader.get_meta_data, reader.get_next_data, lambda: len(reader)):
        with pytest.raises(errors.Closed):
            call()


def test_mimread_guards_memory(real: Any) -> None:
    with pytest.raises(errors.LimitExceeded, match="memtest"):
        bridge.mimread(real("bigbuckbunny.mp4"))
    with pytest.raises(errors.LimitExceeded):
        bridge.mimread(real("carphone_pristine.mp4"), memtest=1000)
    assert len(bridge.mimread(real("carphone_pristine.mp4"), memtest=False)) == 120


@pytest.mark.needs("ffprobe")
def test_frames_that_change_their_size_keep_it(lavfi: Any, tmp_path: Path) -> None:
    small = lavfi("small.ts", "testsrc2=s=160x120:d=1", "-c:v", "mpeg2video")
    large = lavfi("large.ts", "testsrc2=s=320x240:d=1", "-c:v", "mpeg2video")
    both = tmp_path / "both.ts"
    both.write_bytes(small.read_bytes() + large.read_bytes())
    with bridge.get_reader(both) as reader:
        frames = list(reader)
        assert len(reader) == len(frames)
        assert np.array_equal(reader[30], frames[30])
        with pytest.raises(errors.UnsupportedPixels, match="one by one"):
            reader.get_batch([0, 30])
    shapes = [frame.shape for frame in frames]
    assert shapes[:24] == 24 * [(120, 160, 3)]
    assert shapes[-24:] == 24 * [(240, 320, 3)]
    assert len(frames) in (49, 50)  # FFmpeg's decoder loses the one that it holds back where the size changes
