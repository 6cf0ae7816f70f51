"""Request: opened once, refused in time, and outputs that appear whole or not at all."""

from __future__ import annotations

import gc
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bridge.core.request import MODES, Request
from bridge.errors import BridgeError, CorruptMedia, ForbiddenUri, OutputFailed, UriError, UriIsDirectory, UriNotFound

if TYPE_CHECKING:
    from collections.abc import Callable

    Unprivileged = Callable[[Callable[[], Any]], Any]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "A.PNG"
    path.write_bytes(bytes(range(256)) * 40)
    return path


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _left(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# Reading


def test_content_is_read_by_position(file: Path) -> None:
    with Request(file) as request:
        assert (request.name, request.extension, request.size) == (str(file), ".png", 10_240)
        assert request.head == file.read_bytes()[:4096]
        assert request.read_at(100, 3) == b"def"
        assert request.read_at(10_238, 10) == b"\xfe\xff"
        assert request.read_at(99_999, 10) == b""


def test_each_child_gets_the_content_from_its_beginning(file: Path) -> None:
    with Request(file) as request:
        for _ in range(2):
            with request.input() as descriptor:
                assert os.read(descriptor, 20_000) == file.read_bytes()
        with request.input() as one, request.input() as two:
            os.read(one, 100)
            assert os.read(two, 1) == b"\0"


def test_what_was_opened_is_what_is_read_whatever_becomes_of_the_name(file: Path) -> None:
    content = file.read_bytes()
    with Request(file) as request:
        file.unlink()
        file.write_bytes(b"somebody else's")
        with request.input() as descriptor:
            assert os.read(descriptor, 20_000) == content
        assert request.head == content[:4096]


def test_closing_again_changes_nothing(file: Path) -> None:
    request = Request(file)
    request.close()
    request.close()


def test_one_that_is_dropped_closes_what_it_has_opened(file: Path) -> None:
    before = _descriptors()
    request = Request(file)
    assert _descriptors() == before + 1
    del request
    gc.collect()
    assert _descriptors() == before


@pytest.mark.parametrize("mode", ["", "x", "ii", "r", None])
def test_an_unknown_mode_is_refused(file: Path, mode: Any) -> None:
    with pytest.raises(UriError, match="mode must be one of"):
        Request(file, mode)
    assert set(MODES) == {"i", "I", "v", "V", "?"}


def test_a_missing_file_is_not_found(tmp_path: Path) -> None:
    for uri in (tmp_path / "none.png", tmp_path / "no" / "folder.png"):
        with pytest.raises(UriNotFound, match=str(uri)) as caught:
            Request(uri)
        assert isinstance(caught.value, FileNotFoundError | ValueError)


def test_a_file_is_no_folder(file: Path) -> None:
    with pytest.raises(UriNotFound):
        Request(file / "inside.png")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UriIsDirectory, match="name a file in it"):
        Request(tmp_path)


def test_an_empty_file_is_corrupt(tmp_path: Path) -> None:
    (tmp_path / "a.png").touch()
    with pytest.raises(CorruptMedia, match="empty"):
        Request(tmp_path / "a.png")


@pytest.mark.timeout(20)
def test_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    with pytest.raises(UriError, match="not a regular file"):
        Request(tmp_path / "a.png")
    with pytest.raises(UriError, match="not a regular file"):
        Request(tmp_path / "a.png", writing=True)


@pytest.mark.parametrize("uri", ["/dev/null", "/dev/zero", "/dev/tty"])
def test_a_device_is_refused(uri: str) -> None:
    with pytest.raises(BridgeError):
        Request(uri)
    with pytest.raises(BridgeError):
        Request(uri, writing=True)


def test_a_link_to_itself_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("a.png")
    with pytest.raises(BridgeError):
        Request(tmp_path / "a.png")


def test_a_name_that_is_too_long_is_a_typed_error(tmp_path: Path) -> None:
    with pytest.raises(BridgeError):
        Request(tmp_path / ("a" * 300))
    with pytest.raises(BridgeError):
        Request(tmp_path / ("a" * 300), writing=True).commit()


def test_an_unreadable_file_is_forbidden(file: Path, unprivileged: Unprivileged) -> None:
    file.chmod(0)
    with pytest.raises(ForbiddenUri, match="may not be read") as caught:
        unprivileged(lambda: Request(file))
    assert isinstance(caught.value, PermissionError)


def test_what_cannot_be_read_is_refused() -> None:
    with pytest.raises(UriError, match="for writing"):
        Request("<bytes>")


@pytest.mark.parametrize("uri", ["<video0>", "<screen>", "<clipboard>"])
def test_devices_have_no_content_of_their_own(uri: str) -> None:
    with Request(uri) as request:
        assert (request.head, request.size, request.extension, request.name) == (b"", 0, "", uri)


def test_raw_bytes_are_content() -> None:
    with Request(b"\x89PNG") as request:
        assert (request.head, request.size, request.extension) == (b"\x89PNG", 4, "")


# Writing


def _write(request: Request, content: bytes = b"new") -> None:
    request.part().write_bytes(content)


def test_an_output_appears_when_it_is_committed_and_not_before(tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    with Request(target, writing=True) as request:
        assert _left(tmp_path) == set()
        part = request.part()
        assert request.part() == part
        assert part.parent == tmp_path
        assert part.name.startswith(f".framebridge-{os.getpid()}-")
        _write(request)
        assert not target.exists()
        request.commit()
    assert _left(tmp_path) == {"a.png"}
    assert target.read_bytes() == b"new"


def test_an_output_that_is_not_committed_leaves_nothing_and_changes_nothing(file: Path) -> None:
    old = file.read_bytes()
    with Request(file, writing=True) as request:
        _write(request)
        request.close()
        request.close()
    assert _left(file.parent) == {file.name}
    assert file.read_bytes() == old


def test_an_output_that_is_dropped_leaves_nothing(tmp_path: Path) -> None:
    request = Request(tmp_path / "a.png", writing=True)
    _write(request)
    del request
    gc.collect()
    assert _left(tmp_path) == set()


def test_an_output_is_dropped_at_the_interpreters_end(tmp_path: Path) -> None:
    body = "import sys; from bridge.core.request import Request; r = Request(sys.argv[1], writing=True); r.part()"
    subprocess.run([sys.executable, "-c", body, str(tmp_path / "a.png")], check=True, timeout=30)
    assert _left(tmp_path) == set()


def test_a_fork_that_ends_does_not_drop_the_originals_output(tmp_path: Path) -> None:
    body = """
import os, sys, warnings
from bridge.core.request import Request
warnings.simplefilter("ignore", DeprecationWarning)
request = Request(sys.argv[1], writing=True)
request.part().write_bytes(b"new")
fork = os.fork()
if not fork:
    sys.exit(0)
os.waitpid(fork, 0)
request.commit()
"""
    subprocess.run([sys.executable, "-c", body, str(tmp_path / "a.png")], check=True, timeout=30)
    assert _left(tmp_path) == {"a.png"}


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o755])
def test_the_mode_of_a_file_that_is_replaced_is_kept(file: Path, mode: int) -> None:
    file.chmod(mode)
    with Request(file, writing=True) as request:
        _write(request)
        request.commit()
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert file.read_bytes() == b"new"


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0, 0o666)])
def test_a_new_file_has_the_usual_mode(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        with Request(tmp_path / "a.png", writing=True) as request:
            _write(request)
            request.commit()
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == mode


def test_a_link_stays_and_what_it_points_to_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "a.png", tmp_path / "link.png"
    target.write_bytes(b"old")
    link.symlink_to(target)
    with Request(link, writing=True) as request:
        _write(request)
        assert _left(tmp_path) == {"real", "link.png"}
        request.commit()
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    assert _left(tmp_path / "real") == {"a.png"}


def test_a_link_to_nothing_yet_makes_what_it_points_to(tmp_path: Path) -> None:
    link = tmp_path / "link.png"
    link.symlink_to("a.png")
    with Request(link, writing=True) as request:
        _write(request)
        request.commit()
    assert link.is_symlink()
    assert (tmp_path / "a.png").read_bytes() == b"new"


def test_who_reads_the_old_file_is_not_disturbed(file: Path) -> None:
    old = file.read_bytes()
    with file.open("rb") as reader, Request(file, writing=True) as request:
        _write(request)
        request.commit()
        assert reader.read() == old


def test_reading_and_writing_the_same_file_at_once(file: Path) -> None:
    old = file.read_bytes()
    with Request(file) as source, Request(file, writing=True) as target:
        _write(target, b"begun")
        with source.input() as descriptor:
            assert os.read(descriptor, 20_000) == old
        target.commit()
    assert file.read_bytes() == b"begun"


def test_a_folder_is_no_target(tmp_path: Path) -> None:
    with pytest.raises(UriIsDirectory):
        Request(tmp_path, writing=True)


def test_a_target_in_no_folder_is_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UriNotFound, match="make it first"):
        Request(tmp_path / "none" / "a.png", writing=True)
    assert _left(tmp_path) == set()


def test_a_read_only_folder_is_forbidden_before_any_work(tmp_path: Path, unprivileged: Unprivileged) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.png").write_bytes(b"old")
    folder.chmod(0o555)
    for name in ("a.png", "b.png"):
        with pytest.raises(ForbiddenUri, match="choose another folder"):
            unprivileged(lambda name=name: Request(folder / name, writing=True))  # type: ignore[misc] # the name is bound at once
    folder.chmod(0o755)
    assert _left(folder) == {"a.png"}


@pytest.mark.parametrize("folder", ["/proc", "/proc/self", "/sys"])
def test_a_folder_that_takes_nothing_is_a_typed_error(folder: str) -> None:
    with pytest.raises((ForbiddenUri, OutputFailed)), Request(Path(folder) / "a.png", writing=True) as request:
        request.part()


def test_a_folder_that_is_gone_at_the_end_is_a_typed_error(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    with Request(folder / "a.png", writing=True) as request:
        request.part().unlink()
        folder.rmdir()
        with pytest.raises(OutputFailed, match="could not be written"):
            request.commit()


def test_a_target_that_has_become_a_folder_is_a_typed_error_and_leaves_nothing(tmp_path: Path) -> None:
    with Request(tmp_path / "a.png", writing=True) as request:
        _write(request)
        (tmp_path / "a.png").mkdir()
        with pytest.raises(OutputFailed):
            request.commit()
    assert _left(tmp_path) == {"a.png"}


def test_many_writers_of_one_file_leave_one_of_theirs(tmp_path: Path) -> None:
    target = tmp_path / "a.png"

    def write(content: bytes) -> None:
        with Request(target, writing=True) as request:
            _write(request, content)
            request.commit()

    threads = [threading.Thread(target=write, args=(bytes([number]) * 1000,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert _left(tmp_path) == {"a.png"}
    assert len(set(target.read_bytes())) == 1
    assert len(target.read_bytes()) == 1000
