"""How pictures and sound are coded: a job's wishes and a film's facts -> options of ffmpeg. Pure but for the abilities.

The tables of codecs, of colours and of quality are those by which arrays are written.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bridge.errors import BadJob, MissingCodec, UnsupportedPixels
from bridge.ffmpeg.containers import CODECS, Codec
from bridge.jobs.targets import EVEN
from bridge.media.alpha import has_alpha
from bridge.media.colour import colour_of, usual_matrix
from bridge.media.pixels import pixel_format

if TYPE_CHECKING:
    from collections.abc import Callable
    from fractions import Fraction

    from bridge.ffmpeg.containers import Container
    from bridge.jobs.job import Audio, Video
    from bridge.media.info import AudioStream, VideoStream
    from bridge.process.tools import Abilities, Tool

__all__ = ["Coded", "code_audio", "code_video", "encoder_for", "shown_size"]

# Constant quality where nobody says one, on the scale of each family.
_QUALITY: dict[str, float] = {
    "h264": 23, "hevc": 26, "av1": 32, "avif": 32, "vp9": 31, "vp8": 10, "mpeg4": 4, "mpeg2": 4, "theora": 7,
    "wmv2": 4, "mjpeg": 4,
}  # fmt: skip
# Encoders that call it otherwise.
_QUALITY_NAMES = {"h264_nvenc": "cq", "hevc_nvenc": "cq", "h264_videotoolbox": "q:v", "hevc_videotoolbox": "q:v"}
_LOSSLESS = frozenset({"ffv1", "huffyuv", "ffvhuff", "utvideo", "rawvideo", "qtrle", "png"})
_SPEEDS = {
    **dict.fromkeys(("libx264", "libx265", "libsvtav1", "h264_nvenc", "hevc_nvenc"), "preset"),
    **dict.fromkeys(("libvpx", "libvpx-vp9", "libaom-av1"), "cpu-used"),
}
_QUIET = {"libx265": {"x265-params": "log-level=error"}}
_EVEN_CLOCKS = frozenset({"mpeg2video", "wmv2", "mpeg1video"})  # they know a few rates only
_MPEG4_CLOCK = 60_000  # ticks a second; it has at most 65535
_PASSTHROUGH_SINCE = (5, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Coded:
    """How one stream is made.

    Attributes
    ----------
    options : tuple of str
        Words of the command; of sound, ``#`` in them stands for the number of the stream.
    filters : tuple of str
        What its frames pass.
    exact : bool
        Every frame of the source comes out once, at its own time.
    changes : tuple of str
        What will not be as it was, in words.
    """

    options: tuple[str, ...]
    filters: tuple[str, ...] = ()
    exact: bool = True
    changes: tuple[str, ...] = field(default_factory=tuple)


def encoder_for(container: Container, codec: str | None, abilities: Abilities, tool: Tool) -> tuple[str, str]:
    """Give the encoder that this ffmpeg has, and the name of its family (empty if it has none).

    Raises
    ------
    MissingCodec
        If it has none, with the nearest that it has.
    """
    abilities.need("muxers", container.muxer, tool)
    for name in (codec,) if codec else container.video:
        family = name if name in CODECS else next((n for n, row in CODECS.items() if name in row.encoders), "")
        for encoder in CODECS[name].encoders if name in CODECS else (name,):
            if encoder in abilities.encoders:
                return encoder, family
    if codec and codec in CODECS:
        here = [n for n, row in CODECS.items() if not abilities.encoders.isdisjoint(row.encoders)]
        raise MissingCodec(
            f"{tool} has no encoder for {codec} ({', '.join(CODECS[codec].encoders)}); it has some for "
            f"{', '.join(here)}"
        )
    abilities.need("encoders", codec or CODECS[container.video[0]].encoders[0], tool)
    raise MissingCodec(f"{tool} has no encoder for {container.name}")


def code_video(
    wish: Video,
    video: VideoStream,
    container: Container,
    abilities: Abilities,
    tool: Tool,
    *,
    even: Callable[[], bool],
    crf: float | None = None,
) -> Coded:
    """Tell how the picture is coded.

    Parameters
    ----------
    even : callable
        Tells whether the film's frames are evenly spaced; asked only where that matters.
    crf : float or None
        What a search has found.

    Raises
    ------
    MissingCodec, BadJob, UnsupportedPixels
    """
    if wish.codec == "copy":
        return Coded(options=("-c:v", "copy"))
    encoder, name = encoder_for(container, wish.codec, abilities, tool)
    for wanted in wish.filters:
        abilities.need("filters", wanted.partition("=")[0], tool)
    family = CODECS.get(name, Codec(encoders=(encoder,), pixels=None))
    pixels, extra, changes = _pixels(wish, video, family, name)
    _check_even(wish, video, pixels, name)
    options: dict[str, Any] = {
        "c:v": encoder,
        **family.options,
        **container.options,
        **extra,
        **_QUIET.get(encoder, {}),
    }
    options |= _rate_control(wish, encoder, name, family, crf)
    if wish.speed is not None:
        if encoder not in _SPEEDS:
            raise BadJob(f"{encoder} has no speeds to choose from; leave out speed={wish.speed!r}")
        options[_SPEEDS[encoder]] = wish.speed
    filters = _filters(wish, video, family, pixels)
    clock, spaced, exact = _clock(wish, video, encoder, tool.release, counted=_counts(container, encoder), even=even)
    filters += spaced
    if not exact and wish.fps is None:
        changes.append(f"frames are spaced evenly, as {container.name} has them: some are repeated or left out")
    if pixels:
        options["pix_fmt"] = pixels
    words = tuple(word for option, value in (options | clock).items() for word in (f"-{option}", str(value)))
    return Coded(options=(*words, *wish.options), filters=filters, exact=exact, changes=tuple(changes))


def _rate_control(wish: Video, encoder: str, name: str, family: Codec, crf: float | None) -> dict[str, Any]:
    """Give the options that say how good the picture is to be."""
    option = _QUALITY_NAMES.get(encoder, family.quality)
    crf = wish.crf if crf is None else crf
    if wish.bitrate is not None:
        return {"b:v": wish.bitrate}
    if crf is not None and not option:
        raise BadJob(f"{encoder} has no constant quality; leave out crf={crf:g}, or give bitrate= where it has one")
    quality = crf if crf is not None else _QUALITY.get(name)
    return {} if quality is None or not option else {option: f"{quality:g}"}


def _pixels(wish: Video, video: VideoStream, family: Codec, name: str) -> tuple[str, dict[str, Any], list[str]]:
    """Choose the pixel format: deep and transparent film stays so where the codec's usual form allows it."""
    if wish.pixel_format or name in _LOSSLESS or not family.pixels:
        return wish.pixel_format or "", {}, []
    source = video.pixel_format or ""
    extra: dict[str, Any] = {}
    if has_alpha(source) and family.layered:
        extra |= family.layered
    elif _depth(source) > 8 and family.deepened and name != "h264":  # few players show H.264 of 10 bits
        extra |= family.deepened
    pixels = str(extra.pop("pix_fmt", family.pixels))
    lost = []
    if has_alpha(source) and not has_alpha(pixels):
        lost.append("transparency was left out")
    if _depth(source) > _depth(pixels):
        lost.append(f"{_depth(source)} bits a channel became {_depth(pixels)}")
    if _colour_detail(source) > _colour_detail(pixels):
        lost.append(f"colours are stored coarser ({source} became {pixels})")
    return pixels, extra, lost


def _depth(pixels: str) -> int:
    try:
        return pixel_format(pixels).depth
    except UnsupportedPixels:
        return 8


def _colour_detail(pixels: str) -> int:
    """Give how finely colours are stored beside brightness: 0 is half in both directions."""
    if "420" in pixels or pixels.startswith(("nv12", "nv21", "p01", "gray", "ya", "pal")):
        return 0
    return 1 if "422" in pixels or pixels.startswith(("uyvy", "yuyv")) else 2 if pixels else 0


def shown_size(wish: Video, video: VideoStream) -> tuple[int, int]:
    """Give width and height of the result, as far as they follow from a size; filters of the user's may change them."""
    width, height = (video.width, video.height) if video.rotation % 180 == 0 else (video.height, video.width)
    if wish.size is None:
        return width, height
    wide, high = wish.size
    return wide or 2 * round(width * high / height / 2), high or 2 * round(height * wide / width / 2)


def _check_even(wish: Video, video: VideoStream, pixels: str, name: str) -> None:
    """Refuse before any work what encoders of half-size colours refuse."""
    size = shown_size(wish, video)
    if (
        wish.filters
        or wish.free_filters
        or "420" not in pixels
        or name in ("gif", "apng", "webp", "avif", "vp8", "vp9")
    ):
        return
    if size[0] % 2 or size[1] % 2:
        raise UnsupportedPixels(
            f"the sides of {size[0]}x{size[1]} are not even, which {pixels} cannot have: give "
            f"size=({size[0] // 2 * 2}, {size[1] // 2 * 2}), cut with filters=['crop={size[0] // 2 * 2}:"
            f"{size[1] // 2 * 2}:0:0'], or keep them with pixel_format='yuv444p'"
        )


def _filters(wish: Video, video: VideoStream, family: Codec, pixels: str) -> tuple[str, ...]:
    """Give the chain that frames pass: colours told, the user's own, rate, size, matrix."""
    chain = []
    colour = colour_of(video)
    if colour.matrix and "matrix" in colour.assumed:
        chain.append(f"setparams=colorspace={colour.matrix}")
    chain += [*wish.filters, *([wish.free_filters] if wish.free_filters else [])]
    if wish.fps is not None:
        chain.append(f"fps={wish.fps.numerator}/{wish.fps.denominator}")
    if wish.size is not None:
        width, height = (side or -2 for side in wish.size)
        chain.append(f"scale={width}:{height}")
    coded = pixels.startswith(("yuv4", "yuva4"))
    if coded and colour.matrix is None:  # RGB or gray
        matrix = _matrix(wish, video, family)
        chain += [f"scale=out_color_matrix={matrix}:out_range=tv", f"format={pixels}"]
        chain.append(f"setparams=range=tv:color_primaries=bt709:color_trc=bt709:colorspace={matrix}")
    return tuple(chain)


def _matrix(wish: Video, video: VideoStream, family: Codec) -> str:
    return family.matrix or usual_matrix(*shown_size(wish, video)) if family.tells else "smpte170m"


def _counts(container: Container, encoder: str) -> bool:
    """Tell whether frames are counted, and have no time of their own."""
    return container.muxer in EVEN or encoder in _EVEN_CLOCKS


def _clock(
    wish: Video, video: VideoStream, encoder: str, release: tuple[int, int], *, counted: bool, even: Callable[[], bool]
) -> tuple[dict[str, Any], tuple[str, ...], bool]:
    """Give the options and filters that keep the time of each frame, and whether these can be kept."""
    mode = {"fps_mode" if release >= _PASSTHROUGH_SINCE else "vsync": "passthrough"}
    if wish.fps is not None:
        return mode, (), False
    if counted and video.fps is not None and even():
        tick = 1 / video.fps
        return {**mode, "enc_time_base:v": _ratio(tick)}, (f"settb={tick}", "setpts=N"), True
    if counted:
        return {}, (), False
    base = video.time_base
    if encoder == "mpeg4" and (base is None or base.denominator > _MPEG4_CLOCK):
        return {**mode, "enc_time_base:v": f"1:{_MPEG4_CLOCK}"}, (), True
    return {**mode, **({"enc_time_base:v": _ratio(base)} if base else {})}, (), True


def _ratio(base: Fraction) -> str:
    return f"{base.numerator}:{base.denominator}"


def code_audio(
    wish: Audio, stream: AudioStream, container: Container, abilities: Abilities, tool: Tool, *, cut: bool = False
) -> Coded:
    """Tell how one audio stream is coded; where it is `cut`, or changed, it is not copied.

    Raises
    ------
    MissingCodec
    """
    changed = any(value is not None for value in (wish.bitrate, wish.rate, wish.channels, wish.loudness)) or cut
    codec = wish.codec
    if codec is None:
        held = stream.codec in container.audio_kept
        own = _ENCODERS.get(stream.codec, stream.codec if stream.codec.startswith("pcm_") else "")
        codec = "copy" if held and not changed else own if held and own in abilities.encoders else container.audio
    if codec == "copy":
        return Coded(options=("-c:a:#", "copy"))
    abilities.need("encoders", codec, tool)
    options: dict[str, Any] = {"c:a:#": codec}
    if wish.bitrate is not None:
        options["b:a:#"] = wish.bitrate
    if container.muxer == "mxf":
        options["ar:a:#"] = 48_000  # it holds no other
    rate = wish.rate or (stream.sample_rate if wish.loudness is not None and codec != "libopus" else None)
    if rate is not None:
        options["ar:a:#"] = rate
    if wish.channels is not None:
        options["ac:a:#"] = wish.channels
    if codec == "flac" and stream.codec.startswith(("pcm_s24", "pcm_s32", "pcm_f", "alac", "truehd")):
        options |= {"sample_fmt:a:#": "s32", "bits_per_raw_sample:a:#": 24}
    words = tuple(word for option, value in options.items() for word in (f"-{option}", str(value)))
    told = () if wish.codec is not None else (f"sound in {stream.codec} {_became(stream.codec, codec)}",)
    return Coded(options=words, changes=told)


_ENCODERS = {"aac": "aac", "mp3": "libmp3lame", "opus": "libopus", "vorbis": "libvorbis", "flac": "flac",
             "alac": "alac", "ac3": "ac3", "eac3": "eac3", "mp2": "mp2"}  # fmt: skip


def _became(before: str, after: str) -> str:
    return "was coded anew" if _ENCODERS.get(before, before) == after else f"became {after}"
