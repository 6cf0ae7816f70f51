"""The functions, as the text writes them: names, parameters and their order, and what each is for."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
import bridge as imageio
import bridge.core.format
from tests.contract.samples import FRAMES, close_to, frame, picture
from tests.contract.text import says

if TYPE_CHECKING:
    from pathlib import Path

    from tests.contract.conftest import Files

pytestmark = pytest.mark.program

FUNCTIONS = (
    "help(name=None)",
    "imread(uri, format=None, **kwargs)",
    "imwrite(uri, im, format=None, **kwargs)",
    "mimread(uri, format=None, memtest=True, **kwargs)",
    "mimwrite(uri, ims, format=None, **kwargs)",
    "volread(uri, format=None, **kwargs)",
    "volwrite(uri, vol, format=None, **kwargs)",
    "mvolread(uri, format=None, memtest=True, **kwargs)",
    "mvolwrite(uri, vols, format=None, **kwargs)",
    "get_reader(uri, format=None, mode='?', **kwargs)",
    "get_writer(uri, format=None, mode='?', **kwargs)",
    "show_formats()",
)
METHODS = (
    "Reader.close()",
    "Reader.get_data(index, **kwargs)",
    "Reader.get_length()",
    "Reader.get_meta_data(index=None)",
    "Reader.get_next_data(**kwargs)",
    "Reader.iter_data()",
    "Writer.append_data(im, meta={})",
    "Writer.close()",
    "Writer.set_meta_data(meta)",
)
ALIASES = {
    "read": "get_reader",
    "save": "get_writer",
    "imsave": "imwrite",
    "mimsave": "mimwrite",
    "volsave": "volwrite",
    "mvolsave": "mvolwrite",
}


def written(signature: str) -> list[tuple[str, Any]]:
    """Give the parameters of a signature as the text has it, each with its default."""
    arguments = ast.parse(f"def _({signature.partition('(')[2]}: ...").body[0].args  # type: ignore[attr-defined] # it is a def
    names = [argument.arg for argument in arguments.args]
    defaults = [inspect.Parameter.empty] * (len(names) - len(arguments.defaults))
    defaults += [ast.literal_eval(default) for default in arguments.defaults]
    found = list(zip(names, defaults, strict=True))
    return [*found, ("**", arguments.kwarg.arg)] if arguments.kwarg else found


def real(function: Any) -> list[tuple[str, Any]]:
    """Give those of a function; what can only be given by keyword is an addition of ours."""
    found: list[tuple[str, Any]] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            found.append(("**", parameter.name))
        elif parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.name != "self":
            found.append((parameter.name, parameter.default))
        else:
            assert parameter.name == "self" or parameter.kind is parameter.KEYWORD_ONLY, parameter
    return found


@says(
    "imageio.help(name=None)",
    "imageio.show_formats(self)",
    "imageio.imread(uri, format=None, **kwargs)",
    "imageio.imwrite(uri, im, format=None, **kwargs)",
    "imageio.mimread(uri, format=None, memtest=True, **kwargs)",
    "imageio.mimwrite(uri, ims, format=None, **kwargs)",
    "imageio.volread(uri, format=None, **kwargs)",
    "imageio.volwrite(uri, vol, format=None, **kwargs)",
    "imageio.mvolread(uri, format=None, memtest=True, **kwargs)",
    "imageio.mvolwrite(uri, vols, format=None, **kwargs)",
    "imageio.get_reader(uri, format=None, mode='?', **kwargs)",
    "imageio.get_writer(uri, format=None, mode='?', **kwargs)",
)
@pytest.mark.parametrize("signature", FUNCTIONS)
def test_functions_take_what_the_text_says(signature: str) -> None:
    function = getattr(imageio, signature.partition("(")[0])
    assert real(function) == written(signature)


@says(
    "get_data(index, **kwargs)",
    "get_length()",
    "get_meta_data(index=None)",
    "get_next_data(**kwargs)",
    "iter_data()",
    "append_data(im, meta={})",
    "set_meta_data(meta)",
    "close()",
)
@pytest.mark.parametrize("signature", METHODS)
def test_methods_take_what_the_text_says(signature: str) -> None:
    owner, _, rest = signature.partition(".")
    method = getattr(getattr(bridge.core.format, owner), rest.partition("(")[0])
    wanted = [(name, None if default == {} else default) for name, default in written(rest)]
    assert [(name, None if default == {} else default) for name, default in real(method)] == wanted


@says("class imageio.core.format.Reader(format, request)", "class imageio.core.format.Writer(format, request)")
@pytest.mark.parametrize("name", ["Reader", "Writer"])
def test_classes_take_a_format_and_a_request(name: str) -> None:
    assert [parameter for parameter, _ in real(getattr(imageio.core.format, name))] == ["format", "request"]


@pytest.mark.parametrize(("alias", "name"), ALIASES.items())
def test_aliases_that_users_of_imageio_type(alias: str, name: str) -> None:
    assert getattr(bridge, alias) is getattr(bridge, name)


def test_everything_is_listed_and_documented() -> None:
    names = {signature.partition("(")[0] for signature in FUNCTIONS} | {"formats", "RETURN_BYTES", *ALIASES}
    names |= {"imiter", "improps", "immeta", "imopen", "sequence"}
    assert names <= set(bridge.__all__)
    assert names <= set(dir(bridge))
    for name in names - {"formats", "RETURN_BYTES"}:
        assert inspect.getdoc(getattr(bridge, name)), name
    assert bridge.RETURN_BYTES == "<bytes>"


# Functions for reading


@says(
    "imread() - read an image from the specified uri",
    "Reads an image from the specified file.",
    "Returns a numpy array, which comes with a dict of meta data at its 'meta' attribute.",
)
@pytest.mark.needs("magick")
def test_imread(files: Files) -> None:
    image = imageio.imread(uri=files("PNG"), format=None)
    assert isinstance(image, np.ndarray)
    assert isinstance(image.meta, dict)
    assert np.array_equal(image, picture())


@says(
    "Note that the image data is returned as-is, and may not always have a dtype of uint8 (and thus may differ from "
    "what e.g. PIL returns)."
)
@pytest.mark.needs("magick")
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_stay_sixteen_bits(channels: int, tmp_path: Path) -> None:
    import zlib

    wanted = (np.arange(5 * 4 * channels).reshape(5, 4, channels) * 1021).astype(">u2")
    rows = b"".join(b"\0" + row.tobytes() for row in wanted)
    colour = {1: 0, 3: 2, 4: 6}[channels]
    parts = (
        (b"IHDR", b"\0\0\0\x04\0\0\0\x05\x10" + bytes([colour, 0, 0, 0])),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    chunks = [
        len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big") for name, data in parts
    ]
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(chunks))
    image = imageio.imread(tmp_path / "deep.png")
    assert image.dtype == np.uint16
    assert np.array_equal(image, wanted[..., 0] if channels == 1 else wanted)


@says(
    "mimread() - read a series of images from the specified uri",
    "Reads multiple images from the specified file.",
    "Returns a list of numpy arrays, each with a dict of meta data at its 'meta' attribute.",
)
@pytest.mark.needs("ffmpeg")
def test_mimread(files: Files) -> None:
    images = imageio.mimread(uri=files("MP4"), format=None, memtest=True)
    assert isinstance(images, list)
    assert len(images) == FRAMES
    for index, image in enumerate(images):
        assert isinstance(image, np.ndarray)
        assert isinstance(image.meta, dict)
        assert close_to(image, frame(index))


@says("volread() - read a volume from the specified uri", "Reads a volume from the specified file.")
def test_volread(tmp_path: Path) -> None:
    np.save(tmp_path / "volume.npy", np.arange(60.0).reshape(3, 4, 5))
    volume = imageio.volread(uri=tmp_path / "volume.npy", format=None)
    assert np.array_equal(volume, np.arange(60.0).reshape(3, 4, 5))
    assert isinstance(volume.meta, dict)


@says("mvolread() - read a series of volumes from the specified uri", "Reads multiple volumes from the specified file.")
def test_mvolread(tmp_path: Path) -> None:
    np.savez(tmp_path / "volumes.npz", np.zeros((3, 4, 5)), np.ones((6, 7, 8)))
    volumes = imageio.mvolread(uri=tmp_path / "volumes.npz", format=None, memtest=True)
    assert isinstance(volumes, list)
    assert [volume.shape for volume in volumes] == [(3, 4, 5), (6, 7, 8)]
    assert all(isinstance(volume.meta, dict) for volume in volumes)


# Functions for saving


@says("imwrite() - write an image to the specified uri", "Write an image to the specified file.")
@pytest.mark.needs("magick")
def test_imwrite(tmp_path: Path) -> None:
    from PIL import Image

    assert imageio.imwrite(uri=tmp_path / "picture.png", im=picture(), format=None) is None
    with Image.open(tmp_path / "picture.png") as written:
        assert np.array_equal(np.asarray(written), picture())


@says(
    "mimwrite() - write a series of images to the specified uri",
    "Write multiple images to the specified file.",
)
@pytest.mark.needs("ffmpeg")
@pytest.mark.parametrize("kind", ["list", "tuple", "generator", "array"])
def test_mimwrite(kind: str, tmp_path: Path) -> None:
    frames = [frame(index) for index in range(3)]
    ims: Any = {
        "list": frames,
        "tuple": tuple(frames),
        "generator": iter(frames),
        "array": np.stack(frames),
    }[kind]
    assert imageio.mimwrite(uri=tmp_path / "moving.gif", ims=ims, format=None) is None
    back = imageio.mimread(tmp_path / "moving.gif")
    assert len(back) == 3
    assert all(close_to(image, wanted, 4) for image, wanted in zip(back, frames, strict=True))


@says("volwrite() - write a volume to the specified uri", "Write a volume to the specified file.")
def test_volwrite(tmp_path: Path) -> None:
    volume = np.arange(60, dtype=np.float32).reshape(3, 4, 5)
    assert imageio.volwrite(uri=tmp_path / "volume.npy", vol=volume, format=None) is None
    assert np.array_equal(np.load(tmp_path / "volume.npy"), volume)


@says("mvolwrite() - write a series of volumes to the specified uri", "Write multiple volumes to the specified file.")
def test_mvolwrite(tmp_path: Path) -> None:
    volumes = [np.zeros((3, 4, 5)), np.ones((2, 2, 2, 3))]
    assert imageio.mvolwrite(uri=tmp_path / "volumes.npz", vols=volumes, format=None) is None
    with np.load(tmp_path / "volumes.npz") as stored:
        assert [stored[name].shape for name in stored.files] == [(3, 4, 5), (2, 2, 2, 3)]


@says("The image data.", "Must be NxM, NxMx3 or NxMx4.", "Each array must be NxM, NxMx3 or NxMx4.")
@pytest.mark.needs("magick")
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_images_are_n_by_m_by_3_or_4(channels: int, tmp_path: Path) -> None:
    imageio.imwrite(tmp_path / "picture.png", picture(channels))
    assert np.array_equal(imageio.imread(tmp_path / "picture.png"), picture(channels))


@pytest.mark.needs("magick", "ffmpeg")
@pytest.mark.parametrize("shape", [(), (5,), (5, 4, 5), (2, 3, 4, 3), (1, 2, 3, 4, 5)])
@pytest.mark.parametrize("name", ["picture.png", "film.mp4", "picture.jpg"])
def test_images_of_another_shape_are_refused(name: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    with pytest.raises(bridge.errors.UnsupportedPixels):
        imageio.imwrite(tmp_path / name, np.zeros(shape, np.uint8))
    assert not list(tmp_path.iterdir())


@pytest.mark.needs("magick")
def test_lists_of_numbers_are_images_too(tmp_path: Path) -> None:
    imageio.imwrite(tmp_path / "picture.png", np.array([[0, 255], [128, 7]], np.uint8)[::-1, ::-1])
    assert imageio.imread(tmp_path / "picture.png").tolist() == [[7, 128], [255, 0]]


# More control


@says(
    "For a larger degree of control, imageio provides functions get_reader() and get_writer().",
    "They respectively return an Reader and an Writer object, which can be used to read/write data and meta data in "
    "a more controlled manner.",
    "Returns a Reader object which can be used to read data and meta data from the specified file.",
    "Returns a Writer object which can be used to write data and meta data to the specified file.",
)
def test_get_reader_and_get_writer(tmp_path: Path) -> None:
    with imageio.get_writer(uri=tmp_path / "array.npy", format=None, mode="?") as writer:
        assert isinstance(writer, imageio.core.format.Writer)
        writer.set_meta_data({})
        writer.append_data(picture(), {})
    with imageio.get_reader(uri=tmp_path / "array.npy", format=None, mode="?") as reader:
        assert isinstance(reader, imageio.core.format.Reader)
        assert isinstance(reader.get_meta_data(), dict)
        assert np.array_equal(reader.get_data(0), picture())


@says(
    'Used to give the reader a hint on what the user expects (default "?"): "i" for an image, "I" for multiple images, '
    '"v" for a volume, "V" for multiple volumes, "?" for don\'t care.',
    'Used to give the writer a hint on what the user expects (default \'?\'): "i" for an image, "I" for multiple '
    'images, "v" for a volume, "V" for multiple volumes, "?" for don\'t care.',
)
@pytest.mark.parametrize("mode", ["i", "I", "v", "V", "?"])
@pytest.mark.parametrize("name", ["stack.tif", "array.npy", "arrays.npz"])
def test_modes(mode: str, name: str, tmp_path: Path) -> None:
    array = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)[: 1 if mode in "iI" else 3]
    array = array[0] if mode in "iI" else array
    with bridge.get_writer(tmp_path / name, mode=mode) as writer:
        assert writer.request.mode == mode
        writer.append_data(array)
    with bridge.get_reader(tmp_path / name, mode=mode) as reader:
        assert reader.request.mode == mode
        if mode != "?":
            assert np.array_equal(reader.get_data(0), array)


@pytest.mark.needs("magick", "ffmpeg")
@pytest.mark.parametrize(("name", "serves"), [("PNG", "'i'"), ("MP4", "'I'"), ("JPEG", "'i'"), ("GIF", "'I'")])
@pytest.mark.parametrize("mode", ["v", "V"])
def test_modes_that_the_resource_does_not_serve(
    name: str, serves: str, mode: str, files: Files, tmp_path: Path
) -> None:
    for call in (
        lambda: bridge.get_reader(files(name), mode=mode),
        lambda: bridge.get_writer(tmp_path / files(name).name, mode=mode),
        lambda: (bridge.volread if mode == "v" else bridge.mvolread)(files(name)),
    ):
        with pytest.raises(bridge.errors.UnknownFormat, match=serves):
            call()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["", "x", "ii", "r", "w"])
def test_what_is_no_mode(mode: str, files: Files) -> None:
    with pytest.raises(ValueError, match="mode"):
        bridge.get_reader(files("NPY"), mode=mode)


@says(
    "All read and write functions accept keyword arguments, which are passed on to the format that does the actual "
    "work.",
    "Further keyword arguments are passed to the reader.",
    "Further keyword arguments are passed to the writer.",
)
@pytest.mark.needs("ffmpeg", "magick")
def test_keywords_go_to_the_format(files: Files, tmp_path: Path) -> None:
    assert bridge.imread(files("MP4"), pixelformat="gray").shape == (48, 64)
    assert bridge.mimread(files("MP4"), pixelformat="gray")[1].shape == (48, 64)
    with bridge.get_reader(files("MP4"), pixelformat="gray") as reader:
        assert reader.get_data(0).shape == (48, 64)
    sizes = []
    for quality in (10, 95):
        bridge.imwrite(tmp_path / "picture.jpg", picture(), quality=quality)
        sizes.append((tmp_path / "picture.jpg").stat().st_size)
    assert sizes[0] < sizes[1]


@pytest.mark.needs("ffmpeg", "magick")
@pytest.mark.parametrize("name", ["NPY", "NPZ", "TIFF", "PNG", "JPEG-FFMPEG", "GIF", "MP4"])
@pytest.mark.parametrize("verb", ["imread", "mimread", "get_reader", "imwrite", "mimwrite", "get_writer"])
def test_keywords_that_nobody_knows_are_named(name: str, verb: str, files: Files, tmp_path: Path) -> None:
    given: dict[str, Any] = {"nonsense": 1}
    format = name if name == "JPEG-FFMPEG" else None
    call = getattr(bridge, verb)
    with pytest.raises(TypeError, match="nonsense"):
        if verb in ("imread", "mimread", "get_reader"):
            call(files(name), format, **given)
        elif verb == "get_writer":
            call(tmp_path / files(name).name, format, **given)
        else:
            call(tmp_path / files(name).name, [picture()] if verb == "mimwrite" else picture(), format, **given)
    assert not list(tmp_path.iterdir())
