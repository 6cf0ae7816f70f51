"""leave(): the one kind of program that is meant to outlive us, as the owner of what is on a clipboard is.

Such a program goes into the background by itself, once it has what it needs. It is no child of the spawner, which
ends what its children leave behind, and holds none of our pipes: whoever waits for their end would wait for it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from typing import TYPE_CHECKING

from bridge.errors import ToolMissing, ToolTimeout
from bridge.process.child import Exit
from bridge.process.isolation import environment

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["leave"]

_MOST_WORDS = 64 << 10


def leave(
    argv: Sequence[str], *, subject: str, stdin: int, seconds: float, variables: Mapping[str, str] | None = None
) -> Exit:
    """Start a program and wait until it has gone into the background, or failed.

    Parameters
    ----------
    argv : sequence of str
        The command line; the first is an absolute path.
    subject : str
        The user's name for what is being worked on.
    stdin : int
        A descriptor of the file that it reads.
    seconds : float
        How long it may take for that.
    variables : mapping of str to str
        What its environment has besides the usual.

    Raises
    ------
    ToolMissing, ToolTimeout
        A bad exit status is not raised: the caller knows what it means.
    """
    begun = time.monotonic()
    with tempfile.TemporaryFile() as words:
        try:
            popen = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=subprocess.DEVNULL,
                stderr=words,
                env=environment(argv[0]) | dict(variables or {}),
                cwd="/",
                start_new_session=True,
            )
        except OSError as error:
            raise ToolMissing(f"{argv[0]} could not be started: {error.strerror}", command=tuple(argv)) from error
        try:
            code = popen.wait(seconds)
        except BaseException as error:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(popen.pid, signal.SIGKILL)
            popen.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise
            message = f"{subject}: {argv[0]} was not done for {seconds:g} s and was stopped"
            raise ToolTimeout(message, command=tuple(argv)) from None
        words.seek(0)
        said = words.read(_MOST_WORDS).decode("utf-8", "replace")
    return Exit(
        code=code if code >= 0 else None,
        signal=-code if code < 0 else None,
        seconds=time.monotonic() - begun,
        stderr=said,
    )
