"""What AVIF and HEIC say of themselves, as Pillow writes it."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

import bridge
from bridge.media.heif import heif, texts
from bridge.media.metadata import read_groups

if TYPE_CHECKING:
    from bridge.media.head import ReadAt

_XMP = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    b'<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" dc:format="image/avif"/></rdf:RDF></x:xmpmeta>'
)
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
MAKE, ORIENTATION = 0x10F, 0x112


def picture(orientation: int = 1) -> bytes:
    rows, columns = np.mgrid[0:48, 0:64]
    pixels = np.stack([columns * 4, rows * 5, rows + columns], -1).astype(np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION], exif[MAKE] = orientation, "Ours"
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "AVIF", quality=90, exif=exif, icc_profile=PROFILE, xmp=_XMP)
    return file.getvalue()


WHOLE = picture(6)


def reader(data: bytes) -> ReadAt:
    return lambda at, count: data[at : at + count]


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_groups_are_read(orientation: int) -> None:
    data = picture(orientation)
    with Image.open(io.BytesIO(data)) as image:
        assert image.getexif().get(ORIENTATION, 1) == orientation
    groups = read_groups("avif", reader(data))
    assert groups["EXIF"] == {"Orientation": 1, "Make": "Ours"}  # it is the decoder that turns it
    assert groups["XMP"] == {"dc:format": "image/avif"}
    assert groups["ICC"]["profile"] == PROFILE


@pytest.mark.program
@pytest.mark.needs("magick")
def test_a_turned_picture_is_turned_once() -> None:
    upright = bridge.imread(picture(1))
    for rotate in (False, True):
        turned = bridge.imread(WHOLE, rotate=rotate)
        assert turned.shape == (64, 48, 3)
        assert np.abs(turned.astype(int) - np.rot90(upright, -1)).mean() < 3
        assert turned.meta["EXIF"]["Orientation"] == 1


@given(cut=st.integers(0, len(WHOLE)), at=st.integers(0, 900), byte=st.integers(0, 255))
def test_damage_finds_less_and_nothing_worse(cut: int, at: int, byte: int) -> None:
    damaged = bytearray(WHOLE[:cut])
    if at < len(damaged):
        damaged[at] = byte
    read_at = reader(bytes(damaged))
    assert texts(read_at).exif[0] >= 0
    assert heif(read_at).depth >= 8
    assert isinstance(read_groups("avif", read_at), dict)
