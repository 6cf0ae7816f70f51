"""What the programs of this folder that use the tests' code stand on: its path, and a folder for temporary files."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ROOT", "ground"]

ROOT = Path(__file__).resolve().parent.parent.parent
sys.path.append(str(ROOT))  # behind the installed package, which is what is tried


@contextlib.contextmanager
def ground() -> Iterator[Path]:
    """Give a folder; temporary files go to one of our own below it, so that what is left there is ours."""
    with tempfile.TemporaryDirectory(prefix="framebridge-ground-") as folder:
        own = Path(folder, "tmp")
        own.mkdir()
        os.environ["TMPDIR"] = str(own)
        os.environ["FRAMEBRIDGE_CACHE"] = str(Path(folder, "cache"))
        tempfile.tempdir = str(own)
        try:
            yield Path(folder)
        finally:
            tempfile.tempdir = None
