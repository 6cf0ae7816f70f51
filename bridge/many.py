"""Many pictures: `imread_many`, in order, from a pool of warm ImageMagicks."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Sized
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Self, cast

from bridge.catalogue import reader_for
from bridge.core.request import Request
from bridge.errors import Closed
from bridge.limits import of_call
from bridge.magick import warm
from bridge.magick.image import PictureFormat, PictureReader
from bridge.magick.worker import Lost
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from collections.abc import Iterable
    from concurrent.futures import Future

    import numpy as np

    from bridge.core.array import Array
    from bridge.core.format import Format, Reader
    from bridge.limits import Limits
    from bridge.magick.worker import Wanted, Worker

__all__ = ["Pictures", "imread_many"]

_EACH = 4  # pictures for which it is worth to start a worker
_ERRORS = 64  # things that wait to be raised


def imread_many(uris: Iterable[Any], workers: int | None = None, **kwargs: Any) -> Pictures:
    """Read many images, one after the other in their order, while the next ones are being decoded.

    Parameters
    ----------
    uris : iterable
        Each as for `imread`; taken a few at a time, so it may be endless.
    workers : int, optional
        How many pictures are decoded at once; by default as many as there are cores.
    **kwargs
        As for `imread`, for each of them: ``format``, ``limits``, ``trust``, keywords of the readers.

    Returns
    -------
    Pictures
        An iterator over `Array`, each as `imread` gives it, and a context manager. A picture that cannot be read raises
        in its place; `next` then goes on with the one after it. ``close()``, or the end of a ``with``, stops everything
        that is at work.

    Raises
    ------
    ValueError
        If `workers` is less than 1.

    Examples
    --------
    >>> from bridge import RETURN_BYTES, BridgeError, imwrite
    >>> import numpy as np
    >>> files = [imwrite(RETURN_BYTES, np.full((4, 6), n, np.uint8), "png") for n in range(3)]
    >>> [int(image.max()) for image in imread_many(files)]
    [0, 1, 2]

    Those that can be read, of files that may be damaged:

    >>> def readable(pictures):
    ...     while True:
    ...         try:
    ...             yield next(pictures)
    ...         except StopIteration:
    ...             return
    ...         except BridgeError as error:
    ...             print(error)
    """
    if workers is not None and (isinstance(workers, bool) or workers < 1):
        raise ValueError(f"workers must be at least 1, not {workers!r}")
    if isinstance(uris, str | bytes | os.PathLike):
        raise TypeError(f"uris must be many, not {uris!r}; for one there is imread")
    return Pictures(uris, workers or os.cpu_count() or 1, kwargs)


class _Asked:
    """A picture that is being read: by a worker, or by a thread as `imread` does it. Or the reason why it is not."""

    def __init__(self) -> None:
        self.request: Request | None = None
        self.format: Format | None = None
        self.reader: Reader | None = None
        self.wanted: Wanted | None = None
        self.worker: Worker | None = None
        self.future: Future[Array] | None = None
        self.error: Exception | None = None

    def open(self, uri: Any, limits: Limits, kwargs: dict[str, Any], *, is_warm: bool) -> None:
        """Find out what it is; no further than that where no worker is to be asked."""
        kwargs = dict(kwargs)
        name = kwargs.pop("format", None)
        self.request = Request(uri, "i", kwargs=kwargs, limits=limits)
        self.format = reader_for(self.request, name)
        if is_warm and isinstance(self.format, PictureFormat):
            self.reader = self.format.get_reader(self.request)
            self.wanted = self.reader.wanted() if isinstance(self.reader, PictureReader) else None

    def begin(self, worker: Worker) -> None:
        """Have a worker read it."""
        if self.request is not None and self.wanted is not None:
            self.worker = worker
            with self.request.input() as content:
                worker.begin(self.wanted, content)

    def read(self) -> Array:
        """Read it as `imread` does."""
        if self.reader is None and self.format is not None and self.request is not None:
            self.reader = self.format.get_reader(self.request)
        reader = cast("Reader", self.reader)
        image = reader.get_data(0)
        image.meta = {**reader.get_meta_data(), **image.meta}
        return image

    def close(self) -> None:
        """Let go of it; a thread that is at it hears of that."""
        if self.future is not None:
            self.future.cancel()
        if self.reader is not None:
            self.reader.close()
        if self.request is not None:
            self.request.close()


class Pictures:
    """An iterator over pictures that are read ahead of it. Obtained by `imread_many`."""

    def __init__(self, uris: Iterable[Any], workers: int, kwargs: dict[str, Any]) -> None:
        self._kwargs = dict(kwargs)
        self._limits = of_call(self._kwargs.pop("limits", None), self._kwargs.pop("trust", None))
        self._uris = iter(uris)
        self._most = workers
        self._worth = min(workers, len(uris) // _EACH) if isinstance(uris, Sized) else workers
        self._queue: deque[_Asked] = deque()
        self._waiting: _Asked | None = None  # taken from the uris, and nobody has had time for it
        self._workers: list[Worker] | None = None
        self._threads: ThreadPoolExecutor | None = None
        self._owner = os.getpid()
        self._over = False

    def __repr__(self) -> str:
        """Tell how far it is."""
        return f"<Pictures: {'over' if self._over else f'{len(self._queue)} being read'}>"

    def __iter__(self) -> Self:
        """Give itself."""
        return self

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def __del__(self) -> None:
        """Close."""
        if not getattr(self, "_over", True):
            self.close()

    def __next__(self) -> Array:
        """Give the next picture, or raise what is wrong with it."""
        if self._owner != os.getpid():
            raise Closed(f"{self!r} belongs to the process that this one was forked from")
        self._fill()
        if not self._queue:
            self.close()
            raise StopIteration
        asked = self._queue.popleft()
        try:
            return self._result(asked)
        finally:
            asked.close()

    def close(self) -> None:
        """Stop what is at work; there is nothing more to come. May be called again."""
        self._over = True
        if self._owner != os.getpid():
            return
        for asked in (*self._queue, *([self._waiting] if self._waiting else ())):
            asked.close()
        self._queue.clear()
        self._waiting = None
        while self._workers:
            warm.workers.give_back(self._workers.pop())
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)
            self._threads = None

    # Asking

    def _fill(self) -> None:
        """Ask for pictures until all have enough to do."""
        while not self._over:
            asked = self._waiting or self._taken()
            self._waiting = None
            if asked is None:
                return
            if not self._placed(asked):
                self._waiting = asked
                return
            self._queue.append(asked)

    def _taken(self) -> _Asked | None:
        """Take the next uri and open what it names; what is wrong with it is raised in its place."""
        for uri in self._uris:
            asked = _Asked()
            try:
                asked.open(uri, self._limits, self._kwargs, is_warm=bool(self._helpers()))
            except Exception as error:  # noqa: BLE001 - raised when its turn comes
                asked.error = error
            return asked
        return None

    def _helpers(self) -> list[Worker]:
        """Give the workers; started, not waited for, when they are first asked for."""
        if self._workers is None:
            self._workers = []
            tool = toolbox().get("magick")
            while tool is not None and len(self._workers) < self._most:
                worker = warm.workers.borrow(self._limits, tool, begin=len(self._workers) < self._worth)
                if worker is None:
                    break
                self._workers.append(worker)
        return self._workers

    def _placed(self, asked: _Asked) -> bool:
        """Give a picture to whoever has time for it."""
        if asked.error is not None:
            return len(self._queue) < _ERRORS
        ready = self._ready() if asked.wanted is not None else []
        if ready:
            free = [worker for worker in ready if not worker.full]
            if free:
                self._begin(asked, min(free, key=lambda worker: worker.waiting))
            return bool(free)
        if sum(other.future is not None for other in self._queue) >= self._most:
            return False
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._most, thread_name_prefix="framebridge-many")
        asked.future = self._threads.submit(asked.read)
        return True

    def _begin(self, asked: _Asked, worker: Worker) -> None:
        try:
            asked.begin(worker)
        except (Lost, OSError) as lost:  # the picture is read when its turn comes
            self._drop(worker, lost)

    def _ready(self) -> list[Worker]:
        ready = []
        for worker in [*self._helpers()]:
            if worker.tired and not worker.waiting:
                self._replace(worker)
                continue
            try:
                ready += [worker] if worker.ready() else []
            except Lost as lost:
                self._drop(worker, lost)
        return ready

    def _drop(self, worker: Worker, lost: BaseException) -> None:
        """Let go of a worker that has ended; what else it was asked for is read in the common way."""
        if worker in self._helpers():
            warm.workers.drop(worker, lost if isinstance(lost, Lost) else None)
            self._replace(worker, gone=True)

    def _replace(self, worker: Worker, *, gone: bool = False) -> None:
        """Have a fresh worker in the place of one, if there may be one."""
        helpers = self._helpers()
        helpers.remove(worker)
        if not gone:
            warm.workers.give_back(worker)
        fresh = warm.workers.borrow(self._limits, worker.tool, begin=True)
        helpers += [fresh] if fresh is not None else []

    # What came of it

    def _result(self, asked: _Asked) -> Array:
        if asked.error is not None:
            raise asked.error
        if asked.future is not None:
            return asked.future.result()
        frame = self._answer(asked)
        if frame is None:
            return asked.read()
        warm.workers.done += 1
        return cast("PictureReader", asked.reader).decoded(frame)

    def _answer(self, asked: _Asked) -> np.ndarray[Any, Any] | None:
        """Wait for a worker; None where the picture is to be read in the common way."""
        worker = asked.worker
        if worker is None or worker not in self._helpers():
            return None
        try:
            return worker.finish()
        except Lost as lost:
            self._drop(worker, lost)
            return None
        except BaseException as error:
            self._drop(worker, error)
            raise
