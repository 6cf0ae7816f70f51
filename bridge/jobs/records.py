"""Records: how a finished result is known again, beside it as a sidecar, or in the cache of this machine."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bridge.process.tools import cache_folder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bridge.jobs.job import Job

__all__ = ["found", "keep", "key_of", "sidecar_of"]

_MOST = 4096  # records that are kept
_ENDING = ".job.json"


def key_of(job: Job, identities: Sequence[str], program: str) -> str:
    """Name a result by all that it depends on: the job, what its sources hold, and which ffmpeg makes it."""
    return hashlib.sha256("\0".join((job.id, *identities, program)).encode()).hexdigest()


def sidecar_of(target: Path) -> Path:
    """Give the name of the sidecar of a result."""
    return target.with_name(target.name + _ENDING)


def found(target: Path, key: str) -> dict[str, Any] | None:
    """Give what is known of a result that is there, if it was made by the same job of the same sources.

    It is only believed of a file that has not changed since.
    """
    for place in (sidecar_of(target), _place(target)):
        with contextlib.suppress(OSError, ValueError):
            record = json.loads(place.read_bytes())
            if isinstance(record, dict) and record.get("key") == key and record.get("file") == _stamp(target):
                result = record.get("result")
                return result if isinstance(result, dict) else None
    return None


def keep(target: Path, key: str, result: dict[str, Any], *, sidecar: dict[str, Any] | None) -> None:
    """Remember a result; with what a sidecar says besides, that is written, too."""
    record = {"key": key, "file": _stamp(target), "result": result}
    if sidecar is not None:
        _write(sidecar_of(target), {**record, **sidecar}, stat.S_IMODE(target.stat().st_mode))
    with contextlib.suppress(OSError):  # not to be remembered is no error
        place = _place(target)
        place.parent.mkdir(parents=True, exist_ok=True)
        _write(place, record)
        _forget_the_oldest(place.parent)


def _stamp(target: Path) -> list[int]:
    """Tell size and time of change; those survive a copy that keeps times."""
    facts = target.stat()
    return [facts.st_size, facts.st_mtime_ns]


def _place(target: Path) -> Path:
    name = hashlib.sha256(os.fsencode(os.path.realpath(target))).hexdigest()[:32]
    return cache_folder() / "jobs" / f"{name}.json"


def _write(path: Path, content: dict[str, Any], mode: int = 0o600) -> None:
    descriptor, name = tempfile.mkstemp(prefix=".framebridge-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as out:
            json.dump(content, out, indent=1)
        Path(name).chmod(mode)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _forget_the_oldest(folder: Path) -> None:
    kept = list(folder.glob("*.json"))
    if len(kept) > _MOST:
        for path in sorted(kept, key=lambda path: path.stat().st_mtime_ns)[: len(kept) // 2]:
            path.unlink(missing_ok=True)
