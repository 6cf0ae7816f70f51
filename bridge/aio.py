"""aiter(): the frames of a reader for ``async for``. One thread reads them, at most two ahead."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import threading
from typing import TYPE_CHECKING, Any

from bridge.api import get_reader

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from bridge.core.array import Array
    from bridge.core.format import Reader

__all__ = ["aiter"]

_AHEAD = 2  # frames
_PATIENCE = 5.0  # seconds in which what was stopped ends, when nothing is wrong


async def aiter(uri: Any, format: str | None = None, **kwargs: Any) -> AsyncGenerator[Array]:
    """Iterate over the images of a resource with ``async for``.

    Parameters
    ----------
    uri, format, **kwargs
        As for `bridge.get_reader`.

    Yields
    ------
    Array
        In order, none left out; at most two are read ahead.

    Raises
    ------
    BridgeError
        What `bridge.get_reader` and its reader raise: after the images that came before.

    Notes
    -----
    What reads is stopped, with its child, when the task is cancelled, also in the middle of a frame, and when the
    iterator is closed by `aclose` or dropped: use `contextlib.aclosing` where you leave the loop early and want that
    to have happened.

    Examples
    --------
    >>> async def watch():
    ...     async for frame in aiter("clip.mp4"):
    ...         print(frame.meta["time"])
    >>> asyncio.run(watch())                             # doctest: +SKIP
    """
    ahead = _Ahead(functools.partial(get_reader, uri, format, "?", **kwargs))
    try:
        while (frame := await ahead.next()) is not None:
            yield frame
    finally:
        await ahead.stop()


class _Ahead:
    """A thread that reads, and the loop that it reads for."""

    def __init__(self, opened: Callable[[], Reader]) -> None:
        self._opened = opened
        self._loop = asyncio.get_running_loop()
        self._came: asyncio.Queue[Array | Exception | None] = asyncio.Queue()
        self._room = threading.Semaphore(_AHEAD)
        self._ended = asyncio.Event()
        self._lock = threading.Lock()
        self._reader: Reader | None = None
        self._stopped = False
        threading.Thread(target=self._work, name="framebridge-aiter", daemon=True).start()

    async def next(self) -> Array | None:
        """Give the next image; None at the end."""
        found = await self._came.get()
        self._room.release()
        if isinstance(found, Exception):
            raise found
        return found

    async def stop(self) -> None:
        """End what reads, wherever it is, and wait for that."""
        with self._lock:
            self._stopped = True
            reader = self._reader
        self._room.release()
        if reader is not None and not self._ended.is_set():  # closing may wait, which the loop must not
            await self._close(reader)
        with contextlib.suppress(TimeoutError):  # it is still being opened, and closes itself after that
            await asyncio.wait_for(self._ended.wait(), _PATIENCE)

    async def _close(self, reader: Reader) -> None:
        closed = asyncio.Event()

        def work() -> None:
            reader.close()
            self._tell(closed.set)

        threading.Thread(target=work, name="framebridge-aiter-close", daemon=True).start()
        await closed.wait()

    # In the thread

    def _work(self) -> None:
        end = None
        try:
            with self._opened() as reader:
                self._read(reader)
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            end = error
        self._tell(self._came.put_nowait, end)
        self._tell(self._ended.set)

    def _read(self, reader: Reader) -> None:
        with self._lock:
            self._reader = reader
        images = iter(reader)
        while self._room.acquire() and not self._stopped:
            image = next(images, None)
            if image is None:
                return
            self._tell(self._came.put_nowait, image)

    def _tell(self, call: Callable[..., object], *arguments: Any) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody listens any more
            self._loop.call_soon_threadsafe(call, *arguments)
