"""The 104 hostile inputs at three levels of trust: the right pixels or an error of ours, in time, and nothing left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import bridge
from bridge.errors import CorruptMedia, LimitExceeded
from bridge.limits import TRUST, Limits
from bridge.magick import warm
from tests.hostile.bombs import HEADS
from tests.hostile.makers import CASES
from tests.hostile.runner import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fakes.programs import FakeMaker
    from tests.hostile.case import Case, World
    from tests.hostile.watch import Stands

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

_ROWS = [pytest.param(case, level, id=f"{case.title}-{level}") for case in CASES for level in case.levels]


@pytest.fixture
def _way(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The warm way where it may be taken; what it declines, as most of these, goes the other way after it."""
    monkeypatch.setenv(warm.SETTING, "always" if level == "normal" else "none")


@pytest.mark.usefixtures("_way")
@pytest.mark.parametrize(("case", "level"), _ROWS)
def test_hostile_input(case: Case, level: str, world: World, stands: Stands, tmp_path: Path) -> None:
    outcome = run(case, level, world.place(tmp_path), stands)
    assert not outcome.faults, f"{outcome.result} after {outcome.seconds:.2f} s"


def test_the_catalogue_is_whole() -> None:
    assert {case.number for case in CASES} == {*range(1, 105)}
    titles = [case.title for case in CASES]
    assert len(set(titles)) == len(titles)


# The stand-in for ImageMagick says that it knows no GIF, which is then told first.
_HEADS = [row for row in HEADS if row[1] != "big.gif"]


@pytest.fixture
def broken_programs(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Programs that only complain that somebody has started them."""
    for who, setting in (("ffmpeg", "FFMPEG"), ("ffprobe", "FFPROBE"), ("magick", "MAGICK")):
        monkeypatch.setenv(f"FRAMEBRIDGE_{setting}", str(fake(who, "fails", words="a program was started\n")))


@pytest.mark.usefixtures("broken_programs")
@pytest.mark.parametrize("level", TRUST)
@pytest.mark.parametrize(("name", "make"), [row[1:] for row in _HEADS], ids=[f"{row[0]}-{row[1]}" for row in _HEADS])
def test_what_its_head_gives_away_starts_no_program(
    name: str, make: Callable[[], bytes], level: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(make())
    for read in (bridge.imread, bridge.mimread):
        with pytest.raises((LimitExceeded, CorruptMedia)) as caught:
            read(tmp_path / name, limits=Limits(trust=level))
        assert not caught.value.command, caught.value
