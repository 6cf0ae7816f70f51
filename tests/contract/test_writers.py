"""The class Writer, sentence by sentence."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge import errors
from bridge.core.format import Format, Writer
from bridge.core.request import Request
from tests.contract.samples import frame, picture
from tests.contract.text import says

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("magick", "ffmpeg")]

NAMES = ("picture.png", "picture.jpg", "picture.bmp", "page.tif", "array.npy", "arrays.npz", "moving.gif", "film.mp4")
SEVERAL = ("stack.tif", "arrays.npz", "moving.gif", "moving.apng", "film.mp4", "film.mkv")
every_name = pytest.mark.parametrize("name", NAMES)


@says(
    "The purpose of a writer object is to write data to an image resource, and should be obtained by calling "
    "get_writer().",
    "A writer can also be used as a context manager so that it is automatically closed.",
    "Append an image (and meta data) to the file.",
    "closed",
    "format",
    "request",
)
@every_name
def test_a_writer(name: str, tmp_path: Path) -> None:
    with bridge.get_writer(tmp_path / name) as writer:
        assert isinstance(writer, Writer)
        assert isinstance(writer.format, Format)
        assert isinstance(writer.request, Request)
        assert not writer.closed
        writer.append_data(frame(3))
        assert not (tmp_path / name).exists()
    assert bool(writer.closed)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@says("Flush and close the reader/writer.", "This method has no effect if it is already closed.")
@every_name
def test_a_closed_writer(name: str, tmp_path: Path) -> None:
    writer = bridge.get_writer(tmp_path / name)
    writer.append_data(frame(0))
    writer.close()
    before = (tmp_path / name).read_bytes()
    writer.close()
    calls: list[Callable[[], Any]] = [
        lambda: writer.append_data(frame(0)),
        lambda: writer.set_meta_data({}),
        writer.__enter__,
    ]
    for call in calls:
        with pytest.raises(errors.Closed) as caught:
            call()
        assert isinstance(caught.value, RuntimeError)
    assert writer.closed
    assert (tmp_path / name).read_bytes() == before


@every_name
def test_nothing_is_read_from_a_writer(name: str, tmp_path: Path) -> None:
    with bridge.get_writer(tmp_path / name) as writer:
        writer.append_data(frame(0))
        for method in ("get_data", "get_next_data", "get_length", "get_meta_data", "iter_data", "__iter__", "__len__"):
            with pytest.raises((AttributeError, TypeError, errors.Closed)):
                getattr(writer, method)()
        with pytest.raises(TypeError):
            list(writer)  # type: ignore[call-overload] # a mistake


@says(
    "A writer will (if the format permits) write data to the file as soon as new data is provided (i.e. streaming).",
)
@pytest.mark.parametrize("name", SEVERAL)
def test_images_one_by_one(name: str, tmp_path: Path) -> None:
    """An iterator of more frames than anybody would keep; the same array is given again, changed."""
    image = np.empty_like(frame(0))
    with bridge.get_writer(tmp_path / name) as writer:
        for index in range(4):
            image[:] = frame(index)
            writer.append_data(image)
    back = bridge.mimread(tmp_path / name)
    assert len(back) == 4
    for index, got in enumerate(back):
        assert abs(int(got.mean()) - int(frame(index).mean())) < 10


@every_name
def test_a_writer_that_got_nothing(name: str, tmp_path: Path) -> None:
    writer = bridge.get_writer(tmp_path / name)
    try:
        writer.close()
    except errors.BridgeError:
        assert not list(tmp_path.iterdir())
    assert writer.closed
    assert [path.name for path in tmp_path.iterdir()] in ([], [name])


@pytest.mark.parametrize("name", ["moving.gif", "film.mp4", "film.mkv"])
@pytest.mark.parametrize("second", [picture(3, height=40), picture(1, height=48, width=64)], ids=["size", "channels"])
def test_frames_of_another_kind_are_refused(name: str, second: np.ndarray[Any, Any], tmp_path: Path) -> None:
    with pytest.raises(errors.UnsupportedPixels):
        bridge.mimwrite(tmp_path / name, [frame(0), second])
    assert not list(tmp_path.iterdir())


# Metadata


class _Recording(Writer):
    """Keeps what it is given."""

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        del image
        self.got = meta
        self.request.part()

    def _finish(self) -> None:
        """Nothing is left to do."""


@says(
    "The final meta data that is used consists of the meta data on the given image (if applicable), updated with the "
    "given meta data.",
    "Plugins implement Writer's for different formats.",
    "Though rare, plugins may provide additional functionality (beyond what is provided by the base writer class).",
)
def test_final_meta_data(tmp_path: Path) -> None:
    image = bridge.Array(picture(), {"a": 1, "b": 2})
    with _Recording(Format(), Request(tmp_path / "file", writing=True)) as writer:
        writer.append_data(image, {"b": 3, "c": 4})
        assert writer.got == {"a": 1, "b": 3, "c": 4}
        writer.append_data(im=image, meta={})
        assert writer.got == {"a": 1, "b": 2}
        writer.append_data(picture(), {"c": 4})
        assert writer.got == {"c": 4}
        writer.append_data(picture())
        assert writer.got == {}
    assert image.meta == {"a": 1, "b": 2}


@every_name
def test_meta_data_of_the_wrong_kind(name: str, tmp_path: Path) -> None:
    with bridge.get_writer(tmp_path / name) as writer:
        with pytest.raises((TypeError, ValueError)):
            writer.append_data(frame(0), "text")  # type: ignore[arg-type] # a mistake
        with pytest.raises((TypeError, ValueError)):
            writer.set_meta_data("text")  # type: ignore[arg-type] # a mistake
        writer.append_data(frame(0))


GIVEN = {
    "EXIF": {"Artist": "Ada", "ImageDescription": "A picture, schön"},
    "XMP": {"CreatorTool": "a pen"},
    "description": "a description",
    "title": "a title",
    "nonsense": object(),
    "more nonsense": {"deep": [1, {"er": b"\0"}]},
}


@says(
    "Sets the file's (global) meta data.",
    "The meta data is a dict which shape depends on the format.",
    "Note that some meta formats may not be supported for writing, and individual fields may be ignored without "
    "warning if they are invalid.",
)
@every_name
def test_what_is_not_written_is_told(name: str, tmp_path: Path) -> None:
    """Each field is in the file, or in `writer.changes`; never is there an error or a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with bridge.get_writer(tmp_path / name) as writer:
            writer.set_meta_data(GIVEN)
            writer.append_data(frame(0))
    told = " ".join(map(str, writer.changes))
    with bridge.get_reader(tmp_path / name) as reader:
        found = repr(reader.get_meta_data())
    assert "nonsense" in told
    for field, value in GIVEN.items():
        if field in ("EXIF", "XMP"):
            for inner, text in value.items():  # type: ignore[attr-defined] # a group is a dict
                assert text in found or field in told or inner in told, inner
        else:
            assert field in told or str(value) in found, field


@every_name
def test_an_empty_dict_changes_nothing(name: str, tmp_path: Path) -> None:
    with bridge.get_writer(tmp_path / name) as writer:
        writer.set_meta_data({})
        writer.append_data(frame(0), {})
    assert not list(writer.changes)


@every_name
def test_what_was_read_can_be_written_with_its_meta_data(name: str, tmp_path: Path) -> None:
    """The metadata that our own readers give is never an obstacle."""
    bridge.imwrite(tmp_path / name, frame(2))
    image = bridge.imread(tmp_path / name)
    for other in NAMES:
        bridge.imwrite(tmp_path / ("new-" + other), image)
    assert len(list(tmp_path.iterdir())) == 1 + len(NAMES)


@says(
    "E.g. for JPEG the dict maps group names to subdicts, and each group is a dict with name-value pairs.",
    "The groups represents the different metadata formats (EXIF, XMP, etc.).",
)
def test_groups_of_a_jpeg_are_written_or_told(tmp_path: Path) -> None:
    with bridge.get_writer(tmp_path / "picture.jpg") as writer:
        writer.set_meta_data({"EXIF": {"Artist": "Ada", "NoSuchTag": "x"}, "NoSuchGroup": {"a": 1}})
        writer.append_data(picture())
    told = " ".join(map(str, writer.changes))
    assert "NoSuchGroup" in told
    meta = bridge.imread(tmp_path / "picture.jpg").meta
    assert meta.get("EXIF", {}).get("Artist") == "Ada" or "Artist" in told or "EXIF" in told


def test_an_old_file_stays_until_the_new_one_is_whole(tmp_path: Path) -> None:
    for name in ("array.npy", "picture.png", "film.mp4"):
        (tmp_path / name).write_bytes(b"old")
        with pytest.raises(KeyError), bridge.get_writer(tmp_path / name) as writer:
            writer.append_data(frame(0))
            assert (tmp_path / name).read_bytes() == b"old"
            raise KeyError
        assert (tmp_path / name).read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 3
