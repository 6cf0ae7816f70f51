"""Reads ten thousand pictures and five hundred films from sixteen threads, with cancels, and looks at what is left."""

from __future__ import annotations

import argparse
import collections
import gc
import os
import random
import sys
import tempfile
import threading
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
from lib.ground import ground
from lib.kills import kills

import bridge
from bridge.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Callable

THREADS = 16
CANCELLED = 0.2  # of the films, half way
GROWTH = 24 << 20  # bytes that may come and go with the allocator and with caches


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """What this process holds."""

    descriptors: int
    threads: int
    children: int
    files: int
    memory: int

    @classmethod
    def now(cls) -> State:
        me = psutil.Process()
        return cls(
            descriptors=me.num_fds(),
            threads=threading.active_count(),
            children=len(me.children(recursive=True)),
            files=sum(1 for _ in Path(tempfile.gettempdir()).rglob("*")),
            memory=me.memory_info().rss,
        )


class Load:
    """The work, and how often each thing happened."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.seed = seed
        self.counts: collections.Counter[str] = collections.Counter()
        noise = np.random.default_rng(seed)
        self.pictures = [noise.integers(0, 256, (24, 32, 3), np.uint8) for _ in range(8)]
        self.contents = [bridge.imwrite("<bytes>", picture, ".png") for picture in self.pictures]
        self.files = [folder / f"{number}.png" for number in range(8)]
        for file, content in zip(self.files, self.contents, strict=True):
            file.write_bytes(content or b"")
        self.film = folder / "film.mp4"
        frames = np.repeat(np.repeat(noise.integers(0, 256, (60, 12, 16, 3), np.uint8), 8, 1), 8, 2)
        bridge.mimwrite(self.film, frames, fps=25)
        self.sums = [int(np.asarray(frame).sum()) for frame in bridge.mimread(self.film)]

    def picture(self, number: int) -> None:
        """Read one, from its file or from bytes; now and then something that is none."""
        chance = random.Random(f"{self.seed} {number}")  # noqa: S311 - choices, not secrets
        which = chance.randrange(8)
        if chance.random() < 0.05:
            self._broken((self.contents[which] or b"")[: chance.randrange(1, 300)])
            return
        got = bridge.imread(self.files[which] if chance.random() < 0.5 else self.contents[which])
        self._count("pictures" if np.array_equal(got, self.pictures[which]) else "wrong")

    def _broken(self, content: bytes) -> None:
        try:
            bridge.imread(content)
        except BridgeError:
            self._count("refused")
        else:
            self._count("wrong")

    def read_film(self, number: int) -> None:
        """Read one to its end, or leave it half way: closed, by an exception, or dropped."""
        chance = random.Random(f"{self.seed} film {number}")  # noqa: S311 - choices, not secrets
        last = chance.randrange(60) if chance.random() < CANCELLED else 60
        manner = chance.choice(("closed", "raised", "dropped"))
        reader: Any = bridge.get_reader(self.film)
        sums = []
        for frame in reader:
            sums.append(int(np.asarray(frame).sum()))
            if len(sums) >= last:
                break
        self._leave(reader, manner if last < 60 else "closed")
        self._count("films" if sums == self.sums[: len(sums)] and len(sums) >= min(last, 60) else "wrong")
        self._count(f"films {manner}" if last < 60 else "films whole")

    def _leave(self, reader: Any, manner: str) -> None:
        if manner == "closed":
            reader.close()
        elif manner == "raised":
            reader.__exit__(InterruptedError, InterruptedError(), None)

    def _count(self, what: str) -> None:
        self.counts[what] += 1

    def run(self, work: Callable[[int], None], count: int) -> None:
        """Do that many pieces of it, from all threads."""

        def guarded(number: int) -> None:
            try:
                work(number)
            except Exception as error:  # noqa: BLE001 - counted, whatever it is
                self._count(f"failed: {error!r:.200}")

        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(guarded, range(count)):
                pass


def settled() -> State:
    """Give the state once nothing changes any more."""
    before = State.now()
    for _ in range(20):
        gc.collect()
        time.sleep(0.25)
        now = State.now()
        if (now.descriptors, now.threads, now.children) == (before.descriptors, before.threads, before.children):
            return now
        before = now
    return before


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--small", action="store_true", help="a twentieth of it")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, metavar="N", help="kill jobs in chunks instead, N times for each kind")
    given = parser.parse_args()
    if given.kills is not None:
        with ground() as folder:
            return 0 if kills(folder, given.kills, given.seed) else 1
    part = 20 if given.small else 1
    warnings.simplefilter("ignore", ResourceWarning)  # what is dropped is dropped on purpose
    with ground() as folder:
        load = Load(folder, given.seed)
        load.run(load.picture, 200)  # threads, caches and what lasts once it is started
        load.run(load.read_film, 20)
        load.counts.clear()
        before, begun = settled(), time.perf_counter()
        load.run(load.picture, 10_000 // part)
        load.run(load.read_film, 500 // part)
        seconds, after = time.perf_counter() - begun, settled()
    for what, count in sorted(load.counts.items()):
        print(f"{what:20} {count:6}")
    print(f"{'seconds':20} {seconds:6.0f} (load of the machine {os.getloadavg()[0]:.1f})")
    old, new = asdict(before), asdict(after)
    for name in old:
        print(f"{name:20} {old[name]:12} before {new[name]:12} after")
    flat = all(new[name] <= old[name] for name in old if name != "memory") and new["memory"] <= old["memory"] + GROWTH
    failed = [what for what in load.counts if what.startswith(("failed", "wrong"))]
    print("flat" if flat else "NOT FLAT", "and", "right" if not failed else "WRONG")
    return 0 if flat and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
