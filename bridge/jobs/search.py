"""What must be known before the result is made: how loud the sound is, and which crf gives the wanted quality."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.core.request import Request
from bridge.errors import BadJob, CheckFailed
from bridge.ffmpeg.containers import CODECS, CONTAINERS, Codec
from bridge.jobs import checks
from bridge.jobs.coding import encoder_for
from bridge.jobs.encoding import Found, making, reads
from bridge.jobs.job import Audio, Job, Keep, Trim, Video
from bridge.jobs.step import Step, made
from bridge.jobs.survey import Survey
from bridge.process.launch import Scratch
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from bridge.ffmpeg.containers import Container
    from bridge.jobs.bench import Bench
    from bridge.jobs.encoding import Making
    from bridge.jobs.step import Progress

__all__ = ["Quality", "loudness", "quality"]

_PROBES, _FRAMES = 4, 50  # places of the film that are looked at, and frames at each
_MATROSKA = next(row for row in CONTAINERS if row.name == "MKV")
_NEEDED = ("input_i", "input_tp", "input_lra", "input_thresh", "target_offset")


@dataclass(frozen=True, slots=True, kw_only=True)
class Quality:
    """What a search has found.

    Attributes
    ----------
    crf : float
        The one that is taken.
    check : str
        What was measured.
    value : float
        The quality that it gives on the probes.
    """

    crf: float
    check: str
    value: float


def loudness(bench: Bench, plan: Making) -> Generator[Progress, None, tuple[Mapping[str, str], ...]]:
    """Measure each audio stream that goes along, by the filter `loudnorm`."""
    film, target = bench.films[0], bench.order.job.audio.loudness
    found: list[Mapping[str, str]] = []
    for stream in film.sounds:
        words = (
            *reads(film, bench.order.limits, 0, plan.before), "-map", f"0:{stream.index}", "-vn", *plan.after,
            "-af", f"loudnorm=I={target:g}:TP=-1.5:LRA=20:print_format=json", "-v", "info",
            "-f", "null", "-y", "pipe:2",
        )  # fmt: skip
        step = Step(subject=film.name, arguments=words, inputs=(film.name,), seconds=plan.seconds)
        said = yield from bench.read(step, "loudness")
        found.append(_measured(said, film.name))
    return tuple(found)


def _measured(said: str, name: str) -> Mapping[str, str]:
    """Read what `loudnorm` prints; empty for silence, which has no loudness."""
    with contextlib.suppress(ValueError):
        plain = json.loads(said[said.rindex("{") : said.rindex("}") + 1])
        values = {key: str(plain[key]) for key in _NEEDED if key in plain}
        if len(values) == len(_NEEDED):
            return {} if any("inf" in value for value in values.values()) else values
    raise CheckFailed(f"{name}: ffmpeg has not said how loud it is")


def quality(bench: Bench, container: Container) -> Generator[Progress, None, Quality | None]:
    """Find the crf for the quality that the job names: by halves, on pieces of the film.

    Raises
    ------
    MissingCodec
        If this ffmpeg cannot measure it.
    CheckFailed
        If the best of the scale does not reach it.
    """
    job = bench.order.job
    wish = job.video
    if wish is None or bench.films[0].video is None or (wish.target_vmaf is None and wish.target_ssim is None):
        return None
    check, target = ("vmaf", wish.target_vmaf) if wish.target_vmaf is not None else ("ssim", wish.target_ssim)
    checks.can(check)
    best, worst = _scale(bench, container)
    scratch = Scratch()
    with contextlib.ExitStack() as stack:
        stack.callback(scratch.drop)
        scratch.make({})
        probe = Path(scratch.path) / "probe.mkv"
        yield from _take(bench, probe)
        tried: dict[float, float] = {}
        with Survey(probe, bench.order.limits) as film:
            near, far = 0, abs(worst - best)  # steps from the best of the scale
            while near < far:
                step = (near + far + 1) // 2
                crf = best + step if worst > best else best - step
                tried[crf] = yield from _try(bench, film, probe, crf, check)
                near, far = (step, far) if tried[crf] >= float(target or 0) else (near, step - 1)
            crf = best + near if worst > best else best - near
            if crf not in tried:
                tried[crf] = yield from _try(bench, film, probe, crf, check)
    if tried[crf] < float(target or 0):
        raise CheckFailed(
            f"{bench.films[0].name}: the best that the encoder gives is a {check} of {tried[crf]:.4g}, "
            f"less than {target:g}"
        )
    return Quality(crf=crf, check=check, value=tried[crf])


def _scale(bench: Bench, container: Container) -> tuple[int, int]:
    """Give the best and the worst of the encoder's scale."""
    wish = bench.order.job.video
    encoder, name = encoder_for(
        container, wish.codec if wish else None, toolbox().abilities("ffmpeg"), toolbox().find("ffmpeg")
    )
    family = CODECS.get(name, Codec(encoders=()))
    if not family.quality:
        raise BadJob(f"{encoder} has no constant quality of which the right one could be found; give bitrate=")
    return int(family.best), int(family.worst)


def _take(bench: Bench, probe: Path) -> Generator[Progress, None, None]:
    """Take some pieces of the film, evenly spaced, without loss."""
    film, limits = bench.films[0], bench.order.limits
    count = len(film.index)
    places = _PROBES if count > 2 * _PROBES * _FRAMES else 1
    start = film.info.start or 0.0
    words: list[str] = []
    graph = ""
    for number in range(places):
        at = number * count // places
        before = () if not at or film.index.ordinal else ("-noaccurate_seek", "-ss", f"{_time(film, at) - start:.6f}")
        words += reads(film, limits, number, before)
        length = _FRAMES if places > 1 else min(count, _PROBES * _FRAMES)
        graph += f"[{number}:V:0]trim=end_frame={length},setpts=N/25/TB[p{number}];"
    graph += "".join(f"[p{number}]" for number in range(places)) + f"concat=n={places}[v]"
    step = Step(
        subject=film.name,
        arguments=(*words, "-filter_complex", graph, "-map", "[v]", "-c:v", "ffv1", "-f", "matroska", "-y", made(0)),
        inputs=(film.name,) * places,
        outputs=(str(probe),),
    )
    with contextlib.ExitStack() as files:
        inputs = [files.enter_context(film.request.input()) for _ in range(places)]
        out = files.enter_context(probe.open("w+b"))
        yield from bench.run(step, "probe", inputs=inputs, outputs=[out.fileno()])


def _time(film: Survey, at: int) -> float:
    return float(int(film.index.pts[at]) * film.index.time_base)


def _try(bench: Bench, film: Survey, probe: Path, crf: float, check: str) -> Generator[Progress, None, float]:
    """Code the pieces with a crf; give the quality."""
    job = bench.order.job
    wish = replace(job.video or Video(), crf=float(crf), target_vmaf=None, target_ssim=None)
    made_of = Job(
        sources=(str(probe),), target=str(probe.with_suffix(".made.mkv")), video=wish, audio=Audio(codec="none"),
        keep=Keep(subtitles=False, chapters=False, metadata=False, attachments=False), trim=Trim(), trust=job.trust,
    )  # fmt: skip
    plan = making(made_of, _MATROSKA, [film], bench.order.limits, Found())
    target = Path(made_of.target)
    with film.request.input() as descriptor, target.open("w+b") as out:
        yield from bench.run(plan.step, f"crf {crf}", inputs=[descriptor], outputs=[out.fileno()])
    step = checks.comparison(check, film, str(target), bench.order.limits, chain=wish.filters)
    with Request(target, limits=bench.order.limits) as result, contextlib.ExitStack() as files:
        inputs = [files.enter_context(request.input()) for request in (film.request, result)]
        done = yield from bench.run(step, f"crf {crf}", inputs=inputs)
    return checks.score(check, done.exit.stderr)
