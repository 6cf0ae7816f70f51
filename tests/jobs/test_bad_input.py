"""What cannot be transcoded, or not so: said before any work where that is possible, and nothing left behind."""

from __future__ import annotations

import os
import re
import subprocess
import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import psutil
import pytest

import bridge
from bridge.errors import (
    BadJob,
    CorruptMedia,
    DamageWarning,
    ForbiddenFormat,
    ForbiddenOption,
    ForbiddenUri,
    LimitExceeded,
    MissingCodec,
    OutputFailed,
    ToolFailed,
    ToolTimeout,
    TruncatedMedia,
    UnknownFormat,
    UnsupportedPixels,
    UriIsDirectory,
    UriNotFound,
)
from bridge.jobs.batch import check_targets
from bridge.jobs.retry import worth_another_try
from bridge.jobs.transcoding import start
from bridge.process.child import Exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.conftest import Clips

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

FAST = ("-c:v", "libx264", "-preset", "ultrafast")


@pytest.fixture
def film(lavfi: Clips, tmp_path: Path) -> Path:
    """A film of its own for each test, in a folder of its own."""
    made = lavfi("film.mov", "testsrc2=size=64x48:rate=25:duration=1[out0];sine=duration=1[out1]", *FAST, "-g", "5")
    (tmp_path / "in").mkdir()
    path = tmp_path / "in" / "film.mov"
    path.write_bytes(made.read_bytes())
    return path


@pytest.mark.parametrize(
    ("wishes", "error"),
    [
        ({"video_codec": "h266"}, MissingCodec),
        ({"video_codec": "libnone"}, MissingCodec),
        ({"audio_codec": "libnone"}, MissingCodec),
        ({"video_codec": "-y"}, BadJob),
        ({"start": 5}, BadJob),
        ({"start": 1, "end": 1}, BadJob),
        ({"start": 0.5, "end": 0.25}, BadJob),
        ({"first_frame": 25}, BadJob),
        ({"first_frame": 3, "stop_frame": 3}, BadJob),
        ({"crf": 20, "bitrate": "1M"}, BadJob),
        ({"filters": ["movie=/etc/passwd"]}, BadJob),
        ({"free_filters": "negate"}, BadJob),
        ({"preset": "none"}, BadJob),
        ({"speed": "fast", "video_codec": "ffv1"}, BadJob),
        ({"crf": 3, "video_codec": "ffv1"}, BadJob),
        ({"two_pass": True, "bitrate": "1M", "video_codec": "ffv1"}, BadJob),
        ({"target_ssim": 0.9, "video_codec": "ffv1"}, BadJob),
        ({"size": (63, 48)}, UnsupportedPixels),
        ({"container": "FOO"}, BadJob),
        ({"container": "H264"}, BadJob),
        ({"options": ["-filter_script", "/etc/passwd"], "trust": "untrusted"}, ForbiddenOption),
        ({"nonsense": 1}, TypeError),
        ({"fps": 25, "check": "ssim"}, BadJob),
        ({"workers": 0}, BadJob),
    ],
)
def test_what_makes_no_sense_is_refused(
    film: Path, tmp_path: Path, wishes: dict[str, Any], error: type[Exception]
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(error) as caught:
        bridge.transcode(film, tmp_path / "out" / "a.mkv", **wishes)
    assert not worth_another_try(caught.value)
    assert list((tmp_path / "out").iterdir()) == []


def test_where_nothing_can_be_written(film: Path, tmp_path: Path, unprivileged: Callable[..., Any]) -> None:
    with pytest.raises(UriNotFound):
        bridge.transcode(film, tmp_path / "none" / "a.mp4")
    with pytest.raises(UriIsDirectory):
        bridge.transcode(film, tmp_path, container="MP4")
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(ForbiddenUri):
        unprivileged(lambda: bridge.transcode(film, tmp_path / "closed" / "a.mp4"))
    with pytest.raises(BadJob, match="extension"):
        bridge.transcode(film, tmp_path / "a.foo")
    with pytest.raises(BadJob, match="without"):
        bridge.transcode(film, tmp_path / "a")


def test_the_film_itself_is_no_target(film: Path, tmp_path: Path) -> None:
    before = film.read_bytes()
    (tmp_path / "link.mov").symlink_to(film)
    os.link(film, tmp_path / "hard.mov")
    for target in (film, tmp_path / "link.mov", tmp_path / "hard.mov", film.parent / ".." / "in" / "film.mov"):
        with pytest.raises(BadJob, match="the film that is read"):
            bridge.transcode(film, target)
    assert film.read_bytes() == before


def test_a_limit_of_files_is_told(film: Path, tmp_path: Path) -> None:
    target = tmp_path / "a.nut"
    with pytest.raises(LimitExceeded) as caught:
        bridge.transcode(film, target, video_codec="rawvideo", limits=bridge.Limits(file_size=20_000))
    assert "file_size" in str(caught.value)
    assert not target.exists()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 200 KB."""
    folder = tmp_path / "small"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("only root may mount a small file system")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_told_and_worth_another_try(film: Path, small_disk: Path) -> None:
    with pytest.raises(OutputFailed, match="no room") as caught:
        bridge.transcode(film, small_disk / "a.nut", video_codec="rawvideo", size=(160, 120))
    assert worth_another_try(caught.value)
    assert list(small_disk.iterdir()) == []


def test_two_jobs_do_not_write_one_file(film: Path, tmp_path: Path) -> None:
    with start(film, tmp_path / "a.mp4") as one:
        next(iter(one))
        with pytest.raises(BadJob, match="another job"):
            bridge.transcode(film, tmp_path / "in" / ".." / "a.mp4")
        assert one.result.frames == 25
    with pytest.raises(BadJob, match="two of the jobs"):
        check_targets([str(tmp_path / "a.mp4"), f"{tmp_path}/in/../a.mp4"])


def test_sources_that_are_no_films(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no film" * 100)
    (tmp_path / "list.m3u8").write_text("#EXTM3U\n#EXTINF:1,\n/etc/passwd\n")
    (tmp_path / "a.png").write_bytes(bytes.fromhex("89504e470d0a1a0a") + bytes(100))
    for name, error in (("empty.mp4", CorruptMedia), ("text.mp4", UnknownFormat), ("list.m3u8", UnknownFormat),
                        ("a.png", UnknownFormat), ("none.mp4", UriNotFound)):  # fmt: skip
        with pytest.raises(error):
            bridge.transcode(tmp_path / name, tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()


def test_a_film_without_picture_or_without_sound(lavfi: Clips, tmp_path: Path) -> None:
    sound = lavfi("sound.mka", "sine=duration=1", "-c:a", "flac")
    result = bridge.transcode(sound, tmp_path / "a.mp4")
    assert any("no film" in change for change in result.changes)
    assert bridge.probe(tmp_path / "a.mp4").audio is not None
    with pytest.raises(BadJob, match="no film"):
        bridge.transcode(sound, tmp_path / "a.gif")
    with pytest.raises(BadJob, match="no film"):
        bridge.transcode(sound, tmp_path / "b.mp4", first_frame=3)
    assert bridge.transcode(sound, tmp_path / "part.flac", start=0.25, end=0.75).seconds == pytest.approx(0.5, abs=0.01)
    picture = lavfi("picture.mkv", "testsrc2=size=64x48:rate=25:duration=1", *FAST)
    assert bridge.transcode(picture, tmp_path / "c.mp4", loudness=-20).frames == 25
    with pytest.raises(BadJob):
        bridge.transcode(picture, tmp_path / "c.mp3")


def test_odd_sides_are_told_with_what_can_be_done(lavfi: Clips, tmp_path: Path) -> None:
    cut = "format=yuv444p,crop=63:47:0:0:exact=1"
    odd = lavfi("odd.mkv", f"testsrc2=size=64x48:rate=25:duration=0.2,{cut}", "-c:v", "ffv1")
    with pytest.raises(UnsupportedPixels, match="crop"):
        bridge.transcode(odd, tmp_path / "a.mp4")
    assert bridge.transcode(odd, tmp_path / "a.mp4", pixel_format="yuv444p").frames == 5
    assert bridge.transcode(odd, tmp_path / "b.mp4", filters=["crop=62:46:0:0"]).frames == 5


# Damage


@pytest.fixture(params=["cut.mkv", "cut.ts", "changed.mkv", "changed.ts"])
def broken(request: pytest.FixtureRequest, lavfi: Clips, tmp_path: Path) -> Path:
    source = "testsrc2=size=160x120:rate=25:duration=2,noise=alls=20:allf=t"
    path = tmp_path / str(request.param)
    made = lavfi(f"whole{path.suffix}", source, *FAST, "-g", "10", "-qp", "20").read_bytes()
    if path.stem == "cut":
        path.write_bytes(made[: len(made) * 2 // 3])
    else:
        half = len(made) // 2
        path.write_bytes(made[:half] + bytes(4000) + made[half + 4000 :])
    return path


def test_damage_is_raised_told_or_ignored(broken: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    target = tmp_path / "out" / "a.mp4"
    with pytest.raises((TruncatedMedia, CorruptMedia)) as caught:
        bridge.transcode(broken, target, speed="ultrafast")
    assert not worth_another_try(caught.value)
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.warns(DamageWarning):
        warned = bridge.transcode(broken, target, speed="ultrafast", on_damage="warn")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ignored = bridge.transcode(broken, target, speed="ultrafast", on_damage="ignore")
    for result in (warned, ignored):
        assert 10 < (result.frames or 0) <= 50
        assert any(re.search("damaged|not whole|errors", change) for change in result.changes)


# Trust


def test_strangers_get_a_short_list_and_a_box(film: Path, lavfi: Clips, tmp_path: Path) -> None:
    assert bridge.transcode(film, tmp_path / "a.mp4", trust="untrusted", speed="ultrafast").frames == 25
    other = lavfi("a.nut", "testsrc2=size=64x48:rate=25:duration=0.2", "-c:v", "ffv1")
    with pytest.raises(ForbiddenFormat):
        bridge.transcode(other, tmp_path / "b.mp4", trust="untrusted")
    with pytest.raises(LimitExceeded, match="pixels"):
        bridge.transcode(film, tmp_path / "b.mp4", limits=bridge.Limits(pixels=1000))
    with pytest.raises(LimitExceeded, match="frames"):
        bridge.transcode(film, tmp_path / "b.mp4", limits=bridge.Limits(frames=10))


def test_free_filters_and_options_of_trusted_calls(film: Path, tmp_path: Path) -> None:
    result = bridge.transcode(
        film, tmp_path / "a.mkv", free_filters="negate,drawgrid", trust="trusted", options=["-g", "3"]
    )
    assert result.frames == 25


# Names


@pytest.mark.parametrize(
    "name",
    ["-i.mp4", "%d.mp4", "%05d.mp4", "a\nb.mp4", "a:b.mp4", "pipe:1.mp4", "concat:a|b.mp4", "a'b\"c.mp4", "a b.mp4",
     "\x1b[31m.mp4", "é\u202e.mp4", "a[x]\\,;.mp4", "*?.mp4", "~.mp4", "$(id).mp4", "\udcff.mp4", "http:x.mp4",
     "\x00in0.mp4".replace("\x00", "")],
)  # fmt: skip
def test_names_are_names(film: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "%d -i: \n'x"
    folder.mkdir()
    source = folder / f"source {name}"
    source.write_bytes(film.read_bytes())
    result = bridge.transcode(source, folder / name, video_codec="copy", sidecar=True)
    assert result.frames == 25
    assert {entry.name for entry in folder.iterdir()} == {name, f"{name}.job.json", source.name}


# The program


@pytest.mark.parametrize(("code", "signal", "again"), [(None, 9, True), (None, 11, True), (1, None, False)])
def test_what_may_go_away(code: int | None, signal: int | None, again: bool) -> None:
    end = Exit(code=code, signal=signal, seconds=1.0, stderr="")
    assert worth_another_try(ToolFailed("it ended", exit=end)) is again
    assert worth_another_try(ToolTimeout("it hung"))
    assert not worth_another_try(ToolFailed("it was stopped", exit=replace(end, stopped="cancelled")))


def test_another_try_is_made_where_it_may_help(film: Path, tmp_path: Path) -> None:
    tries: list[int] = []

    def kill(_: object) -> None:
        if not tries:
            tries.append(1)
            for child in psutil.Process().children(recursive=True):
                if "-progress" in child.cmdline():
                    child.kill()

    result = bridge.transcode(film, tmp_path / "a.webm", speed="1", attempts=2, progress=kill)
    assert tries
    assert result.frames == 25
