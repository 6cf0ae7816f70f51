"""What other processes do with readers: importable by their name."""

from __future__ import annotations

from typing import Any

import numpy as np

from bridge import errors

__all__ = ["Frames", "forked", "item", "refused", "rest"]


class Frames:
    """A data set over the frames of a film."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader

    def __len__(self) -> int:
        """Count them."""
        return len(self._reader)

    def __getitem__(self, index: int) -> int:
        """Sum one up."""
        return int(np.asarray(self._reader[index]).sum())


def item(data: Frames, index: int) -> int:
    """Give one item of a data set."""
    return data[index]


def rest(reader: Any) -> list[int]:
    """Sum up all frames, and end the reader."""
    with reader:
        return [int(np.asarray(frame).sum()) for frame in reader]


def forked(reader: Any, frames: Any, out: Any) -> None:
    """Read one frame, then go on where the parent stood."""
    out.send([int(reader[7].sum()), *(int(np.asarray(frame).sum()) for frame in frames)])
    reader.close()


def refused(reader: Any, out: Any) -> None:
    """Tell why nothing can be read."""
    try:
        reader.get_data(0)
    except errors.Closed as error:
        out.send(str(error))
