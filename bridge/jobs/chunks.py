"""Chunks: one film encoded in pieces, by many at once, and joined without encoding again.

Pieces are cut at exact frames by integer times. Each is a file beside the target whose name says all that it was made
from and with, and which appears by rename once it was verified: so the folder tells what is done, whoever asks, after
whatever has happened. There is no other record.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.jobs.encoding import spec_of, work
from bridge.jobs.executors import gather
from bridge.jobs.folder import Folder
from bridge.jobs.joining import join
from bridge.jobs.runner import STALL, Stop
from bridge.jobs.step import Progress
from bridge.limits import Limits, in_force

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bridge.jobs.plan import Plan

__all__ = ["Outcome", "Recipe", "make"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """What is made of a film, as far as chunks need to know.

    Attributes
    ----------
    source, target : str
        Names of files.
    demuxer, muxer, read_back : str or None
        FFmpeg's names of their containers, and of the one that reads the result.
    stream : str
        Which stream is encoded, as FFmpeg specifies it.
    filters : tuple of str
        One frame out for each that goes in, at its time.
    video : tuple of str
        The encoder and its options.
    rest : tuple of str
        Options of the result: what else goes along from input 1, and how the container is written.
    offset : fractions.Fraction
        Seconds at which the file begins, of which the picture may be later.
    """

    source: str
    target: str
    demuxer: str | None
    muxer: str
    read_back: str | None = None
    stream: str = "V:0"
    filters: tuple[str, ...] = ()
    video: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    offset: Fraction = Fraction(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What `make` has done.

    Attributes
    ----------
    chunks, found : int
        How many there are, and how many of them had been made before.
    commands : tuple
        The commands that made the others, and the one that joined them, as people read them.
    """

    chunks: int
    found: int
    commands: tuple[tuple[str, ...], ...]


def make(
    recipe: Recipe,
    plan: Plan,
    *,
    workers: int,
    executor: Any = None,
    limits: Limits | None = None,
    stop: Stop | None = None,
    report: Callable[[Progress], object] = lambda _: None,
    deadline: float | None = None,
    stall: float | None = STALL,
) -> Outcome:
    """Encode a film in chunks and join them; what an earlier call has finished is not done again.

    Parameters
    ----------
    workers : int
        How many are encoded at once, where `executor` is None.
    executor
        As of `bridge.jobs.executors.gather`.
    deadline, stall : float or None
        Seconds that a chunk may take in all, and from one frame to the next.

    Raises
    ------
    CheckFailed
        If a chunk or the whole has not the frames that were planned.
    OutputFailed
        If the target is being made by another process, or cannot be written.
    JobCancelled, BridgeError
        As of `gather`; what is finished stays, and the same call goes on there.
    """
    limits, stop = limits or in_force(), stop or Stop()
    with Folder(recipe.target) as folder:
        tally = _Tally(plan, report)
        specs = [spec_of(recipe, plan, chunk, folder=folder.path, limits=limits, stall=stall) for chunk in plan.chunks]
        longest = sorted(range(len(specs)), key=lambda number: -plan.chunks[number].frames)
        results: dict[int, dict[str, Any]] = {}
        given = [specs[number] for number in longest]
        for at, result in gather(
            work, given, executor=executor, workers=workers, stop=stop, report=tally.take, seconds=deadline
        ):
            results[longest[at]] = result
            tally.finished(longest[at])
        ordered = [results[number] for number in range(len(specs))]
        tally.tell("join", plan.frames)
        names = [Path(spec["step"]["outputs"][0]).name for spec in specs]
        clocks = [Fraction(result["time_base"]) for result in ordered]
        joined = join(recipe, plan, names, clocks, folder.descriptor, limits=limits, stop=stop)
        folder.finish()
    commands = [tuple(result["command"]) for result in ordered if result["command"]]
    return Outcome(
        chunks=len(ordered), found=sum(not result["command"] for result in ordered), commands=(*commands, joined)
    )


class _Tally:
    """How many frames are done, of all chunks together; told as it grows."""

    def __init__(self, plan: Plan, report: Callable[[Progress], object]) -> None:
        self._frames = [chunk.frames for chunk in plan.chunks]
        self._seconds = float((plan.chunks[-1].end - plan.chunks[0].begin) * plan.time_base)
        self._done: dict[int, int] = {}
        self._report = report
        self._lock = threading.Lock()
        self._begun = time.monotonic()
        self._found = 0

    def take(self, said: Mapping[str, Any]) -> None:
        """Hear of a chunk."""
        number, frames = said.get("number"), said.get("frames")
        if isinstance(number, int) and isinstance(frames, int) and 0 <= number < len(self._frames):
            self._set(number, min(frames, self._frames[number]))

    def finished(self, number: int) -> None:
        """Know that a chunk is there."""
        self._set(number, self._frames[number])

    def _set(self, number: int, frames: int) -> None:
        with self._lock:
            self._done[number] = frames
            self.tell("encode", sum(self._done.values()))

    def tell(self, stage: str, frames: int) -> None:
        """Tell how far it is."""
        elapsed, total = time.monotonic() - self._begun, sum(self._frames)
        seconds = self._seconds * frames / total
        self._report(
            Progress(
                stage=stage,
                frames=frames,
                seconds=seconds,
                total_frames=total,
                total_seconds=self._seconds,
                speed=seconds / elapsed if elapsed > 0 else None,
                elapsed=elapsed,
            )
        )
