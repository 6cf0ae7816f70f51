"""What reaches the terminal: text made harmless, tables, JSON, sizes and times in words."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from bridge.printing import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console
    from rich.table import Table

__all__ = ["byte_count", "clean", "console", "print_json", "seconds", "shown", "table"]

_WIDE = 200  # columns where the output is no terminal: lines that are cut cannot be searched
_SHORT = 16  # characters in cells that are not broken in two
_THOUSAND = 1000
_UNITS = {1: "kB", 2: "MB"}
_MINUTE = 60


def clean(text: object) -> str:
    """Give text on one line in which no character can steer a terminal; others than printable are escaped."""
    return printable(str(text))


def console(*, stderr: bool = False) -> Console:
    """Give a console that changes nothing in the text it is given."""
    from rich.console import Console

    made = Console(stderr=stderr, highlight=False, markup=False, emoji=False)
    if not made.is_terminal:
        made.width = max(made.width, _WIDE)
    return made


def table(*columns: str, rows: Sequence[Sequence[object]]) -> Table:
    """Give a table of cleaned cells; columns that are empty in every row are left out."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1))
    kept = [at for at in range(len(columns)) if any(str(row[at]) for row in rows)]
    for at in kept:
        short = max(len(str(row[at])) for row in rows) <= _SHORT
        made.add_column(columns[at], overflow="fold", no_wrap=short)
    for row in rows:
        made.add_row(*(Text(clean(row[at])) for at in kept))
    return made


def shown(*things: object) -> None:
    """Print tables, and cleaned text, to standard output."""
    out = console()
    for thing in things:
        out.print(clean(thing) if isinstance(thing, str) else thing, soft_wrap=isinstance(thing, str))


def print_json(value: Any) -> None:
    """Print a value as JSON, in ASCII, so that no character of it can steer a terminal."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=True))


def byte_count(count: int | None) -> str:
    """Say a number of bytes: ``1.1 MB``."""
    if count is None:
        return ""
    if count < _THOUSAND:
        return f"{count} bytes"
    power = 2 if count >= _THOUSAND**2 else 1
    return f"{count / _THOUSAND**power:,.{power - 1}f} {_UNITS[power]}"


def seconds(count: float | None) -> str:
    """Say a time: ``5.28 s``, ``1:02:03.5``."""
    if count is None:
        return ""
    if count < _MINUTE:
        return f"{count:.2f} s"
    minutes, rest = divmod(round(count, 1), _MINUTE)
    hours, minutes = divmod(int(minutes), _MINUTE)
    return f"{hours}:{minutes:02}:{rest:04.1f}" if hours else f"{minutes}:{rest:04.1f}"
