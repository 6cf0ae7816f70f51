"""What a container says of the picture is the same whether it was made in chunks or by one command."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from tests.jobs.films import run

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

_DECLARED = "setparams=colorspace=bt709:color_primaries=bt709:color_trc=bt709:range=tv"
_WIDE = "setparams=colorspace=bt2020nc:color_primaries=bt2020:color_trc=bt2020-10:range=tv"
SOURCES: dict[str, tuple[str, ...]] = {
    "declared": ("-vf", _DECLARED, "-c:v", "libx264", "-pix_fmt", "yuv444p"),
    "not declared": ("-vf", "format=yuv420p", "-c:v", "ffv1"),
    "full range": ("-vf", "scale=out_range=pc,setparams=range=pc:colorspace=smpte170m", "-c:v", "libx264"),
    "ten bits": ("-vf", f"format=yuv420p10le,{_DECLARED}", "-c:v", "libx264"),
    "wide": ("-vf", f"format=yuv420p,{_WIDE}", "-c:v", "libx264"),
    "rgb": ("-c:v", "ffv1", "-pix_fmt", "bgr0"),
    "gray": ("-vf", "format=gray", "-c:v", "ffv1"),
    "in fields": ("-vf", f"format=yuv420p,{_DECLARED},setfield=tff", "-c:v", "libx264", "-x264opts", "tff=1"),
}
WISHES: dict[str, dict[str, Any]] = {
    "film.mkv": {"video_codec": "ffv1"},
    "film.mov": {"video_codec": "prores"},
    "film.mp4": {"video_codec": "h264", "crf": 18, "speed": "ultrafast"},
    "film.webm": {"video_codec": "vp9", "crf": 30, "speed": "8"},
}


def _said(path: Path) -> dict[str, Any]:
    video = bridge.probe(path).video
    assert video is not None
    names = ("color_range", "color_space", "color_primaries", "color_transfer", "field_order", "sample_aspect_ratio")
    return {name: getattr(video, name) for name in (*names, "pixel_format", "width", "height", "rotation")}


@pytest.fixture(scope="session")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sources")


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("target", WISHES)
def test_chunks_tell_what_one_command_tells(source: str, target: str, sources: Path, tmp_path: Path) -> None:
    film = sources / f"{source}.mkv"
    if not film.exists():
        run("-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=11", "-g", "5", *SOURCES[source], film)
    (tmp_path / "one").mkdir()
    (tmp_path / "chunks").mkdir()
    wish = WISHES[target]
    one = bridge.transcode(film, tmp_path / "one" / target, **wish)
    chunks = bridge.transcode(film, tmp_path / "chunks" / target, workers=2, **wish)
    assert len(chunks.commands) > len(one.commands)
    assert _said(tmp_path / "chunks" / target) == _said(tmp_path / "one" / target)
    if wish["video_codec"] in ("ffv1", "prores"):
        with (
            bridge.get_reader(tmp_path / "one" / target) as left,
            bridge.get_reader(tmp_path / "chunks" / target) as right,
        ):
            assert all(np.array_equal(*pair) for pair in zip(left, right, strict=True))


def test_colours_that_the_user_names(sources: Path, tmp_path: Path) -> None:
    film = sources / "plain.mkv"
    run("-f", "lavfi", "-i", "testsrc2=s=64x48:r=5:d=11", "-g", "5", *SOURCES["not declared"], film)
    options = ["-color_primaries", "bt470bg"]  # which newer FFmpeg does not heed where frames say otherwise
    said = []
    for workers in (1, 2):
        target = tmp_path / f"{workers}.mkv"
        bridge.transcode(film, target, video_codec="ffv1", workers=workers, options=options, trust="trusted")
        said.append(_said(target))
    assert said[0] == said[1]
