"""Reads one hostile input at one level of trust, under watch; shared by the tests and by ``scripts/report``."""

from __future__ import annotations

import contextlib
import os
import tempfile
import time
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.errors import BridgeError
from bridge.limits import Limits
from bridge.magick import warm
from tests.hostile.case import CANARY, CANARY_TEXT
from tests.hostile.watch import Hung, Watch, children, contents, deadline, orphans

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.hostile.case import Case, Place
    from tests.hostile.watch import Stands

__all__ = ["Outcome", "run"]

_ENDING = 2.0  # seconds that what was killed may take to be gone
_NEAR = 14  # how far a colour may be from that of the canaries after a lossy codec


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one input.

    Attributes
    ----------
    result : str
        In words.
    seconds : float
        How long the call took.
    faults : list of str
        What went wrong; empty if all is as promised.
    """

    result: str
    seconds: float
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _State:
    """What must be the same before and after."""

    children: set[int]
    files: dict[str, tuple[int, int]]

    @classmethod
    def of(cls, place: Place) -> _State:
        return cls(children(), contents(place.folder, place.elsewhere, Path(tempfile.gettempdir())))


def run(case: Case, level: str, place: Place, stands: Stands) -> Outcome:
    """Make an input, read it, and look at everything that should not have happened."""
    uri = case.make(place)
    limits = Limits(trust=level, **case.limits)
    before = _State.of(place)
    watched = [*place.canaries, *stands.paths] if case.proven(level) else []
    with Watch(watched) as watch, _path(stands.folder if case.proven(level) else None):
        result, seconds = _read(case, uri, limits, place.folder)
        faults = [] if isinstance(result, Hung) else case.expected(level).faults_of(result)
        faults += [f"it opened {name}" for name in watch.opened()]
    if case.proven(level):
        faults += [f"the private server was asked: {line}" for line in place.world.private.log]
        faults += ["what the canary holds came out"] if _shows_canary(result) else []
    faults += [f"hung: {result}"] if isinstance(result, Hung) else []
    faults += _unsafe_words(result) + _left(before, place)
    return Outcome(result=_in_words(result, place.folder), seconds=seconds, faults=faults)


@contextlib.contextmanager
def _path(folder: Path | None) -> Iterator[None]:
    """Look for programs there first."""
    before = os.environ["PATH"]
    os.environ["PATH"] = os.pathsep.join([*([str(folder)] if folder else []), before])
    try:
        yield
    finally:
        os.environ["PATH"] = before


def _read(case: Case, uri: Any, limits: Limits, folder: Path) -> tuple[Any, float]:
    begun = time.perf_counter()
    with warnings.catch_warnings(), contextlib.chdir(folder), contextlib.ExitStack() as stack:
        warnings.simplefilter("ignore")  # damage is told by warnings, too, and what was decoded is looked at
        stack.enter_context(deadline(case.seconds))
        try:
            result = case.read(uri, limits)
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is judged
            result = error.with_traceback(None)
    return result, time.perf_counter() - begun


def _left(before: _State, place: Place) -> list[str]:
    """Tell what is there that was not, after some time for what is just ending."""
    warm.close()  # it lasts, and nothing else may
    until = time.monotonic() + _ENDING
    while True:
        now = _State.of(place)
        files = {Path(name).name for name, facts in now.files.items() if before.files.get(name) != facts}
        files |= {Path(name).name for name in before.files.keys() - now.files.keys()}
        processes = (now.children - before.children) | orphans()
        if not (files or processes) or time.monotonic() > until:
            break
        time.sleep(0.05)
    return [f"made, changed or removed: {name}" for name in sorted(files)] + [f"process {pid}" for pid in processes]


def _arrays(result: Any) -> list[np.ndarray[Any, Any]]:
    if isinstance(result, np.ndarray):
        return [np.asarray(result)]
    return [array for item in result for array in _arrays(item)] if isinstance(result, list) else []


def _shows_canary(result: Any) -> bool:
    if CANARY_TEXT in f"{result} {getattr(result, 'meta', '')}":
        return True
    for array in _arrays(result):
        if array.ndim >= 3 and array.shape[-1] >= 3 and array.dtype == np.uint8:
            near = np.abs(array[..., :3].astype(int) - np.array(CANARY)).max(axis=-1) <= _NEAR
            if near.any():
                return True
    return False


def _unsafe_words(result: Any) -> list[str]:
    """A message is shown on terminals and in logs: one plain line, not too long."""
    if not isinstance(result, BridgeError):
        return []
    said = str(result)
    wrong = [repr(c) for c in said if not c.isprintable() and c != "\n"]
    faults = [f"the message holds {', '.join(sorted(set(wrong)))}"] if wrong else []
    return faults + ([f"the message has {len(said)} characters"] if len(said) > 5000 else [])


def _in_words(result: Any, folder: Path) -> str:
    if isinstance(result, BaseException):
        said = str(result).replace(f"{folder}{os.sep}", "")
        return f"{type(result).__name__}: {' '.join(said.split())[:160]}"
    arrays = _arrays(result)
    if not arrays:
        return f"{result!r}"[:160]
    shape = "x".join(map(str, arrays[0].shape))
    return f"{shape} {arrays[0].dtype}" + (f", {len(arrays)} of them" if isinstance(result, list) else "")
