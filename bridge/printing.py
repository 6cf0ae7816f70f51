"""What may be printed: text of strangers, and names of files, without what they would do to a terminal or a log."""

from __future__ import annotations

__all__ = ["printable"]


def printable(text: str) -> str:
    r"""Escape what a name should not do to a terminal or a log: control characters, changes of direction, no UTF-8.

    Examples
    --------
    >>> printable("\x1b[31mred\n")
    '\\x1b[31mred\\n'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
