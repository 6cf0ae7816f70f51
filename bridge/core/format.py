"""Format, Reader, Writer: the rules of the user API, once for all formats.

A program's subclass writes only underscore methods; whatever users can do wrong is caught here.
"""

from __future__ import annotations

import contextlib
import inspect
import math
import operator
import os
import threading
import warnings
from typing import TYPE_CHECKING, Any, Self, SupportsIndex, TypeAlias, overload

import numpy as np

from bridge.core.array import Array, Batch, as_array
from bridge.core.intake import check_count, check_gathered
from bridge.core.origin import Origin, origin_of
from bridge.core.request import scarcity
from bridge.errors import (
    BridgeError,
    Closed,
    DamageWarning,
    NoSuchFrame,
    NotPortable,
    TruncatedMedia,
    UnknownFormat,
    UnsupportedPixels,
)
from bridge.turns import turn

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from bridge.core.request import Request

__all__ = ["Format", "Found", "Reader", "Writer"]

_NOBODY = 0  # no process has this number
_ON_DAMAGE = ("raise", "warn", "ignore")
# Metadata about how one file codes its pixels, or about one frame.
_CODING = frozenset({
    "FILE", "JFIF", "ADOBE", "PNG", "GIF", "WEBP", "color", "index", "pts", "time", "duration", "key_frame", "changes",
})  # fmt: skip
Found: TypeAlias = tuple[np.ndarray[Any, Any], dict[str, Any]]  # an image and its metadata


class _Stream:
    """What readers and writers share: a format, a request, and an end."""

    def __init__(self, format: Format, request: Request) -> None:
        self._label = f"{format.name} {request.name}"
        self._lock = threading.RLock()
        self._doors = {os.getpid(): self._lock}
        self._belong(format, request)

    def _belong(self, format: Format, request: Request) -> None:
        self._format = format
        self._request = request
        self._closed = False
        self._owner = os.getpid()

    @property
    def format(self) -> Format:
        """The Format object of the current operation."""
        return self._format

    @property
    def request(self) -> Request:
        """The Request object of the current operation."""
        return self._request

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._closed

    def __repr__(self) -> str:
        """Tell the format, the resource and the state."""
        state = "closed" if self._closed else "open"
        return f"<{type(self).__name__} {self._label}: {state}>"

    def __del__(self) -> None:
        """Warn of what was dropped unclosed; its child and its files are put away by their own finalizers."""
        if not getattr(self, "_closed", True) and not getattr(self, "_asleep", None):
            warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2, source=self)

    def _check_open(self) -> None:
        if self._closed:
            message = f"{self!r}: open it again to go on"
            raise Closed(message)
        if self._owner != os.getpid():  # what comes from its child goes to one of us only
            self._elsewhere()

    def _elsewhere(self) -> None:
        """Do what is to be done where another process is the owner."""
        raise Closed(f"{self!r} belongs to the process that this one was forked from: open it again here")


class Reader(_Stream):
    """Reads data and metadata from a resource. Obtained by `get_reader`.

    An iterator over its images, a context manager that closes, a sequence that can be indexed. It pickles, as what it
    was opened with and where it stands: another process opens it again when it is first used there, and so does a
    fork. What no other process can open raises `NotPortable`.
    """

    _asleep: Origin | None = None  # what to open at the first use, in the process that this was sent to

    def __init__(self, format: Format, request: Request) -> None:
        super().__init__(format, request)
        self._begin()

    def _begin(self, at: int = 0) -> None:
        self._next = at
        try:
            with self._at_work():
                self._open(**self._request.kwargs)
        except BaseException:
            self.close()
            raise

    # In another process

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle as what it was opened with, and where it stands.

        Raises
        ------
        NotPortable
            If no other process can open that.
        Closed
            If it is closed.
        """
        if self._closed:
            raise Closed(f"{self!r}: a closed reader is of no use to another process")
        return _sent, (type(self), self._origin(), self._label, self._next)

    def _origin(self) -> Origin:
        return self._asleep or origin_of(self._request, self._format)

    def _fall_asleep(self, origin: Origin, label: str, at: int) -> None:
        """Be a reader that was sent here."""
        self._asleep, self._label, self._next = origin, label, at
        self._closed, self._owner, self._doors = False, _NOBODY, {}

    def _elsewhere(self) -> None:
        """Open it again, in this process; what belongs to another one is left to it."""
        try:
            origin = self._origin()
        except NotPortable as error:
            raise Closed(f"{self!r} belongs to the process that this one was forked from. {error}") from error
        door = self._doors.setdefault(os.getpid(), threading.RLock())  # the old lock may be held by a thread of there
        with turn(origin.limits), door:
            if self._owner == os.getpid():
                return
            self._lock = door
            format, request = origin.open()
            if format.reader is not None:  # where a program is missing, another may read it
                self.__class__ = format.reader
            self._asleep = None
            self._belong(format, request)
            self._begin(self._next)

    @property
    def format(self) -> Format:
        """The Format object of the current operation."""
        self._wake()
        return super().format

    @property
    def request(self) -> Request:
        """The Request object of the current operation."""
        self._wake()
        return super().request

    def _wake(self) -> None:
        if self._asleep is not None:
            self._check_open()

    @contextlib.contextmanager
    def _at_work(self) -> Iterator[None]:
        """Hold a turn and the lock: for whatever may wait for a child."""
        with turn(self._request.limits), self._lock, scarcity(self._request.name):
            try:
                yield
            except BridgeError as error:
                error.put_name(self._request.name)
                raise

    # What a program's subclass writes

    def _open(self, **kwargs: Any) -> None:
        """Take the user's keywords. Called once, before everything else."""
        if kwargs:
            self._format.refuse(kwargs)

    def _length(self) -> float:
        """Count the images: an int, or `math.inf` for a stream. Called at most when somebody asks."""
        raise NotImplementedError

    def _data(self, index: int) -> Found | None:
        """Read image `index` (not negative) and its metadata; None if it lies beyond the end."""
        raise NotImplementedError

    def _meta(self, index: int | None) -> dict[str, Any]:
        """Read the metadata of one image, or of the file."""
        raise NotImplementedError

    def _batch(self, indexes: Sequence[int]) -> tuple[np.ndarray[Any, Any], list[dict[str, Any]]]:
        """Read several images, at least one, into one array; give it and the metadata of each."""
        found = {index: self._exactly(index) for index in sorted(set(indexes))}
        return self._stacked([found[index] for index in indexes])

    def _stacked(self, found: Sequence[Found]) -> tuple[np.ndarray[Any, Any], list[dict[str, Any]]]:
        """Put several images into one array."""
        images = [image for image, _ in found]
        kinds = sorted({f"{image.dtype} {image.shape}" for image in images})
        if len(kinds) > 1:
            raise UnsupportedPixels(
                f"{self._request.name}: images of {' and '.join(kinds)} do not fit one array; read them one by one"
            )
        return np.stack(images), [meta for _, meta in found]

    def _as_batch(self, images: np.ndarray[Any, Any], metas: list[dict[str, Any]]) -> Batch:
        """Give what `_batch` read as users see it."""
        return Batch(images, metas)

    def _info(self) -> Any:
        """Describe the file as a `bridge.media.info.MediaInfo`."""
        raise NotImplementedError

    def _expected(self) -> int | None:
        """Tell how many bytes all images together will take, if that is known without decoding."""
        return None

    def _counted(self) -> int | None:
        """Tell how many images there are, where the header says it and no program has to be asked."""
        return None

    def _close(self) -> None:
        """Let go of children and memory. Called once, also after a failed `_open`."""

    # What it has for that

    _on_damage = "raise"

    def _take_on_damage(self, wish: str) -> None:
        """Take the user's wish what to do about damage."""
        if wish not in _ON_DAMAGE:
            raise ValueError(f"on_damage is one of {', '.join(map(repr, _ON_DAMAGE))}, not {wish!r}")
        self._on_damage = wish

    def _damage(self, error: BridgeError) -> None:
        """Raise, warn of, or keep silent about damage, as the user wants it."""
        if self._on_damage == "raise":
            raise error
        if self._on_damage == "warn":
            warnings.warn(str(error), DamageWarning, stacklevel=2)

    # What users call

    @property
    def info(self) -> Any:
        """What the file holds, as `bridge.probe` gives it."""
        self._check_open()
        with self._at_work():
            return self._info()

    def check_gathered(self, images: int | None = None) -> None:
        """Refuse to gather so many images, by default all of them as far as the header tells. Called by the API.

        Raises
        ------
        LimitExceeded
            If they are more than ``limits.frames_at_once``.
        """
        self._check_open()
        check_gathered(self._request.limits, self._request.name, self._counted() if images is None else images)

    def expected_bytes(self) -> int | None:
        """Tell how many bytes all images together will take; None where only reading them tells."""
        self._check_open()
        with self._at_work():
            return self._expected()

    def close(self) -> None:
        """Close the reader. Has no effect if it is closed already."""
        if not self._closed:
            self._closed = True
            if self._asleep is not None:
                return
            try:
                self._close()
            finally:
                self._request.close()

    def __enter__(self) -> Self:
        """Give the reader itself."""
        self._check_open()
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()

    def get_length(self) -> float:
        """Count the images in the file.

        Returns
        -------
        int or math.inf
            0 for files with metadata only, 1 for single images, N for a series, inf for streams.
        """
        self._check_open()
        with self._at_work():
            return self._length()

    def __len__(self) -> int:
        """Count the images; a stream of unknown length has no `len`."""
        length = self.get_length()
        if length == math.inf:
            message = f"{self!r} is a stream: it has no len(), iterate over it"
            raise TypeError(message)
        return int(length)

    def get_data(self, index: SupportsIndex, **kwargs: Any) -> Array:
        """Read one image.

        Parameters
        ----------
        index : int
            Its position in the series, from 0; negative counts from the end.

        Returns
        -------
        Array
            With the metadata of the image in its attribute `meta`.

        Raises
        ------
        NoSuchFrame
            If there is none with that index.
        """
        self._check_open()
        with self._at_work():
            if kwargs:
                self._format.refuse(kwargs)
            wanted = self._checked(index)
            found = self._exactly(wanted)
            self._next = wanted + 1
            return as_array(*found)

    def get_next_data(self, **kwargs: Any) -> Array:
        """Read the next image; the first call reads the first.

        Raises
        ------
        NoSuchFrame
            At the end of the series.
        """
        return self.get_data(self._next, **kwargs)

    def set_image_index(self, index: SupportsIndex) -> None:
        """Say which image `get_next_data` reads next."""
        self._check_open()
        self._next = self._checked(index)

    def iter_data(self) -> Iterator[Array]:
        """Iterate over all images of the series."""
        self._check_open()
        check_count(self._request.limits, self._request.name, self._counted())
        index = 0
        while True:
            self._check_open()
            with self._at_work():
                found = self._read(index)
            if found is None:
                return
            index = found[1].get("index", index) + 1  # of damaged content, some may be left out
            self._next = index
            yield as_array(*found)

    def __iter__(self) -> Iterator[Array]:
        """Iterate over all images of the series."""
        return self.iter_data()

    @overload
    def __getitem__(self, index: SupportsIndex) -> Array: ...
    @overload
    def __getitem__(self, index: slice) -> Batch: ...
    def __getitem__(self, index: SupportsIndex | slice) -> Array:
        """Read one image by its position, or those of a slice as `get_batch` does."""
        if isinstance(index, slice):
            return self.get_batch(range(*index.indices(len(self))))
        return self.get_data(index)

    def get_batch(self, indexes: Iterable[SupportsIndex]) -> Batch:
        """Read several images, in any order.

        Parameters
        ----------
        indexes : iterable of int
            Their positions; negative ones count from the end, and any may occur more than once.

        Returns
        -------
        Batch
            All in one array, ``(n, height, width, channels)``; ``batch[k]`` has the metadata of its image.

        Raises
        ------
        NoSuchFrame
            If there is no image at one of the positions; nothing is read then.
        UnsupportedPixels
            If the images differ in shape.
        """
        self._check_open()
        with self._at_work():
            wanted = [self._checked(index) for index in indexes]
            length = self.get_length() if wanted else 0
            for index in wanted:
                if index >= length:
                    raise self._no_such(index)
            check_count(self._request.limits, self._request.name, max(wanted, default=-1) + 1)
            check_gathered(self._request.limits, self._request.name, len(wanted))
            return self._as_batch(*self._batch(wanted)) if wanted else Batch(np.empty((0, 0, 0), np.uint8), [])

    # Time and sound, for film

    def _index(self) -> Any:
        """Give when each image is shown, a `bridge.media.index.FrameIndex`; only film and animations can."""
        self._check_open()
        raise self._no_film()

    @property
    def timestamps(self) -> np.ndarray[Any, Any]:
        """The time of every frame in seconds on the file's own clock, float64."""
        times: np.ndarray[Any, Any] = self._index().timestamps
        return times

    @property
    def durations(self) -> np.ndarray[Any, Any]:
        """How long every frame is shown, in seconds, float64."""
        shown: np.ndarray[Any, Any] = self._index().seconds_shown
        return shown

    @property
    def key_frames(self) -> np.ndarray[Any, Any]:
        """The indexes of the key frames, which need no other, int64."""
        return np.flatnonzero(self._index().keys)

    def at(self, seconds: float) -> Array:
        """Read the frame that is on screen at a time.

        Parameters
        ----------
        seconds : float
            On the file's own clock, that of `timestamps`; a transport stream may begin anywhere.

        Raises
        ------
        NoSuchFrame
            If that is before the first frame or after the end of the last.
        """
        film = self._index()
        found = film.at(seconds)
        if found is None:
            shown = film.timestamps
            ends = f"from {shown[0]:.6g} to {shown[-1] + film.seconds_shown[-1]:.6g} s" if len(film) else "nothing"
            raise NoSuchFrame(f"{self._request.name} has no picture at {seconds} s: it shows {ends}")
        return self.get_data(found)

    def frames_between(self, begin: float, end: float) -> Iterator[Array]:
        """Iterate over the frames whose time is in ``begin <= time < end``, in seconds as in `timestamps`."""
        for index in self._index().between(begin, end):
            yield self.get_data(index)

    def audio(self, stream: int = 0) -> np.ndarray[Any, Any]:
        """Read the sound."""
        del stream
        self._check_open()
        raise self._no_film()

    def _no_film(self) -> UnknownFormat:
        film = "; read it with format='GIF-FFMPEG'" if self._format.name == "GIF" else ""
        return UnknownFormat(f"{self._request.name} is read as {self._format.name}, which tells no times{film}")

    def get_meta_data(self, index: SupportsIndex | None = None) -> dict[str, Any]:
        """Read the metadata of one image, or, without an index, of the file."""
        self._check_open()
        with self._at_work():
            if index is None:
                return dict(self._meta(None))
            position = self._checked(index)
            if position >= self._length():
                raise self._no_such(index)
            return dict(self._meta(position))

    def _exactly(self, index: int) -> Found:
        """Read an image, that one or none."""
        found = self._read(index)
        if found is None and index >= self._length():
            raise self._no_such(index)
        if found is None or found[1].get("index", index) != index:
            raise TruncatedMedia(f"{self._request.name}: image {index} is damaged and cannot be decoded", got=index)
        return found

    def _read(self, index: int) -> Found | None:
        """Read an image; where another thread has closed us meanwhile, that is the reason to give."""
        try:
            found = self._data(index)
        except (BridgeError, OSError):
            self._check_open()
            raise
        if found is not None:
            check_count(self._request.limits, self._request.name, found[1].get("index", index) + 1)
        return found

    def _checked(self, index: SupportsIndex) -> int:
        """Turn the user's index into one from the beginning; numpy integers are indexes too."""
        position = operator.index(index)
        if position < 0 and (length := self.get_length()) < math.inf:
            position += int(length)
        if position < 0:
            raise self._no_such(index)
        return position

    def _no_such(self, index: SupportsIndex) -> NoSuchFrame:
        length = self.get_length()
        has = "is a stream that has ended" if length == math.inf else f"has {length} image(s), counted from 0"
        return NoSuchFrame(f"{self._request.name} has no image {index}: it {has}")


class Writer(_Stream):
    """Writes data and metadata to a resource. Obtained by `get_writer`.

    A context manager: leaving it closes, and an exception inside leaves no file behind.
    """

    def __init__(self, format: Format, request: Request) -> None:
        super().__init__(format, request)
        self._count = 0
        self._groups: dict[str, Any] = {}
        self.changes: list[str] = []
        try:
            self._open(**request.kwargs)
        except BaseException as error:
            self.abort()
            if isinstance(error, BridgeError):
                error.put_name(request.name)
            raise

    def __reduce__(self) -> tuple[Any, ...]:
        """Refuse to be pickled: what is half written is here."""
        raise NotPortable(f"{self!r} cannot be sent to another process; send it the frames, or open it there")

    # What a program's subclass writes

    _held: frozenset[str] = frozenset()  # groups of metadata that `_append` writes

    def _open(self, **kwargs: Any) -> None:
        """Take the user's keywords. Called once, before everything else."""
        if kwargs:
            self._format.refuse(kwargs)

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        """Write one image. Called with a non-empty array of numbers."""
        raise NotImplementedError

    def _set_meta(self, meta: dict[str, Any]) -> set[str]:
        """Take the file's metadata, as far as the format holds it; give the names of what it takes."""
        taken = {} if self._count else {name: meta[name] for name in meta if name in self._held}
        self._groups |= taken
        return set(taken)

    def _finish(self) -> None:
        """Complete the output in ``request.part()``, and check it. Called once, if anything was appended."""
        raise NotImplementedError

    def _abort(self) -> None:
        """Stop at once. Called when the output is not wanted any more; may be called after `_finish` failed."""

    # What users call

    def append_data(self, im: np.ndarray[Any, Any], meta: Mapping[str, Any] | None = None) -> None:
        """Append an image.

        Parameters
        ----------
        im : numpy.ndarray
            ``(height, width)`` or ``(height, width, channels)``.
        meta : dict
            Metadata; it updates what was set for the file, and that what the image carries in its own attribute
            `meta`. Groups (``EXIF``, ``ICC``, …) are written where the format holds them; what it does not hold is
            listed in the attribute `changes`.

        Raises
        ------
        UnsupportedPixels
            If the format cannot hold the array as it is.
        """
        self._check_open()
        image = np.asanyarray(im)
        if image.dtype.kind not in "buif" or not image.size:
            message = f"{self._request.name}: an image is a non-empty array of numbers, not {image.dtype} {image.shape}"
            raise UnsupportedPixels(message)
        if isinstance(im, Array) and not im.is_picture and self._format.program:
            raise UnsupportedPixels(
                f"{self._request.name}: the planes of a frame are no picture; read it with pixelformat='rgb24', "
                "or write its planes one by one"
            )
        final = {**getattr(im, "meta", {}), **self._groups, **dict(meta or {})}
        with self._lock:
            try:
                self._append(np.asarray(image), final)
            except BridgeError as error:
                error.put_name(self._request.name)
                raise
            except BaseException as error:
                if not isinstance(error, Exception):  # an interrupt, perhaps half way through a frame
                    self.abort()
                raise
            self._count += 1
        if isinstance(im, Array) and image.dtype == np.uint16:
            self._tell_scale(im.meta)
        self._tell(name for name, value in final.items() if isinstance(value, dict) and name not in self._held)

    def _tell_scale(self, meta: Mapping[str, Any]) -> None:
        """List that white is another one now, of a picture of 9 to 15 bits."""
        facts = meta.get("FILE")
        white = facts.get("maxval") if isinstance(facts, dict) else None
        said = f"samples are written as they are, of which {white} was white"
        self.changes += [said] if white and said not in self.changes else []

    def _tell(self, names: Iterable[str]) -> None:
        """List metadata that is not written, once each; what is about the coding of another file is not missed."""
        told = (f"metadata {name!r} is not written" for name in names if name not in _CODING)
        self.changes += [change for change in dict.fromkeys(told) if change not in self.changes]

    def set_meta_data(self, meta: Mapping[str, Any]) -> None:
        """Set the metadata of the file.

        Parameters
        ----------
        meta : dict
            Names and values, or groups of them (``EXIF``, ``tags``, …), before the first image. What the format
            cannot hold is ignored, and listed in the attribute `changes`.
        """
        self._check_open()
        with self._lock:
            held = self._set_meta(dict(meta))
        self._tell(name for name in meta if name not in held)

    def close(self) -> None:
        """Complete the file and put it in its place. Has no effect if it is closed already.

        Raises
        ------
        BridgeError
            If the result is not whole; then there is no file, and an older one is untouched.
        """
        with self._lock:
            if self._closed:
                return
            try:
                if self._count:
                    self._finish()
                    self._request.commit()
            finally:
                self.abort()

    def abort(self) -> None:
        """Drop the output: nothing is left, an existing file is untouched."""
        with self._lock:
            if not self._closed:
                self._closed = True
                try:
                    self._abort()
                finally:
                    self._request.close()

    def __enter__(self) -> Self:
        """Give the writer itself."""
        self._check_open()
        return self

    def __exit__(self, *exception: object) -> None:
        """Close after success, abort after an exception."""
        if exception[0] is None:
            self.close()
        else:
            self.abort()


def _sent(kind: type[Reader], origin: Origin, label: str, at: int) -> Reader:
    """Make the reader that another process has sent; nothing is opened before it is used."""
    reader = kind.__new__(kind)
    reader._fall_asleep(origin, label, at)  # noqa: SLF001 - the other half of `__reduce__`
    return reader


class Format:
    """One file format as one program handles it.

    Attributes
    ----------
    name : str
        Upper case, e.g. ``"PNG"``.
    description : str
        One line.
    extensions : tuple of str
        Lower case with the point, the usual one first.
    modes : str
        Which of ``i I v V`` it serves.
    program : str
        What does the work; empty for what is done in this process.
    depths : str
        The sample types that it holds, in words.
    alpha, animated, metadata : bool
        Whether it holds transparency, several pictures in time, metadata that is read.
    single : bool
        Whether what it writes holds one picture.
    """

    name: str = ""
    description: str = ""
    extensions: tuple[str, ...] = ()
    modes: str = ""
    program: str = ""
    depths: str = "8"
    alpha: bool = False
    animated: bool = False
    metadata: bool = False
    single: bool = False
    reader: type[Reader] | None = None
    writer: type[Writer] | None = None

    def __repr__(self) -> str:
        """Tell the name and the description."""
        return f"<Format {self.name} - {self.description}>"

    @property
    def doc(self) -> str:
        """The documentation of the format: what it is, and the keywords of its reader and writer."""
        parts = [f"{self.name} - {self.description}", type(self).__doc__ or ""]
        parts += [cls.__doc__ or "" for cls in (self.reader, self.writer) if cls]
        return "\n\n".join(inspect.cleandoc(part) for part in parts if part)

    def can_read(self, request: Request) -> bool:
        """Tell whether this format's reader is for that content."""
        raise NotImplementedError

    def could_read(self, request: Request) -> bool:
        """Tell whether that content may be ours now that the user has named us; for formats without a signature."""
        return self.can_read(request)

    def can_write(self, request: Request) -> bool:
        """Tell whether this format's writer is for that name; the extension says."""
        return request.extension in self.extensions

    def missing(self, *, writing: bool = False) -> str:
        """Tell what this machine lacks for it, with the way to get it; empty if it works here."""
        del writing
        return ""

    def get_reader(self, request: Request) -> Reader:
        """Open a reader. Called by the API with a request that passed `can_read`."""
        if self.reader is None:
            message = f"{request.name}: {self.name} can only be written"
            raise UnknownFormat(message)
        return self.reader(self, request)

    def get_writer(self, request: Request) -> Writer:
        """Open a writer. Called by the API with a request that passed `can_write`."""
        if self.writer is None:
            message = f"{request.name}: {self.name} can only be read"
            raise UnknownFormat(message)
        return self.writer(self, request)

    def refuse(self, kwargs: Mapping[str, Any]) -> None:
        """Raise for keywords that nobody knows. Called by readers and writers with what is left over."""
        names = ", ".join(sorted(kwargs))
        message = (
            f"{self.name} does not know the keyword(s) {names}; `framebridge formats {self.name}` tells those it does"
        )
        raise TypeError(message)
