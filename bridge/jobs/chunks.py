"""Chunks: one film encoded in pieces, by many at once, and joined without encoding again.

Pieces are cut at exact frames by integer times. Each is a file beside the target whose name says all that it was made
from and with, and which appears by rename once it was verified: so the folder tells what is done, whoever asks, after
whatever has happened. There is no other record.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.jobs.executors import gather
from bridge.jobs.joining import join
from bridge.jobs.piece import holding, specs_of, work
from bridge.jobs.runner import STALL, Stop
from bridge.jobs.step import Progress

if TYPE_CHECKING:
    from collections.abc import Generator

    from bridge.core.request import Request
    from bridge.jobs.folder import Folder
    from bridge.jobs.plan import Plan

__all__ = ["How", "Outcome", "Recipe", "make"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is made of a film, as far as chunks need to know.

    Attributes
    ----------
    demuxer, muxer, read_back : str or None
        FFmpeg's names of the containers of the film and of the result, and of what reads the latter.
    reads : tuple of str
        Words that have ffmpeg read the film.
    stream : str
        Which stream is encoded, as FFmpeg specifies it.
    filters : tuple of str
        One frame out for each that goes in, at its time.
    video : tuple of str
        The encoder and its options.
    rest : tuple of str
        Options of the result: what else goes along from input 0, the film, and how the container is written.
    offset : fractions.Fraction
        Seconds at which the file begins, of which the picture may be later.
    sealed : bool
        As of `Step`.
    """

    demuxer: str | None
    muxer: str
    read_back: str | None = None
    reads: tuple[str, ...] = ()
    stream: str = "V:0"
    filters: tuple[str, ...] = ()
    video: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    offset: Fraction = Fraction(0)
    sealed: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class How:
    """Who encodes the chunks, and within what.

    Attributes
    ----------
    workers : int
        How many are encoded at once, where `executor` is None.
    executor
        As of `bridge.jobs.executors.gather`.
    deadline, stall : float or None
        Seconds that a chunk may take in all, and from one frame to the next.
    threads : int or None
        How many each encoder takes; None leaves that to who encodes.
    stop : Stop
        Stops it from elsewhere.
    """

    workers: int
    executor: Any = None
    deadline: float | None = None
    stall: float | None = STALL
    threads: int | None = None
    stop: Stop = field(default_factory=Stop)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What `make` has done.

    Attributes
    ----------
    chunks, found : int
        How many there are, and how many of them had been made before.
    commands : tuple
        The commands that made the others, and the one that joined them, as people read them.
    said : str
        What decoders have complained of, also such as begin in the middle.
    """

    chunks: int
    found: int
    commands: tuple[tuple[str, ...], ...]
    said: str = ""


def make(
    recipe: Recipe, plan: Plan, *, film: Request, out: Request, folder: Folder, how: How
) -> Generator[Progress, None, Outcome]:
    """Encode a film in chunks and join them in the part of a request; what an earlier call has finished is found.

    Raises
    ------
    CheckFailed
        If a chunk or the whole has not the frames that were planned.
    JobCancelled, BridgeError
        As of `gather`; what is finished stays in the folder, and the same call goes on there.
    """
    tally = _Tally(plan)
    results: dict[int, dict[str, Any]] = {}
    with holding(film) as held:
        specs = list(specs_of(recipe, plan, how, film, held=held, folder=folder.path))
        longest = sorted(range(len(specs)), key=lambda number: -plan.chunks[number].frames)
        given = [specs[number] for number in longest]
        for event in gather(
            work, given, executor=how.executor, workers=how.workers, stop=how.stop, seconds=how.deadline
        ):
            number = longest[event.position]
            if event.result is not None:
                results[number] = event.result
            yield tally.heard(number, event.report)
    ordered = [results[number] for number in range(len(specs))]
    yield tally.now("join")
    names = [Path(spec["step"]["outputs"][0]).name for spec in specs]
    clocks = [Fraction(result["time_base"]) for result in ordered]
    joined = join(recipe, plan, names, clocks, film=film, out=out, folder=folder.descriptor, stop=how.stop)
    commands = [tuple(result["command"]) for result in ordered if result["command"]]
    said = "\n".join(result["said"] for result in ordered if result["said"])
    return Outcome(chunks=len(ordered), found=len(ordered) - len(commands), commands=(*commands, joined), said=said)


class _Tally:
    """How many frames are done, of all chunks together."""

    def __init__(self, plan: Plan) -> None:
        self._frames = [chunk.frames for chunk in plan.chunks]
        self._seconds = float((plan.chunks[-1].end - plan.chunks[0].begin) * plan.time_base)
        self._done: dict[int, int] = {}
        self._begun = time.monotonic()

    def heard(self, number: int, report: dict[str, Any] | None) -> Progress:
        """Take a report of a chunk, None if it is there; a chunk that is begun again loses what it had."""
        frames = self._frames[number] if report is None else report.get("frames")
        self._done[number] = min(frames, self._frames[number]) if isinstance(frames, int) else 0
        return self.now("encode")

    def now(self, stage: str) -> Progress:
        """Tell how far it is."""
        done, total = sum(self._done.values()), sum(self._frames)
        elapsed, seconds = time.monotonic() - self._begun, self._seconds * done / total
        return Progress(
            stage=stage,
            frames=done,
            seconds=seconds,
            total_frames=total,
            total_seconds=self._seconds,
            speed=seconds / elapsed if elapsed > 0 else None,
            elapsed=elapsed,
        )
