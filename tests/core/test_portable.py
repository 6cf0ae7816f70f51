"""Readers in other processes: sent there, forked there, and what cannot go."""

from __future__ import annotations

import copy
import gzip
import io
import multiprocessing
import pickle
import sys
import tempfile
import threading
import zipfile
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import resource_tracker
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import bridge
from bridge import errors
from bridge.process import launch
from tests.core import elsewhere

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]


def again(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))  # noqa: S301 - our own


@pytest.fixture(scope="module")
def film(lavfi: Any) -> Path:
    made: Path = lavfi("portable.mp4", "testsrc2=s=64x48:d=2:r=10", "-pix_fmt", "yuv420p", "-c:v", "mpeg4")
    return made


@pytest.fixture
def reader(film: Path) -> Iterator[Any]:
    with bridge.get_reader(film, size=(32, 24)) as reader:
        yield reader


@pytest.fixture(params=["spawn", "fork"])
def pool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ProcessPoolExecutor]:
    monkeypatch.setattr(sys, "path", [*sys.path, str(Path(__file__).parents[2])])  # theirs is made of it
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(request.param)) as pool:
        yield pool
    if request.param != "fork":  # what multiprocessing keeps for the next pool; the leak check counts it
        resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined] # there is no public way


def test_a_reader_that_was_sent_stands_where_it_stood(reader: Any) -> None:
    reader.get_data(4)
    children = launch.alive()[0]
    with again(reader) as other:
        assert type(other) is type(reader)
        assert repr(other) == repr(reader)
        assert np.array_equal(other.get_next_data(), reader.get_data(5))
        assert other.request.kwargs == reader.request.kwargs
        assert other.format is reader.format
        assert len(other) == 20
    assert launch.alive()[0] == children


def test_nothing_is_opened_before_the_first_use(film: Path, tmp_path: Path) -> None:
    moved = tmp_path / "film.mp4"
    moved.write_bytes(film.read_bytes())
    with bridge.get_reader(moved) as reader:
        others = [again(reader), copy.copy(again(reader)), copy.deepcopy(reader)]
    moved.unlink()
    for other in others:
        assert not other.closed
        assert "open" in repr(other)
    others[0].close()
    assert others[0].closed
    with pytest.raises(errors.Closed):
        others[0].get_data(0)
    for name in ("request", "format", "info", "timestamps"):
        with pytest.raises((errors.UriNotFound, errors.Closed)):
            getattr(others[1], name)
    with pytest.raises(errors.UriNotFound, match=r"film\.mp4"):
        len(others[2])


@pytest.mark.parametrize("use", ["__len__", "get_next_data", "get_meta_data", "get_length", "check_gathered",
                                 "expected_bytes", "iter_data", "audio"])  # fmt: skip
def test_any_use_opens_it(use: str, tmp_path: Path) -> None:
    source = tmp_path / "a.png"
    bridge.imwrite(source, np.zeros((4, 5, 3), np.uint8))
    with bridge.get_reader(source) as reader, again(reader) as other:
        assert seen(other, use) == seen(reader, use)


def seen(reader: Any, use: str) -> str:
    try:
        found = getattr(reader, use)()
    except errors.UnknownFormat as error:
        return str(error)
    return repr(list(found) if use == "iter_data" else found)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_pool_reads_frames_of_one_reader(pool: ProcessPoolExecutor, reader: Any) -> None:
    """As loaders of training data do: the data set, with its open reader, goes to each worker."""
    reader.get_data(0)
    expected = [int(np.asarray(frame).sum()) for frame in reader]
    data = elsewhere.Frames(reader)
    assert [*pool.map(elsewhere.item, [data] * 20, range(20), timeout=60)] == expected
    assert [*pool.map(elsewhere.rest, [reader] * 2, timeout=60)] == [expected] * 2
    assert int(reader[3].sum()) == expected[3]


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_reads_on_and_leaves_the_reader_of_its_parent_alone(reader: Any) -> None:
    """Also where a thread of the parent held the lock of the reader at that moment."""
    expected = [int(np.asarray(frame).sum()) for frame in reader]
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with reader._lock:
            held.set()
            free.wait(20)

    thread = threading.Thread(target=hold)
    frames = iter(reader)
    first = [int(next(frames).sum()) for _ in range(3)]
    thread.start()
    held.wait(20)
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    process = context.Process(target=elsewhere.forked, args=(reader, frames, theirs))
    process.start()
    free.set()
    thread.join()
    assert ours.poll(60)
    assert ours.recv() == [expected[7], *expected[3:]]
    process.join(20)
    assert process.exitcode == 0
    process.close()
    ours.close()
    theirs.close()
    assert first + [int(np.asarray(frame).sum()) for frame in frames] == expected


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    bridge.imwrite(tmp_path / "a.png", np.full((6, 7, 3), 9, np.uint8))
    return tmp_path / "a.png"


def test_each_kind_of_uri_that_can_be_opened_again(
    picture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(picture, "in/a.png")
    with (
        picture.open("rb") as named,
        picture.open("rb", buffering=0) as raw,
        tempfile.NamedTemporaryFile() as temporary,
    ):
        temporary.write(picture.read_bytes())
        temporary.seek(0)
        uris = ["a.png", picture, picture.read_bytes(), "a.zip/in/a.png", picture.as_uri(), named, raw, temporary,
                bridge.sequence("?.png")]  # fmt: skip
        readers = [bridge.get_reader(uri) for uri in uris]
        sent = [pickle.dumps(reader) for reader in readers]
        monkeypatch.chdir("/")
        for reader, content in zip(readers, sent, strict=True):
            with pickle.loads(content) as other:  # noqa: S301 - our own
                assert np.array_equal(other.get_data(0), reader.get_data(0))
            reader.close()


def test_what_no_other_process_can_open_says_so(picture: Path, tmp_path: Path) -> None:
    packed = tmp_path / "a.png.gz"
    with gzip.open(packed, "wb") as out:
        out.write(picture.read_bytes())
    shifted = tmp_path / "shifted"
    shifted.write_bytes(b"12345" + picture.read_bytes())
    with gzip.open(packed) as unpacked, shifted.open("rb") as behind:
        behind.seek(5)
        for uri in (io.BytesIO(picture.read_bytes()), unpacked, behind):
            with bridge.get_reader(uri) as reader:
                with pytest.raises(errors.NotPortable, match="give its name or its bytes") as caught:
                    pickle.dumps(reader)
                assert isinstance(caught.value, TypeError)
                assert reader.get_data(0).shape == (6, 7, 3)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_no_fork_can_open_says_so(picture: Path) -> None:
    with bridge.get_reader(io.BytesIO(picture.read_bytes())) as reader:
        context = multiprocessing.get_context("fork")
        ours, theirs = context.Pipe()
        process = context.Process(target=elsewhere.refused, args=(reader, theirs))
        process.start()
        assert ours.poll(60)
        assert "give its name or its bytes" in ours.recv()
        process.join(20)
        process.close()
        ours.close()
        theirs.close()


def test_closed_readers_and_writers_do_not_go(picture: Path, tmp_path: Path) -> None:
    reader = bridge.get_reader(picture)
    reader.close()
    with pytest.raises(errors.Closed):
        pickle.dumps(reader)
    for uri in (tmp_path / "b.png", "<bytes>"):
        writer = bridge.get_writer(uri, ".png")
        with pytest.raises(errors.NotPortable, match="cannot be sent to another process"):
            pickle.dumps(writer)
        writer.abort()


def test_two_threads_wake_one_reader(reader: Any) -> None:
    with again(reader) as other:
        found: list[int] = []
        threads = [threading.Thread(target=lambda: found.append(len(other))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert found == [20] * 8
