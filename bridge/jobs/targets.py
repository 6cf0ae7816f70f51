"""Which containers jobs write, and what each can hold of sound, subtitles and the rest. Tables, and a look-up."""

from __future__ import annotations

from pathlib import PurePath
from typing import TYPE_CHECKING

from bridge.errors import BadJob
from bridge.ffmpeg.containers import ANIMATIONS, AVIF, CONTAINERS, WEBP, Container

if TYPE_CHECKING:
    from bridge.jobs.job import Job

__all__ = ["EVEN", "PICTURE_SUBTITLES", "SUBTITLES", "TEXTS", "container_of", "is_ladder", "is_written"]

_MATROSKA = frozenset({"aac", "mp3", "ac3", "eac3", "alac", "opus", "flac", "vorbis", "dts", "pcm_s16le"})

# Of what holds sound alone.
_SOUNDS: tuple[Container, ...] = (
    Container(name="M4A", tags=True, description="MPEG-4 sound", extensions=(".m4a",), kinds=(), demuxer="mov",
              muxer="ipod", audio="aac", audio_kept=frozenset({"aac", "alac"})),
    Container(name="MP3", tags=True, description="MP3", extensions=(".mp3",), kinds=(), demuxer="mp3", muxer="mp3",
              audio="libmp3lame", audio_kept=frozenset({"mp3"})),
    Container(name="WAV", tags=True, description="WAV", extensions=(".wav",), kinds=(), demuxer="wav", muxer="wav",
              audio="pcm_s16le", audio_kept=frozenset({"pcm_s16le", "pcm_s24le", "pcm_f32le", "pcm_u8"})),
    Container(name="FLAC", tags=True, description="FLAC", extensions=(".flac",), kinds=(), demuxer="flac",
              muxer="flac", audio="flac", audio_kept=frozenset({"flac"})),
    Container(name="OPUS", tags=True, description="Opus in Ogg", extensions=(".opus", ".oga"), kinds=(),
              demuxer="ogg", muxer="ogg", audio="libopus", audio_kept=frozenset({"opus", "vorbis", "flac"})),
    Container(name="MKA", tags=True, description="Matroska sound", extensions=(".mka",), kinds=(),
              demuxer="matroska", muxer="matroska", audio="libopus",
              audio_kept=_MATROSKA),
)  # fmt: skip

# Ladders: the name is that of the list of qualities.
_LADDERS: tuple[Container, ...] = (
    Container(name="HLS", description="HTTP Live Streaming", extensions=(".m3u8",), kinds=(), demuxer="hls",
              muxer="hls", video=("h264",), audio="aac"),
    Container(name="DASH", description="Dynamic Adaptive Streaming over HTTP", extensions=(".mpd",), kinds=(),
              demuxer="dash", muxer="dash", video=("h264",), audio="aac"),
)  # fmt: skip

_ALL = (*CONTAINERS, *ANIMATIONS, WEBP, AVIF, *_SOUNDS, *_LADDERS)

# Muxers that count frames, and have no time for each.
EVEN = frozenset({"avi", "mpeg", "mxf", "yuv4mpegpipe"})

# Muxer -> the subtitles that it holds, and what FFmpeg makes of other text for it; empty for none.
SUBTITLES: dict[str, tuple[frozenset[str], str]] = {
    "matroska": (
        frozenset({"subrip", "ass", "ssa", "webvtt", "dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle"}), "subrip"),
    "webm": (frozenset({"webvtt"}), "webvtt"),
    "mp4": (frozenset({"mov_text"}), "mov_text"),
    "mov": (frozenset({"mov_text"}), "mov_text"),
    "mpegts": (frozenset({"dvb_subtitle", "dvb_teletext"}), ""),
}  # fmt: skip
TEXTS = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"})
PICTURE_SUBTITLES = frozenset({"dvd_subtitle", "hdmv_pgs_subtitle", "dvb_subtitle"})


def container_of(job: Job) -> Container:
    """Give the container of a job's target: the one it names, or its extension's.

    Raises
    ------
    BadJob
        If there is none, or it is only read.
    """
    wanted = job.container
    suffix = PurePath(job.target).suffix.lower()
    for row in _ALL:
        if (row.name.lower() == wanted.lower()) if wanted else (suffix in row.extensions):
            if row.muxer:
                return row
            raise BadJob(f"{job.target}: {row.name} is only read; take one of {_names()}")
    said = repr(wanted) if wanted else f"the extension {suffix!r}" if suffix else "a name without an extension"
    raise BadJob(f"{job.target}: {said} is no container that is written; take one of {_names()}")


def is_written(suffix: str) -> bool:
    """Tell whether an extension is that of something that jobs write."""
    return any(suffix.lower() in row.extensions for row in _ALL if row.muxer)


def is_ladder(container: Container) -> bool:
    """Tell whether a target is a list of qualities and not one film."""
    return container in _LADDERS


def _names() -> str:
    return " ".join(row.extensions[0] for row in _ALL if row.muxer)
