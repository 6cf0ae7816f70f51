"""Sound beside the pictures: its samples, its rate, and its place in time, in and out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pytest

import bridge
from bridge.core.samples import Samples
from bridge.errors import BridgeError, CorruptMedia

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

Image: TypeAlias = np.ndarray[Any, Any]

RATE = 48000
HALF_STEP = 1 / (1 << 15)  # of 16 bits: what rounding may change


def frames(count: int = 25) -> list[Image]:
    return [np.full((96, 128, 3), 8 * number % 240, np.uint8) for number in range(count)]


def tone(seconds: float, frequency: float = 440, phase: float = 0.0, rate: int = RATE) -> Image:
    """Make a sine, float32, (n, 1)."""
    times = np.arange(round(seconds * rate)) / rate
    return (0.5 * np.sin(2 * np.pi * frequency * times + phase)).astype(np.float32)[:, None]


def stereo(seconds: float) -> Image:
    return np.hstack([tone(seconds, 440, 0.3), tone(seconds, 1000, 1.2)])


def sound_of(path: Path, stream: int = 0) -> Any:
    reader: Any = bridge.get_reader(path)
    with reader:
        return reader.audio(stream)


def rustle(seconds: float) -> Image:
    """Make noise without high tones, float32, (n, 1): its place can be found to the sample, whatever codec it met."""
    noise = np.random.default_rng(0).normal(size=round(seconds * RATE))
    return (0.05 * np.convolve(noise, np.hanning(64) / 32, "same")).astype(np.float32)[:, None]


def lateness(sound: Any, given: Image, start: float) -> float:
    """Measure how many seconds later than it should some sound is heard, on the film's clock."""
    size = 2 * max(len(sound), len(given))
    spectra = np.fft.rfft(np.asarray(sound)[:, 0], size) * np.conj(np.fft.rfft(given[:, 0], size))
    found = int(np.argmax(np.fft.irfft(spectra, size)))
    shift = found - size if found > size // 2 else found
    return float(sound.start) + shift / RATE - start


def loudness(sound: Any, frequency: float) -> float:
    """Measure a tone in some sound."""
    times = np.arange(len(sound)) / sound.rate
    return abs(complex((np.asarray(sound)[:, 0] * np.exp(-2j * np.pi * frequency * times)).mean()))


# Out and back


@pytest.mark.parametrize(
    ("extension", "codec"),
    [("mkv", "flac"), ("mp4", "flac"), ("mp4", "alac"), ("mov", "alac"), ("mkv", "pcm_s16le"), ("mov", "pcm_s16le"),
     ("avi", "pcm_s16le"), ("nut", "flac")],
)  # fmt: skip
def test_lossless_sound_comes_back_as_it_was(extension: str, codec: str, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    given = stereo(1.0)
    bridge.mimwrite(target, frames(), fps=25, audio=(given, RATE), audio_codec=codec)
    back = sound_of(target)
    assert isinstance(back, Samples)
    assert (back.dtype, back.shape, back.rate) == (np.float32, given.shape, RATE)
    assert back.start == pytest.approx(0, abs=1e-3)
    assert np.abs(np.asarray(back) - given).max() <= HALF_STEP
    assert len(bridge.mimread(target)) == 25


@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "webm", "ts", "flv", "ogv", "mpg", "wmv"])
def test_sound_is_neither_late_nor_early(extension: str, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    given = rustle(2.0)
    bridge.mimwrite(target, frames(50), fps=25, audio=(given, RATE))
    back = sound_of(target)
    assert (back.rate, back.dtype) == (RATE, np.float32)
    assert lateness(back, given, 0) == pytest.approx(0, abs=0.0015)  # some clocks count milliseconds
    assert len(bridge.mimread(target)) == 50


@pytest.mark.parametrize(
    "dtype", [np.int16, np.int32, np.uint8, np.float32, np.float64], ids=lambda dtype: np.dtype(dtype).name
)
def test_numbers_of_any_kind_mean_the_same_sound(dtype: Any, tmp_path: Path) -> None:
    wanted = tone(1.0)
    given = wanted.astype(dtype)
    if np.dtype(dtype).kind in "iu":
        half = (int(np.iinfo(dtype).max) + 1) / (2 if dtype is np.uint8 else 1)
        given = np.round(wanted.astype(np.float64) * half + (128 if dtype is np.uint8 else 0)).astype(dtype)
    bridge.mimwrite(tmp_path / "film.mkv", frames(), fps=25, audio=(given, RATE), audio_codec="flac")
    step = 1 / 128 if dtype is np.uint8 else HALF_STEP
    assert np.abs(np.asarray(sound_of(tmp_path / "film.mkv")) - wanted).max() <= step


@pytest.mark.parametrize("rate", [8000, 22050, 44100, 96000])
def test_the_rate_is_kept(rate: int, tmp_path: Path) -> None:
    given = tone(1.0, rate=rate)
    bridge.mimwrite(tmp_path / "film.mkv", frames(), fps=25, audio=(given, rate), audio_codec="flac")
    back = sound_of(tmp_path / "film.mkv")
    assert (back.rate, back.shape) == (rate, given.shape)
    assert np.abs(np.asarray(back) - given).max() <= HALF_STEP


def test_sound_of_one_dimension_is_mono(tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "film.mkv", frames(), fps=25, audio=(tone(1.0)[:, 0], RATE), audio_codec="flac")
    assert sound_of(tmp_path / "film.mkv").shape == (RATE, 1)


def test_what_a_reader_gives_a_writer_takes(tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "first.mkv", frames(), fps=25, audio=(stereo(1.0), RATE), audio_codec="flac")
    first = sound_of(tmp_path / "first.mkv")
    bridge.mimwrite(tmp_path / "second.mkv", frames(), fps=25, audio=first, audio_codec="flac")
    second = sound_of(tmp_path / "second.mkv")
    assert np.array_equal(np.asarray(first), np.asarray(second))
    assert (first.rate, first.start) == (second.rate, second.start)


def test_a_file_may_be_given_as_either_keyword(tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "first.mkv", frames(), fps=25, audio=(tone(1.0), RATE), audio_codec="flac")
    bridge.mimwrite(tmp_path / "new.mkv", frames(), fps=25, audio=tmp_path / "first.mkv")
    bridge.mimwrite(tmp_path / "old.mkv", frames(), fps=25, audio_path=tmp_path / "first.mkv")
    assert np.array_equal(np.asarray(sound_of(tmp_path / "new.mkv")), np.asarray(sound_of(tmp_path / "old.mkv")))


# Length


@pytest.mark.parametrize(("extension", "codec"), [("mp4", "alac"), ("mkv", "flac"), ("mov", "pcm_s16le")])
def test_trimmed_sound_ends_with_the_film(extension: str, codec: str, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    given = tone(3.0)
    bridge.mimwrite(target, frames(), fps=25, audio=(given, RATE), audio_codec=codec, audio_trim=True)
    back = sound_of(target)
    assert len(back) / RATE == pytest.approx(1.0, abs=0.001)
    assert np.abs(np.asarray(back) - given[: len(back)]).max() <= HALF_STEP
    assert len(bridge.mimread(target)) == 25
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_sound_that_is_not_trimmed_is_kept_whole(tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "film.mkv", frames(), fps=25, audio=(tone(3.0), RATE), audio_codec="flac")
    assert len(sound_of(tmp_path / "film.mkv")) == 3 * RATE
    assert len(bridge.mimread(tmp_path / "film.mkv")) == 25


@pytest.mark.parametrize("audio_trim", [False, True])
@pytest.mark.parametrize("extension", ["mp4", "mkv", "ts", "avi"])
def test_sound_that_ends_early_costs_no_frame(extension: str, audio_trim: bool, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    bridge.mimwrite(target, frames(), fps=25, audio=(tone(0.4), RATE), audio_trim=audio_trim)
    assert len(bridge.mimread(target)) == 25
    assert len(sound_of(target)) / RATE == pytest.approx(0.4, abs=0.06)


def test_trimming_goes_by_the_times_of_the_frames(tmp_path: Path) -> None:
    times = [0, 0.1, 0.5, 1.5]  # the last is shown for 1 s
    keywords: dict[str, Any] = {"audio": (tone(4.0), RATE), "audio_codec": "flac", "audio_trim": True}
    bridge.mimwrite(tmp_path / "film.mkv", frames(4), timestamps=times, **keywords)
    assert len(sound_of(tmp_path / "film.mkv")) / RATE == pytest.approx(2.5, abs=0.001)
    assert len(bridge.mimread(tmp_path / "film.mkv")) == 4


def test_trimming_counts_from_where_the_sound_starts(tmp_path: Path) -> None:
    late = Samples(tone(3.0), {"rate": RATE, "start": 0.25})
    bridge.mimwrite(tmp_path / "film.mkv", frames(), fps=25, audio=late, audio_codec="flac", audio_trim=True)
    back = sound_of(tmp_path / "film.mkv")
    assert back.start == pytest.approx(0.25, abs=0.002)
    assert len(back) / RATE == pytest.approx(0.75, abs=0.002)


# Beginning


@pytest.mark.parametrize("start", [0.5, 0.04, 1.25])
@pytest.mark.parametrize("extension", ["mp4", "mov", "mkv", "ts"])
def test_sound_that_starts_later_is_read_back_so(extension: str, start: float, tmp_path: Path) -> None:
    target = tmp_path / f"film.{extension}"
    given = rustle(1.0)
    bridge.mimwrite(target, frames(50), fps=25, audio=Samples(given, {"rate": RATE, "start": start}))
    back = sound_of(target)
    assert back.start == pytest.approx(start, abs=0.03)  # codecs begin some samples earlier
    assert lateness(back, given, start) == pytest.approx(0, abs=0.0015)
    assert len(bridge.mimread(target)) == 50


@pytest.mark.parametrize("extension", ["mkv", "mp4"])
def test_sound_that_starts_before_the_film_is_read_back_so(extension: str, tmp_path: Path) -> None:
    given = rustle(1.0)
    early = Samples(given, {"rate": RATE, "start": -0.25})
    bridge.mimwrite(tmp_path / f"film.{extension}", frames(), fps=25, audio=early, audio_codec="flac")
    back = sound_of(tmp_path / f"film.{extension}")
    assert len(bridge.mimread(tmp_path / f"film.{extension}")) == 25
    assert lateness(back, given, -0.25) == pytest.approx(0, abs=0.0015)


# Streams


def test_each_stream_is_read_by_its_number(lavfi: Any) -> None:
    graph = "testsrc2=s=64x48:d=1[out0];sine=440:d=1:r=48000[out1];sine=1000:d=1:r=44100[out2]"
    film = lavfi("two.mkv", graph, "-map", "0", "-c:a", "flac")
    first, second = sound_of(film), sound_of(film, 1)
    assert (first.rate, second.rate) == (48000, 44100)
    assert (first.shape, second.shape) == ((48000, 1), (44100, 1))
    assert loudness(first, 440) > 10 * loudness(first, 1000)
    assert loudness(second, 1000) > 10 * loudness(second, 440)
    for stream in (2, -1):
        with pytest.raises(CorruptMedia, match="2 audio"):
            sound_of(film, stream)


def test_a_silent_film_has_no_sound_to_read(lavfi: Any) -> None:
    silent = lavfi("silent.mp4", "testsrc2=s=64x48:d=0.4")
    with pytest.raises(CorruptMedia, match="audio"):
        sound_of(silent)


def test_reading_sound_does_not_disturb_the_frames(tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "film.mkv", frames(), fps=25, audio=(tone(1.0), RATE))
    whole = bridge.mimread(tmp_path / "film.mkv")
    reader: Any = bridge.get_reader(tmp_path / "film.mkv")
    with reader:
        for index, frame in enumerate(reader):
            assert np.array_equal(frame, whole[index])
            if index in (0, 7):
                assert len(reader.audio()) > 0
    assert index == 24


def test_a_real_film_is_heard_as_ffmpeg_hears_it(real: Any) -> None:
    sound = sound_of(real("bigbuckbunny.mp4"))
    assert (sound.rate, sound.shape[1], sound.dtype) == (48000, 6, np.float32)
    assert len(sound) / sound.rate == pytest.approx(5.3, abs=0.1)
    assert abs(sound.start) < 0.1


# What is refused


def test_two_ways_to_say_the_sound_are_one_too_many(tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "first.mkv", frames(5), fps=25, audio=(tone(0.2), RATE))
    with pytest.raises(ValueError, match="audio_path"):
        bridge.get_writer(tmp_path / "film.mkv", audio=(tone(1.0), RATE), audio_path=tmp_path / "first.mkv")
    assert [path.name for path in tmp_path.iterdir()] == ["first.mkv"]


@pytest.mark.parametrize(
    "samples",
    [np.zeros((0, 2), np.float32), np.zeros((5, 5, 5), np.float32), np.zeros((9, 2), np.complex64), np.float32(1)],
    ids=["empty", "three dimensions", "complex", "a number"],
)
def test_what_is_no_sound_is_refused(samples: Any, tmp_path: Path) -> None:
    with pytest.raises(BridgeError, match="sound"):
        bridge.get_writer(tmp_path / "film.mkv", audio=(samples, RATE))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rate", [0, -1, 44100.5, 10**7])
def test_what_is_no_rate_is_refused(rate: float, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="rate"):
        bridge.get_writer(tmp_path / "film.mkv", audio=(tone(1.0), rate))
    assert not list(tmp_path.iterdir())
