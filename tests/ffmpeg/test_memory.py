"""What is remembered of a film between runs: asked once, and again as soon as the file is another."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

import bridge
from bridge.ffmpeg import memory, probe

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Clips

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg"), pytest.mark.needs("ffprobe")]

_OPTIONS = ("-c:v", "libx264", "-preset", "ultrafast", "-metadata", "title=one")


@pytest.fixture
def film(lavfi: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRAMEBRIDGE_CACHE", str(tmp_path / "cache"))
    path = tmp_path / "film.mkv"
    path.write_bytes(lavfi("memory.mkv", "testsrc2=s=64x48:r=5:d=1", *_OPTIONS).read_bytes())
    return path


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Each time that a program is asked what a file holds."""
    seen: list[str] = []
    original = probe._ask

    def ask(tool: Any, arguments: Any, request: Any) -> Any:
        seen.append(request.name)
        return original(tool, arguments, request)

    monkeypatch.setattr(probe, "_ask", ask)
    return seen


def test_a_film_is_asked_once(film: Path, asked: list[str]) -> None:
    first = bridge.probe(film)
    assert bridge.probe(film) == first
    assert bridge.mimread(film)[0].shape == (48, 64, 3)
    assert len(asked) == 1
    assert first.tags["title"] == "one"
    assert bridge.probe(film.read_bytes()).streams == first.streams  # which has no place
    assert len(asked) == 1


def test_a_large_film_is_known_by_its_place(film: Path, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_SMALL", 100)
    bridge.probe(film)
    bridge.probe(film)
    assert len(asked) == 1
    bridge.probe(film.read_bytes())  # which has none
    bridge.probe(film.read_bytes())
    assert len(asked) == 3
    os.utime(film, ns=(0, 1))
    bridge.probe(film)
    assert len(asked) == 4


def test_another_film_in_its_place_is_asked(film: Path, asked: list[str]) -> None:
    bridge.probe(film)
    content = film.read_bytes()
    film.write_bytes(content.replace(b"one", b"two"))
    assert bridge.probe(film).tags["title"] == "two"
    assert len(asked) == 2
    film.write_bytes(content)
    assert bridge.probe(film).tags["title"] == "one"
    assert len(asked) == 2


@pytest.mark.parametrize("spoilt", [b"", b"{", b"[]", b'["key", {"streams": [1]}]', b"[1, 2, 3]", b"\xff\0"])
def test_a_spoilt_memory_is_none(spoilt: bytes, film: Path, asked: list[str], tmp_path: Path) -> None:
    first = bridge.probe(film)
    (kept,) = (tmp_path / "cache" / "probe").iterdir()
    kept.write_bytes(spoilt)
    assert bridge.probe(film) == first
    assert len(asked) == 2
    assert bridge.probe(film) == first
    assert len(asked) == 2


def test_the_oldest_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMEBRIDGE_CACHE", str(tmp_path))
    monkeypatch.setattr(memory, "_MOST", 10)
    for number in range(11):
        memory.keep("probe", str(number), b"%d" % number)
        os.utime(memory._place("probe", str(number)), (number, number))
    memory.keep("probe", "new", b"new")
    assert memory.recall("probe", "0") is None
    assert memory.recall("probe", "new") == b"new"
    assert 5 <= len(list((tmp_path / "probe").iterdir())) <= 10
