"""Frame i is frame i: over codecs, containers, GOPs, rates, starts and edit lists, by index, in batches and by time."""

from __future__ import annotations

import json
import os
import random
import subprocess
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge import errors
from bridge.process.tools import toolbox
from tests.fakes import fields

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clips

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

FRAMES = 48
BITS = 8
# Bit k of a frame's number is the block of 16 pixels at x = 16 k.
NUMBERED = "format=gray,geq=lum='if(mod(floor(N/pow(2,floor(X/16))),2),235,16)',format=yuv420p"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One film of the matrix."""

    file: str
    options: tuple[str, ...]
    rate: str = "30"
    picked: str = ""  # FFmpeg's filters after the numbers are drawn
    remux: tuple[tuple[tuple[str, ...], tuple[str, ...]], ...] = ()  # copies: options before and after the input
    format: str | None = None
    fields: str = ""  # made of single fields, that lie in packets "each" or "joined"

    @property
    def name(self) -> str:
        return self.file.replace("/", "-")


X264 = ("-c:v", "libx264", "-preset", "veryfast", "-g", "12", "-keyint_min", "6", "-sc_threshold", "0")
B = (*X264, "-bf", "3")
OPEN = (*B, "-x264-params", "open-gop=1:b-pyramid=normal")
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=12:min-keyint=6")
OPEN265 = (*X265[:-1], X265[-1] + ":open-gop=1:bframes=3")
MPEG2 = ("-c:v", "mpeg2video", "-g", "12", "-q:v", "2")
VFR = "select='not(between(mod(n,13),3,6))'"
START = ("-output_ts_offset", "38.9")

CASES = (
    Case(file="plain.mp4", options=X264),
    Case(file="b.mp4", options=B),
    Case(file="b.mov", options=B),
    Case(file="b.mkv", options=B),
    Case(file="b.flv", options=(*X264, "-bf", "2")),
    Case(file="b.avi", options=B),
    Case(file="b.ts", options=B),
    Case(file="b.nut", options=B),
    Case(file="fragmented.mp4", options=(*B, "-movflags", "+frag_keyframe+empty_moov")),
    Case(file="long.mp4", options=(*B, "-g", "600")),
    Case(file="intra.mp4", options=(*X264, "-g", "1")),
    Case(file="refresh.mp4", options=(*X264, "-x264-params", "intra-refresh=1")),
    Case(file="interlaced.ts", options=(*B, "-flags", "+ilme+ildct")),
    Case(file="fields.ts", options=(), rate="25", fields="each"),
    Case(file="fields.mp4", options=(), rate="25", fields="each"),
    Case(file="fields.mkv", options=(), rate="25", fields="each"),
    Case(file="fields.avi", options=(), rate="25", fields="each"),
    Case(file="raw.fields.h264", options=(), rate="25", fields="each"),
    Case(file="joined.ts", options=(), rate="25", fields="joined"),
    Case(file="joined.mp4", options=(), rate="25", fields="joined"),
    Case(file="joined.mkv", options=(), rate="25", fields="joined"),
    Case(file="open.mp4", options=OPEN),
    Case(file="open.mkv", options=OPEN),
    Case(file="open.ts", options=OPEN),
    Case(file="ntsc.mp4", options=B, rate="30000/1001"),
    Case(file="film.mkv", options=B, rate="24000/1001"),
    Case(file="fast.mp4", options=X265, rate="60000/1001"),
    Case(file="pal.ts", options=MPEG2, rate="25"),
    Case(file="vfr.mp4", options=(*B, "-fps_mode", "vfr"), picked=VFR),
    Case(file="vfr.mkv", options=(*OPEN, "-fps_mode", "vfr"), picked=VFR),
    Case(file="vfr.ts", options=(*B, "-fps_mode", "vfr"), picked=VFR),
    Case(file="vfr.webm", options=("-c:v", "libvpx", "-b:v", "2M", "-g", "12", "-fps_mode", "vfr"), picked=VFR),
    Case(file="late.ts", options=(*B, *START)),
    Case(file="late-open.ts", options=(*OPEN, *START)),
    Case(file="late.mkv", options=(*B, "-output_ts_offset", "5")),
    Case(file="late.mp4", options=(*B, "-output_ts_offset", "2.5")),
    Case(file="wraps.ts", options=(*B, "-output_ts_offset", "95442.9")),
    Case(file="edit.mp4", options=B, remux=((("-ss", "0.5"), ("-c", "copy")),)),
    Case(file="edit-open.mp4", options=OPEN, remux=((("-ss", "0.7"), ("-c", "copy")),)),
    Case(file="cut.mkv", options=OPEN, remux=((("-ss", "0.7"), ("-c", "copy")),)),
    Case(file="hevc.mp4", options=OPEN265),
    Case(file="hevc.mkv", options=OPEN265),
    Case(file="hevc.ts", options=OPEN265),
    Case(file="mpeg2.ts", options=(*MPEG2, "-bf", "2")),
    Case(file="mpeg2.mpg", options=(*MPEG2, "-bf", "2")),
    Case(file="mpeg2.mxf", options=MPEG2, rate="25"),
    Case(file="mpeg4.avi", options=("-c:v", "mpeg4", "-g", "12", "-q:v", "2")),
    Case(file="mpeg4-b.avi", options=("-c:v", "mpeg4", "-g", "12", "-q:v", "2", "-bf", "2")),
    Case(file="mpeg4-b.mp4", options=("-c:v", "mpeg4", "-g", "12", "-q:v", "2", "-bf", "2")),
    Case(file="mjpeg.avi", options=("-c:v", "mjpeg", "-q:v", "2")),
    Case(file="wmv2.wmv", options=("-c:v", "wmv2", "-g", "12", "-q:v", "2")),
    Case(file="ffv1.mkv", options=("-c:v", "ffv1", "-g", "12")),
    Case(file="prores.mov", options=("-c:v", "prores_ks")),
    Case(file="vp8.webm", options=("-c:v", "libvpx", "-b:v", "2M", "-g", "12", "-auto-alt-ref", "1",
                                   "-lag-in-frames", "16")),
    Case(file="vp9.webm", options=("-c:v", "libvpx-vp9", "-g", "12", "-deadline", "realtime", "-cpu-used", "8")),
    Case(file="theora.ogv", options=("-c:v", "libtheora", "-q:v", "9", "-g", "12")),
    Case(file="raw.h264", options=B),
    Case(file="raw.hevc", options=X265),
    Case(file="raw.m2v", options=MPEG2),
    Case(file="rgba.mkv", options=("-c:v", "ffv1", "-pix_fmt", "bgra")),
    Case(file="moving.gif", options=(), rate="25", format="GIF-FFMPEG"),
    Case(file="moving.apng", options=("-plays", "0")),
    Case(file="film.y4m", options=()),
)  # fmt: skip


@pytest.fixture(params=CASES, ids=lambda case: case.name, scope="module")
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture(scope="module")
def film(case: Case, lavfi: Clips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if case.fields:
        made = tmp_path_factory.mktemp("fields") / "made.nut"
        made.write_bytes(fields.film(joined=case.fields == "joined"))
        case = replace(case, remux=(((), ("-c", "copy")),))
    else:
        made = lavfied(case, lavfi)
    for before, after in case.remux:
        copied = tmp_path_factory.mktemp("cut") / case.name
        program = toolbox().find("ffmpeg").path
        subprocess.run([program, "-v", "error", *before, "-i", made, *after, copied], check=True, timeout=60)
        made = copied
    return made


def lavfied(case: Case, lavfi: Clips) -> Path:
    source = f"color=c=gray:s={16 * BITS}x48:r={case.rate},{NUMBERED}" + (f",{case.picked}" if case.picked else "")
    return lavfi(case.name, source, "-frames:v", str(FRAMES), *case.options)


def said(command: list[Any]) -> bytes:
    """Give what a program prints; ffmpeg 6.0's static build crashes on transport streams where it finds gconv."""
    environment = {**os.environ, "GCONV_PATH": "/nonexistent"}
    return subprocess.run(command, check=True, capture_output=True, timeout=60, env=environment).stdout


def number(frame: np.ndarray[Any, Any]) -> int:
    """Read the number that a frame carries."""
    return sum(1 << bit for bit in range(BITS) if frame[24, 16 * bit + 8, 1] > 128)


@pytest.fixture(scope="module")
def frames(case: Case, film: Path) -> list[bridge.Array]:
    with bridge.get_reader(film, case.format) as reader:
        return list(reader)


def test_every_frame_comes_once_and_in_order(frames: list[bridge.Array], case: Case) -> None:
    numbers = [number(frame) for frame in frames]
    assert numbers == sorted(set(numbers))
    assert len(numbers) == FRAMES or case.remux
    assert [frame.meta["index"] for frame in frames] == list(range(len(frames)))


def test_an_independent_decode_gives_as_many(case: Case, film: Path, frames: list[bridge.Array]) -> None:
    tool = toolbox().find("ffmpeg")
    every = ("-fps_mode" if tool.release >= (5, 1) else "-vsync", "passthrough")
    command = [tool.path, "-nostdin", "-v", "error", "-i", film, "-map", "0:V:0", *every, "-pix_fmt", "rgb24"]
    theirs = np.frombuffer(said([*command, "-f", "rawvideo", "-"]), np.uint8).reshape(-1, 48, 16 * BITS, 3)
    assert len(theirs) == len(frames)
    assert all(np.array_equal(one[..., :3], other) for one, other in zip(frames, theirs, strict=True))
    with bridge.get_reader(film, case.format) as reader:
        assert len(reader) == len(frames)


def test_in_random_order(case: Case, film: Path, frames: list[bridge.Array]) -> None:
    chance = random.Random(case.name)  # noqa: S311 - the same each time
    order = [chance.randrange(len(frames)) for _ in range(4)] + [-1, 0]
    with bridge.get_reader(film, case.format) as reader:
        for index in order:
            frame = reader[index]
            assert frame.meta["index"] == index % len(frames)
            assert np.array_equal(frame, frames[index])
            assert frame.meta == reader.get_meta_data(index)
        reader.set_image_index(5)
        assert np.array_equal(reader.get_next_data(), frames[5])
        assert np.array_equal(reader.get_next_data(), frames[6])


def test_in_a_batch(case: Case, film: Path, frames: list[bridge.Array]) -> None:
    chance = random.Random(case.name)  # noqa: S311 - no secret
    order = chance.choices(range(-len(frames), len(frames)), k=15)
    with bridge.get_reader(film, case.format) as reader:
        batch = reader.get_batch(order)
        part = reader[3:20:4]
    assert batch.shape == (15, *frames[0].shape)
    for got, index in zip(batch, order, strict=True):
        assert np.array_equal(got, frames[index])
        assert got.meta["index"] == index % len(frames)
    assert part.meta["index"] == [3, 7, 11, 15, 19]
    assert all(np.array_equal(got, frames[index]) for got, index in zip(part, range(3, 20, 4), strict=True))


def test_by_time(case: Case, film: Path, frames: list[bridge.Array]) -> None:
    with bridge.get_reader(film, case.format) as reader:
        times, shown = reader.timestamps, reader.durations
        assert np.all(np.diff(times) > 0)
        assert np.all(shown > 0)
        assert [frame.meta["time"] for frame in frames] == times.tolist()
        for index, part in ((7, 0), (len(frames) // 2, 0.5), (0, 0), (len(frames) - 1, 0.5)):
            assert reader.at(float(times[index] + part * shown[index])).meta["index"] == index
        for time in (times[0] - 0.01, times[-1] + shown[-1] + 0.01):
            with pytest.raises(errors.NoSuchFrame):
                reader.at(float(time))
        between = [frame.meta["index"] for frame in reader.frames_between(float(times[4]), float(times[8]))]
        assert between == [4, 5, 6, 7]


@pytest.mark.needs("ffprobe")
def test_times_are_those_of_ffprobe(case: Case, film: Path, frames: list[bridge.Array]) -> None:
    if case.file.startswith("raw."):
        pytest.skip("raw streams have no times")
    shown = "frame=best_effort_timestamp,key_frame"
    command = [toolbox().find("ffprobe").path, "-v", "error", "-select_streams", "V:0", "-show_entries", shown]
    rows = json.loads(said([*command, "-of", "json", film]))["frames"]
    theirs = [row.get("best_effort_timestamp") for row in rows]  # AVI and program streams lack some
    assert len(theirs) == len(frames)
    assert all(time in (None, frame.meta["pts"]) for time, frame in zip(theirs, frames, strict=True))
    with bridge.get_reader(film, case.format) as reader:
        keys = set(reader.key_frames.tolist())
        assert keys == {frame.meta["index"] for frame in frames if frame.meta["key_frame"]}
    assert 0 in keys or case.remux
