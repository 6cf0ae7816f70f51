"""The command lines of ffmpeg and ffprobe, for releases 4.4 to 9. Pure: values in, arguments out.

No string of the user's becomes an option, a pattern or a protocol: inputs and outputs are descriptors, the
demuxer is fixed.
"""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import ffmpeg

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.media.pixels import PixelFormat

__all__ = [
    "INPUT",
    "OUTPUT",
    "Release",
    "copy_listing",
    "count_packets",
    "decode",
    "describe",
    "encode",
    "encode_still",
    "probe",
    "rate",
]

Release = tuple[int, int]

_QUIET = ("-nostdin", "-hide_banner", "-v", "error")
INPUT = "file:/proc/self/fd/0"  # standard input, but seekable
OUTPUT = "file:/proc/self/fd/1"
_FPS_MODE_SINCE = (5, 1)  # -vsync before; gone in 9
_DEMUX_TIME_BASE_SINCE = (6, 1)  # -1 before; gone in 9


def _passthrough(release: Release) -> dict[str, str]:
    """Give the option that neither duplicates nor drops frames; raw output is constant rate without it."""
    return {"fps_mode" if release >= _FPS_MODE_SINCE else "vsync": "passthrough"}


def _source_time_base(release: Release) -> dict[str, str]:
    """Give the option that keeps the stream's own clock; encoders else count in 1/fps, too coarse for VFR."""
    return {"enc_time_base:v": "demux" if release >= _DEMUX_TIME_BASE_SINCE else "-1"}


def _render(output: Any, *, quiet: Sequence[str] = _QUIET) -> tuple[str, ...]:
    return (*quiet, *ffmpeg.get_args(output))


def decode(
    release: Release,
    demuxer: str | None,
    pixels: PixelFormat,
    *,
    stream: int = 0,
    frames: int | None = None,
    name: str = INPUT,
    input_options: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Decode one video stream to raw frames in NUT on standard output.

    Parameters
    ----------
    release : tuple of int
        Of the ffmpeg that will run it.
    demuxer : str or None
        FFmpeg's name of the container; None lets ffmpeg guess.
    pixels : PixelFormat
        What is wanted. No scaler flags are given: the default converter is the fast one, and the one
        whose bytes ``ffmpeg -pix_fmt`` users know.
    stream : int
        Which of the video streams.
    frames : int or None
        Stop after that many.
    """
    options: dict[str, Any] = {"f": demuxer} if demuxer else {}
    source = ffmpeg.input(name, copyts=None, **options, **(input_options or {}))
    wanted: dict[str, Any] = {"frames:v": frames} if frames is not None else {}
    return _render(
        ffmpeg.output(
            source[f"v:{stream}"],
            "pipe:1",
            format="nut",
            write_index=0,  # it would grow with every frame and nobody reads it
            avioflags="direct",
            vcodec="rawvideo",
            pix_fmt=pixels.name,
            **_passthrough(release),
            **_source_time_base(release),
            **wanted,
        )
    )


def encode(
    release: Release,
    pixels: PixelFormat,
    size: tuple[int, int],
    fps: Fraction,
    *,
    muxer: str,
    video: Mapping[str, Any],
    filters: str | None = None,
    audio: str | None = None,
    audio_codec: str = "copy",
    extra: Sequence[str] = (),
) -> tuple[str, ...]:
    """Encode raw frames from standard input to the file that is standard output.

    Parameters
    ----------
    size : tuple of int
        Width and height.
    video : mapping
        Options of the output, e.g. ``{"c:v": "libx264", "crf": 25}``.
    filters : str or None
        ``"palette"`` makes a palette for each frame, as GIF needs it.
    audio : str or None
        A further input whose first audio stream goes along.
    extra : sequence of str
        The user's own options for the output, put last.
    """
    raw = ffmpeg.input(
        "pipe:0",
        format="rawvideo",
        pix_fmt=pixels.name,
        video_size=size,  # ffmpeg-python wants the pair
        framerate=f"{fps.numerator}/{fps.denominator}",
    )
    streams = [_palette(raw, pixels) if filters == "palette" else raw["v:0"]]
    options = dict(video)
    if audio is not None:
        streams.append(ffmpeg.input(audio)["a:0"])
        options |= {"c:a": audio_codec, "strict": "-2"}  # FLAC and Opus in MP4 count as experimental before 5.x
    made = ffmpeg.output(*streams, OUTPUT, format=muxer, **_passthrough(release), **options)
    *arguments, output, overwrite = _render(made.overwrite_output())
    return (*arguments, *extra, output, overwrite)


def _palette(raw: Any, pixels: PixelFormat) -> Any:
    """Give each frame the best palette of its own; nothing is held back, so any length streams."""
    alpha = int(pixels.channels in (2, 4))  # without it an opaque film would claim to be transparent
    both = raw.filter_multi_output("split")
    palette = both[0].filter("palettegen", stats_mode="single", reserve_transparent=alpha)
    return ffmpeg.filter([both[1], palette], "paletteuse", new=1)


def encode_still(pixels: PixelFormat, size: tuple[int, int], codec: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Encode one raw frame from standard input to a picture on standard output."""
    raw = ffmpeg.input("pipe:0", format="rawvideo", pix_fmt=pixels.name, video_size=size)
    made = ffmpeg.output(raw["v:0"], "pipe:1", format="image2pipe", **{"c:v": codec, "frames:v": 1}, **options)
    return _render(made)


def probe(demuxer: str | None, name: str = INPUT) -> tuple[str, ...]:
    """Describe a file as JSON (ffprobe)."""
    forced = ("-f", demuxer) if demuxer else ()
    shown = ("-show_format", "-show_streams", "-show_chapters", "-of", "json")
    return ("-hide_banner", "-v", "error", *forced, *shown, name)


def count_packets(demuxer: str | None, stream: int = 0, name: str = INPUT) -> tuple[str, ...]:
    """Count the packets of a video stream without decoding them (ffprobe); prints one number a line."""
    forced = ("-f", demuxer) if demuxer else ()
    shown = ("-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0")
    return ("-hide_banner", "-v", "error", *forced, "-select_streams", f"v:{stream}", *shown, name)


def copy_listing(demuxer: str | None, stream: int = 0, name: str = INPUT) -> tuple[str, ...]:
    """List the packets of a video stream by ffmpeg alone, one line each, without decoding them."""
    source = ffmpeg.input(name, **({"f": demuxer} if demuxer else {}))
    return _render(ffmpeg.output(source[f"v:{stream}"], "pipe:1", format="framecrc", c="copy"))


def describe(demuxer: str | None, name: str = INPUT) -> tuple[str, ...]:
    """Describe a file by ffmpeg alone: stream headers on standard output, its banner on the error stream."""
    source = ffmpeg.input(name, **({"f": demuxer} if demuxer else {}))
    made = ffmpeg.output(source, "pipe:1", format="framecrc", c="copy", t=0.001, map="0")  # the first packets
    return _render(made, quiet=("-nostdin", "-hide_banner", "-v", "info"))


_NTSC = tuple(Fraction(1000 * nominal, 1001) for nominal in (15, 24, 30, 48, 60, 72, 90, 96, 120, 240))


def rate(fps: float | Fraction) -> Fraction:
    """Give frames per second as the exact rational that is meant: 23.976 and 29.97 are NTSC's.

    Raises
    ------
    ValueError
        If it is not a positive number.

    Examples
    --------
    >>> rate(29.97)
    Fraction(30000, 1001)
    >>> rate(12.5)
    Fraction(25, 2)
    """
    if not 0 < fps < 1_000_000:
        message = f"fps must be a positive number, not {fps!r}"
        raise ValueError(message)
    if isinstance(fps, Fraction | int):
        return Fraction(fps)
    ntsc = next((exact for exact in _NTSC if abs(fps - exact) < 0.005), None)
    return ntsc or Fraction(fps).limit_denominator(100_000)
