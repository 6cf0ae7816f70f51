"""Which film containers there are, and what goes into each by default. Tables, nothing else."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

__all__ = ["ANIMATIONS", "AUDIO_DEMUXERS", "AVIF", "CODECS", "CONTAINERS", "DEMUXERS", "WEBP", "Codec", "Container"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """One film format.

    Attributes
    ----------
    kinds : tuple of str
        What `bridge.media.sniff` calls its content.
    demuxer, muxer : str
        FFmpeg's names; an empty muxer means that it is not written here.
    video : tuple of str
        Families of codecs (keys of `CODECS`) to write with, the first that the machine has.
    audio : str
        FFmpeg's encoder for sound that the container cannot hold as it is.
    audio_kept : frozenset of str
        Codecs of sound that go in unchanged.
    tags : bool
        Whether it holds a title, a comment and their like.
    """

    name: str
    description: str
    extensions: tuple[str, ...]
    kinds: tuple[str, ...]
    demuxer: str
    muxer: str = ""
    video: tuple[str, ...] = ()
    audio: str = ""
    audio_kept: frozenset[str] = frozenset()
    tags: bool = False
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One family of encoders.

    Attributes
    ----------
    encoders : tuple of str
        FFmpeg's encoders for it, the best first.
    pixels : str or None
        The pixel format that players expect; None leaves the encoder's choice.
    quality : str
        The option that says the quality on a constant scale; empty if there is none.
    best, worst : float
        Its ends; `quality=10` of the user is the best, `quality=0` the worst.
    alpha, deep : bool
        Whether it keeps transparency, and more than 8 bits, when no pixel format is asked for.
    layered : dict
        Options for arrays that have transparency, where none are needed for others.
    deepened : dict
        Options for arrays of 16 bits, of which they keep ten; for who has named the codec.
    tells : bool
        Whether it says by which matrix colours are coded.
    matrix : str
        The only one that FFmpeg lets it say; empty if it is free.
    options : dict
        Further options that go with it.
    """

    encoders: tuple[str, ...]
    alpha: bool = False
    deep: bool = False
    layered: dict[str, Any] = field(default_factory=dict)
    deepened: dict[str, Any] = field(default_factory=dict)
    tells: bool = False
    matrix: str = ""
    pixels: str | None = "yuv420p"
    quality: str = ""
    best: float = 0
    worst: float = 51
    options: dict[str, Any] = field(default_factory=dict)


_MP4_AUDIO = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac"})
_ANY_AUDIO = frozenset({*_MP4_AUDIO, "vorbis", "dts", "truehd", "pcm_s16le", "pcm_s24le", "mp2"})

CONTAINERS: tuple[Container, ...] = (
    Container(
        name="MP4", tags=True, description="MPEG-4 film", extensions=(".mp4", ".m4v", ".3gp", ".3g2"), kinds=("mp4",),
        demuxer="mov", muxer="mp4", video=("h264", "openh264", "mpeg4"), audio="aac", audio_kept=_MP4_AUDIO,
    ),
    Container(
        name="MOV", tags=True, description="QuickTime film", extensions=(".mov",), kinds=("mp4",),
        demuxer="mov", muxer="mov", video=("h264", "openh264", "mpeg4"), audio="aac",
        audio_kept=_MP4_AUDIO - {"opus", "flac"} | {"pcm_s16le", "pcm_s24le"},
    ),
    Container(
        name="MKV", tags=True, description="Matroska film", extensions=(".mkv",), kinds=("matroska",),
        demuxer="matroska", muxer="matroska", video=("h264", "openh264", "mpeg4"), audio="libopus",
        audio_kept=_ANY_AUDIO,
    ),
    Container(
        name="WEBM", tags=True, description="WebM film", extensions=(".webm",), kinds=("matroska",),
        demuxer="matroska", muxer="webm", video=("vp9", "vp8", "av1"), audio="libopus",
        audio_kept=frozenset({"opus", "vorbis"}),
    ),
    Container(
        name="AVI", tags=True, description="Audio Video Interleave", extensions=(".avi",), kinds=("avi",),
        demuxer="avi", muxer="avi", video=("mpeg4",), audio="libmp3lame",
        audio_kept=frozenset({"mp3", "ac3", "mp2", "pcm_s16le"}),
    ),
    Container(
        name="TS", description="MPEG transport stream", extensions=(".ts", ".m2ts", ".mts"), kinds=("mpegts",),
        demuxer="mpegts", muxer="mpegts", video=("h264", "mpeg2"), audio="aac",
        audio_kept=frozenset({"aac", "mp2", "mp3", "ac3", "eac3"}),
    ),
    Container(
        name="MPG", description="MPEG program stream", extensions=(".mpg", ".mpeg", ".vob"), kinds=("mpegps",),
        demuxer="mpeg", muxer="mpeg", video=("mpeg2",), audio="mp2",
        audio_kept=frozenset({"mp2", "mp3", "ac3"}),
    ),
    Container(
        name="OGG", tags=True, description="Ogg film", extensions=(".ogv", ".ogg"), kinds=("ogg",),
        demuxer="ogg", muxer="ogg", video=("theora",), audio="libvorbis",
        audio_kept=frozenset({"vorbis", "opus", "flac"}),
    ),
    Container(
        name="FLV", tags=True, description="Flash video", extensions=(".flv",), kinds=("flv",),
        demuxer="flv", muxer="flv", video=("h264",), audio="aac", audio_kept=frozenset({"aac", "mp3"}),
    ),
    Container(
        name="WMV", tags=True, description="Windows Media film", extensions=(".wmv", ".asf"), kinds=("asf",),
        demuxer="asf", muxer="asf", video=("wmv2",), audio="wmav2", audio_kept=frozenset({"wmav2", "mp3"}),
    ),
    Container(
        name="MXF", description="Material Exchange Format", extensions=(".mxf",), kinds=("mxf",),
        demuxer="mxf", muxer="mxf", video=("mpeg2",), audio="pcm_s16le", audio_kept=frozenset({"pcm_s16le"}),
    ),
    Container(
        name="NUT", tags=True, description="NUT film", extensions=(".nut",), kinds=("nut",),
        demuxer="nut", muxer="nut", video=("ffv1",), audio="flac", audio_kept=_ANY_AUDIO,
    ),
    Container(
        name="Y4M", description="uncompressed YUV4MPEG2 film", extensions=(".y4m",), kinds=("y4m",),
        demuxer="yuv4mpegpipe", muxer="yuv4mpegpipe", video=("wrapped",),
    ),
    Container(
        name="H264", description="raw H.264 stream", extensions=(".h264", ".264"), kinds=("h264",), demuxer="h264",
    ),
    Container(
        name="HEVC", description="raw HEVC stream", extensions=(".hevc", ".h265", ".265"), kinds=("hevc",),
        demuxer="hevc",
    ),
    Container(
        name="M2V", description="raw MPEG video stream", extensions=(".m2v", ".m1v"), kinds=("mpegvideo",),
        demuxer="mpegvideo",
    ),
)  # fmt: skip

ANIMATIONS: tuple[Container, ...] = (
    Container(
        name="GIF-FFMPEG",
        description="Graphics Interchange Format, animated",
        extensions=(".gif",),
        kinds=("gif",),
        demuxer="gif",
        muxer="gif",
        video=("gif",),
        # Its savings compare numbers of colours: a frame with other colours in the same places got lost.
        options={"loop": 0, "gifflags": "-offsetting-transdiff"},
    ),
    Container(
        name="APNG",
        description="Animated Portable Network Graphics",
        extensions=(".apng",),
        kinds=("apng",),
        demuxer="apng",
        muxer="apng",
        video=("apng",),
        options={"plays": 0},
    ),
)

WEBP = Container(
    name="WEBP-FILM", description="WebP, animated", extensions=(".webp",), kinds=("webp",), demuxer="webp_pipe",
    muxer="webp", video=("webp",), options={"loop": 0},
)  # fmt: skip

AVIF = Container(
    name="AVIF-FFMPEG", description="AV1 Image, animated", extensions=(".avif",), kinds=("avis",), demuxer="mov",
    muxer="avif", video=("avif",), options={"loop": 0},
)  # fmt: skip

# Kinds of content -> FFmpeg's demuxer for it.
DEMUXERS = {kind: row.demuxer for row in (*CONTAINERS, *ANIMATIONS, AVIF) for kind in row.kinds}

# The same of what may bring sound along.
AUDIO_DEMUXERS = DEMUXERS | {"wav": "wav", "mp3": "mp3", "flac": "flac", "aac": "aac", "aiff": "aiff"}

_TEN_BITS = {"pix_fmt": "yuv420p10le"}

CODECS: dict[str, Codec] = {
    "h264": Codec(encoders=("libx264", "h264_videotoolbox", "h264_nvenc", "h264_mf"), tells=True, quality="crf",
                  deepened=_TEN_BITS),
    "openh264": Codec(encoders=("libopenh264",), tells=True),
    "hevc": Codec(encoders=("libx265", "hevc_videotoolbox", "hevc_nvenc"), tells=True, quality="crf",
                  deepened=_TEN_BITS),
    "av1": Codec(encoders=("libsvtav1", "libaom-av1"), tells=True, quality="crf", worst=63, deepened=_TEN_BITS),
    "avif": Codec(encoders=("libaom-av1", "libsvtav1"), tells=True, quality="crf", worst=63, deepened=_TEN_BITS),
    "vp9": Codec(encoders=("libvpx-vp9",), tells=True, quality="crf", worst=63, options={"b:v": 0},
                 layered={"pix_fmt": "yuva420p"}, deepened=_TEN_BITS),
    "vp8": Codec(encoders=("libvpx",), quality="crf", best=4, worst=63, options={"b:v": "2M"},
                 layered={"pix_fmt": "yuva420p", "auto-alt-ref": 0}),
    "mpeg4": Codec(encoders=("mpeg4",), quality="q:v", best=1, worst=31),
    "mpeg2": Codec(encoders=("mpeg2video",), tells=True, quality="q:v", best=1, worst=31),
    "theora": Codec(encoders=("libtheora",), quality="q:v", best=10, worst=0),
    "wmv2": Codec(encoders=("wmv2",), quality="q:v", best=1, worst=31),
    "mjpeg": Codec(encoders=("mjpeg",), pixels="yuvj420p", quality="q:v", best=1, worst=31),
    "ffv1": Codec(encoders=("ffv1",), pixels=None, alpha=True, deep=True),
    "prores": Codec(encoders=("prores_ks", "prores"), tells=True, pixels="yuv422p10le",
                    layered={"c:v": "prores_ks", "pix_fmt": "yuva444p10le"}, deepened={"pix_fmt": "yuv422p10le"}),
    "dnxhd": Codec(encoders=("dnxhd",), tells=True, matrix="bt709", pixels="yuv422p", options={"profile:v": "dnxhr_hq"},
                   deepened={"profile:v": "dnxhr_hqx", "pix_fmt": "yuv422p10le"}),
    "huffyuv": Codec(encoders=("huffyuv",), pixels="rgb24", layered={"pix_fmt": "bgra"}),
    "ffvhuff": Codec(encoders=("ffvhuff",), pixels="rgb24", layered={"pix_fmt": "bgra"}),
    "utvideo": Codec(encoders=("utvideo",), pixels="gbrp", layered={"pix_fmt": "gbrap"}),
    "rawvideo": Codec(encoders=("rawvideo",), pixels="bgr24", layered={"pix_fmt": "bgra"}),
    "qtrle": Codec(encoders=("qtrle",), pixels="rgb24", layered={"pix_fmt": "argb"}),
    "png": Codec(encoders=("png",), pixels=None, alpha=True, deep=True),
    "gif": Codec(encoders=("gif",), pixels=None, alpha=True),
    "apng": Codec(encoders=("apng",), pixels=None, alpha=True, deep=True),
    "webp": Codec(encoders=("libwebp_anim",), pixels="bgra", alpha=True),
    "wrapped": Codec(encoders=("wrapped_avframe",)),
}  # fmt: skip
