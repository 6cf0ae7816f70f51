"""One world for all hostile inputs: servers of this machine, films made once, stand-ins for documents' programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import bridge
from bridge.magick import warm
from tests.hostile.case import World
from tests.hostile.forms import png
from tests.hostile.watch import Stands

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("world")) as world:
        yield world


@pytest.fixture(scope="package")
def stands(tmp_path_factory: pytest.TempPathFactory, _own_temporary_folder: Path) -> Stands:
    """Stand-ins for Ghostscript and its like."""
    stands = Stands(tmp_path_factory.mktemp("stands"))
    bridge.imread(png())  # whatever lasts, once started, has been started
    warm.close()
    return stands
