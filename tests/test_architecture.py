"""The walls of the house: who may import whom, and that the walls are seen to hold when somebody leans on them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import bridge

if TYPE_CHECKING:
    from collections.abc import Callable

_CHECK = """
import sys
from importlinter.cli import lint_imports
sys.exit(lint_imports(config_filename=sys.argv[1], no_cache=True))
"""
_LAYERS = "Rooms import downwards only, and never sideways"
_WORKERS = "The library never imports the workers that it starts by name"
_PROCESS = "Only bridge.process starts programs"
_PICKLE = "Nobody unpickles"


@pytest.fixture
def contracts(pytestconfig: pytest.Config) -> dict[str, Any]:
    with (pytestconfig.rootpath / "pyproject.toml").open("rb") as file:
        settings: dict[str, Any] = tomllib.load(file)["tool"]["importlinter"]
    return settings


@pytest.fixture
def lint(pytestconfig: pytest.Config, tmp_path: Path) -> Callable[[], subprocess.CompletedProcess[str]]:
    """A copy of the packages to spoil, and what checks it by the contracts of pyproject.toml."""
    if subprocess.run(
        [sys.executable, "-c", "import importlinter"], check=False, capture_output=True, timeout=30
    ).returncode:
        missing = "import-linter is not installed here: scripts/lint installs it"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(missing)
    home = Path(bridge.__file__).parent
    workers = home.with_name("bridge_workers")
    workers = workers if workers.is_dir() else home.parent / "workers" / "bridge_workers"  # a source tree
    for package in (home, workers):
        shutil.copytree(package, tmp_path / "copy" / package.name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(pytestconfig.rootpath / "pyproject.toml", tmp_path / "copy")

    def check() -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", _CHECK, "pyproject.toml"]
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "copy"), "COLUMNS": "200"}
        return subprocess.run(
            command, cwd=tmp_path / "copy", env=environment, check=False, capture_output=True, text=True, timeout=60
        )

    return check


def _verdicts(said: subprocess.CompletedProcess[str]) -> dict[str, str]:
    """Read the list of contracts with their verdicts."""
    return dict(re.findall(r"^ *(\S.*?) (KEPT|BROKEN)\b", said.stdout, re.MULTILINE))


def test_the_contracts_are_these(contracts: dict[str, Any]) -> None:
    assert {contract["name"] for contract in contracts["contracts"]} == {_LAYERS, _WORKERS, _PROCESS, _PICKLE}


def test_all_are_kept(lint: Callable[[], subprocess.CompletedProcess[str]]) -> None:
    said = lint()
    assert said.returncode == 0, said.stdout + said.stderr
    assert _verdicts(said) == dict.fromkeys((_LAYERS, _WORKERS, _PROCESS, _PICKLE), "KEPT")


@pytest.mark.parametrize(
    ("place", "line", "contract"),
    [
        ("bridge/media/pixels.py", "import bridge.api", _LAYERS),
        ("bridge/ffmpeg/argv.py", "import bridge.magick.argv", _LAYERS),
        ("bridge/core/uri.py", "from bridge.process import child", _LAYERS),
        ("bridge/errors.py", "def f():\n    from bridge import limits", _LAYERS),
        ("bridge/strangers.py", "", _LAYERS),
        ("bridge/api.py", "import bridge_workers", _WORKERS),
        ("bridge/ffmpeg/video.py", "import subprocess", _PROCESS),
        ("bridge_workers/serve.py", "def f():\n    from subprocess import run", _PROCESS),
        ("bridge/core/array.py", "import pickle", _PICKLE),
        ("bridge_workers/serve.py", "from pickle import loads", _PICKLE),
    ],
)
def test_a_planted_import_breaks_them(
    lint: Callable[[], subprocess.CompletedProcess[str]], tmp_path: Path, place: str, line: str, contract: str
) -> None:
    with (tmp_path / "copy" / place).open("a") as file:
        file.write(f"\n{line}\n")
    said = lint()
    assert said.returncode != 0
    if place == "bridge/strangers.py":  # a module that has no layer ends the check
        assert "strangers" in said.stdout + said.stderr
    else:
        assert [name for name, verdict in _verdicts(said).items() if verdict == "BROKEN"] == [contract]
