"""framebridge: imageio's user API over the programs that the machine already has.

>>> import bridge
>>> picture = bridge.imread("photo.jpg")                 # doctest: +SKIP
>>> for frame in bridge.get_reader("clip.mp4"):          # doctest: +SKIP
...     print(frame.shape, frame.meta["time"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge import errors
from bridge.api import get_reader, get_writer, imread, imwrite, mimread, mimwrite, probe
from bridge.core.array import Array
from bridge.errors import BridgeError
from bridge.limits import Limits

if TYPE_CHECKING:
    from bridge.catalogue import formats

__version__ = "0.1.0"

__all__ = [
    "Array",
    "BridgeError",
    "Limits",
    "errors",
    "formats",
    "get_reader",
    "get_writer",
    "imread",
    "imwrite",
    "mimread",
    "mimwrite",
    "probe",
]


def __getattr__(name: str) -> Any:
    """Make the catalogue when it is first asked for, so that importing bridge starts and loads nothing."""
    if name == "formats":
        from bridge.catalogue import formats

        globals()["formats"] = formats
        return formats
    message = f"module 'bridge' has no attribute {name!r}"
    raise AttributeError(message)
