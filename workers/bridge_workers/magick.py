"""framebridge-worker magick: one process that keeps libMagickWand loaded and decodes picture after picture.

Run as a program, by path, with no package around it: it imports only what starts quickly, and of ImageMagick it
declares the few functions that it calls (all of Wand's take 270 ms, the library itself 7). It is boxed as the one-shot
program is, where no socket can be made, so its line is one that it is given: descriptor 0, a message a picture.

* First it says ``hello`` and the library's own words on its version, or ``none`` and why there is no library.
* ``read CODER TYPE MAP BITS WIDTH HEIGHT X Y WIDE HIGH CPU PLACE NAME=VALUE...`` with descriptors: the content, and, if
  PLACE is ``-``, the memory that the samples go into; else they go to that place in the memory that came with the first
  message, which is ``memory BYTES``. Answered by ``done``.
* ``look CODER CPU`` with a descriptor: answered by ``seen`` and what `identify` would print of the first picture; it
  is kept, and a ``take``, which is else as ``read``, has it.

Whatever is not as the message says, or makes ImageMagick say as much as a warning, is answered by ``other`` and why:
the one-shot program is asked then, so that its words and its exit status are those that users get.
"""

from __future__ import annotations

import _socket as socket  # the whole module takes longer to import than the library to load
import contextlib
import ctypes
import mmap
import os
import resource
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator

__all__ = ["add_arguments", "main", "run"]

_QUIET = 2.0  # seconds without work after which memory is given back
_IDLE = 60.0  # and after which we end
_SHARES = 1 << 16  # bytes of the longest message
_M_TRIM_THRESHOLD, _M_MMAP_MAX = -1, -4
_KEPT = 512 << 20  # bytes that are not given back between two pictures
_CHAR, _SHORT = 1, 7  # of MagickWand's StorageType, in 6 and 7
_TYPES = {"Grayscale": 2, "TrueColor": 6, "TrueColorMatte": 7, "ColorSeparation": 8}  # in 6 and 7
_SPACES = {False: {2: "gray", 13: "sRGB"}, True: {3: "gray", 23: "sRGB"}}  # numbers of 6 and of 7
_KEEPING = {("gray", "Grayscale"), ("sRGB", "TrueColor"), ("sRGB", "TrueColorMatte")}
_DESCRIPTION = b"%w %h %z %A %[colorspace]\n"

_wand, _size, _text, _flag, _any = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_int, ctypes.c_void_p
_FUNCTIONS = {
    "MagickWandGenesis": (None, ()),
    "NewMagickWand": (_wand, ()),
    "DestroyMagickWand": (_wand, (_wand,)),
    "MagickSetFilename": (_flag, (_wand, _text)),
    "MagickReadImageBlob": (_flag, (_wand, _any, _size)),
    "MagickGetNumberImages": (_size, (_wand,)),
    "MagickGetExceptionType": (_flag, (_wand,)),
    "MagickGetImageWidth": (_size, (_wand,)),
    "MagickGetImageHeight": (_size, (_wand,)),
    "MagickSetFirstIterator": (None, (_wand,)),
    "MagickSetImageProperty": (_flag, (_wand, _text, _text)),
    "MagickSetImageType": (_flag, (_wand, _flag)),
    "MagickGetImageDepth": (_size, (_wand,)),
    "MagickGetImageColorspace": (_flag, (_wand,)),
    "MagickExportImagePixels": (
        _flag,
        (_wand, ctypes.c_ssize_t, ctypes.c_ssize_t, _size, _size, _text, _flag, _any),
    ),
    "GetImageFromMagickWand": (_any, (_wand,)),
    "GetMagickVersion": (_any, (_any,)),
    "AcquireExceptionInfo": (_any, ()),
    "DestroyExceptionInfo": (_any, (_any,)),
    "GetImageException": (None, (_any, _any)),
    "AcquireImageInfo": (_any, ()),
    "DestroyImageInfo": (_any, (_any,)),
    "DestroyString": (_any, (_any,)),
}


class _Other(Exception):
    """What the one-shot program is to be asked for."""


class Library:
    """libMagickWand, as far as it is called here."""

    def __init__(self, names: list[str]) -> None:
        self._library = _loaded(names)
        for name, (result, arguments) in _FUNCTIONS.items():
            function = getattr(self._library, name, None)
            if function is not None:  # GetImageException is in 6 only, where images keep what was said of them
                function.restype, function.argtypes = result, arguments
            setattr(self, name, function)
        self.MagickWandGenesis()
        self.version = ctypes.string_at(self.GetMagickVersion(None))

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Callable[..., int]: ...

    def describe(self, image: int) -> bytes:
        """Say of a picture what `identify` does."""
        interpret = self._library.InterpretImageProperties
        interpret.restype, interpret.argtypes = _any, (_any, _any, _text) + ((_any,) if self.seven else ())
        info, trouble = self.AcquireImageInfo(), self.AcquireExceptionInfo()
        try:
            said = interpret(info, image, _DESCRIPTION, *((trouble,) if self.seven else ()))
            if not said:
                raise _Other("no description")
            text = ctypes.string_at(said)
            self.DestroyString(said)
        finally:
            self.DestroyImageInfo(info)
            self.DestroyExceptionInfo(trouble)
        return text

    @property
    def seven(self) -> bool:
        """Tell whether it is ImageMagick 7."""
        return self.GetImageException is None


def _loaded(names: list[str]) -> ctypes.CDLL:
    reasons = []
    for name in names:
        try:
            return ctypes.CDLL(name)
        except OSError as error:
            reasons.append(str(error))
    raise _Other("; ".join(reasons) or "no library was named")


class Picture:
    """What one file holds, decoded by the coder that its name begins with and no other."""

    def __init__(self, library: Library, name: str, content: bytes) -> None:
        self._library = library
        self._wand = library.NewMagickWand()
        try:
            self._decode(name, content)
        except BaseException:
            self.close()
            raise

    def _decode(self, name: str, content: bytes) -> None:
        library = self._library
        library.MagickSetFilename(self._wand, name.encode())
        if not library.MagickReadImageBlob(self._wand, content, len(content)):
            raise _Other("it is not read")
        self._well()
        if library.MagickGetNumberImages(self._wand) != 1:
            raise _Other("there is not one picture")
        library.MagickSetFirstIterator(self._wand)

    @property
    def size(self) -> tuple[int, int]:
        """Its width and height."""
        return self._library.MagickGetImageWidth(self._wand), self._library.MagickGetImageHeight(self._wand)

    @property
    def description(self) -> bytes:
        """What `identify` prints of it."""
        return self._library.describe(self._library.GetImageFromMagickWand(self._wand))

    def set(self, name: str, value: str) -> None:
        """Do what the option ``-set`` does."""
        if not self._library.MagickSetImageProperty(self._wand, name.encode(), value.encode()):
            raise _Other(f"{name} is not set")

    def export(self, kind: str, form: str, bits: int, box: tuple[int, int, int, int], place: int) -> None:
        """Put the samples of a part into memory."""
        library, wand = self._library, self._wand
        if bits == 8 and not (library.MagickGetImageDepth(wand) <= bits and self._as_it_is(kind)):
            raise _Other("samples of 16 bits, which the program makes 8 in its own way")
        if not library.MagickSetImageType(wand, _TYPES[kind]):
            raise _Other(f"it does not become {kind}")
        storage = _CHAR if bits == 8 else _SHORT
        if not self._library.MagickExportImagePixels(self._wand, *box, form.encode(), storage, place):
            raise _Other("its samples do not come")
        self._well()

    def _as_it_is(self, kind: str) -> bool:
        """Tell whether forcing that type changes no sample."""
        space = self._library.MagickGetImageColorspace(self._wand)
        return (_SPACES[self._library.seven].get(space), kind) in _KEEPING

    def _well(self) -> None:
        """Find out whether anything was said of it, a warning even: the program would print that."""
        library = self._library
        severity = library.MagickGetExceptionType(self._wand)
        image = library.GetImageFromMagickWand(self._wand)
        if not severity and image and not library.seven:
            trouble = library.AcquireExceptionInfo()
            library.GetImageException(image, trouble)
            severity = ctypes.c_int.from_address(trouble).value
            library.DestroyExceptionInfo(trouble)
        if severity:
            raise _Other(f"a complaint of severity {severity}")

    def close(self) -> None:
        """Free it."""
        if self._wand:
            self._wand = self._library.DestroyMagickWand(self._wand)


class Worker:
    """The loop: messages in, samples into memory, answers out."""

    def __init__(self, line: socket.socket, library: Library) -> None:
        self._line = line
        self._library = library
        self._slots: mmap.mmap | None = None
        self._kept: Picture | None = None
        self._libc = ctypes.CDLL(None)
        # Memory that goes back to the system after each picture comes back as pages to be cleared: 30 ms of a
        # picture of 12 megapixels, which takes 80.
        for what, value in ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, _KEPT)):
            with contextlib.suppress(AttributeError):  # not glibc
                self._libc.mallopt(what, value)

    def run(self) -> None:
        """Serve until nobody asks any more."""
        while message := self._next():
            words, descriptors = message
            try:
                answer = self._answer(words, descriptors)
            except _Other as reason:
                answer = f"other {reason}".encode()
            except (MemoryError, OSError, ValueError, LookupError) as error:
                answer = f"other {type(error).__name__} {error}".encode()
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
            self._line.send(answer)

    def _next(self) -> tuple[list[str], list[int]] | None:
        """Wait for a message; None if the line is closed, or nothing comes for long."""
        for seconds in (_QUIET, _IDLE):
            self._line.settimeout(seconds)
            try:
                data, ancillary, _, _ = self._line.recvmsg(_SHARES, socket.CMSG_SPACE(4 * 2))
            except TimeoutError:
                self._forget()
                with contextlib.suppress(AttributeError):
                    self._libc.malloc_trim(0)
                continue
            descriptors = [
                int.from_bytes(raw[at : at + 4], sys.byteorder)
                for _, _, raw in ancillary
                for at in range(0, len(raw), 4)
            ]
            return (data.decode().split(" "), descriptors) if data else None
        return None

    def _answer(self, words: list[str], descriptors: list[int]) -> bytes:
        what, *rest = words
        if what == "take":
            return self._read(self._taken(), rest, descriptors)
        self._forget()
        if what == "read":
            return self._read(None, rest, descriptors)
        return {"look": self._look, "memory": self._memory}[what](rest, descriptors)

    def _memory(self, words: list[str], descriptors: list[int]) -> bytes:
        self._slots = mmap.mmap(descriptors[0], int(words[0]))
        return b"done"

    def _look(self, words: list[str], descriptors: list[int]) -> bytes:
        _allow(words[1])
        self._kept = Picture(self._library, f"{words[0]}:-", _content(descriptors[0]))
        return b"seen " + self._kept.description

    def _read(self, picture: Picture | None, words: list[str], descriptors: list[int]) -> bytes:
        coder, kind, form, *numbers = words[:10]
        bits, width, height, *box = map(int, numbers)
        cpu, place, properties = words[10], words[11], words[12:]
        _allow(cpu)
        picture = picture or Picture(self._library, f"{coder}:-[0]", _content(descriptors[0]))
        try:
            if picture.size != (width, height):
                raise _Other(f"it is {picture.size}")
            for name, _, value in (entry.partition("=") for entry in properties):
                picture.set(name, value)
            x, y, wide, high = box
            with _room(self._slots, descriptors, place) as (address, room):
                if room < wide * high * len(form) * bits // 8:
                    raise _Other("it does not fit")
                picture.export(kind, form, bits, (x, y, wide, high), address)
        finally:
            picture.close()
        return b"done"

    def _taken(self) -> Picture | None:
        kept, self._kept = self._kept, None
        return kept

    def _forget(self) -> None:
        """Let go of a picture that was only looked at."""
        if kept := self._taken():
            kept.close()


@contextlib.contextmanager
def _room(slots: mmap.mmap | None, descriptors: list[int], place: str) -> Iterator[tuple[int, int]]:
    """Give address and size of the memory that samples go into; mapped for as long as the block lasts, if it is new."""
    if place != "-" and slots is not None:
        yield _addressed(slots, int(place))
        return
    with mmap.mmap(descriptors[-1], 0, mmap.MAP_SHARED | getattr(mmap, "MAP_POPULATE", 0)) as memory:
        yield _addressed(memory, 0)


def _addressed(memory: mmap.mmap, at: int) -> tuple[int, int]:
    size = len(memory) - at
    return ctypes.addressof((ctypes.c_char * size).from_buffer(memory, at)), size


def _content(descriptor: int) -> bytes:
    """Read a file whole, wherever its position is."""
    pieces, at = [], 0
    while piece := os.pread(descriptor, max(1, os.fstat(descriptor).st_size - at), at):
        pieces.append(piece)
        at += len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _allow(seconds: str) -> None:
    """Let the next picture take so much CPU time, as a process of its own might; ``-`` is any."""
    if seconds != "-":
        used = resource.getrusage(resource.RUSAGE_SELF)
        soft = int(used.ru_utime + used.ru_stime) + int(seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (soft, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def main(names: list[str]) -> int:
    """Serve the line that is descriptor 0. The names are those of libraries, of which the first that loads is taken."""
    line = socket.socket(fileno=os.dup(0))
    try:
        library = Library(names)
    except _Other as reason:
        line.send(f"none {reason}".encode()[:_SHARES])
        return 1
    line.send(b"hello " + library.version)
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        Worker(line, library).run()
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what this worker can be told."""
    parser.add_argument("library", nargs="*", help="names of libMagickWand (that of the ImageMagick that is found)")


def run(options: argparse.Namespace) -> int:
    """Serve descriptor 0, unboxed: to try by hand what the library starts for itself. Called by the table of kinds."""
    from bridge.errors import BridgeError
    from bridge.magick.worker import library_names
    from bridge.process.tools import toolbox

    try:
        return main(options.library or [*library_names(toolbox().find("magick"))])
    except BridgeError as error:
        print(f"framebridge-worker magick: {error}", file=sys.stderr)
    except OSError as error:
        print(
            f"framebridge-worker magick: its input is no socket ({error.strerror}): pictures are asked for by who "
            "starts it, as `bridge.imread` and `bridge.imread_many` do by themselves",
            file=sys.stderr,
        )
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
