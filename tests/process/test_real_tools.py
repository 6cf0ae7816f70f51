"""Toolbox against the programs of this machine: what they say of themselves is understood."""

from __future__ import annotations

import re
import subprocess

import pytest

from bridge.process.tools import Toolbox, toolbox

pytestmark = pytest.mark.program


@pytest.mark.needs("ffmpeg")
def test_the_abilities_of_ffmpeg_are_read() -> None:
    able = toolbox().abilities("ffmpeg")
    assert {"libx264", "png", "gif", "rawvideo", "ffv1"} <= able.encoders
    assert {"h264", "png", "gif", "mjpeg"} <= able.decoders
    assert {"mp4", "nut", "rawvideo", "gif", "image2pipe"} <= able.muxers
    assert {"mov", "mp4", "matroska", "webm", "nut", "gif"} <= able.demuxers
    assert {"rgb24", "rgba64le", "yuv420p", "gbrpf32le"} <= able.pix_fmts
    assert {"scale", "palettegen", "paletteuse", "split"} <= able.filters
    assert "lavfi" in able.devices


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("kind", ["encoders", "decoders", "muxers", "filters", "pix_fmts"])
def test_no_line_of_ffmpegs_lists_is_misread(ffmpeg: str, kind: str) -> None:
    lines = subprocess.run(
        [ffmpeg, "-hide_banner", f"-{kind}"], check=True, capture_output=True, text=True, timeout=30
    ).stdout
    names = getattr(toolbox().abilities("ffmpeg"), kind)
    assert len(names) > 100
    assert not {name for name in names if not re.fullmatch(r"[\w.-]+", name)}
    assert all(name in lines for name in names)
    assert not names & {"=", "->", "Video", "Audio", "FLAGS", "NAME"}


@pytest.mark.needs("ffprobe")
def test_ffprobe_is_of_the_same_release_or_at_least_known() -> None:
    assert toolbox().find("ffprobe").release >= (4, 0)


@pytest.mark.needs("magick")
def test_the_abilities_of_imagemagick_are_read() -> None:
    able = toolbox().abilities("magick")
    both = {"PNG", "JPEG", "GIF", "BMP", "TIFF", "PAM", "PGM", "PPM"}
    assert both <= able.demuxers
    assert both <= able.muxers
    assert not able.encoders
    assert not {"Format", "Module", "Mode", "native", "rw-"} & (able.demuxers | able.muxers)


@pytest.mark.needs("magick")
def test_identify_is_the_one_of_the_same_imagemagick() -> None:
    tool = toolbox().find("magick")
    said = subprocess.run([*tool.identify, "-version"], check=True, capture_output=True, text=True, timeout=30).stdout
    assert tool.version.split()[0] in said


@pytest.mark.parametrize("name", ["ffmpeg", "magick"])
def test_what_is_found_has_been_asked(name: str) -> None:
    box = Toolbox()
    tool = box.get(name)
    attempts = box.attempts(name)
    assert all(attempt.refused for attempt in (attempts[:-1] if tool else attempts))
    if tool:
        assert (attempts[-1].path, attempts[-1].refused) == (tool.path, "")
        assert tool.version in str(tool)
