"""``framebridge convert``: between real files, and what it refuses."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
import pytest

import bridge
from bridge.cli.notes import Pace
from tests.cli.conftest import command_line

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Framebridge
    from tests.conftest import Clips, Media

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

NTSC = "testsrc2=s=64x48:r=30000/1001:d=1[out0];sine=d=1[out1]"


@pytest.fixture
def film(lavfi: Clips) -> Path:
    """Thirty frames at 29.97 per second, with sound."""
    return lavfi("ntsc.mkv", NTSC, "-c:v", "ffv1", "-pix_fmt", "bgr0", "-c:a", "aac")


def length(path: Path, format: str | None = None) -> int:
    with bridge.get_reader(path, format, "I") as reader:
        return len(reader)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Film


def test_a_film_keeps_its_frames_its_rate_and_its_sound(framebridge: Framebridge, film: Path, tmp_path: Path) -> None:
    ran = framebridge("convert", film, tmp_path / "a.mp4")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "30 frames, 64x48, 29.97" in ran.stdout
    info = bridge.probe(tmp_path / "a.mp4")
    assert info.video is not None
    assert info.video.fps == Fraction(30000, 1001)
    assert info.audio is not None
    assert length(tmp_path / "a.mp4") == 30


def test_a_film_without_loss_is_the_same_in_every_pixel(framebridge: Framebridge, film: Path, tmp_path: Path) -> None:
    framebridge("convert", film, tmp_path / "a.nut", "--no-audio")
    with bridge.get_reader(film) as before, bridge.get_reader(tmp_path / "a.nut") as after:
        for ours, theirs in zip(before, after, strict=True):
            np.testing.assert_array_equal(ours, theirs)
    assert bridge.probe(tmp_path / "a.nut").audio is None


def test_another_rate_plays_every_frame_without_sound(framebridge: Framebridge, film: Path, tmp_path: Path) -> None:
    framebridge("convert", film, tmp_path / "a.mp4", "--fps", "60000/1001")
    info = bridge.probe(tmp_path / "a.mp4")
    assert info.video is not None
    assert info.video.fps == Fraction(60000, 1001)
    assert info.audio is None
    assert length(tmp_path / "a.mp4") == 30


def test_every_nth_frame_at_the_same_speed(framebridge: Framebridge, film: Path, tmp_path: Path) -> None:
    framebridge("convert", film, tmp_path / "a.mkv", "--every", "4", "--codec", "ffv1")
    info = bridge.probe(tmp_path / "a.mkv")
    assert info.video is not None
    assert info.video.codec == "ffv1"
    assert info.video.fps == pytest.approx(7.4925, rel=1e-3)
    assert info.audio is not None
    assert length(tmp_path / "a.mkv") == 8


def test_a_film_to_gif_and_back(framebridge: Framebridge, film: Path, tmp_path: Path) -> None:
    made = framebridge("convert", film, tmp_path / "a.gif", "--every", "3")
    assert made.returncode == 0
    rounded = "note: times were rounded to the 0.01 s that GIF counts in\n"
    assert made.stderr == "note: DST holds no sound\n" + rounded
    assert length(tmp_path / "a.gif", "GIF-FFMPEG") == 10
    back = framebridge("convert", tmp_path / "a.gif", tmp_path / "b.mp4")
    assert back.returncode == 0
    assert length(tmp_path / "b.mp4") == 10
    assert bridge.probe(tmp_path / "b.mp4").duration == pytest.approx(1.0, abs=0.11)


def test_what_was_rounded_is_said(framebridge: Framebridge, film: Path, tmp_path: Path) -> None:
    made = framebridge("convert", film, tmp_path / "a.gif", "--every", "2", "--no-audio")
    assert made.returncode == 0
    assert "note: times were rounded to the 0.01 s" in made.stderr


def test_real_footage(framebridge: Framebridge, real: Media, tmp_path: Path) -> None:
    ran = framebridge("convert", real("bikes.mp4"), tmp_path / "a.mkv", "--every", "25", "--quiet")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert length(tmp_path / "a.mkv") == 10


def test_what_is_lost_is_said(framebridge: Framebridge, lavfi: Clips, tmp_path: Path) -> None:
    deep = lavfi("deep.mkv", "testsrc2=s=32x32:d=0.2,setsar=4/3", "-c:v", "ffv1", "-pix_fmt", "yuv420p10le")
    said = framebridge("convert", deep, tmp_path / "a.mp4").stderr
    assert "note: yuv420p10le was read with 8 bits a channel\n" in said
    assert "note: SRC has pixels of 4/3, DST has square ones\n" in said


def test_uneven_times_are_kept_where_they_can_be_and_else_said(
    framebridge: Framebridge, lavfi: Clips, tmp_path: Path
) -> None:
    uneven = lavfi("uneven.mkv", "testsrc2=s=32x32:r=10:d=1,setpts=N*N/(10*TB)", "-c:v", "ffv1")
    with bridge.get_reader(uneven) as reader:
        times = reader.timestamps
    ran = framebridge("convert", uneven, tmp_path / "a.mp4")
    assert (ran.returncode, ran.stderr) == (0, "")
    with bridge.get_reader(tmp_path / "a.mp4") as reader:
        assert list(reader.timestamps) == pytest.approx(list(times - times[0]), abs=1e-6)
    ran = framebridge("convert", uneven, tmp_path / "b.mkv", "--every", "3")
    assert (ran.returncode, ran.stderr) == (0, "")
    with bridge.get_reader(tmp_path / "b.mkv") as reader:
        assert list(reader.timestamps) == pytest.approx(list((times - times[0])[::3]), abs=2e-3)
    ran = framebridge("convert", uneven, tmp_path / "a.avi")
    assert ran.returncode == 0
    assert "are not evenly spaced" in ran.stderr


def test_transparency_goes_along_where_it_can_and_is_else_said(
    framebridge: Framebridge, lavfi: Clips, tmp_path: Path
) -> None:
    graph = "testsrc2=s=64x48:d=0.2,format=rgba,colorchannelmixer=aa=0.5"
    film = lavfi("veil.webm", graph, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p")
    ran = framebridge("convert", film, tmp_path / "a.mkv", "--codec", "ffv1")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert bridge.mimread(tmp_path / "a.mkv")[2].shape == (48, 64, 4)
    ran = framebridge("convert", film, tmp_path / "a.mp4")
    assert ran.returncode == 0
    assert "transparency" in ran.stderr
    assert bridge.mimread(tmp_path / "a.mp4")[2].shape == (48, 64, 3)


def test_an_even_pace_is_not_said() -> None:
    pace = Pace(Fraction(30000, 1001))
    for index in range(1000):
        pace.add(index, 7 + round(index * 1001 / 30000, 3))
    assert pace.note() == []


# Numbered pictures


def test_a_film_to_numbered_pictures(framebridge: Framebridge, film: Path, tmp_path: Path) -> None:
    ran = framebridge("convert", film, tmp_path / "f%03d.png", "--every", "10")
    assert ran.returncode == 0
    assert ran.stdout.startswith("3 pictures: ")
    assert names(tmp_path) == ["f000.png", "f001.png", "f002.png"]
    with bridge.get_reader(film) as reader:
        for number in range(3):
            np.testing.assert_array_equal(bridge.imread(tmp_path / f"f00{number}.png"), reader[10 * number])


def test_other_percent_signs_mean_nothing(framebridge: Framebridge, film: Path, tmp_path: Path) -> None:
    (tmp_path / "50%d").mkdir()
    framebridge("convert", film, tmp_path / "50%d" / "100%s %d%%.png", "--every", "20")
    assert names(tmp_path / "50%d") == ["100%s 0%%.png", "100%s 1%%.png"]


def test_pictures_that_are_there_stop_it(framebridge: Framebridge, film: Path, tmp_path: Path) -> None:
    (tmp_path / "f7.png").touch()
    ran = framebridge("convert", film, tmp_path / "f%d.png")
    assert ran.returncode == 1
    assert "f7.png exists already; --force replaces it" in ran.stderr
    assert names(tmp_path) == ["f7.png"]
    assert framebridge("convert", film, tmp_path / "f%d.png", "--every", "15", "--force").returncode == 0
    assert names(tmp_path) == ["f0.png", "f1.png", "f7.png"]


def test_a_film_into_one_picture_is_refused_with_the_way(framebridge: Framebridge, film: Path, tmp_path: Path) -> None:
    ran = framebridge("convert", film, tmp_path / "a.png")
    assert ran.returncode == 1
    assert "as in a%04d.png" in ran.stderr
    assert names(tmp_path) == []


# Pictures


def test_a_picture_keeps_its_depth(framebridge: Framebridge, tmp_path: Path) -> None:
    picture = np.arange(12 * 16 * 3, dtype=np.uint16).reshape(12, 16, 3) * 100
    bridge.imwrite(tmp_path / "a.tif", picture)
    for source, target in (("a.tif", "b.png"), ("b.png", "c.npy"), ("c.npy", "d.tif")):
        assert framebridge("convert", tmp_path / source, tmp_path / target).returncode == 0
        np.testing.assert_array_equal(bridge.imread(tmp_path / target), picture)


def test_what_is_white_stays_white(framebridge: Framebridge, tmp_path: Path) -> None:
    """Samples of 10 bits get the full scale of 16, where a PNG could not tell them from dark ones."""
    samples = np.arange(1024, dtype=np.uint16).reshape(32, 32)
    (tmp_path / "a.pgm").write_bytes(b"P5\n32 32\n1023\n" + samples.astype(">u2").tobytes())
    assert framebridge("convert", tmp_path / "a.pgm", tmp_path / "b.png").returncode == 0
    made = bridge.imread(tmp_path / "b.png")
    assert (made[0, 0], made[-1, -1]) == (0, 65535)
    assert np.array_equal(np.rint(made / 65535 * 1023), samples)


def test_a_real_picture_and_its_quality(framebridge: Framebridge, real: Media, tmp_path: Path) -> None:
    for quality in (30, 90):
        ran = framebridge("convert", real("astronaut.png"), tmp_path / f"{quality}.jpg", "--quality", quality)
        assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "30.jpg").stat().st_size < (tmp_path / "90.jpg").stat().st_size


def test_a_stack_stays_one(framebridge: Framebridge, tmp_path: Path) -> None:
    stack = np.arange(5 * 6 * 7, dtype=np.uint8).reshape(5, 6, 7)
    bridge.imwrite(tmp_path / "a.tif", stack)
    assert framebridge("convert", tmp_path / "a.tif", tmp_path / "b.npz").returncode == 0
    assert framebridge("convert", tmp_path / "a.tif", tmp_path / "c.npy").returncode == 0
    np.testing.assert_array_equal(np.stack(bridge.mimread(tmp_path / "b.npz")), stack)
    np.testing.assert_array_equal(np.load(tmp_path / "c.npy"), stack)


# What is refused


def test_an_existing_target_is_untouched(framebridge: Framebridge, film: Path, tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"mine")
    ran = framebridge("convert", film, tmp_path / "a.mp4")
    assert ran.returncode == 1
    assert ran.stderr.endswith("a.mp4 exists already; --force replaces it\n")
    assert (tmp_path / "a.mp4").read_bytes() == b"mine"
    assert framebridge("convert", film, tmp_path / "a.mp4", "-f").returncode == 0
    assert length(tmp_path / "a.mp4") == 30


def test_the_source_is_never_the_target(framebridge: Framebridge, real: Media, tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(real("astronaut.png").read_bytes())
    (tmp_path / "link.png").symlink_to("a.png")
    for target in ("a.png", "link.png"):
        ran = framebridge("convert", tmp_path / "a.png", tmp_path / target, "--force")
        assert ran.returncode == 1
        assert "is the file that is read" in ran.stderr
    assert (tmp_path / "a.png").read_bytes() == real("astronaut.png").read_bytes()


@pytest.mark.parametrize(
    ("call", "status", "said"),
    [
        ("a.nonsense", 1, "extension '.nonsense' is unknown"),
        ("missing/a.mp4", 1, "there is no folder"),
        ("a.mp4 --codec nonsense", 1, "nonsense"),
        ("a.mp4 --quality 11", 2, "quality is a number from 0 to 10"),
        ("a.mp4 --fps 0", 2, "no number of frames per second"),
        ("a.mp4 --fps 1/0", 2, "no number of frames per second"),
        ("a.mp4 --every 0", 2, "--every"),
        ("a%d.png --codec h264", 2, "codec"),
    ],
)
def test_what_cannot_be_done_is_said(film: Path, tmp_path: Path, call: str, status: int, said: str) -> None:
    target, *options = call.split()
    argv = [*command_line(), "convert", str(film), str(tmp_path / target), *options]
    ran = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert ran.returncode == status
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr
    assert names(tmp_path) == []


def test_a_damaged_film_leaves_nothing(framebridge: Framebridge, real: Media, tmp_path: Path) -> None:
    whole = real("bikes.mp4").read_bytes()
    (tmp_path / "bad.mp4").write_bytes(
        whole[: len(whole) // 2] + bytes(2000) + whole[len(whole) // 2 + 2000 : -100_000]
    )
    ran = framebridge("convert", tmp_path / "bad.mp4", tmp_path / "a.mkv")
    assert names(tmp_path) == (["a.mkv", "bad.mp4"] if ran.returncode == 0 else ["bad.mp4"])
    assert "Traceback" not in ran.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("target", ["a.mp4", "a%d.png"])
def test_an_interrupted_run_leaves_nothing(
    real: Media, tmp_path: Path, number: signal.Signals, status: int, target: str
) -> None:
    argv = [*command_line(), "convert", str(real("bigbuckbunny.mp4")), str(tmp_path / target)]
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        deadline = time.monotonic() + 30
        while not any(".framebridge-" in name for name in os.listdir(tmp_path)):  # noqa: PTH208 - as cheap as can be
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(number)
        _, said = process.communicate(timeout=30)
    assert process.returncode == status
    assert b"Traceback" not in said
    assert names(tmp_path) == []
