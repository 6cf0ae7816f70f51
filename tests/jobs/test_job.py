"""The Job value: its forms, its id, and what it refuses."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from bridge.errors import BadJob
from bridge.jobs.filters import FILTERS, checked, is_temporal
from bridge.jobs.job import Audio, Job, Keep, Ladder, Picture, Rung, Trim, Video


def _full() -> Job:
    return Job(
        sources=("a.mov", "b -%d\n.mkv"),
        target="c.mp4",
        container="MP4",
        video=Video(codec="hevc", bitrate="2M", two_pass=True, size=(640, 0), fps=Fraction(30000, 1001),
                    filters=("hflip", "crop=64:32:0:0"), pixel_format="yuv420p10le", speed="fast",
                    options=("-g", "10")),
        audio=Audio(codec="aac", bitrate="96k", rate=48000, channels=2, loudness=-23),
        keep=Keep(subtitles=False, chapters=False),
        trim=Trim(start=Fraction(1, 3), end=Fraction(5)),
        ladder=Ladder(rungs=(Rung(height=90, bitrate="100k"),), segment=2.0),
        pictures=(Picture(kind="sheet", target="s.png", count=4),),
        check="ssim",
        at_least=0.9,
        on_damage="warn",
        trust="untrusted",
        labels={"who": "me"},
    )  # fmt: skip


@pytest.mark.parametrize("job", [_full(), Job(sources=("a",), target="b.mp4"), Job(sources=("a",), target="b.wav",
                                                                                   video=None)])  # fmt: skip
def test_json_and_back(job: Job) -> None:
    again = Job.from_json(job.to_json())
    assert again == job
    assert again.id == job.id
    assert again.to_json() == job.to_json()


def test_the_id_is_of_the_content_and_no_other_ones() -> None:
    job = Job(sources=("a",), target="b.mp4", video=Video(crf=20))
    assert job.id == Job(sources=("a",), target="b.mp4", video=Video(crf=20), labels={"x": "y"}).id
    # As it was when jobs were first kept: what is kept under an id must be found again.
    assert job.id == "7d35290cae1b4cfc8a5e5069c40eb682"
    others = [Job(sources=("b",), target="b.mp4", video=Video(crf=20)), Job(sources=("a",), target="b.mp4"),
              Job(sources=("a",), target="b.mp4", video=None)]  # fmt: skip
    assert len({job.id, *(other.id for other in others)}) == 4


@pytest.mark.parametrize(
    ("kind", "values", "said"),
    [
        (Video, {"crf": 20, "bitrate": "1M"}, "one"),
        (Video, {"codec": "-y"}, "codec"),
        (Video, {"codec": "copy", "crf": 3}, "copy"),
        (Video, {"two_pass": True}, "bitrate"),
        (Video, {"filters": ("movie=/etc/passwd",)}, "none of the filters"),
        (Video, {"filters": ("crop=w=n*2",)}, "no option"),
        (Video, {"filters": ("hflip,movie=a",)}, "none of the filters"),
        (Video, {"filters": "hflip"}, "list"),
        (Video, {"size": (0, 0)}, "size"),
        (Video, {"size": "big"}, "size"),
        (Video, {"fps": 0}, "fps"),
        (Video, {"fps": "1/0"}, "Fraction"),
        (Video, {"crf": "20"}, "crf"),
        (Video, {"target_ssim": 2}, "target_ssim"),
        (Audio, {"codec": "none", "loudness": -20}, "without"),
        (Audio, {"loudness": 3}, "loudness"),
        (Trim, {"start": 3, "end": 3}, "empty"),
        (Trim, {"stop": 0}, "empty"),
        (Trim, {"start": -1}, "start"),
        (Trim, {"start": 1, "first": 1}, "both"),
        (Ladder, {"rungs": ()}, "rung"),
        (Picture, {"kind": "poster", "target": "a.png"}, "thumbnails"),
    ],
)
def test_what_makes_no_sense_is_a_bad_job(kind: type[Any], values: dict[str, Any], said: str) -> None:
    with pytest.raises(BadJob, match=said):
        kind(**values)


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"version": 2, "sources": ["a"], "target": "b"}', '{"version": 1, "sources": ["a"]}',
     '{"version": 1, "sources": [], "target": "b"}', '{"version": 1, "sources": ["a"], "target": "b", "more": 1}',
     '{"version": 1, "sources": ["a"], "target": "b", "video": {"crf": "x"}}',
     '{"version": 1, "sources": ["a"], "target": "b", "video": 7}',
     '{"version": 1, "sources": ["a"], "target": "b", "trim": {"start": "1/0"}}'],
)  # fmt: skip
def test_strange_json_is_a_bad_job(text: str) -> None:
    with pytest.raises(BadJob):
        Job.from_json(text)


def test_the_form_says_its_version() -> None:
    assert json.loads(_full().to_json())["version"] == 1


def test_free_filters_are_for_trusted_jobs() -> None:
    video = Video(free_filters="drawgrid,negate")
    with pytest.raises(BadJob, match="trusted"):
        Job(sources=("a",), target="b.mp4", video=video)
    assert Job(sources=("a",), target="b.mp4", video=video, trust="trusted").video == video


def test_filters_have_names_for_their_values() -> None:
    assert checked("transpose=clock") == "transpose=dir=clock"
    assert checked("hflip") == "hflip"
    assert all(checked(name) == name for name in FILTERS)
    assert is_temporal("tmix=3")
    assert not is_temporal("crop=w=3:h=3")
