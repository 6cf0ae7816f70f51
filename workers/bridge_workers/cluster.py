"""A member of a Dask cluster: takes chunks, tells what it has, and leaves without losing what it has begun."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import sys
from typing import TYPE_CHECKING, Any

from bridge.jobs import piece
from bridge.jobs.links import at_work
from bridge.jobs.sharing import cores
from bridge_workers.health import Health
from bridge_workers.transcode import resources

if TYPE_CHECKING:
    import argparse

    from bridge_workers.transcode import Post

__all__ = ["member"]

_LEAVE = 10.0  # seconds for results to go where they are wanted


def member(options: argparse.Namespace, post: Post, stack: contextlib.ExitStack) -> int:
    """Be a member until told to end, or the scheduler is gone; give the exit status."""
    try:
        from distributed import Worker
    except ImportError:
        print("framebridge-worker: Dask is not installed: `pip install 'framebridge[cluster]'`", file=sys.stderr)
        return 1
    piece.use_threads(max(1, cores() // options.slots))
    observer = _observer(post)
    piece.observers.append(observer)
    stack.callback(piece.observers.remove, observer)
    return asyncio.run(_member(Worker, options, post))


def _observer(post: Post) -> Any:
    def observe(spec: dict[str, Any], result: dict[str, Any]) -> None:
        failed = "error" in result
        state = "failed" if failed else "done" if result["command"] else "found"
        if result.get("error") in ("JobCancelled", "ToolTimeout"):
            post.metrics.add("children_killed_total")
        post.ended(state, result.get("seconds", 0.0), 0 if failed or not result["command"] else spec["frames"])

    return observe


async def _member(make: Any, options: argparse.Namespace, post: Post) -> int:
    name = f"framebridge-{socket.gethostname()}-{id(post):x}"
    # What needs memory is ffmpeg; and Dask's look at memory would wake a worker that is to take no more.
    settings = {"nthreads": options.slots, "resources": resources(options.slots), "memory_limit": 0, "dashboard": False}
    try:
        worker = await make(options.dask, name=name, **settings)
    except (OSError, TimeoutError) as error:
        print(f"framebridge-worker: no scheduler answers at {options.dask}: {error}", file=sys.stderr)
        return 1

    def count() -> None:
        post.metrics.set("running", worker.state.executing_count)
        post.metrics.set("queue_depth", len(worker.state.ready))

    with Health(post.metrics, post.ready, options.health, count) if options.health else contextlib.nullcontext():
        print(f"framebridge-worker: at work for {options.dask} as {worker.address}", flush=True)
        told, gone = asyncio.create_task(asyncio.to_thread(post.told.wait)), asyncio.create_task(worker.finished())
        await asyncio.wait({told, gone}, return_when=asyncio.FIRST_COMPLETED)
        if post.told.is_set():
            await _drain(worker, post)
        post.told.set()
        await told
        gone.cancel()
    return 0


async def _drain(worker: Any, post: Post) -> None:
    """Take no more; end what is begun, or hand it back; let results go where they are wanted; leave."""
    from distributed.core import Status

    worker.status = Status.paused
    if not await asyncio.to_thread(at_work.ended, post.grace):
        at_work.stop()
        await asyncio.to_thread(at_work.ended, _LEAVE)
    with contextlib.suppress(TimeoutError, OSError):
        await asyncio.wait_for(worker.close_gracefully(), _LEAVE)
    await worker.close()
