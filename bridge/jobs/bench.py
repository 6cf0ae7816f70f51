"""Bench: an order, and what the steps of one job share: its films, its clock, and what they have done so far."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from bridge.errors import ToolTimeout
from bridge.jobs.runner import STALL, Done, Runner, Stop

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from pathlib import Path

    from bridge.core.request import Request
    from bridge.jobs.folder import Folder
    from bridge.jobs.job import Job
    from bridge.jobs.step import Progress, Step
    from bridge.jobs.survey import Survey
    from bridge.limits import Limits

__all__ = ["Bench", "Order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A job, and how it is to be run.

    Attributes
    ----------
    job : Job
        What is made.
    sources : tuple
        The uris themselves, where they are no names: bytes, file objects.
    target
        The same of the result.
    limits : Limits
        What it may take, and whom it trusts.
    deadline, stall : float or None
        Seconds for all of it, and from one frame to the next.
    sidecar : bool
        Lay a file with all that was done beside the result.
    again : bool
        Make it although it is there.
    workers : int or str
        How many chunks of it are encoded at once; ``"auto"`` takes chunks where they pay.
    executor
        Where they are encoded, as of `bridge.jobs.executors.gather`.
    replace : bool
        Whether something else that is there may be replaced.
    stop : Stop
        Stops it from elsewhere.
    """

    job: Job
    sources: tuple[Any, ...]
    target: Any
    limits: Limits
    deadline: float | None = None
    stall: float | None = STALL
    sidecar: bool = False
    again: bool = False
    workers: int | str = 1
    executor: Any = None
    replace: bool = True
    stop: Stop = field(default_factory=Stop)


class _Clock:
    """The time of a whole job, over all its steps."""

    def __init__(self, order: Order) -> None:
        self._begun = time.monotonic()
        self._order = order

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self._begun

    @property
    def left(self) -> float | None:
        """Give the seconds that are left, or raise."""
        deadline = self._order.deadline
        if deadline is None:
            return None
        if self.elapsed >= deadline:
            raise ToolTimeout(f"{self._order.job.target}: the job was not done in {deadline:g} s")
        return deadline - self.elapsed


class Bench:
    """What the steps of one job share: its order, its films, its end, its clock, and what they have done so far."""

    def __init__(self, order: Order, films: Sequence[Survey], stack: contextlib.ExitStack) -> None:
        self.order = order
        self.films = films
        self.stack = stack
        self.clock = _Clock(order)
        self.done: list[Done] = []
        self.commands: list[tuple[str, ...]] = []  # of chunks
        self.folder: Folder | None = None  # likewise
        self.found: dict[str, float] = {}

    def run(
        self, step: Step, stage: str, *, inputs: Sequence[int], outputs: Sequence[int] = (),
        folders: Sequence[int] = (), part: str | Path = "",
    ) -> Generator[Progress, None, Done]:  # fmt: skip
        """Run one command over open files."""
        with Runner(
            step, inputs=inputs, outputs=outputs, folders=folders, limits=self.order.limits, part=part,
            deadline=self.clock.left, stall=self.order.stall, stop=self.order.stop,
        ) as runner:  # fmt: skip
            for progress in runner:
                yield replace(progress, stage=stage)
            self.done.append(runner.done())
        return self.done[-1]

    def read(self, step: Step, stage: str, made: Request | None = None) -> Generator[Progress, None, str]:
        """Run a command that only reads the films, and a result; give what it said."""
        with contextlib.ExitStack() as files:
            requests = [*(film.request for film in self.films[: len(step.inputs)]), *([made] if made else [])]
            inputs = [files.enter_context(request.input()) for request in requests[: len(step.inputs)]]
            done = yield from self.run(step, stage, inputs=inputs)
        return done.exit.stderr
