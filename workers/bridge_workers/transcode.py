"""The worker that transcodes: chunks for a Dask cluster, or whole films that are laid into a folder.

On SIGTERM it takes no more work, ends what it has begun within the grace period, hands back the rest, and exits with 0.
"""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from bridge.errors import BridgeError, ToolMissing
from bridge.ffmpeg.containers import CODECS
from bridge.process.tools import toolbox
from bridge_workers.health import Health, Metric, Metrics

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

__all__ = ["Post", "add_arguments", "resources", "run"]

_LEAST_ROOM = 1 << 30  # bytes on the disk below which a worker is not ready
_CARDS = ("nvidia[0-9]", "dri/renderD*")
_MANY = 1_000_000.0  # of what is not used up


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this worker can be told."""
    work = parser.add_mutually_exclusive_group(required=True)
    work.add_argument("--dask", metavar="ADDRESS", help="take chunks from that scheduler, as tcp://host:8786")
    work.add_argument("--watch", metavar="FOLDER", type=Path, help="transcode what is laid into a folder")
    parser.add_argument("--slots", type=int, default=1, metavar="N", help="how many at a time (1)")
    parser.add_argument("--grace", type=float, default=25.0, metavar="SECONDS", help="to end work after SIGTERM (25)")
    parser.add_argument("--health", metavar="[HOST:]PORT", help="answer /livez /readyz /metrics there (loopback)")
    parser.add_argument("--to", metavar="FOLDER", type=Path, help="with --watch: for the results (FOLDER/out)")
    parser.add_argument("--preset", default="web", help="with --watch: how films are made (web)")
    parser.add_argument("--ext", metavar=".EXT", help="with --watch: of the results (as the preset has it)")
    parser.add_argument("--workers", default="auto", metavar="N", help="with --watch: chunks of each at a time (auto)")
    parser.add_argument("--settle", type=float, default=2.0, metavar="SECONDS", help="a film is whole that stays so")
    parser.add_argument("--once", action="store_true", help="with --watch: end when nothing is left to do")


def _metrics() -> Metrics:
    from bridge import __version__

    tool = toolbox().get("ffmpeg")
    metrics = Metrics(
        worker_info=Metric("gauge", "Versions."),
        jobs_total=Metric("counter", "Films or chunks that have ended, by how."),
        job_seconds=Metric("histogram", "Seconds that these took.", (1, 3, 10, 30, 100, 300, 1000, 3000)),
        running=Metric("gauge", "Films or chunks at work."),
        queue_depth=Metric("gauge", "Films or chunks that wait here."),
        frames_total=Metric("counter", "Frames that were encoded."),
        ffmpeg_frames_per_second=Metric("gauge", "Of what has ended last."),
        children_killed_total=Metric("counter", "Programs that were stopped: cancelled, too slow, or stuck."),
        temp_bytes=Metric("gauge", "Bytes of unfinished work on disk."),
    )
    metrics.set("worker_info", 1, version=__version__, ffmpeg=tool.version if tool else "none")
    return metrics


@dataclass(slots=True)
class Post:
    """What every kind of work here has: numbers for watchers, and whether it is to end."""

    grace: float
    metrics: Metrics = field(default_factory=_metrics)
    told: threading.Event = field(default_factory=threading.Event)  # to end
    place: Path = field(default_factory=Path.cwd)
    lacking: str = ""  # what is missing besides

    def ready(self) -> str:
        """Say why no work is taken; empty if it is."""
        if self.told.is_set():
            return "draining"
        if toolbox().get("ffmpeg") is None:
            return "ffmpeg is not here"
        try:
            room = shutil.disk_usage(self.place).free
        except OSError as error:
            return f"the folder cannot be looked at: {error.strerror}"
        return f"only {room >> 20} MiB are free" if room < _LEAST_ROOM else self.lacking

    def ended(self, state: str, seconds: float, frames: int) -> None:
        """Count a piece of work."""
        self.metrics.add("jobs_total", state=state)
        self.metrics.observe("job_seconds", seconds)
        self.metrics.add("frames_total", frames)
        if seconds > 0 and frames:
            self.metrics.set("ffmpeg_frames_per_second", frames / seconds)


def resources(slots: int) -> dict[str, float]:
    """Give the tags by which a scheduler chooses: each encoder that is here, and graphics cards.

    Examples
    --------
    >>> "encoder:libx264" in resources(2)     # doctest: +SKIP
    True
    """
    here = toolbox().abilities("ffmpeg").encoders
    known = {encoder for codec in CODECS.values() for encoder in codec.encoders}
    tags = {f"encoder:{name}": _MANY for name in sorted(known & here)}
    cards = max(len(list(Path("/dev").glob(pattern))) for pattern in _CARDS)
    return tags | {"slots": float(slots)} | ({"gpu": float(cards)} if cards else {})


@contextmanager
def _signals(post: Post) -> Iterator[None]:
    """Take SIGTERM and SIGINT as the wish to end."""
    before = {number: signal.signal(number, lambda *_: post.told.set()) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run(options: argparse.Namespace) -> int:
    """Work until told to end; give the exit status. Called by the table of kinds."""
    post = Post(grace=options.grace)
    try:
        toolbox().find("ffmpeg")
        with ExitStack() as stack:
            stack.enter_context(_signals(post))
            if options.dask:
                from bridge_workers.cluster import member

                return member(options, post, stack)
            from bridge_workers.hotfolder import HotFolder

            folder = HotFolder(options, post)
            if options.health:
                stack.enter_context(Health(post.metrics, post.ready, options.health, folder.count))
            return folder.run()
    except (BridgeError, ToolMissing) as error:
        print(f"framebridge-worker transcode: {error}", file=sys.stderr)
        return 1
