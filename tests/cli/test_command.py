"""What all commands share: exit statuses, errors on one line, nothing harmful on the terminal."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import bridge
from bridge.cli import main
from tests.cli.conftest import command_line

if TYPE_CHECKING:
    from tests.cli.conftest import Framebridge, Ran


def assert_one_line(ran: Ran) -> None:
    assert ran.stdout == ""
    assert ran.stderr.startswith("framebridge: ")
    assert ran.stderr.count("\n") == 1


@pytest.mark.skipif(os.environ.get("FRAMEBRIDGE_TEST_SOURCE") == "1", reason="nothing is installed")
def test_the_script_is_what_the_package_promises() -> None:
    scripts = metadata.entry_points(group="console_scripts", name="framebridge")
    assert [script.load() for script in scripts] == [main]


def test_the_module_is_the_same_as_the_script(framebridge: Framebridge) -> None:
    module = subprocess.run([sys.executable, "-m", "bridge", "--help"], capture_output=True, text=True, check=True)
    assert module.stdout == framebridge("--help").stdout


def test_version(framebridge: Framebridge) -> None:
    ran = framebridge("--version")
    assert (ran.returncode, ran.stdout) == (0, f"framebridge {bridge.__version__}\n")


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_a_question_about_the_command_itself_loads_little(option: str) -> None:
    loaded = "import sys; from bridge.cli import main; main([sys.argv[1]]); print(*sys.modules, file=sys.stderr)"
    ran = subprocess.run([sys.executable, "-c", loaded, option], capture_output=True, text=True, check=True)
    assert not {"rich", "ffmpeg", "zmq", "wand", "tifffile", "bridge.catalogue"} & set(ran.stderr.split())


def test_help_tells_every_command(framebridge: Framebridge) -> None:
    said = framebridge("-h").stdout
    for name in ("info", "convert", "formats", "doctor"):
        assert f"\n  {name} " in said
        assert framebridge(name, "-h").returncode == 0


@pytest.mark.parametrize("arguments", [["nonsense"], ["info"], ["convert", "only-one"], ["info", "--nonsense", "x"]])
def test_a_wrong_call_is_status_2(framebridge: Framebridge, arguments: list[str]) -> None:
    ran = framebridge(*arguments)
    assert ran.returncode == 2
    assert "Usage: framebridge" in ran.stderr


@pytest.mark.parametrize("content", [None, b"", b"hello\n"], ids=["missing", "empty", "text"])
def test_a_file_that_is_none_is_one_line(framebridge: Framebridge, tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "film.mp4"
    if content is not None:
        path.write_bytes(content)
    ran = framebridge("info", path)
    assert ran.returncode == 1
    assert_one_line(ran)
    assert str(path) in ran.stderr


def test_a_folder_is_one_line(framebridge: Framebridge, tmp_path: Path) -> None:
    ran = framebridge("info", tmp_path)
    assert ran.returncode == 1
    assert_one_line(ran)
    assert "directory" in ran.stderr


@pytest.mark.parametrize("before", [True, False])
def test_debug_adds_the_traceback(framebridge: Framebridge, *, before: bool) -> None:
    arguments = ["--debug", "info", "missing.png"] if before else ["info", "missing.png", "--debug"]
    ran = framebridge(*arguments)
    assert ran.returncode == 1
    assert "Traceback" in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("framebridge: ")


def test_the_environment_is_never_printed(framebridge: Framebridge) -> None:
    for arguments in (["--debug", "info", "missing.png"], ["doctor", "--json"]):
        ran = framebridge(*arguments, env={"SECRET_TOKEN": "do-not-tell"})
        assert "do-not-tell" not in ran.stdout + ran.stderr


def test_a_name_cannot_steer_the_terminal(framebridge: Framebridge, tmp_path: Path) -> None:
    ran = framebridge("info", tmp_path / "[red]\x1b[31m\r\n\u202e.png")
    assert_one_line(ran)
    assert r"[red]\x1b[31m\r\n\u202e.png" in ran.stderr


def test_a_name_that_is_no_text_is_told(framebridge: Framebridge, tmp_path: Path) -> None:
    ran = framebridge("info", os.fsdecode(os.fsencode(tmp_path) + b"/\xff.png"))
    assert_one_line(ran)
    assert r"\udcff.png" in ran.stderr


def test_a_fault_of_ours_is_one_line_too(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def broken(_uri: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr("bridge.cli.info.probe", broken)
    assert main(["info", "a.png"]) == 1
    said = capsys.readouterr().err
    assert said.startswith("framebridge: KeyError: 'x' (this is a fault of framebridge")
    assert said.count("\n") == 1


def test_a_reader_that_goes_away_is_no_error() -> None:
    with subprocess.Popen(
        [*command_line(), "formats", "mp4"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a disk that is always full")
@pytest.mark.parametrize("arguments", [["--help"], ["doctor"], ["doctor", "--json"]])
def test_a_full_disk_is_one_line(arguments: list[str]) -> None:
    with Path("/dev/full").open("w") as full:
        ran = subprocess.run([*command_line(), *arguments], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == 1
    assert ran.stderr == "framebridge: No space left on device\n"
