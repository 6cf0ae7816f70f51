"""Frames in memory that two processes share: a ring of sealed segments, passed by descriptor, and never named.

The worker's side is a `Ring` of slots, each a segment of its own, and a `Line` to each reader: a local socket on which
descriptors go to the reader, and slots that it has done with come back. The reader's side is a `Window`: it maps what
it is given, read-only, and its arrays are views. A slot is filled again only when nobody holds an array of it. Where
readers hold more than the ring has, or go, the segments that they hold are left to them: they live as long as the
arrays, and as the kernel counts who has them, nothing remains of either side that dies.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import struct
import threading

from bridge.errors import WorkerLost
from bridge.remote.memory import mapped, segment

__all__ = [
    "DESCRIPTORS",
    "DONE",
    "FORGET",
    "GIVEN",
    "NOTE",
    "SENT",
    "TOKEN",
    "Line",
    "Ring",
    "Slot",
    "check_peer",
]

TOKEN = 16  # bytes by which a line and a connection find each other
NOTE = struct.Struct("<BxxxIQ")  # what, slot or request, bytes or count
GIVEN, FORGET, DONE, SENT = 1, 2, 3, 4
DESCRIPTORS = 8  # in a message, at most
_NOTHING_LOST = 1 << 20  # bytes by which a slot may be larger than what goes into it


class Slot:
    """One segment, as the worker has it.

    Attributes
    ----------
    number : int
        By which messages name it.
    descriptor : int
        Of the segment, for a child that shall fill it.
    view : memoryview
        Its memory, to be written to.
    """

    def __init__(self, number: int, size: int) -> None:
        self.number = number
        self.size = size
        self.descriptor = segment(size)
        try:
            self.view = mapped(self.descriptor, size, write=True)
        except BaseException:
            os.close(self.descriptor)
            raise
        self.own = 1  # how often the worker itself holds it
        self.readers: dict[Line, int] = {}  # how often they do
        self.known: dict[Line, int] = {}  # who has its descriptor, and how often it was sent an array in it
        self.leaving = False

    @property
    def free(self) -> bool:
        """Tell whether nobody holds it."""
        return not self.own and not self.readers

    def close(self) -> None:
        """Let go of it; who has mapped it keeps it."""
        with contextlib.suppress(BufferError):  # somebody still has a view: it goes with that
            self.view.release()
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class Ring:
    """The slots of a worker. Slots are made as they are needed, and used again once nobody holds them.

    Parameters
    ----------
    slots : int
        How many are kept, at most.
    memory : int
        How many bytes they may have together while they are free.
    """

    def __init__(self, slots: int = 16, memory: int = 1 << 28) -> None:
        self._most = slots
        self._memory = memory
        self._lock = threading.Lock()
        self._slots: dict[int, Slot] = {}
        self._next = 1

    def __len__(self) -> int:
        """Count the slots."""
        return len(self._slots)

    @property
    def nbytes(self) -> int:
        """Count the bytes of all slots."""
        with self._lock:
            return sum(slot.size for slot in self._slots.values())

    def take(self, nbytes: int) -> Slot:
        """Give a slot that nobody holds, of at least that size, held once by the worker. Any thread may call it.

        Raises
        ------
        OSError
            If there is no room for another one.
        """
        size = -(-max(1, nbytes) // mmap.PAGESIZE) * mmap.PAGESIZE
        with self._lock:
            slot = self._fitting(size)
            if slot is None:  # what readers have done with is only looked at when it is needed: looking costs
                for reader in {reader for slot in self._slots.values() for reader in slot.readers}:
                    self._hear(reader)
                slot = self._fitting(size)
            if slot is not None:
                slot.own = 1
                return slot
            self._make_room(size)
            slot = Slot(self._next, size)
            self._next = self._next % 0xFFFFFFFF + 1
            self._slots[slot.number] = slot
            return slot

    def _fitting(self, size: int) -> Slot | None:
        most = max(2 * size, size + _NOTHING_LOST)
        fitting = [slot for slot in self._slots.values() if slot.free and size <= slot.size <= most]
        return min(fitting, key=lambda slot: (slot.size, slot.number), default=None)

    def hold(self, slot: Slot, reader: Line | None = None) -> None:
        """Count one more holder: the worker itself, or a reader, which gets the segment if it has not got it.

        Raises
        ------
        WorkerLost
            If the reader has gone.
        """
        with self._lock:
            if reader is None:
                slot.own += 1
                return
            if reader not in slot.known:
                reader.give(slot)
                slot.known[reader] = 0
            slot.known[reader] += 1
            slot.readers[reader] = slot.readers.get(reader, 0) + 1

    def give_back(self, slot: Slot) -> None:
        """Count one less of the worker's own."""
        with self._lock:
            slot.own -= 1
            self._tidy(slot)

    def hear(self, reader: Line) -> bool:
        """Take what a reader says that it has done with; False if it has gone, or says something else."""
        with self._lock:
            return self._hear(reader)

    def _hear(self, reader: Line) -> bool:
        for number in reader.heard():
            self._release(number, reader)
        return not reader.over

    def _release(self, number: int, reader: Line) -> None:
        """Count one less of a reader's; what is unknown was left to it."""
        slot = self._slots.get(number)
        if slot is None or reader not in slot.readers:
            return
        slot.readers[reader] -= 1
        if not slot.readers[reader]:
            del slot.readers[reader]
        self._tidy(slot)

    def drop(self, reader: Line) -> None:
        """Leave to a reader that goes what it holds, dead or alive."""
        with self._lock:
            for slot in list(self._slots.values()):
                slot.known.pop(reader, None)
                if slot.readers.pop(reader, 0):
                    slot.leaving = True
                self._tidy(slot)

    def close(self) -> None:
        """Let go of everything."""
        with self._lock:
            for slot in self._slots.values():
                slot.close()
            self._slots.clear()

    def _tidy(self, slot: Slot) -> None:
        if slot.free and slot.leaving:
            self._leave(slot)

    def _leave(self, slot: Slot) -> None:
        """Have nothing more to do with a slot; its readers need not remember it."""
        self._slots.pop(slot.number, None)
        for reader, count in slot.known.items():
            reader.forget(slot.number, count)
        slot.close()

    def _make_room(self, size: int) -> None:
        free = [slot for slot in self._slots.values() if slot.free]
        while free and (len(self._slots) >= self._most or sum(slot.size for slot in free) + size > self._memory):
            self._leave(free.pop(0))
        held = [slot for slot in self._slots.values() if not slot.own and not slot.free]
        while held and len(self._slots) >= self._most:
            self._leave(held.pop(0))


class Line:
    """The worker's end of the socket to one local reader."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end
        self._received: dict[int, list[int]] = {}
        self.over = False  # it has ended, or what came by it was not understood
        end.setblocking(False)

    def fileno(self) -> int:
        """Give the descriptor to wait for."""
        return self._socket.fileno()

    def give(self, slot: Slot) -> None:
        """Send the descriptor of a slot.

        Raises
        ------
        WorkerLost
            If the reader is not there any more, or does not listen.
        """
        try:
            socket.send_fds(self._socket, [NOTE.pack(GIVEN, slot.number, slot.size)], [slot.descriptor])
        except OSError as error:
            raise WorkerLost(f"a reader does not take its memory: {error.strerror}") from None

    def forget(self, number: int, count: int) -> None:
        """Tell the reader that a slot is not used any more, once it has had so many arrays in it."""
        with contextlib.suppress(OSError):
            self._socket.send(NOTE.pack(FORGET, number, count))

    def heard(self) -> list[int]:
        """Give the slots that the reader has done with. Called by the ring, one thread at a time."""
        done: list[int] = []
        while not self.over:
            try:
                data, descriptors, flags, _ = socket.recv_fds(self._socket, NOTE.size + 1, DESCRIPTORS)
            except BlockingIOError:
                break
            except OSError:
                data, descriptors, flags = b"", [], 0
            what, number, _ = NOTE.unpack(data) if len(data) == NOTE.size else (0, 0, 0)
            if what == SENT and not flags & socket.MSG_CTRUNC and number not in self._received:
                self._received[number] = descriptors
                continue
            for descriptor in descriptors:
                os.close(descriptor)
            if what == DONE:
                done.append(number)
            else:
                self.over = True
        return done

    def received(self, number: int) -> list[int]:
        """Give the descriptors that came for a request; they are the caller's."""
        return self._received.pop(number, [])

    def close(self) -> None:
        """Close it, and what came and was not fetched."""
        self._socket.close()
        for number in list(self._received):
            for descriptor in self.received(number):
                os.close(descriptor)


def check_peer(end: socket.socket) -> None:
    """See that the process at the other end is the same user's.

    Raises
    ------
    PermissionError
        If it is not.
    """
    if not hasattr(socket, "SO_PEERCRED"):
        return
    _, user, _ = struct.unpack("3i", end.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    if user != os.geteuid():
        raise PermissionError(f"the process at the other end belongs to user {user}, not {os.geteuid()}")
