"""Batch: many images in one array, each with its own metadata; and readers that fill it."""

from __future__ import annotations

import copy
import math
import pickle
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bridge
from bridge.core.array import Array, Batch
from bridge.core.format import Format, Reader
from bridge.core.request import Request
from bridge.errors import Closed, NoSuchFrame, TruncatedMedia, UnsupportedPixels

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def batch(count: int = 5) -> Batch:
    pixels = np.arange(count * 6, dtype=np.uint8).reshape(count, 2, 3)
    return Batch(pixels, [{"index": 10 * n, "name": f"image {n}"} for n in range(count)])


def meta_of(number: int) -> dict[str, Any]:
    return {"index": 10 * number, "name": f"image {number}"}


# Batch

indexes = st.integers(-5, 4)


@given(indexes, st.sampled_from([int, np.int64, np.uint8, np.intp]))
def test_an_image_has_its_own_metadata(index: int, number: Callable[[int], Any]) -> None:
    index = index % 5 if number is np.uint8 else index
    image = batch()[number(index)]
    assert type(image) is Array
    assert image.meta == meta_of(index % 5)
    np.testing.assert_array_equal(image, np.arange(30).reshape(5, 2, 3)[index])


@given(st.slices(5), st.data())
def test_a_slice_has_the_metadata_of_its_images(part: slice, data: st.DataObject) -> None:
    some = batch()[part]
    numbers = range(*part.indices(5))
    assert type(some) is Batch
    assert some.meta == {"index": [10 * n for n in numbers], "name": [f"image {n}" for n in numbers]}
    for place, number in enumerate(numbers):
        assert some[place].meta == meta_of(number)
    again = data.draw(st.slices(len(numbers)))
    assert [image.meta for image in some[again]] == [meta_of(n) for n in numbers[again]]


def test_it_iterates_over_images_with_their_metadata() -> None:
    assert [image.meta for image in batch()] == [meta_of(n) for n in range(5)]
    assert [image.meta for image in reversed(batch())] == [meta_of(n) for n in (4, 3, 2, 1, 0)]


def test_what_an_image_lacks_is_none() -> None:
    both = Batch(np.zeros((2, 3)), [{"index": 1}, {"time": 0.5}])
    assert both.meta == {"index": [1, None], "time": [None, 0.5]}
    assert both[1].meta == {"index": None, "time": 0.5}


def _kept() -> dict[str, Callable[[Batch], Any]]:
    return {
        "view": lambda b: b.view(),
        "copy": lambda b: b.copy(),
        "copy.copy": copy.copy,
        "copy.deepcopy": copy.deepcopy,
        "astype": lambda b: b.astype(float),
        "arithmetic": lambda b: b + 1,
        "both sides": lambda b: 255 - b,
        "two": lambda b: b + b,
        "out": lambda b: np.add(b, 1, out=b),
        "pickle": lambda b: pickle.loads(pickle.dumps(b)),  # noqa: S301 - our own
        "old pickle": lambda b: pickle.loads(pickle.dumps(b, 2)),  # noqa: S301 - our own
        "buffers": lambda b: pickle.loads(pickle.dumps(b, 5)),  # noqa: S301 - our own
        "whole slice": lambda b: b[:],
    }


@pytest.mark.parametrize("make", _kept().values(), ids=_kept())
def test_metadata_goes_along(make: Callable[[Batch], Any]) -> None:
    original = batch()
    made = make(original)
    assert type(made) is Batch
    assert made.meta == original.meta == batch().meta
    assert made[3].meta == meta_of(3)


def _without() -> dict[str, Callable[[Batch], Any]]:
    return {
        "rows and columns": lambda b: b[:, 0],
        "an axis more": lambda b: b[None],
        "ellipsis": lambda b: b[..., 0],
        "a list": lambda b: b[[1, 0]],
        "an array": lambda b: b[np.array([1, 0])],
        "a mask": lambda b: b[np.array([True, False, True, False, True])],
        "pixels": lambda b: b[b > 3],
    }


@pytest.mark.parametrize("take", _without().values(), ids=_without())
def test_other_ways_to_index_give_what_numpy_gives(take: Callable[[Any], Any]) -> None:
    some = take(batch())
    assert some.meta == {}
    mask = take(np.arange(30, dtype=np.uint8).reshape(5, 2, 3))
    np.testing.assert_array_equal(np.asarray(some), mask)


def test_numbers_are_plain_numbers() -> None:
    assert isinstance(batch()[0, 1, 2], np.uint8)
    assert isinstance(batch()[0][1, 2], np.uint8)
    assert not isinstance(batch().sum(), np.ndarray)
    assert batch().max() == 29


def test_an_index_beyond_the_end_is_an_index_error() -> None:
    for index in (5, -6, np.int64(5)):
        with pytest.raises(IndexError):
            batch()[index]


def test_changing_the_metadata_of_an_image_changes_no_other() -> None:
    many = batch()
    many[0].meta["index"] = 99
    many[1:].meta["index"][0] = 99
    assert many.meta == batch().meta


def test_a_deep_copy_shares_nothing() -> None:
    many = batch()
    copy.deepcopy(many).meta["index"][0] = 99
    assert many.meta == batch().meta


def test_no_pixel_is_copied() -> None:
    pixels = np.zeros((2, 3, 4))
    both = Batch(pixels, [{}, {}])
    assert np.shares_memory(both, pixels)
    assert np.shares_memory(both[1], pixels)
    assert np.shares_memory(both[1:], pixels)
    assert both.meta == both[0].meta == {}


def test_images_in_an_image_have_the_metadata_of_that() -> None:
    row: Any = batch()[2][0]
    assert row.meta == meta_of(2)


# Readers


class Slides(Reader):
    """Images out of a list; it notes which were read."""

    def _open(self, **kwargs: Any) -> None:
        self.images: list[Any] = kwargs.pop("images")
        self.endless: bool = kwargs.pop("endless", False)
        self.read: list[int] = []
        super()._open(**kwargs)

    def _length(self) -> float:
        return math.inf if self.endless else len(self.images)

    def _data(self, index: int) -> Any:
        self.read.append(index)
        if index >= len(self.images):
            return None
        return self.images[index], {"index": index, "time": index / 25}


def slides(images: Any, **kwargs: Any) -> Slides:
    return Slides(Format(), Request(b"slides", "I", kwargs={"images": images, **kwargs}, name="slides"))


@pytest.fixture
def reader() -> Iterator[Slides]:
    with slides(np.arange(7 * 6, dtype=np.uint8).reshape(7, 2, 3)) as opened:
        yield opened


@given(st.lists(st.integers(-7, 6), min_size=1, max_size=12))
def test_images_come_in_the_order_that_is_asked_for(wanted: list[int]) -> None:
    with slides(np.arange(7 * 6, dtype=np.uint8).reshape(7, 2, 3)) as reader:
        some = reader.get_batch(wanted)
        assert reader.read == sorted({index % 7 for index in wanted})  # each once, and forwards
        np.testing.assert_array_equal(some, np.asarray(reader.images)[wanted])
    assert type(some) is Batch
    assert some.meta == {"index": [n % 7 for n in wanted], "time": [n % 7 / 25 for n in wanted]}


@given(st.slices(7))
def test_a_slice_of_a_reader_is_a_batch(part: slice) -> None:
    with slides(np.arange(7 * 6, dtype=np.uint8).reshape(7, 2, 3)) as reader:
        some = reader[part]
        wanted = list(range(7))[part]
        assert type(some) is Batch
        assert [image.meta["index"] for image in some] == wanted
        if wanted:
            np.testing.assert_array_equal(some, np.asarray(reader.images)[part])


def test_anything_that_is_an_index_will_do(reader: Slides) -> None:
    for wanted in (np.array([2, 0]), (np.int64(2), np.uint8(0)), iter([2, 0]), (n for n in (2, 0)), {2: "", 0: ""}):
        assert reader.get_batch(wanted).meta["index"] == [2, 0]


def test_no_indexes_give_an_empty_batch(reader: Slides) -> None:
    for none in (reader.get_batch([]), reader[3:3], reader[9:]):
        assert (type(none), none.shape, none.meta, list(none)) == (Batch, (0, 0, 0), {}, [])
    assert reader.read == []


@pytest.mark.parametrize("wanted", [[0, 7], [-8, 0], [0, 1, 10**30], [np.int64(7)], range(5, 9)])
def test_nothing_is_read_where_one_image_does_not_exist(reader: Slides, wanted: Any) -> None:
    with pytest.raises(NoSuchFrame, match=r"slides has no image .*: it has 7 image\(s\)"):
        reader.get_batch(wanted)
    assert reader.read == []


@pytest.mark.parametrize("wanted", [[0.5], ["1"], [None], 3, None, [slice(2)]])
def test_what_is_no_index_is_a_type_error(reader: Slides, wanted: Any) -> None:
    with pytest.raises(TypeError):
        reader.get_batch(wanted)
    assert reader.read == []


def test_images_of_different_shapes_do_not_fit_one_array() -> None:
    with slides([np.zeros((2, 3)), np.zeros((3, 2)), np.zeros((2, 3))]) as reader:
        with pytest.raises(UnsupportedPixels, match=r"slides: images of \w+ \(2, 3\) and \w+ \(3, 2\) do not fit"):
            reader.get_batch(range(3))
        with pytest.raises(UnsupportedPixels):
            reader[:]
        assert reader.get_batch([0, 2]).shape == (2, 2, 3)
        assert reader.get_batch([1]).shape == (1, 3, 2)


def test_a_batch_does_not_move_the_reader(reader: Slides) -> None:
    reader.set_image_index(3)
    reader.get_batch([6, 0])
    assert reader.get_next_data().meta["index"] == 3


def test_a_batch_is_the_callers_own(reader: Slides) -> None:
    some = reader.get_batch([1, 1])
    some[0] = 255
    np.testing.assert_array_equal(some[1], np.arange(6, 12).reshape(2, 3))
    np.testing.assert_array_equal(reader.get_data(1), np.arange(6, 12).reshape(2, 3))


def test_a_stream_gives_batches_and_no_slices() -> None:
    with slides([np.zeros((2, 3))] * 4, endless=True) as reader:
        assert reader.get_batch([3, 0]).meta["index"] == [3, 0]
        with pytest.raises(NoSuchFrame):
            reader.get_batch([0, -1])
        with pytest.raises(TypeError, match=r"has no len\(\)"):
            reader[:2]
        with pytest.raises(TruncatedMedia):
            reader.get_batch([3, 4])


def test_a_closed_reader_gives_no_batch(reader: Slides) -> None:
    reader.close()
    for wanted in ([0], []):
        with pytest.raises(Closed):
            reader.get_batch(wanted)
    with pytest.raises(Closed):
        reader[:]


@pytest.mark.parametrize("ending", ["npz", "tif"])
def test_files_give_batches(tmp_path: Path, ending: str) -> None:
    pixels = np.arange(5 * 4 * 6, dtype=np.uint16).reshape(5, 4, 6)
    bridge.mimwrite(tmp_path / f"some.{ending}", list(pixels))
    with bridge.get_reader(tmp_path / f"some.{ending}") as reader:
        some = reader.get_batch([4, -5, 4, np.int64(2)])
        assert some.dtype == pixels.dtype
        np.testing.assert_array_equal(some, pixels[[4, 0, 4, 2]])
        assert some.meta["index"] == [4, 0, 4, 2]
        np.testing.assert_array_equal(reader[::-2], pixels[::-2])
        with pytest.raises(NoSuchFrame):
            reader.get_batch([0, 5])


def test_pages_of_different_sizes_do_not_fit_one_array(tmp_path: Path) -> None:
    bridge.mimwrite(tmp_path / "pages.tif", [np.zeros((4, 6), np.uint16), np.zeros((6, 4), np.uint16)])
    with bridge.get_reader(tmp_path / "pages.tif") as reader:
        with pytest.raises(UnsupportedPixels, match=r"pages\.tif"):
            reader.get_batch([0, 1])
        assert reader[1:].shape == (1, 6, 4)
