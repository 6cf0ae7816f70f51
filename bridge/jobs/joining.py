"""Joining: chunks into one film, with all else out of the source, and the look at whether it is what was planned."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING

from bridge.core.request import Request
from bridge.errors import CheckFailed
from bridge.ffmpeg.chunking import encode_chunk, join_chunks, list_of_chunks
from bridge.ffmpeg.probe import media_info
from bridge.jobs.piece import times_of
from bridge.jobs.runner import Runner, settle
from bridge.jobs.step import Step, made, source
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bridge.jobs.chunks import Recipe
    from bridge.jobs.plan import Plan
    from bridge.jobs.runner import Stop

__all__ = ["join"]

_LIST = "chunks.ffconcat"
_HEADERS_REPEATED = ("mpegts",)
_MP4 = ("mp4", "mov")
_SLOWEST = 10_000  # ticks a second that MP4's clock has at least


def join(
    recipe: Recipe,
    plan: Plan,
    names: Sequence[str],
    clocks: Sequence[Fraction],
    *,
    film: Request,
    out: Request,
    folder: int,
    stop: Stop,
) -> tuple[str, ...]:
    """Join the chunks in the order of the plan, in the part of a request, and verify the whole; give the command.

    Parameters
    ----------
    names, clocks : sequence
        Of the chunks, in their order.
    folder : int
        A descriptor of where they are.

    Raises
    ------
    CheckFailed
        If the whole has not the frames that were planned, each at its time.
    """
    if len(set(clocks)) > 1:
        raise CheckFailed(f"{out.name}: chunks have different clocks ({', '.join(map(str, sorted(set(clocks))))})")
    step = _step(recipe, plan, names, (film.name, out.name), _told(recipe, plan, film=film, out=out, stop=stop))
    with film.input() as read, out.output() as written:
        with Runner(
            step, inputs=(read, folder), outputs=(written,), limits=film.limits, part=out.part(), stop=stop
        ) as runner:
            for _ in runner:
                pass
            done = runner.done()
        settle([written])
    with Request(str(out.part()), limits=film.limits, name=out.name) as result:
        _check(result, recipe, plan)
    stop.check(out.name)
    return done.command


def _told(recipe: Recipe, plan: Plan, *, film: Request, out: Request, stop: Stop) -> dict[str, str]:
    """Ask what the encoder itself would tell its container of colours and fields: the first frame is encoded for that.

    It depends on what filters, the encoder and this release of FFmpeg make of what the film says.
    """
    first = plan.chunks[0]
    arguments = encode_chunk(
        toolbox().find("ffmpeg").release, recipe.reads, first.seek.options(recipe.demuxer), name=source(0),
        output=made(0), stream=recipe.stream, span=(first.begin, first.end), wide=first.wide,
        time_base=plan.time_base, filters=recipe.filters, video=recipe.video, sample=True,
    )  # fmt: skip
    step = Step(
        subject=f"{film.name} (its first frame)", arguments=arguments, inputs=(film.name,), outputs=(out.name,),
        frames=1, silent=True, sealed=recipe.sealed,
    )  # fmt: skip
    with (
        film.input() as read,
        out.output(out.draft()) as written,
        Runner(step, inputs=(read,), outputs=(written,), limits=film.limits, part=out.draft(), stop=stop) as runner,
    ):
        for _ in runner:
            pass
        runner.done()
    with Request(str(out.draft()), limits=film.limits, name=out.name) as sample:
        video = media_info(sample, "matroska").video
    if video is None:
        return {}
    space = "rgb" if video.color_space == "gbr" else video.color_space
    said = {
        "colorspace": space,
        "color_range": video.color_range,
        "color_primaries": video.color_primaries,
        "color_trc": video.color_transfer,
        "field_order": video.field_order,
    }
    return {option: value for option, value in said.items() if value}


def _step(recipe: Recipe, plan: Plan, names: Sequence[str], subjects: tuple[str, str], told: Mapping[str, str]) -> Step:
    first = int(plan.pts[0]) * plan.time_base - recipe.offset
    arguments = join_chunks(
        recipe.reads,
        listed=_LIST,
        name=source(0),
        output=made(0),
        offset=round(first * 1_000_000),
        timescale=_timescale(plan.time_base) if recipe.muxer in _MP4 else None,
        repeated=recipe.muxer in _HEADERS_REPEATED,
        told=told,
        rest=recipe.rest,
    )
    listed = list_of_chunks([f"{source(1)}/{name}" for name in names], plan.starts())
    return Step(
        subject=subjects[1],
        arguments=arguments,
        inputs=(subjects[0], "chunks"),
        outputs=(subjects[1],),
        files={_LIST: listed},
        frames=plan.frames,
        silent=True,
        sealed=recipe.sealed,
    )


def _timescale(time_base: Fraction) -> int | None:
    """Give the clock that MP4 gets when the film is encoded in one piece."""
    ticks = time_base.denominator
    if time_base.numerator != 1:
        return None
    while ticks < _SLOWEST:
        ticks *= 2
    return ticks


def _check(result: Request, recipe: Recipe, plan: Plan) -> None:
    times, clock = times_of(result, recipe.read_back)
    if len(times) != plan.frames:
        raise CheckFailed(
            f"{result.name} has {len(times)} frames in the place of {plan.frames}; nothing was put in place"
        )
    wanted = ((plan.pts - plan.pts[0]) * plan.time_base.numerator / plan.time_base.denominator).tolist()
    late = max(abs(time * clock - Fraction(due)) for time, due in zip(times, wanted, strict=True))
    if late > clock:
        raise CheckFailed(
            f"{result.name}: a frame is {float(late):g} s from its time; nothing was put in place (use workers=1)"
        )
