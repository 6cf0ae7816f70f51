"""Format, Reader, Writer, FormatManager: the rules of the user API, once for all formats.

A program's subclass writes only underscore methods; whatever users can do wrong is caught here.
"""

from __future__ import annotations

import inspect
import math
import operator
import threading
import warnings
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from bridge.core.array import Array
from bridge.core.request import MODES
from bridge.errors import BridgeError, Closed, NoSuchFrame, UnknownFormat, UnsupportedPixels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bridge.core.request import Request

__all__ = ["Format", "FormatManager", "Reader", "Writer"]


class _Stream:
    """What readers and writers share: a format, a request, and an end."""

    def __init__(self, format: Format, request: Request) -> None:
        self._format = format
        self._request = request
        self._closed = False
        self._lock = threading.RLock()

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
        return f"<{type(self).__name__} {self._format.name} {self._request.name}: {state}>"

    def __del__(self) -> None:
        """Warn of what was dropped unclosed; its child and its files are put away by their own finalizers."""
        if not getattr(self, "_closed", True):
            warnings.warn(f"{self!r} was never closed", ResourceWarning, stacklevel=2, source=self)

    def _check_open(self) -> None:
        if self._closed:
            message = f"{self!r}: open it again to go on"
            raise Closed(message)


class Reader(_Stream):
    """Reads data and metadata from a resource. Obtained by `get_reader`.

    An iterator over its images, a context manager that closes, a sequence that can be indexed.
    """

    def __init__(self, format: Format, request: Request) -> None:
        super().__init__(format, request)
        self._next = 0
        try:
            self._open(**request.kwargs)
        except BaseException:
            self.close()
            raise

    # What a program's subclass writes

    def _open(self, **kwargs: Any) -> None:
        """Take the user's keywords. Called once, before everything else."""
        if kwargs:
            self._format.refuse(kwargs)

    def _length(self) -> float:
        """Count the images: an int, or `math.inf` for a stream. Called at most when somebody asks."""
        raise NotImplementedError

    def _data(self, index: int) -> tuple[np.ndarray[Any, Any], dict[str, Any]] | None:
        """Read image `index` (not negative) and its metadata; None if it lies beyond the end."""
        raise NotImplementedError

    def _meta(self, index: int | None) -> dict[str, Any]:
        """Read the metadata of one image, or of the file."""
        raise NotImplementedError

    def _info(self) -> Any:
        """Describe the file as a `bridge.media.info.MediaInfo`."""
        raise NotImplementedError

    def _close(self) -> None:
        """Let go of children and memory. Called once, also after a failed `_open`."""

    # What users call

    @property
    def info(self) -> Any:
        """What the file holds, as `bridge.probe` gives it."""
        self._check_open()
        with self._lock:
            return self._info()

    def close(self) -> None:
        """Close the reader. Has no effect if it is closed already."""
        if not self._closed:
            self._closed = True
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
        with self._lock:
            return self._length()

    def __len__(self) -> int:
        """Count the images; a stream of unknown length has no `len`."""
        length = self.get_length()
        if length == math.inf:
            message = f"{self!r} is a stream: it has no len(), iterate over it"
            raise TypeError(message)
        return int(length)

    def get_data(self, index: int, **kwargs: Any) -> Array:
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
        with self._lock:
            if kwargs:
                self._format.refuse(kwargs)
            wanted = self._checked(index)
            found = self._data(wanted)
            if found is None:
                raise self._no_such(index)
            self._next = wanted + 1
            return Array(*found)

    def get_next_data(self, **kwargs: Any) -> Array:
        """Read the next image; the first call reads the first.

        Raises
        ------
        NoSuchFrame
            At the end of the series.
        """
        return self.get_data(self._next, **kwargs)

    def set_image_index(self, index: int) -> None:
        """Say which image `get_next_data` reads next."""
        self._check_open()
        self._next = self._checked(index)

    def iter_data(self) -> Iterator[Array]:
        """Iterate over all images of the series."""
        self._check_open()
        index = 0
        while not self._closed:
            with self._lock:
                found = self._data(index)
            if found is None:
                return
            index += 1
            self._next = index
            yield Array(*found)

    def __iter__(self) -> Iterator[Array]:
        """Iterate over all images of the series."""
        return self.iter_data()

    def __getitem__(self, index: int) -> Array:
        """Read one image by its position."""
        return self.get_data(index)

    def get_meta_data(self, index: int | None = None) -> dict[str, Any]:
        """Read the metadata of one image, or, without an index, of the file."""
        self._check_open()
        with self._lock:
            return dict(self._meta(None if index is None else self._checked(index)))

    def _checked(self, index: int) -> int:
        """Turn the user's index into one from the beginning; numpy integers are indexes too."""
        position = operator.index(index)
        if position < 0 and (length := self.get_length()) < math.inf:
            position += int(length)
        if position < 0:
            raise self._no_such(index)
        return position

    def _no_such(self, index: int) -> NoSuchFrame:
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
        self._meta: dict[str, Any] = {}
        try:
            self._open(**request.kwargs)
        except BaseException as error:
            self.abort()
            self._put_name(error)
            raise

    # What a program's subclass writes

    def _open(self, **kwargs: Any) -> None:
        """Take the user's keywords. Called once, before everything else."""
        if kwargs:
            self._format.refuse(kwargs)

    def _append(self, image: np.ndarray[Any, Any], meta: dict[str, Any]) -> None:
        """Write one image. Called with a non-empty array of numbers."""
        raise NotImplementedError

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
            Metadata; it updates what the image carries in its own attribute `meta`.

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
        with self._lock:
            try:
                self._append(np.asarray(image), {**getattr(im, "meta", {}), **(meta or {})})
            except UnsupportedPixels as error:
                self._put_name(error)
                raise
            self._count += 1

    def _put_name(self, error: BaseException) -> None:
        """Say in which file, where the message does not yet."""
        if isinstance(error, BridgeError) and self._request.name not in error.message:
            error.message = f"{self._request.name}: {error.message}"

    def set_meta_data(self, meta: Mapping[str, Any]) -> None:
        """Set the metadata of the file; what the format cannot hold is ignored."""
        self._check_open()
        self._meta = dict(meta)

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
    """

    name: str = ""
    description: str = ""
    extensions: tuple[str, ...] = ()
    modes: str = ""
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


class FormatManager:
    """The formats in the order in which they are asked. Obtained as ``bridge.formats``.

    Iterable; ``formats["png"]`` looks up by name or extension.
    """

    def __init__(self) -> None:
        self._formats: list[Format] = []

    def __repr__(self) -> str:
        """Tell how many formats there are."""
        return f"<FormatManager with {len(self._formats)} formats>"

    def __iter__(self) -> Iterator[Format]:
        """Iterate in the order in which they are asked."""
        return iter(self._formats)

    def __len__(self) -> int:
        """Count the formats."""
        return len(self._formats)

    def __getitem__(self, name: str) -> Format:
        """Look a format up by its name, an extension, or a file name."""
        found = self._named(name)
        if not found:
            message = f"no format is called {name!r}; known are: {', '.join(f.name for f in self._formats)}"
            raise UnknownFormat(message)
        return next((f for f in found if not f.missing()), found[0])

    def add_format(self, format: Format) -> None:
        """Add a format; it is asked after those that are there."""
        self._formats.append(format)

    def find_reader(self, request: Request, name: str | None = None) -> Format:
        """Choose the format that reads this content.

        Content decides; the extension is a hint for formats without a signature; `name` narrows.
        """
        able = [f for f in self._among(name) if f.reader and f.can_read(request)]
        return self._choose(able, request, name, writing=False)

    def find_writer(self, request: Request, name: str | None = None) -> Format:
        """Choose the format that writes this name."""
        named = self._among(name)
        able = [f for f in named if f.writer and (name is not None or f.can_write(request))]
        return self._choose(able, request, name, writing=True)

    def _named(self, name: str) -> list[Format]:
        ending = "." + name.lower().rpartition(".")[2]
        exact = [f for f in self._formats if f.name.lower() == name.lower()]
        return exact + [f for f in self._formats if ending in f.extensions and f not in exact]

    def _among(self, name: str | None) -> list[Format]:
        if name is None:
            return self._formats
        return self._named(name) or [self[name]]

    def _choose(self, able: list[Format], request: Request, name: str | None, *, writing: bool) -> Format:
        if not able:
            raise self._nobody(request, name, writing=writing)
        fitting = [f for f in able if request.mode in ("?", *f.modes)]
        if not fitting:
            could = sorted({mode for f in able for mode in f.modes})
            message = (
                f"{request.name} cannot be {'written' if writing else 'read'} as {MODES[request.mode]}; "
                f"{able[0].name} serves {', '.join(f'{m!r} ({MODES[m]})' for m in could)}"
            )
            raise UnknownFormat(message)
        lacks = {f: f.missing(writing=writing) for f in fitting}
        here = next((f for f in fitting if not lacks[f]), None)
        return here or fitting[0]  # its reader or writer raises the error that says what is missing

    def _nobody(self, request: Request, name: str | None, *, writing: bool) -> BridgeError:
        if writing:
            known = sorted({e for f in self._among(name) if f.writer for e in f.extensions})
            what = (
                f"the extension {request.extension!r} is unknown" if request.extension else "the name has no extension"
            )
            return UnknownFormat(f"{request.name}: {what}; known are {' '.join(known)} (or name one with format=)")
        if name is not None:
            is_a = f"a {request.kind.upper()} file" if request.kind else "of no known kind"
            return UnknownFormat(f"{request.name} is {is_a}, which format={name!r} does not read")
        start = request.head[:16]
        shown = "text" if start.isascii() and start.decode().isprintable() else "unknown bytes"
        claim = f" although its name ends in {request.extension}" if request.extension else ""
        return UnknownFormat(
            f"{request.name} is no picture or film that any format knows{claim}: it begins with {shown} ({start!r})"
        )
