"""Progress in plain lines, and in bars."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time

import pytest

from bridge.cli.progress import Progress


class Clock:
    """The time of day, as a test wants it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(time, "monotonic", made)
    return made


def test_plain_lines_come_at_most_once_a_second(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        task = progress.add("a\x1b.mp4", 40)
        for _ in range(40):
            clock.now += 0.125
            task.advance()
        task.finish()
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.splitlines() == [rf"a\x1b.mp4: {n} of 40 ({100 * n // 40} %)" for n in (8, 16, 24, 32, 40)]


def test_a_wrong_or_unknown_total_is_not_told(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress() as progress:
        for total in (None, 1):
            task = progress.add("a.mp4", total)
            task.advance()
            clock.now += 2
            task.advance()
    assert capsys.readouterr().err.splitlines() == ["a.mp4: 2", "a.mp4: 2"]


def test_quiet_says_nothing(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(quiet=True) as progress:
        task = progress.add("a.mp4", 2)
        clock.now += 5
        task.advance()
        task.finish()
    assert capsys.readouterr() == ("", "")


def test_a_terminal_gets_a_bar() -> None:
    program = (
        "from bridge.cli.progress import Progress\n"
        "with Progress() as progress:\n"
        "    task = progress.add('[red]film.mp4', 3)\n"
        "    for _ in range(3): task.advance()\n"
    )
    ours, theirs = pty.openpty()
    try:
        subprocess.run(
            [sys.executable, "-c", program],
            stderr=theirs,
            check=True,
            env={**os.environ, "TERM": "xterm", "COLUMNS": "100"},
        )
        shown = os.read(ours, 1 << 16).decode()
    finally:
        os.close(ours)
        os.close(theirs)
    assert "[red]film.mp4" in shown
    assert "3/3" in shown
