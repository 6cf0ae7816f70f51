"""What the suite of the contract has: the samples, made once, and servers on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.contract.samples import Sample, sample_of
from tests.contract.servers import Servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Files:
    """``files(sample)`` is the path of its file; a Format's name will do as well."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, sample: Sample | str) -> Path:
        if isinstance(sample, str):
            sample = sample_of(sample)
        path = self._folder / sample.format / sample.file
        if not path.exists():
            path.parent.mkdir(exist_ok=True)
            sample.make(path)
        return path


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return Files(tmp_path_factory.mktemp("samples"))


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with Servers() as running:
        yield running


@pytest.fixture
def stack(tmp_path: Path) -> Callable[..., Path]:
    """``stack()`` is a TIFF of five pages of one size, page k all of value k."""

    def make(name: str = "stack.tif") -> Path:
        import numpy as np
        import tifffile

        pages = np.arange(5, dtype=np.uint16).reshape(5, 1, 1) * np.ones((1, 6, 7), np.uint16)
        tifffile.imwrite(tmp_path / name, pages, photometric="minisblack")
        return tmp_path / name

    return make
