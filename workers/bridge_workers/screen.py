"""The screen worker: grabs a screen when it is asked to, by an ffmpeg that stays ready between two requests.

Nothing paces that ffmpeg but its pipe: while nobody asks, it waits until somebody takes the frame that it has grabbed
ahead. So what was grabbed before a request is dropped, by its time, and the first one after it is the answer.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from bridge.capture import argv
from bridge.capture.live import Live, Meter, captured_at
from bridge.capture.x11 import place_of, screen_sizes
from bridge.errors import BridgeError, DeviceLost
from bridge.limits import Limits
from bridge.process.tools import toolbox
from bridge.remote.wire import Layout
from bridge_workers.work import Reply

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from bridge.remote.ring import Slot
    from bridge_workers.work import Request

__all__ = ["Screen", "add_arguments", "make"]

_THREADED = (6, 0)  # from then on ffmpeg sends and grabs in several threads
_READY = 2  # so many different grabs are kept ready
_LOOK = 1.0  # seconds from one look at the size of the screen to the next
_IDLE = 60.0  # seconds without a request after which the worker ends


class Screen:
    """The answerer that `serve` runs.

    Parameters
    ----------
    idle : float
        Seconds without a request after which it ends its own process.
    """

    threads = 1  # there is one screen

    def __init__(self, idle: float = _IDLE) -> None:
        self._ready: dict[str, Live] = {}
        self._spare: list[Slot] = []
        self._sizes: dict[str, list[tuple[int, int]]] = {}
        self._looked = 0.0
        self._lock = threading.Lock()
        self._served: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._asked = threading.Event()
        self._over = False
        self._watch = threading.Thread(target=self._tire, args=(idle,), name="framebridge-idle", daemon=True)
        self._watch.start()
        self._ahead = threading.Thread(target=self._drop_ahead, name="framebridge-ahead", daemon=True)
        self._ahead.start()

    def describe(self) -> Mapping[str, Any]:
        """Tell what it grabs with."""
        return {"answers": ["grab"]}

    def answer(self, request: Request) -> Reply:
        """Grab. Of a program that was ready and has ended meanwhile, a new one takes the place."""
        self._asked.set()
        begun = time.monotonic_ns()
        key = json.dumps(request.body, sort_keys=True)
        with self._lock:
            reply = self._answered(key, begun, request)
        self._served.put(key)
        return reply

    def _answered(self, key: str, begun: int, request: Request) -> Reply:
        while True:
            live = self._ready.pop(key, None)
            if live is not None and self._changed(key, request.body):
                live.close()
                live = None
            fresh = live is None
            live = live or self._started(request.body)
            try:
                reply = self._grabbed(live, begun, request)
            except DeviceLost:
                live.close()
                if fresh:
                    raise
                continue
            self._keep(key, live)
            return reply

    def _grabbed(self, live: Live, begun: int, request: Request) -> Reply:
        """Give the first frame that was captured since `begun`."""
        while True:
            live.wanted()
            head = live.next()
            slot = self._spare.pop() if self._spare else request.slot(head.size)
            if slot.size < head.size:
                slot = request.slot(head.size)
            try:
                live.fill(head, slot.view[: head.size])
            except BaseException:
                self._spare.append(slot)
                raise
            captured = captured_at(head)
            if captured >= begun:
                break
            self._spare.append(slot)
        depth = head.size // (head.width * head.height)
        pixels = live.mode.pixels if depth == 4 else "rgb24"
        layout = Layout(dtype=np.dtype("u1"), shape=(head.height, head.width, depth), pixels=pixels)
        return Reply(body={"captured": captured, "source": str(toolbox().find("ffmpeg"))}, layout=layout, slot=slot)

    def _changed(self, key: str, body: Mapping[str, Any]) -> bool:
        """Tell whether the screen has another size than when its program was started, which goes by that for ever."""
        now = time.monotonic()
        if body["system"] != "x11grab" or now - self._looked < _LOOK:
            return False
        self._looked = now
        return self._sizes.get(key) != _sizes(body)

    def _keep(self, key: str, live: Live) -> None:
        self._ready[key] = live
        while len(self._ready) > _READY:
            self._ready.pop(next(iter(self._ready))).close()

    def _started(self, body: Mapping[str, Any]) -> Live:
        tool, abilities = toolbox().find("ffmpeg"), toolbox().abilities("ffmpeg")
        if body["system"] not in abilities.filters:
            abilities.need("devices", body["system"], tool)
        if body["system"] == "x11grab":  # in better words than ffmpeg's, of which some builds crash then
            self._sizes = {key: size for key, size in self._sizes.items() if key in self._ready}
            self._sizes |= {json.dumps(body, sort_keys=True): _sizes(body)}
        region = body.get("region")
        grab = argv.Grab(display=body["display"], region=tuple(region) if region else None, cursor=body["cursor"])
        limits = Limits(**dict(zip(("first_frame", "stall"), body["waits"], strict=True)))
        for converted in (False, True):
            meter = Meter() if tool.release < _THREADED else None
            end = meter.end if meter else None
            command = argv.screen(tool.path, tool.release, body["system"], grab, converted=converted, meter=end)
            live = Live(command, subject="<screen>", limits=limits, variables=body["variables"], meter=meter)
            if converted or live.mode.pixels in argv.CHANNELS:
                break
            live.close()  # pixels of 15, 16 or 30 bits
        return live

    def _drop_ahead(self) -> None:
        """Drop what was grabbed ahead, while nobody waits for it."""
        while (key := self._served.get()) is not None:
            with self._lock:
                live = self._ready.get(key)
                try:
                    if live is not None:
                        live.drop_ahead()
                except BridgeError:  # the next request starts another one
                    self._ready.pop(key).close()

    def _tire(self, idle: float) -> None:
        """End this process, as its supervisor would, once nobody has asked for a while."""
        while self._asked.wait(idle):
            self._asked.clear()
            if self._over:
                return
        os.kill(os.getpid(), signal.SIGTERM)

    def close(self) -> None:
        """End what is ready."""
        self._over = True
        self._asked.set()
        self._served.put(None)
        for live in self._ready.values():
            live.close()
        self._ready.clear()


def _sizes(body: Mapping[str, Any]) -> list[tuple[int, int]]:
    return screen_sizes(place_of(body["display"]), body["variables"].get("XAUTHORITY", ""))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Say how long it waits for requests."""
    parser.add_argument("--idle", type=float, default=_IDLE, help="seconds without a request after which it ends")


def make(options: argparse.Namespace) -> Screen:
    """Make the worker's answerer. Called by the command line."""
    return Screen(options.idle)
