"""``--debug``, which every command takes: where an error comes from, and what the program was called with."""

from __future__ import annotations

import shlex
import traceback

import click

from bridge.cli.terminal import clean

__all__ = ["debug_option", "tell_all", "wanted"]

_KEY = "bridge.debug"


def _remember(ctx: click.Context, _option: click.Parameter, value: bool) -> None:
    if value:
        ctx.meta[_KEY] = True


debug_option = click.option(
    "--debug", is_flag=True, expose_value=False, callback=_remember, help="Show where an error comes from."
)


def wanted(ctx: click.Context) -> bool:
    """Tell whether ``--debug`` was given, before or after the command's name."""
    return bool(ctx.meta.get(_KEY))


def tell_all(error: Exception) -> None:
    """Print the traceback, the program's command line and its last words to the error stream."""
    traceback.print_exception(error)
    for words in (shlex.join(getattr(error, "command", ())), getattr(error, "last_words", "")):
        if words:
            click.echo(clean(words), err=True)
