"""TIFF by somebody who wished us ill: refused quickly, for a reason, and without the memory that it asks for."""

from __future__ import annotations

import contextlib
import re
import struct
import time
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st

import bridge
from bridge.arrays import strips
from bridge.errors import BridgeError, CorruptMedia, LimitExceeded, TruncatedMedia
from bridge.limits import TRUST, Limits
from tests.strategies import mutated

if TYPE_CHECKING:
    from collections.abc import Iterator

_SAMPLES = bytes(range(64))


def _entry(tag: int, kind: int, count: int, value: int) -> bytes:
    return struct.pack("<HHIHH" if kind == 3 and count == 1 else "<HHII", tag, kind, count, value, *[0][: kind == 3])


def _tiff(*pages: dict[int, tuple[int, int, int]], data: bytes = _SAMPLES, turn: int | None = None) -> bytes:
    """Make a TIFF of pages of 8x8, whose entries (type, count, value) can be others; the chain may turn back to one."""
    usual = {256: (3, 1, 8), 257: (3, 1, 8), 258: (3, 1, 8), 259: (3, 1, 1), 262: (3, 1, 1), 273: (4, 1, 8),
             277: (3, 1, 1), 278: (3, 1, 8), 279: (4, 1, len(data))}  # fmt: skip
    made = bytearray(b"II*\0" + struct.pack("<I", 8 + len(data)) + data)
    begins = []
    for page in pages:
        entries = [_entry(tag, *value) for tag, value in sorted((usual | page).items())]
        begins.append(len(made))
        made += struct.pack("<H", len(entries)) + b"".join(entries)
        made += struct.pack("<I", len(made) + 4 if len(begins) < len(pages) else 0)
    if turn is not None:
        struct.pack_into("<I", made, len(made) - 4, begins[turn])
    return bytes(made)


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    """Nothing here takes memory of another order than the file."""
    bridge.imread(_tiff({}))  # what is imported counts elsewhere
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _peak()
    yield
    assert _peak() - before < 64 << 10


def _peak() -> int:
    """Read the most memory that this process has had, in KiB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0


def _refused(data: bytes, error: type[BridgeError], words: str, **options: Any) -> None:
    begin = time.process_time()
    with pytest.raises(error, match=words) as caught:
        bridge.imread(data, **options)
    assert type(caught.value) is error
    assert time.process_time() - begin < 1


@pytest.mark.parametrize("trust", TRUST)
@pytest.mark.parametrize(("pages", "turn"), [(1, 0), (2, 0), (2, 1), (50, 7)])
def test_62_tiff_ifd_loop(trust: str, pages: int, turn: int) -> None:
    _refused(_tiff(*[{}] * pages, turn=turn), CorruptMedia, "without an end", limits=Limits(trust=trust))


@pytest.mark.parametrize("trust", TRUST)
def test_63_tiff_100k_pages(trust: str, tmp_path: Path) -> None:
    data = _tiff(*[{}] * 1000)
    at, length = 8 + len(_SAMPLES), (len(data) - 8 - len(_SAMPLES)) // 1000
    page = data[at : at + length - 4]
    chain = b"".join(page + struct.pack("<I", at + (number + 1) * length) for number in range(100_000))
    (tmp_path / "a.tif").write_bytes(data[:at] + chain[:-4] + bytes(4))
    begin = time.process_time()
    with pytest.raises(LimitExceeded, match=r"more than 65535 pages.*Limits\(frames="):
        bridge.imread(tmp_path / "a.tif", limits=Limits(trust=trust))
    assert time.process_time() - begin < 1


def test_63_more_pages_where_that_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bridge.arrays.directories._PAGES", 5)
    data = _tiff(*[{}] * 6)
    for limits in (Limits(), Limits(frames=1), Limits(trust="untrusted", frames=9)):
        _refused(data, LimitExceeded, "more than 5 pages", limits=limits)
    assert bridge.imread(data, limits=Limits(frames=6)).shape == (6, 8, 8)


@pytest.mark.parametrize(
    ("page", "error", "words"),
    [
        ({256: (4, 1, 13_000), 257: (4, 1, 13_000), 278: (4, 1, 13_000)}, CorruptMedia, "failed to read 169000000"),
        ({256: (4, 1, 1), 257: (4, 1, 1 << 31)}, LimitExceeded, "1x2147483648 pixels.*pixels="),
        ({256: (4, 1, 1 << 31), 257: (4, 1, 1 << 31)}, LimitExceeded, r"limit pixels=178956970 .*Limits\(pixels="),
        ({256: (4, 1, 70_000), 257: (4, 1, 1)}, LimitExceeded, r"limit side=65535 .*Limits\(side="),
        ({273: (4, 1 << 28, 8)}, CorruptMedia, "missing data offset"),
        ({277: (3, 1, 65_535), 256: (3, 1, 4096), 257: (3, 1, 4096)}, LimitExceeded, "volumes_memory="),
        ({32997: (4, 1, 1 << 30)}, LimitExceeded, "pixels="),
    ],
    ids=["rows", "high", "square", "side", "count", "samples", "deep"],
)
def test_64_tiff_huge_strip(page: dict[int, tuple[int, int, int]], error: type[BridgeError], words: str) -> None:
    _refused(_tiff(page), error, words)


def test_64_a_strip_that_is_longer_than_the_file_is_what_is_there() -> None:
    assert bridge.imread(_tiff({279: (4, 1, 0xFFFFFFFF)})).tobytes() == _SAMPLES


def test_64_every_page_counts_not_only_the_first() -> None:
    data = _tiff({}, {256: (4, 1, 20_000), 257: (4, 1, 20_000), 278: (4, 1, 20_000)})
    with bridge.get_reader(data, mode="I") as reader:
        assert reader.get_data(0).shape == (8, 8)
        with pytest.raises(LimitExceeded, match="pixels="):
            reader.get_data(1)


def _bomb(compression: int) -> bytes:
    """Pack 100 MB of zeros, a piece at a time; of PackBits, which does no better than 64 to 1, 64 MB."""
    if compression == 32773:
        return bytes([129, 0]) * 500_000
    lzma = pytest.importorskip("lzma")
    packer = lzma.LZMACompressor(preset=0) if compression == 34925 else zlib.compressobj(1)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(100)) + packer.flush()


@pytest.mark.parametrize("compression", [8, 32946, 34925, 32773])
@pytest.mark.parametrize("box", [None, (1, 1, 3, 3)])
def test_64_a_strip_decompresses_no_further_than_its_page(compression: int, box: Any) -> None:
    data = _tiff({259: (3, 1, compression)}, data=_bomb(compression))
    found = bridge.imread(data, crop=box)
    assert not np.asarray(found).any()
    assert found.shape == ((8, 8) if box is None else (3, 3))


def test_64_one_strip_that_is_every_pages() -> None:
    strip = zlib.compress(bytes(4_000_000), 9)
    page = {256: (3, 1, 2000), 257: (3, 1, 2000), 278: (3, 1, 2000), 259: (3, 1, 8)}
    data = _tiff(*[page] * 1000, data=strip)
    _refused(data, LimitExceeded, r"take 4000.0 MB, .*volumes_memory=1000000000 .*Limits\(volumes_memory=")
    with pytest.raises(LimitExceeded):
        bridge.volread(data)
    _refused(data, LimitExceeded, "take 4000.0 MB", crop=(0, 0, 2, 2))


@pytest.mark.parametrize("trust", TRUST)
def test_65_tiff_tag_bomb(trust: str) -> None:
    """Two thousand values, each of nearly all the file."""
    page = {40_000 + number: (2, 900_000, 8) for number in range(2000)}
    _refused(_tiff(page, data=bytes(1 << 20)), CorruptMedia, "lie over each other", limits=Limits(trust=trust))


def test_65_directories_over_each_other() -> None:
    """Each begins twelve bytes after the one before, and has all the entries of the next."""
    entry = struct.pack("<HHIHH", 1, 1, 0x0FFF, 0, 0)
    data = bytearray(b"II*\0\x08\0\0\0" + entry * 9000)
    chain = range(8, 12 * 3000, 12)
    for begin in chain:
        struct.pack_into("<H", data, begin, 4000)
        struct.pack_into("<I", data, begin + 2 + 4000 * 12, begin + 12)
    _refused(bytes(data), CorruptMedia, "lie over each other|entries")


@pytest.mark.parametrize("head", [b"II+\0\x08\0\0\0\x10\0\0\0\0\0\0\0", b"MM\0+\0\x08\0\0\0\0\0\0\0\0\0\x10"])
def test_65_a_directory_of_2_to_the_60_entries(head: bytes) -> None:
    _refused(head + b"\x10\0\0\0\0\0\0\x10" + bytes(64), CorruptMedia, "directory of 115292150460684")


def test_65_values_that_are_not_in_the_file_are_left_out() -> None:
    found = bridge.imread(_tiff({40_000: (4, 0x3FFFFFFF, 8), 40_001: (2, 99, 0xFFFFFF00)}))
    assert found.tobytes() == _SAMPLES


def test_a_chain_that_leaves_the_file() -> None:
    data = _tiff({})
    _refused(data[:-4] + struct.pack("<I", 1 << 30), TruncatedMedia, "before its page directory")


@pytest.mark.parametrize("compression", ["zlib", "lzma", "packbits"])
@pytest.mark.parametrize("dtype", ["uint8", ">u2", "<f4"])
def test_what_is_decompressed_with_a_bound_is_what_tifffile_gives(compression: str, dtype: str, tmp_path: Path) -> None:
    """Pages, tiles and strips, odd sizes; written by hand where tifffile cannot without imagecodecs."""
    picture = np.random.default_rng(1).integers(0, 9, (37, 53)).astype(dtype)
    rows = np.ascontiguousarray(picture.astype(np.dtype(dtype).newbyteorder("<"))).tobytes()
    literal = b"".join(bytes([len(rows[at : at + 128]) - 1]) + rows[at : at + 128] for at in range(0, len(rows), 128))
    kind, packed = {
        "zlib": (8, zlib.compress(rows)),
        "lzma": (34925, pytest.importorskip("lzma").compress(rows)),
        "packbits": (32773, b"\x80" + literal + b"\x80"),
    }[compression]
    size = picture.dtype.itemsize
    page = {256: (3, 1, 53), 257: (3, 1, 37), 278: (3, 1, 37), 259: (3, 1, kind), 258: (3, 1, 8 * size),
            339: (3, 1, 3 if size == 4 else 1)}  # fmt: skip
    (tmp_path / "a.tif").write_bytes(_tiff(page, data=packed))
    assert np.array_equal(bridge.imread(tmp_path / "a.tif"), picture)
    tiles = (16, 32)
    tifffile.imwrite(tmp_path / "b.tif", picture, compression="zlib", tile=tiles, predictor=False)
    assert np.array_equal(bridge.imread(tmp_path / "b.tif"), picture)


def test_a_strip_that_is_cut_is_damaged() -> None:
    packed = zlib.compress(_SAMPLES)[:-6]
    _refused(_tiff({259: (3, 1, 8)}, data=packed), CorruptMedia, "truncated")
    wrong = zlib.compress(_SAMPLES)[:-4] + b"abcd"
    _refused(_tiff({259: (3, 1, 8)}, data=wrong), CorruptMedia, "incorrect data check")


@given(data=st.binary(max_size=300), most=st.integers(0, 600))
def test_packbits_is_theirs_up_to_the_bound(data: bytes, most: int) -> None:
    from tifffile._imagecodecs import packbits_decode

    whole = packbits_decode(data)
    found = strips._packbits(data, out=most)
    assert strips._packbits(data) == whole
    assert found[:most] == whole[:most]
    assert len(found) <= most + 128


@given(data=st.data())
def test_damage_gives_errors_of_ours_or_a_picture(data: st.DataObject) -> None:
    page = {259: (3, 1, 8), 40_000: (2, 20, 8)}
    with contextlib.suppress(BridgeError):
        bridge.imread(data.draw(mutated(_tiff(page, page, data=zlib.compress(_SAMPLES)))), ".tif")
