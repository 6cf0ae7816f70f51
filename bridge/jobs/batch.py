"""Batch: many jobs, some at a time; each ends by itself, and what failed is told at the end with its reason."""

from __future__ import annotations

import concurrent.futures
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge.core.uri import FilePath, parse
from bridge.errors import BadJob, JobCancelled
from bridge.jobs.retry import pause, worth_another_try
from bridge.jobs.work import Working

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bridge.jobs.bench import Order
    from bridge.jobs.runner import Stop
    from bridge.jobs.step import Progress
    from bridge.jobs.work import Result

__all__ = ["Ended", "check_targets", "run_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How one job of a batch has ended: with a result, or with an error."""

    order: Order
    result: Result | None = None
    error: Exception | None = None


def check_targets(targets: Sequence[Any]) -> None:
    """Refuse two jobs that would write the same file.

    Raises
    ------
    BadJob
    """
    seen: dict[str, Any] = {}
    for target in targets:
        resource = parse(target)
        if isinstance(resource, FilePath):
            name = os.path.realpath(resource.path)
            if name in seen:
                raise BadJob(f"two of the jobs would write {resource}; name their targets one by one")
            seen[name] = target


def run_all(
    orders: Sequence[Order],
    *,
    jobs: int,
    stop: Stop,
    attempts: int = 1,
    report: Callable[[Order, Progress | Ended], object] | None = None,
) -> Iterator[Ended]:
    """Run jobs, `jobs` at a time, and give each as it ends; leaving the iterator stops them all.

    Parameters
    ----------
    orders : sequence of Order
        The jobs; all have `stop` for theirs.
    stop : Stop
        Stops them.
    attempts : int
        As of `transcode`.
    report : callable, optional
        Is given the progress of each, from the thread that does it.
    """
    check_targets([order.target for order in orders])
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, jobs), thread_name_prefix="job") as pool:
        try:
            waiting = [pool.submit(_ended, order, stop, attempts, report) for order in orders]
            for future in concurrent.futures.as_completed(waiting):
                yield future.result()
        except BaseException:
            stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _ended(
    order: Order, stop: Stop, attempts: int, report: Callable[[Order, Progress | Ended], object] | None
) -> Ended:
    """Do one job, again where another try may help."""
    ended = Ended(order=order)
    for attempt in range(max(1, attempts)):
        try:
            with Working(order) as working:
                for progress in working:
                    if report is not None:
                        report(order, progress)
                ended = Ended(order=order, result=working.result)
                break
        except Exception as error:  # noqa: BLE001 - the others go on, whatever is wrong with this one
            ended = Ended(order=order, error=error)
            last = attempt + 1 >= attempts or isinstance(error, JobCancelled) or not worth_another_try(error)
            if last or stop.wait(pause(attempt)):
                break
    if report is not None:
        report(order, ended)
    return ended
