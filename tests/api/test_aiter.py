"""`async for` over a reader: all frames, errors where they belong, and a child that ends with the task."""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pytest

import bridge
from bridge import errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]


@pytest.fixture(scope="module")
def film(lavfi: Any) -> Path:
    made: Path = lavfi("aiter.mp4", "testsrc2=s=64x48:d=2:r=10", "-pix_fmt", "yuv420p", "-c:v", "mpeg4")
    return made


def decoders() -> list[psutil.Process]:
    found = psutil.Process().children(recursive=True)
    return [process for process in found if "ffmpeg" in process.name()]


def soon_gone() -> bool:
    """What ends as the loop ends may do so just after it."""
    _, left = psutil.wait_procs(decoders(), timeout=4.0)
    return not left


async def until(true: Callable[[], bool], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


def test_all_frames_come_in_order(film: Path) -> None:
    async def main() -> list[Any]:
        return [frame async for frame in bridge.aiter(film, size=(32, 24))]

    frames = asyncio.run(main())
    with bridge.get_reader(film, size=(32, 24)) as reader:
        expected = list(reader)
    assert len(frames) == 20
    assert all(map(np.array_equal, frames, expected))
    assert [frame.meta for frame in frames] == [frame.meta for frame in expected]


async def read(came: list[Any], uri: Any, **kwargs: Any) -> None:
    async for frame in bridge.aiter(uri, **kwargs):
        came.append(frame)  # noqa: PERF401 - an unfinished comprehension gives nothing


async def stand_still(came: list[Any]) -> None:
    """Stop the decoder, and wait until all that it has sent has come."""
    await until(lambda: bool(came))
    before = -1
    while before != len(came):
        before = len(came)
        for decoder in decoders():
            decoder.suspend()
        await asyncio.sleep(0.2)


def test_a_task_that_is_cancelled_in_the_middle_of_a_frame_stops_the_child(film: Path) -> None:
    async def main() -> float:
        came: list[Any] = []
        task = asyncio.create_task(read(came, film, loop=True))
        await stand_still(came)
        assert decoders()
        assert not task.done()
        begin = time.monotonic()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        seconds = time.monotonic() - begin
        assert not decoders()
        return seconds

    assert asyncio.run(main()) < 4.0


def test_the_loop_goes_on_while_a_frame_is_waited_for(film: Path) -> None:
    async def main() -> None:
        came: list[Any] = []
        task = asyncio.create_task(read(came, film, loop=True))
        await stand_still(came)
        count = len(came)
        for decoder in decoders():
            decoder.resume()
        await until(lambda: len(came) > count)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())


def test_a_task_that_is_cancelled_while_it_works_on_a_frame_stops_the_child(film: Path) -> None:
    async def work(came: list[Any]) -> None:
        async for frame in bridge.aiter(film, loop=True):
            came.append(frame)
            await asyncio.sleep(600)

    async def main() -> None:
        came: list[Any] = []
        task = asyncio.create_task(work(came))
        await until(lambda: bool(came))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert soon_gone()


def test_at_most_two_frames_are_read_ahead(film: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge.ffmpeg.reader import FilmReader

    read: list[int] = []
    data = FilmReader._data

    def counted(self: FilmReader, index: int) -> Any:
        read.append(index)
        return data(self, index)

    monkeypatch.setattr(FilmReader, "_data", counted)

    async def main() -> None:
        async with contextlib.aclosing(bridge.aiter(film)) as frames:
            await anext(frames)
            await until(lambda: len(read) == 3)
            await asyncio.sleep(0.3)
            assert read == [0, 1, 2]
            await anext(frames)
            await until(lambda: len(read) == 4)

    asyncio.run(main())


def test_leaving_early_and_closing_twice(film: Path) -> None:
    async def main() -> None:
        frames = bridge.aiter(film)
        async for frame in frames:
            if frame.meta["index"] == 3:
                break
        await frames.aclose()
        await frames.aclose()
        await until(lambda: not [thread for thread in threading.enumerate() if "aiter" in thread.name])
        with pytest.raises(StopAsyncIteration):
            await anext(frames)

    asyncio.run(main())
    assert soon_gone()


def test_dropped_without_closing(film: Path) -> None:
    async def main() -> None:
        async for _ in bridge.aiter(film, loop=True):
            break

    asyncio.run(main())
    assert soon_gone()


def test_never_begun_it_starts_nothing(film: Path) -> None:
    async def main() -> None:
        frames = bridge.aiter(film)
        assert not [thread for thread in threading.enumerate() if "aiter" in thread.name]
        await frames.aclose()

    asyncio.run(main())


def test_errors_come_after_the_frames_before_them(film: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mp4"
    data = film.read_bytes()
    damaged.write_bytes(data[: len(data) // 2] + bytes(2000) + data[len(data) // 2 + 2000 :])
    came: list[Any] = []
    none: list[Any] = []
    with pytest.raises(errors.TruncatedMedia):
        asyncio.run(read(came, damaged))
    assert 1 <= len(came) < 20
    with pytest.raises(errors.UriNotFound):
        asyncio.run(read(none, tmp_path / "none.mp4"))
    with pytest.raises(TypeError, match="colour"):
        asyncio.run(read(none, film, colour="red"))
    assert not none


def test_several_at_once_in_one_loop(film: Path) -> None:
    async def count() -> int:
        return len([frame async for frame in bridge.aiter(film)])

    async def main() -> list[int]:
        return await asyncio.gather(*(count() for _ in range(6)))

    assert asyncio.run(main()) == [20] * 6
