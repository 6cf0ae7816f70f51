"""``framebridge formats``: what this machine reads and writes, by which program, and what is missing for the rest."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import click

from bridge.catalogue import formats
from bridge.cli.debug import debug_option
from bridge.cli.terminal import clean, print_json, shown, table

if TYPE_CHECKING:
    from bridge.core.format import Format

__all__ = ["command", "program"]

_PROGRAMS = {"ffmpeg": "ffmpeg", "magick": "ImageMagick"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    """One format on this machine; an empty reason means that it works."""

    name: str
    description: str
    extensions: tuple[str, ...]
    program: str
    read: bool
    write: bool
    why_not_read: str
    why_not_write: str


@click.command("formats")
@click.argument("name", metavar="[NAME]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@debug_option
def command(name: str | None, *, as_json: bool) -> None:
    """List what this machine reads and writes, or tell all about the formats of that NAME or extension."""
    chosen = list(formats) if name is None else _named(name)
    if as_json:
        print_json([_plain(format, doc=name is not None) for format in chosen])
    elif name is None:
        _show_all([_row(format) for format in chosen])
    else:
        for format in chosen:
            _show_one(format)


def _named(name: str) -> list[Format]:
    """Find formats by name or extension; several programs may serve one."""
    first = formats[name]
    ending = "." + name.lower().removeprefix(".")
    return [first, *(format for format in formats if format is not first and ending in format.extensions)]


def _plain(format: Format, *, doc: bool) -> dict[str, Any]:
    return asdict(_row(format)) | ({"doc": format.doc} if doc else {})


def program(format: Format) -> str:
    """Tell who does the work of a format: a program, or this process."""
    room = type(format).__module__.split(".")[1]
    return _PROGRAMS.get(room) or (format.program if room == "capture" else "") or "in-process"


def _row(format: Format) -> _Row:
    reading = format.missing() if format.reader else "it is only written"
    writing = format.missing(writing=True) if format.writer else "it is only read"
    return _Row(
        name=format.name,
        description=format.description,
        extensions=format.extensions,
        program=program(format),
        read=not reading,
        write=not writing,
        why_not_read=reading,
        why_not_write=writing,
    )


def _show_one(format: Format) -> None:
    shown(*(f"{fact}: {value}" for fact, value in _facts(_row(format))))
    click.echo("\n".join(("", *map(clean, format.doc.splitlines()), "")))


def _facts(row: _Row) -> list[tuple[str, str]]:
    return [
        ("format", row.name),
        ("extensions", " ".join(row.extensions)),
        ("by", row.program),
        ("reads here", f"no: {row.why_not_read}" if row.why_not_read else "yes"),
        ("writes here", f"no: {row.why_not_write}" if row.why_not_write else "yes"),
    ]


def _show_all(rows: list[_Row]) -> None:
    """Print one line a format; reasons that many share stand below, under a number."""
    reasons: dict[str, int] = {}
    lines: list[tuple[Any, ...]] = []
    for row in rows:
        marks = [_mark(why, reasons) for why in (row.why_not_read, row.why_not_write)]
        lines.append((row.name, row.description, " ".join(row.extensions), *marks, row.program))
    shown(table("format", "what", "extensions", "read", "write", "by", rows=lines))
    shown(*(f"({number}) {why}" for why, number in reasons.items()))


def _mark(why: str, reasons: dict[str, int]) -> str:
    if not why:
        return "yes"
    return f"no ({reasons.setdefault(why, len(reasons) + 1)})"
