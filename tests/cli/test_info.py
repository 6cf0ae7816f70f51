"""``framebridge info`` on real files."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest

import bridge

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.conftest import Framebridge
    from tests.conftest import Clips, Media

pytestmark = pytest.mark.program


def test_json_of_one_film_is_what_probe_tells(framebridge: Framebridge, real: Media) -> None:
    film = real("bigbuckbunny.mp4")
    told = json.loads(framebridge("info", "--json", film).stdout)
    assert told == json.loads(json.dumps(bridge.probe(film).to_dict()))
    video = next(stream for stream in told["streams"] if stream["kind"] == "video")
    assert (video["codec"], video["width"], video["height"], video["fps"]) == ("h264", 1280, 720, "25/1")


def test_the_table_of_a_film(framebridge: Framebridge, real: Media) -> None:
    said = framebridge("info", real("bigbuckbunny.mp4")).stdout
    for word in ("h264", "1280x720", "25", "yuv420p", "aac", "48000 Hz", "5.31 s"):
        assert word in said


def test_the_table_of_pictures(framebridge: Framebridge, real: Media, tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", np.zeros((4, 5, 6), np.float32))
    ran = framebridge("info", real("astronaut.png"), tmp_path / "a.npy")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "(512, 512, 3)" in ran.stdout
    assert "(4, 5, 6)" in ran.stdout
    assert "float32" in ran.stdout


def test_of_several_files_the_bad_one_is_told_beside_the_others(
    framebridge: Framebridge, real: Media, tmp_path: Path
) -> None:
    ran = framebridge("info", "--json", real("bikes.mp4"), tmp_path / "missing.mp4", real("astronaut.png"))
    assert ran.returncode == 1
    told = json.loads(ran.stdout)
    assert ["error" in row for row in told] == [False, True, False]
    assert ran.stderr == f"framebridge: {told[1]['error']}\n"


@pytest.mark.needs("ffprobe")
def test_a_tag_cannot_steer_the_terminal(framebridge: Framebridge, lavfi: Clips) -> None:
    clip = lavfi("tag.mkv", "testsrc2=s=32x32:d=0.2", "-metadata", "title=[red]\x1b[31mboo :smile:")
    said = framebridge("info", clip).stdout
    assert r"[red]\x1b[31mboo :smile:" in said
    assert said.replace("\n", "").isprintable()
