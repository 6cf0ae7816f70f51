"""The count of an MP4's own tables: what ffmpeg writes is counted right, damage gives no number or a number."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.mp4 import video_samples

if TYPE_CHECKING:
    from pathlib import Path


def counted(content: bytes) -> int | None:
    return video_samples(lambda at, count: content[at : at + count], len(content))


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("options", [(), ("-movflags", "+faststart"), ("-bf", "3", "-g", "10")])
def test_what_ffmpeg_writes(options: tuple[str, ...], lavfi: Any) -> None:
    for name, frames in (("a.mp4", 37), ("a.mov", 1)):
        source = f"testsrc2=s=64x48:r=25:d={frames / 25}"
        assert counted(lavfi(name, source, *options).read_bytes()) == frames


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_sound_is_not_counted(real: Any) -> None:
    assert counted(real("bigbuckbunny.mp4").read_bytes()) == 132


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_where_the_tables_do_not_tell(lavfi: Any, ffmpeg: str, tmp_path: Path) -> None:
    fragmented = lavfi("fragments.mp4", "testsrc2=s=64x48:d=1", "-movflags", "frag_keyframe+empty_moov")
    assert counted(fragmented.read_bytes()) is None
    sound = tmp_path / "sound.mp4"
    subprocess.run(
        [ffmpeg, "-nostdin", "-v", "error", "-f", "lavfi", "-i", "sine=d=0.2", "-c:a", "aac", str(sound)], check=True
    )
    assert counted(sound.read_bytes()) is None
    assert counted(b"") is None
    assert counted(b"\x89PNG\r\n\x1a\n" + bytes(100)) is None


@given(st.binary(max_size=200))
def test_garbage_gives_no_error(content: bytes) -> None:
    for data in (content, b"\0\0\0\x40moov" + content, b"\0\0\0\x01moov" + content):
        number = counted(data)
        assert number is None or number >= 0


def test_every_cut_gives_no_error(real: Any) -> None:
    content = real("carphone_distorted.mp4").read_bytes()
    for cut in range(0, len(content), 17):
        assert counted(content[:cut]) in (None, 120)
