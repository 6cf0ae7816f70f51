"""How far the work is: bars on a terminal, otherwise plain lines, at most one a second."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Self

import click

from bridge.cli.terminal import clean, console

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

__all__ = ["Progress", "Task"]

_INTERVAL = 1.0  # seconds between two plain lines


class Progress:
    """Tells on the error stream how far one or more tasks are. A context manager.

    Parameters
    ----------
    quiet : bool
        Tell nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._bars = None if quiet else _bars()
        self._told = time.monotonic()

    def __enter__(self) -> Self:
        """Show the bars."""
        if self._bars is not None:
            self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the bars as they are."""
        if self._bars is not None:
            self._bars.stop()

    def add(self, name: str, total: int | None = None) -> Task:
        """Add a task that takes `total` steps, where that is known."""
        bar = None if self._bars is None else self._bars.add_task(clean(name), total=total)
        return Task(self, clean(name), total, bar)

    def show(self, task: Task) -> None:
        """Show a task as it is now. Called by the task."""
        if self._bars is not None and task.bar is not None:
            self._bars.update(task.bar, completed=task.done, total=task.total)
        elif not self._quiet and time.monotonic() - self._told >= _INTERVAL:
            self._told = time.monotonic()
            click.echo(str(task), err=True)


class Task:
    """One piece of work; made by `Progress.add`."""

    def __init__(self, progress: Progress, name: str, total: int | None, bar: TaskID | None) -> None:
        self.name = name
        self.total = total
        self.done = 0
        self.bar = bar
        self.stage = ""
        self._progress = progress

    def __str__(self) -> str:
        """Tell how far it is, on one line."""
        of = f" of {self.total} ({100 * self.done // self.total} %)" if self.total else ""
        stage = f", {self.stage}" if self.stage else ""
        return f"{self.name}: {self.done}{of}{stage}"

    def advance(self) -> None:
        """Count one step."""
        self.done += 1
        if self.total is not None and self.done > self.total:  # a header's number may be wrong
            self.total = None
        self._progress.show(self)

    def reach(self, done: int, total: int | None, stage: str = "") -> None:
        """Say how many steps are done, of how many, and what is done just now."""
        self.done, self.stage = done, stage
        self.total = None if total is None or done > total else total
        self._progress.show(self)

    def finish(self) -> None:
        """Call it done, however many steps it took."""
        self.total = self.done
        if self.bar is not None:
            self._progress.show(self)


def _bars() -> Bars | None:
    """Give rich's bars where they can be drawn."""
    screen = console(stderr=True)
    if not screen.is_terminal or screen.is_dumb_terminal:
        return None
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    return Bars(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=screen,
    )
