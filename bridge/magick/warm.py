"""The warm way for stills: which pictures go to a worker that lasts, and the few workers that there are.

A picture goes this way only where it is certain to come out as from the one-shot program; a worker that finds anything
else in it says so, and the program is asked, so that every error is in the program's words. Content of strangers
(``trust="untrusted"``) never does: their pictures would share a process, where now each has one.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import threading
import time
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from bridge.errors import BridgeError
from bridge.magick.worker import START, Lost, Unfit, Wanted, Worker, possible

if TYPE_CHECKING:
    from collections.abc import Iterator

    import numpy as np

    from bridge.core.request import Request
    from bridge.limits import Limits
    from bridge.magick.pictures import Picture
    from bridge.media.portion import Portion
    from bridge.media.sniff import PictureHead
    from bridge.process.tools import Tool

__all__ = ["SETTING", "Workers", "close", "look", "picture", "state", "wanted", "workers"]

log = logging.getLogger("bridge")

SETTING = "FRAMEBRIDGE_WARM"  # "none": never; "always": from the first picture on, whatever that costs
_FROM = 3  # pictures after which a start, 35 ms of another core, is worth it: each one saves 5 ms and more
_DEATHS, _WITHIN = 5, 60.0  # that many deaths within so many seconds are enough

# Coders that decode in this process. Left out: what goes through other programs, and what has several pictures.
_CODERS = frozenset(
    {
        "avif",
        "bmp",
        "dpx",
        "gif",
        "heic",
        "ico",
        "j2k",
        "jp2",
        "jpeg",
        "jxl",
        "pam",
        "pcx",
        "png",
        "pnm",
        "psd",
        "tiff",
        "webp",
    }
)
_FORMS = {1: ("Grayscale", "R"), 3: ("TrueColor", "RGB"), 4: ("TrueColorMatte", "RGBA")}
_TURNED = ("avif", "heic")  # into RGB from another space, with 16 bits a sample whatever the file has
_INKS = ("ColorSeparation", "CMYK")


def wanted(picture: Picture, head: PictureHead, portion: Portion, tool: Tool, *, channels: int) -> Wanted | None:
    """Say what a worker is asked for; None if it is not to be asked.

    Parameters
    ----------
    picture : Picture
        The format.
    head : PictureHead
        What is known of the picture.
    portion : Portion
        What is wanted of it.
    tool : Tool
        The program.
    channels : int
        How many the program would send.
    """
    settings = picture.fixes[1::3], picture.fixes[2::3]
    if (
        picture.coder not in _CODERS
        or head.frames != 1
        or head.lab
        or portion.size is not None
        or set(picture.fixes[::3]) - {"-set"}
        or (head.cmyk and head.channels != 4)
        or (picture.coder in _TURNED and head.depth == 8 and tool.release >= (7, 0))
    ):
        return None
    kind, form = _INKS if head.cmyk else _FORMS[channels]
    narrowed = picture.coder in _TURNED and head.depth == 8
    return Wanted(
        coder=picture.coder,
        kind=kind,
        form=form,
        bits=16 if narrowed else head.depth,
        size=(head.width, head.height),
        box=portion.box or (0, 0, head.width, head.height),
        properties=tuple(f"{name}={value}" for name, value in zip(*settings, strict=True)),
        narrowed=narrowed,
    )


def picture(request: Request, tool: Tool, what: Wanted) -> np.ndarray[Any, Any] | None:
    """Read a picture from a worker; None where the program is to be asked.

    Raises
    ------
    ToolTimeout
        If it takes longer than it may.
    """
    frame = None
    with workers.one(request.limits, tool) as worker:
        if worker is not None:
            with request.input() as content:
                frame = worker.read(what, content, request)
    workers.done += frame is not None
    return frame


def look(request: Request, tool: Tool, coder: str) -> str | None:
    """Ask a worker what `identify` would print; None where the program is to be asked."""
    if coder not in _CODERS:
        return None
    said = None
    with workers.one(request.limits, tool) as worker:
        if worker is not None:
            with request.input() as content:
                said = worker.look(coder, content, request)
    return said


class Workers:
    """The workers of this process, few and shared by its threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[Worker] = []
        self._busy: set[Worker] = set()
        self._asked: Counter[Limits] = Counter()
        self._deaths: deque[float] = deque(maxlen=_DEATHS)
        self._unfit: dict[Tool, str] = {}
        self.done = 0  # pictures that came this way

    @contextlib.contextmanager
    def one(self, limits: Limits, tool: Tool, *, wait: bool = False) -> Iterator[Worker | None]:
        """Give a worker for one picture, or None; if it ends meanwhile, the block is left and nothing raised.

        Parameters
        ----------
        limits, tool
            Of the call.
        wait : bool
            Start one and wait for it, if none is there.
        """
        worker = self._taken(limits, tool, wait=wait or os.environ.get(SETTING) == "always")
        if worker is None:
            yield None
            return
        try:
            yield worker
        except Lost as lost:
            self.drop(worker, lost)
        except BaseException:  # an answer may still come, to nobody
            self.drop(worker, None)
            raise
        else:
            self._give(worker)

    def why_not(self, limits: Limits, tool: Tool | None) -> str:
        """Tell why no picture goes this way; empty if they do."""
        if tool is None:
            return "ImageMagick is not installed"
        if os.environ.get(SETTING) == "none":
            return f"{SETTING}=none"
        if limits.trust == "untrusted":
            return "what is untrusted has a process for each picture"
        if not possible():
            return "this system or this installation has no means for it"
        return self._unfit.get(tool, "")

    def _taken(self, limits: Limits, tool: Tool, *, wait: bool) -> Worker | None:
        """Take a worker that is there and ready; start one where that is worth it."""
        if self.why_not(limits, tool):
            return None
        with self._lock:
            worker = self._fitting(limits, tool)
            if worker is None and self._worth_it(limits, wait=wait):
                worker = self._begun(limits, tool)
            if worker is None:
                return None
            self._busy.add(worker)
        try:
            if worker.ready(START if wait else 0.0):
                return worker
        except Lost as lost:
            self.drop(worker, lost)
            return None
        except BaseException:
            self.drop(worker, None)
            raise
        self._give(worker)
        return None

    def _fitting(self, limits: Limits, tool: Tool) -> Worker | None:
        """Take an idle one out that was started under these limits; put away what has ended of itself."""
        for worker in [worker for worker in self._idle if worker.gone()]:
            self._idle.remove(worker)
            worker.end()
            if worker.child.exit and not worker.child.exit.ok:
                self._deaths.append(time.monotonic())
        found = next((worker for worker in reversed(self._idle) if worker.fits(limits, tool)), None)
        if found is not None:
            self._idle.remove(found)
        return found

    def _worth_it(self, limits: Limits, *, wait: bool) -> bool:
        if len(self._asked) > 64:
            self._asked.clear()
        self._asked[limits] += 1
        many = wait or self._asked[limits] >= _FROM
        return many and not self._mortal

    @property
    def _mortal(self) -> bool:
        """Tell whether too many have ended of late."""
        return len(self._deaths) == _DEATHS and time.monotonic() - self._deaths[0] < _WITHIN

    def _begun(self, limits: Limits, tool: Tool) -> Worker | None:
        """Start one, in the place of an idle one with other limits if there are enough."""
        if len(self._idle) + len(self._busy) >= max(2, os.cpu_count() or 1):
            if not self._idle:
                return None
            self._idle.pop(0).end()
        try:
            return Worker(limits, tool)
        except (OSError, BridgeError) as error:
            log.debug("no warm ImageMagick: %s", error)
            self._deaths.append(time.monotonic())
            return None

    def _give(self, worker: Worker) -> None:
        """Put a worker back, or away if it has worked enough."""
        with self._lock:
            kept = worker in self._busy and not worker.tired
            self._busy.discard(worker)
            if kept:
                self._idle.append(worker)
        if not kept:
            worker.end()

    def borrow(self, limits: Limits, tool: Tool, *, begin: bool) -> Worker | None:
        """Take a worker for many pictures, which may not be ready yet; start one if that is wanted and possible."""
        if self.why_not(limits, tool):
            return None
        with self._lock:
            worker = self._fitting(limits, tool) or (self._begun(limits, tool) if begin and not self._mortal else None)
            if worker is not None:
                self._busy.add(worker)
        return worker

    def give_back(self, worker: Worker) -> None:
        """Take back what was borrowed; one that still has work is ended."""
        if worker.waiting:
            self.drop(worker, None)
        else:
            self._give(worker)

    def drop(self, worker: Worker, lost: Lost | None) -> None:
        """End a worker, and remember why."""
        with self._lock:
            self._busy.discard(worker)
            if isinstance(lost, Unfit):
                self._unfit[worker.tool] = str(lost)
            elif lost is not None:
                self._deaths.append(time.monotonic())
        worker.end()
        if lost is not None:
            log.debug("the warm ImageMagick is lost: %s (%s)", lost, worker.child.exit)

    def close(self) -> None:
        """End them all; the next picture begins anew. Called at interpreter exit, and by tests."""
        with self._lock:
            ended = [*self._idle, *self._busy]
            self._idle.clear()
            self._busy.clear()
            self._asked.clear()
            self._deaths.clear()
        for worker in ended:
            worker.end()

    def disown(self) -> None:
        """Let go of them: in a fork of the process that they belong to."""
        self._lock = threading.Lock()
        for worker in [*self._idle, *self._busy]:
            worker.disown()
        self._idle.clear()
        self._busy.clear()

    @property
    def alive(self) -> list[int]:
        """Give their process ids."""
        with self._lock:
            return sorted(worker.child.pid for worker in [*self._idle, *self._busy])


workers = Workers()
close = workers.close


def state(limits: Limits, tool: Tool | None) -> dict[str, Any]:
    """Tell of the warm way: ``off`` (why it is not taken, else empty), ``workers`` (process ids), ``pictures``."""
    return {"off": workers.why_not(limits, tool), "workers": workers.alive, "pictures": workers.done}


atexit.register(close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=workers.disown)
