"""Every Format is written to every kind of uri, and others read what was written."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
from astropy.io import fits
from PIL import Image, ImageSequence

import bridge
from bridge import errors
from bridge.process.tools import toolbox
from tests.contract.samples import REPRESENTATIVES, close_to, frame, picture
from tests.contract.text import says
from tests.contract.uris import TARGETS, OnlyWrite, Target

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.program

COUNT = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """What one Format is given, and how its files begin."""

    format: str
    file: str
    begins: bytes
    at: int = 0
    needs: tuple[str, ...] = ("ffmpeg",)
    moving: bool = False
    off: int = 0

    @property
    def ims(self) -> list[np.ndarray[Any, Any]]:
        return [frame(index) for index in range(COUNT)] if self.moving else [picture()]

    def write(self, uri: Any) -> Any:
        if self.moving:
            kwargs = {"fps": 25} if self.format != "NPZ" else {}
            return bridge.mimwrite(uri, self.ims, self.format, **kwargs)
        return bridge.imwrite(uri, picture(), self.format)


def film(name: str, file: str, begins: bytes, at: int = 0) -> Output:
    return Output(format=name, file=file, begins=begins, at=at, moving=True, off=10)


def still(
    name: str, file: str, begins: bytes, off: int = 0, needs: tuple[str, ...] = ("magick",), *, at: int = 0
) -> Output:
    return Output(format=name, file=file, begins=begins, off=off, needs=needs, at=at)


PNG = b"\x89PNG\r\n\x1a\n"
OUTPUTS = (
    still("NPY", "array.npy", b"\x93NUMPY", needs=()),
    Output(format="NPZ", file="arrays.npz", begins=b"PK\x03\x04", needs=(), moving=True),
    still("TIFF", "page.tif", b"II*\0", needs=()),
    still("FITS", "array.fits", b"SIMPLE  =", needs=()),
    still("PNG", "picture.png", PNG),
    still("JPEG", "picture.jpg", b"\xff\xd8\xff", 40),
    still("WEBP", "picture.webp", b"RIFF", 40),
    still("PNM", "picture.ppm", b"P6"),
    still("PAM", "picture.pam", b"P7"),
    still("TGA", "picture.tga", b""),
    still("PCX", "picture.pcx", b"\x0a"),
    still("PNG-FFMPEG", "picture.png", PNG, needs=("ffmpeg",)),
    still("JPEG-FFMPEG", "picture.jpg", b"\xff\xd8\xff", 40, ("ffmpeg",)),
    still("BMP-FFMPEG", "picture.bmp", b"BM", needs=("ffmpeg",)),
    still("WEBP-FFMPEG", "picture.webp", b"RIFF", 40, ("ffmpeg",)),
    still("PNM-FFMPEG", "picture.pam", b"P7", needs=("ffmpeg",)),
    still("AVIF", "picture.avif", b"ftyp", 40, at=4),
    still("JLS", "picture.jls", b"\xff\xd8\xff\xf7", needs=("ffmpeg",)),
    still("QOI", "picture.qoi", b"qoif", needs=("ffmpeg",)),
    still("SGI", "picture.sgi", b"\x01\xda", needs=("ffmpeg",)),
    still("JP2-FFMPEG", "picture.jp2", b"jP  ", needs=("ffmpeg",), at=4),
    still("J2K-FFMPEG", "picture.j2k", b"\xff\x4f\xff\x51", needs=("ffmpeg",)),
    Output(format="WEBP-FILM", file="moving.webp", begins=b"RIFF", needs=("ffmpeg", "magick"), moving=True, off=40),
    film("GIF-FFMPEG", "moving.gif", b"GIF89a"),
    film("APNG", "moving.apng", PNG),
    film("MP4", "film.mp4", b"ftyp", 4),
    film("MOV", "film.mov", b"ftyp", 4),
    film("MKV", "film.mkv", b"\x1aE\xdf\xa3"),
    film("WEBM", "film.webm", b"\x1aE\xdf\xa3"),
    film("AVI", "film.avi", b"RIFF"),
    film("TS", "film.ts", b"G"),
    film("MPG", "film.mpg", b"\0\0\x01\xba"),
    film("OGG", "film.ogv", b"OggS"),
    film("FLV", "film.flv", b"FLV"),
    film("WMV", "film.wmv", b"0&\xb2u"),
    film("MXF", "film.mxf", b"\x06\x0e+4"),
    film("NUT", "film.nut", b"nut/multimedia container\0"),
    film("Y4M", "film.y4m", b"YUV4MPEG2 "),
)
CASES = [
    pytest.param(output, target, id=f"{output.format}-{target.name}", marks=pytest.mark.needs(*output.needs))
    for target in TARGETS
    for output in OUTPUTS
    if target.everywhere or output.format in REPRESENTATIVES
]


def test_every_format_that_writes_is_here() -> None:
    writers = {format.name for format in bridge.formats if format.writer}
    # the clipboard, floats, animated AVIF (tests/capture, test_animation.py), and what nobody else here reads
    elsewhere = {"SEQUENCE", "CLIPBOARD", "EXR", "HDR", "PFM", "HEIC", "AVIF-FFMPEG", "JXL-FFMPEG"}
    assert writers - elsewhere == {output.format for output in OUTPUTS}


def read_by_others(output: Output, path: Path) -> list[np.ndarray[Any, Any]]:  # noqa: PLR0911 - a list of cases
    """Read a file with what bridge has no part in."""
    if output.format == "NPY":
        return [np.load(path)]
    if output.format == "NPZ":
        with np.load(path) as stored:
            return [stored[name] for name in stored.files]
    if output.format == "TIFF":
        return [tifffile.imread(path)]
    if output.format == "FITS":
        return [fits.getdata(path)]
    if output.file.endswith(".pam"):
        content = path.read_bytes()
        head, _, pixels = content.partition(b"ENDHDR\n")
        assert b"WIDTH 48" in head
        return [np.frombuffer(pixels, np.uint8).reshape(32, 48, 3)]
    if output.format != "JLS" and (not output.moving or output.file.endswith(".webp")):
        with Image.open(path) as opened:
            return [np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(opened)]
    program = shutil.which("ffmpeg") or toolbox().find("ffmpeg").path
    every = ("-fps_mode", "passthrough")
    one = ("-threads", "1")  # FFmpeg's threads of Theora now and then give a frame that is not finished
    arguments = ("-nostdin", "-v", "error", *one, "-i", path, *every, "-f", "rawvideo", "-pix_fmt", "rgb24", "-")
    done = subprocess.run([program, *arguments], check=True, capture_output=True, timeout=60)
    return list(np.frombuffer(done.stdout, np.uint8).reshape(-1, *output.ims[0].shape))


# By Format: how many bytes it takes, to compare with what comes out of other kinds of uri.
_SIZES: dict[str, int] = {}


def size_in_a_file(output: Output, folder: Path) -> int:
    if output.format not in _SIZES:
        folder.mkdir()
        output.write(folder / output.file)
        _SIZES[output.format] = (folder / output.file).stat().st_size
    return _SIZES[output.format]


@says("The resource to write the image to, e.g. a filename or file object, see the docs for more info.")
@pytest.mark.parametrize(
    "output", [pytest.param(output, id=output.format, marks=pytest.mark.needs(*output.needs)) for output in OUTPUTS]
)
def test_others_read_what_was_written(output: Output, tmp_path: Path) -> None:
    output.write(tmp_path / output.file)
    got = read_by_others(output, tmp_path / output.file)
    assert len(got) == len(output.ims)
    for ours, theirs in zip(output.ims, got, strict=True):
        assert close_to(theirs, ours, output.off)


@says(
    "a file object with a read() / write() method.",
    "For writing one can also use '<bytes>' or imageio.RETURN_BYTES to make a write function return the bytes instead "
    "of writing to a file.",
)
@pytest.mark.parametrize(("output", "target"), CASES)
def test_every_format_to_every_uri(output: Output, target: Target, tmp_path: Path) -> None:
    """What needs a seekable output, as MP4 does, is whole wherever it goes."""
    folder = tmp_path / "target"
    folder.mkdir()
    written = target.make(output.file, folder)
    returned = output.write(written.uri)
    assert isinstance(returned, bytes) if target.returns else returned is None
    content = written.content(returned)
    assert content[output.at :].startswith(output.begins)
    assert abs(len(content) - size_in_a_file(output, tmp_path / "file")) <= 64


@says(
    "The resource to write the images to, e.g. a filename or file object, see the docs for more info.",
    "The resource to write the volumes to, e.g. a filename or file object, see the docs for more info.",
)
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["stack.tif", "volumes.npz"])
def test_volumes_to_every_uri(name: str, target: Target, tmp_path: Path) -> None:
    volume = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    format = None if target.named else name.rpartition(".")[2]
    written = target.make(name, tmp_path)
    content = written.content(bridge.volwrite(written.uri, volume, format))
    assert np.array_equal(bridge.volread(content, name.rpartition(".")[2]), volume)
    (tmp_path / "more").mkdir()
    written = target.make(name, tmp_path / "more")
    content = written.content(bridge.mvolwrite(written.uri, [volume, volume[:2] + 1], format))
    back = bridge.mvolread(content, name.rpartition(".")[2])
    assert [array.shape for array in back] == [(3, 4, 5), (2, 4, 5)]


@pytest.mark.needs("magick")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_writer_to_every_uri(target: Target, tmp_path: Path) -> None:
    written = target.make("picture.png", tmp_path)
    with bridge.get_writer(written.uri, None if target.named else "png") as writer:
        writer.append_data(picture())
    content = written.content(writer.request.get_result() if target.returns else None)
    assert np.array_equal(bridge.imread(content), picture())


@pytest.mark.needs("magick", "ffmpeg")
@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
@pytest.mark.parametrize("name", ["picture.png", "film.mp4", "stack.tif", "arrays.npz"])
def test_an_exception_leaves_nothing(target: Target, name: str, tmp_path: Path) -> None:
    written = target.make(name, tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(KeyError), bridge.get_writer(written.uri, name.rpartition(".")[2]) as writer:
        writer.append_data(frame(0))
        raise KeyError("mine")
    assert writer.closed
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    if isinstance(written.uri, io.BytesIO | OnlyWrite):
        assert written.content(None) == b""
    elif hasattr(written.uri, "close"):
        written.uri.close()


# By name


@says(
    "The format to use to write the file.",
    "By default imageio selects the appropriate for you based on the filename.",
)
@pytest.mark.needs("magick")
@pytest.mark.parametrize("format", ["png", ".png", "PNG", ".PNG"])
def test_format_by_name_or_extension(format: str, tmp_path: Path) -> None:
    assert (bridge.imwrite("<bytes>", picture(), format) or b"").startswith(PNG)
    bridge.imwrite(tmp_path / "picture.jpg", picture(), format=format)
    assert (tmp_path / "picture.jpg").read_bytes().startswith(PNG)
    bridge.imwrite(tmp_path / "picture", picture(), format=format)
    assert (tmp_path / "picture").read_bytes().startswith(PNG)


@pytest.mark.needs("magick")
def test_capital_letters_in_an_extension(tmp_path: Path) -> None:
    bridge.imwrite(tmp_path / "PICTURE.PNG", picture())
    assert (tmp_path / "PICTURE.PNG").read_bytes().startswith(PNG)


@pytest.mark.needs("magick")
def test_the_name_of_a_file_object_is_a_hint(tmp_path: Path) -> None:
    with (tmp_path / "picture.png").open("wb") as file:
        bridge.imwrite(file, picture())
    assert np.array_equal(bridge.imread(tmp_path / "picture.png"), picture())


@pytest.mark.parametrize("uri", ["<bytes>"])
def test_bytes_need_a_format(uri: str) -> None:
    with pytest.raises(errors.UnknownFormat, match="format"):
        bridge.imwrite(uri, picture())
    with pytest.raises(errors.UnknownFormat, match="format"):
        bridge.imwrite(io.BytesIO(), picture())


def test_the_result_is_there_after_close() -> None:
    writer = bridge.get_writer("<bytes>", "npy")
    writer.append_data(picture())
    writer.close()
    writer.close()
    assert np.array_equal(np.load(io.BytesIO(writer.request.get_result() or b"")), picture())


# File objects


class Breaking:
    def write(self, data: Any) -> int:
        del data
        raise KeyError("the cable is out")


@pytest.mark.needs("magick", "ffmpeg")
@pytest.mark.parametrize("format", ["png", "mp4", "npy"])
def test_what_write_raises_comes_out(format: str) -> None:
    with pytest.raises(KeyError, match="the cable is out"):
        bridge.imwrite(Breaking(), picture(), format)


class Slow(OnlyWrite):
    def write(self, data: Any) -> int:
        return super().write(bytes(data)[:100])


@pytest.mark.needs("magick")
def test_short_writes_go_on() -> None:
    target = Slow()
    bridge.imwrite(target, picture(), "png")
    assert np.array_equal(bridge.imread(target.content), picture())


def test_file_objects_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "array.npy").write_bytes(b"old")
    with (tmp_path / "array.npy").open("rb") as reading, pytest.raises((errors.BridgeError, OSError)):
        bridge.imwrite(reading, picture(), "npy")
    with (tmp_path / "array.npy").open("w") as text, pytest.raises(errors.UriError, match="text"):
        bridge.imwrite(text, picture(), "npy")
    with (tmp_path / "array.npy").open("wb") as closed:
        pass
    with pytest.raises(ValueError, match="closed"):
        bridge.imwrite(closed, picture(), "npy")


def test_file_object_is_written_where_it_stands() -> None:
    target = io.BytesIO(b"before")
    target.seek(0, io.SEEK_END)
    bridge.imwrite(target, picture(), "npy")
    assert target.getvalue().startswith(b"before\x93NUMPY")


@pytest.mark.needs("magick", "ffmpeg")
def test_pipe(tmp_path: Path) -> None:
    """A pipe cannot seek: it gets the whole file at the end."""
    reading, writing = os.pipe()
    with open(reading, "rb") as end, open(writing, "wb") as start:  # noqa: PTH123 - descriptors
        bridge.imwrite(start, picture(), "png")
        start.close()
        assert np.array_equal(bridge.imread(end), picture())
    assert not list(tmp_path.iterdir())


# What cannot be written to


@pytest.mark.parametrize(
    "uri", ["http://127.0.0.1/a.png", "ftp://127.0.0.1/a.png", "<screen>", "<video0>", b"bytes", 7, None]
)
def test_uris_that_are_only_read(uri: Any) -> None:
    for call in (
        lambda: bridge.imwrite(uri, picture(), "png"),
        lambda: bridge.mimwrite(uri, [picture()], "mp4"),
        lambda: bridge.volwrite(uri, np.zeros((3, 4, 5)), "npy"),
        lambda: bridge.mvolwrite(uri, [np.zeros((3, 4, 5))], "npz"),
        lambda: bridge.get_writer(uri, "png"),
    ):
        with pytest.raises(errors.UriError):
            call()


@pytest.mark.needs("magick")
def test_pictures_one_after_the_other_into_one_archive(tmp_path: Path) -> None:
    for index in range(3):
        bridge.imwrite(tmp_path / f"pictures.zip/{index}.png", picture(shift=index))
    with zipfile.ZipFile(tmp_path / "pictures.zip") as archive:
        assert archive.namelist() == ["0.png", "1.png", "2.png"]
    for index in range(3):
        assert np.array_equal(bridge.imread(tmp_path / f"pictures.zip/{index}.png"), picture(shift=index))


def test_what_is_no_archive_is_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "pictures.zip").write_bytes(b"no archive")
    with pytest.raises(errors.BridgeError):
        bridge.imwrite(tmp_path / "pictures.zip/a.npy", picture())
    assert (tmp_path / "pictures.zip").read_bytes() == b"no archive"


# Arrays


@pytest.mark.needs("magick", "ffmpeg")
@pytest.mark.parametrize("name", ["picture.png", "film.mp4", "stack.tif", "arrays.npz", "array.npy", "moving.gif"])
@pytest.mark.parametrize(
    "im",
    [
        np.array([["a", "b"]]),
        np.array([[object()]]),
        np.array([[1 + 2j]]),
        np.zeros((4, 4), "datetime64[s]"),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((5, 0), np.uint8),
        None,
        "picture",
        {},
    ],
    ids=lambda im: f"{im.dtype}{im.shape}" if isinstance(im, np.ndarray) else type(im).__name__,
)
def test_what_is_no_array_of_numbers(name: str, im: Any, tmp_path: Path) -> None:
    for call in (bridge.imwrite, lambda uri, im: bridge.mimwrite(uri, [im])):
        with pytest.raises(errors.UnsupportedPixels):
            call(tmp_path / name, im)
    with pytest.raises(errors.UnsupportedPixels):
        bridge.imwrite("<bytes>", im, name.rpartition(".")[2])
    assert not list(tmp_path.iterdir())


@pytest.mark.needs("magick", "ffmpeg")
@pytest.mark.parametrize("name", ["picture.png", "film.mp4", "stack.tif", "arrays.npz", "moving.gif"])
@pytest.mark.parametrize(
    "ims", [[], (), iter(()), np.zeros((0, 5, 5), np.uint8)], ids=["list", "tuple", "iterator", "array"]
)
def test_nothing_to_write(name: str, ims: Any, tmp_path: Path) -> None:
    calls: list[Any] = [bridge.mimwrite] if name[0] in "pfm" else [bridge.mimwrite, bridge.mvolwrite]
    for call in calls:
        with pytest.raises(errors.UnsupportedPixels):
            call(tmp_path / name, ims)
    assert not list(tmp_path.iterdir())


def test_an_iterable_that_raises(tmp_path: Path) -> None:
    def ims() -> Any:
        yield picture()
        raise KeyError("mine")

    with pytest.raises(KeyError):
        bridge.mimwrite(tmp_path / "stack.tif", ims())
    assert not list(tmp_path.iterdir())


@pytest.mark.needs("magick")
@pytest.mark.parametrize("kind", ["transposed", "reversed", "strided", "readonly", "subclass", "fortran", "swapped"])
def test_arrays_as_they_lie_in_memory(kind: str, tmp_path: Path) -> None:
    whole = picture(height=64, width=64)
    array: Any = {
        "transposed": whole.transpose(1, 0, 2),
        "reversed": whole[::-1, ::-1],
        "strided": whole[::2, ::3],
        "readonly": whole.copy(),
        "subclass": bridge.Array(whole, {"a": 1}),
        "fortran": np.asfortranarray(whole),
        "swapped": whole.astype(">u2"),
    }[kind]
    array.flags.writeable = kind != "readonly"
    bridge.imwrite(tmp_path / "picture.png", array)
    assert np.array_equal(bridge.imread(tmp_path / "picture.png"), array)
