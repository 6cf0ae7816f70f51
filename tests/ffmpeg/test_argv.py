"""Command lines: what each release of ffmpeg is told, and where it is sent to decode."""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.ffmpeg import argv
from bridge.media.pixels import pixel_format

_RGB = pixel_format("rgb24")
_RELEASES: list[argv.Release] = [(4, 4), (5, 1), (6, 0), (7, 1), (9, 0)]
_LATE = Fraction(3, 23)

releases = pytest.mark.parametrize("release", _RELEASES, ids=lambda release: ".".join(map(str, release)))
fractions = st.fractions(-(10**5), 10**5, max_denominator=90_000)
demuxers = st.sampled_from(["mov", "matroska", "mpegts", "avi", "flv", "ogg", None])


def after(arguments: tuple[str, ...], option: str) -> str | None:
    """The value of an option; None if it is not given."""
    assert arguments.count(option) <= 1
    return arguments[arguments.index(option) + 1] if option in arguments else None


def halves(arguments: tuple[str, ...]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What is said of the first input, and what behind it."""
    at = arguments.index("-i")
    return arguments[:at], arguments[at:]


# Releases


def every(release: argv.Release) -> dict[str, tuple[str, ...]]:
    video = {"c:v": "ffv1"}
    return {
        "decode": argv.decode(release, "mov", _RGB),
        "list": argv.decode(release, "mov", _RGB, listed=True),
        "encode": argv.encode(release, _RGB, (4, 2), Fraction(25), muxer="matroska", video=video),
        "encode with times": argv.encode(release, _RGB, (4, 2), None, muxer="matroska", video=video),
    }


@releases
def test_frames_are_passed_through_in_the_words_of_the_release(release: argv.Release) -> None:
    new = release >= (5, 1)
    for arguments in every(release).values():
        assert after(halves(arguments)[1], "-fps_mode" if new else "-vsync") == "passthrough"
        assert ("-vsync" if new else "-fps_mode") not in arguments


@releases
def test_the_clock_of_the_source_is_kept_in_the_words_of_the_release(release: argv.Release) -> None:
    clock = "demux" if release >= (6, 1) else "-1"
    clocks = {name: after(arguments, "-enc_time_base:v") for name, arguments in every(release).items()}
    assert clocks == {"decode": clock, "list": clock, "encode": None, "encode with times": clock}


@releases
def test_every_command_is_quiet_and_reads_a_descriptor(release: argv.Release) -> None:
    for arguments in every(release).values():
        assert arguments[:4] == ("-nostdin", "-hide_banner", "-v", "repeat+error")
        assert after(arguments, "-i") in (argv.INPUT, "pipe:0")
        assert {"pipe:1", argv.OUTPUT} & set(arguments[-2:])
        assert all(isinstance(argument, str) for argument in arguments)


def test_raw_frames_have_a_rate_or_times_of_their_own() -> None:
    rated, timed = (
        halves(argv.encode((5, 1), _RGB, (4, 2), fps, muxer="mp4", video={}))[0]
        for fps in (Fraction(30000, 1001), None)
    )
    assert [after(rated, name) for name in ("-f", "-framerate", "-video_size", "-pix_fmt")] == [
        "rawvideo",
        "30000/1001",
        "4x2",
        "rgb24",
    ]
    assert [after(timed, name) for name in ("-f", "-fpsprobesize", "-framerate")] == ["nut", "0", None]
    assert "-copyts" in timed
    assert "-copyts" not in rated


# Seek


def seconds(text: str | None) -> Fraction:
    assert text is not None
    whole, _, digits = text.removeprefix("-").partition(".")
    assert whole.isdigit()
    assert len(digits) == 6
    return Fraction(text)


def test_the_beginning_is_no_seek() -> None:
    assert argv.BEGINNING.options("mov") == argv.Seek(position=188).options("mpegts") == {}
    for demuxer in ("mov", "mpegts", "matroska", None):
        assert not {"-ss", "-seek_timestamp", "-skip_initial_bytes"} & set(argv.decode((5, 1), demuxer, _RGB))


@given(fractions, demuxers, st.none() | fractions)
def test_a_seek_by_time_rounds_up_to_microseconds(
    time: Fraction, demuxer: str | None, at_most: Fraction | None
) -> None:
    options = argv.Seek(time=time, at_most=at_most).options(demuxer)
    assert list(options) == ["noaccurate_seek", "seek_timestamp", "ss"]
    wanted = time + _LATE
    if demuxer == "mov":
        wanted = time
    elif at_most is not None:
        wanted = max(time, min(wanted, at_most))
    assert 0 <= seconds(options["ss"]) - wanted < Fraction(1, 10**6)


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (Fraction(0), "0.000000"),
        (Fraction(5), "5.000000"),
        (Fraction(1, 3), "0.333334"),
        (Fraction(-1, 3), "-0.333333"),
        (Fraction(-7, 2), "-3.500000"),
        (Fraction(1, 10**9), "0.000001"),
        (Fraction(-1, 10**9), "0.000000"),
        (Fraction(-1, 10**6), "-0.000001"),
        (Fraction(1_999_999_999, 10**9), "2.000000"),
        (Fraction(8_589_934_591, 90_000), "95443.717678"),
    ],
)
def test_a_time_as_ffmpeg_reads_it(time: Fraction, text: str) -> None:
    assert argv.Seek(time=time).options("mov")["ss"] == text


@pytest.mark.parametrize(
    ("demuxer", "at_most", "aim"),
    [
        ("mov", None, Fraction(10)),
        ("mov", Fraction(20), Fraction(10)),
        ("matroska", None, 10 + _LATE),
        (None, None, 10 + _LATE),
        ("matroska", Fraction(11), 10 + _LATE),
        ("matroska", Fraction(101, 10), Fraction(101, 10)),
        ("matroska", Fraction(9), Fraction(10)),
    ],
)
def test_what_ffmpeg_takes_off_is_added_but_not_beyond_the_next_key_frame(
    demuxer: str | None, at_most: Fraction | None, aim: Fraction
) -> None:
    ss = argv.Seek(time=Fraction(10), at_most=at_most, position=4000).options(demuxer)["ss"]
    assert 0 <= seconds(ss) - aim < Fraction(1, 10**6)


def test_a_transport_stream_is_entered_by_position() -> None:
    seek = argv.Seek(time=Fraction(10), at_most=Fraction(11), position=18_800)
    assert seek.options("mpegts") == {"skip_initial_bytes": 18_800}
    assert argv.Seek(time=Fraction(10), position=0).options("mpegts") == {"skip_initial_bytes": 0}
    assert "ss" in argv.Seek(time=Fraction(10)).options("mpegts")
    for demuxer in ("mov", "matroska", "avi", None):
        assert "skip_initial_bytes" not in seek.options(demuxer)


@pytest.mark.parametrize(
    ("strict", "threads", "options"),
    [
        (False, None, {}),
        (False, 3, {"threads": 3}),
        (True, None, {"err_detect": "explode", "threads": 1}),
        (True, 3, {"err_detect": "explode", "threads": 3}),
    ],
)
@pytest.mark.parametrize("time", [None, Fraction(1)])
def test_strictness_and_threads(
    strict: bool, threads: int | None, options: dict[str, Any], time: Fraction | None
) -> None:
    seek = argv.Seek(time=time, strict=strict, threads=threads)
    assert options.items() <= seek.options("mov").items()
    assert {"err_detect", "threads"} & seek.options("mov").keys() == options.keys()


@releases
def test_a_seek_is_said_of_the_input_and_a_selection_of_the_output(release: argv.Release) -> None:
    seek = argv.Seek(time=Fraction(-1, 3), select="between(pts,3,5)", threads=2)
    before, behind = halves(argv.decode(release, "mov", _RGB, seek=seek, frames=3))
    assert [after(before, name) for name in ("-ss", "-seek_timestamp", "-threads", "-f")] == [
        "-0.333333",
        "1",
        "2",
        "mov",
    ]
    assert {"-noaccurate_seek", "-copyts"} <= set(before)
    assert after(behind, "-vf") == "select='between(pts,3,5)'"
    assert after(behind, "-frames:v") == "3"
    assert not {"-ss", "-noaccurate_seek"} & set(behind)


def test_filters_follow_each_other() -> None:
    wish = argv.Wish(size=(32, 16), fps=Fraction(5, 2), before=("-a", "1"), after=("-b", "2"))
    arguments = argv.decode((7, 1), "mov", _RGB, wish=wish, seek=argv.Seek(select="eq(n,0)"))
    assert after(arguments, "-vf") == "select='eq(n,0)',fps=5/2,scale=32:16"
    before, behind = halves(arguments)
    assert before[-2:] == ("-a", "1")
    assert behind[-3:] == ("-b", "2", "pipe:1")
    assert wish.counted
    assert not argv.Wish(size=(32, 16)).counted


def test_what_is_decoded() -> None:
    sent, listed = (argv.decode((5, 1), "ogg", _RGB, stream="v:1", max_pixels=99, listed=on) for on in (False, True))
    for arguments in (sent, listed):
        before, behind = halves(arguments)
        assert (after(before, "-max_pixels"), after(before, "-threads")) == ("99", "1")
        assert (after(behind, "-map"), after(behind, "-pix_fmt")) == ("0:v:1", "rgb24")
        assert "-noautorotate" not in before
    assert (after(halves(sent)[1], "-f"), after(sent, "-write_index")) == ("nut", "0")
    assert (after(halves(listed)[1], "-f"), after(listed, "-write_index")) == ("framecrc", None)
    assert "-noautorotate" in argv.decode((5, 1), None, _RGB, still=True)


# Sound


def inputs(arguments: tuple[str, ...]) -> list[tuple[str, ...]]:
    """What stands before each input, with its name."""
    ends = [at + 2 for at, argument in enumerate(arguments) if argument == "-i"]
    return [arguments[begin:end] for begin, end in itertools.pairwise([0, *ends])]


_SOUND = argv.Sound(name="file:/sound", demuxer="wav", codec="aac", offset=Fraction(1, 3), seconds=Fraction(5, 2))


@releases
def test_sound_goes_along_with_a_film_that_is_encoded(release: argv.Release) -> None:
    arguments = argv.encode(release, _RGB, (4, 2), Fraction(25), muxer="mp4", video={"c:v": "libx264"}, sound=_SOUND)
    film, sound = inputs(arguments)
    assert film[-1] == "pipe:0"
    assert [after(sound, name) for name in ("-f", "-itsoffset", "-t", "-i")] == [
        "wav",
        "0.333334",
        "2.500000",
        "file:/sound",
    ]
    assert [arguments[at + 1] for at, name in enumerate(arguments) if name == "-map"] == ["0:v:0", "1:a:0"]
    assert [after(arguments, name) for name in ("-c:a", "-strict", "-c:v")] == ["aac", "-2", "libx264"]


@given(fractions, st.none() | st.fractions(0, 1000))
def test_sound_begins_and_ends_by_microseconds(offset: Fraction, length: Fraction | None) -> None:
    sound = argv.Sound(name="file:/sound", demuxer="wav", offset=offset, seconds=length)
    _, options = inputs(argv.remux("mov", "mp4", sound=sound))
    if offset:
        assert 0 <= seconds(after(options, "-itsoffset")) - offset < Fraction(1, 10**6)
    else:
        assert "-itsoffset" not in options
    if length is not None:
        assert 0 <= seconds(after(options, "-t")) - length < Fraction(1, 10**6)
    else:
        assert "-t" not in options


def test_sound_is_copied_unless_an_encoder_is_named() -> None:
    assert argv.Sound(name="file:/sound", demuxer="mov").options == {"c:a": "copy", "strict": "-2"}
    assert _SOUND.options["c:a"] == "aac"


def test_options_of_the_user_come_last() -> None:
    arguments = argv.encode(
        (7, 1), _RGB, (4, 2), Fraction(25), muxer="mp4", video={}, before=("-a", "1"), extra=("-b", "2"), sound=_SOUND
    )
    assert inputs(arguments)[0][-4:] == ("-a", "1", "-i", "pipe:0")
    assert arguments[-4:] == ("-b", "2", argv.OUTPUT, "-y")


def test_a_film_is_put_into_another_file_as_it_is() -> None:
    arguments = argv.remux("matroska", "mp4", extra=("-movflags", "+faststart"))
    ((*_, name),) = inputs(arguments)
    assert (name, after(halves(arguments)[0], "-f"), after(halves(arguments)[1], "-f")) == (
        argv.INPUT,
        "matroska",
        "mp4",
    )
    assert [after(arguments, option) for option in ("-c", "-map", "-map_metadata")] == ["copy", "0", "0"]
    assert arguments[-4:] == ("-movflags", "+faststart", argv.OUTPUT, "-y")


def test_a_film_is_put_into_another_file_with_sound_beside_it() -> None:
    arguments = argv.remux("matroska", "mp4", sound=_SOUND, film="file:/film")
    film, sound = inputs(arguments)
    assert (film[-1], sound[-1]) == ("file:/film", "file:/sound")
    assert [arguments[at + 1] for at, name in enumerate(arguments) if name == "-map"] == ["0:v:0", "1:a:0"]
    assert [after(arguments, option) for option in ("-c:v", "-c:a", "-c", "-map_metadata")] == [
        "copy",
        "aac",
        None,
        "0",
    ]


def test_sound_is_decoded_to_floats() -> None:
    arguments = argv.decode_sound("mov", 1, 48000, 2)
    _, behind = halves(arguments)
    assert [after(behind, name) for name in ("-map", "-f", "-acodec", "-ar", "-ac")] == [
        "0:a:1",
        "f32le",
        "pcm_f32le",
        "48000",
        "2",
    ]
    first = argv.first_sound(None, 0)
    assert "-copyts" in halves(first)[0]
    assert [after(first, name) for name in ("-map", "-f", "-frames:a")] == ["0:a:0", "framecrc", "1"]


# Listings


@pytest.mark.parametrize("demuxer", ["mov", "ogg", None])
@pytest.mark.parametrize("make", [argv.list_packets, argv.list_frames])
def test_a_listing(make: Any, demuxer: str | None) -> None:
    arguments = make(demuxer, "v:1", "file:/film")
    assert arguments[:3] == ("-hide_banner", "-v", "repeat+error")
    assert arguments[-1] == "file:/film"
    assert after(arguments, "-f") == demuxer
    assert after(arguments, "-threads") == ("1" if demuxer == "ogg" else None)
    assert (after(arguments, "-select_streams"), after(arguments, "-of")) == ("v:1", "compact")
    assert make(demuxer)[-1] == argv.INPUT
    assert after(make(demuxer), "-select_streams") == argv.FILM


def test_what_a_listing_of_packets_has() -> None:
    shown = after(argv.list_packets("mov"), "-show_entries")
    assert shown == "packet=pts,dts,duration,pos,flags:stream=codec_name,width,height,field_order,time_base"


def test_what_a_listing_of_frames_has_by_either_name() -> None:
    shown = after(argv.list_frames("mov"), "-show_entries") or ""
    assert {"pkt_duration", "duration", "best_effort_timestamp"} <= set(shown.split(":")[0].split("=")[1].split(","))


def test_a_listing_without_ffprobe() -> None:
    for release, maps in (((4, 4), 1), ((5, 1), 2), ((9, 0), 2)):
        before, behind = halves(argv.copy_listing(release, "mov", "v:1"))
        assert "-copyts" in before
        assert "-copyinkf" in behind
        assert [after(behind, name) for name in ("-f", "-c")] == ["framecrc", "copy"]
        assert behind.count("-map") == behind.count("0:v:1") == maps
        assert after(behind, "-bsf:v:1") == ("setts=duration=POS" if maps == 2 else None)


# Rates


@pytest.mark.parametrize(
    ("fps", "exact"),
    [
        (25, Fraction(25)),
        (23.976, Fraction(24000, 1001)),
        (29.97, Fraction(30000, 1001)),
        (59.94, Fraction(60000, 1001)),
        (12.5, Fraction(25, 2)),
        (Fraction(1, 3), Fraction(1, 3)),
        (True, Fraction(1)),
    ],
)
def test_a_rate_is_the_rational_that_is_meant(fps: Any, exact: Fraction) -> None:
    assert argv.rate(fps) == exact


@pytest.mark.parametrize("fps", [0, -25, 1_000_000, float("nan"), float("inf"), "25", None, 25j])
def test_what_is_no_rate_is_refused(fps: Any) -> None:
    with pytest.raises(ValueError, match="fps must be a positive number"):
        argv.rate(fps)


@given(st.integers(1, 240), st.sampled_from([1, 1001]))
def test_a_rounded_rate_is_exact_again(nominal: int, under: int) -> None:
    exact = Fraction(nominal * (1000 if under == 1001 else 1), under)
    assert abs(argv.rate(float(exact)) - exact) < Fraction(1, 10**5)
