"""framebridge: imageio's user API over the programs that the machine already has.

>>> import bridge
>>> picture = bridge.imread("photo.jpg")                 # doctest: +SKIP
>>> for frame in bridge.get_reader("clip.mp4"):          # doctest: +SKIP
...     print(frame.shape, frame.meta["time"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bridge import errors
from bridge.api import (
    devices,
    get_reader,
    get_writer,
    help,
    imread,
    imwrite,
    mimread,
    mimwrite,
    mvolread,
    mvolwrite,
    probe,
    show_formats,
    status,
    volread,
    volwrite,
)
from bridge.core.array import Array
from bridge.errors import BridgeError
from bridge.limits import Limits, configure

if TYPE_CHECKING:
    from bridge.aio import aiter
    from bridge.catalogue import formats
    from bridge.core.uri import sequence
    from bridge.jobs.transcoding import transcode
    from bridge.v3 import imiter, immeta, imopen, improps

__version__ = "0.1.0"

__all__ = [
    "RETURN_BYTES",
    "Array",
    "BridgeError",
    "Limits",
    "aiter",
    "configure",
    "devices",
    "errors",
    "formats",
    "get_reader",
    "get_writer",
    "help",
    "imiter",
    "immeta",
    "imopen",
    "improps",
    "imread",
    "imsave",
    "imwrite",
    "mimread",
    "mimsave",
    "mimwrite",
    "mvolread",
    "mvolsave",
    "mvolwrite",
    "probe",
    "read",
    "save",
    "sequence",
    "show_formats",
    "status",
    "transcode",
    "volread",
    "volsave",
    "volwrite",
]

RETURN_BYTES = "<bytes>"

# The older names of imageio.
read = get_reader
save = get_writer
imsave = imwrite
mimsave = mimwrite
volsave = volwrite
mvolsave = mvolwrite

_LATER = {
    "aiter": "bridge.aio",
    "formats": "bridge.catalogue",
    "sequence": "bridge.core.uri",
    "imiter": "bridge.v3",
    "immeta": "bridge.v3",
    "imopen": "bridge.v3",
    "improps": "bridge.v3",
    "transcode": "bridge.jobs.transcoding",
}


def __getattr__(name: str) -> Any:
    """Import what needs more than numpy when it is first asked for: importing bridge loads and starts nothing."""
    if name not in _LATER:
        raise AttributeError(f"module 'bridge' has no attribute {name!r}")
    import importlib

    value = globals()[name] = getattr(importlib.import_module(_LATER[name]), name)
    return value


def __dir__() -> list[str]:
    """List the public names, those that are imported later too."""
    return sorted({*globals(), *__all__})
