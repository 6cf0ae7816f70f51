"""The command ``framebridge``: which commands it has, and how each of their errors ends."""

from __future__ import annotations

import importlib
import os
import signal
import sys
from typing import TYPE_CHECKING, Any, NoReturn, cast

import click

from bridge import __version__
from bridge.cli.debug import debug_option, tell_all, wanted
from bridge.cli.terminal import clean
from bridge.errors import BridgeError
from bridge.interrupts import keep_interrupts

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["commands", "main"]

_COMMANDS = {
    "info": "Tell what files hold.",
    "convert": "Convert a picture or a film.",
    "transcode": "Transcode films, one or many.",
    "formats": "List what this machine reads and writes.",
    "devices": "List cameras and screens.",
    "doctor": "Tell which programs are found, and what is missing.",
}
_INTERRUPTED = 130  # as a shell gives it for SIGINT


class _Failure(click.ClickException):
    """What went wrong, on one line."""

    def show(self, file: Any = None) -> None:
        """Print it to the error stream. Called by click and by `main`."""
        click.echo(f"framebridge: {clean(self.message)}", file=file, err=True)


class _Commands(click.Group):
    """The commands, each imported when it is called: ``--version`` and ``--help`` load none."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Name the commands. Called by click."""
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command. Called by click."""
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        return cast("click.Command", importlib.import_module(f"bridge.cli.{cmd_name}").command)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them. Called by click."""
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; whatever it raises becomes one line, and a traceback only with ``--debug``."""
        try:
            return super().invoke(ctx)
        except (click.ClickException, click.exceptions.Exit, click.Abort, BrokenPipeError):
            raise
        except Exception as error:
            if wanted(ctx):
                tell_all(error)
            raise _Failure(_said(error)) from error


def _said(error: Exception) -> str:
    if isinstance(error, BridgeError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    return f"{type(error).__name__}: {error} (this is a fault of framebridge; --debug shows where)"


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@debug_option
@click.version_option(__version__, prog_name="framebridge", message="%(prog)s %(version)s")
def commands() -> None:
    """Read, write and convert film and pictures with the programs of this machine."""


def main(args: Sequence[str] | None = None) -> int:
    """Run the command line and give its exit status. Called by the console script.

    Parameters
    ----------
    args : sequence of str
        What follows the command's name; by default what this process was called with.

    Returns
    -------
    int
        0 after success, 1 after an error, 2 after a wrong call, 130 after Ctrl-C.
    """
    _end_in_order()
    keep_interrupts()
    try:
        status = commands.main(args=args, prog_name="framebridge", standalone_mode=False)
    except click.Abort:
        return _INTERRUPTED
    except click.ClickException as error:
        error.show()
        _give_up_stdout(error)
        return error.exit_code
    except OSError as error:  # from printing help or the version; a closed pipe is click's business
        _Failure(_said(error)).show()
        _give_up_stdout(error)
        return 1
    return status if isinstance(status, int) else 0


def _give_up_stdout(error: BaseException) -> None:
    """Where standard output itself has failed, let go of what is still to be written: the end would try again."""
    if isinstance(error, OSError) or isinstance(error.__cause__, OSError):
        try:
            sys.stdout.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _end_in_order() -> None:
    """Let a polite signal unwind the work, so that nothing half done is left; an ignored one stays ignored."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, _end)


def _end(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)
