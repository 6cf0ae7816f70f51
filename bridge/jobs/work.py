"""Work: one job from its films to a checked result in its place, told as it goes; nothing is left of what fails."""

from __future__ import annotations

import contextlib
import os
import re
import threading
import warnings
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from bridge.core.request import Request
from bridge.errors import BadJob, CheckFailed, DamageWarning, TruncatedMedia
from bridge.jobs import checks, records
from bridge.jobs.bench import Bench, Order
from bridge.jobs.encoding import Found, Making, making
from bridge.jobs.ladder import climb, ladder_step
from bridge.jobs.pictures import check_pictures, draw
from bridge.jobs.runner import settle
from bridge.jobs.search import loudness, quality
from bridge.jobs.sharing import encode_in_chunks, plan_of
from bridge.jobs.survey import Survey
from bridge.jobs.targets import container_of, is_ladder
from bridge.media.complete import first_fault, overwritten
from bridge.process.child import words
from bridge.process.launch import Scratch
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from bridge.ffmpeg.containers import Container
    from bridge.jobs.step import Progress, Step

__all__ = ["Preview", "Result", "Working", "preview", "work"]

_COMPLAINT = re.compile(r"\[(error|fatal|panic)\] ")  # others are libraries that chat
_WALKED = 1 << 30  # bytes of the largest file that is looked through before it is believed
_LEAST = {"ssim": 0.5, "psnr": 15.0, "vmaf": 10.0}  # below these it is another picture


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a job has made.

    Attributes
    ----------
    target : str
        Where.
    job : str
        The job's id.
    frames, seconds, size : int and float
        Of the result: frames counted in it, its length, its bytes. None is not known, or not there.
    changes : tuple of str
        What is not as it was in the source: what was left out, converted or made coarser.
    checks : dict
        What was compared, and what that gave.
    found : dict
        What a search for a quality has found: ``crf``, and the quality that it gives.
    commands : tuple
        What was run, as people read it.
    elapsed : float
        Seconds that it took.
    reused : bool
        It was there already, made by the same job of the same films.
    data : bytes or None
        The result itself, where it was to be returned.

    Examples
    --------
    >>> bridge.transcode("a.mov", "a.mp4").changes      # doctest: +SKIP
    ('10 bits a channel became 8',)
    """

    target: str
    job: str
    frames: int | None = None
    seconds: float | None = None
    size: int | None = None
    changes: tuple[str, ...] = ()
    checks: dict[str, float] = field(default_factory=dict)
    found: dict[str, float] = field(default_factory=dict)
    commands: tuple[tuple[str, ...], ...] = ()
    elapsed: float = 0.0
    reused: bool = False
    data: bytes | None = None

    def to_dict(self) -> dict[str, Any]:
        """Give it as plain values that `json` takes, without the result itself."""
        plain = asdict(self)
        plain.pop("data")
        return plain

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> Result:
        """Make it of its plain form."""
        commands = tuple(tuple(command) for command in plain.get("commands", ()))
        return cls(**{**plain, "changes": tuple(plain.get("changes", ())), "commands": commands})


class Working:
    """A job at work: iterate over its `Progress`, then ask for the `result`. A context manager; leaving it stops it.

    Examples
    --------
    >>> with bridge.jobs.start("a.mov", "a.mp4") as working:     # doctest: +SKIP
    ...     for progress in working:
    ...         print(progress.fraction, progress.eta)
    ...     print(working.result.changes)
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self._result: Result | None = None
        self._going = work(order)

    def __enter__(self) -> Self:
        """Give the work itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Stop what is not done."""
        self._going.close()

    def __iter__(self) -> Self:
        """Give the work itself."""
        return self

    def __next__(self) -> Progress:
        """Do some of it, and tell how far it is."""
        try:
            return next(self._going)
        except StopIteration as end:
            self._result = self._result if end.value is None else end.value
            raise

    def cancel(self) -> None:
        """Stop it, from any thread: whoever iterates gets `JobCancelled` within a moment."""
        self.order.stop.set()

    @property
    def result(self) -> Result:
        """What was made; does what is still to be done."""
        for _ in self:
            pass
        if self._result is None:
            raise BadJob(f"{self.order.job.target}: the job was not done")
        return self._result


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What a job would do: its commands, as people read them, and what these would change."""

    commands: tuple[tuple[str, ...], ...]
    changes: tuple[str, ...]


def preview(order: Order) -> Preview:
    """Tell what a job would do, after all that is looked at in its films; where it would write is not.

    Raises
    ------
    BridgeError
        As `work`.
    """
    container = container_of(order.job)
    with contextlib.ExitStack() as stack:
        films = [stack.enter_context(Survey(uri, order.limits, order.job.on_damage)) for uri in order.sources]
        check_pictures(order.job.pictures, films[0])
        steps, changes = _planned(order, container, films)
    program = toolbox().find("ffmpeg").path
    return Preview(commands=tuple(step.shown(program) for step in steps), changes=changes)


def _planned(order: Order, container: Container, films: Sequence[Survey]) -> tuple[list[Step], tuple[str, ...]]:
    if is_ladder(container):
        climbing = ladder_step(order.job, container, films[0], order.limits)
        return [climbing.step], climbing.changes
    plan = making(order.job, container, films, order.limits)
    return [step for step in (plan.first, plan.step) if step is not None], plan.changes


def work(order: Order) -> Generator[Progress, None, Result]:
    """Do a job.

    Raises
    ------
    BridgeError
        As each part of it has it; `bridge.jobs.retry` knows which may go away.
    """
    order.stop.check(order.job.target)
    with contextlib.ExitStack() as stack:
        films, out, container = _open(stack, order)
        bench = Bench(order, films, stack)
        key = records.key_of(order.job, [film.identity() for film in films], str(toolbox().find("ffmpeg")))
        if not order.again and (known := _known(out, key)):
            return known
        if not order.replace and out.path is not None and out.path.exists():
            raise BadJob(
                f"{out.name} exists already, and is not what this job has made of this film; --force replaces it"
            )
        check_pictures(order.job.pictures, films[0])
        if is_ladder(container):
            result = yield from _ladder(bench, container, out, key)
        else:
            result = yield from _film(bench, container, out)
        drawn: list[Request] = []
        for picture in order.job.pictures:
            drawn += yield from draw(bench, picture, stack)
        for request in (*drawn, out):
            request.commit()
        if bench.folder is not None:
            bench.folder.finish()
        commands = (*bench.commands, *(done.command for done in bench.done))
        result = replace(result, commands=commands, data=out.get_result(), elapsed=bench.clock.elapsed)
        _remember(order, out, key, result, bench)
    return result


def _open(stack: contextlib.ExitStack, order: Order) -> tuple[list[Survey], Request, Container]:
    """Open the films and the place of the result; refuse a target that is none."""
    container = container_of(order.job)
    films = [stack.enter_context(Survey(uri, order.limits, order.job.on_damage)) for uri in order.sources]
    out = stack.enter_context(Request(order.target, writing=True, limits=order.limits))
    stack.enter_context(_alone(out, films))
    return films, out, container


def _known(out: Request, key: str) -> Result | None:
    """Give the result of the same job that is there already."""
    if out.path is None or not out.path.is_file():
        return None
    known = records.found(out.path, key)
    try:
        return replace(Result.from_dict(known), reused=True, elapsed=0.0) if known else None
    except TypeError:  # of another version
        return None


def _remember(order: Order, out: Request, key: str, result: Result, bench: Bench) -> None:
    if out.path is None:
        return
    sidecar = None
    if order.sidecar:
        sidecar = {
            "job": {"version": 1, **order.job.to_dict()},
            "sources": [{"name": film.name, "identity": film.identity()} for film in bench.films],
            "ffmpeg": str(toolbox().find("ffmpeg")),
            "steps": [
                {"command": done.command, "seconds": done.exit.seconds, "cpu": done.exit.cpu} for done in bench.done
            ],
        }
    records.keep(out.path, key, result.to_dict(), sidecar=sidecar)


_busy: set[str] = set()
_busy_lock = threading.Lock()


@contextlib.contextmanager
def _alone(out: Request, films: Sequence[Survey]) -> Iterator[None]:
    """Refuse a result that would be written over one of its films, or that another job of ours is writing."""
    if out.path is None:
        yield
        return
    for film in films:
        if film.request.path is not None and out.path.exists() and out.path.samefile(film.request.path):
            raise BadJob(f"{out.name} is the film that is read; name another target")
    name = os.path.realpath(out.path)
    with _busy_lock:
        if name in _busy:
            raise BadJob(f"{out.name} is being written by another job; name another target")
        _busy.add(name)
    try:
        yield
    finally:
        with _busy_lock:
            _busy.discard(name)


def _film(bench: Bench, container: Container, out: Request) -> Generator[Progress, None, Result]:
    """Make one film of the films, and check it."""
    job, limits = bench.order.job, bench.order.limits
    plan = making(job, container, bench.films, limits)  # refuses what cannot be, before anything is measured
    found = yield from _find(bench, plan, container)
    if found != Found():
        plan = making(job, container, bench.films, limits, found)
    said = yield from _encoded(bench, plan, container, out)
    if plan.before and _complaints(said):  # of what lies before the place to which it was sent, perhaps
        plan = making(job, container, bench.films, limits, replace(found, whole=True))
        said = yield from encode(bench, plan, out)
    damage = _damage(bench, said)
    with Request(out.part(), name=out.name, limits=limits) as made:
        judged = checks.look(made, plan, bench.films[0], strict=not damage)
        values = yield from _compare(bench, plan, made)
        size = made.size
    frames = judged.frames
    return Result(
        target=job.target,
        job=job.id,
        frames=frames,
        seconds=judged.seconds,
        size=size,
        changes=tuple(dict.fromkeys([*plan.changes, *judged.changes, *damage])),
        checks=values,
        found=bench.found,
    )


def _ladder(bench: Bench, container: Container, out: Request, key: str) -> Generator[Progress, None, Result]:
    """Make a ladder of the film, and check it."""
    job = bench.order.job
    if bench.order.executor is not None or bench.order.workers not in (1, "auto"):
        raise BadJob(f"{job.target} cannot be made in chunks: it is a ladder; leave out workers= and executor=")
    plan = ladder_step(job, container, bench.films[0], bench.order.limits)
    damage = _damage(bench, (yield from climb(bench, plan, out, key)))
    return Result(
        target=job.target,
        job=job.id,
        frames=bench.done[-1].progress.frames,
        seconds=bench.films[0].seconds,
        size=out.part().stat().st_size,
        changes=tuple(dict.fromkeys([*plan.changes, *damage])),
    )


def _find(bench: Bench, plan: Making, container: Container) -> Generator[Progress, None, Found]:
    """Measure what the command must know."""
    best = yield from quality(bench, container)
    heard: tuple[Any, ...] = ()
    if bench.order.job.audio.loudness is not None and plan.sounds:
        heard = yield from loudness(bench, plan)
    bench.found = {} if best is None else {"crf": best.crf, best.check: best.value}
    return Found(crf=None if best is None else best.crf, loudness=heard)


def _encoded(bench: Bench, plan: Making, container: Container, out: Request) -> Generator[Progress, None, str]:
    """Make the result in the request's part, in chunks where these are wanted; give what ffmpeg said."""
    chunks = plan_of(bench, plan, container, out)
    if chunks is None:
        return (yield from encode(bench, plan, out))
    return (yield from encode_in_chunks(bench, plan, chunks, container=container, out=out))


def encode(bench: Bench, plan: Making, out: Request) -> Generator[Progress, None, str]:
    """Make the result in the request's part; give what ffmpeg said."""
    with contextlib.ExitStack() as files:
        inputs = [files.enter_context(film.request.input()) for film in bench.films]
        output = files.enter_context(out.output())
        folders = []
        if plan.first is not None:
            folders = [files.enter_context(_folder())]
            yield from bench.run(plan.first, "first pass", inputs=inputs, folders=folders)
            for descriptor in inputs:
                os.lseek(descriptor, 0, os.SEEK_SET)
        done = yield from bench.run(
            plan.step, "encode", inputs=inputs, outputs=[output], folders=folders, part=out.part()
        )
        settle([output])
    return done.exit.stderr


@contextlib.contextmanager
def _folder() -> Iterator[int]:
    """Give a descriptor of a private folder, which is removed afterwards."""
    scratch = Scratch()
    try:
        scratch.make({})
        descriptor = os.open(scratch.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            yield descriptor
        finally:
            os.close(descriptor)
    finally:
        scratch.drop()


def _damage(bench: Bench, said: str) -> list[str]:
    """Tell what is wrong with the films, by ffmpeg's words and by their structure; raise it where that is wanted."""
    complaints = _complaints(said)
    found = [f"{film.name} is not whole: {film.missing}" for film in bench.films if film.missing]
    found += [f"{film.name} is damaged at byte {at}" for film in bench.films if (at := _fault(film)) is not None]
    if complaints and not all(_pardoned(film) for film in bench.films):
        found.append(f"{bench.films[0].name} was decoded with errors: {words(complaints)}")
    if found and bench.order.job.on_damage == "raise":
        raise TruncatedMedia(f"{'; '.join(found)}; on_damage='warn' transcodes what can be decoded")
    if found and bench.order.job.on_damage == "warn":
        warnings.warn("; ".join(found), DamageWarning, stacklevel=2)
    return found


def _complaints(said: str) -> str:
    """Give what ffmpeg said of errors."""
    return "\n".join(_COMPLAINT.sub("", line) for line in said.splitlines() if _COMPLAINT.search(line))


def _fault(film: Survey) -> int | None:
    """Give the byte where a film's structure is broken, which programs read over."""
    if film.missing or film.request.size > _WALKED:
        return None
    request = film.request
    if request.kind == "mpegts":
        somewhere = next((entry.position for entry in film.index.entries), None) if film.video else None
        return overwritten(request.read_at, 0, request.size, somewhere)
    return first_fault(request.kind or "", request.read_at, request.size)


def _pardoned(film: Survey) -> bool:
    """Tell whether a decoder has reason to complain of a beginning that was cut, and of nothing else."""
    from bridge.ffmpeg.listing import faultless

    if film.video is None:
        return False
    index = film.index
    if not index.cut or index.ordinal:
        return False
    bad = index.spoilt(faultless(film.film))
    return not bad[index.pardoned + 1 :].any()


def _compare(bench: Bench, plan: Making, made: Request) -> Generator[Progress, None, dict[str, float]]:
    """Compare the pictures of the result with those of the film, where that is wanted."""
    job = bench.order.job
    if not job.check or not plan.video or job.video is None:
        return {}
    if plan.frames is None or len(bench.films) > 1:
        raise BadJob(
            f"check={job.check!r} compares frame with frame: it goes with no fps=, joining, or doubling filters"
        )
    taken = () if plan.taken is None else ("trim=start_frame={}:end_frame={}".format(*plan.taken),)
    chain = (*taken, *job.video.filters)
    step = checks.comparison(job.check, bench.films[0], made.name, bench.order.limits, chain=chain, frames=plan.frames)
    said = yield from bench.read(step, "check", made)
    value = checks.score(job.check, said)
    least = _LEAST[job.check] if job.at_least is None else job.at_least
    if value < least:
        raise CheckFailed(
            f"{job.target}: its {job.check} is {value:g}, which is below {least:g}; nothing was put in place"
        )
    return {job.check: value}
