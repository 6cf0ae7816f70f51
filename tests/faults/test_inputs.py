"""Faults 35, 36, 41 and 42: inputs that change while they are read, and objects that misbehave."""

from __future__ import annotations

import io
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge.errors import BridgeError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

PICTURE = np.full((8, 9, 3), 77, np.uint8)
PNG = bridge.imwrite("<bytes>", PICTURE, ".png") or b""


def _replaced(path: Path) -> None:
    other = path.with_name("other")
    other.write_bytes(b"something else altogether" * 1000)
    os.replace(other, path)  # noqa: PTH105 - over what is there


def _removed(path: Path) -> None:
    path.unlink()


def _grown(path: Path) -> None:
    with path.open("ab") as file:
        file.write(bytes(100_000))


@pytest.mark.parametrize("change", [_replaced, _removed, _grown])
def test_a_file_that_changes_while_it_is_read(change: Callable[[Path], None], film: Path, tmp_path: Path) -> None:
    """What was opened is what is read."""
    path = tmp_path / "film.mp4"
    path.write_bytes(film.read_bytes())
    sound = [np.asarray(frame).copy() for frame in bridge.mimread(film)]
    got: list[np.ndarray[Any, Any]] = []
    with bridge.get_reader(path) as reader:
        for frame in reader:
            if not got:
                change(path)
            got.append(np.asarray(frame))
    assert len(got) == len(sound)
    assert all(map(np.array_equal, got, sound))


def test_a_file_that_shrinks_while_it_is_read(film: Path, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(film.read_bytes())
    sound = [np.asarray(frame).copy() for frame in bridge.mimread(film)]
    got: list[np.ndarray[Any, Any]] = []
    with pytest.raises(BridgeError), bridge.get_reader(path) as reader:
        for frame in reader:
            if not got:
                os.truncate(path, path.stat().st_size // 3)
            got.append(np.asarray(frame).copy())
    assert len(got) < len(sound)
    assert all(map(np.array_equal, got, sound))


def test_a_picture_that_shrinks_between_opening_and_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(
        bridge.imwrite("<bytes>", np.random.default_rng(1).integers(0, 256, (90, 90), np.uint8), ".png") or b""
    )
    with bridge.get_reader(path) as reader:
        os.truncate(path, 500)
        with pytest.raises(BridgeError):
            reader.get_data(0)


class _Short(io.RawIOBase):
    """Gives a byte or two at a time."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readable(self) -> bool:
        return True

    def read(self, count: int = -1) -> bytes:
        return self._data.read(min(count, 2) if count > 0 else 2)


class _Raises(_Short):
    """Fails after a while."""

    def read(self, count: int = -1) -> bytes:
        if self._data.tell() > 20:
            raise ZeroDivisionError("mine")
        return super().read(count)


def test_objects_that_give_little_or_raise() -> None:
    assert np.array_equal(bridge.imread(_Short(PNG)), PICTURE)
    with pytest.raises(ZeroDivisionError, match="mine"):
        bridge.imread(_Raises(PNG))


def test_an_interrupt_ends_the_wait_for_an_object() -> None:
    class Interrupted(_Short):
        def read(self, count: int = -1) -> bytes:
            del count
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        bridge.imread(Interrupted(PNG))
