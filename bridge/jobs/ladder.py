"""Ladders: one film in several qualities, in segments that begin with a key frame at the same times, for HLS and DASH.

The list of qualities is the target; segments lie in a folder beside it, whose name tells what they were made of, so
that a player that still has an older list finds what that names.
"""

from __future__ import annotations

import os
import re
import shutil
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from bridge.core.part import part_name
from bridge.core.target import not_placed
from bridge.errors import BadJob, CheckFailed
from bridge.jobs.coding import code_audio, code_video
from bridge.jobs.encoding import reads
from bridge.jobs.job import Ladder, Rung, Trim, Video
from bridge.jobs.step import Step, folder
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

    from bridge.core.request import Request
    from bridge.ffmpeg.containers import Container
    from bridge.jobs.bench import Bench
    from bridge.jobs.job import Job
    from bridge.jobs.step import Progress
    from bridge.jobs.survey import Survey
    from bridge.limits import Limits

__all__ = ["Climb", "climb", "ladder_step"]

_MASTERS = {"hls": "master.m3u8", "dash": "master.mpd"}
_UNIT = {"k": 1_000, "K": 1_000, "M": 1_000_000, "G": 1_000_000_000}
_LENGTH = re.compile(r"^#EXTINF:([\d.]+)", re.MULTILINE)
_URI = re.compile(r'URI="([^"]+)"')
_STRANGE = re.compile(r"[^A-Za-z0-9._-]")  # some players decode percent signs in lists, others do not
_SLACK = 0.1  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Climb:
    """What a ladder is: the command that makes it, how many qualities it has, and what is not as in the film."""

    step: Step
    rungs: tuple[Rung, ...]
    heard: bool
    changes: tuple[str, ...]


def ladder_step(job: Job, container: Container, film: Survey, limits: Limits) -> Climb:
    """Tell how a ladder is made.

    Raises
    ------
    BadJob
        If it has no picture, or asks for what goes with no ladder.
    """
    wish, video, ladder = job.video or Video(), film.video, job.ladder or Ladder()
    _refuse(job, film)
    if video is None:
        raise BadJob(f"{film.name} has no film of which qualities could be made")
    height = video.width if video.rotation % 180 else video.height
    rungs = _fitting(ladder.rungs, height)
    tool, abilities = toolbox().find("ffmpeg"), toolbox().abilities("ffmpeg")
    even = wish.fps is not None or film.even  # the length of a segment is told by counting
    plain = replace(wish, size=None, fps=wish.fps if even else _densest(film))
    coded = code_video(plain, video, container, abilities, tool, even=lambda: film.even)
    chain = ",".join([*coded.filters, f"split={len(rungs)}"])
    graph = f"[0:{video.index}]{chain}" + "".join(f"[s{n}]" for n in range(len(rungs)))
    graph += "".join(f";[s{n}]scale=-2:{rung.height}[v{n}]" for n, rung in enumerate(rungs))
    words = [*reads(film, limits), "-filter_complex", graph]
    for number, rung in enumerate(rungs):
        words += ["-map", f"[v{number}]", *_rate(rung, number, wish)]
    words += [*coded.options, "-force_key_frames", f"expr:gte(t,n_forced*{ladder.segment:g})"]
    sounds = film.sounds[:1] if job.audio.codec != "none" else []
    for stream in sounds:
        sound = code_audio(replace(job.audio, codec=job.audio.codec or "aac"), stream, container, abilities, tool)
        words += ["-map", f"0:{stream.index}", *(word.replace("#", "0") for word in sound.options)]
    words += ["-map_metadata", "-1", "-map_chapters", "-1"]
    words += _MUXERS[container.muxer](len(rungs), bool(sounds), ladder.segment)
    step = Step(
        subject=film.name, arguments=(*words, "-y", f"{folder(0)}/{_LISTS[container.muxer]}"), inputs=(film.name,),
        frames=len(film.index) if coded.exact else None, seconds=film.seconds,
    )  # fmt: skip
    return Climb(step=step, rungs=rungs, heard=bool(sounds), changes=tuple(_told(film, rungs, ladder, even=even)))


def _refuse(job: Job, film: Survey) -> None:
    """Refuse what goes with no ladder."""
    wish = job.video or Video()
    given = [name for name in ("target_vmaf", "target_ssim", "bitrate", "two_pass", "size") if getattr(wish, name)]
    given += ["check"] if job.check else []
    given += ["start/end"] if job.trim != Trim() else []
    given += ["loudness"] if job.audio.loudness is not None else []
    given += ["several sources"] if len(job.sources) > 1 else []
    if given or wish.codec == "copy":
        raise BadJob(f"{film.name}: a ladder goes without {', '.join(given) or 'codec copy'}")


def _fitting(rungs: Sequence[Rung], height: int) -> tuple[Rung, ...]:
    """Leave out qualities that are larger than the film; where all are, keep one of its own height."""
    kept = tuple(rung for rung in rungs if rung.height <= height)
    return kept or (replace(min(rungs, key=lambda rung: rung.height), height=max(16, height // 2 * 2)),)


def _rate(rung: Rung, number: int, wish: Video) -> list[str]:
    """Give the words for how many bits a quality takes: at most half as many again for a while."""
    bits = float(rung.bitrate.rstrip("kKMG")) * _UNIT.get(rung.bitrate[-1], 1)
    own = [] if wish.crf is not None else [f"-b:v:{number}", f"{bits:.0f}"]
    return [*own, f"-maxrate:v:{number}", f"{1.5 * bits:.0f}", f"-bufsize:v:{number}", f"{2 * bits:.0f}"]


def _hls(count: int, heard: bool, segment: float) -> list[str]:
    group = ",agroup:sound" if heard else ""
    streams = [f"v:{number}{group}" for number in range(count)] + (["a:0,agroup:sound,default:yes"] if heard else [])
    return [
        "-f", "hls", "-hls_time", f"{segment:g}", "-hls_playlist_type", "vod", "-hls_segment_type", "fmp4",
        "-hls_flags", "independent_segments", "-master_pl_name", _MASTERS["hls"],
        "-var_stream_map", " ".join(streams), "-hls_fmp4_init_filename", "stream_%v_init.mp4",
        "-hls_segment_filename", f"{folder(0)}/stream_%v_%05d.m4s",
    ]  # fmt: skip


def _dash(_count: int, heard: bool, segment: float) -> list[str]:
    sets = "id=0,streams=v" + (" id=1,streams=a" if heard else "")
    return [
        "-f", "dash", "-seg_duration", f"{segment:g}", "-adaptation_sets", sets,
        "-init_seg_name", "stream_$RepresentationID$_init.mp4",
        "-media_seg_name", "stream_$RepresentationID$_$Number%05d$.m4s",
    ]  # fmt: skip


_MUXERS = {"hls": _hls, "dash": _dash}
_LISTS = {"hls": "stream_%v.m3u8", "dash": _MASTERS["dash"]}


def _densest(film: Survey) -> Fraction:
    """Give the rate at which no frame of an uneven film is left out, up to 60 a second."""
    steps = np.diff(film.index.pts)
    least = int(steps[steps > 0].min()) if (steps > 0).any() else 1
    return min(Fraction(60), 1 / (least * film.index.time_base)).limit_denominator(1001)


def _told(film: Survey, rungs: Sequence[Rung], ladder: Ladder, *, even: bool) -> Iterator[str]:
    if not even:
        yield "frames are spaced evenly: some are repeated"
    left = [str(rung.height) for rung in ladder.rungs if rung.height not in {kept.height for kept in rungs}]
    if left:
        yield f"qualities larger than the film were left out: {', '.join(left)}"
    if len(film.sounds) > 1:
        yield "further audio streams were left out"
    others = len(film.info.streams) - len(film.sounds) - 1
    if others:
        yield f"{others} further streams were left out"
    if film.info.chapters:
        yield "chapters were left out"


def climb(bench: Bench, plan: Climb, out: Request, key: str) -> Generator[Progress, None, str]:
    """Make the segments and the list; the latter is in the request's part afterwards, the former in their folder.

    Give what ffmpeg said.
    """
    target = out.path
    if target is None:
        raise BadJob(f"{out.name}: a ladder is many files, and is written to a folder")
    muxer = "dash" if "dash" in plan.step.arguments else "hls"
    with _unfinished(target.parent, out.name) as made:
        descriptor = os.open(made, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with bench.films[0].request.input() as source:
                done = yield from bench.run(plan.step, "encode", inputs=[source], folders=[descriptor], part=made)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        _check(made, plan, muxer, bench.films[0], done.progress.frames)
        place = target.parent / f"{_STRANGE.sub('_', target.stem)}-{key[:8]}"
        listed = (made / _MASTERS[muxer]).read_text()
        out.part().write_text(_REWRITE[muxer](listed, place.name))
        (made / _MASTERS[muxer]).unlink()
        made.chmod(0o777 & ~_umask(target.parent))
        if place.is_dir():
            shutil.rmtree(place)
        made.replace(place)
    return done.exit.stderr


@contextmanager
def _unfinished(parent: Path, name: str) -> Iterator[Path]:
    """Give a new folder that is removed again if it is still there."""
    made = part_name(parent)
    try:
        try:
            made.mkdir(mode=0o700)
        except OSError as error:
            raise not_placed(name, parent, error) from error
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _umask(folder: Path) -> int:
    """Give the permissions that folders here do not have."""
    return ~folder.stat().st_mode & 0o022


def _check(made: Path, plan: Climb, muxer: str, film: Survey, frames: int) -> None:
    """See that every quality is there, as long as the film, cut at the same times."""
    said = []
    if plan.step.frames is not None and frames != plan.step.frames:
        said.append(f"{frames} frames were coded of {plan.step.frames}")
    if not (made / _MASTERS[muxer]).is_file():
        said.append("the list of qualities is missing")
    if muxer == "hls":
        lists = [(made / f"stream_{number}.m3u8").read_text() for number in range(len(plan.rungs) + plan.heard)]
        lengths = [[float(length) for length in _LENGTH.findall(text)] for text in lists]
        if any(row != lengths[0] for row in lengths[: len(plan.rungs)]):
            said.append("its qualities are not cut at the same times")
        said += ["it is not finished" for text in lists if "#EXT-X-ENDLIST" not in text]
        if film.seconds is not None and sum(lengths[0]) < film.seconds - max(_SLACK, 0.02 * film.seconds):
            said.append(f"it is {sum(lengths[0]):.2f} s long, not {film.seconds:.2f} s")
    if said:
        raise CheckFailed(f"the ladder of {film.name} is not what it should be: {'; '.join(dict.fromkeys(said))}")


def _in_hls(text: str, place: str) -> str:
    """Have a list name files in a folder."""
    lines = (line if not line or line.startswith("#") else f"{place}/{line}" for line in text.splitlines())
    return _URI.sub(lambda uri: f'URI="{place}/{uri[1]}"', "\n".join(lines)) + "\n"


def _in_dash(text: str, place: str) -> str:
    return re.sub(r"(<Period[^>]*>)", lambda period: f"{period[1]}\n\t\t<BaseURL>{place}/</BaseURL>", text)


_REWRITE = {"hls": _in_hls, "dash": _in_dash}
