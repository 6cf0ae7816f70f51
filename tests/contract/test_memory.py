"""`memtest`: too much is refused from what the file says of itself, before a byte of it is decoded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import numpy as np
import pytest

import bridge
from bridge import errors
from tests.contract.samples import sample_of
from tests.contract.text import says

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clips
    from tests.contract.conftest import Files


def sparse(path: Path, shape: tuple[int, ...]) -> Path:
    """An array that takes no room on the disk."""
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=shape).flush()
    return path


@says(
    "If True (default), this function will raise an error if the resulting list of images consumes over 256 MB of "
    "memory.",
    "This is to protect the system using so much memory that it needs to resort to swapping, and thereby stall the "
    "computer.",
)
def test_256_mb_of_images(tmp_path: Path) -> None:
    path = sparse(tmp_path / "array.npy", (10_000, 30_000))
    for memtest in (True, "256 MB", 256e6):
        with pytest.raises(errors.LimitExceeded, match="memtest") as caught:
            bridge.mimread(path, memtest=memtest)
        assert "300" in str(caught.value)
        assert "256" in str(caught.value)
        assert "get_reader" in str(caught.value)
        assert isinstance(caught.value, RuntimeError)
    with pytest.raises(errors.LimitExceeded):
        bridge.mimread(path)
    assert bridge.mimread(path, memtest=False)[0].nbytes == 300_000_000


@says(
    "If True (default), this function will raise an error if the resulting list of images consumes over 1 GB of memory."
)
def test_1_gb_of_volumes(tmp_path: Path) -> None:
    path = sparse(tmp_path / "volume.npy", (11, 10_000, 10_000))
    begin = time.monotonic()
    with pytest.raises(errors.LimitExceeded, match="memtest") as caught:
        bridge.mvolread(path)
    assert time.monotonic() - begin < 1
    assert "1100" in str(caught.value).replace(",", "") or "1.1" in str(caught.value)
    path = sparse(tmp_path / "volume.npy", (3, 10_000, 10_000))
    assert bridge.mvolread(path)[0].nbytes == 300_000_000


@says("E.g. mimread('hunger_games.avi').")
@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_a_long_film_is_refused_before_it_is_decoded(lavfi: Clips) -> None:
    film = lavfi("long.mp4", "color=s=1920x1080:d=20:r=25", "-c:v", "libx264", "-preset", "ultrafast", "-g", "500")
    begin = time.monotonic()
    with pytest.raises(errors.LimitExceeded, match="memtest") as caught:
        bridge.mimread(film)
    assert time.monotonic() - begin < 2
    assert "3110" in str(caught.value).replace(",", "") or "3.1" in str(caught.value)  # 500 frames of 6.2 MB


@pytest.mark.program
@pytest.mark.needs("ffmpeg", "magick")
@pytest.mark.parametrize("name", ["GIF", "MP4", "NPZ", "PNG", "TIFF", "APNG"])
def test_the_size_that_counts_is_that_of_the_arrays(name: str, files: Files) -> None:
    sample = sample_of(name)
    size = sum(image.nbytes for image in bridge.mimread(files(sample)))
    assert len(bridge.mimread(files(sample), memtest=size)) == sample.count
    with pytest.raises(errors.LimitExceeded):
        bridge.mimread(files(sample), memtest=size - 1)
