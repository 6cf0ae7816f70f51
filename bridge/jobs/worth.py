"""Whether a film may be made in chunks, and whether that pays. Tables, and how to look in them.

Figures are CPU seconds of ffmpeg 5.1 on one core of a usual server, for encoders at their usual speed: those of VP9,
x264 and owdenoise were measured, the others are estimates within a factor of three or so. What decides is how many
cores the one command would keep busy.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bridge.jobs.filters import is_temporal
from bridge.jobs.plan import unsuited

if TYPE_CHECKING:
    from bridge.jobs.encoding import Making
    from bridge.jobs.job import Job
    from bridge.jobs.survey import Survey

__all__ = ["hindrance", "overlap", "pays"]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Encoder:
    """What is known of an encoder.

    Attributes
    ----------
    cost : float
        CPU seconds for a million pixels.
    cores : int
        How many it keeps busy by itself.
    """

    cost: float
    cores: int


# Encoders that give one packet for each frame, and the same headers for the same settings.
_ENCODERS: dict[str, _Encoder] = {
    "libvpx-vp9": _Encoder(cost=0.55, cores=1),  # for each tile
    "libaom-av1": _Encoder(cost=2.0, cores=1),
    "librav1e": _Encoder(cost=1.5, cores=2),
    "libsvtav1": _Encoder(cost=0.3, cores=8),
    "libx264": _Encoder(cost=0.15, cores=12),
    "libx265": _Encoder(cost=0.5, cores=8),
    "mpeg4": _Encoder(cost=0.03, cores=4),
    "ffv1": _Encoder(cost=0.05, cores=4),
    "prores_ks": _Encoder(cost=0.15, cores=4),
    "prores": _Encoder(cost=0.05, cores=8),
    "dnxhd": _Encoder(cost=0.05, cores=8),
    "mjpeg": _Encoder(cost=0.02, cores=4),
    "huffyuv": _Encoder(cost=0.02, cores=8),
    "ffvhuff": _Encoder(cost=0.02, cores=8),
    "utvideo": _Encoder(cost=0.02, cores=8),
}
_MUXERS = frozenset({"mp4", "mov", "matroska", "webm", "mpegts"})
# Filters that use one core, by the flags of `ffmpeg -filters`, with their CPU seconds for a million pixels.
_ONE_CORE = {"owdenoise": 0.6, "smartblur": 0.03}
# Options of encoders that do not look beyond a chunk.
_ENCODER_OPTIONS = frozenset(
    {
        *("-preset", "-tune", "-profile:v", "-level", "-level:v", "-g", "-keyint_min", "-bf", "-refs", "-threads"),
        *("-x264-params", "-x265-params", "-svtav1-params", "-deadline", "-quality", "-cpu-used", "-row-mt"),
        *("-tile-columns", "-tile-rows", "-auto-alt-ref", "-lag-in-frames", "-aq-mode", "-crf", "-qp", "-q:v", "-b:v"),
        *("-slices", "-slicecrc", "-coder", "-context", "-pix_fmt", "-color_primaries", "-color_trc", "-colorspace"),
        "-color_range",
    }
)
_OVER_ALL = re.compile("pass=|stats=|vbv|bitrate=")
_LEAST_CPU = 30.0  # seconds of work below which starting more programs costs more than it saves


def hindrance(job: Job, making: Making, film: Survey, muxer: str) -> str:
    """Say why a job cannot be done in chunks with the very same result; empty if it can."""
    picture, wish = making.picture, job.video
    if picture is None or wish is None or wish.codec == "copy":
        return "no picture is encoded"
    for wrong, reason in (
        (len(job.sources) > 1, "films are joined"),
        (making.taken is not None, "a part of the film is taken"),
        (wish.bitrate is not None or wish.two_pass, "a bitrate is spent over the whole film (crf= is not)"),
        (muxer not in _MUXERS, f"{muxer} is not joined from chunks"),
        (picture.options[1] not in _ENCODERS, f"{picture.options[1]} is not known to give the same in chunks"),
        (bool(wish.free_filters), "free filters may look at other frames"),
        (not picture.exact, "frames do not keep their times"),
        (film.video is not None and film.video.hdr is not None, "chunks do not carry its light levels"),
        (bool(film.missing), "the film is not whole"),
    ):
        if wrong:
            return reason
    return _of_filters(wish.filters) or _of_options(wish.options) or unsuited(film.index)


def _of_options(options: tuple[str, ...]) -> str:
    for word in options:
        if (word.startswith("-") and not word[1:2].isdigit() and word not in _ENCODER_OPTIONS) or _OVER_ALL.search(
            word
        ):
            return f"the option {word} may concern the whole film"
    if "-b:v" in options and options[options.index("-b:v") + 1 :][:1] != ("0",):
        return "a bitrate is spent over the whole film"
    return ""


def _of_filters(filters: tuple[str, ...]) -> str:
    for said in filters:
        if is_temporal(said) and _memory(said) is None:
            return f"the filter {said.partition('=')[0]} remembers earlier frames, or changes their number"
    return ""


def _memory(said: str) -> tuple[int, int] | None:
    """Give how many frames before and behind a filter looks at, where that is known, and one comes out for each."""
    name, _, options = said.partition("=")
    if name == "yadif" and "send_field" not in options and "mode=1" not in options:
        return 2, 2
    if name == "bwdif" and "send_frame" in options:
        return 2, 2
    return None


def overlap(filters: tuple[str, ...]) -> tuple[int, int]:
    """Give how many frames before and behind a chunk its filters have to see, one filter after the other."""
    rows = [_memory(said) or (0, 0) for said in filters]
    return sum(row[0] for row in rows), sum(row[1] for row in rows)


def pays(making: Making, film: Survey, filters: tuple[str, ...], cores: int | None = None) -> bool:
    """Tell whether chunks make it quicker: there is enough to do, and one command would leave cores idle."""
    cores = cores or os.cpu_count() or 1
    if making.picture is None or film.video is None:
        return False
    encoder = _ENCODERS[making.picture.options[1]]
    width, height = making.size or (film.video.width, film.video.height)
    pixels = len(film.index) * width * height / 1e6
    slow = sum(_ONE_CORE.get(said.partition("=")[0], 0.0) for said in filters)
    work = pixels * (encoder.cost + slow)
    busy = min(cores, encoder.cores * _tiles(making.picture.options[1], width))
    alone = pixels * max(slow, encoder.cost / busy)  # the encoder and the filter run side by side
    return work >= _LEAST_CPU and alone > 1.4 * work / cores


_TILE = 256  # pixels that a column of tiles of VP9 has at least


def _tiles(encoder: str, width: int) -> int:
    """Count the columns of tiles that libvpx makes side by side: a power of two, and by default as many as fit."""
    return 1 << (max(1, width // _TILE).bit_length() - 1) if encoder == "libvpx-vp9" else 1
