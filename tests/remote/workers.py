"""Workers to test with: a source that counts, an answerer that does what it is told; here or in another process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bridge import errors
from bridge.errors import BridgeError
from bridge.remote.wire import Layout, Stamp
from bridge_workers.serve import Reply, Server, serve

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator, Mapping

    from bridge_workers.serve import Request

__all__ = ["Apart", "Counter", "Echo", "number_of", "private", "running"]


def number_of(array: np.ndarray[Any, Any]) -> int:
    """Give the number that a frame of `Counter` carries, seen at its beginning and at its end."""
    flat = array.reshape(-1)
    first, last = (int(part.view("<u4")[0]) for part in (flat[:4].copy(), flat[-4:].copy()))
    assert first == last, f"a frame of two frames: {first}, {last}"
    return first


class _Counting:
    def __init__(self, options: Mapping[str, Any]) -> None:
        height, width = options.get("size", (48, 64))
        self.layout = Layout(dtype=np.dtype("u1"), shape=(height, width, 3), pixels="rgb24")
        self.description = {"asked": dict(options)}
        self._options = options
        self._closed = threading.Event()
        self._at = 0

    def fill(self, memory: memoryview) -> Stamp | None:
        at, self._at = self._at, self._at + 1
        if at == self._options.get("frames", -1):
            if name := self._options.get("error"):
                raise getattr(errors, name)("the source says no", got=at)
            return None
        if self._options.get("hang") == at:
            self._closed.wait()
        if rate := self._options.get("fps"):
            self._closed.wait(1 / rate)
        if self._closed.is_set():
            raise BridgeError("closed")
        memory[:4] = memory[-4:] = at.to_bytes(4, "little")
        return Stamp(captured=time.monotonic_ns(), pts=at, time_base=Fraction(1, 25))

    def close(self) -> None:
        self._closed.set()


class Counter:
    """A source whose frames carry their numbers; options: size, frames, error, fps, shared, hang."""

    def __init__(self) -> None:
        self.feeds: list[_Counting] = []

    def describe(self) -> Mapping[str, Any]:
        return {"frames": True}

    def share(self, options: Mapping[str, Any]) -> Hashable:
        return "one" if options.get("shared") else None

    def open(self, options: Mapping[str, Any]) -> _Counting:
        if options.get("refuse"):
            raise errors.UriNotFound("there is no such camera")
        if slow := options.get("slow"):
            time.sleep(slow)
        self.feeds.append(_Counting(options))
        return self.feeds[-1]


class Echo:
    """Answers: ``echo``, ``array`` of a size, ``fail``, ``sleep``, ``read`` a descriptor, ``hang`` until forsaken."""

    threads = 4

    def __init__(self) -> None:
        self.forsaken = threading.Event()
        self.closed = False

    def describe(self) -> Mapping[str, Any]:
        return {"answers": True}

    def answer(self, request: Request) -> Reply:
        reply: Reply = getattr(self, f"_{request.what}")(request)
        return reply

    def close(self) -> None:
        self.closed = True

    def _echo(self, request: Request) -> Reply:
        return Reply(body={"body": dict(request.body), "data": bytes(request.data).hex()})

    def _array(self, request: Request) -> Reply:
        layout = Layout(dtype=np.dtype("<u2"), shape=tuple(request.body["shape"]), pixels="gray16le")
        slot = request.slot(layout.nbytes)
        np.frombuffer(slot.view, "<u2", count=layout.nbytes // 2)[:] = request.body["value"]
        return Reply(body={"pid": os.getpid()}, layout=layout, slot=slot)

    def _fail(self, request: Request) -> Reply:
        if request.body.get("foreign"):
            raise KeyError("nothing of ours")
        raise errors.CorruptMedia("a damaged picture", last_words="bad Huffman code")

    def _sleep(self, request: Request) -> Reply:
        time.sleep(request.body["seconds"])
        return Reply()

    def _hang(self, request: Request) -> Reply:
        if request.forsaken.wait(20):
            self.forsaken.set()
        return Reply()

    def _read(self, request: Request) -> Reply:
        return Reply(body={"content": [os.pread(one, 100, 0).decode() for one in request.descriptors]})

    def _unwritable(self, request: Request) -> Reply:
        del request
        return Reply(body={"a": object()})


@contextlib.contextmanager
def private() -> Iterator[Path]:
    """Give a private folder with a short name: that of a socket has at most 107 bytes."""
    with tempfile.TemporaryDirectory(prefix="fb-", dir=os.environ.get("FRAMEBRIDGE_SHORT", "/tmp")) as folder:  # noqa: S108 - private within
        yield Path(folder)


@contextlib.contextmanager
def running(work: Any, **options: Any) -> Iterator[tuple[Server, Path]]:
    """Run a worker in a thread of this process."""
    with private() as folder:
        server = Server("test", work, **options)
        server.listen_here(str(folder))
        thread = threading.Thread(target=server.run, name="worker")
        thread.start()
        try:
            yield server, folder
        finally:
            server.end()
            thread.join(10)
            assert not thread.is_alive()


class Apart:
    """A worker in another process, to be hurt."""

    def __init__(self, kind: str) -> None:
        self._stack = contextlib.ExitStack()
        self.folder = self._stack.enter_context(private())
        command = [sys.executable, "-P", "-m", "tests.remote.workers", kind, str(self.folder)]
        root = str(Path(__file__).parents[2])
        environment = os.environ | {"PYTHONPATH": os.pathsep.join([*sys.path, root])}
        self.process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
        self._stack.callback(self._end)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _end(self) -> None:
        self.hurt(signal.SIGCONT)
        self.process.kill()
        self.process.communicate()

    def hurt(self, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(number)


if __name__ == "__main__":
    kinds: dict[str, Any] = {"counter": Counter, "echo": Echo}
    sys.exit(serve(Server("test", kinds[sys.argv[1]]()), sys.argv[2]))
