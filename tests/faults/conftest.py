"""Films that faults strike in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def film(lavfi: Any) -> Path:
    """A film of 200 frames that takes a while."""
    made: Path = lavfi("film.mp4", "testsrc2=s=320x240:d=8:r=25", "-pix_fmt", "yuv420p", "-c:v", "mpeg4", "-q:v", "5")
    return made


@pytest.fixture(scope="session")
def small_film(lavfi: Any) -> Path:
    made: Path = lavfi("small.mp4", "testsrc2=s=64x48:d=1:r=10", "-pix_fmt", "yuv420p", "-c:v", "mpeg4")
    return made
