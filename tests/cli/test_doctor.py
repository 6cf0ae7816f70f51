"""``framebridge doctor``: what is found, what was tried, what is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Framebridge
    from tests.fakes.programs import FakeMaker

NONE = {f"FRAMEBRIDGE_{name}": "none" for name in ("FFMPEG", "FFPROBE", "MAGICK", "GS")}


def told(framebridge: Framebridge, **env: str) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(framebridge("doctor", "--json", env=env).stdout)
    return answer


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_a_machine_with_ffmpeg(framebridge: Framebridge) -> None:
    ran = framebridge("doctor")
    tool = toolbox().find("ffmpeg")
    assert ran.returncode == 0
    assert tool.path in ran.stdout
    assert tool.version in ran.stdout
    assert told(framebridge)["programs"]["ffmpeg"]["release"] == list(tool.release)


def test_a_machine_without_programs(framebridge: Framebridge) -> None:
    ran = framebridge("doctor", env=NONE)
    assert ran.returncode == 1
    assert ran.stdout.count("To get it: ") == 4
    assert ran.stderr == ""
    for facts in told(framebridge, **NONE)["programs"].values():
        assert facts["path"] is None
        assert "install" in facts["install"]
        assert [attempt["refused"] for attempt in facts["tried"]] == ["switched off"]


def test_what_was_refused_is_told(framebridge: Framebridge, fake: FakeMaker) -> None:
    stranger = str(fake("ffmpeg", manner="stranger"))
    tried = told(framebridge, FRAMEBRIDGE_FFMPEG=stranger)["programs"]["ffmpeg"]["tried"]
    assert tried[0]["path"] == stranger
    assert tried[0]["source"] == "FRAMEBRIDGE_FFMPEG"
    assert "is not ffmpeg" in tried[0]["refused"]


def test_what_serves_is_told_with_its_source(framebridge: Framebridge, fake: FakeMaker) -> None:
    honest = str(fake("ffmpeg"))
    facts = told(framebridge, **NONE | {"FRAMEBRIDGE_FFMPEG": honest})["programs"]["ffmpeg"]
    assert (facts["path"], facts["source"], facts["install"]) == (honest, "FRAMEBRIDGE_FFMPEG", None)


def test_the_cache_folder(framebridge: Framebridge, tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet" / "there"
    (tmp_path / "file").touch()
    good = told(framebridge, **NONE, FRAMEBRIDGE_CACHE=str(folder))["cache"]
    bad = told(framebridge, **NONE, FRAMEBRIDGE_CACHE=str(tmp_path / "file"))["cache"]
    assert good == {"folder": str(folder), "writable": True}
    assert not bad["writable"]
    assert not folder.exists()


@pytest.mark.program
@pytest.mark.needs("magick")
def test_the_warm_imagemagick(framebridge: Framebridge) -> None:
    assert told(framebridge)["warm"].startswith("libMagickWand")
    assert "Warm ImageMagick: libMagickWand" in framebridge("doctor").stdout
    assert told(framebridge, FRAMEBRIDGE_WARM="none")["warm"] == "none: FRAMEBRIDGE_WARM=none"
    assert told(framebridge, FRAMEBRIDGE_MAGICK="none")["warm"] == "none: ImageMagick is not installed"
