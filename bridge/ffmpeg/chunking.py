"""The commands that encode a film in chunks and join these. Pure: values in, arguments out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge.ffmpeg.argv import _passthrough, _reads

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from fractions import Fraction

    from bridge.ffmpeg.argv import Release

__all__ = ["encode_chunk", "join_chunks", "list_of_chunks"]


def encode_chunk(
    release: Release,
    reads: Sequence[str],
    seek: Mapping[str, Any],
    *,
    name: str,
    output: str,
    stream: str,
    span: tuple[int, int],
    wide: tuple[int, int] | None = None,
    time_base: Fraction,
    filters: Sequence[str] = (),
    video: Sequence[str] = (),
    sample: bool = False,
) -> tuple[str, ...]:
    """Encode the frames of a span of time to a NUT file of their own, which begins at zero.

    NUT keeps the clock; with times of the whole film, the demuxer `concat` puts a short last chunk at twice its time.

    Parameters
    ----------
    reads : sequence of str
        Words that have ffmpeg read the source.
    seek : mapping
        Options by which it begins near the first frame.
    name, output : str
        The source, and where to.
    span, wide : tuple of int
        Ticks, from and before which frames are encoded; and between which they are given to filters.
    filters : sequence of str
        One frame out for each that goes in, at its time.
    video : sequence of str
        The encoder and its options; a clock among them is taken in the place of the source's.
    sample : bool
        Only the first frame, into Matroska, which tells what NUT does not.
    """
    chain = [_trimmed(wide or span), *filters]
    if wide or filters:  # some filters have clocks of their own
        chain += [f"settb={time_base.numerator}/{time_base.denominator}", _trimmed(span)]
    chain += [f"setpts=PTS-{span[0]}" if span[0] >= 0 else f"setpts=PTS+{-span[0]}"]
    return (
        "-copyts", *reads, *_flat(seek), "-i", name,
        *_flat(_passthrough(release)), "-enc_time_base:v", f"{time_base.numerator}:{time_base.denominator}",
        "-map", f"0:{stream}", "-vf", ",".join(chain), *video,
        "-map_metadata", "-1", "-map_chapters", "-1",
        *(("-frames:v", "1", "-f", "matroska") if sample else ("-f", "nut")), "-y", output,
    )  # fmt: skip


def _trimmed(span: tuple[int, int]) -> str:
    return f"trim=start_pts={span[0]}:end_pts={span[1]}"


def _flat(options: Mapping[str, Any]) -> list[str]:
    return [word for name, value in options.items() for word in (f"-{name}", *([] if value is None else [str(value)]))]


def list_of_chunks(names: Sequence[str], starts: Sequence[int]) -> str:
    """Write what the demuxer `concat` reads.

    Parameters
    ----------
    names : sequence of str
        Of the chunks, in order; nothing in them needs quotes.
    starts : sequence of int
        Microseconds at which each begins, and the last ends: guessed lengths drift where the rate varies.
    """
    lines = ["ffconcat version 1.0"]
    for at, name in enumerate(names):
        length = starts[at + 1] - starts[at]
        lines += [f"file {name}", f"duration {length // 1_000_000}.{length % 1_000_000:06d}"]
    return "\n".join(lines) + "\n"


def join_chunks(
    reads: Sequence[str],
    *,
    listed: str,
    name: str,
    output: str,
    offset: int,
    timescale: int | None = None,
    repeated: bool = False,
    told: Mapping[str, str],
    rest: Sequence[str] = (),
) -> tuple[str, ...]:
    """Put chunks into a file, one behind the other and unchanged, with all else out of the source (input 0).

    Parameters
    ----------
    listed, name, output : str
        The list of chunks, the source, and where to.
    offset : int
        Microseconds at which the picture begins, from the beginning of the source.
    timescale : int or None
        Ticks in a second, for MP4.
    repeated : bool
        Headers are put before each key frame, as containers need that have no place for them.
    told : mapping
        What the container is to say of the picture, by FFmpeg's options, which chunks in NUT do not.
    rest : sequence of str
        What else goes along, and how the container is written.
    """
    return (
        *reads, "-i", name, "-itsoffset", f"{offset}us",
        *_flat(_reads("concat") | {"format_whitelist": "concat,nut", "safe": 0}), "-i", listed,
        "-map", "1:v:0", "-c:v:0", "copy", *(("-bsf:v:0", "dump_extra=freq=keyframe") if repeated else ()),
        *(("-video_track_timescale", str(timescale)) if timescale else ()),
        *_flat({f"{option}:v:0": value for option, value in told.items()}), *rest, "-y", output,
    )  # fmt: skip
