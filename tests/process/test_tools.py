"""Toolbox: which programs count, in which order, what is remembered, and what is said when there is none."""

from __future__ import annotations

import json
import logging
import os
import shutil
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.errors import MissingCodec, ToolMissing
from bridge.process.tools import Abilities, Tool, Toolbox, install_hint, toolbox

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.fakes.programs import FakeMaker

pytestmark = pytest.mark.usefixtures("clean_toolbox")


def _forget(tools: Any) -> None:
    """Be a new process."""
    tools._Cache._memory.clear()


def _path(monkeypatch: pytest.MonkeyPatch, *folders: Path | str) -> None:
    monkeypatch.setenv("PATH", os.pathsep.join(map(str, folders)))


def _questions(note: Path) -> int:
    return len(note.read_text().splitlines()) if note.exists() else 0


# The order


def test_a_setting_comes_before_the_environment_and_that_before_path(
    fake: FakeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_, named, found = (fake("ffmpeg", version=version) for version in ("1.0", "2.0", "3.0"))
    _path(monkeypatch, found.parent)
    assert Toolbox().find("ffmpeg").source == "PATH"
    monkeypatch.setenv("FRAMEBRIDGE_FFMPEG", str(named))
    tool = Toolbox().find("ffmpeg")
    assert (tool.path, tool.source, tool.version) == (str(named), "FRAMEBRIDGE_FFMPEG", "2.0")
    tool = Toolbox({"ffmpeg": str(set_)}).find("ffmpeg")
    assert (tool.path, tool.source, tool.release) == (str(set_), "setting", (1, 0))


def test_the_entries_of_path_are_tried_in_order(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = fake("ffmpeg", version="1.0"), fake("ffmpeg", version="2.0")
    _path(monkeypatch, two.parent, one.parent)
    assert Toolbox().find("ffmpeg").version == "2.0"


def test_the_bundled_wheel_comes_last(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch, clean_toolbox: Any) -> None:
    bundled, found = fake("ffmpeg", version="9.0"), fake("ffmpeg", version="5.1")
    monkeypatch.setattr(clean_toolbox, "_bundled", lambda: iter([str(bundled)]))
    assert Toolbox().find("ffmpeg").source == "bundled wheel"
    _path(monkeypatch, found.parent)
    assert Toolbox().find("ffmpeg").version == "5.1"


def test_an_ffprobe_is_looked_for_beside_the_ffmpeg_that_was_found(
    fake: FakeMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = fake("ffprobe", version="1.0")
    ffmpeg = fake("ffmpeg", version="6.0")
    beside = fake("ffprobe", version="6.0", folder=ffmpeg.parent)
    _path(monkeypatch, other.parent)
    monkeypatch.setenv("FRAMEBRIDGE_FFMPEG", str(ffmpeg))
    assert Toolbox().find("ffprobe").path == str(beside)
    monkeypatch.setenv("FRAMEBRIDGE_FFPROBE", str(other))
    assert Toolbox().find("ffprobe").path == str(other)


@pytest.mark.parametrize("entry", [".", "", "bin", "./bin", "bin/../bin"])
def test_relative_entries_of_path_are_ignored(
    fake: FakeMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, entry: str
) -> None:
    note = tmp_path / "asked"
    for folder in (tmp_path, tmp_path / "bin"):
        fake("ffmpeg", folder=folder, asked=note)
    monkeypatch.chdir(tmp_path)
    _path(monkeypatch, entry)
    with pytest.raises(ToolMissing):
        Toolbox().find("ffmpeg")
    assert _questions(note) == 0


def test_a_relative_setting_is_kept_as_an_absolute_path(
    fake: FakeMaker, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    program = fake("ffmpeg", folder=tmp_path / "bin")
    monkeypatch.chdir(tmp_path)
    assert Toolbox({"ffmpeg": "bin/ffmpeg"}).find("ffmpeg").path == str(program)


def test_none_means_that_there_is_none(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    _path(monkeypatch, fake("ffmpeg").parent)
    monkeypatch.setenv("FRAMEBRIDGE_FFMPEG", "none")
    box = Toolbox()
    assert box.get("ffmpeg") is None
    with pytest.raises(ToolMissing, match="switched off"):
        box.find("ffmpeg")


# Who is passed over


@pytest.mark.parametrize("manner", ["stranger", "mute", "fail"])
def test_a_program_that_is_not_what_its_name_says_is_passed_over(
    fake: FakeMaker, monkeypatch: pytest.MonkeyPatch, manner: str
) -> None:
    wrong = fake("convert", manner=manner)
    right = fake("convert")
    fake("identify", folder=right.parent)
    _path(monkeypatch, wrong.parent, right.parent)
    box = Toolbox()
    assert box.find("magick").path == str(right)
    assert [attempt.path for attempt in box.attempts("magick")] == [str(wrong), str(right)]
    assert box.attempts("magick")[0].refused
    assert not box.attempts("magick")[1].refused


def test_a_program_that_hangs_when_asked_is_passed_over(
    fake: FakeMaker, monkeypatch: pytest.MonkeyPatch, clean_toolbox: Any
) -> None:
    monkeypatch.setattr(clean_toolbox, "_ASK", 0.3)
    _path(monkeypatch, fake("ffmpeg", manner="hang").parent)
    with pytest.raises(ToolMissing, match="did not say its version"):
        Toolbox().find("ffmpeg")


def test_one_that_was_named_and_refused_is_told_in_the_log(
    fake: FakeMaker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    wrong, right = fake("ffmpeg", manner="stranger"), fake("ffmpeg")
    _path(monkeypatch, right.parent)
    monkeypatch.setenv("FRAMEBRIDGE_FFMPEG", str(wrong))
    with caplog.at_level(logging.WARNING, "bridge"):
        assert Toolbox().find("ffmpeg").path == str(right)
    assert str(wrong) in caplog.text
    assert "FRAMEBRIDGE_FFMPEG" in caplog.text


@pytest.mark.parametrize("what", ["missing", "folder", "text", "garbage"])
def test_what_cannot_be_run_is_passed_over(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: str) -> None:
    path = tmp_path / "bin" / "ffmpeg"
    path.parent.mkdir()
    if what == "folder":
        path.mkdir()
    elif what != "missing":
        path.write_bytes(b"\x7fELF nonsense")
        path.chmod(0o755 if what == "garbage" else 0o644)
    monkeypatch.setenv("FRAMEBRIDGE_FFMPEG", str(path))
    with pytest.raises(ToolMissing, match=str(path)):
        Toolbox().find("ffmpeg")


def test_magick_comes_before_convert(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = fake("convert"), fake("magick")
    fake("identify", folder=old.parent)
    _path(monkeypatch, old.parent, new.parent)
    tool = Toolbox().find("magick")
    assert (tool.path, tool.release, tool.identify) == (str(new), (7, 1), (str(new), "identify"))


def test_a_convert_without_identify_beside_it_is_passed_over(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    lonely = fake("convert")
    _path(monkeypatch, lonely.parent)
    with pytest.raises(ToolMissing, match="identify"):
        Toolbox().find("magick")
    identify = fake("identify", folder=lonely.parent)
    tool = Toolbox().find("magick")
    assert (tool.release, tool.identify) == ((6, 9), (str(identify),))


@pytest.mark.parametrize(
    ("version", "release"),
    [
        ("5.1.9-0+deb12u1", (5, 1)),
        ("n7.1", (7, 1)),
        ("4.4.2-0ubuntu0.22.04.1", (4, 4)),
        ("2024-09-30-git-a1b2c3", (7, 1)),
        ("N-117599-g98a", (7, 1)),
    ],
)
def test_the_release_is_told_whatever_the_build_is_called(
    fake: FakeMaker, version: str, release: tuple[int, int]
) -> None:
    tool = Toolbox({"ffmpeg": str(fake("ffmpeg", version=version))}).find("ffmpeg")
    assert (tool.version, tool.release) == (version, release)


# Memory


def test_nobody_is_asked_twice_not_even_by_the_next_process(
    fake: FakeMaker, tmp_path: Path, clean_toolbox: Any
) -> None:
    note = tmp_path / "asked"
    program = fake("ffmpeg", asked=note)
    for _ in range(3):
        assert Toolbox({"ffmpeg": str(program)}).find("ffmpeg").version == "7.1-fake"
    _forget(clean_toolbox)
    first = Toolbox({"ffmpeg": str(program)}).abilities("ffmpeg")
    _forget(clean_toolbox)
    program.with_name("ffmpeg.json").unlink()  # it could not answer any more
    assert Toolbox({"ffmpeg": str(program)}).abilities("ffmpeg") == first
    assert _questions(note) == 1


def test_a_program_that_is_replaced_is_asked_again(fake: FakeMaker, tmp_path: Path, clean_toolbox: Any) -> None:
    note = tmp_path / "asked"
    program = fake("ffmpeg", version="5.0", asked=note)
    assert Toolbox({"ffmpeg": str(program)}).find("ffmpeg").version == "5.0"
    fake("ffmpeg", version="6.0", asked=note, folder=program.parent)
    assert Toolbox({"ffmpeg": str(program)}).find("ffmpeg").version == "6.0"
    _forget(clean_toolbox)
    assert Toolbox({"ffmpeg": str(program)}).find("ffmpeg").version == "6.0"
    assert _questions(note) == 2
    kept = json.loads((tmp_path / "cache" / "tools.json").read_text())["tools"]
    assert len(kept) == 1, "what was known of the old one is dropped"


def test_one_that_could_not_answer_is_asked_again(fake: FakeMaker) -> None:
    program = fake("ffmpeg", manner="fail")
    settings_ = program.with_name("ffmpeg.json")
    assert Toolbox({"ffmpeg": str(program)}).get("ffmpeg") is None
    settings_.write_text(settings_.read_text().replace("fail", "honest"))
    assert Toolbox({"ffmpeg": str(program)}).get("ffmpeg") is not None


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(
    content=st.one_of(
        st.binary(max_size=30),
        _json.map(lambda value: json.dumps(value).encode()),
        _json.map(lambda value: json.dumps({"version": 2, "tools": value}).encode()),
        _json.map(lambda value: json.dumps({"version": 99, "tools": {"a": value}}).encode()),
    )
)
def test_a_corrupt_memory_counts_as_none(fake: FakeMaker, tmp_path: Path, clean_toolbox: Any, content: bytes) -> None:
    program = tmp_path / "fakes" / "1" / "ffmpeg"
    if not program.exists():
        fake("ffmpeg")
    (tmp_path / "cache").mkdir(exist_ok=True)
    (tmp_path / "cache" / "tools.json").write_bytes(content)
    _forget(clean_toolbox)
    assert Toolbox({"ffmpeg": str(program)}).find("ffmpeg").version == "7.1-fake"


@pytest.mark.parametrize(
    "row",
    [
        5,
        None,
        [],
        {"banner": 5},
        {"banner": None},
        {"abilities": 5},
        {"abilities": {"muxers": 5}},
        {"abilities": {"unheard-of": []}},
        {"abilities": {}},
    ],
    ids=str,
)
def test_a_memory_of_the_wrong_shape_counts_as_none(
    fake: FakeMaker, tmp_path: Path, clean_toolbox: Any, row: Any
) -> None:
    program = fake("ffmpeg")
    kept = {"version": clean_toolbox._CACHE_VERSION, "tools": {clean_toolbox._stamp(str(program)): row}}
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "tools.json").write_text(json.dumps(kept))
    box = Toolbox({"ffmpeg": str(program)})
    assert box.find("ffmpeg").version == "7.1-fake"
    assert "nut" in box.abilities("ffmpeg").muxers


@pytest.mark.parametrize("place", ["/proc/none/of/this", "file", "readonly", "taken"])
def test_a_memory_that_cannot_be_kept_is_no_error(
    fake: FakeMaker,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    unprivileged: Callable[[Callable[[], Tool]], Tool],
    place: str,
) -> None:
    folder = tmp_path / "memory"
    if place == "file":
        folder.write_text("no folder")
    elif place == "readonly":
        folder.mkdir(mode=0o555)
    elif place == "taken":
        (folder / "tools.json").mkdir(parents=True)
    monkeypatch.setenv("FRAMEBRIDGE_CACHE", place if place.startswith("/") else str(folder))
    box = Toolbox({"ffmpeg": str(fake("ffmpeg"))})
    assert unprivileged(lambda: box.find("ffmpeg")).version == "7.1-fake"
    if place == "taken":
        assert [path.name for path in folder.iterdir()] == ["tools.json"], "a half-made file is left"


def test_a_home_that_is_not_there_is_no_error(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FRAMEBRIDGE_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/proc/nonexistent")
    assert Toolbox({"ffmpeg": str(fake("ffmpeg"))}).find("ffmpeg").version == "7.1-fake"


def test_the_toolbox_follows_the_environment(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    assert toolbox().get("ffmpeg") is None
    monkeypatch.setenv("FRAMEBRIDGE_FFMPEG", str(fake("ffmpeg")))
    assert toolbox() is toolbox()
    assert toolbox().find("ffmpeg").version == "7.1-fake"
    monkeypatch.delenv("FRAMEBRIDGE_FFMPEG")
    assert toolbox().get("ffmpeg") is None


@pytest.mark.parametrize(
    ("banner", "version"),
    [
        ("GPL Ghostscript 10.00.0", "10.00.0"),
        ("AFPL Ghostscript 8.54", "8.54"),
        ("GPL Ghostscript RELEASE CANDIDATE 1 9.52", "9.52"),
        ("GPL Ghostscript GIT PRERELEASE 9.27", "9.27"),
    ],
)
def test_ghostscript_by_its_banner(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch, banner: str, version: str) -> None:
    _path(monkeypatch, fake("gs", version=banner).parent)
    tool = Toolbox().find("gs")
    assert (str(tool), tool.release) == (f"Ghostscript {version}", tuple(map(int, version.split(".")[:2])))


def test_another_gs_is_passed_over(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    _path(monkeypatch, fake("gs", version="git-spice 0.9").parent)
    with pytest.raises(ToolMissing, match="is not Ghostscript"):
        Toolbox().find("gs")


# What is said


@pytest.mark.parametrize(
    ("name", "called"),
    [("ffmpeg", "ffmpeg"), ("ffprobe", "ffprobe"), ("magick", "ImageMagick"), ("gs", "Ghostscript")],
)
def test_what_is_missing_is_said_with_the_way_to_get_it(name: str, called: str) -> None:
    with pytest.raises(ToolMissing, match=f"{called} was not found: nothing by that name on PATH") as caught:
        Toolbox().find(name)
    assert isinstance(caught.value, FileNotFoundError)
    assert "install" in str(caught.value)


def test_what_was_tried_is_said(fake: FakeMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = fake("ffmpeg", manner="stranger")
    _path(monkeypatch, wrong.parent)
    with pytest.raises(ToolMissing) as caught:
        Toolbox().find("ffmpeg")
    assert str(wrong) in str(caught.value)
    assert "FAT to NTFS" in str(caught.value)


def test_the_hint_is_for_this_kind_of_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert "bundled" in install_hint("ffmpeg")
    for manager, package in (("dnf", "ImageMagick"), ("brew", "imagemagick")):
        folder = tmp_path / manager
        folder.mkdir()
        shutil.copy("/bin/true", folder / manager)
        _path(monkeypatch, folder)
        assert f"{manager} install {package}" in install_hint("magick")


def test_an_ability_that_is_not_there_is_named_with_what_is_near() -> None:
    tool = Tool(name="ffmpeg", path="/x", version="7.1", release=(7, 1), source="PATH")
    able = Abilities(encoders=frozenset({"libx264", "libx265", "png"}))
    able.need("encoders", "libx264", tool)
    with pytest.raises(MissingCodec, match=r"ffmpeg 7\.1 has no encoder 'x264'.*libx264"):
        able.need("encoders", "x264", tool)
