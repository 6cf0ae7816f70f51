"""NPY and NPZ by somebody who wished us ill: nothing is unpickled, and nothing allocated that is not there."""

from __future__ import annotations

import contextlib
import io
import os
import pickle
import re
import struct
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bridge
from bridge.errors import (
    BridgeError,
    CorruptMedia,
    ForbiddenFormat,
    ForbiddenUri,
    LimitExceeded,
    TruncatedMedia,
    UnsupportedPixels,
)
from bridge.limits import TRUST, Limits
from tests.strategies import mutated

if TYPE_CHECKING:
    from collections.abc import Iterator

_ARRAY = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)


@pytest.fixture(autouse=True)
def _small() -> Iterator[None]:
    """Nothing here takes memory of another order than the file."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _peak()
    yield
    assert _peak() - before < 64 << 10


def _peak() -> int:
    """Read the most memory that this process has had, in KiB."""
    found = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    return int(found[1]) if found else 0


def _npy(header: str, data: bytes = bytes(64)) -> bytes:
    return b"\x93NUMPY\1\0" + struct.pack("<H", len(header)) + header.encode() + data


def _of(descr: str = "'<f4'", shape: str = "(4,)", data: bytes = bytes(64)) -> bytes:
    return _npy(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}", data)


def _npz(*members: tuple[str | zipfile.ZipInfo, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w", method) as archive:
        warnings.simplefilter("ignore")  # of names that are there twice
        for name, data in members:
            archive.writestr(name, data)
    return made.getvalue()


def _saved(array: Any, *, pickles: bool = False) -> bytes:
    made = io.BytesIO()
    np.lib.format.write_array(made, array, allow_pickle=pickles)
    return made.getvalue()


def _read(data: bytes, tmp_path: Path, extension: str = ".npz", **limits: Any) -> Any:
    (tmp_path / f"a{extension}").write_bytes(data)
    return bridge.volread(tmp_path / f"a{extension}", limits=Limits(**limits))


class _Payload:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.canary),)


@pytest.mark.parametrize("trust", TRUST)
@pytest.mark.parametrize("kind", [".npy", ".npz"])
def test_20_pickle_as_npz(trust: str, kind: str, tmp_path: Path) -> None:
    data = _saved(np.array([_Payload(tmp_path / "canary")], object), pickles=True)
    with pytest.raises(ForbiddenFormat if trust == "untrusted" else UnsupportedPixels):
        _read(data if kind == ".npy" else _npz(("a.npy", data)), tmp_path, kind, trust=trust)
    assert not (tmp_path / "canary").exists()
    np.lib.format.read_array(io.BytesIO(data), allow_pickle=True)
    assert (tmp_path / "canary").exists()  # so it would have been run


@pytest.mark.parametrize("kind", [".npy", ".npz"])
def test_20_a_pickle_in_its_place(kind: str, tmp_path: Path) -> None:
    data = pickle.dumps(_Payload(tmp_path / "canary"))
    with pytest.raises(BridgeError):
        _read(data if kind == ".npy" else _npz(("a.npy", data)), tmp_path, kind)
    assert not (tmp_path / "canary").exists()


_SHAPES = {
    "93 GiB": (_of(shape="(100000, 1000000)"), TruncatedMedia),
    "2 to the 80": (_of(shape=f"({1 << 40}, {1 << 40})"), CorruptMedia),
    "nothing of it": (_of(shape=f"(0, {1 << 70})"), CorruptMedia),
    "100 axes": (_of(shape=str((1,) * 100)), CorruptMedia),
    "no bytes each": (_of("'V0'", f"({1 << 40},)"), UnsupportedPixels),
    "arrays each": (_of("('<f4', (4,))", "(4,)"), UnsupportedPixels),
    "2 GB each": (_of("'V2000000000'", "(1,)"), TruncatedMedia),
    "records": (_of(f"[('a', '<f4', ({1 << 28},))]", "(1,)"), TruncatedMedia),
    "objects in records": (_of("[('a', 'O')]", "(1,)"), UnsupportedPixels),
    "deep": (_npy("(" * 9000), CorruptMedia),
    "deeper": (_npy("-" * 9000), CorruptMedia),
    "long": (_npy(" " * 60_000), CorruptMedia),
    "code": (_npy("__import__('os').abort()"), CorruptMedia),
    "floats": (_of(shape="(1e9,)"), CorruptMedia),
}


@pytest.mark.parametrize("kind", [".npy", ".npz"])
@pytest.mark.parametrize("name", _SHAPES)
def test_84_npy_shape_bomb(kind: str, name: str, tmp_path: Path) -> None:
    data, error = _SHAPES[name]
    with pytest.raises(error) as caught:
        _read(data if kind == ".npy" else _npz(("a.npy", data)), tmp_path, kind)
    assert type(caught.value) in (error, CorruptMedia)


@pytest.mark.parametrize("kind", [".npy", ".npz"])
@pytest.mark.parametrize("shape", ["(-1,)", "(-4, -4)", "(4, -1)", "(0, -5)"])
def test_84_npy_negative_shape(kind: str, shape: str, tmp_path: Path) -> None:
    data = _of(shape=shape)
    with pytest.raises(CorruptMedia):
        _read(data if kind == ".npy" else _npz(("a.npy", data)), tmp_path, kind)


def test_75_an_npz_that_is_a_bomb(tmp_path: Path) -> None:
    head = _of("'u1'", f"({200 << 20},)", b"")
    made = tmp_path / "bomb.npz"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_BZIP2) as archive, archive.open("a.npy", "w") as member:
        member.write(head)
        for _ in range(200):
            member.write(bytes(1 << 20))
    cases: tuple[dict[str, Any], ...] = ({}, {"archive_ratio": 1 << 30, "content": 100 << 20})
    for limits in cases:
        with pytest.raises(LimitExceeded, match=r"Limits\((archive_ratio|content)="):
            bridge.volread(made, limits=Limits(**limits))


def test_75_zeros_are_no_bomb(tmp_path: Path) -> None:
    zeros = np.zeros((12, 1024, 1024), np.uint8)
    bridge.volwrite(tmp_path / "a.npz", zeros)
    assert (tmp_path / "a.npz").stat().st_size * 1000 < zeros.nbytes
    assert np.array_equal(bridge.volread(tmp_path / "a.npz"), zeros)
    with pytest.raises(LimitExceeded, match="archive_ratio=999 "):
        bridge.volread(tmp_path / "a.npz", limits=Limits(archive_ratio=999))


def test_76_members_of_an_npz_over_each_other(tmp_path: Path) -> None:
    data = bytearray(_npz(("a.npy", _saved(_ARRAY)), ("b.npy", _saved(_ARRAY))))
    at = data.rindex(b"PK\x01\x02") + 42
    data[at : at + 4] = bytes(4)
    with pytest.raises(CorruptMedia, match="over each other"):
        _read(bytes(data), tmp_path)


@pytest.mark.parametrize("told", [10, 99_999])
def test_77_an_npz_that_lies_about_its_size(told: int, tmp_path: Path) -> None:
    data = bytearray(_npz(("a.npy", _saved(_ARRAY))))
    at = data.rindex(b"PK\x01\x02") + 24
    data[at : at + 4] = struct.pack("<I", told)
    with pytest.raises((CorruptMedia, TruncatedMedia)):
        _read(bytes(data), tmp_path)


def test_77_a_wrong_checksum_is_seen(tmp_path: Path) -> None:
    data = _npz(("a.npy", _saved(_ARRAY)), method=zipfile.ZIP_STORED)
    changed = data.replace(_ARRAY.tobytes(), bytes(_ARRAY.nbytes))
    assert changed != data
    with pytest.raises(CorruptMedia, match="checksum"):
        _read(changed, tmp_path)


def test_78_an_npz_of_too_many_members(tmp_path: Path) -> None:
    data = _npz(*((f"{number}.npy", _saved(_ARRAY)) for number in range(5)))
    with pytest.raises(LimitExceeded, match=r"5 members, .*archive_entries=4 .*Limits\(archive_entries="):
        _read(data, tmp_path, archive_entries=4)
    assert np.array_equal(_read(data, tmp_path, archive_entries=5), _ARRAY)


def test_79_an_npz_with_a_name_twice(tmp_path: Path) -> None:
    with pytest.raises(CorruptMedia, match="2 members"):
        _read(_npz(("a.npy", _saved(_ARRAY)), ("a.npy", _saved(_ARRAY + 1))), tmp_path)


def test_80_names_of_an_npz_are_only_names(tmp_path: Path) -> None:
    data = _npz(("../../up.npy", _saved(_ARRAY)), ("/etc/x.npy", _saved(_ARRAY)))
    (tmp_path / "a.npz").write_bytes(data)
    with bridge.get_reader(tmp_path / "a.npz", mode="V") as reader:
        assert reader.get_meta_data()["names"] == ["../../up", "/etc/x"]
        assert np.array_equal(reader.get_data(1), _ARRAY)
    assert not (tmp_path.parent.parent / "up.npy").exists()
    assert list(tmp_path.iterdir()) == [tmp_path / "a.npz"]


def test_81_an_encrypted_npz(tmp_path: Path) -> None:
    data = bytearray(_npz(("a.npy", _saved(_ARRAY))))
    data[6], data[data.rindex(b"PK\x01\x02") + 8] = 1, 1
    with pytest.raises(ForbiddenUri, match="encrypted"):
        _read(bytes(data), tmp_path)


def test_82_an_npz_in_an_npz(tmp_path: Path) -> None:
    with pytest.raises(CorruptMedia, match="NPY header"):
        _read(_npz(("a.npy", _npz(("b.npy", _saved(_ARRAY))))), tmp_path)


def test_83_a_link_in_an_npz(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("a.npy")
    info.external_attr = 0o120777 << 16
    with pytest.raises(ForbiddenUri, match="link"):
        _read(_npz((info, b"/etc/passwd")), tmp_path)


def test_what_a_probe_says_needs_no_array(tmp_path: Path) -> None:
    made = tmp_path / "a.npz"
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("a.npy", "w") as member:
        member.write(_of("'u1'", f"(300, {1 << 20})", b""))
        packer = np.random.default_rng(1).bytes(1 << 10) * 1024
        for _ in range(300):
            member.write(packer)
    assert bridge.probe(made).pages[0].shape == (300, 1 << 20)


@given(data=st.data())
def test_damage_gives_errors_of_ours_or_an_array(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from([_saved(_ARRAY), _npz(("a.npy", _saved(_ARRAY)))]))
    with contextlib.suppress(BridgeError):
        bridge.volread(data.draw(mutated(whole)), ".npy" if whole[:1] == b"\x93" else ".npz")
