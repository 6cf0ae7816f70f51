"""An ImageMagick that calculates with 8 bits: nothing of 16 bits goes through it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from PIL import Image

import bridge
from bridge import errors
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from pathlib import Path

    from tests.fakes.programs import FakeMaker

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

DEEP = np.arange(24 * 32, dtype=np.uint16).reshape(24, 32) * 85


@pytest.fixture(autouse=True)
def shallow(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBRIDGE_MAGICK", str(fake("magick", version="7.1.1-43 Q8")))
    assert toolbox().find("magick").version.endswith("Q8")


def test_a_png_of_16_bits_goes_another_way(tmp_path: Path) -> None:
    Image.fromarray(DEEP).save(tmp_path / "deep.png")
    with bridge.get_reader(tmp_path / "deep.png") as reader:
        assert reader.format.name == "PNG-FFMPEG"
        assert np.array_equal(reader[0], DEEP)


def test_who_names_it_is_told(tmp_path: Path) -> None:
    Image.fromarray(DEEP).save(tmp_path / "deep.png")
    with pytest.raises(errors.UnsupportedPixels, match=r"16 bits a sample, of which ImageMagick .*Q8 gives 8"):
        bridge.imread(tmp_path / "deep.png", "PNG")


def test_16_bits_are_not_written_with_8(tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedPixels, match=r"keeps 8 bits a sample; .*PNG-FFMPEG"):
        bridge.imwrite(tmp_path / "deep.png", DEEP)
    assert not (tmp_path / "deep.png").exists()
    bridge.imwrite(tmp_path / "deep.png", DEEP, "PNG-FFMPEG")
    assert np.array_equal(np.asarray(Image.open(tmp_path / "deep.png")), DEEP)
