"""Films whose headers are changed by hand."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["turned_film"]

_QUARTER = np.array([0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30], ">i4").tobytes()


def turned_film(film: Path, folder: Path) -> Path:
    """Copy an MP4 into a folder, with a display matrix that has viewers turn it by a quarter, clockwise."""
    data = bytearray(film.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    data[at : at + len(_QUARTER)] = _QUARTER
    path = folder / "turned.mp4"
    path.write_bytes(data)
    return path
