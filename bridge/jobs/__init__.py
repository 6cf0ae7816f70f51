"""Transcoding jobs: film to film without arrays, as a value that can be sent, run, checked and run again.

`Job` and its parts are the values, `transcode` and `start` make and run one by keywords, `run` one that is there
already; `Stop` stops, `worth_another_try` tells failures that may go away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.jobs.job import Audio, Job, Keep, Ladder, Picture, Rung, Trim, Video
    from bridge.jobs.presets import PRESETS
    from bridge.jobs.retry import worth_another_try
    from bridge.jobs.runner import Stop
    from bridge.jobs.step import Progress
    from bridge.jobs.transcoding import run, start, transcode
    from bridge.jobs.work import Result

__all__ = [
    "PRESETS",
    "Audio",
    "Job",
    "Keep",
    "Ladder",
    "Picture",
    "Progress",
    "Result",
    "Rung",
    "Stop",
    "Trim",
    "Video",
    "run",
    "start",
    "transcode",
    "worth_another_try",
]

_LATER = {
    **dict.fromkeys(("Audio", "Job", "Keep", "Ladder", "Picture", "Rung", "Trim", "Video"), "job"),
    **dict.fromkeys(("run", "start", "transcode"), "transcoding"),
    "PRESETS": "presets",
    "Progress": "step",
    "Result": "work",
    "Stop": "runner",
    "worth_another_try": "retry",
}


def __getattr__(name: str) -> Any:
    """Import a name when it is first asked for."""
    if name not in _LATER:
        raise AttributeError(f"module 'bridge.jobs' has no attribute {name!r}")
    import importlib

    value = globals()[name] = getattr(importlib.import_module(f"bridge.jobs.{_LATER[name]}"), name)
    return value
