"""The proof from below for the inputs 1 to 40: strace sees every file that is opened and every program that starts."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from bridge.magick.warm import SETTING
from tests.hostile.forms import png
from tests.hostile.makers import CASES

if TYPE_CHECKING:
    from tests.hostile.case import World

pytestmark = [pytest.mark.program, pytest.mark.needs("ffmpeg")]

_READ = """
import json, os, sys, warnings
warnings.simplefilter("ignore")
import bridge
for folder, uri, limits in json.load(open(sys.argv[1])):
    os.chdir(folder)
    try:
        bridge.imread(uri, limits=bridge.Limits(**limits))
    except bridge.BridgeError:
        pass
print("end")
"""
_CALL = re.compile(r'(open|openat|execve)\((?:AT_FDCWD, |\d+, )?"((?:[^"\\]|\\.)*)".*\) = (-?\d+)')
_CONNECT = re.compile(r"connect\(.*sin6?_port=htons\((\d+)\)")
_PROGRAMS = ("ffmpeg", "ffprobe", "convert", "convert-im6.q16", "identify", "identify-im6.q16", "magick")


@pytest.mark.skipif(not shutil.which("strace"), reason="there is no strace here; inotify watches in test_catalogue.py")
@pytest.mark.timeout(200)
@pytest.mark.parametrize(("level", "way"), [("normal", "none"), ("normal", "always"), ("untrusted", "always")])
def test_no_other_file_no_server_no_other_program(
    level: str, way: str, world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, way)
    todo: list[Any] = []
    uris: set[str] = set()
    cases = [case for case in CASES if case.number < 39 and level in case.levels and case.number not in (36, 37, 38)]
    for number, case in enumerate(cases):
        (tmp_path / f"{number}").mkdir()
        place = world.place(tmp_path / f"{number}")
        uri = os.fspath(case.make(place))
        uris.add(uri)
        todo.append((str(place.folder), uri, {"trust": level, **case.limits}))
    (tmp_path / "todo.json").write_text(json.dumps(todo))
    (tmp_path / "first.png").write_bytes(png())
    first = "import bridge, sys; bridge.imread(sys.argv[1])"  # what programs there are is asked once, and remembered
    subprocess.run([sys.executable, "-c", first, str(tmp_path / "first.png")], check=True, timeout=60)
    trace = tmp_path / "trace"
    options = ["-f", "--seccomp-bpf", "-qq", "-s", "4096", "-o", str(trace), "-e", "trace=open,openat,connect,execve"]
    command = ["strace", *options, sys.executable, "-c", _READ, str(tmp_path / "todo.json")]
    ran = subprocess.run(command, capture_output=True, text=True, check=False, timeout=180)
    assert ran.stdout.strip() == "end", ran.stderr[-2000:]
    wrong = []
    for line in trace.read_text(errors="replace").splitlines():
        call, connected = _CALL.search(line), _CONNECT.search(line)
        if connected and int(connected[1]) == world.private.port:
            wrong.append(line)
        if not call or int(call[3]) < 0:
            continue
        name = os.path.normpath(Path(tmp_path, call[2]))
        inside = ("/uploads/" in name or "/elsewhere/" in name) and Path(name).is_relative_to(tmp_path)
        if inside and name not in uris:
            wrong.append(line)
        if call[1] == "execve" and Path(name).name not in _PROGRAMS and not Path(name).name.startswith("python"):
            wrong.append(line)
    assert not wrong, "\n".join(wrong)
