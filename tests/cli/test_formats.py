"""``framebridge formats``: true for this machine, and helpful where something is missing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

import bridge
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from tests.cli.conftest import Framebridge

pytestmark = pytest.mark.program


def rows(framebridge: Framebridge, *arguments: str, **env: str) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in json.loads(framebridge("formats", "--json", *arguments, env=env).stdout)}


def test_every_format_is_listed_in_order(framebridge: Framebridge) -> None:
    assert list(rows(framebridge)) == [format.name for format in bridge.formats]


def test_numpy_works_everywhere(framebridge: Framebridge) -> None:
    row = rows(framebridge, FRAMEBRIDGE_FFMPEG="none", FRAMEBRIDGE_MAGICK="none")["NPY"]
    assert (row["read"], row["write"], row["program"]) == (True, True, "in-process")


def test_what_is_missing_is_told_with_its_remedy(framebridge: Framebridge) -> None:
    told = rows(framebridge, FRAMEBRIDGE_MAGICK="none")
    assert not told["PNG"]["read"]
    assert not told["PNG"]["write"]
    assert "install" in told["PNG"]["why_not_read"]
    assert told["PNG-FFMPEG"]["read"]


def test_a_reason_that_many_share_is_printed_once(framebridge: Framebridge) -> None:
    said = framebridge("formats", env={"FRAMEBRIDGE_MAGICK": "none"}).stdout
    assert said.count("ImageMagick is not installed") == 1
    assert "no (1)" in said


def test_what_is_only_read_is_not_said_to_be_written(framebridge: Framebridge) -> None:
    told = rows(framebridge)
    assert told["H264"]["read"]
    assert not told["H264"]["write"]
    assert told["H264"]["why_not_write"]


def test_one_format_tells_its_keywords(framebridge: Framebridge) -> None:
    said = framebridge("formats", "mp4").stdout
    assert "audio_path" in said
    assert f"writes here: {'yes' if not bridge.formats['mp4'].missing(writing=True) else 'no'}" in said


def test_all_formats_of_an_extension(framebridge: Framebridge) -> None:
    assert set(rows(framebridge, ".png")) == {"PNG", "PNG-FFMPEG"}


def test_an_unknown_name_is_one_line(framebridge: Framebridge) -> None:
    ran = framebridge("formats", "nonsense")
    assert ran.returncode == 1
    assert ran.stderr.startswith("framebridge: no format is called 'nonsense'")
    assert ran.stderr.count("\n") == 1


@pytest.mark.needs("ffmpeg")
def test_the_program_is_named(framebridge: Framebridge) -> None:
    assert toolbox().get("ffmpeg")
    assert rows(framebridge)["MKV"]["program"] == "ffmpeg"
