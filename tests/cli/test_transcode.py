"""``framebridge transcode``: one film or many, what is said, what is left, and with which status it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

import bridge
from bridge.cli import main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clips

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

FAST = ("-c:v", "libx264", "-preset", "ultrafast")


@pytest.fixture
def film(lavfi: Clips) -> Path:
    return lavfi("film.mov", "testsrc2=size=64x48:rate=25:duration=1[out0];sine=duration=1[out1]", *FAST)


def _call(*words: object) -> int:
    return main(["transcode", *map(str, words)])


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_one_film(film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = (
        film,
        tmp_path / "a.mp4",
        "--crf",
        "30",
        "--speed",
        "fast",
        "--size",
        "x32",
        "--check",
        "ssim",
        "--sidecar",
    )
    assert _call(*words) == 0
    said = capsys.readouterr()
    assert "25 frames" in said.out
    assert "ssim 0." in said.out
    assert "Traceback" not in said.err
    assert bridge.imread(tmp_path / "a.mp4").shape[0] == 32
    assert _names(tmp_path) == ["a.mp4", "a.mp4.job.json"]
    assert _call(*words) == 0
    assert "there already" in capsys.readouterr().out
    assert _call(film, tmp_path / "a.mp4", "--crf", "40") == 1
    assert "--force" in capsys.readouterr().err
    assert _call(film, tmp_path / "a.mp4", "--crf", "40", "--force", "--quiet") == 0
    assert capsys.readouterr().out == ""


def test_a_batch_goes_on_where_one_fails_and_is_resumed(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b", "c"):
        (tmp_path / f"{name}.mov").write_bytes(film.read_bytes())
    (tmp_path / "bad.mov").write_text("no film" * 99)
    sources = sorted(tmp_path.glob("*.mov"))
    words = (*sources, tmp_path / "none.mov", "--to", tmp_path / "out", "--preset", "web", "--jobs", "2")
    assert _call(*words) == 1
    said = capsys.readouterr()
    assert "3 made, 0 there already, 2 failed" in said.out
    assert "bad.mp4" in said.err
    assert "there is no file" in said.err
    assert "Traceback" not in said.err
    assert _names(tmp_path / "out") == ["a.mp4", "b.mp4", "c.mp4"]
    (tmp_path / "out" / "b.mp4").unlink()
    assert _call(*words) == 1
    assert "1 made, 2 there already, 2 failed" in capsys.readouterr().out


def test_a_dry_run_shows_commands_and_makes_nothing(
    film: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _call(film, "--to", tmp_path / "out", "--preset", "archive", "--dry-run") == 0
    said = capsys.readouterr().out
    assert "-c:v ffv1" in said
    assert str(film) in said
    assert "/proc/self" not in said
    assert _names(tmp_path) == []
    assert _call(film, tmp_path / "a.m3u8", "-n") == 0
    assert _call(tmp_path / "none.mov", tmp_path / "a.mp4", "-n") == 1


@pytest.mark.parametrize(
    "words",
    [
        ("a.mov",),
        ("a.mov", "b.mov", "c.mp4"),
        ("a.mov", "--to", "x", "--join"),
        ("a.mov", "b.mp4", "--size", "big"),
        ("a.mov", "b.mp4", "--fps", "0"),
        ("a.mov", "b.mp4", "--start", "1:x"),
        ("a.mov", "b.mp4", "--preset", "none"),
        ("a.mov", "b.mp4", "--crf", "1", "--bitrate", "1M"),
        ("a.mov", "b.mp4", "--filter", "movie=x"),
        ("x/a.mov", "y/a.mov", "--to", "out"),
        ("a.mov", "b.mp4", "--end", "1", "--start", "2"),
    ],
)
def test_wrong_calls(words: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert _call(*words) == 2


def test_films_are_joined_and_parts_taken(film: Path, tmp_path: Path) -> None:
    assert _call(film, film, tmp_path / "a.mkv", "--join", "--speed", "ultrafast") == 0
    with bridge.get_reader(tmp_path / "a.mkv") as reader:
        assert len(reader) == 50
    assert _call(film, tmp_path / "b.mkv", "--start", "0:00.2", "--end", "0:0:0.8", "--audio", "none") == 0
    with bridge.get_reader(tmp_path / "b.mkv") as reader:
        assert len(reader) == 15


def test_ctrl_c_ends_all_and_leaves_nothing(lavfi: Clips, tmp_path: Path) -> None:
    source = lavfi("long.mkv", "testsrc2=size=640x360:rate=25:duration=8", *FAST, "-qp", "40")
    (tmp_path / "b.mkv").write_bytes(source.read_bytes())
    command = [sys.executable, "-m", "bridge", "transcode", str(source), str(tmp_path / "b.mkv"), "--to",
               str(tmp_path / "out"), "--ext", "webm", "--speed", "0", "--jobs", "2"]  # fmt: skip
    child = subprocess.Popen(command, stderr=subprocess.PIPE, env={**os.environ, "PYTHONUNBUFFERED": "1"})
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            parts = list((tmp_path / "out").glob(".framebridge-*")) if (tmp_path / "out").is_dir() else []
            if len(parts) == 2:
                break
            time.sleep(0.05)
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=20)
    finally:
        child.kill()
    assert child.returncode == 130
    assert b"Traceback" not in said
    assert _names(tmp_path / "out") == []
