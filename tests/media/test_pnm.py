"""PnmFraming: heads as netpbm allows them, however they come in; garbage is corrupt or not enough."""

from __future__ import annotations

import contextlib
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.errors import CorruptMedia
from bridge.media.pixels import for_array, pixel_format
from bridge.media.pnm import PnmFraming, pam_header
from bridge.process.tools import toolbox
from tests.strategies import PnmPicture, feed, mutated, pictures, pieces, pnm_pictures


@given(st.lists(pnm_pictures(), min_size=1, max_size=3), st.data())
def test_pictures_one_after_the_other_cut_up_anywhere(written: list[PnmPicture], data: st.DataObject) -> None:
    stream = b"".join(picture.data for picture in written)
    heads, frames, left = feed(PnmFraming(), data.draw(pieces(stream)))
    assert frames == [picture.pixels for picture in written]
    assert [(head.width, head.height, head.channels, head.maxval) for head in heads] == [
        (picture.width, picture.height, picture.channels, picture.maxval) for picture in written
    ]
    assert left == b""


@given(
    st.one_of(
        st.binary(max_size=100), st.sampled_from([b"P5", b"P7\n", b"PF"]).flatmap(lambda m: st.binary().map(m.__add__))
    )
)
def test_garbage_is_corrupt_or_not_enough(data: bytes) -> None:
    try:
        heads, _, _ = feed(PnmFraming(), [data])
    except CorruptMedia:
        return
    assert all(head.size >= 0 for head in heads)


@given(st.data())
def test_a_damaged_picture_is_corrupt_or_read(data: st.DataObject) -> None:
    damaged = data.draw(mutated(data.draw(pnm_pictures()).data))
    with contextlib.suppress(CorruptMedia):
        feed(PnmFraming(), [damaged])


@pytest.mark.parametrize(
    "head",
    [
        b"P4\n8 8\n",
        b"GIF89a",
        b"P6\n-1 4\n255\n",
        b"P6\nten 4\n255\n",
        b"P7\nWIDTH 3\nHEIGHT 3\nMAXVAL 255\nENDHDR\n",
        b"P7\nWIDTH \nHEIGHT 3\nDEPTH 1\nMAXVAL 255\nENDHDR\n",
        b"P5\n" + b"9" * 5000 + b" 1\n255\n",
    ],
)
def test_a_head_that_makes_no_sense_is_corrupt(head: bytes) -> None:
    with pytest.raises(CorruptMedia):
        PnmFraming().head(head)


@pytest.mark.parametrize("start", [b"P6\n# ", b"P7\n", b"P5"])
def test_a_head_without_an_end_is_not_waited_for_forever(start: bytes) -> None:
    with pytest.raises(CorruptMedia, match="without an end"):
        PnmFraming().head(start + b" " * (1 << 17))


@given(st.sampled_from(["gray", "ya8", "rgb24", "rgba", "gray16le", "ya16le", "rgb48le", "rgba64le"]), st.data())
def test_the_head_that_we_write_is_the_one_that_we_read(name: str, data: st.DataObject) -> None:
    image = data.draw(pictures(pixel_format(name)))
    head, used = PnmFraming().head(pam_header(image))
    assert head is not None
    assert (head.height, head.width, head.channels, head.maxval) == (
        *image.shape[:2],
        for_array(image).channels,
        np.iinfo(image.dtype).max,
    )
    assert head.size == image.nbytes
    assert used == len(pam_header(image))


@pytest.mark.program
@pytest.mark.needs("magick")
@pytest.mark.parametrize(("form", "channels", "depth"), [("pgm", 1, 8), ("ppm", 3, 8), ("pam", 3, 16), ("pfm", 3, 32)])
def test_what_imagemagick_writes(form: str, channels: int, depth: int) -> None:
    size = ("-size", "7x5", "gradient:red-blue", *(("-colorspace", "Gray") if channels == 1 else ()))
    shallow = ("-depth", str(min(depth, 16)), "-type", "Grayscale" if channels == 1 else "TrueColor")
    command = [toolbox().find("magick").path, *size, *shallow, f"{form}:-"]
    sent = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout
    heads, frames, left = feed(PnmFraming(), [sent])
    assert [(head.width, head.height, head.channels) for head in heads] == [(7, 5, channels)]
    assert len(frames[0]) == 7 * 5 * channels * depth // 8
    assert left == b""
