"""Batches: how the frames that are wanted are divided among decoders."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bridge
from bridge.ffmpeg.batch import pieces, stretches
from bridge.ffmpeg.decoder import Decoder
from bridge.ffmpeg.reader import FilmReader
from bridge.media.avc import AvcTrack, avc_track
from bridge.media.index import Entry, FrameIndex, Packet
from tests.fakes.films import turned_film

if TYPE_CHECKING:
    from collections.abc import Sequence

HD = 1920 * 1080


def film(frames: int, keys: list[int], pixels: int = HD) -> FrameIndex:
    """Make the index of a film of which the keys are entries."""
    entries = tuple(Entry(key, None, None) for key in keys)
    rows = [Packet(at, key=at in keys) for at in range(frames)]
    return replace(FrameIndex.from_frames(rows, Fraction(1, 25), entries), pixels=pixels)


def decoded(index: FrameIndex, group: Sequence[int]) -> range:
    return range(index.start(group[0]), group[-1] + 1)


def divided(index: FrameIndex, groups: list[list[int]], workers: int) -> list[list[int]]:
    return pieces(index, groups, workers, lambda group: len(decoded(index, group)))


@st.composite
def wishes(draw: st.DrawFn) -> tuple[FrameIndex, list[int]]:
    frames = draw(st.integers(1, 400))
    keys = sorted({0, *draw(st.lists(st.integers(0, frames - 1), max_size=12))})
    wanted = draw(st.sets(st.integers(0, frames - 1), min_size=1, max_size=60))
    return film(frames, keys, draw(st.sampled_from([0, 300, HD, 4 * HD]))), sorted(wanted)


@given(wishes(), st.integers(1, 8))
def test_each_frame_is_in_one_piece_and_none_is_decoded_twice(wish: tuple[FrameIndex, list[int]], workers: int) -> None:
    index, wanted = wish
    found = divided(index, stretches(index, wanted), workers)
    assert sorted(position for piece in found for position in piece) == wanted
    assert all(piece == sorted(piece) for piece in found)
    inside = [n for piece in found for n in decoded(index, piece)]
    assert len(inside) == len(set(inside))
    lengths = [len(decoded(index, piece)) for piece in found]
    assert lengths == sorted(lengths, reverse=True)
    assert len(found) >= len(stretches(index, wanted))


def test_a_long_stretch_is_divided_at_its_key_frames() -> None:
    index = film(1800, list(range(0, 1800, 250)))
    found = divided(index, [list(range(5, 1800, 18))], 2)
    assert len(found) == 8
    assert {index.start(piece[0]) % 250 for piece in found} == {0}


def test_a_film_with_one_key_frame_is_not_divided() -> None:
    assert len(divided(film(1800, [0]), [list(range(0, 1800, 18))], 2)) == 1


def test_far_frames_of_large_pictures_are_decoded_apart_and_of_small_ones_together() -> None:
    keys, wanted = list(range(0, 1000, 50)), [10, 110, 510]
    assert stretches(film(1000, keys), wanted) == [[10], [110], [510]]
    assert stretches(film(1000, keys, 64 * 48), wanted) == [wanted]


# Packets one by one

NOISY = "testsrc2=s=160x120:r=25:d=4,noise=alls=8:allf=t"
X264 = ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-g", "25")
PLAIN = {
    "colours told": ("film.mp4", (*X264, "-colorspace", "bt709", "-movflags", "+write_colr")),
    "B-frames": ("film.mp4", (*X264, "-bf", "3")),
    "B-frames that are referred to": ("film.mp4", (*X264, "-bf", "7", "-x264-params", "b-pyramid=normal:b-adapt=0")),
    "slices, delimiters": ("film.mp4", (*X264, "-bf", "3", "-x264-params", "slices=4:aud=1")),
    "with sound": ("film.mp4", (*X264, "-bf", "2", "-f", "lavfi", "-i", "sine=d=4", "-c:a", "aac")),
    "late": ("film.mp4", (*X264, "-bf", "2", "-output_ts_offset", "5")),
    "index in front, tags": ("film.mp4", (*X264, "-bf", "2", "-movflags", "+faststart", "-metadata", "title=x")),
}
OTHER = {
    "open GOP": ("film.mov", (*X264, "-bf", "3", "-x264-params", "open-gop=1:b-adapt=0")),
    "HEVC": ("film.mp4", ("-c:v", "libx265", "-x265-params", "log-level=0")),
    "MPEG-4": ("film.mp4", ("-c:v", "mpeg4")),
    "fragments": ("film.mp4", (*X264, "-movflags", "+frag_keyframe+empty_moov")),
    "Matroska": ("film.mkv", X264),
}


def track_of(path: Any) -> tuple[AvcTrack | None, FrameIndex]:
    data = path.read_bytes()
    with bridge.get_reader(path) as reader:
        assert isinstance(reader, FilmReader)
        index = reader._index()
    return avc_track(lambda at, count: data[at : at + count], len(data), index), index


def made(lavfi: Any, name: str, options: tuple[str, ...]) -> Any:
    """Make a film; inputs among the options come before its codec."""
    if "-f" in options:
        at = options.index("-f")
        options = (*options[at : at + 4], *options[:at], *options[at + 4 :])
    return lavfi(name, NOISY, *options)


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("name", PLAIN)
def test_a_batch_of_plain_h264_decodes_only_what_is_needed(
    name: str, lavfi: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = made(lavfi, *PLAIN[name])
    track, index = track_of(path)
    assert track is not None
    assert len(track.needed(range(len(index)))) == len(index)
    assert len(track.needed([24, 49, 74])) < 0.8 * 75
    piped = []
    begin = Decoder.__init__

    def watched(self: Decoder, *arguments: Any, **keywords: Any) -> None:
        begin(self, *arguments, **keywords)
        piped.append("pipe:0" in self.child.argv)

    monkeypatch.setattr(Decoder, "__init__", watched)
    with bridge.get_reader(path) as reader:
        whole = list(reader)
        piped.clear()
        for seed in range(6):
            wanted = np.random.default_rng(seed).integers(0, len(whole), 12).tolist()
            assert np.array_equal(reader.get_batch(wanted), np.stack([whole[n] for n in wanted])), wanted
    assert piped
    assert all(piped)  # none had to be read again with more care


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("name", OTHER)
def test_other_films_are_left_to_ffmpeg(name: str, lavfi: Any) -> None:
    track, _ = track_of(made(lavfi, *OTHER[name]))
    assert track is None


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_a_turned_film_is_left_to_ffmpeg(lavfi: Any, tmp_path: Any) -> None:
    path = made(lavfi, *PLAIN["B-frames"])
    turned = turned_film(path, tmp_path)
    assert track_of(path)[0] is not None
    assert track_of(turned)[0] is None
    with bridge.get_reader(turned) as reader:
        assert reader.get_batch([30, 3]).shape == (2, 160, 120, 3)


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_more_runs_than_ffmpeg_takes_in_one_sum(lavfi: Any) -> None:
    path = lavfi("long.mkv", "testsrc2=s=64x48:r=25:d=12", "-c:v", "mpeg4", "-g", "600")
    with bridge.get_reader(path) as reader:
        whole = list(reader)
        wanted = list(range(0, 300, 2))
        assert np.array_equal(reader.get_batch(wanted), np.stack(whole[::2]))


@given(st.integers(0, 1 << 32), st.integers(1, 400))
def test_tables_that_lie_give_nothing_or_an_end(seed: int, changes: int) -> None:
    data = bytearray(_FILM)
    rng = np.random.default_rng(seed)
    for at in rng.integers(0, len(data), changes).tolist():
        data[at] = int(rng.integers(256))
    track = avc_track(lambda at, count: bytes(data[at : at + count]), len(data), film(3, [0]))
    assert track is None or len(track.needed([0, 2])) <= 3


def _box(name: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    return (8 + len(body)).to_bytes(4, "big") + name + body


def _numbers(*values: int) -> bytes:
    return b"".join(value.to_bytes(4, "big") for value in values)


_MATRIX = np.array([1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30], ">i4").tobytes()
_PICTURE = _numbers(5) + b"\x65four"
_FILM = _box(b"mdat", 3 * _PICTURE) + _box(
    b"moov",
    _box(
        b"trak",
        _box(b"tkhd", bytes(40), _MATRIX, bytes(8)),
        _box(
            b"mdia",
            _box(b"mdhd", bytes(12), _numbers(25), bytes(8)),
            _box(b"hdlr", bytes(8), b"vide", bytes(12)),
            _box(
                b"minf",
                _box(
                    b"stbl",
                    _box(
                        b"stsd",
                        _numbers(0, 1),
                        _box(b"avc1", bytes(78), _box(b"avcC", b"\1\x64\0\x1f\xff", bytes(9))),
                    ),
                    _box(b"stts", _numbers(0, 1, 3, 1)),
                    _box(b"stsc", _numbers(0, 1, 1, 3, 1)),
                    _box(b"stsz", _numbers(0, 0, 3, 9, 9, 9)),
                    _box(b"stco", _numbers(0, 1, 8)),
                ),
            ),
        ),
    ),
)


def test_the_smallest_film_is_found() -> None:
    track = avc_track(lambda at, count: _FILM[at : at + count], len(_FILM), film(3, [0]))
    assert track is not None
    assert track.needed([0]) == [0]
