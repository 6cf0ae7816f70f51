"""Encoding of one chunk: what is said of it in plain values, and the function that makes it, wherever that runs."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
from dataclasses import asdict, replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.core.request import Request
from bridge.errors import BridgeError, CheckFailed, CorruptMedia, ToolMissing
from bridge.ffmpeg.chunking import encode_chunk
from bridge.ffmpeg.listing import Film, Listing
from bridge.jobs.executors import failed
from bridge.jobs.folder import leave_folder, settle_folder
from bridge.jobs.links import linked
from bridge.jobs.plan import digest
from bridge.jobs.runner import Runner, Stop, settle
from bridge.jobs.step import Step, made, source
from bridge.limits import Limits
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bridge.jobs.chunks import How, Recipe
    from bridge.jobs.plan import Plan

__all__ = ["holding", "identity", "observers", "specs_of", "times_of", "use_threads", "work"]

_THREADS = "-threads"
observers: list[Callable[[dict[str, Any], dict[str, Any]], None]] = []  # are told of all that was done here
_STORE_DTS = ("mov", "mpegts")  # other demuxers make them up
_COMPLAINT = re.compile(r"\[(error|fatal|panic)\] ")  # others are libraries that chat
_ENDS = 1 << 16  # bytes at both ends of a source that tell it from others


def identity(request: Request) -> str:
    """Name content wherever it lies: a file by its size, its time and what its ends hold, else by all of it."""
    with request.input() as descriptor:
        if request.path is None:
            with open(descriptor, "rb", closefd=False) as content:
                return hashlib.file_digest(content, "sha256").hexdigest()
        facts = os.fstat(descriptor)
    ends = hashlib.blake2b(request.read_at(0, _ENDS), digest_size=16)
    ends.update(request.read_at(max(0, facts.st_size - _ENDS), _ENDS))
    return f"{facts.st_size}-{facts.st_mtime_ns}-{ends.hexdigest()}"


def specs_of(
    recipe: Recipe, plan: Plan, how: How, film: Request, *, held: str, folder: Path
) -> Iterator[dict[str, Any]]:
    """Say in plain values what is to be done for each chunk, whoever does it; `held` is of `holding`."""
    tool, stamp = toolbox().find("ffmpeg"), identity(film)
    for chunk in plan.chunks:
        arguments = encode_chunk(
            tool.release, recipe.reads, chunk.seek.options(recipe.demuxer), name=source(0), output=made(0),
            stream=recipe.stream, span=(chunk.begin, chunk.end), wide=chunk.wide, time_base=plan.time_base,
            filters=recipe.filters, video=recipe.video,
        )  # fmt: skip
        said = [stamp, tool.version, arguments, chunk.begin, chunk.end, chunk.frames, chunk.times, str(plan.time_base)]
        key = hashlib.blake2b(json.dumps(said).encode(), digest_size=16).hexdigest()
        step = Step(
            subject=f"{film.name} (chunk {chunk.number + 1} of {len(plan.chunks)})",
            arguments=arguments,
            inputs=(film.name,),
            outputs=(str(folder / f"{chunk.number:05d}-{key}.nut"),),
            frames=chunk.frames,
            sealed=recipe.sealed,
        )
        yield {
            "step": step.to_dict(),
            "number": chunk.number,
            "frames": chunk.frames,
            "times": chunk.times,
            "time_base": str(plan.time_base),
            "film": str(film.path.absolute() if film.path else film.lasting if _named(film) else ""),
            "held": held,
            "source": stamp,
            "ffmpeg": tool.version,
            "limits": asdict(film.limits),
            "stall": how.stall,
            "threads": how.threads,
        }


def _named(film: Request) -> bool:
    return isinstance(film.lasting, str | Path)


def work(spec: dict[str, Any]) -> dict[str, Any]:
    """Make the chunk that a spec tells of, unless it is there; the function that engines run.

    Returns
    -------
    dict
        The ``time_base`` of the chunk, what the decoder has ``said``, and the ``command``, which is empty where there
        was nothing to do; or what `bridge.jobs.executors.failed` says of an error.
    """
    result = _work(spec)
    for observe in observers:
        observe(spec, result)
    return result


def _work(spec: dict[str, Any]) -> dict[str, Any]:
    stop, run = Stop(), spec["run"]
    try:
        with linked(run, stop.set) as report:

            def told(frames: int) -> None:
                report({"position": run["position"], "attempt": run["attempt"], "number": spec["number"],
                        "frames": frames})  # fmt: skip

            told(0)
            return _worked(spec, stop, told)
    except BridgeError as error:
        leave_folder(Path(spec["step"]["outputs"][0]).parent)
        return failed(error)


def _worked(spec: dict[str, Any], stop: Stop, told: Callable[[int], None]) -> dict[str, Any]:
    step, limits = _sized(Step.from_dict(spec["step"]), spec["threads"] or _Here.threads), Limits(**spec["limits"])
    tool = toolbox().find("ffmpeg")
    if tool.version != spec["ffmpeg"]:
        raise ToolMissing(f"{step.subject} is made with ffmpeg {spec['ffmpeg']}; this machine has {tool.version}")
    with _film(spec, limits) as film:
        found = _found(spec, step, limits)
        return found or _encoded(step, film, spec, limits=limits, stop=stop, told=told)


_held: dict[str, Request] = {}


@contextlib.contextmanager
def holding(film: Request) -> Iterator[str]:
    """Let work in this process have a film that is no file as it is open here, by the name that this gives."""
    if film.path is not None:
        yield ""
        return
    name = os.urandom(16).hex()
    _held[name] = film
    try:
        yield name
    finally:
        del _held[name]


@contextlib.contextmanager
def _film(spec: Mapping[str, Any], limits: Limits) -> Iterator[Request]:
    """Give the film that was cut into chunks."""
    if held := _held.get(spec["held"]):
        yield held
        return
    with Request(spec["film"], limits=limits) as film:
        if identity(film) != spec["source"]:
            raise CorruptMedia(f"{film.name} is not, or no more, the film that was cut into chunks; start again")
        yield film


class _Here:
    """What the owner of this process has set."""

    threads: int | None = None


def use_threads(threads: int) -> None:
    """Say how many threads an encoder in this process takes, where who gives out the work does not."""
    _Here.threads = threads


def _sized(step: Step, threads: int | None) -> Step:
    """Let several encoders share the cores; it is no part of what names a chunk."""
    if threads is None or _THREADS in step.arguments:
        return step
    *arguments, yes, output = step.arguments
    return replace(step, arguments=(*arguments, _THREADS, str(threads), yes, output))


def _found(spec: dict[str, Any], step: Step, limits: Limits) -> dict[str, Any] | None:
    """Take a chunk that was made before, if it is what it should be."""
    place = Path(step.outputs[0])
    if not place.exists():
        return None
    try:
        with Request(str(place), limits=limits) as result:
            return {**_verified(result, spec, step.subject), "command": [], "said": _said(place)}
    except (CheckFailed, CorruptMedia):  # as after a fault of the disk
        return None


def _encoded(
    step: Step, film: Request, spec: dict[str, Any], *, limits: Limits, stop: Stop, told: Callable[[int], None]
) -> dict[str, Any]:
    """Run the command, verify what it has made, and put it in its place."""
    with Request(step.outputs[0], writing=True, limits=limits) as target:
        with film.input() as read, target.output() as written:
            with Runner(
                step, inputs=(read,), outputs=(written,), limits=limits, part=target.part(),
                deadline=spec["run"]["seconds"], stall=spec["stall"], stop=stop,
            ) as runner:  # fmt: skip
                for progress in runner:
                    told(progress.frames)
                done = runner.done()
            settle([written])
        with Request(str(target.part()), limits=limits) as result:
            verified = _verified(result, spec, step.subject)
        stop.check(step.subject)
        place, said = Path(step.outputs[0]), _complaints(done.exit.stderr)
        if said:
            _noted(place).write_text(said)
            settle_folder(place.parent)
        target.commit()
    settle_folder(place.parent)
    return {**verified, "command": list(done.command), "said": said}


def _noted(place: Path) -> Path:
    """Give the place of what was said of a chunk; it is there before the chunk is."""
    return place.with_suffix(".said")


def _said(place: Path) -> str:
    return _noted(place).read_text() if _noted(place).exists() else ""


def _complaints(stderr: str) -> str:
    return "\n".join(line for line in stderr.splitlines() if _COMPLAINT.search(line))


def _verified(result: Request, spec: Mapping[str, Any], subject: str) -> dict[str, Any]:
    """Read a chunk's packets back: as many as planned, each at the time of its frame."""
    times, clock = times_of(result, "nut")
    tick = Fraction(spec["time_base"])
    exact = [time * clock / tick for time in times]
    if len(times) != spec["frames"]:
        raise CheckFailed(f"{subject} has {len(times)} frames in the place of {spec['frames']}")
    if digest([int(time) for time in exact]) != spec["times"] or any(time.denominator > 1 for time in exact):
        raise CheckFailed(f"{subject}: frames are not at their times; it cannot be made in chunks (workers=1 does)")
    return {"time_base": str(clock)}


def times_of(result: Request, demuxer: str | None) -> tuple[list[int], Fraction]:
    """Give the times of all packets in the order of display, counted from the first, and their clock."""
    listing = Listing(Film(request=result, demuxer=demuxer))
    try:
        packets = listing.packets()
    finally:
        listing.close()
    times = sorted(packet.pts for packet in packets if packet.pts is not None)
    if len(times) < len(packets) or listing.facts.time_base is None:
        raise CheckFailed(f"{result.name} has packets without times")
    decoded = [packet.dts for packet in packets if packet.dts is not None] if demuxer in _STORE_DTS else []
    if any(later <= before for before, later in itertools.pairwise(decoded)):
        raise CheckFailed(f"{result.name}: packets are not in the order of decoding")
    return [time - times[0] for time in times], listing.facts.time_base
