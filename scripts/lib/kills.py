"""Jobs in chunks that are killed at random points, gone on with, and compared with the same job in one piece."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from tests.jobs.films import KINDS, film, frames, sound, whole

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["kills"]

_LONGEST = 3.0  # seconds that a run may have before it is killed: longer than it needs in peace
_WORK = """
import sys
from pathlib import Path
from tests.jobs.films import in_chunks
in_chunks(Path(sys.argv[1]), Path(sys.argv[2]), filters=["realtime=speed=4"])
"""


def kills(folder: Path, count: int, seed: int) -> bool:
    """Kill the job of each kind of source so many times, whatever it is at; tell whether all that came of it is right.

    A job that has ended before its time came is compared, and begun anew.
    """
    right = True
    for kind in KINDS:
        chance = random.Random(f"{seed} {kind}")  # noqa: S311 - moments, not secrets
        source = film(folder, kind)
        expected = _seen(whole(source, folder / f"whole-{kind}"))
        target = folder / f"chunks-{kind}"
        killed = ended = wrong = 0
        half_done = True
        while half_done or killed < count:
            half_done = _run(source, target, chance.uniform(0, _LONGEST) if killed < count else None)
            if half_done:
                killed += 1
                continue
            ended += 1
            wrong += _seen(target) != expected
            target.unlink()
        left = [path.name for path in folder.glob(".framebridge-*")]
        print(f"{kind:12} killed {killed:3}, ended {ended:3}, wrong {wrong}, left {len(left)}", flush=True)
        right = right and not wrong and not left
    return right


def _seen(path: Path) -> tuple[list[str], list[str]]:
    """The pixels of all frames, and the packets of the sound."""
    return [pixels for _, pixels in frames(path)], sound(path)[0]


def _run(source: Path, target: Path, seconds: float | None) -> bool:
    """Do the job, or go on with it; tell whether it was killed."""
    process = subprocess.Popen(
        [sys.executable, "-c", _WORK, str(source), str(target)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    begun = time.monotonic()
    while process.poll() is None and (seconds is None or time.monotonic() - begun < seconds):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    status = process.wait()
    if status not in (0, -signal.SIGKILL):
        raise SystemExit(f"{source.name}: a job that was gone on with has failed ({status})")
    return status != 0
