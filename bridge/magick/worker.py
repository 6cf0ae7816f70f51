"""One warm ImageMagick: a boxed process that keeps libMagickWand loaded, and the line to it.

What goes over the line is told in ``bridge_workers/magick.py``. It is a pair of sockets and not ZeroMQ, which a boxed
process cannot open; samples come in memory that is handed over, sealed once they are in it.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import functools
import importlib.util
import mmap
import os
import select
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.magick.policy import boxed
from bridge.process.child import Child

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bridge.limits import Limits
    from bridge.process.tools import Tool

__all__ = ["START", "Lost", "Unfit", "Wanted", "Worker", "library_names", "possible"]

_SLOT = 1 << 20  # bytes of a picture that is copied out of memory that stays
_SLOTS = 4  # pictures that may wait at a time
_PICTURES, _BYTES = 5000, 64 << 30
START = 10.0  # seconds that its start may take, on a busy machine
_AHEAD = 64 << 20  # bytes of pictures that wait after which no more is asked for
_MESSAGE = 1 << 16
_SUFFIXES = (".10", ".7", ".6", "")  # of the library's file, by release and by distribution
_SEALED_SIZE = getattr(fcntl, "F_SEAL_SHRINK", 2) | getattr(fcntl, "F_SEAL_GROW", 4)
_SEALED = getattr(fcntl, "F_SEAL_WRITE", 8)


class Lost(Exception):
    """The worker has ended, or does not do as it should."""


class Unfit(Lost):
    """There is no library for it, or not the program's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A picture, or a part of it, as a worker is asked for it.

    Attributes
    ----------
    coder : str
        ImageMagick's name of the format.
    kind : str
        The type that is forced on the picture.
    form : str
        The channels, as ``"RGB"``.
    bits : int
        8 or 16 a sample.
    size : tuple of int
        Width and height of the picture.
    box : tuple of int
        x, y, width and height of the part.
    properties : tuple of str
        ``name=value`` of what the option ``-set`` sets.
    narrowed : bool
        16 bits are made 8, as the program does it: cut off and not rounded.
    """

    coder: str
    kind: str
    form: str
    bits: int
    size: tuple[int, int]
    box: tuple[int, int, int, int]
    properties: tuple[str, ...] = ()
    narrowed: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Of the array."""
        width, height = self.box[2:]
        return (height, width, len(self.form)) if len(self.form) > 1 else (height, width)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array."""
        return np.dtype(np.uint8 if self.bits == 8 else np.uint16)

    @property
    def nbytes(self) -> int:
        """Of the array."""
        return self.box[2] * self.box[3] * len(self.form) * (self.bits // 8)

    def message(self, verb: str, cpu: int | None, place: str) -> bytes:
        """Say it."""
        numbers = (self.bits, *self.size, *self.box)
        allowed = "-" if cpu is None else cpu
        words = (verb, self.coder, self.kind, self.form, *numbers, allowed, place, *self.properties)
        return " ".join(map(str, words)).encode()


class Worker:
    """A warm ImageMagick. It is used by one thread at a time; `end` may come from any.

    Parameters
    ----------
    limits : Limits
        What it may take, and of each picture.
    tool : Tool
        The program in whose place it works: of any other version it is none.
    """

    def __init__(self, limits: Limits, tool: Tool) -> None:
        self.limits = limits
        self.pictures = self.bytes = 0
        self.known: object = None  # whose picture it has looked at last, and keeps
        self.tool = tool
        self._said = 0
        self._begun = time.monotonic()
        self._hello: bool | None = None
        self._waiting: deque[tuple[Wanted, int]] = deque()  # what was asked for, and its slot or memory
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, contextlib.ExitStack() as undo:
            undo.callback(ours.close)
            self.child = _started(limits, tool, theirs)
            undo.callback(self.child.abort)
            self._line = ours
            self._slots = _memory(_SLOTS * _SLOT, seal=True)
            self._view = mmap.mmap(self._slots, _SLOTS * _SLOT)
            undo.pop_all()

    def __repr__(self) -> str:
        """Tell the process and how much it has done."""
        return f"<Worker {self.child!r}, {self.pictures} pictures>"

    def ready(self, seconds: float = 0.0) -> bool:
        """Tell whether it has said that it is there, waiting so long for it at most.

        Raises
        ------
        Lost
            If it cannot serve, with the reason.
        """
        if self._hello is None:
            try:
                said = self._received(max(seconds, 1e-6))
            except TimeoutError:
                if time.monotonic() - self._begun > START:
                    raise Lost("it does not say that it is there") from None
                return False
            self._greeted(said)
        return bool(self._hello)

    def _greeted(self, said: bytes) -> None:
        words = said.decode("utf-8", "replace").split()
        version = " ".join(words[2:4])
        if words[:1] != ["hello"] or version != self.tool.version:
            raise Unfit(" ".join(words[1:]) if words[:1] == ["none"] else f"the library is {version or said!r}")
        self._hello = True
        self._send(f"memory {_SLOTS * _SLOT}".encode(), self._slots)
        try:
            taken = self._received(START) == b"done"
        except TimeoutError:
            taken = False
        if not taken:
            raise Lost("it takes no memory")

    def look(self, coder: str, content: int, owner: object) -> str | None:
        """Ask what `identify` would print of the first picture, which it then keeps; None if it does not tell.

        Raises
        ------
        Lost
            If it has ended.
        ToolTimeout
            If that takes longer than it may; it is gone then.
        """
        self.known = None
        answer = self._asked(f"look {coder} {self._cpu}".encode(), content)
        if not answer.startswith(b"seen "):
            return None
        self.known = owner
        return answer[5:].decode("ascii", "replace")

    def read(self, wanted: Wanted, content: int, owner: object = None) -> np.ndarray[Any, Any] | None:
        """Decode a picture; None if it is none for this way.

        Raises
        ------
        Lost
            If it has ended.
        ToolTimeout
            If that takes longer than it may; it is gone then.
        """
        self.begin(wanted, content, owner)
        return self.finish()

    @property
    def waiting(self) -> int:
        """How many pictures it has been asked for."""
        return len(self._waiting)

    @property
    def tired(self) -> bool:
        """Tell whether it has worked enough and is to make room for a fresh one."""
        return self.pictures >= _PICTURES or self.bytes >= _BYTES

    @property
    def full(self) -> bool:
        """Tell whether it has enough to do."""
        return self.tired or len(self._waiting) >= _SLOTS or sum(what.nbytes for what, _ in self._waiting) > _AHEAD

    def begin(self, wanted: Wanted, content: int, owner: object = None) -> None:
        """Ask for a picture without waiting for it; answers come in the order of the questions."""
        verb = "take" if owner is not None and self.known is owner else "read"
        self.known = None
        self.bytes += wanted.nbytes
        slot = self.pictures % _SLOTS
        self.pictures += 1
        place, room = (str(slot * _SLOT), -1) if wanted.nbytes <= _SLOT else ("-", _memory(wanted.nbytes, seal=True))
        self._waiting.append((wanted, room if room >= 0 else slot))
        self._send(wanted.message(verb, self.limits.still_cpu, place), content, *([room] if room >= 0 else ()))

    def finish(self) -> np.ndarray[Any, Any] | None:
        """Wait for the picture that was asked for first; see `read`."""
        wanted, place = self._waiting.popleft()
        frame = None
        try:
            if self._answer() == b"done" and not self._spoke():
                frame = self._copied(wanted, place) if wanted.nbytes <= _SLOT else _sealed(place, wanted)
        finally:
            if wanted.nbytes > _SLOT:
                os.close(place)
        return _narrow()[frame] if wanted.narrowed and frame is not None else frame

    def _spoke(self) -> bool:
        """Tell whether it has written anything to its error stream since the last picture."""
        before, self._said = self._said, self.child.said()
        return self._said > before

    def _copied(self, wanted: Wanted, slot: int) -> np.ndarray[Any, Any]:
        samples = np.frombuffer(self._view, wanted.dtype, wanted.nbytes // wanted.dtype.itemsize, slot * _SLOT)
        return samples.reshape(wanted.shape).copy()

    @property
    def _cpu(self) -> str:
        return "-" if self.limits.still_cpu is None else str(self.limits.still_cpu)

    def _asked(self, message: bytes, *descriptors: int) -> bytes:
        self._send(message, *descriptors)
        return self._answer()

    def _answer(self) -> bytes:
        """Wait for an answer as long as a picture may take."""
        try:
            return self._received(self.limits.still)
        except TimeoutError:
            raise self.child.too_slow(self.limits.still) from None

    def _send(self, message: bytes, *descriptors: int) -> None:
        try:
            socket.send_fds(self._line, [message], descriptors)
        except (OSError, ValueError) as error:
            raise Lost(f"it is gone: {error}") from error

    def _received(self, seconds: float) -> bytes:
        try:
            self._line.settimeout(seconds)
            answer = self._line.recv(_MESSAGE)
        except TimeoutError:
            raise
        except OSError as error:
            raise Lost(f"it is gone: {error}") from error
        if not answer:
            raise Lost("it has ended")
        return answer

    def fits(self, limits: Limits, tool: Tool) -> bool:
        """Tell whether it was started for such calls."""
        return self.limits == limits and self.tool == tool

    def gone(self) -> bool:
        """Tell whether it has ended, as it does when nobody asks for a minute; only of one that is not asked."""
        poller = select.poll()
        poller.register(self._line, select.POLLRDHUP if hasattr(select, "POLLRDHUP") else 0)
        return bool(poller.poll(0))

    def disown(self) -> None:
        """Let go of it, in a fork; the process belongs to the original."""
        self._line.close()
        self._let_go()

    def _let_go(self) -> None:
        with contextlib.suppress(BufferError):  # another thread is copying out of it
            self._view.close()
        while self._waiting:
            wanted, place = self._waiting.popleft()
            if wanted.nbytes > _SLOT:
                os.close(place)
        if self._slots >= 0:
            os.close(self._slots)
            self._slots = -1

    def end(self) -> None:
        """End it and put everything away."""
        self._line.close()
        self.child.abort("no more use")
        self._let_go()


def _started(limits: Limits, tool: Tool, line: socket.socket) -> Child:
    laid = boxed(limits, lasting=True)
    program = _program()
    files = laid["files"] | {program.name: program.read_bytes()}
    python = os.path.realpath(sys.executable)
    with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 - no path of anybody's
        return Child(
            (python, "-I", "-S", "-B", program.name, *library_names(tool)),
            subject="the warm ImageMagick",
            stdin=line.fileno(),
            stdout=nowhere.fileno(),
            **laid | {"files": files},
        )


def _program() -> Path:
    """Find the worker's program without importing it; it is laid into the folder that its box can see."""
    found = importlib.util.find_spec("bridge_workers")
    places = found.submodule_search_locations if found else None
    return Path(next(iter(places or ["."])), "magick.py")


def possible() -> bool:
    """Tell whether this system and this installation have what a warm worker is made of."""
    python = "py" in Path(sys.executable or "").name and not getattr(sys, "frozen", False)
    return sys.platform.startswith("linux") and hasattr(os, "memfd_create") and python and _program_is_here()


@functools.cache
def _program_is_here() -> bool:
    return _program().is_file()


def library_names(tool: Tool) -> Iterator[str]:
    """Give the names that the library of a program may have, the likeliest first: ``libMagickWand-6.Q16.so.6``."""
    quantum = tool.version.rpartition(" ")[2].replace("-", "")
    stem = f"libMagickWand-{tool.release[0]}.{quantum}.so"
    beside = Path(os.path.realpath(tool.path)).parent.parent / "lib"
    for suffix in _SUFFIXES:
        if (beside / f"{stem}{suffix}").exists():
            yield str(beside / f"{stem}{suffix}")
    for suffix in _SUFFIXES:
        yield f"{stem}{suffix}"


def _memory(size: int, *, seal: bool) -> int:
    """Make memory of a size that stays."""
    descriptor = os.memfd_create("framebridge", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        os.ftruncate(descriptor, size)
        if seal:
            fcntl.fcntl(descriptor, _ADD_SEALS, _SEALED_SIZE)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


_ADD_SEALS = getattr(fcntl, "F_ADD_SEALS", 1033)


@functools.cache
def _narrow() -> np.ndarray[Any, Any]:
    """Give what ImageMagick 6 makes of each 16-bit sample in an 8-bit PAM."""
    return (np.arange(1 << 16) * 255 // 65535).astype(np.uint8)


def _sealed(room: int, wanted: Wanted) -> np.ndarray[Any, Any]:
    """Give the samples as an array of the caller's own: nobody can change them any more but who holds it."""
    try:
        fcntl.fcntl(room, _ADD_SEALS, _SEALED)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Lost("it does not let go of a picture") from error
        raise
    memory = mmap.mmap(room, wanted.nbytes, mmap.MAP_PRIVATE, mmap.PROT_READ | mmap.PROT_WRITE)
    return np.frombuffer(memory, wanted.dtype).reshape(wanted.shape)
