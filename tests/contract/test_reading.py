"""Every Format is read from every kind of uri."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge import errors
from tests.contract.samples import REPRESENTATIVES, SAMPLES, Sample, close_to, frame, picture, sample_of
from tests.contract.text import says
from tests.contract.uris import SOURCES, Dripping, OnlyRead, Source

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.conftest import Files
    from tests.contract.servers import Servers

pytestmark = pytest.mark.program

CASES = [
    pytest.param(sample, source, id=f"{sample.format}-{source.name}", marks=pytest.mark.needs(*sample.needs))
    for source in SOURCES
    for sample in SAMPLES
    if source.everywhere or sample.format in REPRESENTATIVES
]


@says(
    "All functions described here accept a URI to describe the resource to read from or write to.",
    "These can be a wide range of things.",
    "(Imageio takes care of handling the URI so that plugins can access the data in an easy way.)",
    "These can be a wide range of things. (Imageio takes care of handling the URI so that plugins can access the data "
    "in an easy way.)",
    "a normal filename, e.g. 'c:\\foo\\bar.png'",
    "a file in a zipfile, e.g. 'c:\\foo\\bar.zip\\eggs.png'",
    "a file object with a read() / write() method.",
    "an http/ftp address, e.g. 'http://example.com/foo.png'",
    "the raw bytes of an image file",
    "The resource to load the image from, e.g. a filename, http address or file object, see the docs for more info.",
)
@pytest.mark.parametrize(("sample", "source"), CASES)
def test_every_format_from_every_uri(
    sample: Sample, source: Source, files: Files, servers: Servers, tmp_path: Path
) -> None:
    with source.open(files(sample), tmp_path, servers) as uri:
        image = bridge.imread(uri, sample.asked(named=source.named))
        assert sample.holds(0, image)
        assert image.meta is not None
        if hasattr(uri, "closed"):
            assert not uri.closed, "the file is the user's, who closes it"


@says("The resource to load the images from, e.g. a filename, http address or file object, see the docs for more info.")
@pytest.mark.needs("ffmpeg", "magick")
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
@pytest.mark.parametrize("name", ["MP4", "GIF", "NPZ"])
def test_series_from_every_uri(name: str, source: Source, files: Files, servers: Servers, tmp_path: Path) -> None:
    sample = sample_of(name)
    with source.open(files(sample), tmp_path, servers) as uri:
        images = bridge.mimread(uri, sample.asked(named=source.named))
    assert len(images) == sample.count
    assert all(sample.holds(index, image) for index, image in enumerate(images))


@says(
    "The resource to load the volume from, e.g. a filename, http address or file object, see the docs for more info.",
    "The resource to load the volumes from, e.g. a filename, http address or file object, see the docs for more info.",
)
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_volumes_from_every_uri(source: Source, servers: Servers, tmp_path: Path) -> None:
    volume = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    (tmp_path / "made").mkdir()
    np.save(tmp_path / "made" / "volume.npy", volume)
    with source.open(tmp_path / "made" / "volume.npy", tmp_path, servers) as uri:
        assert np.array_equal(bridge.volread(uri), volume)
    np.savez(tmp_path / "made" / "volumes.npz", volume, volume + 1)
    format = None if source.named else "npz"
    for old in (tmp_path / "100 % schön#1?").glob("*"):
        old.unlink()
        old.parent.rmdir()
    with source.open(tmp_path / "made" / "volumes.npz", tmp_path, servers) as uri:
        assert [int(array[0, 0, 0]) for array in bridge.mvolread(uri, format)] == [0, 1]


@pytest.mark.needs("ffmpeg", "magick")
@pytest.mark.parametrize("source", [source for source in SOURCES if source.everywhere], ids=lambda source: source.name)
def test_a_reader_steps_about_in_every_uri(source: Source, files: Files, servers: Servers, tmp_path: Path) -> None:
    """Going back means decoding again: from a stream that can be read only once as well."""
    with source.open(files("MP4"), tmp_path, servers) as uri, bridge.get_reader(uri) as reader:
        for index in (3, 0, 5, 4):
            assert close_to(reader.get_data(index), frame(index))
        assert reader.get_length() == 6


@pytest.mark.parametrize("given", [memoryview(b"xx"), bytearray(b"xx"), b"xx"])
def test_bytes_of_nothing_known(given: Any) -> None:
    with pytest.raises(errors.UnknownFormat):
        bridge.imread(given)


@pytest.mark.needs("magick")
def test_bytes_that_are_not_one_after_the_other(files: Files) -> None:
    content = files("PNG").read_bytes()
    spread = bytearray(2 * len(content))
    spread[::2] = content
    assert np.array_equal(bridge.imread(memoryview(spread)[::2]), picture())


@pytest.mark.needs("magick")
def test_bytes_may_change_once_they_are_given(files: Files) -> None:
    content = bytearray(files("PNG").read_bytes())
    with bridge.get_reader(content) as reader:
        content[:] = bytes(len(content))
        assert np.array_equal(reader.get_data(0), picture())


@pytest.mark.parametrize("given", [b"", bytearray(), memoryview(b"")])
def test_no_bytes(given: Any) -> None:
    with pytest.raises(errors.CorruptMedia, match="empty"):
        bridge.imread(given)


# File objects


@pytest.mark.needs("magick")
def test_file_object_keeps_open_and_its_name_is_a_hint(files: Files) -> None:
    with files("TGA").open("rb") as file:  # a TGA is known by its name alone
        assert bridge.imread(file).shape == picture().shape
        assert not file.closed


def test_file_in_text_mode(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_text("text")
    with (tmp_path / "picture.png").open() as file, pytest.raises(errors.UriError, match="text mode"):
        bridge.imread(file)
    with pytest.raises(errors.UriError, match="text"):
        bridge.imread(io.StringIO("text"))


def test_closed_file_object(files: Files) -> None:
    with files("PNG").open("rb") as file:
        pass
    with pytest.raises(ValueError, match="closed"):
        bridge.imread(file)


def test_empty_file_object() -> None:
    with pytest.raises(errors.CorruptMedia, match="empty"):
        bridge.imread(io.BytesIO())


class Breaking(OnlyRead):
    def read(self, count: int = -1) -> bytes:
        if got := super().read(min(count, 100) if count > 0 else 100):
            return got
        raise KeyError("the cable is out")


@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("name", ["PNG", "MP4", "NPY"])
def test_what_read_raises_comes_out(name: str, files: Files) -> None:
    with pytest.raises(KeyError, match="the cable is out"):
        bridge.imread(Breaking(files(name).read_bytes()))


@pytest.mark.parametrize("given", [None, 7, 1.5, object(), ["a.png"], np.zeros((3, 3))])
def test_what_is_no_uri(given: Any) -> None:
    for call in (bridge.imread, bridge.get_reader, bridge.mimread, bridge.volread, bridge.mvolread):
        with pytest.raises(errors.UriError):
            call(given)


def test_file_object_that_only_writes(tmp_path: Path) -> None:
    with (tmp_path / "new.png").open("wb") as file, pytest.raises((errors.UriError, OSError)):
        bridge.imread(file)


# Members of archives


@says("a file in a zipfile, e.g. 'c:\\foo\\bar.zip\\eggs.png'")
@pytest.mark.needs("magick")
def test_folder_that_is_called_zip(files: Files, tmp_path: Path) -> None:
    (tmp_path / "pictures.zip").mkdir()
    (tmp_path / "pictures.zip" / "a.png").write_bytes(files("PNG").read_bytes())
    assert np.array_equal(bridge.imread(tmp_path / "pictures.zip" / "a.png"), picture())


@pytest.mark.needs("magick")
def test_two_members_read_alternately(files: Files, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
        archive.write(files("PNG"), "one.png")
        archive.write(files("GIF"), "ö/zwei.gif")
    with (
        bridge.get_reader(tmp_path / "two.zip/one.png") as one,
        bridge.get_reader(tmp_path / "two.zip/ö/zwei.gif") as two,
    ):
        assert two.get_length() == 5
        assert np.array_equal(one.get_data(0), picture())
        assert sample_of("GIF").holds(4, two.get_data(4))


def test_numpys_archive_is_no_folder(files: Files) -> None:
    """An NPZ is a zip: as a whole it is a series, and its members are NPY files."""
    assert len(bridge.mimread(files("NPZ"))) == 3
    assert sample_of("NPZ").holds(1, bridge.imread(files("NPZ") / "picture1.npy"))


# Devices


@says(
    'get_reader("<video0>") to grab images from a (web) camera.',
    'imread("<screen>") to grab a screenshot (on Windows or OS X).',
    'imread("<clipboard>") to grab an image from the clipboard (on Windows).',
)
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("device", ["<video63>", "<screen>", "<clipboard>"])
@pytest.mark.parametrize("call", [bridge.imread, bridge.mimread])
def test_devices_that_are_not_there(device: str, call: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where they are there, tests/capture reads them."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(errors.DeviceMissing, match=device):
        call(device)


@pytest.mark.parametrize("address", ["gopher://example.com/a.png", "concat:a|b", "data:image/png;base64,AAAA"])
def test_addresses_of_other_kinds(address: str) -> None:
    """Nothing but what is listed is ever opened, and no program gets such an address."""
    with pytest.raises(errors.BridgeError):
        bridge.imread(address)


@pytest.mark.needs("magick")
def test_file_address_of_another_machine(files: Files) -> None:
    path = files("PNG")
    for address in (f"file://localhost{path}", f"file:{path}", f"FILE://{path}"):
        assert np.array_equal(bridge.imread(address), picture()), address
    with pytest.raises(errors.UriError, match="machine"):
        bridge.imread(f"file://elsewhere{path}")


def test_return_bytes_cannot_be_read() -> None:
    with pytest.raises(errors.UriError):
        bridge.imread(bridge.RETURN_BYTES)


@pytest.mark.needs("magick")
@pytest.mark.parametrize(
    "name", ["50%.png", "a#b.png", "what?.png", "-rf.png", "%04d.png", "[0].png", "a:b.png", "*.png"]
)
def test_names_that_programs_would_take_for_something_else(name: str, files: Files, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(files("PNG").read_bytes())
    assert np.array_equal(bridge.imread(tmp_path / name), picture())
    bridge.imwrite(tmp_path / ("new" + name), picture())
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([name, "new" + name])


def test_dripping_is_as_bad_as_it_says() -> None:
    dripping = Dripping(bytes(1000))
    assert [len(dripping.read(500)) for _ in range(3)] == [7, 107, 207]
    assert not dripping.seekable()
