"""The command lines of ffmpeg and ffprobe, for releases 4.4 to 9. Pure: values in, arguments out.

No string of the user's becomes an option, a pattern or a protocol: inputs and outputs are descriptors, the
demuxer is fixed.
"""

from __future__ import annotations

import numbers
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import ffmpeg

from bridge.media.palette import SIDE, room

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.media.pixels import PixelFormat

__all__ = [
    "BEGINNING",
    "FILM",
    "INPUT",
    "OUTPUT",
    "SHIFT",
    "Palette",
    "Release",
    "Seek",
    "Sound",
    "Wish",
    "any_of",
    "copy_listing",
    "decode",
    "decode_sound",
    "describe",
    "describe_tags",
    "encode",
    "encode_still",
    "first_frame",
    "first_frame_alone",
    "first_sound",
    "list_frames",
    "list_packets",
    "probe",
    "rate",
    "reading",
    "remux",
    "sent",
]

Release = tuple[int, int]

_QUIET = ("-nostdin", "-hide_banner", "-v", "repeat+error")  # else a count of them comes at the end
INPUT = "file:/proc/self/fd/0"  # standard input, but seekable
PIPE = "pipe:0"
OUTPUT = "file:/proc/self/fd/1"
SHIFT = 1 << 44  # ticks added to times: NUT has none below zero, and ffmpeg would move them all, we don't know how far
FILM = "V:0"  # the first video stream that is no cover picture
_ONE_THREAD = ("ogg",)  # ffmpeg 9's threads of Theora now and then give a frame that is not finished
_FPS_MODE_SINCE = (5, 1)  # -vsync before; gone in 9
_PACKET_PLACE_SINCE = (5, 1)  # the filter `setts` has the option `duration`
_DEMUX_TIME_BASE_SINCE = (6, 1)  # -1 before; gone in 9


def _reads(demuxer: str | None) -> dict[str, Any]:
    """Give the options that name a demuxer, and keep it from opening anything further.

    That of GIF else makes 0.10 s of 0.01 s.
    """
    options: dict[str, Any] = {"f": demuxer, "format_whitelist": demuxer} if demuxer else {}
    return options | {"protocol_whitelist": "file,pipe"} | ({"min_delay": 1} if demuxer == "gif" else {})


def reading(demuxer: str | None) -> tuple[str, ...]:
    """Give the same as words of a command line."""
    return tuple(word for name, value in _reads(demuxer).items() for word in (f"-{name}", str(value)))


def _passthrough(release: Release) -> dict[str, str]:
    """Give the option that neither duplicates nor drops frames; raw output is constant rate without it."""
    return {"fps_mode" if release >= _FPS_MODE_SINCE else "vsync": "passthrough"}


def _source_time_base(release: Release) -> dict[str, str]:
    """Give the option that keeps the stream's own clock; encoders else count in 1/fps, too coarse for VFR."""
    return {"enc_time_base:v": "demux" if release >= _DEMUX_TIME_BASE_SINCE else "-1"}


def _render(output: Any, *, quiet: Sequence[str] = _QUIET) -> tuple[str, ...]:
    return (*quiet, *ffmpeg.get_args(output))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """How decoded frames shall differ from the file's own.

    Attributes
    ----------
    crop : tuple of int or None
        The part that is wanted: left, top, width and height in the picture as it is shown.
    size : tuple of int or None
        Width and height to scale to, after that.
    fps : fractions.Fraction or None
        A constant rate: frames are then repeated and left out to keep it.
    before, after : tuple of str
        Options of the user's own for the input and for the output.
    colours : mapping
        How colours are coded, where the frames themselves may not say so: options of FFmpeg's filter `setparams`.
    decoder : str
        FFmpeg's name of it; empty takes the usual one.
    turned : bool
        Frames come out as a viewer shows them; else as they are coded.
    """

    crop: tuple[int, int, int, int] | None = None
    size: tuple[int, int] | None = None
    fps: Fraction | None = None
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    colours: Mapping[str, str] = field(default_factory=dict)
    decoder: str = ""
    turned: bool = True

    @property
    def shape(self) -> tuple[int, int] | None:
        """Width and height of the frames that come out; None if they are the film's."""
        return self.size or (self.crop[2:] if self.crop else None)

    @property
    def counted(self) -> bool:
        """Tell whether the number of frames may differ from the file's."""
        return bool(self.fps or self.before or self.after)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seek:
    """Where decoding begins, and which frames come out.

    Attributes
    ----------
    time, at_most : fractions.Fraction or None
        Seconds on the file's own clock of a key frame, and a time before the next one.
    position : int or None
        Bytes into the file of the same.
    select : str
        Which frames to give, in the language of FFmpeg's filter `select`; empty for all.
    strict : bool
        Frames in which the decoder finds an error do not come out.
    until_error : bool
        Nor does what follows the first error.
    threads : int or None
        For decoding; None lets ffmpeg choose.
    shifted : bool
        Times come out with `SHIFT` added.
    """

    time: Fraction | None = None
    at_most: Fraction | None = None
    position: int | None = None
    select: str = ""
    strict: bool = False
    until_error: bool = False
    threads: int | None = None
    shifted: bool = False

    def options(self, demuxer: str | None) -> dict[str, Any]:
        """Give the options of the input."""
        # Threads that decode slices do not hear of each other's errors.
        options: dict[str, Any] = {"err_detect": "explode", "threads": 1} if self.strict else {}
        if self.until_error:
            options["xerror"] = None
        options |= {} if self.threads is None else {"threads": self.threads}
        if self.time is None:
            return options
        if self.position is not None and demuxer in _BY_POSITION:
            return options | {"skip_initial_bytes": self.position}
        return options | {"noaccurate_seek": None, "seek_timestamp": 1, "ss": _microseconds(self._aim(demuxer))}

    def _aim(self, demuxer: str | None) -> Fraction:
        """Give the time to seek to: FFmpeg takes 3/23 s off where B-frames may be and seeking goes by dts."""
        if self.time is None or demuxer in _SEEKS_BY_PTS:
            return self.time or Fraction(0)
        late = self.time + _TAKEN_OFF
        return late if self.at_most is None else max(self.time, min(late, self.at_most))


BEGINNING = Seek()
_BY_POSITION = ("mpegts",)  # they resume anywhere; a search by time ends behind the key frame, without headers
_SEEKS_BY_PTS = ("mov",)
_TAKEN_OFF = Fraction(3, 23)


def any_of(runs: Sequence[Sequence[int]]) -> str:
    """Write, for `select`, that a time is in one of some runs, each from a first tick to a last.

    FFmpeg takes at most 100 terms in a sum, so there are sums of sums.
    """
    terms = [f"eq(pts,{first})" if first == last else f"between(pts,{first},{last})" for first, last in runs]
    while len(terms) > _TERMS:
        terms = [f"({'+'.join(terms[at : at + _TERMS])})" for at in range(0, len(terms), _TERMS)]
    return "+".join(terms)


_TERMS = 50


def _microseconds(time: Fraction) -> str:
    """Write seconds with six digits, rounded up: rounded down they are before the key frame."""
    ticks = -int(-time * 1_000_000 // 1)
    return f"{'-' if ticks < 0 else ''}{abs(ticks) // 1_000_000}.{abs(ticks) % 1_000_000:06d}"


def decode(
    release: Release,
    demuxer: str | None,
    pixels: PixelFormat,
    *,
    stream: str = FILM,
    frames: int | None = None,
    wish: Wish = Wish(),
    listed: bool = False,
    still: bool = False,
    max_pixels: int | None = None,
    threads: int | None = None,
    seek: Seek = BEGINNING,
    name: str = INPUT,
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
    stream : str
        Which of the streams, as FFmpeg specifies them.
    frames : int or None
        Stop after that many.
    wish : Wish
        What shall differ from the file.
    seek : Seek
        Where to begin, and which frames to give.
    listed : bool
        List the frames, one line each, instead of sending them.
    still : bool
        It is a picture: an orientation that it mentions is left to the caller.
    max_pixels : int or None
        Larger frames are not decoded.
    threads : int or None
        For decoding; None lets ffmpeg choose.
    name : str
        What to read; `PIPE` is standard input from where it stands, without jumps.
    """
    options = _reads(demuxer)
    if max_pixels is not None:
        options["max_pixels"] = max_pixels
    if still or not wish.turned:
        options["noautorotate"] = None
    if threads is not None:
        options["threads"] = threads
    if demuxer in _ONE_THREAD:
        options["threads"] = 1
    if wish.decoder:
        options["vcodec"] = wish.decoder
    options |= seek.options(demuxer)
    source = ffmpeg.input(name, copyts=None, **options)
    wanted: dict[str, Any] = {"frames:v": frames} if frames is not None else {}
    filters = [f"select='{seek.select}'"] if seek.select else []
    filters += [f"setpts=PTS+{SHIFT}"] if seek.shifted else []
    filters += [f"setparams={':'.join(map('='.join, wish.colours.items()))}"] if wish.colours else []
    filters += [f"fps={wish.fps.numerator}/{wish.fps.denominator}"] if wish.fps else []
    filters += [_crop(wish.crop, pixels)] if wish.crop else []
    filters += [f"scale={wish.size[0]}:{wish.size[1]}"] if wish.size else []
    if filters:
        wanted["vf"] = ",".join(filters)
    # The index of NUT would grow with every frame, and nobody reads it.
    form = {"format": "framecrc"} if listed else {"format": "nut", "write_index": 0}
    made = ffmpeg.output(
        source[stream],
        "pipe:1",
        vcodec="rawvideo",
        pix_fmt=pixels.name,
        noautoscale=None,  # frames that change their size are not to be scaled to the first
        **form,
        **_passthrough(release),
        **_source_time_base(release),
        **wanted,
    )
    return _with_own(_render(made), wish)


def _crop(box: tuple[int, int, int, int], pixels: PixelFormat) -> str:
    """Cut a part out of the converted frame: colours that are stored at half the size have no odd places."""
    x, y, width, height = box
    return f"format={pixels.name},crop={width}:{height}:{x}:{y}:exact=1"


# ffmpeg 9 with several threads leaves out a piece of FLAC, and mixes up times, where an edit list begins inside it.
_ONE_BY_ONE = {"threads": 1}


def decode_sound(demuxer: str | None, stream: int, rate: int, channels: int) -> tuple[str, ...]:
    """Decode one audio stream to 32-bit floats on standard output."""
    source = ffmpeg.input(INPUT, **_ONE_BY_ONE, **_reads(demuxer))
    made = ffmpeg.output(source[f"a:{stream}"], "pipe:1", format="f32le", acodec="pcm_f32le", ar=rate, ac=channels)
    return _render(made)


def first_sound(demuxer: str | None, stream: int) -> tuple[str, ...]:
    """List the first decoded piece of an audio stream, by its time on the file's own clock."""
    source = ffmpeg.input(INPUT, copyts=None, **_ONE_BY_ONE, **_reads(demuxer))
    made = ffmpeg.output(source[f"a:{stream}"], "pipe:1", format="framecrc", acodec="pcm_f32le", **{"frames:a": 1})
    return _render(made)


def _with_own(arguments: tuple[str, ...], wish: Wish) -> tuple[str, ...]:
    """Put the user's own options last before the input and last before the output."""
    at = arguments.index("-i")
    return (*arguments[:at], *wish.before, *arguments[at:-1], *wish.after, arguments[-1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """What is heard with a film that is written.

    Attributes
    ----------
    name, demuxer : str
        A further input whose first audio stream goes along.
    codec : str
        ``"copy"`` or one of FFmpeg's encoders.
    offset : fractions.Fraction
        Seconds after the film's beginning at which it begins.
    seconds : fractions.Fraction or None
        How much of it is taken; None takes all.
    """

    name: str
    demuxer: str
    codec: str = "copy"
    offset: Fraction = Fraction(0)
    seconds: Fraction | None = None

    def stream(self) -> Any:
        """Give the audio stream as an input of a command."""
        options: dict[str, Any] = _reads(self.demuxer)
        if self.offset:
            options["itsoffset"] = _microseconds(self.offset)
        if self.seconds is not None:
            options["t"] = _microseconds(self.seconds)
        return ffmpeg.input(self.name, **options)["a:0"]

    @property
    def options(self) -> dict[str, Any]:
        """Options of the output."""
        # FLAC and Opus in MP4 count as experimental before 5.x; so do the 32 bits that FLAC would then have.
        deep = {"sample_fmt:a": "s32", "bits_per_raw_sample:a": 24} if self.codec == "flac" else {}
        return {"c:a": self.codec, "strict": "-2", **deep}


def encode(
    release: Release,
    pixels: PixelFormat,
    size: tuple[int, int],
    fps: Fraction | None,
    *,
    muxer: str,
    video: Mapping[str, Any],
    filters: Sequence[tuple[str, tuple[int, ...]]] = (),
    matrix: str = "",
    palette: Palette | None = None,
    sound: Sound | None = None,
    before: Sequence[str] = (),
    extra: Sequence[str] = (),
) -> tuple[str, ...]:
    """Encode raw frames from standard input to the file that is standard output.

    Parameters
    ----------
    size : tuple of int
        Width and height.
    fps : fractions.Fraction or None
        None takes the time of each frame from the stream, which is NUT then.
    video : mapping
        Options of the output, e.g. ``{"c:v": "libx264", "crf": 25}``.
    filters : sequence of tuple
        Names and arguments of FFmpeg's filters that change the size; only ever what the user asked for.
    matrix : str
        FFmpeg's name of the matrix by which colours become YCbCr of limited range; it goes into the file, with
        the primaries and the transfer of BT.709, which are near sRGB's. Empty where nothing is converted.
    palette : Palette or None
        The colours of a GIF.
    sound : Sound or None
        What goes along.
    before, extra : sequence of str
        The user's own options for the input and for the output, put last.
    """
    if fps is None:  # FFmpeg else waits for many frames to guess their rate
        raw = ffmpeg.input(PIPE, format="nut", copyts=None, fpsprobesize=0)
    else:
        raw = ffmpeg.input(
            PIPE,
            format="rawvideo",
            pix_fmt=pixels.name,
            video_size=sent(size, palette),  # ffmpeg-python wants the pair
            framerate=f"{fps.numerator}/{fps.denominator}",
        )
    options = dict(video)
    for name, values in filters:
        raw = raw.filter(name, *values)
    if matrix:
        raw = raw.filter("scale", out_color_matrix=matrix, out_range="tv")
        told = {"color_primaries": "bt709", "color_trc": "bt709", "colorspace": matrix}
        raw = raw.filter("setparams", range="tv", **told)
        options |= told | {"color_range": "tv"}
    streams = [_coloured(raw, pixels, size, palette) if palette else raw if filters or matrix else raw["v:0"]]
    if sound is not None:
        streams.append(sound.stream())
        options |= sound.options
    if fps is None:
        options |= _source_time_base(release)
    made = ffmpeg.output(*streams, OUTPUT, format=muxer, **_passthrough(release), **options)
    *arguments, output, overwrite = _render(made.overwrite_output())
    at = arguments.index("-i")
    return (*arguments[:at], *before, *arguments[at:], *extra, output, overwrite)


def remux(
    demuxer: str, muxer: str, *, sound: Sound | None = None, extra: Sequence[str] = (), film: str = INPUT
) -> tuple[str, ...]:
    """Put the film that is standard input, unchanged, into a file anew, and sound beside it."""
    source = ffmpeg.input(film, **_reads(demuxer))
    streams = [source["v:0"], *([sound.stream()] if sound else [])]
    options: dict[str, Any] = {"c:v": "copy", "map_metadata": 0, **(sound.options if sound else {})}
    if sound is None:
        streams, options = [source], {"c": "copy", "map": 0, "map_metadata": 0}
    *arguments, output, overwrite = _render(ffmpeg.output(*streams, OUTPUT, format=muxer, **options).overwrite_output())
    return (*arguments, *extra, output, overwrite)


@dataclass(frozen=True, slots=True, kw_only=True)
class Palette:
    """How frames are brought to few colours.

    Attributes
    ----------
    size : int
        How many colours.
    mode : str
        FFmpeg's ``"single"`` makes a palette for each frame, and streams; ``"full"`` and ``"diff"`` make one for all
        frames, which are held until the last is there.
    dither : str
        FFmpeg's name of the method.
    given : bool
        Frames come with palettes of their own, as `bridge.media.palette.with_palette` lays them out, which are used
        where there is one: those that FFmpeg makes since 6 are off by one.
    """

    size: int = 256
    mode: str = "single"
    dither: str = "sierra2_4a"
    given: bool = True


def sent(size: tuple[int, int], palette: Palette | None) -> tuple[int, int]:
    """Give width and height of the frames that `encode` has ffmpeg read."""
    return room(*size) if palette and palette.given else size


def _coloured(raw: Any, pixels: PixelFormat, size: tuple[int, int], wish: Palette) -> Any:
    """Give the frames their own palette, or the best of `wish.size` colours."""
    alpha = int(pixels.channels in (2, 4))  # without it an opaque film would claim to be transparent
    below = []
    if wish.given:
        raw, *squares = _split(raw, 3)
        raw = raw.filter("crop", *size, 0, 0)
        below = [part.filter("crop", SIDE, SIDE, 0, size[1] + SIDE * place) for place, part in enumerate(squares)]
    frames, seen = _split(raw, 2)
    palette = seen.filter("palettegen", stats_mode=wish.mode, reserve_transparent=alpha, max_colors=wish.size)
    if below:
        streams = [stream.filter("format", "gbrap" if alpha else "gbrp") for stream in (palette, *below)]
        palette = _given(*streams, last=wish.mode != "single")
    return ffmpeg.filter([frames, palette], "paletteuse", new=int(wish.mode == "single"), dither=wish.dither)


def _split(stream: Any, count: int) -> list[Any]:
    parts = stream.filter_multi_output("split", count)
    return [parts[number] for number in range(count)]


def _given(made: Any, own: Any, told: Any, *, last: bool) -> Any:
    """Choose the palette that came with a frame where that is told, else the one that was made; or the last for all."""
    if last:
        made = made.filter("setpts", 0)
        own, told = (stream.filter("reverse").filter("trim", end_frame=1).filter("setpts", 0) for stream in (own, told))
    told, same = _split(told, 2)
    middle = same.filter("lutrgb", r=128, g=128, b=128, a=128)
    return ffmpeg.filter([told, middle, made, own], "threshold")


def encode_still(pixels: PixelFormat, size: tuple[int, int], codec: str, options: Mapping[str, Any]) -> tuple[str, ...]:
    """Encode one raw frame from standard input to a picture on standard output."""
    raw = ffmpeg.input(PIPE, format="rawvideo", pix_fmt=pixels.name, video_size=size)
    made = ffmpeg.output(raw["v:0"], "pipe:1", format="image2pipe", **{"c:v": codec, "frames:v": 1}, **options)
    return _render(made)


def probe(demuxer: str | None, name: str = INPUT) -> tuple[str, ...]:
    """Describe a file as JSON (ffprobe)."""
    forced = reading(demuxer)
    shown = ("-show_format", "-show_streams", "-show_chapters", "-of", "json")
    return ("-hide_banner", "-v", "error", *forced, *shown, name)


def list_packets(demuxer: str | None, stream: str = FILM, name: str = INPUT) -> tuple[str, ...]:
    """List the packets of a stream without decoding them (ffprobe), one line each; the stream's facts at the end."""
    return _listing(
        demuxer, stream, "packet=pts,dts,duration,pos,flags:stream=codec_name,width,height,field_order,time_base", name
    )


def list_frames(demuxer: str | None, stream: str = FILM, name: str = INPUT) -> tuple[str, ...]:
    """List the frames of a stream by decoding them (ffprobe); a duration has two names, by release."""
    shown = "frame=key_frame,best_effort_timestamp,pkt_duration,duration,width,height:stream=time_base"
    return _listing(demuxer, stream, shown, name)


def _listing(demuxer: str | None, stream: str, shown: str, name: str) -> tuple[str, ...]:
    forced = reading(demuxer)
    threads = ("-threads", "1") if demuxer in _ONE_THREAD else ()
    quiet = ("-hide_banner", "-v", "repeat+error")
    return (*quiet, *threads, *forced, "-select_streams", stream, "-show_entries", shown, "-of", "compact", name)


def copy_listing(release: Release, demuxer: str | None, stream: str = FILM, name: str = INPUT) -> tuple[str, ...]:
    """List the packets of a stream by ffmpeg alone, one line each, without decoding them.

    Where it can, it lists each packet once more as of stream 1, with its place in the file for its duration.
    """
    source = ffmpeg.input(name, copyts=None, **_reads(demuxer))[stream]
    placed = release >= _PACKET_PLACE_SINCE
    options = {"bsf:v:1": "setts=duration=POS"} if placed else {}
    made = ffmpeg.output(
        *(2 if placed else 1) * [source], "pipe:1", format="framecrc", c="copy", copyinkf=None, **options
    )
    return _render(made)


def describe(demuxer: str | None, name: str = INPUT) -> tuple[str, ...]:
    """Describe a file by ffmpeg alone: stream headers on standard output, its banner on the error stream."""
    source = ffmpeg.input(name, **_reads(demuxer))
    made = ffmpeg.output(source, "pipe:1", format="framecrc", c="copy", t=0.001, map="0")  # the first packets
    return _render(made, quiet=("-nostdin", "-hide_banner", "-v", "info"))


def describe_tags(demuxer: str | None, name: str = INPUT) -> tuple[str, ...]:
    """Give the tags of a file by ffmpeg alone, in the form of its muxer `ffmetadata`."""
    source = ffmpeg.input(name, **_reads(demuxer))
    return _render(ffmpeg.output(source, "pipe:1", format="ffmetadata"))


def first_frame(demuxer: str | None, stream: str, name: str = INPUT) -> tuple[str, ...]:
    """Tell the side data of the first frame of a stream as JSON (ffprobe)."""
    forced = reading(demuxer)
    shown = ("-select_streams", stream, "-show_frames", "-read_intervals", "%+#1", "-of", "json")
    return ("-hide_banner", "-v", "error", *forced, *shown, name)


def first_frame_alone(demuxer: str | None, stream: str, name: str = INPUT) -> tuple[str, ...]:
    """Tell the side data of the first frame of a stream by ffmpeg alone, among its messages."""
    source = ffmpeg.input(name, **_reads(demuxer))[stream].filter("showinfo")
    made = ffmpeg.output(source, "pipe:1", format="null", vframes=1)
    return _render(made, quiet=("-nostdin", "-hide_banner", "-v", "info"))


_NTSC = tuple(Fraction(1000 * nominal, 1001) for nominal in (15, 24, 30, 48, 60, 72, 90, 96, 120, 240))


def rate(fps: Any) -> Fraction:
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
    if not (isinstance(fps, numbers.Real) and 0 < float(fps) < 1_000_000):
        raise ValueError(f"fps must be a positive number, not {fps!r}")
    if isinstance(fps, numbers.Rational):
        return Fraction(int(fps.numerator), int(fps.denominator))
    number = float(fps)
    ntsc = next((exact for exact in _NTSC if abs(number - exact) < 0.005), None)
    return ntsc or Fraction(number).limit_denominator(100_000)
