"""The nouns of the API: Array, Resource, Request, Format, Reader, Writer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bridge.core import format, request

__all__ = ["format", "request"]


def __getattr__(name: str) -> Any:
    """Import the documented modules when they are first asked for (``bridge.core.format.Reader``)."""
    if name not in __all__:
        message = f"module 'bridge.core' has no attribute {name!r}"
        raise AttributeError(message)
    import importlib

    return importlib.import_module(f"bridge.core.{name}")
