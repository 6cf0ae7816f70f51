"""Where the pages of a TIFF say how their samples are meant, against tifffile."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

from bridge.media.lab import as_rgb, photometrics


def stack(*, big: bool, order: Any) -> bytes:
    made = io.BytesIO()
    with tifffile.TiffWriter(made, bigtiff=big, byteorder=order) as tiff:
        for meaning in ("rgb", "cielab", "icclab"):
            tiff.write(np.zeros((4, 5, 3), np.uint8), photometric=meaning)
    return made.getvalue()


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("order", ["<", ">"])
def test_every_page_is_found_and_would_pass_for_rgb(order: str, big: bool) -> None:
    content = bytearray(stack(big=big, order=order))
    assert [value for value, _ in photometrics(reader(content))] == [2, 8, 9]
    for place, byte in as_rgb(reader(content)).items():
        content[place] = byte
    with tifffile.TiffFile(io.BytesIO(content)) as tiff:
        pages: list[Any] = list(tiff.pages)
        assert [page.photometric for page in pages] == [2, 2, 2]


def reader(content: bytes | bytearray) -> Any:
    return lambda at, count: bytes(content[at : at + count])


@given(st.binary(max_size=60), st.sampled_from([b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"]))
def test_no_bytes_are_too_odd(tail: bytes, magic: bytes) -> None:
    list(photometrics(reader(magic + tail)))


def test_pages_that_go_round_in_circles_end() -> None:
    assert list(photometrics(reader(b"II*\0\x08\0\0\0\0\0\x08\0\0\0"))) == []
