"""What a film says about itself, in groups: tags, stream, chapters, place and time; typed, bounded, escaped."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

import bridge
from bridge.ffmpeg import banner
from bridge.ffmpeg.describe import film_meta
from bridge.ffmpeg.probe import from_json
from bridge.media.info import Chapter, MediaInfo, VideoStream
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clips

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

METADATA = """;FFMETADATA1
title=Two lines:\\
 the \\=second
location=+48.8577+002.2950+035.0/
creation_time=2024-05-06T07:08:09.000000Z
[CHAPTER]
TIMEBASE=1/1000
START=0
END=500
title=One \\= first
[CHAPTER]
TIMEBASE=1/1000
START=500
END=1000
title=Two \x1b[31mred
"""


@pytest.fixture(scope="module", params=["film.mp4", "film.mov", "film.mkv"])
def film(request: pytest.FixtureRequest, lavfi: Clips, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with chapters, a place and a time."""
    text = tmp_path_factory.mktemp("said") / "said.txt"
    text.write_text(METADATA)
    said = ("-i", str(text), "-map_metadata", "1", "-metadata:s:v", "language=fra")
    options = ("-c:v", "libx264", "-profile:v", "high", "-level", "3.1", "-pix_fmt", "yuv420p")
    return lavfi(
        request.param, "testsrc2=s=96x64:r=10:d=1", *said, *options, "-map", "0:v", "-disposition:v", "default"
    )


def meta_of(film: Path) -> dict[str, Any]:
    with bridge.get_reader(film) as reader:
        return reader.get_meta_data()


def test_chapters_are_told(film: Path) -> None:
    assert meta_of(film)["chapters"] == [
        {"title": "One = first", "start": 0.0, "end": 0.5},
        {"title": "Two \\x1b[31mred", "start": 0.5, "end": 1.0},
    ]
    chapters = bridge.probe(film).chapters
    assert chapters == (
        Chapter(start=0.0, end=0.5, title="One = first"),
        Chapter(start=0.5, end=1.0, title="Two \x1b[31mred"),
    )
    assert json.loads(json.dumps(bridge.probe(film).to_dict()))["chapters"][0]["end"] == 0.5


def test_time_and_place_are_typed(film: Path) -> None:
    meta = meta_of(film)
    assert meta["creation_time"] == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert meta["creation_time"].utcoffset() is not None
    assert meta["gps"] == {"latitude": 48.8577, "longitude": 2.295, "altitude": 35.0}


def test_file_and_stream_have_a_group_each(film: Path) -> None:
    meta = meta_of(film)
    assert meta["container"]["title"] == meta["tags"]["title"] == "Two lines:\n the =second"
    assert meta["container"]["creation_time"] == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert isinstance(meta["tags"]["creation_time"], str)
    stream = meta["stream"]
    assert (stream["profile"], stream["language"]) == ("High", "fra")
    assert stream["level"] == 31 or toolbox().get("ffprobe") is None
    assert "default" in stream["disposition"]
    assert (meta["codec"], meta["fps"], meta["size"]) == ("h264", 10.0, (96, 64))  # imageio's names stay


def test_a_film_that_says_nothing_has_no_more_than_empty_groups(lavfi: Clips) -> None:
    meta = meta_of(lavfi("plain.avi", "testsrc2=s=96x64:r=10:d=0.3", "-c:v", "mjpeg", "-pix_fmt", "yuvj420p"))
    assert meta["chapters"] == []
    assert not {"gps", "hdr", "creation_time"} & set(meta)


@pytest.mark.needs("ffprobe")
def test_ffmpeg_alone_says_what_ffprobe_says(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = meta_of(film)
    monkeypatch.setenv("FRAMEBRIDGE_FFPROBE", "none")
    assert toolbox().get("ffprobe") is None
    alone = meta_of(film)
    assert alone["source"] != whole["source"]
    assert (whole["stream"].pop("level"), alone["stream"].pop("level")) == (31, None)
    for group in ("container", "stream", "chapters", "gps", "creation_time", "tags"):
        assert alone[group] == whole[group], group


def test_what_a_hostile_file_says_is_escaped(lavfi: Clips, tmp_path: Path, ffmpeg: str) -> None:
    plain = lavfi("plain.mkv", "testsrc2=s=96x64:r=10:d=0.3", "-c:v", "ffv1")
    said = ("-metadata", "title=\x1b]0;owned\x07", "-metadata", "a\x9b31mb=\u202etxt", "-metadata:s:v", "title=\x1b[2J")
    hostile = tmp_path / "hostile.mkv"
    subprocess.run([ffmpeg, "-v", "error", "-i", str(plain), "-c", "copy", *said, str(hostile)], check=True)
    meta = meta_of(hostile)
    assert meta["stream"]["title"].endswith("[2J")
    assert meta["container"]["title"].startswith(("\\x1b]0;owned", "?]0;owned"))
    for steering in "\x1b\x07\x9b\u202e":
        assert steering not in str([*_texts(meta)])
    assert "\x1b" not in str([*_texts(film_meta(*_made(tags={"\x1b": "\x1b"}, title="\x1b[1m")))])


def _texts(value: Any) -> Any:
    """Give all texts in a nest of dicts and lists, names too."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from (*_texts(name), *_texts(item))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _made(*, tags: dict[str, str], title: str = "") -> tuple[MediaInfo, VideoStream, Any]:
    video = VideoStream(index=0, codec="h264", width=8, height=8, tags=tags)
    chapters = (Chapter(start=0.0, end=1.0, title=title),)
    info = MediaInfo(uri="film", format="mov", streams=(video,), chapters=chapters, tags=tags)
    return info, video, toolbox().find("ffmpeg")


def test_what_is_too_much_is_left_out() -> None:
    info, video, tool = _made(tags={f"name {number}": "x" * 1000 for number in range(5000)})
    meta = film_meta(info, video, tool)
    assert 0 < sum(map(len, meta["container"].values())) <= 1 << 20
    many = replace(info, chapters=100_000 * info.chapters)
    assert 0 < len(film_meta(many, video, tool)["chapters"]) <= 10_000


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("2024-05-06T09:08:09+0200", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06T07:08:09.000000Z;2024-05-06T07:08:09.123456Z", datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)),
        ("2024-05-06T07:08:09", None),
        ("yesterday", None),
    ],
)
def test_a_time_without_a_zone_stays_a_text(said: str, found: datetime | None) -> None:
    meta = film_meta(*_made(tags={"com.apple.quicktime.creationdate": said}))
    assert meta.get("creation_time") == found
    assert meta["container"]["com.apple.quicktime.creationdate"] == (found or said)


def test_a_place_as_phones_write_it() -> None:
    meta = film_meta(*_made(tags={"com.apple.quicktime.location.ISO6709": "-33.8568+151.2153+004.2/"}))
    assert meta["gps"] == {"latitude": -33.8568, "longitude": 151.2153, "altitude": 4.2}
    assert "gps" not in film_meta(*_made(tags={"location": "at home"}))


def test_side_data_of_a_container_is_read() -> None:
    rows: list[dict[str, Any]] = [
        {"side_data_type": "Content light level metadata", "max_content": 1000, "max_average": 0},
        {"side_data_type": "Mastering display metadata", "red_x": "17/25", "red_y": "8/25", "white_point_x": "1/0"},
        {"side_data_type": "Mastering display metadata", "min_luminance": "1/10000", "max_luminance": "1000/1"},
    ]
    video = from_json({"streams": [{"codec_type": "video", "side_data_list": rows}]}, "film", "test").video
    assert video is not None
    assert video.hdr is not None
    told = {name: value for name, value in video.hdr.to_dict().items() if value is not None}
    assert told == {"max_content": 1000, "min_luminance": 0.0001, "max_luminance": 1000.0}


@pytest.mark.parametrize(
    "text",
    [
        (
            "  Mastering Display Metadata, has_primaries:1 has_luminance:1 r(0.6800,0.3200) g(0.2650,0.6900) "
            "b(0.1500 0.0600) wp(0.3127, 0.3290) min_luminance=0.000100, max_luminance=1000.000000\n"
            "  Content Light Level Metadata, MaxCLL=1000, MaxFALL=400"
        ),
        (
            "[Parsed_showinfo_0 @ 0x1]   side data - Content Light Level information: MaxCLL=1000, MaxFALL=400\n"
            "[Parsed_showinfo_0 @ 0x1]   side data - mastering display: has_primaries:1 has_luminance:1 "
            "r(0.6800,0.3200) g(0.2650,0.6900) b(0.1500,0.0600) wp(0.3127,0.3290) "
            "min_luminance=0.000100, max_luminance=1000.000000"
        ),
    ],
    ids=["banner", "showinfo"],
)
def test_light_is_read_from_what_ffmpeg_prints(text: str) -> None:
    found = banner.high_range(text)
    assert found is not None
    assert found.primaries == ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
    assert (found.white_point, found.min_luminance, found.max_luminance) == ((0.3127, 0.329), 0.0001, 1000.0)
    assert (found.max_content, found.max_average) == (1000, 400)
    assert banner.high_range("a title: MaxCLL=1000, MaxFALL=400") is None
