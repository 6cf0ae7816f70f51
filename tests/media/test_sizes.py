"""Sizes out of headers, for limits: damage gives nothing, and never an error of another kind."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bridge.media.sizes import sizes

KINDS = ["ico", "psd", "pcx", "dpx", "pnm", "pam", "tga", "heic", "avif", "mp4", "matroska", "avi", "tiff",
         "png", "gif", "jpeg", "webp", "bmp", "exr", "jxl", "jp2", "qoi", "dds", "sgi"]  # fmt: skip
STARTS = [b"", b"\0\0\1\0\1\0", b"8BPS", b"II*\0\x08\0\0\0", b"\0\0\0\x10ftypavif\0\0\0\0\0\0\0\x10meta", b"GIF89a",
          b"\x1aE\xdf\xa3\x80\x18S\x80g\xff", b"RIFF\0\0\0\0AVI LIST\0\0\0\0hdrl", b"\0\0\0\x40moov\0\0\0\x38trak",
]  # fmt: skip


@given(kind=st.sampled_from(KINDS), start=st.sampled_from(STARTS), rest=st.binary(max_size=200))
def test_any_bytes(kind: str, start: bytes, rest: bytes) -> None:
    data = start + rest
    found = list(sizes(kind, lambda at, count: data[at : at + count] if at >= 0 else b"", len(data)))
    assert all(isinstance(side, int) for size in found for side in size)
