"""Options of the user's own: what strangers may have written names no file, no protocol, no filter."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bridge
from bridge.errors import ForbiddenOption
from bridge.ffmpeg.free import INPUT_OPTIONS, OUTPUT_OPTIONS, bit_rate, check_options, plain_name
from bridge.limits import Limits
from bridge.process import isolation

if TYPE_CHECKING:
    from pathlib import Path

UNTRUSTED = Limits(trust="untrusted")
HOSTILE = ["-i", "-vf", "-filter_complex", "-f", "-passlogfile", "-attach", "-dump_attachment", "-map", "-report",
           "-protocol_whitelist", "-/vf", "-lavfi", "-metadata", "-vstats_file", "-fpre", "-bsf:v", "-x264-params",
           "-c:v", "-y", "out.mp4", "", "--", "-", "-crf:m:x"]  # fmt: skip


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_options_that_open_files_work_for_ones_own_and_those_that_open_none_stay_in_the_box(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logo, film = tmp_path / "logo.png", tmp_path / "film.mp4"
    bridge.imwrite(logo, np.full((32, 32, 3), 255, np.uint8), format="PNG-FFMPEG")
    bridge.mimwrite(film, [np.zeros((32, 32, 3), np.uint8)] * 2)
    over = ["-vf", f"movie={logo}[logo];[in][logo]overlay"]
    assert bridge.imread(film, output_params=over).min() > 250
    sealed: list[bool] = []
    numbered = isolation.numbered

    def told(box: isolation.Box) -> list[str]:
        sealed.append(box.sealed)
        return numbered(box)

    monkeypatch.setattr(isolation, "numbered", told)
    bridge.imread(film, output_params=["-threads", "1"])
    assert set(sealed) == {True}
    bridge.imread(film, output_params=over)
    assert False in sealed


@pytest.mark.parametrize("option", HOSTILE)
def test_what_names_something_is_refused(option: str) -> None:
    for allowed in (INPUT_OPTIONS, OUTPUT_OPTIONS):
        with pytest.raises(ForbiddenOption, match="untrusted"):
            check_options([option, "1"], UNTRUSTED, keyword="output_params", allowed=allowed)


@pytest.mark.parametrize(
    "options",
    [["-crf", "20"], ["-b:v", "2.5M", "-an"], ["-preset", "slow", "-g", "12"], ["-r", "30000/1001"], ["-q:v", "3"],
     ["-profile:v:0", "high", "-level", "4.1"], ["-movflags", "+faststart"], ["-ss", "00:01:02.5", "-sn"], []],
)  # fmt: skip
def test_what_is_taken(options: list[str]) -> None:
    check_options(options, UNTRUSTED, keyword="output_params", allowed=OUTPUT_OPTIONS)


@given(name=st.sampled_from(sorted(OUTPUT_OPTIONS)), value=st.text(max_size=20))
def test_no_value_that_passes_names_anything(name: str, value: str) -> None:
    try:
        check_options([f"-{name}", value], UNTRUSTED, keyword="x", allowed=OUTPUT_OPTIONS)
    except ForbiddenOption:
        return
    assert value.isascii()
    assert not set(value) & set("\\=,;[]@'\"%*?{}$` \n\0~")
    assert ":" not in value or name in ("ss", "t", "to")
    assert "/" not in value or name == "r"
    assert value.count(".") <= 1


@given(st.lists(st.sampled_from([*HOSTILE, "-an", "-crf", "20", "/etc/passwd", "file:a"]), max_size=4))
def test_no_row_of_words_hides_a_file(words: list[str]) -> None:
    try:
        check_options(words, UNTRUSTED, keyword="x", allowed=OUTPUT_OPTIONS)
    except ForbiddenOption:
        return
    assert set(words) <= {"-an", "-crf", "20"}


def test_levels() -> None:
    normal, filters = Limits(), ["-vf", "hflip"]
    check_options(filters, normal, keyword="x", allowed=OUTPUT_OPTIONS)
    check_options(filters, Limits(trust="trusted"), keyword="x", allowed=OUTPUT_OPTIONS, address=True)
    with pytest.raises(ForbiddenOption, match=r"'-vf'.*normal.*address"):
        check_options(filters, normal, keyword="x", allowed=OUTPUT_OPTIONS, address=True)


@pytest.mark.parametrize("value", ["a.mp4", "-i", "x:y", "a b", "", "a=b", "file:x", "é"])
def test_names_are_plain(value: str) -> None:
    with pytest.raises(ValueError, match="codec is a name"):
        plain_name(value, "codec")
    with pytest.raises(ValueError, match="bitrate"):
        bit_rate(value)


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("keyword", ["codec", "pixelformat", "audio_codec"])
@pytest.mark.parametrize("trust", ["trusted", "normal", "untrusted"])
def test_a_writer_takes_plain_names_only(keyword: str, trust: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {keyword: "x -i y"}
    with pytest.raises(ValueError, match=keyword):
        bridge.get_writer(tmp_path / "a.mp4", trust=trust, **options)


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("keyword", ["input_params", "output_params", "ffmpeg_params"])
def test_readers_and_writers_refuse_by_the_level(keyword: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {keyword: ["-vf", "movie=/etc/passwd"]}
    with pytest.raises(ForbiddenOption, match=keyword):
        bridge.get_writer(tmp_path / "a.mp4", trust="untrusted", **options)
    film = b"\0\0\0\x18ftypisom" + bytes(16)
    with pytest.raises(ForbiddenOption, match=keyword):
        bridge.get_reader(film, trust="untrusted", **options)
