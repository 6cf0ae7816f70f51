"""A hot folder: films that are laid into it are transcoded, then moved to `done` or `failed` in it.

There is no record but the folder itself: what is still there is still to be done, and a film that was done before
the worker was killed is known again, as `transcode` does it.
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from bridge.errors import BadJob, BridgeError, JobCancelled
from bridge.jobs.bench import Order
from bridge.jobs.presets import EXTENSIONS
from bridge.jobs.runner import Stop
from bridge.jobs.transcoding import job_of
from bridge.jobs.work import Result, Working
from bridge.limits import in_force

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from pathlib import Path

    from bridge_workers.transcode import Post

__all__ = ["HotFolder"]

_UNFINISHED = (".part", ".tmp", ".temp", ".crdownload", ".filepart")
_LOOK = 1.0  # seconds from one look at the folder to the next; not every file system tells of changes


class HotFolder:
    """Watches one folder.

    Parameters
    ----------
    options : argparse.Namespace
        What `bridge_workers.transcode.add_arguments` has read.
    post : Post
        Whether to end, and the numbers.
    """

    def __init__(self, options: argparse.Namespace, post: Post) -> None:
        self._options, self._post = options, post
        self.folder: Path = options.watch
        self._results: Path = options.to or self.folder / "out"
        self._ending = options.ext or EXTENSIONS.get(options.preset, ".mp4")
        workers = options.workers
        self._workers: int | str = workers if workers == "auto" else int(workers) if workers.isdigit() else 0
        self._stop = Stop()
        self._seen: dict[str, tuple[tuple[int, int], float]] = {}
        self._working: dict[str, Future[None]] = {}
        self._lock = threading.Lock()
        post.place = self.folder

    def run(self) -> int:
        """Watch until told to end."""
        try:
            for folder in (self.folder, self._results, self.folder / "done", self.folder / "failed"):
                folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise BadJob(f"{error.filename} cannot be made: {error.strerror}") from error
        with ThreadPoolExecutor(self._options.slots, "framebridge-film") as pool:
            while not self._post.told.is_set():
                left = self._look(pool)
                if self._options.once and not left and not self._working:
                    break
                self._post.told.wait(min(_LOOK, self._options.settle or _LOOK))
            self._drain()
        return 0

    def count(self) -> None:
        """Bring the numbers up to date."""
        with contextlib.suppress(OSError):
            waiting = sum(1 for _ in self._films()) - len(self._working)
            self._post.metrics.set("queue_depth", max(0, waiting))
            places = self._results.glob(".framebridge-*.chunks/*")
            self._post.metrics.set("temp_bytes", sum(place.stat().st_size for place in places))
        self._post.metrics.set("running", len(self._working))

    def _films(self) -> Iterator[os.DirEntry[str]]:
        """Give the files that may be films, oldest first; no links, which may lead anywhere."""
        entries = [entry for entry in os.scandir(self.folder) if entry.is_file(follow_symlinks=False)]
        for entry in sorted(entries, key=lambda entry: (entry.stat(follow_symlinks=False).st_mtime_ns, entry.name)):
            if not entry.name.startswith(".") and not entry.name.lower().endswith(_UNFINISHED):
                yield entry

    def _look(self, pool: ThreadPoolExecutor) -> int:
        """Begin what has come and is whole; give how many files there are."""
        with self._lock:
            self._working = {name: future for name, future in self._working.items() if not future.done()}
        present = 0
        for entry in self._films():
            present += 1
            if entry.name not in self._working and self._settled(entry) and len(self._working) < self._options.slots:
                self._working[entry.name] = pool.submit(self._do, entry.name)
        return present

    def _settled(self, entry: os.DirEntry[str]) -> bool:
        """Tell whether a file has not changed for a while: it may still be copied here."""
        try:
            facts = entry.stat(follow_symlinks=False)
        except OSError:
            return False
        now, stamp = time.monotonic(), (facts.st_size, facts.st_mtime_ns)
        known = self._seen.get(entry.name)
        if known is None or known[0] != stamp:
            self._seen[entry.name] = stamp, now
            return bool(self._options.settle <= 0)
        return bool(now - known[1] >= self._options.settle)

    def _do(self, name: str) -> None:
        """Transcode one film, and put it where it belongs then."""
        begun, frames, state = time.monotonic(), 0, "done"
        try:
            frames = self._transcoded(name).frames or 0
        except JobCancelled:  # it stays, and is gone on with by the next worker
            state = "handed back"
            self._post.metrics.add("children_killed_total")
        except (BridgeError, OSError, ValueError) as error:
            state = "failed"
            self._put(name, "failed", str(error))
        else:
            self._put(name, "done")
        self._seen.pop(name, None)
        self._post.ended(state, time.monotonic() - begun, frames)

    def _transcoded(self, name: str) -> Result:
        source = str(self.folder / name)
        target = str(self._results / f"{os.path.splitext(name)[0]}{self._ending}")  # noqa: PTH122 - a stem of names as they are
        order = Order(
            job=job_of(source, target, preset=self._options.preset),
            sources=(source,),
            target=target,
            limits=in_force(),
            workers=self._workers,
            stop=self._stop,
            replace=False,
        )
        with Working(order) as working:
            return working.result

    def _put(self, name: str, where: str, why: str = "") -> None:
        """Move a film out of the way, under a name that is free."""
        target, number = self.folder / where / name, 1
        while target.exists():
            number += 1
            target = self.folder / where / f"{number}-{name}"
        with contextlib.suppress(OSError):
            if why:
                target.with_name(f"{target.name}.txt").write_text(f"{why}\n", "utf-8", "backslashreplace")
            (self.folder / name).rename(target)

    def _drain(self) -> None:
        """End what is begun within the grace period; stop the rest, of which finished chunks stay."""
        _, left = wait(self._working.values(), self._post.grace)
        if left:
            self._stop.set()
            wait(left, return_when=FIRST_COMPLETED)
