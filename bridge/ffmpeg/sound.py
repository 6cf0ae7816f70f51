"""The sound of a film: decoded by one ffmpeg child, placed in time beside the pictures."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from bridge.core.samples import Samples
from bridge.errors import CorruptMedia
from bridge.ffmpeg import argv
from bridge.ffmpeg.probe import listed, media_info
from bridge.media.info import AudioStream
from bridge.process.child import run, words
from bridge.process.isolation import box_for
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from bridge.core.request import Request

__all__ = ["read_sound"]


def read_sound(request: Request, demuxer: str | None, stream: int, begin: Fraction) -> Samples:
    """Decode one audio stream whole.

    Parameters
    ----------
    request : Request
        The file.
    demuxer : str or None
        FFmpeg's name of its container.
    stream : int
        Which of the audio streams.
    begin : fractions.Fraction
        Seconds on the file's clock at which the film begins.
    """
    heard = [found for found in media_info(request, demuxer).streams if isinstance(found, AudioStream)]
    if not 0 <= stream < len(heard):
        raise CorruptMedia(f"{request.name} has {len(heard)} audio stream(s), no number {stream}")
    rate, channels = heard[stream].sample_rate, heard[stream].channels
    if not rate or not channels:
        raise CorruptMedia(f"{request.name}: audio stream {stream} does not tell its rate and channels")
    ffmpeg = toolbox().find("ffmpeg")
    with request.input() as descriptor:
        said = run(
            (ffmpeg.path, *argv.decode_sound(demuxer, stream, rate, channels)),
            subject=request.name,
            box=box_for(request.limits, "film"),
            stdin=descriptor,
            seconds=request.limits.finish,
            most=request.limits.volumes_memory,
        )
    if not said.exit.ok or len(said.stdout) % (4 * channels):
        reason = words(said.exit.stderr).replace(argv.INPUT, request.name)
        raise CorruptMedia(f"{request.name}: its sound cannot be decoded: {reason}", exit=said.exit, last_words=reason)
    samples = np.frombuffer(said.stdout, "<f4").reshape(-1, channels)
    start = _first_time(request, demuxer, stream) - begin
    return Samples(samples, {"rate": rate, "start": float(start), "codec": heard[stream].codec})


def _first_time(request: Request, demuxer: str | None, stream: int) -> Fraction:
    """Give the time of the first decoded sample on the file's clock."""
    rows = listed(request, toolbox().find("ffmpeg"), argv.first_sound(demuxer, stream)).splitlines()
    base = next((Fraction(row.split(b": ")[1].decode()) for row in rows if row.startswith(b"#tb 0: ")), None)
    first = next((int(row.split(b",")[2]) for row in rows if not row.startswith(b"#")), None)
    return Fraction(0) if base is None or first is None else first * base
