"""Origin: where a reader came from, so that it can be opened again, in another process too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bridge.core.request import Request
from bridge.errors import NotPortable

if TYPE_CHECKING:
    from collections.abc import Callable

    from bridge.core.format import Format
    from bridge.limits import Limits

__all__ = ["Origin", "origin_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """What a reader was opened with.

    Attributes
    ----------
    uri
        What the user gave, in a form that means the same in another process of this machine.
    name : str
        What messages call it.
    mode, kwargs, limits
        As for `Request`.
    format : str
        Name of the format that was found.
    choose : callable
        Finds a format by a request and that name; a function of a module.
    """

    uri: Any
    name: str
    mode: str
    kwargs: dict[str, Any]
    limits: Limits
    format: str
    choose: Callable[[Request, str], Format]

    def open(self) -> tuple[Format, Request]:
        """Open it here."""
        request = Request(self.uri, self.mode, kwargs=self.kwargs, limits=self.limits, name=self.name)
        try:
            return self.choose(request, self.format), request
        except BaseException:
            request.close()
            raise


def origin_of(request: Request, format: Format) -> Origin:
    """Tell where a reader came from.

    Raises
    ------
    NotPortable
        If that cannot be opened a second time.
    """
    if request.lasting is None:
        raise NotPortable(
            f"{request.name} cannot be opened again elsewhere: it was read from a file object that is no file of this "
            "machine, read from its beginning; give its name or its bytes instead"
        )
    if request.choose is None:
        raise NotPortable(f"{request.name} was not opened by get_reader, and cannot be opened again elsewhere")
    return Origin(
        uri=request.lasting,
        name=request.name,
        mode=request.mode,
        kwargs=request.kwargs,
        limits=request.limits,
        format=format.name,
        choose=request.choose,
    )
