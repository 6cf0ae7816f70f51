"""When a job is done in chunks, and that its result is the one that it has without."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

import bridge
from bridge.errors import BadJob, TruncatedMedia
from bridge.jobs.coding import Coded
from bridge.jobs.encoding import Making
from bridge.jobs.step import Step
from bridge.jobs.worth import overlap, pays
from tests.jobs.films import frames, run, sound

if TYPE_CHECKING:
    from pathlib import Path

    from bridge.jobs.step import Progress

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

_LOSSLESS: dict[str, Any] = {"video_codec": "libx264", "crf": 0, "speed": "ultrafast", "pixel_format": "yuv420p"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("clip") / "clip.mkv"
    picture = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=16")
    x264 = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "20", "-bf", "2", "-c:a", "aac")
    run(*picture, "-f", "lavfi", "-i", "sine=440:d=16", *x264, "-metadata", "title=it", "-output_ts_offset", "2", path)
    return path


def test_a_job_in_chunks_has_the_result_that_it_has_without(clip: Path, tmp_path: Path) -> None:
    seen: list[Progress] = []
    shared = bridge.transcode(clip, tmp_path / "a.mp4", workers=2, progress=seen.append, **_LOSSLESS)
    alone = bridge.transcode(clip, tmp_path / "b.mp4", **_LOSSLESS)
    assert sum("-copyts" in command for command in shared.commands) == 2
    assert replace(shared, target="", job="", commands=(), elapsed=0, size=0, seconds=0) == replace(
        alone, target="", job="", commands=(), elapsed=0, size=0, seconds=0
    )
    (ours, theirs) = frames(tmp_path / "a.mp4"), frames(tmp_path / "b.mp4")
    assert ours == theirs
    assert sound(tmp_path / "a.mp4")[0] == sound(tmp_path / "b.mp4")[0]
    assert bridge.probe(tmp_path / "a.mp4").tags["title"] == "it"
    assert {progress.stage for progress in seen} == {"encode", "join"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_filters_and_a_size_in_chunks(clip: Path, tmp_path: Path) -> None:
    wish = {**_LOSSLESS, "filters": ["hflip", "yadif", "unsharp"], "size": (32, 24)}
    bridge.transcode(clip, tmp_path / "a.mp4", workers=2, **wish)
    bridge.transcode(clip, tmp_path / "b.mp4", **wish)
    assert frames(tmp_path / "a.mp4") == frames(tmp_path / "b.mp4")


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"filters": ["hqdn3d"]}, "remembers"),
        ({"filters": ["bwdif=mode=send_field"]}, "remembers"),
        ({"bitrate": "100k", "crf": None}, "bitrate"),
        ({"fps": 5}, "times"),
        ({"start": 2}, "part"),
        ({"options": ["-x264-params", "vbv-maxrate=100:vbv-bufsize=100"]}, "whole film"),
        ({"video_codec": "copy", "crf": None, "speed": None, "pixel_format": None}, "no picture"),
    ],
)
def test_what_is_not_the_same_in_chunks_is_refused(wish: dict[str, Any], why: str, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(BadJob, match=f"cannot be made in chunks: .*{why}"):
        bridge.transcode(clip, tmp_path / "a.mp4", workers=2, **{**_LOSSLESS, **wish})
    assert list(tmp_path.iterdir()) == []


def test_auto_takes_one_command_where_that_is_as_quick(clip: Path, tmp_path: Path) -> None:
    result = bridge.transcode(clip, tmp_path / "a.mp4", workers="auto", **_LOSSLESS)
    assert len(result.commands) == 1


@pytest.mark.parametrize("workers", [0, -1, "many", 1.5, True])
def test_workers_are_a_number(workers: Any, clip: Path, tmp_path: Path) -> None:
    with pytest.raises(BadJob, match="workers is a number"):
        bridge.transcode(clip, tmp_path / "a.mp4", workers=workers, **_LOSSLESS)


def test_damage_in_the_middle_is_told(clip: Path, tmp_path: Path) -> None:
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 600] = bytes(600)
    broken = tmp_path / "broken.mkv"
    broken.write_bytes(data)
    with pytest.raises((TruncatedMedia, BadJob)):
        bridge.transcode(broken, tmp_path / "a.mp4", workers=2, **_LOSSLESS)
    assert not (tmp_path / "a.mp4").exists()


def _made(encoder: str, frames: int, filters: tuple[str, ...], size: tuple[int, int] | None) -> tuple[Making, Any]:
    picture = Coded(options=("-c:v", encoder), filters=filters)
    video = SimpleNamespace(width=1280, height=720)
    making = Making(step=Step(subject="a", arguments=()), picture=picture, size=size)
    return making, SimpleNamespace(video=video, index=range(frames))


@pytest.mark.parametrize(
    ("encoder", "frames", "filters", "size", "cores", "worth"),
    [
        ("libvpx-vp9", 5000, (), (320, 240), 2, True),
        ("libvpx-vp9", 5000, (), (510, 288), 2, True),
        ("libvpx-vp9", 5000, (), (512, 288), 2, False),  # two tiles keep two cores busy
        ("libvpx-vp9", 5000, (), None, 2, False),
        ("libvpx-vp9", 5000, (), None, 8, True),
        ("libvpx-vp9", 50, (), (320, 240), 2, False),  # too little to do
        ("libx264", 50_000, (), None, 2, False),  # it uses two cores by itself
        ("libx264", 50_000, (), None, 32, True),
        ("libx264", 5000, ("owdenoise=depth=8",), None, 2, True),
        ("libsvtav1", 50_000, (), None, 2, False),
        ("libvpx-vp9", 5000, (), (320, 240), 1, False),
    ],
)
def test_chunks_are_taken_where_they_pay(
    *, encoder: str, frames: int, filters: tuple[str, ...], size: tuple[int, int] | None, cores: int, worth: bool
) -> None:
    assert pays(*_made(encoder, frames, filters, size), filters, cores) is worth


def test_filters_one_after_the_other_see_farther() -> None:
    assert overlap(("yadif", "hflip", "bwdif=mode=send_frame")) == (4, 4)
    assert overlap(("hflip",)) == (0, 0)
