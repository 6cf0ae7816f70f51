"""MediaInfo: which stream is the film, and that all of it can be written as JSON."""

from __future__ import annotations

import json
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from bridge.media.info import AudioStream, ImagePage, MediaInfo, OtherStream, VideoStream

_some = st.one_of(st.none(), st.integers(0, 1 << 40))
_seconds = st.one_of(st.none(), st.floats(0, 1e9))
_rates = st.one_of(st.none(), st.fractions(0, 1000))
_tags = st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2)
_streams = st.one_of(
    st.builds(
        VideoStream,
        index=st.integers(0, 9),
        codec=st.text(max_size=5),
        width=st.integers(0, 9999),
        height=st.integers(0, 9999),
        fps=_rates,
        time_base=_rates,
        sample_aspect_ratio=_rates,
        duration=_seconds,
        frames=_some,
        attached_picture=st.booleans(),
        tags=_tags,
    ),
    st.builds(AudioStream, index=st.integers(0, 9), codec=st.text(max_size=5), sample_rate=_some, tags=_tags),
    st.builds(OtherStream, index=st.integers(0, 9), kind=st.just("subtitle"), codec=st.text(max_size=5), tags=_tags),
)
_infos = st.builds(
    MediaInfo,
    uri=st.text(max_size=9),
    format=st.text(max_size=9),
    size=_some,
    duration=_seconds,
    streams=st.lists(_streams, max_size=4).map(tuple),
    pages=st.lists(st.builds(ImagePage, shape=st.tuples(st.integers(1, 9)), dtype=st.just("uint8")), max_size=2).map(
        tuple
    ),
    tags=_tags,
)


@given(_infos)
def test_it_can_be_written_as_json_and_says_what_each_stream_is(info: MediaInfo) -> None:
    plain = json.loads(json.dumps(info.to_dict(), allow_nan=False))
    kinds = {VideoStream: "video", AudioStream: "audio", OtherStream: "subtitle"}
    assert [row["kind"] for row in plain["streams"]] == [kinds[type(stream)] for stream in info.streams]
    for row, stream in zip(plain["streams"], info.streams, strict=True):
        if isinstance(stream, VideoStream) and stream.fps is not None:
            assert Fraction(row["fps"]) == stream.fps


@given(_infos)
def test_the_film_is_no_cover_picture_unless_there_is_nothing_else(info: MediaInfo) -> None:
    films = [stream for stream in info.streams if isinstance(stream, VideoStream)]
    if not films:
        assert info.video is None
    elif all(film.attached_picture for film in films):
        assert info.video is films[0]
    else:
        assert info.video is next(film for film in films if not film.attached_picture)


def test_the_first_sound_is_the_sound() -> None:
    sounds = tuple(AudioStream(index=index, codec="aac") for index in (1, 2))
    assert MediaInfo(uri="a", format="mp4", streams=sounds).audio is sounds[0]
    assert MediaInfo(uri="a", format="mp4").audio is None
