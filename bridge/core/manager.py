"""FormatManager: the formats in the order in which they are asked, and the choice among them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bridge.core.request import MODES
from bridge.errors import BridgeError, UnknownFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from bridge.core.format import Format
    from bridge.core.request import Request

__all__ = ["FormatManager"]


class FormatManager:
    """The formats in the order in which they are asked. Obtained as ``bridge.formats``.

    Iterable; ``formats["png"]`` looks up by name or extension.

    Parameters
    ----------
    plugins : callable
        Gives further formats; called once, when those that are here do not serve, or when all are listed.
    """

    def __init__(self, plugins: Callable[[], Iterable[Format]] = tuple) -> None:
        self._own: list[Format] = []
        self._plugins = plugins
        self._added: list[Format] | None = None

    @property
    def _formats(self) -> list[Format]:
        """All formats, those of plug-ins last."""
        if self._added is None:
            self._added = []  # before they are loaded: loading may look at us
            self._added += self._plugins()
        return self._own + self._added

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
        found = _named(self._formats, name)
        if not found:
            message = f"no format is called {name!r}; known are: {', '.join(f.name for f in self._formats)}"
            raise UnknownFormat(message)
        named = next((f for f in found if f.name.lower() == name.lower()), None)
        return named or next((f for f in found if not f.missing()), found[0])

    def add_format(self, format: Format) -> None:
        """Add a format; it is asked after those that are there."""
        self._own.append(format)

    def find_reader(self, request: Request, name: str | None = None) -> Format:
        """Choose the format that reads this content.

        Content decides; the extension is a hint for formats without a signature; `name` narrows.
        """
        try:
            able = self._able(name, lambda f: bool(f.reader) and (f.could_read if name else f.can_read)(request))
        except BridgeError as error:  # of a damaged header
            error.put_name(request.name)
            raise
        return self._choose(able, request, name, writing=False)

    def find_writer(self, request: Request, name: str | None = None) -> Format:
        """Choose the format that writes this name."""
        able = self._able(name, lambda f: bool(f.writer) and (name is not None or f.can_write(request)))
        # Of several that the name fits, the extension's; and where more than one picture may come, one that holds more.
        able.sort(key=lambda f: (not f.can_write(request), f.single and request.mode != "i"))
        return self._choose(able, request, name, writing=True)

    def _able(self, name: str | None, serves: Callable[[Format], bool]) -> list[Format]:
        """Find the formats that serve: our own, and only where none does those of plug-ins."""
        own = self._own if name is None else _named(self._own, name)
        return [f for f in own if serves(f)] or [f for f in self._among(name) if serves(f)]

    def _among(self, name: str | None) -> list[Format]:
        if name is None:
            return self._formats
        return _named(self._formats, name) or [self[name]]

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
        here = next((f for f in fitting if not f.missing(writing=writing)), None)
        return here or fitting[0]  # its reader or writer raises the error that says what is missing

    def _nobody(self, request: Request, name: str | None, *, writing: bool) -> BridgeError:
        if writing:
            known = sorted({e for f in self._among(name) if f.writer for e in f.extensions})
            if name is not None and not known:
                return UnknownFormat(f"{request.name}: format={name!r} is only read, not written")
            what = (
                f"the extension {request.extension!r} is unknown" if request.extension else "the name has no extension"
            )
            return UnknownFormat(f"{request.name}: {what}; known are {' '.join(known)} (or name one with format=)")
        if name is not None:
            is_a = f"a {request.kind.upper()} file" if request.kind else "of no known kind"
            return UnknownFormat(f"{request.name} is {is_a}, which format={name!r} does not read")
        start = request.head[:16]
        text = start.isascii() and "".join(start.decode().split()).isprintable()
        shown = "text" if text else "unknown bytes"
        claim = f" although its name ends in {request.extension}" if request.extension else ""
        return UnknownFormat(
            f"{request.name} is no picture or film that any format knows{claim}: it begins with {shown} ({start!r})"
        )


def _named(formats: list[Format], name: str) -> list[Format]:
    """Find formats by name first, then by extension or file name."""
    ending = "." + name.lower().rpartition(".")[2]
    wanted = name.lower()
    exact = [f for f in formats if wanted in (f.name.lower(), f.program.lower())]  # imageio calls film "FFMPEG"
    return exact + [f for f in formats if ending in f.extensions and f not in exact]
