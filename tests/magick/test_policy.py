"""ImageMagick works under our own policy: what it refuses, tried on the program, and what it is told of limits."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest

import bridge
from bridge.errors import BridgeError, LimitExceeded
from bridge.limits import Limits
from bridge.magick.policy import boxed, policy
from bridge.process.child import run
from bridge.process.tools import toolbox

if TYPE_CHECKING:
    from pathlib import Path

PS = b"junk\n%!PS-Adobe-3.0\n/Helvetica findfont 20 scalefont setfont 10 10 moveto (hello) show showpage\n"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9" fill="red"/></svg>'


def rules(limits: Limits, domain: str) -> dict[str, str]:
    """Give the rules of a domain: pattern or name -> rights or value."""
    found = [dict(re.findall(r'(\w+)="([^"]*)"', line)) for line in policy(limits).decode().splitlines()]
    return {
        rule.get("pattern") or rule["name"]: rule.get("rights") or rule["value"]
        for rule in found
        if rule.get("domain") == domain
    }


def test_only_trusted_content_has_delegates() -> None:
    assert rules(Limits(), "delegate") == rules(Limits(trust="untrusted"), "delegate") == {"*": "none"}
    assert rules(Limits(trust="trusted"), "delegate") == {}


def test_each_level_has_its_coders_and_documents_are_not_among_them() -> None:
    for trust, most in (("normal", 40), ("untrusted", 13)):
        coders = rules(Limits(trust=trust), "coder")
        assert coders.pop("*") == "none"
        (allowed,) = coders
        names = allowed.strip("{}").split(",")
        assert "PNG" in names
        assert len(names) <= most
        assert not {"SVG", "MSVG", "PDF", "PS", "EPS", "EPI", "MVG", "MSL", "TEXT", "URL", "HTTP", "FTP"} & set(names)


def test_numbers_are_those_of_the_call() -> None:
    told = rules(Limits(side=123, magick_memory=4567, magick_pictures=8, still=9.5), "resource")
    assert (told["width"], told["height"], told["memory"], told["list-length"]) == ("123", "123", "4567B", "8")
    assert (told["time"], told["disk"], told["map"]) == ("10", "0B", "0B")


@pytest.mark.program
@pytest.mark.needs("magick")
@pytest.mark.parametrize(
    ("coder", "content"),
    [
        ("epi", PS),
        ("ai", PS),
        ("ps", PS),
        ("pdf", b"%PDF-1.4\n"),
        ("svg", SVG),
        ("msvg", SVG),
        ("mvg", b"viewbox 0 0 9 9"),
    ],
)
@pytest.mark.parametrize("trust", ["normal", "untrusted"])
def test_what_runs_content_is_refused_by_the_program(coder: str, content: bytes, trust: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(content)
    with (tmp_path / "x").open("rb") as file:
        said = run(
            (toolbox().find("magick").path, f"{coder}:-", "pam:-"),
            subject="x",
            seconds=20,
            stdin=file.fileno(),
            **boxed(Limits(trust=trust)),
        )
    assert not said.exit.ok
    assert said.stdout == b""


@pytest.mark.program
@pytest.mark.needs("magick")
def test_status_tries_the_policy_and_tells_of_programs_and_children() -> None:
    told = bridge.status()
    assert told["policy"] == {"refuses_postscript": True}
    assert told["programs"]["magick"]["path"] == toolbox().find("magick").path
    assert told["limits"]["trust"] == "normal"
    assert (told["children"], told["temporary_bytes"]) == (0, 0)


@pytest.mark.program
@pytest.mark.needs("magick")
@pytest.mark.parametrize(("limits", "name"), [
    (Limits(magick_memory=1000), "magick_memory"),
    (Limits(magick_space=10_000_000), "magick_space"),
])  # fmt: skip
def test_limits_of_imagemagick_are_named(limits: Limits, name: str, tmp_path: Path) -> None:
    bridge.imwrite(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(LimitExceeded, match=f"limit {name}"):
        bridge.imread(tmp_path / "a.png", limits=limits)


@pytest.mark.program
@pytest.mark.needs("magick")
def test_nothing_is_left_in_the_folder_for_temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bridge.imwrite(tmp_path / "a.png", np.zeros((64, 64, 3), np.uint8))
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    bridge.imread(tmp_path / "a.png")
    with pytest.raises(BridgeError):
        bridge.imread((tmp_path / "a.png").read_bytes()[:60])
    assert list(temporary.iterdir()) == []
