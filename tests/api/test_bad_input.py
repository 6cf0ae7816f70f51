"""What users do wrong: each mistake has its typed error, which names the file, and leaves nothing behind."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge import errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import Media

IMAGE = np.zeros((10, 12, 3), np.uint8)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("call", [bridge.imread, bridge.mimread, bridge.get_reader, bridge.probe])
def test_reading_what_is_not_there(call: Callable[[Any], Any], tmp_path: Path) -> None:
    cases = {
        tmp_path / "missing.png": (errors.UriNotFound, FileNotFoundError, "no file"),
        tmp_path: (errors.UriIsDirectory, IsADirectoryError, "directory"),
        write(tmp_path / "empty.png", b""): (errors.CorruptMedia, ValueError, "empty"),
        write(tmp_path / "text.mp4", b"this is no film\n"): (errors.UnknownFormat, ValueError, "text"),
        write(tmp_path / "noise.jpg", bytes(range(7, 200))): (errors.UnknownFormat, ValueError, "knows"),
    }
    for path, (ours, builtin, words) in cases.items():
        with pytest.raises(ours, match=words) as caught:
            call(path)
        assert isinstance(caught.value, builtin)
        assert isinstance(caught.value, bridge.BridgeError)
        assert str(path) in str(caught.value)


def test_unreadable_file(tmp_path: Path, unprivileged: Callable[[Callable[[], Any]], Any]) -> None:
    path = write(tmp_path / "secret.png", b"\x89PNG\r\n\x1a\n")
    path.chmod(0)
    with pytest.raises(errors.ForbiddenUri, match="may not be read"):
        unprivileged(lambda: bridge.imread(path))


def test_fifo_does_not_hang(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mp4")
    with pytest.raises(errors.UriError, match="regular file"):
        bridge.imread(tmp_path / "pipe.mp4")


@pytest.mark.parametrize("uri", ["<bytes>", 7, "", "a\0b"])
def test_uris_that_are_not_read(uri: Any) -> None:
    with pytest.raises(errors.UriError):
        bridge.imread(uri)


@pytest.mark.program
@pytest.mark.needs("ffmpeg", "magick")
@pytest.mark.parametrize(
    "name", ["bikes.mp4", "astronaut.png", "no_time_for_that_tiny.gif", "multipage.tif", "lfw_subset.npy"]
)
def test_cut_in_half(name: str, media: Media, tmp_path: Path) -> None:
    content = media(name).read_bytes()
    path = write(tmp_path / name, content[: len(content) // 2])
    with pytest.raises((errors.CorruptMedia, errors.TruncatedMedia)) as caught:
        bridge.mimread(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("picture.xyz", errors.UnknownFormat),
        ("picture", errors.UnknownFormat),
        ("no/such/folder/picture.png", errors.UriNotFound),
    ],
)
def test_writing_to_nowhere(name: str, error: type[Exception], tmp_path: Path) -> None:
    with pytest.raises(error) as caught:
        bridge.imwrite(tmp_path / name, IMAGE)
    assert str(tmp_path / name) in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_writing_over_a_directory(tmp_path: Path) -> None:
    (tmp_path / "folder.png").mkdir()
    with pytest.raises(errors.UriIsDirectory):
        bridge.imwrite(tmp_path / "folder.png", IMAGE)


def test_read_only_folder(tmp_path: Path, unprivileged: Callable[[Callable[[], Any]], Any]) -> None:
    folder = tmp_path / "locked"
    folder.mkdir()
    folder.chmod(0o555)
    for name in ("picture.png", "film.mp4", "array.npy"):
        with pytest.raises(errors.ForbiddenUri, match="another folder"):
            unprivileged(lambda name=name: bridge.imwrite(folder / name, IMAGE))  # type: ignore[misc] # the name is bound at once
    assert not list(folder.iterdir())


@pytest.mark.parametrize("name", ["picture.png", "picture.jpg", "film.mp4", "film.gif", "stack.tif", "array.npy"])
@pytest.mark.parametrize("image", [np.array(["text"]), np.zeros((0, 4, 3), np.uint8), np.array([object()])])
def test_arrays_that_are_no_picture(name: str, image: Any, tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedPixels) as caught:
        bridge.imwrite(tmp_path / name, image)
    assert str(tmp_path / name) in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["picture.png", "picture.jpg", "film.mp4"])
@pytest.mark.parametrize("shape", [(3,), (2, 2, 5), (2, 2, 2, 2)])
def test_shapes_that_are_no_picture(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedPixels):
        bridge.imwrite(tmp_path / name, np.zeros(shape, np.uint8))
    assert not list(tmp_path.iterdir())


def test_missing_programs_are_named_with_their_remedy(clean_toolbox: Any, media: Media, tmp_path: Path) -> None:
    del clean_toolbox
    for path, program in ((media("bikes.mp4"), "ffmpeg"), (media("coins.png"), "ImageMagick")):
        with pytest.raises(errors.ToolMissing, match=program) as caught:
            bridge.imread(path)
        assert "install" in str(caught.value)
    for name in ("film.mp4", "picture.png"):
        with pytest.raises(errors.ToolMissing):
            bridge.imwrite(tmp_path / name, IMAGE)
    assert not list(tmp_path.glob("*.*"))
    bridge.imwrite(tmp_path / "array.npy", IMAGE)  # what needs no program still works


def test_wrong_format_for_the_content(media: Media) -> None:
    with pytest.raises(errors.UnknownFormat, match="does not read"):
        bridge.imread(media("coins.png"), format="mp4")
    with pytest.raises(errors.UnknownFormat, match="no format is called"):
        bridge.imread(media("coins.png"), format="nonsense")


def test_mode_that_the_format_does_not_serve(media: Media) -> None:
    with pytest.raises(errors.UnknownFormat, match="serves"):
        bridge.get_reader(media("bikes.mp4"), mode="v")
    with pytest.raises(errors.UriError, match="mode"):
        bridge.get_reader(media("bikes.mp4"), mode="x")


def test_npy_that_promises_more_than_it_holds(tmp_path: Path) -> None:
    header = b"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999, 99999), }".ljust(117) + b"\n"
    path = write(tmp_path / "lying.npy", b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(errors.TruncatedMedia, match="promises"):
        bridge.imread(path)


def test_object_arrays_are_never_unpickled(tmp_path: Path) -> None:
    np.save(tmp_path / "array.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(errors.UnsupportedPixels, match="unpickle"):
        bridge.imread(tmp_path / "array.npy")


@pytest.mark.program
@pytest.mark.needs("ffmpeg")
def test_a_hundred_readers_dropped_half_read(media: Media) -> None:
    """The leak check of conftest compares descriptors, threads, children and files before and after."""
    for _ in range(100):
        reader = bridge.get_reader(media("carphone_pristine.mp4"))
        reader.get_data(1)
        with pytest.warns(ResourceWarning, match="never closed"):
            del reader


HEADS = {
    "jpeg": b"\xff\xd8\xff\xe0garbage",
    "png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
    "gif": b"GIF89a\1",
    "bmp": b"BM123",
    "webp": b"RIFF\x20\0\0\0WEBPVP8X",
    "jp2": b"\0\0\0\x0cjP  \r\n\x87\n",
    "j2k": b"\xffO\xffQ\0",
    "jls": b"\xff\xd8\xff\xf7\0\x0b\x08",
    "jxl": b"\xff\x0a",
    "exr": b"v/1\x01\2\0\0\0chan",
    "hdr": b"#?RADIANCE\n",
    "tiff": b"II*\0\x08\0\0\0\xff\xff",
    "dicom": bytes(128) + b"DICM\2\0\0\0UL",
    "fits": b"SIMPLE  =                    T",
    "npy": b"\x93NUMPY\1\0",
    "mp4": b"\0\0\0\x18ftypisom",
}


@pytest.mark.program
@pytest.mark.needs("magick", "ffmpeg")
@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("given", ["file", "bytes"])
def test_a_damaged_head_is_told_with_its_file(kind: str, given: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.dat"
    path.write_bytes(HEADS[kind])
    for read in (bridge.imread, bridge.mimread, bridge.probe):
        with pytest.raises(errors.BridgeError) as raised:
            read(path if given == "file" else HEADS[kind])
        assert ("mine.dat" if given == "file" else f"<{len(HEADS[kind])} bytes>") in str(raised.value)
