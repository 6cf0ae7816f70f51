"""Film to film: what is kept, what is told, what is exact; results looked at with ffmpeg itself."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import threading
import time
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import pytest

import bridge
from bridge.errors import BadJob, CheckFailed, JobCancelled, MissingCodec
from bridge.jobs.job import Job, Video
from bridge.jobs.runner import Stop
from bridge.jobs.transcoding import run, start
from bridge.media.info import AudioStream, OtherStream
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Clips
    from tests.jobs.conftest import Rows

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

PATTERN = "testsrc2=size=96x64:rate=25:duration=2"
FAST = ("-c:v", "libx264", "-preset", "ultrafast")


@pytest.fixture
def film(lavfi: Clips) -> Path:
    return _film(lavfi)


def _film(lavfi: Clips) -> Path:
    """Two seconds of picture and sound."""
    return lavfi("film.mov", f"{PATTERN}[out0];sine=duration=2[out1]", *FAST, "-c:a", "aac", "-metadata", "title=T")


@pytest.fixture
def full(film: Path, tmp_path: Path, ffmpeg: str) -> Path:
    """A film with two sounds, subtitles, chapters, tags and an attachment."""
    folder = tmp_path / "full"
    folder.mkdir()
    (folder / "a.srt").write_text("1\n00:00:00,200 --> 00:00:00,700\nHello\n")
    (folder / "a.txt").write_text(
        ";FFMETADATA1\ntitle=Mine\nstrange=yes\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=1000\ntitle=one\n"
        "[CHAPTER]\nTIMEBASE=1/1000\nSTART=1000\nEND=2000\ntitle=two\n"
    )
    words = ("-i", f"{film}", "-i", "a.srt", "-i", "a.txt", "-map", "0:v", "-map", "0:a", "-map", "0:a", "-map", "1",
             "-map_metadata", "2", "-map_chapters", "2", "-c", "copy", "-c:s", "subrip", "-attach", "a.txt",
             "-metadata:s:t", "mimetype=text/plain", "full.mkv")  # fmt: skip
    subprocess.run([ffmpeg, "-v", "error", *words], check=True, cwd=folder, timeout=60)
    return folder / "full.mkv"


def _streams(path: Path) -> list[tuple[str, str]]:
    kinds = {AudioStream: "audio", OtherStream: ""}
    return [(kinds.get(type(s), "video") or s.kind, s.codec) for s in bridge.probe(path).streams]  # type: ignore[union-attr] # others have kinds


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_all_that_the_container_holds_is_kept(full: Path, tmp_path: Path, listed: Callable[..., list[str]]) -> None:
    result = bridge.transcode(full, tmp_path / "a.mkv", speed="ultrafast")
    *streams, last = _streams(tmp_path / "a.mkv")
    assert streams == [("video", "h264"), ("audio", "aac"), ("audio", "aac"), ("subtitle", "subrip")]
    assert last[0] == "attachment"
    info = bridge.probe(tmp_path / "a.mkv")
    assert [chapter.title for chapter in info.chapters] == ["one", "two"]
    assert {name.lower(): value for name, value in info.tags.items()}.items() >= {
        "title": "Mine",
        "strange": "yes",
    }.items()
    assert listed(tmp_path / "a.mkv", "0:a:1") == listed(full, "0:a:1") != []
    assert result.changes == ()
    assert result.frames == 50
    assert result.size == (tmp_path / "a.mkv").stat().st_size


def test_what_the_container_does_not_hold_is_told(full: Path, tmp_path: Path) -> None:
    result = bridge.transcode(full, tmp_path / "a.mp4", speed="ultrafast")
    assert [row for row in _streams(tmp_path / "a.mp4") if row[0] != "data"] == [
        ("video", "h264"), ("audio", "aac"), ("audio", "aac"), ("subtitle", "mov_text"),
    ]  # fmt: skip
    assert [chapter.title for chapter in bridge.probe(tmp_path / "a.mp4").chapters] == ["one", "two"]
    told = "; ".join(result.changes)
    assert "subrip became mov_text" in told
    assert "attachment" in told
    assert re.search("metadata .*strange", told, re.IGNORECASE)
    plain = bridge.transcode(full, tmp_path / "a.avi")
    assert all(word in "; ".join(plain.changes) for word in ("aac became", "subtitles", "chapters"))


def test_what_is_not_wanted_is_left_out(full: Path, tmp_path: Path) -> None:
    bridge.transcode(
        full, tmp_path / "a.mkv", video_codec="copy", audio_codec="none", subtitles=False, chapters=False,
        metadata=False, attachments=False,
    )  # fmt: skip
    info = bridge.probe(tmp_path / "a.mkv")
    assert _streams(tmp_path / "a.mkv") == [("video", "h264")]
    assert info.chapters == ()
    assert "title" not in {name.lower() for name in info.tags}


UNEVEN = "select='not(mod(n,3))+eq(mod(n,7),2)'"


@pytest.mark.parametrize("container", ["mp4", "mkv", "ts", "webm"])
def test_uneven_times_are_kept(lavfi: Clips, tmp_path: Path, decoded: Callable[..., Rows], container: str) -> None:
    source = lavfi("uneven.mp4", f"{PATTERN},{UNEVEN}", *FAST, "-fps_mode", "passthrough")
    target = tmp_path / f"a.{container}"
    speed = {"webm": "8", "nut": None}.get(container, "ultrafast")
    bridge.transcode(source, target, speed=speed)
    before, after = ([row[0] for row in decoded(path)] for path in (source, target))
    assert len(before) == len(after) > 15
    zero = [after[0] - before[0] for _ in before]
    ticks = 0.0005 if container in ("mkv", "webm") else 1e-4  # those round to milliseconds
    assert [b - a for a, b in zip(before, after, strict=True)] == pytest.approx(zero, abs=2 * ticks)


def _open_gop(lavfi: Clips) -> Path:
    """B-frames that refer over key frames, in a file that does not begin at zero."""
    options = ("-x264-params", "open-gop=1:keyint=12:min-keyint=12:bframes=3:scenecut=0")
    return lavfi(
        "open.mkv", f"{PATTERN}[out0];sine=duration=2[out1]", "-c:v", "libx264", *options, "-output_ts_offset", "5"
    )


@pytest.mark.parametrize(
    ("kind", "part"),
    [("mov", (0, 7)), ("mov", (24, 50)), ("mkv", (13, 14)), ("mkv", (37, 41)), ("ts", (13, 14)), ("ts", (24, 50))],
)
def test_parts_are_exact_to_the_frame(
    lavfi: Clips, tmp_path: Path, decoded: Callable[..., Rows], part: tuple[int, int], kind: str
) -> None:
    film = _film(lavfi)
    ts = ("-c:v", "mpeg2video", "-g", "12", "-bf", "2")
    source = {"mov": lambda: film, "mkv": lambda: _open_gop(lavfi), "ts": lambda: lavfi("a.ts", PATTERN, *ts)}[kind]()
    result = bridge.transcode(source, tmp_path / "a.mkv", video_codec="ffv1", first_frame=part[0], stop_frame=part[1])
    before, after = decoded(source), decoded(tmp_path / "a.mkv")
    assert result.frames == part[1] - part[0]
    assert [digest for _, digest in after] == [digest for _, digest in before[slice(*part)]]
    assert [time - after[0][0] for time, _ in after] == pytest.approx(
        [time - before[part[0]][0] for time, _ in before[slice(*part)]], abs=0.0011
    )


def test_parts_by_seconds_take_their_sound_along(film: Path, tmp_path: Path) -> None:
    result = bridge.transcode(film, tmp_path / "a.mkv", start=0.5, end="1.5", video_codec="ffv1", audio_codec="flac")
    assert result.frames == 25
    with bridge.get_reader(tmp_path / "a.mkv") as cut, bridge.get_reader(film) as whole:
        assert (cut[0] == whole[13]).all()  # the first frame that is shown at half a second or later
        part: Any = cut.audio()
        all_: Any = whole.audio()
        assert len(part) / part.rate == pytest.approx(1.0, abs=0.03)
        at = round((13 / 25 - all_.start + part.start) * all_.rate)
        assert abs(part[1000:20000] - all_[at + 1000 : at + 20000]).max() < 0.02


def test_colours_that_are_not_told_are_told_as_readers_take_them(lavfi: Clips, tmp_path: Path) -> None:
    small = lavfi("s.mkv", PATTERN, *FAST)
    large = lavfi("l.mkv", "testsrc2=size=1920x1080:rate=5:duration=0.2", *FAST)
    drawn = lavfi("d.mkv", PATTERN, "-c:v", "ffv1", "-pix_fmt", "bgr0")
    for source, matrix in ((small, "smpte170m"), (large, "bt709"), (drawn, "smpte170m")):
        bridge.transcode(source, tmp_path / "a.mp4", speed="ultrafast")
        video = bridge.probe(tmp_path / "a.mp4").video
        assert video is not None
        assert video.color_space == matrix
        one, other = bridge.imread(source), bridge.imread(tmp_path / "a.mp4")
        assert abs(one.astype(int) - other).mean() < 8


def test_told_colours_stay(lavfi: Clips, tmp_path: Path) -> None:
    tags = ("-color_primaries", "bt2020", "-color_trc", "arib-std-b67", "-colorspace", "bt2020nc", "-color_range", "tv")
    marked = f"{PATTERN},setparams=color_primaries=bt2020:color_trc=arib-std-b67:colorspace=bt2020nc:range=tv"
    source = lavfi("t.mp4", marked, *FAST, "-pix_fmt", "yuv420p10le", *tags)  # ffmpeg 7 goes by the frames
    bridge.transcode(source, tmp_path / "a.mp4", video_codec="hevc", speed="ultrafast")
    video = bridge.probe(tmp_path / "a.mp4").video
    assert video is not None
    found = (video.color_primaries, video.color_transfer, video.color_space, video.color_range, video.pixel_format)
    assert found == ("bt2020", "arib-std-b67", "bt2020nc", "tv", "yuv420p10le")
    coarser = bridge.transcode(source, tmp_path / "b.mp4", speed="ultrafast")
    assert any("10 bits" in change for change in coarser.changes)


def test_the_archive_is_lossless(film: Path, tmp_path: Path, decoded: Callable[..., Rows]) -> None:
    result = bridge.transcode(film, tmp_path / "a.mkv", preset="archive", check="ssim")
    assert result.checks == {"ssim": 1.0}
    assert [d for _, d in decoded(tmp_path / "a.mkv")] == [d for _, d in decoded(film)]
    sound = decoded(tmp_path / "a.mkv", "0:a:0", "-c:a", "pcm_s16le", "-af", "aresample=osf=s16:dither_method=none")
    assert len(sound) > 0


@pytest.mark.parametrize(
    ("preset", "name", "size"),
    [("web", "a.mp4", (96, 64)), ("proxy", "a.mp4", (810, 540)), ("gif", "a.gif", (480, 320))],
)
def test_presets(film: Path, tmp_path: Path, preset: str, name: str, size: tuple[int, int]) -> None:
    bridge.transcode(film, tmp_path / name, preset=preset, end=0.4)
    assert bridge.imread(tmp_path / name).shape[1::-1] == size


def test_films_are_joined(film: Path, lavfi: Clips, tmp_path: Path, decoded: Callable[..., Rows]) -> None:
    other = lavfi("o.mkv", "testsrc2=size=48x32:rate=10:duration=1[out0];sine=duration=1[out1]", *FAST)
    result = bridge.transcode([film, other, film], tmp_path / "a.mkv", video_codec="ffv1")
    assert result.frames == 110
    frames, one = decoded(tmp_path / "a.mkv"), decoded(film)
    assert [digest for _, digest in frames[:50]] == [digest for _, digest in one] == [d for _, d in frames[60:]]
    steps = [b[0] - a[0] for a, b in itertools.pairwise(frames)]
    assert min(steps) > 0.03
    assert result.seconds == pytest.approx(5.0, abs=0.1)


def test_films_are_joined_to_a_gif(film: Path, tmp_path: Path) -> None:
    assert bridge.transcode([film, film], tmp_path / "a.gif", size=(32, 0), fps=5).frames == 20


def test_bytes_in_and_bytes_out(film: Path) -> None:
    result = bridge.transcode(film.read_bytes(), "<bytes>", container="MKV", video_codec="ffv1")
    assert result.data is not None
    assert result.data[:4] == b"\x1aE\xdf\xa3"
    assert len(bridge.mimread(result.data)) == 50


def test_two_passes_keep_the_bitrate(lavfi: Clips, tmp_path: Path) -> None:
    source = lavfi("n.mkv", "testsrc2=size=160x120:rate=25:duration=3,noise=alls=40:allf=t", *FAST, "-qp", "10")
    result = bridge.transcode(source, tmp_path / "a.mp4", bitrate="300k", two_pass=True, speed="fast")
    assert len(result.commands) == 2
    assert (tmp_path / "a.mp4").stat().st_size * 8 / 3 == pytest.approx(300_000, rel=0.15)
    assert _names(tmp_path) == ["a.mp4"]


def test_sound_is_brought_to_a_loudness(film: Path, tmp_path: Path, ffmpeg: str) -> None:
    bridge.transcode(film, tmp_path / "a.mkv", video_codec="copy", audio_codec="flac", loudness=-30)
    words = ("-i", tmp_path / "a.mkv", "-af", "ebur128", "-f", "null", "-")
    said = subprocess.run([ffmpeg, "-hide_banner", "-nostats", *words], check=True, capture_output=True, timeout=60)
    found = re.findall(rb"I:\s+(-[\d.]+) LUFS", said.stderr)
    assert float(found[-1]) == pytest.approx(-30, abs=0.5)


def test_silence_has_no_loudness(lavfi: Clips, tmp_path: Path) -> None:
    silent = lavfi("silent.mkv", f"{PATTERN}[out0];anullsrc,atrim=duration=2[out1]", *FAST, "-c:a", "flac")
    assert bridge.transcode(silent, tmp_path / "a.mkv", video_codec="copy", loudness=-20).frames == 50


def test_a_quality_is_found(lavfi: Clips, tmp_path: Path) -> None:
    source = lavfi("q.mkv", "testsrc2=size=64x48:rate=25:duration=1,noise=alls=40:allf=t", *FAST, "-qp", "10")
    result = bridge.transcode(source, tmp_path / "a.mp4", target_ssim=0.9, speed="ultrafast", check="ssim")
    assert result.found["ssim"] >= 0.9
    assert result.checks["ssim"] == pytest.approx(result.found["ssim"], abs=0.03)
    coarser = bridge.transcode(source, tmp_path / "b.mp4", crf=result.found["crf"] + 2, speed="ultrafast", check="ssim")
    assert coarser.checks["ssim"] < 0.91
    with pytest.raises(CheckFailed, match="best"):
        bridge.transcode(source, tmp_path / "c.mp4", video_codec="mpeg4", target_ssim=1.0)


def test_vmaf_where_ffmpeg_has_it(film: Path, tmp_path: Path) -> None:
    def work() -> Any:
        return bridge.transcode(film, tmp_path / "a.mp4", check="vmaf", speed="ultrafast")

    if "libvmaf" in toolbox().abilities("ffmpeg").filters:
        assert work().checks["vmaf"] > 50
    else:
        with pytest.raises(MissingCodec, match="'ssim'"):
            work()


def test_a_result_below_what_is_wanted_is_not_put_in_place(film: Path, tmp_path: Path) -> None:
    with pytest.raises(CheckFailed, match="below"):
        bridge.transcode(film, tmp_path / "a.mp4", crf=50, check="ssim", at_least=0.999)
    assert _names(tmp_path) == []


# Again, progress, cancel


def test_the_same_job_again_is_done_at_once(film: Path, tmp_path: Path) -> None:
    source = tmp_path / "a.mov"
    source.write_bytes(film.read_bytes())
    target = tmp_path / "b.mp4"

    def made(**more: Any) -> bool:
        return not bridge.transcode(source, target, crf=40, speed="ultrafast", **more).reused

    assert made()
    before = target.stat()
    assert not made()
    assert target.stat().st_mtime_ns == before.st_mtime_ns
    assert made(audio_codec="none")  # another job
    assert made()
    os.utime(source, (1, 1))  # another film, for all we know
    assert made()
    target.write_bytes(target.read_bytes() + b"!")  # not what was made
    assert made()
    assert made(again=True)


def test_the_sidecar_says_what_was_done_and_goes_along(
    film: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bridge.transcode(film, tmp_path / "a.mp4", speed="ultrafast", sidecar=True, check="psnr", labels={"who": "me"})
    sidecar = json.loads((tmp_path / "a.mp4.job.json").read_text())
    assert Job.from_json(json.dumps(sidecar["job"])).labels == {"who": "me"}
    assert sidecar["result"]["checks"]["psnr"] > 20
    assert len(sidecar["steps"]) == 2
    assert sidecar["steps"][0]["cpu"] > 0
    assert sidecar["ffmpeg"] == str(toolbox().find("ffmpeg"))
    monkeypatch.setenv("FRAMEBRIDGE_CACHE", str(tmp_path / "another"))
    assert bridge.transcode(film, tmp_path / "a.mp4", speed="ultrafast", check="psnr").reused


def test_progress_comes_as_iterator_and_callback(film: Path, tmp_path: Path) -> None:
    with start(film, tmp_path / "a.mp4", check="ssim") as working:
        stages = [progress.stage for progress in working]
        assert working.result.frames == 50
    assert list(dict.fromkeys(stages)) == ["encode", "check"]
    seen: list[float | None] = []
    bridge.transcode(film, tmp_path / "b.mp4", progress=lambda progress: seen.append(progress.fraction))
    assert seen[-1] == 1.0


def test_a_callback_that_raises_stops_the_job(film: Path, tmp_path: Path) -> None:
    def stop(_progress: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bridge.transcode(film, tmp_path / "a.mp4", progress=stop)
    assert _names(tmp_path) == []


def test_a_bar(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bridge.transcode(film, tmp_path / "a.mp4", progress=True)
    assert "a.mp4" in capsys.readouterr().out


def test_cancel_from_another_thread(lavfi: Clips, tmp_path: Path) -> None:
    source = lavfi("long.mkv", "testsrc2=size=640x360:rate=25:duration=8", *FAST, "-qp", "40")
    stop, begun = Stop(), threading.Event()
    errors: list[Exception] = []
    ended: list[float] = []

    def work() -> None:
        try:
            bridge.transcode(source, tmp_path / "a.webm", speed="0", cancel=stop, progress=lambda _: begun.set())
        except JobCancelled as error:
            errors.append(error)
        ended.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    assert begun.wait(20)
    stop.set()
    told = time.monotonic()
    thread.join(10)
    assert len(errors) == 1
    assert ended[0] - told < 0.3  # the child is gone in a tenth; the rest is this machine's
    assert _names(tmp_path) == []


def test_a_job_that_came_as_json_is_run(film: Path, tmp_path: Path) -> None:
    job = Job(sources=(str(film),), target=str(tmp_path / "a.mp4"), video=Video(fps=Fraction(10), crf=40))
    assert run(Job.from_json(job.to_json())).frames == 20


def test_ladders_go_without_workers(film: Path, tmp_path: Path) -> None:
    with pytest.raises(BadJob, match="workers"):
        bridge.transcode(film, tmp_path / "a.m3u8", workers=2)
