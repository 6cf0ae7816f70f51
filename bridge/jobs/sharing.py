"""Sharing: a job's picture encoded in chunks, by many at once, in the place of the one command."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.errors import BadJob
from bridge.ffmpeg.listing import faultless
from bridge.jobs.chunks import How, Recipe, make
from bridge.jobs.encoding import reads
from bridge.jobs.folder import folder_of
from bridge.jobs.plan import make_plan
from bridge.jobs.worth import hindrance, overlap, pays

if TYPE_CHECKING:
    from collections.abc import Generator

    from bridge.core.request import Request
    from bridge.ffmpeg.containers import Container
    from bridge.jobs.bench import Bench
    from bridge.jobs.encoding import Making
    from bridge.jobs.plan import Plan
    from bridge.jobs.step import Progress
    from bridge.jobs.survey import Survey

__all__ = ["cores", "encode_in_chunks", "plan_of", "workers_of"]


def cores() -> int:
    """Give how many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_of(workers: int | str) -> int:
    """Give how many are meant.

    Raises
    ------
    BadJob
        If that is no number of at least 1, nor ``"auto"``.
    """
    if workers == "auto":
        return cores()
    if isinstance(workers, int) and not isinstance(workers, bool) and workers >= 1:
        return workers
    raise BadJob(f"workers is a number of at least 1, or 'auto', not {workers!r}")


def plan_of(bench: Bench, making: Making, container: Container, out: Request) -> Plan | None:
    """Cut the film, if chunks are wanted, possible, and worth it; None is one command for all.

    Raises
    ------
    BadJob
        If they are asked for, and cannot be had.
    """
    order = bench.order
    workers = workers_of(order.workers)
    if workers == 1 and order.executor is None:
        return None
    film, job = bench.films[0], order.job
    why = hindrance(job, making, film, container.muxer) or _distance(order.executor, film.request, out)
    told = order.executor is not None or order.workers != "auto"
    if why and told:
        raise BadJob(f"{job.target} cannot be made in chunks: {why}; leave out workers= and executor=")
    filters = job.video.filters if job.video is not None else ()
    if why or (not told and not pays(making, film, filters)):
        return None
    plan = make_plan(film.index, workers, overlap=overlap(filters))
    return plan if len(plan.chunks) > 1 or order.executor is not None else None


def _distance(executor: Any, film: Request, out: Request) -> str:
    """Say why workers in other processes cannot have the film, or give their chunks; empty if they can."""
    if executor is None or isinstance(executor, ThreadPoolExecutor):
        return ""
    if not isinstance(film.lasting, str | Path):
        return "the film has no name by which other processes could open it"
    return "" if out.path is not None else "the result is no file, beside which there is a folder that all workers see"


def encode_in_chunks(
    bench: Bench, making: Making, plan: Plan, *, container: Container, out: Request
) -> Generator[Progress, None, str]:
    """Make the result in the request's part; give what decoders said of damage.

    The folder of chunks is held until the job ends, and removed by ``bench.folder.finish``.
    """
    film, order = bench.films[0], bench.order
    bench.folder = bench.stack.enter_context(folder_of(out))
    workers = workers_of(order.workers)
    how = How(
        workers=workers,
        executor=order.executor,
        deadline=bench.clock.left,
        stall=order.stall,
        threads=max(1, cores() // workers) if order.executor is None else None,
        stop=order.stop,
    )
    outcome = yield from make(
        _recipe(bench, making, container), plan, film=film.request, out=out, folder=bench.folder, how=how
    )
    bench.commands += outcome.commands
    return _believed(film, outcome.said)


def _recipe(bench: Bench, making: Making, container: Container) -> Recipe:
    film, picture = bench.films[0], making.picture
    if picture is None or film.video is None:
        raise BadJob(f"{film.name} has no picture")
    return Recipe(
        demuxer=film.demuxer,
        muxer=container.muxer,
        read_back=container.demuxer,
        reads=reads(film, bench.order.limits)[:-2],
        stream=str(film.video.index),
        filters=picture.filters,
        video=picture.options,
        rest=making.rest,
        offset=Fraction(round((film.info.start or 0) * 1_000_000), 1_000_000),
        sealed=making.step.sealed,
    )


def _believed(film: Survey, said: str) -> str:
    """Tell complaints of a decoder that begins in the middle, where it may, from those of damage."""
    if not said or not film.index.spoilt(faultless(film.film)).any():
        return ""
    return said
