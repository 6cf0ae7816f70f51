"""Camera RAW is TIFF with a small preview in front: that is never given for the picture."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile

import bridge
from bridge import errors
from bridge.media.sniff import sniff

if TYPE_CHECKING:
    from pathlib import Path

PREVIEW = np.zeros((12, 16, 3), np.uint8)


def dng(path: Path) -> Path:
    tifffile.imwrite(path, PREVIEW, photometric="rgb", extratags=[(0xC612, "B", 4, bytes((1, 4, 0, 0)), True)])
    return path


@pytest.mark.program
@pytest.mark.needs("magick")
def test_the_preview_is_not_given_for_the_picture(tmp_path: Path) -> None:
    with pytest.raises((errors.MissingCodec, errors.CorruptMedia), match=r"picture\.dng"):
        bridge.imread(dng(tmp_path / "picture.dng"))


@pytest.mark.program
def test_what_is_missing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBRIDGE_MAGICK", "none")
    with pytest.raises(errors.ToolMissing, match="ImageMagick"):
        bridge.imread(dng(tmp_path / "picture.dng"))


def test_others_are_told_by_their_heads(tmp_path: Path) -> None:
    nef = struct.pack("<2sHLH", b"II", 42, 8, 2) + struct.pack("<HHLLHHLL", 0xFE, 4, 1, 1, 0x14A, 4, 1, 99) + bytes(4)
    assert sniff(nef) == "raw"
    assert sniff(nef.replace(struct.pack("<HHLL", 0xFE, 4, 1, 1), struct.pack("<HHLL", 0xFE, 4, 1, 0))) == "tiff"
    assert sniff(b"II*\0\x10\0\0\0CR\x02\0") == "raw"
    assert sniff(b"IIU\0\x18\0\0\0") == sniff(b"FUJIFILMCCD-RAW 0201") == sniff(b"IIRO\x08\0\0\0") == "raw"
    tifffile.imwrite(tmp_path / "plain.tif", PREVIEW)
    assert sniff((tmp_path / "plain.tif").read_bytes()) == "tiff"
    assert sniff(b"II*\0\xff\xff\xff\xff") == sniff(b"MM\0*") == "tiff"
