"""Spool: what comes in goes out, from memory or a file without a name, and no more than the cap."""

from __future__ import annotations

import contextlib
import errno
import gc
import io
import os
import resource
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.core import spool as module
from bridge.core.spool import Spool, spool_object
from bridge.errors import Closed, LimitExceeded, OutputFailed, UriError
from tests.strategies import pieces

if TYPE_CHECKING:
    from collections.abc import Iterator

_DATA = bytes(range(256)) * 40
_LARGE = 1 << 30


def _content(spool: Spool) -> bytes:
    descriptor = spool.reopen()
    with os.fdopen(descriptor, "rb") as file:
        return file.read()


def _link(descriptor: int) -> str:
    return str(Path(f"/proc/self/fd/{descriptor}").readlink())


@pytest.fixture
def no_memory_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")


@pytest.fixture
def no_nameless_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "O_TMPFILE")


@contextlib.contextmanager
def small_files_only() -> Iterator[int]:
    """No file of this process can grow past 4096 bytes, as on a full disk; files in memory neither.

    Only around what is tested: pytest's own output may go to a file, too.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, before[1]))
    try:
        yield 4096
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


# In and out


@given(data=st.data(), memory=st.integers(0, 300))
def test_what_is_written_is_there(data: st.DataObject, memory: int) -> None:
    content = data.draw(st.binary(max_size=400))
    with Spool(400, memory=memory) as spool:
        for piece in data.draw(pieces(content)):
            assert spool.write(piece) == len(piece)
        number = spool.fileno()
        spool.finish()
        assert spool.size == len(content)
        assert spool.fileno() == number
        assert _content(spool) == content
        assert spool.read_at(3, 5) == content[3:8]
        assert os.fstat(number).st_size == len(content)


def test_small_content_is_in_memory_and_large_content_in_a_nameless_file() -> None:
    with Spool(_LARGE, memory=1000) as spool:
        number = spool.fileno()
        spool.write(_DATA[:1000])
        assert "memfd" in _link(number)
        assert "in memory" in repr(spool)
        spool.write(_DATA[1000:])
        assert spool.fileno() == number
        assert _link(number).startswith(tempfile.gettempdir())
        assert "(deleted)" in _link(number)
        assert "private file" in repr(spool)
        assert os.fstat(number).st_mode & 0o777 == 0o600
        assert not any(Path(tempfile.gettempdir()).iterdir())
        assert _content(spool.finish()) == _DATA


@pytest.mark.usefixtures("no_memory_files")
def test_without_files_in_memory_it_is_a_file_at_once() -> None:
    with Spool(_LARGE) as spool:
        spool.write(_DATA)
        assert "private file" in repr(spool)
        assert _content(spool.finish()) == _DATA


@pytest.mark.usefixtures("no_memory_files", "no_nameless_files")
def test_without_nameless_files_the_name_is_taken_away() -> None:
    with Spool(_LARGE) as spool:
        spool.write(_DATA)
        assert not any(Path(tempfile.gettempdir()).iterdir())
        assert os.fstat(spool.fileno()).st_mode & 0o777 == 0o600
        assert _content(spool.finish()) == _DATA


def test_what_is_expected_to_be_large_goes_to_the_file_at_once() -> None:
    with Spool(_LARGE, memory=1000) as spool:
        spool.expect(1001)
        assert "private file" in repr(spool)


@pytest.mark.parametrize("memory", [0, _LARGE])
def test_what_is_finished_stays_as_it_is(memory: int) -> None:
    with Spool(_LARGE, memory=memory) as spool:
        spool.write(b"abc")
        spool.finish()
        spool.finish()
        with pytest.raises(Closed, match="finished"):
            spool.write(b"d")
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.pwrite(spool.fileno(), b"d", 0)
        assert _content(spool) == b"abc"


def test_no_child_can_write_to_what_is_in_memory() -> None:
    with Spool(_LARGE) as spool:
        spool.write(b"abc")
        spool.finish()
        descriptor = os.open(f"/proc/self/fd/{spool.fileno()}", os.O_RDWR)
        try:
            for attempt in (lambda: os.pwrite(descriptor, b"d", 0), lambda: os.ftruncate(descriptor, 0)):
                with pytest.raises(PermissionError):
                    attempt()
        finally:
            os.close(descriptor)


def test_each_reader_has_its_own_position() -> None:
    with Spool(_LARGE) as spool:
        spool.write(_DATA)
        one, two = spool.finish().reopen(), spool.reopen()
        assert os.read(one, 100) == _DATA[:100]
        assert os.read(two, 10) == _DATA[:10]
        assert not os.get_inheritable(one)
        os.close(one)
        os.close(two)


def test_without_proc_a_reader_starts_at_the_beginning(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: int) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(module, "_again", refuse)
    with Spool(_LARGE) as spool:
        spool.write(_DATA)
        assert _content(spool.finish()) == _DATA
        assert _content(spool) == _DATA


# The end


def test_close_is_for_everybody_and_any_number_of_times() -> None:
    spool = Spool(10)
    number = spool.fileno()
    spool.close()
    spool.close()
    assert spool.closed
    assert "closed" in repr(spool)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)
    for attempt in (spool.fileno, spool.reopen, spool.detach, lambda: spool.write(b"a")):
        with pytest.raises(Closed, match="closed"):
            attempt()


def test_what_nobody_holds_is_closed() -> None:
    spool = Spool(10)
    number = spool.fileno()
    del spool
    gc.collect()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(number)


def test_a_descriptor_that_is_handed_over_lives_on() -> None:
    with Spool(10) as spool:
        spool.write(b"abc")
        descriptor = spool.finish().detach()
    assert spool.closed
    with os.fdopen(descriptor, "rb") as file:
        assert file.read() == b"abc"


# Too much


def test_too_much_names_the_limit_its_value_and_the_way_out() -> None:
    with Spool(100, name="a.png", limit="http_bytes") as spool:
        spool.write(bytes(60))
        with pytest.raises(LimitExceeded, match=r"^a\.png: 101 bytes or more.*http_bytes=100 .*Limits\(http_bytes="):
            spool.write(bytes(41))
        assert spool.size == 60
        assert spool.write(bytes(40)) == 40


def test_too_much_is_refused_before_it_comes() -> None:
    with Spool(100) as spool:
        spool.expect(100)
        with pytest.raises(LimitExceeded, match="101 bytes, more than the limit bytes=100"):
            spool.expect(101)


def test_a_full_folder_is_named_with_the_need() -> None:
    with Spool(_LARGE, name="a.mp4", memory=1000) as spool:
        spool.expect(50_000)
        with small_files_only() as room:
            spool.write(bytes(room))
            with pytest.raises(OutputFailed) as caught:
                spool.write(b"x")
    assert "a.mp4: 50000 bytes" in str(caught.value)
    assert tempfile.gettempdir() in str(caught.value)
    assert "TMPDIR" in str(caught.value)


def test_memory_that_runs_out_is_helped_by_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.pwrite

    def starved(descriptor: int, data: Any, at: int) -> int:
        if "memfd" in _link(descriptor) and at + len(data) > 2000:
            raise OSError(errno.ENOMEM, os.strerror(errno.ENOMEM))
        return write(descriptor, data, at)

    monkeypatch.setattr(os, "pwrite", starved)
    with Spool(_LARGE) as spool:
        spool.write(_DATA[:1500])
        spool.write(_DATA[1500:])
        assert "private file" in repr(spool)
        assert _content(spool.finish()) == _DATA


def test_a_folder_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/no/folder")
    with Spool(_LARGE, memory=0) as spool, pytest.raises(OutputFailed, match=r"/no/folder.*TMPDIR"):
        spool.write(b"a")


@pytest.mark.usefixtures("no_memory_files")
def test_a_spool_that_cannot_be_made_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/no/folder")
    with pytest.raises(OutputFailed, match="/no/folder"):
        Spool(10)


# File objects


class _Odd:
    """An object whose `read` gives, or raises, one thing after the other."""

    name = "odd"

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)

    def read(self, count: int) -> Any:
        assert count > 0
        answer = self.answers.pop(0)
        if isinstance(answer, BaseException):
            raise answer
        return answer


@given(data=st.data())
def test_short_reads_are_fine(data: st.DataObject) -> None:
    content = data.draw(st.binary(max_size=200))
    parts = [piece for piece in data.draw(pieces(content)) if piece]
    with spool_object(_Odd(*parts, b""), 200) as spool:
        assert _content(spool) == content


def test_it_starts_where_the_object_stands_and_leaves_it_open() -> None:
    file = io.BytesIO(_DATA)
    file.seek(100)
    with spool_object(file, _LARGE, 64) as spool:
        assert _content(spool) == _DATA[100:]
    assert not file.closed
    assert file.read() == b""


def test_a_pipe() -> None:
    read_end, write_end = os.pipe()

    def feed() -> None:
        with os.fdopen(write_end, "wb", buffering=0) as out:
            for _ in range(30):
                out.write(_DATA)

    thread = threading.Thread(target=feed)
    thread.start()
    with os.fdopen(read_end, "rb", buffering=0) as file, spool_object(file, _LARGE) as spool:
        assert _content(spool) == _DATA * 30
    thread.join()


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_whatever_is_bytes(kind: type) -> None:
    with spool_object(_Odd(kind(b"abc"), kind(b"")), 10) as spool:
        assert _content(spool) == b"abc"


def test_an_object_is_capped_while_it_is_read() -> None:
    class Endless:
        taken = 0

        def read(self, count: int) -> bytes:
            self.taken += count
            return bytes(count)

    file = Endless()
    with pytest.raises(LimitExceeded, match=r"<Endless object>: .*bytes=10000"):
        spool_object(file, 10_000, 1000)
    assert file.taken == 11_000


def test_text_is_refused_before_anything_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("text")
    with path.open() as file:
        with pytest.raises(UriError, match=r"a\.txt is opened in text mode: open it with 'rb'"):
            spool_object(file, 100)
        assert file.read() == "text"
    with pytest.raises(UriError, match="text mode"):
        spool_object(io.StringIO("text"), 100)
    with pytest.raises(UriError, match="text mode"):
        spool_object(_Odd("text"), 100)


@pytest.mark.parametrize(
    ("answers", "words"),
    [((b"a", None), "non-blocking"), ((b"a", 7), "gave int"), (([1],), "gave list")],
    ids=["none", "number", "list"],
)
def test_what_is_no_bytes_is_refused(answers: tuple[Any, ...], words: str) -> None:
    with pytest.raises(UriError, match=words):
        spool_object(_Odd(*answers), 100)


@pytest.mark.parametrize("error", [OSError(errno.EIO, "bad"), ZeroDivisionError(), KeyboardInterrupt()], ids=repr)
def test_what_read_raises_comes_out_as_it_is(error: BaseException) -> None:
    with pytest.raises(type(error)) as caught:
        spool_object(_Odd(b"abc", error), 100)
    assert caught.value is error


def test_closed_objects(tmp_path: Path) -> None:
    file = io.BytesIO(b"abc")
    file.close()
    with pytest.raises(UriError, match="is closed"):
        spool_object(file, 100)
    with (tmp_path / "a").open("wb") as writer, pytest.raises(UriError, match="not open for reading"):
        spool_object(writer, 100)
    with pytest.raises(UriError, match="no `read`"):
        spool_object(object(), 100)
