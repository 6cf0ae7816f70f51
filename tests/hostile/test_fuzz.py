"""Small files, changed at random: a picture or an error of ours, and nothing else; what was found is kept."""

from __future__ import annotations

import os
import random
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bridge
from tests.hostile.fuzz import fuzz, read, seeds

if TYPE_CHECKING:
    from tests.hostile.case import World
    from tests.hostile.watch import Stands

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

_SOURCES = sorted(path for path in Path(bridge.__file__).parent.rglob("*.py") if "__pycache__" not in path.parts)
SEED = int(os.environ.get("FRAMEBRIDGE_FUZZ_SEED", zlib.crc32(b"".join(path.read_bytes() for path in _SOURCES))))
SECONDS = float(os.environ.get("FRAMEBRIDGE_FUZZ_SECONDS", "60"))
CORPUS = sorted(path for path in Path(__file__).with_name("corpus").iterdir() if path.suffix != ".md")


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.usefixtures("stands")
def test_changed_files(world: World, tmp_path: Path) -> None:
    """Other changes for each state of the sources, and the same ones whenever that state is tested again."""
    count, findings = fuzz(world.place(tmp_path), SECONDS, SEED)
    print(f"seed {SEED}: {count} inputs in {SECONDS:g} s")  # noqa: T201 - with which it can be done again
    told = [f"{finding.name} at {finding.level}: {finding.fault}" for finding in findings]
    assert not findings, f"seed {SEED}, {count} inputs; scripts/fuzz keeps such files:\n" + "\n".join(told)
    assert count > SECONDS / 2


def test_the_seeds_are_sound(world: World, tmp_path: Path) -> None:
    place = world.place(tmp_path)
    for name, data in seeds(place).items():
        with bridge.get_reader(place.write(name, data)) as reader:
            assert reader.get_data(0).size, name


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
@pytest.mark.parametrize("level", ["trusted", "normal", "untrusted"])
def test_what_was_found_once(path: Path, level: str, stands: Stands, tmp_path: Path) -> None:
    del stands
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    for seed in range(5):
        assert not read(copy, level, random.Random(seed))  # noqa: S311 - ways to call
