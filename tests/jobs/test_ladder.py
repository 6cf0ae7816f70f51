"""Ladders and pictures: lists that a player can play, cut alike, and pictures of the right places."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import numpy as np
import pytest

import bridge
from bridge.errors import BadJob
from bridge.jobs.job import Ladder, Picture, Rung

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clips

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

FAST = ("-c:v", "libx264", "-preset", "ultrafast")
HEIGHTS = ((1080, "5M"), (96, "200k"), (48, "80k"))
LADDER = Ladder(rungs=tuple(Rung(height=height, bitrate=bitrate) for height, bitrate in HEIGHTS), segment=1.0)


@pytest.fixture
def film(lavfi: Clips) -> Path:
    return lavfi("f.mkv", "testsrc2=size=128x96:rate=25:duration=3[out0];sine=duration=3[out1]", *FAST, "-g", "7")


@pytest.mark.parametrize("name", ["a %d.m3u8", "b.mpd"])
def test_every_quality_is_there_and_cut_alike(film: Path, tmp_path: Path, ffmpeg: str, name: str) -> None:
    result = bridge.transcode(film, tmp_path / name, ladder=LADDER, speed="ultrafast")
    assert result.frames == 75
    assert any("1080" in change for change in result.changes)
    assert len(list(tmp_path.iterdir())) == 2
    times = []
    for quality in range(2):
        own = ("-allowed_extensions", "ALL") if name.endswith("m3u8") else ()
        words = (*own, "-i", f"file:{tmp_path / name}", "-map", f"0:v:{quality}", "-f", "framemd5", "-c", "copy", "-")
        command = [ffmpeg, "-v", "error", *words]
        said = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout
        rows = [line.split(",") for line in said.splitlines() if not line.startswith("#")]
        times.append([int(row[2]) for row in rows])
    assert len(times[0]) == 75
    assert times[0] == times[1]
    assert bridge.transcode(film, tmp_path / name, ladder=LADDER, speed="ultrafast").reused


def test_segments_begin_with_key_frames_at_the_same_times(film: Path, tmp_path: Path) -> None:
    bridge.transcode(film, tmp_path / "a.m3u8", ladder=LADDER, speed="ultrafast")
    folder = next(path for path in tmp_path.iterdir() if path.is_dir())
    for quality in range(2):
        text = (folder / f"stream_{quality}.m3u8").read_text()
        assert re.findall(r"EXTINF:([\d.]+)", text) == ["1.000000"] * 3
        initial = (folder / f"stream_{quality}_init.mp4").read_bytes()
        for number in range(3):  # each decodes by itself
            piece = initial + (folder / f"stream_{quality}_{number:05d}.m4s").read_bytes()
            assert len(bridge.mimread(piece)) == 25


def test_uneven_films_and_those_without_sound(lavfi: Clips, tmp_path: Path) -> None:
    uneven = lavfi(
        "u.mp4", "testsrc2=size=64x48:rate=25:duration=2,select='not(mod(n,3))'", *FAST, "-fps_mode", "passthrough"
    )
    result = bridge.transcode(uneven, tmp_path / "a.m3u8", ladder=LADDER, speed="ultrafast")
    assert result.frames
    assert (tmp_path / "a.m3u8").read_text().count("RESOLUTION") == 1


@pytest.mark.parametrize("wishes", [{"start": 1}, {"bitrate": "1M"}, {"check": "ssim"}, {"video_codec": "copy"}])
def test_what_goes_with_no_ladder(film: Path, tmp_path: Path, wishes: dict[str, object]) -> None:
    with pytest.raises(BadJob):
        bridge.transcode(film, tmp_path / "a.m3u8", ladder=LADDER, **wishes)  # type: ignore[arg-type] # that is the test
    assert list(tmp_path.iterdir()) == []


def _colours(lavfi: Clips) -> Path:
    """Three seconds: red, green, blue."""
    colours = ";".join(f"color={name}:size=64x48:rate=25:duration=1[{name}]" for name in ("red", "lime", "blue"))
    return lavfi("c.mkv", f"{colours};[red][lime][blue]concat=n=3[out0]", *FAST)


def test_pictures_are_of_evenly_spaced_places(lavfi: Clips, tmp_path: Path) -> None:
    pictures = (
        Picture(kind="thumbnails", target=str(tmp_path / "t%02d.png"), count=3, width=32),
        Picture(kind="sheet", target=str(tmp_path / "sheet.jpg"), count=3, columns=3, width=32),
        Picture(kind="preview", target=str(tmp_path / "p.gif"), count=3, width=32),
    )
    bridge.transcode(_colours(lavfi), tmp_path / "a.mp4", video_codec="copy", pictures=pictures)
    for number in range(3):
        thumb = bridge.imread(tmp_path / f"t{number:02d}.png")
        assert thumb.shape == (24, 32, 3)
        assert int(np.argmax(thumb.mean((0, 1)))) == number
    sheet = bridge.imread(tmp_path / "sheet.jpg")
    assert sheet.shape == (24 + 8, 3 * 32 + 2 * 4 + 8, 3)
    assert [int(np.argmax(sheet[16, 20 + 36 * number])) for number in range(3)] == [0, 1, 2]
    shown = [int(np.argmax(frame[..., :3].mean((0, 1)))) for frame in bridge.mimread(tmp_path / "p.gif")]
    assert shown == sorted(shown)
    assert set(shown) == {0, 1, 2}


@pytest.mark.parametrize(
    ("kind", "target", "count"),
    [("thumbnails", "t.png", 2), ("thumbnails", "t%d.bmp", 2), ("sheet", "s.gif", 2), ("preview", "p.png", 2),
     ("sheet", "s.png", 65)],
)  # fmt: skip
def test_pictures_that_cannot_be(film: Path, tmp_path: Path, kind: str, target: str, count: int) -> None:
    picture = Picture(kind=kind, target=str(tmp_path / target), count=count)
    with pytest.raises(BadJob):
        bridge.transcode(film, tmp_path / "a.mp4", pictures=(picture,))
    assert list(tmp_path.iterdir()) == []
